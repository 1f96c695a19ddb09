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
# - draw LapNet from memory (fig. 2 of the paper), and say which channel belongs to which class and anchor;
# - write the step from offsets to boxes, and say along which arrows gradients come back (fig. 4);
# - count operations, and tell which choices cost much and which cost nothing;
# - work out how far a cell can see, and measure how far it does look;
# - say why a stride of exactly 8 matters.
#
# <!-- records: model.tiers -->
# | tier | `LAPNET_TIER` | what it does | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | the light network, 150 steps; others by shape | 36 s (two cores) | 1.3 GB | nothing |
# | laptop | `laptop` | trains 1500 steps; times DarkNet-53, too | 8 minutes (estimate) | 2 GB (estimate) | nothing |
# | full | `full` | as laptop; the paper's own comparison of times needs a GPU | as laptop | as laptop | nothing |
# <!-- /records -->
#
# You should know what a convolution is, and have seen [00](00_start_here.ipynb).

# %%
import torch
from torch import Tensor

from lapnet_core import anchors, boxes, config, losses, model, train
from lapnet_core.data import collate, denormalize, eval_transform
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import Predict, gather, listed, mine, setup
from lapnet_lab.lessons.model import diagrams, figures, panels, receptive, study
from lapnet_lab.lessons.model.exercises import check

lab = setup()

# %% [markdown]
# ## 1. Fig. 2, drawn from the code
#
# We do not draw from memory. `study.anatomy` sends one image through a LapNet and notes at every joint what comes by.
# From left to right you will see:
#
# - The **backbone** shrinks the image to three maps: C3 has one cell for 8 × 8 pixels, C4 for 16 × 16, C5 for 32 × 32.
#   We say they have the **strides** 8, 16 and 32.
# - The **decoder** hands what the coarse maps know on to the finer ones.
# - Each map passes **four 3 × 3 convolutions**. (What they cost in a short training is told in [09](09_ablations.ipynb).)
#   Then all are resized to stride 8 and concatenated.
# - **Two heads** read the result: one returns $C A$ score maps, the other $4 C A$ offset maps.

# %% jupyter={"source_hidden": true}
Predict(
    "In the panel below: which control changes the operations, but not a single parameter?",
    ["the backbone", "the size of the image", "the number of classes", "the number of anchors"],
    answer=1,
    because="A convolution uses the same weights at every place; a larger image only has more places.",
)

# %%
panels.architecture_panel()

# %% [markdown]
# **Notice** in the state *DarkNet-53, as in the paper* that what is LapNet's own, the levels and the heads, is the
# small rest. Here are all three backbones at 512 pixels, for the 20 classes of PASCAL VOC.

# %%
for backbone in study.BACKBONES:
    found = study.anatomy(backbone, (512, 512), num_classes=20)
    maps = ", ".join(f"{name} {'×'.join(map(str, found.maps[name]))}" for name in ("C3", "C4", "C5"))
    share = sum(found.macs_by_part[part] for part in ("backbone", "decoder")) / found.macs
    print(f"{backbone:20}{found.parameters / 1e6:5.1f} M parameters; {maps}")
    print(f"{'':20}{found.macs / 1e9:5.1f} GMAC, {share:.0%} of them in backbone and decoder")

# %% [markdown]
# **Notice** that the maps have the same heights and widths for every backbone; only the channels differ. So anchors,
# assignment and losses need not know which one there is. (How many channels the levels and heads have, the paper does
# not say. Ours are a choice; section 5 asks what they cost.)
#
# ## 2. One scene on its way
#
# Now with numbers: a network that has just been made, and scenes at 256 pixels. (`update_bn` lets the batch
# normalisations see some images, as a first training step would.)

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
# **Notice** that the output is the largest of all: for every one of 71,680 anchors a score and four offsets. And this
# network has learned *nothing*, yet some channels of C3 let you guess the scene: random convolutions answer to edges,
# too.
#
# ## 3. The output: which channel is whose?
#
# The score head returns $C \cdot A$ channels, here $7 \cdot 10 = 70$. Channel $k$ belongs to class
# $c = \lfloor k / A \rfloor$ and anchor $a = k - cA$.

# %%
with torch.no_grad():
    channels = net.score_head(maps["fused"])[0]
same = torch.allclose(channels[36], maps["scores"][0, 3, 6])
print(f"{len(channels)} channels; number 36 is class 3, anchor 6: {same}")

# %% [markdown]
# An anchor is a box of fixed size on the middle of its cell. The four offsets move and stretch it (as in Faster
# R-CNN):
#
# $$x = x_a + d_x w_a, \quad y = y_a + d_y h_a, \quad w = w_a e^{d_w}, \quad h = h_a e^{d_h}.$$

# %%
# exercise: decode

# %%
found = gather.objects(Scenes(300, size=(256, 256)))
shapes = anchors.cluster_anchors(gather.sizes(found.boxes), found.labels, len(SCENE_CLASSES))
row, column = torch.arange(32).repeat_interleave(32), torch.arange(32).repeat(32)  # of every cell
places, sizes = (torch.stack([column, row], 1) + 0.5) * 8, shapes[3, 6].expand(1024, 2)
offsets = torch.randn(1024, 4, generator=torch.Generator().manual_seed(0))
predicted = mine.decode(offsets, torch.cat([places, sizes], 1))
torch.testing.assert_close(predicted, boxes.decode(offsets, sizes, row, column))
print(f"{len(predicted)} boxes of one class and anchor, as the library decodes them")

# %% jupyter={"source_hidden": true}
Predict(
    "In training, who tells the network which four offsets are right?",
    ["the object, encoded as four target numbers", "nobody", "the anchor that fits best"],
    answer=1,
    because="Only the IoU of the decoded box with the object, Ô, counts. The paper calls the offsets latent.",
)

# %% [markdown]
# **Play network.** The blue box is an object, the dashed one an anchor. Move the four sliders until the green box, your
# prediction, fits. You, too, see only $\hat O$. Can you reach <!--given-->0.9<!--/given-->?

# %%
box, shape, cell = study.first_positive(shapes, (32, 32), batch.targets[0])  # of the scene's largest object
panels.offset_panel(denormalize(batch.images[0]), box, shape, cell)

# %% [markdown]
# <details><summary>For the curious: the first loss</summary>
#
# Nearly all anchors contain nothing. So our network is born with that belief: the bias of the last convolution of the
# scores starts at a probability of `0.01`, which is RetinaNet's trick (the paper does not say how it starts). An anchor
# that rightly says so pays $-\ln 0.99 \approx 0.010$; one that says "maybe" pays $-\ln 0.5 \approx 0.69$. Without the
# trick the first steps would teach all anchors to be silent, and with much more force:
#
# ```python
# print(study.first_step(net, batch, shapes))
# print(study.first_step(study.with_score_bias(net, 0.0), batch, shapes))
# ```
# </details>
#
# ## 4. Fig. 4: one training step
#
# The same batch through the whole loss. In training the objects join in: they are assigned to anchors ($O$, eq. 1), the
# predicted boxes are compared with them ($\hat O$), and both together make the labels ($P$, eq. 3).

# %% jupyter={"source_hidden": true}
Predict(
    "The labels P depend on the predicted boxes. Where does the gradient of the classification loss arrive?",
    ["at the scores only", "at the offsets only", "at both"],
    answer=0,
    because="A label is a target. If gradients ran through P, a network could ease labels by spoiling boxes.",
)

# %%
criterion = losses.LapNetLoss(len(SCENE_CLASSES), 10)
scores, offsets = net(batch.images)
terms = criterion(scores, offsets, shapes, batch.targets)
routes = study.gradient_routes(terms, {"scores": scores, "offsets": offsets})
texts = study.flow_texts(batch.images, scores, offsets, shapes, terms)
print(texts["O"].replace("\n", "; "), "|", texts["P"].replace("\n", "; "))
print("a gradient flows:", listed({f"{loss} to {output}": norm > 0 for (loss, output), norm in routes.items()}))
diagrams.training_flow(texts, routes)

# %% [markdown]
# **Notice** the thick orange arrows (red in the paper): there a gradient was *measured*. The localisation loss reaches
# the offsets, through $\hat O$ and the decoded boxes; the classification loss reaches the scores, and no offset.
#
# ## 5. What does it cost?
#
# We count **MACs**, multiply-accumulates: one multiplication with its addition. Each output number of a convolution is
# a sum of (input channels × kernel height × kernel width) products, so
#
# $$\text{MACs} = C_\text{out} H W \cdot C_\text{in} k^2, \qquad \text{weights} = C_\text{out} \cdot C_\text{in} k^2 .$$
#
# A convolution on a large map costs much time and few parameters, one on many channels costs both. The light network,
# where it costs most:

# %%
with study.counting_macs(net) as macs, torch.no_grad():
    net(batch.images[:1])
layers = dict(net.named_modules())
for name in sorted(macs, key=macs.get, reverse=True)[:5]:
    weights = layers[name].weight
    print(f"{name:37}{macs[name] / 1e6:7.1f} MMAC{weights.numel():8} weights {list(weights.shape)}")
counted = study.anatomy("light", (256, 256), len(SCENE_CLASSES)).macs
print(f"{len(macs)} convolutions: {sum(macs.values()) / 1e6:.0f} MMAC; the counter of fig. 2: {counted / 1e6:.0f}")

# %% [markdown]
# **Notice** that the one in stage 1 has 9216 weights and costs as much as the one in stage 2 with 36,864. Parameters
# and time are different things.
#
# The paper claims that LapNet takes *the same computing time as YOLOv3* with the same backbone. We compare operations,
# also of four times as many classes:

# %% jupyter={"source_hidden": true}
Predict(
    "From 20 to 80 classes LapNet has four times as many anchors. By how much do its operations grow?",
    ["fourfold", "twofold", "by about a half", "by about 3 %"],
    answer=3,
    because="Only the last convolution of each head knows how many classes there are, and it is 1 × 1.",
)

# %%
looked, yolo = {name: study.anatomy(*asked) for name, asked in study.NETWORKS.items()}, study.yolov3_macs(512)
for name, each in looked.items():
    print(f"{name:33}{each.macs / 1e9:6.1f} GMAC, {each.macs / yolo:.2f} times YOLOv3-512")
rows = {name: each.macs_by_part for name, each in looked.items()}
diagrams.cost_bars(rows, ("YOLOv3 at 512 px, 80 classes", yolo), "operations by part")

# %% [markdown]
# **Notice** that LapNet-512 on DarkNet-53 costs 1.09 times as much as YOLOv3-512 (80 classes). That agrees with the
# claim, but there is a catch: the widths are ours, `model.WIDTHS`, chosen such that the claim comes true. The next
# panel starts with RetinaNet's habit, 256 channels everywhere. Which channels are dear, those of the levels or of the
# heads?

# %%
panels.width_panel()

# %% [markdown]
# **Notice** that a head at stride 8 is dear: eight 3 × 3 convolutions on the largest map, whose cost grows with the
# square of the channels.
#
# **Exercise 1. One more class.** *(4 minutes)* How many MACs does LapNet on DarkNet-53 cost more at 512 pixels, if it
# has to know one class more? Its heads have 128 channels, the map has 64 × 64 cells, and every class brings ten
# anchors. Two digits will do.
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
# `26e6`, a twentieth of one per cent of the whole.
# </details>

# %%
more = None  # MACs

check("one_more_class", more, num_classes=20, image_size=(512, 512))

# %% [markdown]
# ### Operations are not time
#
# So what does a clock say? The median of a few runs on your machine, at 512 pixels:

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
# **Notice** the last column: if time were operations, all rows would have the same rate. So 1.09 times the operations
# is *not* a measured time. The times of LapNet and YOLOv3 on DarkNet-53 were measured, too, one image of 512 px at a
# time: LapNet takes <!--record bench.yolov3_512.ratio-->1.09<!--/record--> times YOLOv3's on a processor,
# and <!--record gpu.yolov3_512.ratio-->1.26<!--/record--> times on a GPU. What a clock says of whole detectors, with
# their accuracy beside it, is told in [10_speed_accuracy](10_speed_accuracy.ipynb).
#
# ## 6. How far does a cell see?
#
# A 3 × 3 convolution sees three cells in a row, the next one on top sees five. The part of the image on which a cell
# depends is its **receptive field**. Walk along the layers with two numbers, the field $r$ and the distance $j$ between
# neighbouring cells, both 1 at first; a convolution with kernel $k$ and stride $s$ makes
#
# $$r \leftarrow r + (k - 1)\, j, \qquad j \leftarrow j\, s.$$

# %%
r = j = 1
for number, stage in enumerate(net.backbone.encoder.stages):
    for layer in stage.modules():
        if isinstance(layer, torch.nn.Conv2d):
            r, j = r + (layer.kernel_size[0] - 1) * j, j * layer.stride[0]
    print(f"stage {number}: a cell for {j:2} pixels sees {r:3} pixels", f"= C{number + 1}" if number >= 2 else "")
print(study.as_table({backbone: receptive.receptive_fields(backbone) for backbone in study.BACKBONES}))

# %% [markdown]
# **Notice** that a cell of the scores can see 719 pixels, and more with the paper's backbones: more than the whole
# image.
#
# **Exercise 2. How far?** *(3 minutes)* A cell of C3 of the light network sees 63 pixels, and neighbouring cells are 8
# pixels apart. How many pixels does a cell see after four 3 × 3 convolutions with stride 1?
#
# <details><summary>Hint</summary>
#
# Use the recurrence four times. What is $j$?
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
# But does it look? The **effective receptive field** asks how much each pixel really counts: the gradient of the
# central cell's scores with respect to it.

# %%
large = Scenes(4, size=(384, 384), transform=eval_transform((384, 384)))
views = torch.stack([large[i][0] for i in range(2)])
before = receptive.sight(net, views)
print("half of the gradient, in pixels:", listed({w: receptive.side_with(0.5, f) for w, (f, _) in before.items()}))
panels.receptive_panel(denormalize(views[0]), before, shapes * 1.5, SCENE_CLASSES)

# %% [markdown]
# **Notice** a hill, highest in the middle. A pixel at the edge of the square has one way to the cell, a pixel in the
# middle has thousands. In the state *C3 alone* half of the gradient lies in 64 pixels instead of 160, and the tallest
# person does not fit into what the cell can see. **The two coarse maps are there to look around.**

# %% jupyter={"source_hidden": true}
Predict(
    "What does a short training do to this hill?",
    ["it becomes wider: the network learns context", "it becomes narrower", "nothing: it is the architecture's"],
    answer=1,
    because="A new network looks everywhere: coarse maps lie over everything. It learns to look at its place.",
)

# %% tags=["nbval-ignore-output"]
short = config.tiny_scenes().with_options(image_size=(128, 128), steps=150)
settings = lab.choose(tiny=short, laptop=config.laptop_scenes())
lesson = Scenes(settings.steps, size=settings.image_size, keep=True)
trained = train.train(settings, lesson, save=False, progress=lab.progress).method.model
after = receptive.sight(trained, views)
print("half of the gradient, in pixels:", listed({w: receptive.side_with(0.5, f) for w, (f, _) in after.items()}))
panels.receptive_panel(denormalize(views[0]), after, shapes * 1.5, SCENE_CLASSES)

# %% [markdown]
# Recorded with the longer training of [00](00_start_here.ipynb): half of the gradient
# in <!--record model.half.after-->48<!--/record--> pixels instead
# of <!--record model.half.before-->160<!--/record-->. What the paper's long schedule does to it, we do not know.
#
# ## 7. Why a stride of exactly 8?
#
# Anchors are laid on a grid: cell $(i, j)$ has its centre at pixel $((j + 0.5) \cdot 8, (i + 0.5) \cdot 8)$. That makes
# sense only if the network treats all cells alike. If it does, a shifted image gives a shifted map. We shift a strip of
# scenes and compare. 0 is perfect.

# %% tags=["nbval-ignore-output"]
strip = torch.cat([large[i][0][:, 160:224] for i in range(4)], dim=-1)
shifts, strides = list(range(4, 33, 4)), {"C3": 8, "C4": 16, "C5": 32, "scores": 8}
errors = {
    title: receptive.shift_errors(network, strip, shifts, strides, margin=376)
    for title, network in (("a new network", net), ("after training", trained))
}
figures.shift_curves(shifts, errors)

# %%
exact = receptive.exact_shifts(shifts, errors["a new network"])
print("shifts that move a map exactly:", listed({name: ", ".join(map(str, by)) for name, by in exact.items()}))
half = [receptive.side_with(0.5, each["all three maps"][0]) for each in (before, after)]
print("after training half of the gradient lies in a smaller square:", half[1] < half[0])
by_4, by_8 = errors["after training"]["scores"][:2]
print("after training, scores: a shift of 8 px does less harm than one of 4 px:", by_8 < by_4)

# %% [markdown]
# **Notice** that the scores have a cell for 8 pixels, yet move exactly only with **32**, the stride of the coarsest map
# that goes into them. At 8 pixels C4 would have to move by half a cell, and it cannot. Training mends much of it,
# most at multiples of 8 pixels.
#
# <details><summary>For the curious: a library's padding can spoil it unnoticed</summary>
#
# `timm`'s Inception-ResNet-v2 has no padding at the border: from 512 pixels it makes `61, 30, 14` cells instead of
# `64, 32, 16`. Stretched to the size that a decoder needs, the cells at the left look to the right of their anchors and
# those at the right to the left. Training would run, and the detector would be a little bad, without a message. Our
# `Backbone` pads it, and checks the size of its maps in every call. This prints by how many pixels the cells of C3 look
# beside their anchors, at the left, in the middle and at the right:
#
# ```python
# import timm
# from lapnet_core import backbones
#
# name, maps_at = "inception_resnet_v2", (2, 3, 4)
# with torch.device("meta"):
#     as_it_comes = timm.create_model(name, features_only=True, out_indices=maps_at, pretrained=False)
#     padded = backbones.Backbone(name)
# for encoder in (as_it_comes, padded):
#     print(*receptive.beside_anchors(encoder.eval(), size=512))
# ```
# </details>
#
# ### One map or a pyramid?
#
# RetinaNet and YOLOv3 predict on several maps, large objects on coarse ones, and an anchor shape has to be assigned to
# a level *by hand*. How would our anchors fall, by RetinaNet's rule of thumb: P3 for sides around 32 pixels, P4 around
# 64, P5 around 128?

# %%
side = shapes.prod(-1).sqrt()
level = (side / 32).log2().round().clamp(0, 2).long()
for name, per_level in zip(SCENE_CLASSES, torch.nn.functional.one_hot(level, 3).sum(1).tolist(), strict=True):
    print(f"{name.replace('_', ' '):14} anchors on P3, P4, P5: {per_level}")
cells = {8: 32 * 32, 16: 16 * 16, 32: 8 * 8}
pyramid = sum(int((level == k).sum()) * cells[8 << k] for k in range(3))
print(f"anchors of an image: {pyramid} on a pyramid, {level.numel() * cells[8]} on LapNet's one map")

# %% [markdown]
# **Notice** that most classes would be torn. LapNet needs no rule: one map, every anchor on it. The price stands in the
# last line.
#
# ## 8. Inference needs no balance weights
#
# The loss learns weights, too ([04](04_balance.ipynb)). The network knows none of them:

# %%
weights = {name: p.numel() for name, p in criterion.named_parameters()}
print("learned in the loss:", listed(weights))
shared = set(criterion.state_dict()) & set(net.state_dict())
print("names of the network's own numbers that the loss knows:", ", ".join(shared) or "none")

# %% [markdown]
# ## Summary
#
# - **Image → C3, C4, C5 → P3, P4, P5 → four convolutions each → one map at stride 8 → two heads.** Channel
#   $cA + a$ of the scores is class $c$, anchor $a$.
# - **Gradients** come back through $\hat O$ to the offsets, and to the scores; none through the labels.
# - **Costs** of the paper's networks are in backbone and decoder. Resolution costs with its square, a class next to
#   nothing.
# - **A cell can see** more than the whole image, mainly through the coarse maps.
# - **Stride 8**: the scores move exactly with 32 pixels, and after training best by multiples of 8.
#
# | what the paper says | what we saw |
# | --- | --- |
# | Four convolutions for each map, resized, concatenated, two heads (3.1, fig. 2). | Drawn from a run of ours. |
# | Channels and the kernel of the last convolution: nothing. | They are ours, and decide the speed. |
# | $N_C N_A$ score maps, $4 N_C N_A$ offset maps (3.1), feature stride 8 (4). | So it comes out, with all backbones. |
# | Back-propagation runs along the red arrows of fig. 4. | Measured: the same arrows, none through the labels. |
# | The same computing time as YOLOv3 with the same backbone (fig. 1). | 1.09 times the operations; section 5 has measured times. |
# | No explicit assignment of anchors to levels (3.1). | True. It costs more anchors. |
# | The additional weights are not used at inference (abstract). | True: the network does not contain them. |
# | The architecture keeps objects at several resolutions, and context (3.1). | The coarse maps carry the wide field. |
