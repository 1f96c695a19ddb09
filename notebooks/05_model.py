# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The model: from an image to the scores
#
# **The question.** What happens between the image and the scores, and what does each part of the network cost?
#
# After this notebook you will be able to
#
# - draw LapNet from memory (fig. 2 of the paper), with the shape of every map, and say which channel of the output
#   belongs to which class and anchor;
# - follow one training step from the scores to the loss (fig. 4), and say along which arrows gradients come back;
# - count the parameters and operations of a network, and tell which choices cost much and which cost nothing;
# - work out how far a cell of the output can see, and measure how far it does look;
# - say why a stride of exactly 8 matters, and how a library's padding can spoil it unnoticed.
#
# <!-- records: model.tiers -->
# | tier | `LAPNET_TIER` | what it does | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | the light network, 150 steps; others by shape | 36 s (two cores) | 1.3 GB | nothing |
# | laptop | `laptop` | trains 1500 steps; times DarkNet-53, too | 8 minutes (estimate) | 2 GB (estimate) | nothing |
# | full | `full` | as laptop; the paper's own comparison of times needs a GPU | as laptop | as laptop | nothing |
# <!-- /records -->
#
# It helps to have read [00](00_start_here.ipynb). You should know what a convolution is.

# %%
import timm
import torch

from lapnet_core import anchors, backbones, config, losses, model, train
from lapnet_core.data import collate, denormalize, eval_transform
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import gather, setup
from lapnet_lab.lessons.model import diagrams, figures, panels, receptive, study
from lapnet_lab.lessons.model.exercises import check

lab = setup()

# %% [markdown]
# ## 1. Fig. 2, drawn from the code
#
# A drawing of a network in a paper can be wrong, and a drawing of a program is wrong as soon as somebody changes the
# program. So we do not draw from memory. `study.anatomy` builds a LapNet, sends one image through it, and notes at
# every joint what comes by. The figure shows what it noted.
#
# (The run uses PyTorch's *meta device*: tensors that have a shape and no numbers in them. So even the largest network
# takes a second and no memory, and no weights are fetched from anywhere.)

# %%
panels.architecture_panel()

# %% [markdown]
# Read the upper figure, the light network that our notebooks train, from left to right:
#
# - The **backbone** shrinks the image and returns three maps: C3 has one cell for 8 × 8 pixels, C4 for 16 × 16, C5 for
#   32 × 32. We say they have the **strides** 8, 16 and 32.
# - The **decoder** hands what the coarse maps know on to the finer ones (the arrows up), and adds what the finer maps
#   saw themselves (the arrows across, the *skip connections*).
# - Each of the three maps passes **four 3 × 3 convolutions** of its own. Then all are resized to the finest, stride 8,
#   and concatenated.
# - **Two heads** read the result, each with four 3 × 3 convolutions and a last one. One returns $N_C N_A$ score maps,
#   the other $4 N_C N_A$ offset maps.
#
# **Notice** in the lower figure, DarkNet-53 as in the paper, that the first two parts take seven eighths of the
# operations. What is LapNet's own, the levels and the heads, is the small rest. With the controls above the figure
# (when the notebook runs) you can change everything. Do it: **which control changes the operations, but not a single
# parameter?** And where do you see a class more?
#
# The paper has a third backbone, Inception-ResNet-v2. Here are all three at 512 pixels, for the 20 classes of PASCAL
# VOC.

# %%
for backbone in study.BACKBONES:
    found = study.anatomy(backbone, (512, 512), num_classes=20)
    maps = ", ".join(f"{name} {'×'.join(map(str, found.maps[name]))}" for name in ("C3", "C4", "C5", "fused"))
    print(f"{backbone:20}{found.parameters / 1e6:5.1f} M parameters, {found.macs / 1e9:5.1f} GMAC; {maps}")

# %% [markdown]
# **Notice** that the maps have the same heights and widths for every backbone, 64, 32 and 16 cells; only the channels
# differ. That is why the rest of the library, the anchors, the assignment and the losses, need not know which backbone
# there is.
#
# Two things the paper leaves open, and our choices for them. *How many channels?* These decide the speed; section 5
# asks what they cost. *How large is the kernel of each head's last convolution?* Ours is 1 × 1.
#
# ## 2. One scene on its way
#
# Now with numbers. A network that has just been made, a batch of scenes at 256 pixels, and what comes by at every
# joint. (`update_bn` lets the batch normalisations see some images, as the first training step would; otherwise their
# statistics are those of no images at all.) First the shapes; then a picture of six channels of some maps, each on a
# scale of its own; of the concatenated map, two from each level. If `LAPNET_DATA` holds `coco_tiny`, the image is one
# of its photographs; the shapes stay the same.

# %%
scenes = Scenes(8, size=(256, 256), transform=eval_transform((256, 256)))
batch = collate([scenes[i] for i in range(8)])
torch.manual_seed(0)
net = model.LapNet(len(SCENE_CLASSES))
torch.optim.swa_utils.update_bn([batch.images], net)
net.eval()
print(f"images {list(batch.images.shape)}, with {sum(len(target['boxes']) for target in batch.targets)} objects")

# %%
image = study.photograph(otherwise=batch.images[0])
with torch.no_grad():
    maps = study.named_maps(net, image[None])
for name, values in maps.items():
    print(f"{name:8}{list(values.shape)!s:22}{values.numel():8} numbers")
chosen = {name: maps[name][0, :6] for name in ("C3", "C4", "C5")}
chosen["fused: from L3, L4, L5"] = maps["fused"][0, [0, 1, 32, 33, 64, 65]]
figures.feature_maps(denormalize(image), chosen)

# %% [markdown]
# **Notice** that the numbers become fewer until C5, and that the output is the largest of all. From 196 608 numbers,
# the pixels, LapNet makes 358 400: for every one of 71 680 anchors a score and four offsets.
#
# Now the picture. This network has learned *nothing*, and yet some channels of C3 let you guess the scene: the
# plain pavement at the lower left, the busy house front above, the bicycle. Random convolutions answer to edges, too.
# And from C3 to C5 the maps become coarser. What a cell gains is not detail but surroundings, since it has looked at
# more of the image. In the last row the coarse maps have been enlarged to the size of the fine one.
#
# ## 3. The output: which channel is whose?
#
# The last convolution of the score head returns $C \cdot A$ channels, here 7 · 10 = 70. `LapNet` only gives them two
# names instead of one: channel $k$ belongs to class $c = \lfloor k / A \rfloor$ and anchor $a = k - cA$. The offsets
# have one more index, for $d_x, d_y, d_w, d_h$.
#
# An anchor is a box of fixed size on the middle of its cell. The four offsets move and stretch it (as in Faster
# R-CNN):
#
# $$x = x_a + d_x w_a, \quad y = y_a + d_y h_a, \quad w = w_a e^{d_w}, \quad h = h_a e^{d_h}.$$
#
# **Play network.** The blue box is an object, the dashed one an anchor. Move the four sliders until the green box, your
# prediction, fits. $\hat O$ is its IoU with the object. Can you reach 0.9?

# %%
with torch.no_grad():
    channels = net.score_head(maps["fused"])[0]
same = torch.allclose(channels[36], maps["scores"][0, 3, 6])
print(f"{len(channels)} channels; number 36 is class 3, anchor 6: {same}")
found = gather.objects(Scenes(300, size=(256, 256)))
shapes = anchors.cluster_anchors(gather.sizes(found.boxes), found.labels, len(SCENE_CLASSES))
box, shape, cell = study.first_positive(shapes, (32, 32), batch.targets[0])  # of the scene's largest object
panels.offset_panel(denormalize(batch.images[0]), box, shape, cell)

# %% [markdown]
# **Notice** that you looked at $\hat O$, not at the offsets, and that is how LapNet is trained, too: nobody tells the
# network which offsets are right. There is no encoding of the object as four target numbers, as in most detectors. The
# paper calls the offsets *latent*: only the IoU of the resulting box counts.
#
# ### The first loss
#
# Each score is a *logit*; its sigmoid is the probability $\hat P$ that the anchor contains an object. Nearly all
# anchors contain none. So our network is born with that belief: the bias of the last convolution starts where
# $\hat P = 0.01$, which is RetinaNet's trick (the paper does not say how it starts). What would happen without it? We
# ask for the classification loss of the batch, with all weights 1, and for the norm of its gradient over the whole
# network.

# %%
born = study.first_step(net, batch, shapes)
without = study.first_step(study.with_score_bias(net, 0.0), batch, shapes)
print(f"mean probability {maps['scores'].sigmoid().mean():.3f}; first loss {born.loss:.3f}")
print(f"without the prior: first loss {without.loss:.2f}")
larger = [b / a > 40 for a, b in zip(born, without, strict=True)]
print("loss and gradient are more than 40 times as large:", larger)

# %% [markdown]
# **Notice** that both losses can be had without a computer. An anchor that rightly says 1 % pays $-\ln 0.99 \approx
# 0.010$, and the few positives a little more together; one that says "maybe" pays $-\ln 0.5 \approx 0.69$. Without the
# prior the first steps would teach all anchors the same thing, *be silent*, and with fifty times the force.
#
# ## 4. Fig. 4: one training step
#
# The same batch, now through the whole loss. In evaluation the network's work ends with scores and offsets. In training
# the objects join in: they are assigned to anchors ($O$, eq. 1), the predicted boxes are compared with them ($\hat O$),
# and both together make the labels ($P$, eq. 3).

# %%
criterion = losses.LapNetLoss(len(SCENE_CLASSES), 10)
scores, offsets = net(batch.images)
terms = criterion(scores, offsets, shapes, batch.targets)
routes = study.gradient_routes(terms, {"scores": scores, "offsets": offsets})
texts = study.flow_texts(batch.images, scores, offsets, shapes, terms)
print(texts["O"].replace("\n", "; "), "|", texts["P"].replace("\n", "; "))
print({f"{loss} to {output}": norm > 0 for (loss, output), norm in routes.items()})
diagrams.training_flow(texts, routes)

# %% [markdown]
# **Notice** the red arrows. They are drawn where a gradient was *measured* to be more than 0:
#
# - the localisation loss reaches the offsets, through $\hat O$ and the decoded boxes, and no score;
# - the classification loss reaches the scores, and **no offset**, although the labels $P$ depend on the predicted
#   boxes. A label is a target. If gradients could run back through $P$, the network could make a label easier by
#   spoiling its own boxes.
#
# ## 5. What does it cost?
#
# We count **parameters**, the numbers that are learned, and **MACs**, multiply-accumulates: one multiplication with
# its addition. A convolution computes each of its output numbers as a sum of (input channels × kernel height × kernel
# width) products, so
#
# $$\text{MACs} = C_\text{out} H W \cdot C_\text{in} k^2, \qquad \text{parameters} = C_\text{out} \cdot C_\text{in} k^2
# \;(+\, C_\text{out} \text{ biases}).$$
#
# The same weights are used at every place: a convolution on a large map costs much time and few parameters, one on
# many channels costs both. (Be careful with numbers from elsewhere. What one author calls an operation is a MAC, what
# another calls so is half of one.) Here is the light network at 256 pixels, layer by layer, where it costs most.

# %%
with study.counting_macs(net) as macs, torch.no_grad():
    net(batch.images[:1])
layers = dict(net.named_modules())
for name in sorted(macs, key=macs.get, reverse=True)[:5]:
    weights = layers[name].weight
    print(f"{name:37}{macs[name] / 1e6:7.1f} MMAC{weights.numel():8} weights {list(weights.shape)}")
counted = study.anatomy("light", (256, 256), len(SCENE_CLASSES)).macs
print(f"{len(macs)} convolutions: {sum(macs.values()) / 1e6:.0f} MMAC; the counter of fig. 2 says {counted / 1e6:.0f}")

# %% [markdown]
# **Notice** where the most expensive ones sit: in the heads, which read three levels at stride 8, and in the backbone's
# early stages, where the maps are large. The one in stage 1 has 9216 weights and costs as much as the one in stage 2
# with 36 864. Parameters and time are different things.
#
# The paper claims that LapNet takes *the same computing time as YOLOv3*, with the same backbone. So let us compare. For
# YOLOv3-416 its authors state 65.86 billion operations, two to a MAC. At 512 pixels that makes 49.9 GMAC.

# %%
looked, yolo = {name: study.anatomy(*asked) for name, asked in study.NETWORKS.items()}, study.yolov3_macs(512)
for name, each in looked.items():
    print(f"{name:33}{each.macs / 1e9:6.1f} GMAC, {each.macs / yolo:.2f} times YOLOv3-512")
rows = {name: each.macs_by_part for name, each in looked.items()}
diagrams.cost_bars(rows, ("YOLOv3 at 512 px, 80 classes", yolo), "operations by part")

# %% [markdown]
# **Notice**
#
# - LapNet-512 on DarkNet-53 costs 1.09 times as much as YOLOv3-512 (80 classes, as on COCO). That agrees with the
#   paper's claim, as far as operations tell anything about time.
# - From 20 to 80 classes it is 1.6 GMAC more, 3 %: only the last convolution of each head knows how many classes there
#   are. Class-specific anchors are cheap *in the network*. (What grows is the output: 1000 channels become 4000.)
# - The size of the input counts most. All maps grow with it, so that the operations grow with its square.
#
# ### What the widths decide
#
# The comparison has a catch: the paper does not give the numbers of channels. Ours, `model.WIDTHS`, were chosen such
# that the claim comes true. The first figure shows what 256 channels everywhere, RetinaNet's habit, would cost.
# Move the sliders: which channels are expensive, those of the levels or those of the heads?

# %%
panels.width_panel()

# %% [markdown]
# **Notice** that a head at stride 8 is dear: eight 3 × 3 convolutions on the largest map, whose cost grows with the
# square of the channels. And three level widths are concatenated, so that the head's *first* convolution pays three
# times for each level channel. With 256 in both, LapNet would cost 1.8 times YOLOv3; with 64 and 128, 1.09 times.
#
# ### Operations are not time
#
# So what does a clock say? The median of a few runs on your machine, the light network at 512 pixels (in the laptop
# tier DarkNet-53, too):

# %% tags=["nbval-ignore-output"]
timed = {"light": net}
if lab.tier != "tiny":
    timed["darknet53"] = model.LapNet(len(SCENE_CLASSES), backbone="darknet53").eval()
for name, network in timed.items():
    seconds = study.part_seconds(network, torch.zeros(1, 3, 512, 512))
    for part, macs in study.anatomy(name, (512, 512), len(SCENE_CLASSES)).macs_by_part.items():
        rate = macs / seconds[part] / 1e9
        print(f"{name:10}{part:18}{1000 * seconds[part]:6.0f} ms{rate:7.0f} GMAC per second")

# %% [markdown]
# **Notice** the last column. If time were operations, all rows would have the same rate. They do not quite, and on a
# GPU they would differ more and otherwise, as small maps cannot keep it busy. So 1.09 times the operations is *not* a
# measured time. The paper's times are of a TITAN X; we have not measured LapNet on a GPU.
#
# ## 6. How far does a cell see?
#
# A 3 × 3 convolution sees three cells in a row. The next one on top sees five, then seven. The part of the image on
# which a cell depends is its **receptive field**. With a stride of 2 neighbouring cells lie twice as far apart, and
# everything after it reaches twice as far. So walk along the layers with two numbers, the field $r$ and the distance
# $j$ between neighbouring cells, both 1 at first; a convolution with kernel $k$ and stride $s$ makes
#
# $$r \leftarrow r + (k - 1)\, j, \qquad j \leftarrow j\, s.$$
#
# That is right for a chain. Behind the backbone the ways part and meet again, maps are enlarged, and the *longest* way
# counts. `receptive.receptive_fields` follows every operation of a real run and keeps for each cell the first and the
# last pixel that can reach it. First the chain of the light backbone, then all maps of three networks:

# %%
r = j = 1
for number, stage in enumerate(net.backbone.encoder.stages):
    for layer in stage.modules():
        if isinstance(layer, torch.nn.Conv2d):
            r, j = r + (layer.kernel_size[0] - 1) * j, j * layer.stride[0]
    print(f"stage {number}: a cell for {j:2} pixels sees {r:3} pixels", f"= C{number + 1}" if number >= 2 else "")

print(study.as_table({backbone: receptive.receptive_fields(backbone) for backbone in study.BACKBONES}))

# %% [markdown]
# **Notice** that C3, C4 and C5 of the light network are those of the little recurrence. And that a cell of the output
# can see 719 pixels, with the paper's backbones 1205 and 3455: more than the whole image of 512. Whatever the object,
# its anchor's cell *can* see all of it.
#
# But does it look? The **effective receptive field** asks how much each pixel really counts (Luo and others, 2016). We
# take the central cell's scores, and their gradient with respect to every pixel, averaged over two scenes of 384
# pixels. First for the new network, and through each backbone map alone.

# %%
large = Scenes(4, size=(384, 384), transform=eval_transform((384, 384)))
views = torch.stack([large[i][0] for i in range(2)])
before = receptive.sight(net, views)
panels.receptive_panel(denormalize(views[0]), before, shapes * 1.5, SCENE_CLASSES)

# %% [markdown]
# **Notice** that the square of theory is larger than the picture (which cuts the measurement off), and that inside it
# pixels do not count alike: there is a hill, highest in the middle. A pixel at the edge of the square has one way to
# the cell, a pixel in the middle has thousands.
#
# Now the second figure: only C3 is let through. In theory the cell sees 207 pixels, and half of the gradient lies in 64
# instead of 160. The tallest person does not fit in any more (on the right, where the anchors are enlarged by 1.5, as
# the image is); with the class *bus* you see it more clearly. **The two coarse maps are there to look around.**
# RetinaNet and YOLOv3 use them for the same reason, but give each of them anchors of its own; LapNet lays them on top
# of each other.
#
# What does training change? Let us train briefly, 150 steps on small scenes.

# %% tags=["nbval-ignore-output"]
short = config.tiny_scenes().with_options(image_size=(128, 128), steps=150)
settings = lab.choose(tiny=short, laptop=config.laptop_scenes())
lesson = Scenes(settings.steps, size=settings.image_size, keep=True)
trained = train.train(settings, lesson, save=False, progress=lab.progress).method.model
after = receptive.sight(trained, views)
for name, each in (("new", before), ("trained", after)):
    print(f"{name:8} half of the gradient, in pixels:", {w: receptive.side_with(0.5, f) for w, (f, _) in each.items()})
panels.receptive_panel(denormalize(views[0]), after, shapes * 1.5, SCENE_CLASSES)

# %% [markdown]
# **Notice** that training has made the hill *narrower*: the network has learned to look at its own place first.
# Recorded with the training of [00](00_start_here.ipynb), 640 steps at 160 pixels, on 23 November 2026: half of the
# gradient in <!--record model.half.after-->48<!--/record--> pixels, 90 %
# in <!--record model.nine_tenths.after-->176<!--/record-->, against <!--record model.half.before-->160<!--/record-->
# and <!--record model.nine_tenths.before-->304<!--/record--> before training. (Luo and others saw fields *grow* with
# training, in other networks. Ours starts wide, as the enlarged coarse maps lie over everything. What the paper's long
# schedule does to it, we do not know.)
#
# ## 7. Why a stride of exactly 8?
#
# Anchors are laid on a grid: cell $(i, j)$ has its centre at pixel $((j + 0.5) \cdot 8, (i + 0.5) \cdot 8)$. That makes
# sense only if the network treats all cells alike, and if cell $j$ does look at that place. Both can be tested.
#
# **Test one: shift the image.** If every cell does the same, a shifted image must give a shifted map. This is called
# *equivariance*. We shift a wide strip of scenes by 4, 8, ... pixels, and compare with the shifted map, far away from
# the borders. 0 is perfect; two maps that have nothing in common would have about 1.4.

# %% tags=["nbval-ignore-output"]
strip = torch.cat([large[i][0][:, 160:224] for i in range(4)], dim=-1)
shifts, strides = list(range(4, 33, 4)), {"C3": 8, "C4": 16, "C5": 32, "scores": 8}
errors = {
    title: receptive.shift_errors(network, strip, shifts, strides, margin=376)
    for title, network in (("a new network", net), ("after training", trained))
}
figures.shift_curves(shifts, errors)

# %%
print("shifts that move a map exactly:", receptive.exact_shifts(shifts, errors["a new network"]))
half = [receptive.side_with(0.5, each["all three maps"][0]) for each in (before, after)]
print("after training half of the gradient lies in a smaller square:", half[1] < half[0])
by_4, by_8 = errors["after training"]["scores"][:2]
print("after training, scores: a shift of 8 px does less harm than one of 4 px:", by_8 < by_4)

# %% [markdown]
# **Notice** that every map has its own step: C3 moves exactly with every 8 pixels, C4 with 16, C5 with 32. And the
# scores? They have a cell for 8 pixels, yet are exact only at **32**, the stride of the coarsest map that goes into
# them. At 8 pixels C3 has moved by one cell, but C4 by half a cell, and it cannot do that.
#
# A new network takes no care: its coarse maps at half a cell are something else altogether. Training mends it (mind the
# two scales). As objects turn up everywhere, the network learns to give nearly the same answer wherever they stand with
# regard to the coarse cells: with the longer training of [00](00_start_here.ipynb) the error of the scores falls
# to <!--record model.shift.8-->0.04<!--/record--> at 8 pixels, against <!--record model.shift.4-->0.21<!--/record--> at
# 4 (recorded on 23 November 2026). So "one cell per 8 pixels" is the architecture's at C3, and is *learned* for the
# rest.
#
# **Test two: where does a cell look?** `timm`'s Inception-ResNet-v2 is built as its authors built it, without padding
# at the border. Let us follow an image of 512 pixels through it, and then through our `Backbone`, which pads it. For C3
# we also take the middle of the receptive field, and compare it with the place where the anchors of the cell sit, once
# the map is stretched to the 64 cells that it should have.

# %%
with torch.device("meta"):
    as_it_comes = timm.create_model("inception_resnet_v2", features_only=True, out_indices=(2, 3, 4), pretrained=False)
    padded = backbones.Backbone("inception_resnet_v2")
for name, encoder in (("as it comes", as_it_comes), ("padded", padded)):
    cells, beside = receptive.beside_anchors(encoder.eval(), size=512)
    print(f"{name}: {cells} cells in a row;", end=" ")
    print(f"pixels beside the anchors, left, middle, right: {[round(x, 1) for x in beside.tolist()]}")

# %% [markdown]
# **Notice** 61, 30 and 14 instead of 64, 32 and 16. A decoder that stretches each map to the size it needs would take
# them: training would run, and the detector would be a little bad, without a message. For its cells at the left look 9
# pixels to the right of their anchors, and those at the right 14 to the left: more than one cell beside, and nowhere by
# the same amount. What one cell learns is wrong for another.
#
# With padding the error is the same everywhere, half a cell, and so can be learned once and for all. (All networks of
# padded 3 × 3 convolutions with stride 2 have it; for the light one and DarkNet-53 it is the same 3.5 pixels.)
# `pad_valid_convolutions` in `backbones.py` does it and leaves the weights what they are. And `Backbone` checks the
# size of its maps in every call, whichever network from `timm` you give it.
#
# ### One map or a pyramid?
#
# RetinaNet and YOLOv3 predict on several maps, large objects on coarse ones. There an anchor shape has to be assigned
# to a level *by hand*. How would our per-class anchors fall into levels? RetinaNet's rule of thumb: P3 for sides around
# 32 pixels, P4 around 64, P5 around 128.

# %%
side = shapes.prod(-1).sqrt()
level = (side / 32).log2().round().clamp(0, 2).long()
for name, per_level in zip(SCENE_CLASSES, torch.nn.functional.one_hot(level, 3).sum(1).tolist(), strict=True):
    print(f"{name.replace('_', ' '):14} anchors on P3, P4, P5: {per_level}")
cells = {8: 32 * 32, 16: 16 * 16, 32: 8 * 8}
pyramid = sum(int((level == k).sum()) * cells[8 << k] for k in range(3))
print(f"anchors of an image: {pyramid} on a pyramid, {level.numel() * cells[8]} on LapNet's one map")

# %% [markdown]
# **Notice** that most classes would be torn: an upright person belongs to P3 when far away and to P4 when near, and
# whether to use the root of the area, the height or the width is one more decision. LapNet needs none: one map, every
# anchor on it. The price stands in the last line: a pyramid has fewer anchors, as it lays large ones on coarse grids.
# (What the rule of levels also does, says the paper: it keeps large and small objects apart in training, and so
# balances them. In LapNet the anchor weights do that.)
#
# ## 8. Inference needs no balance weights
#
# The loss learns weights, too: 2 for the losses, and 2 for each class and anchor. Where are they when the detector is
# used?

# %%
weights = {name: p.numel() for name, p in criterion.named_parameters()}
print("learned in the loss:", weights)
print("names of the network's own numbers that the loss knows:", set(criterion.state_dict()) & set(net.state_dict()))
counted = study.anatomy("light", (256, 256), len(SCENE_CLASSES)).parameters
print(f"parameters of the network: {sum(p.numel() for p in net.parameters())}, counted for fig. 2: {counted}")

# %% [markdown]
# **Notice** the empty set. The weights live in `LapNetLoss` and in nothing else. The file of a trained detector keeps
# them, so that one can look at them; detection never does, and is as fast as that of a network that never had any.
# ([04](04_balance.ipynb) is about them.)
#
# ## 9. Exercises
#
# **Exercise 1. How many channels?** For PASCAL VOC, with 20 classes and ten anchors for each: how many channels have
# the last convolutions of the score head and of the offset head?
#
# <details><summary>Hint</summary>
#
# One score for every class and anchor. And four offsets for each.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# channels = (20 * 10, 20 * 10 * 4)
# ```
# </details>

# %%
channels = None  # (of the score head, of the offset head)

check("output_channels", channels, num_classes=20, per_class=10)

# %% [markdown]
# **Exercise 2. How far?** A cell of C3 of the light network sees 63 pixels, and neighbouring cells are 8 pixels apart.
# How many pixels does a cell see after four 3 × 3 convolutions with stride 1?
#
# <details><summary>Hint</summary>
#
# Use the recurrence of section 6 four times. What is $j$?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# seen = 63 + 4 * (3 - 1) * 8
# ```
# </details>

# %%
seen = None  # pixels

check("sees", seen, before=63, stride=8)

# %% [markdown]
# **Exercise 3. One more class.** How many MACs does LapNet on DarkNet-53 cost more at 512 pixels, if it has to know one
# class more? Its heads have 128 channels, the map has 64 × 64 cells, and every class brings ten anchors.
#
# <details><summary>Hint</summary>
#
# Only the two last convolutions change, and they are 1 × 1. How many output channels come to them, together?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# more = (10 + 10 * 4) * 128 * 64 * 64
# ```
#
# 26 million: a twentieth of one per cent.
# </details>

# %%
more = None  # MACs

check("one_more_class", more, num_classes=20, image_size=(512, 512))

# %% [markdown]
# ## Summary
#
# - **Image → C3, C4, C5 → P3, P4, P5 → four convolutions each → one map at stride 8 → two heads.** Channel
#   $cA + a$ of the scores is class $c$, anchor $a$; the offsets have four channels for each.
# - **Gradients** come back from the localisation loss through $\hat O$ to the offsets, from the classification loss to
#   the scores, and not through the labels.
# - **Costs** are in the backbone and the decoder. Resolution costs with its square, widths with theirs, a class next to
#   nothing.
# - **A cell can see** more than the whole image; it looks at a good part of it, mainly through the coarse maps.
# - **Stride 8** is exact by construction where padding is right. The scores move exactly with 32 pixels, and after
#   training nearly with 8.
#
# | what the paper says | what we saw |
# | --- | --- |
# | Four convolutions for each map, resized, concatenated, two heads (3.1, fig. 2). | Drawn from a run of ours. |
# | Channels and the kernel of the last convolution: nothing. | They are ours, and decide the speed. |
# | $N_C N_A$ score maps, $4 N_C N_A$ offset maps (3.1), feature stride 8 (4). | So it comes out, with all backbones. |
# | Back-propagation runs along the red arrows of fig. 4. | Measured: the same arrows, none through the labels. |
# | The same computing time as YOLOv3 with the same backbone (fig. 1). | 1.09 times the operations, by our widths. |
# | | Time on a GPU: **not measured**. |
# | No explicit assignment of anchors to levels (3.1). | True. It costs more anchors. |
# | The additional weights are not used at inference (abstract). | True: the network does not contain them. |
# | The architecture keeps objects at several resolutions, and context (3.1). | The coarse maps carry the wide field. |
# | | Whether mAP suffers without them: not tried. |
#
# **Where to go next.** Every notebook about the method is listed at the end of [00](00_start_here.ipynb). If you came
# here directly: [01](01_anchors.ipynb) says where the anchors come from, [02](02_pono.ipynb) what $O$
# is, [03](03_ambiguity.ipynb) what becomes of $P$, and [04](04_balance.ipynb) what the balance weights do.
