# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here: LapNet in one sitting
#
# **The question.** An object detector lays thousands of boxes, its *anchors*, over an image: which of them should
# answer for which object, and how does a network learn from objects that are rare, small or in each other's arms?
#
# That is what *LapNet* (Chabot, Pham and Chaouch, 2019) is about. After this notebook you will be able to
#
# - explain in two sentences why a fixed overlap threshold loses small objects, and how PONO (eq. 1) keeps them;
# - read off a picture which anchors are ambiguous, and say what AMS (eq. 3) does with them;
# - name the three terms of the loss (eqs. 5 to 7) and say why there is a weight for every class and anchor;
# - train a small LapNet yourself, look at its detections and judge them by their average precision.
#
# <!-- records: start.tiers -->
# | tier | `LAPNET_TIER` | what it trains | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | 640 drawn scenes at 160 px, 640 steps | 75 s (two cores) | 1.4 GB | nothing |
# | laptop | `laptop` | drawn scenes at 192 px, 1500 steps | about 6 minutes (estimate) | 1.5 GB (estimate) | nothing |
# | full | `full` | the paper's schedule on PASCAL VOC | days on 4 GPUs (not measured); see the end | | VOC |
# <!-- /records -->
#
# You need Python and an idea of what a convolutional network is. Run the cells from top to bottom (Shift+Enter).

# %%
import torch

from lapnet_core import anchors, assign, boxes, config, detector, evaluate, losses, method, model, train
from lapnet_core.data import collate, eval_transform, flatten_targets
from lapnet_core.scenes import SCENE_CLASSES, Scenes, render_situation
from lapnet_lab import gather, pictures, records, setup
from lapnet_lab.lessons.start import figures, panels, study
from lapnet_lab.lessons.start.exercises import check

lab = setup()
print(f"{len(SCENE_CLASSES)} classes: {', '.join(SCENE_CLASSES)}")

# %% [markdown]
# ## 1. A scene and its boxes
#
# So that everything runs offline, our images are drawn: street scenes, made from a seed. They have what makes
# detection hard in photographs, too: some classes are frequent and others rare, things far away are small, and people
# hide each other. Each object comes with a **box** $(x_1, y_1, x_2, y_2)$ in pixels and a **class**. That is all that
# a detector is taught with, and all that it has to find.

# %%
image, target = render_situation("street")
here, labels, _ = flatten_targets([target])  # boxes (G, 4), classes (G,); objects marked as too difficult are left out
print(study.counts(labels, SCENE_CLASSES))
pictures.draw_boxes(image, here, labels, SCENE_CLASSES)

# %% [markdown]
# **Notice** how unlike the boxes are: people are upright, the bicycles lie flat, and the farthest cars are no larger
# than the head of the person in front. Also notice how the boxes of one class overlap each other.
#
# ## 2. Anchors: a few typical shapes for each class
#
# A detector does not invent boxes from nothing. It starts from a few typical ones and corrects them. LapNet takes
# $N_A = 10$ shapes **for each class** (paper 3.1): k-means over the widths and heights of the class's objects, where
# two boxes are close if they overlap well. We do it for the objects of 300 scenes.

# %%
scenes = Scenes(300, size=(256, 256))
objects = gather.objects(scenes)  # boxes (G, 4), labels (G,), and the image that each of the G objects is in
sizes = gather.sizes(objects.boxes)  # (w, h) of each
print(f"{len(sizes)} objects:", study.counts(objects.labels, SCENE_CLASSES))

# %% [markdown]
# **Notice** the numbers: there are 20 people for every bus. We will come back to that. Now the shapes.

# %%
shapes = anchors.cluster_anchors(sizes, objects.labels, len(SCENE_CLASSES))  # ten (w, h) for each class
for name, fit in zip(SCENE_CLASSES, anchors.average_iou(sizes, objects.labels, shapes), strict=True):
    print(f"{name:14} with the best shape of ten, the mean IoU of its objects is {fit:.2f}")
pictures.anchor_shapes(shapes, SCENE_CLASSES)

# %% [markdown]
# **Notice** that the shapes are the class's own: narrow for people, wide for cars and buses, all small for traffic
# lights. Ten shapes shared by all classes could not do that.
#
# **IoU** is *intersection over union*: the area that two boxes share, divided by the area that they cover together.
# It is 1 for equal boxes and 0 for boxes that do not touch.
#
# ## 3. One anchor on one cell
#
# The network's output is a map with one **cell** for every 8 × 8 pixels. Each cell carries all anchors, centred on
# it. Let us lay three of the ten person shapes on one cell, and compare them with the person.

# %%
image, target = render_situation("tiny_object")
here, labels, _ = flatten_targets([target])
bird, person = 0, 1  # the two objects of this scene, in the order in which they are listed
cell = (20, 24)  # row, column
laid = anchors.anchor_boxes(shapes, (32, 32))[labels[person], [3, 6, 8], *cell]
ious = boxes.paired_iou(laid, here[person].expand(3, 4))
print("IoU of the three anchors with the person:", [round(iou, 2) for iou in ious.tolist()])
figures.one_anchor(image, cell, laid, ious, here[person], stride=8)

# %% [markdown]
# **Notice** that all three sit at the same place, almost in the person's middle, and that the overlap still runs from
# poor to good: the shape matters. No anchor has to fit perfectly, as the network returns four **offsets** $d_x, d_y,
# d_w, d_h$ for it, which move and stretch it. But it has to be told which anchors are worth the effort. A common rule
# says: those with IoU > 0.5. The paper calls this criterion **AO**, absolute overlap.
#
# ## 4. A grid of anchors, and whom it misses
#
# Now all cells at once. For every cell we show the best overlap among its ten anchors of the object's class: first
# for the person, then, magnified, for the little bird on the pavement.

# %%
ao = assign.assign(shapes, (32, 32), here, labels, overlap="ao")
best = [ao.overlap[0, labels[n]].amax(0) for n in (person, bird)]
positives = ao.positives().object_index.bincount(minlength=2).tolist()
for name, n, overlap in (("person", person, best[0]), ("bird", bird, best[1])):
    print(f"{name:7} best overlap {overlap.max():.2f}; anchors above 0.5: {positives[n]}")
titles = ("the scene", "overlap, person's anchors", "overlap, bird's anchors (magnified)")
figures.map_strip(image, best, titles, here, views=(None, None, (40, 90, 120, 170)))

# %% [markdown]
# **Notice** the bird's map: it never becomes bright. The anchors sit on a grid, 8 pixels apart, and a bird of 11 × 8
# pixels falls between them, or is covered by anchors too large for it. **Not one anchor has an overlap above 0.5, so
# under AO nobody is ever taught that this bird exists.** Training on a million such scenes would not help.
#
# Is that a rare accident? Let us ask all objects of our 300 scenes.

# %%
plain = assign.assign(shapes, (32, 32), *objects, len(scenes), overlap="ao")
missed = plain.positives().object_index.bincount(minlength=len(sizes)) == 0  # no anchor with an overlap above 0.5
print(f"{int(missed.sum())} of {len(missed)} objects have no positive anchor")
print("by class:", study.counts(objects.labels[missed], SCENE_CLASSES))

# %% [markdown]
# Frequent classes are among them and rare ones. What they have in common is something else:

# %%
edges = (8, 12, 16, 24, 32, 48, 256)
total, lost = study.by_side(sizes, missed, edges)
print("missed:", lost.tolist(), "of", total.tolist())
figures.missed_by_area(edges, total, lost)

# %% [markdown]
# **Notice** that it hits the small ones, and them hard: of the objects below 12 pixels about half are lost, of those
# above 24 next to none. Making the anchors denser would help, and cost time; lowering the threshold would call bad
# anchors of large objects good. The paper does neither.
#
# ## 5. PONO: measure every object by its own best anchor
#
# First, each anchor is given to the object of its class that it overlaps most. The anchors that belong to object
# $B_n$ are its **cluster** $\mathcal C_{B_n}$. Then the overlap is divided by the best one of the cluster (eq. 1):
#
# $$O(A, B_n) = \frac{\mathrm{IoU}(A, B_n)}{\max_{A' \in \mathcal C_{B_n}} \mathrm{IoU}(A', B_n)}
# \qquad \text{for } A \in \mathcal C_{B_n}$$
#
# This is the **Per-Object Normalised Overlap**. Whatever its size, an object's best anchor has $O = 1$. Here is fig.
# 3 of the paper, made with our own picture and the anchors of the class *person*.

# %%
crowd, target = scenes[23]
people, labels, _ = flatten_targets([target])
people, labels = people[labels == 0], labels[labels == 0]
plain, pono = (assign.assign(shapes, (32, 32), people, labels, overlap=kind) for kind in ("ao", "pono"))
print(f"{len(people)} people; largest overlap of each:", [round(peak, 2) for peak in plain.peaks.tolist()])
print("largest PONO of each:", pono.peaks.tolist())
some = anchors.anchor_boxes(shapes, (32, 32))[0, [2, 6], 4::8, 4::8]  # two of the ten shapes, on every eighth cell
figures.pono_story(crowd, people, some.flatten(0, 2), *study.pono_maps(plain, pono))

# %% [markdown]
# **Notice** three things. In (c) the clusters divide the picture among the people, and two who stand close together
# share a border. In (d) the brightness depends on how lucky an object is with the grid. In (e) every person has a
# star: an anchor with $O = 1$.
#
# So the rule $O > 0.5$ finds somebody for everybody. We ask the 300 scenes again, with nothing changed but the map.

# %%
normalised = assign.assign(shapes, (32, 32), *objects, len(scenes))  # overlap="pono" is the default
per_object = normalised.positives().object_index.bincount(minlength=len(sizes))
print(f"objects without a positive: AO {int(missed.sum())}, PONO {int((per_object == 0).sum())} of {len(sizes)}")
print(f"fewest positives of an object: {int(per_object.min())}; median {int(per_object.median())}")
print(f"objects whose cluster was empty: {int(normalised.rescued.sum())}")

# %% [markdown]
# **Notice** the last line. The paper says that no object is missed *by design*, and passes over one corner: where two
# boxes of a class are equal, the second has no anchor of its own, and its cluster is empty. `assign` counts such
# objects and gives each its best free anchor (`rescue=False` is the literal paper). Here it never happened; in real
# data sets it is about one object in a thousand.
#
# ## 6. Ambiguity: two people hugging
#
# PONO is generous, and that has a price. Here are two people in each other's arms. Each dot is the centre of an
# anchor with $O > 0.5$, coloured by the person to whom it was given.

# %%
hug, target = render_situation("two_people_hugging", seed=1)
pair, labels, _ = flatten_targets([target])
at = assign.assign(shapes, (32, 32), pair, labels).positives()
everyone = at.overlap > 0.5  # that is what `positives` are
print(f"the two boxes have an IoU of {boxes.paired_iou(pair[:1], pair[1:]).item():.2f}")
print("anchors with O > 0.5:", at.object_index.bincount().tolist())
panel = study.centers(at), at.object_index, everyone
figures.ambiguity(hug, pair, {"positives by O > 0.5, each person in a colour": panel})

# %% [markdown]
# **Notice** that where the colours meet they mix, some cells even have both (a circle beside a square): neighbouring
# anchors, of nearly the same place and shape, are asked to answer for different people. No network can obey that. It
# would have to return two different boxes for what looks the same.
#
# The paper lets the network say so itself, with its **Ambiguity Management Strategy** (AMS). Let $\hat O$ be the IoU
# of the *predicted* box with the object. An anchor's label is then (eq. 3)
#
# $$P = 1 \;\text{ if }\; O \cdot \hat O > 0.5, \qquad P = 0 \;\text{ otherwise.}$$
#
# If the network cannot fit an anchor to its object, $\hat O$ stays low, and the anchor is excused. A network that has
# not learned anything leaves all anchors where they are. Which of them would it keep?

# %%
untouched = boxes.decode(torch.zeros(len(everyone), 4), shapes[at.label, at.anchor], at.row, at.column)
fit = boxes.paired_iou(untouched, pair[at.object_index])  # Ô
kept = at.overlap * fit > 0.5  # P, eq. 3
assert torch.equal(kept, assign.ams_labels(at.overlap, fit))  # the library's
print(f"kept {int(kept.sum())} of {len(kept)}; of each person {at.object_index[kept].bincount().tolist()}")
labelled = {"positives by O > 0.5": everyone, "kept by O · Ô > 0.5": kept}
figures.ambiguity(hug, pair, {name: (study.centers(at), at.object_index, which) for name, which in labelled.items()})

# %% [markdown]
# **Notice** that the crosses, the anchors that are excused, lie all around; what stays are two tight groups near the
# middle of each box. As the network learns, $\hat O$ rises, and anchors come back, but only those that can be fitted.
# It is the picture of fig. 5 in the paper. (AMS is about training. The finished detector still has to tell two people
# with such boxes apart from one person found twice, and that is a limit of *every* detector that suppresses
# overlapping boxes.)
#
# ## 7. The loss, in three terms
#
# - **Localisation** (eqs. 2 and 5): $(1-\hat O)^2$, averaged over the $N^+$ anchors with $O > 0.5$.
# - **Classification** (eqs. 4 and 6): cross-entropy against $P$, averaged over *all* $N$ anchors. Nothing is sampled.
# - **Regularisation** (eq. 7): keeps the weights below from vanishing.
#
# And the balance: each of the first two has a weight $\lambda$ of its own, and inside it **one weight
# $\lambda^{c,a}$ for every class $c$ and anchor $a$**. All of them are *learned*, together with the network. A rare
# class or a small anchor is to be heard as well as a frequent and large one, without anybody tuning it by hand.

# %%
torch.manual_seed(0)
network = model.LapNet(len(SCENE_CLASSES))
criterion = losses.LapNetLoss(len(SCENE_CLASSES), per_class=10)
eight = Scenes(8, size=(128, 128), transform=eval_transform((128, 128)))
batch = collate([eight[i] for i in range(8)])
scores, offsets = network(batch.images)
print(f"scores {tuple(scores.shape)}, offsets {tuple(offsets.shape)}: image, class, anchor, (offset,) row, column")

# %%
terms = criterion(scores, offsets, shapes / 2, batch.targets)  # half the image, half the anchor
print(f"{terms.labels.numel()} anchors in a batch of 8; {len(terms.positives.flat)} with O > 0.5,")
print(f"of which AMS keeps {int(terms.labels.sum())} while nothing is learned")
print(f"total {terms.total:.2f} = loc {terms.loc:.3f} + cls {terms.cls:.4f} + reg {terms.reg:.2f}")
print(f"balance weights: {2 + sum(w.numel() for w in criterion.anchor_weights)}")

# %% [markdown]
# **Notice** the imbalance: one anchor in a hundred has anything to do with an object, and still fewer are labelled
# positive. Without weights the mass of empty background decides what is learned.
#
# ## 8. Train it
#
# Now all of this together, here and now. The network is small and starts from random numbers, the schedule is short.
# `train.train` calls `watch` after every step. What it shows you live: the two losses, which are *weighted* by what is
# being learned (so they need not fall), and the mean $\hat O$ of the positives, which is the one to watch. It should
# rise.

# %%
settings = lab.choose(config.tiny_scenes(), config.laptop_scenes())  # the command for "full" is at the end
# Drawing a scene takes as long as learning from it, so the tiny tier draws 640 and keeps them.
lesson = lab.choose(Scenes(640, size=settings.image_size, keep=True), None)  # None: what the settings name as data
test_scenes = Scenes(100, size=settings.image_size, split="test")
print(f"{settings.image_size[0]} px, {settings.steps} steps of {settings.batch_size} scenes, lr {settings.lr}")

# %% tags=["nbval-ignore-output"]
watch = panels.LiveLosses(settings.steps)  # after every step it notes what `method.progress()` tells
training = train.train(settings, lesson, save=False, progress=lab.progress, on_step=watch)
fits = [line["overlap"] for line in watch.log]
print(f"mean Ô of the positives: first {fits[0]:.2f}, last {fits[-1]:.2f}")

# %% [markdown]
# **Notice** the right panel: the boxes learn to fit their objects. From the losses alone you could not tell.
#
# (The losses hover around one, by the way, and that is the weights' doing: each λ grows until its term is about 1.)
#
# What has the network learned? Three test scenes, which it has never seen, before the first step and after the last
# one. They are picked by hand, because there is much to see in them, so do not judge by them: the next section measures
# on all hundred. *Before* is the same network with its starting numbers; we show its five most confident boxes.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(settings.seed)
untrained = method.LapNetMethod(model.LapNet(len(SCENE_CLASSES)), training.method.shapes)
beginner = detector.Detector(untrained, SCENE_CLASSES, settings.image_size)

# %% tags=["nbval-ignore-output"]
shown = [test_scenes[i] for i in (17, 36, 85)]
rows = {
    "before": [beginner.predict(image, score_threshold=0.0, max_detections=5) for image, _ in shown],
    "after": [training.detector.predict(image, score_threshold=0.25) for image, _ in shown],
    "annotated": [target for _, target in shown],
}
figures.gallery([image for image, _ in shown], rows, SCENE_CLASSES)

# %% [markdown]
# **Notice** what is found and what is not. In the recorded run the bus, the traffic lights and most of the cars are
# found, with boxes that fit; of the people only some; and the dog in the corner not at all. Where things overlap, some
# are missed. That is what a minute of training buys.
#
# ## 9. How good is it? Average precision
#
# Pictures persuade, so we also measure. **Average precision** (AP) of a class is the area under its precision-recall
# curve, where a detection counts as right if its IoU with an object is at least 0.5; **mAP** is the mean over the
# classes. 1 is perfect. The number in parentheses says on how many objects it was measured.

# %% tags=["nbval-ignore-output"]
predicted, truth, _ = training.detector.predict_dataset(test_scenes, progress=lab.progress)
result = evaluate.voc_map(predicted, truth, len(SCENE_CLASSES), class_names=SCENE_CLASSES)
print(f"mAP {result.mean_ap:.3f} on {len(test_scenes)} test scenes")
figures.precision_by_class(SCENE_CLASSES, result.ap, result.num_objects, f"mAP {result.mean_ap:.2f}")

# %%
recorded, band = records.value("start.map"), 0.10  # of the tiny tier
print(f"mean Ô of the positives has risen: {fits[-1] > fits[0]}")
if lab.tier == "tiny":
    print(f"mAP within {band} of the recorded run ({recorded}): {abs(result.mean_ap - recorded) <= band}")

# %% [markdown]
# **Notice** that AP does not follow the number of objects. Traffic lights and buses are rare and do well: they look
# alike, and the balance weights speak for them. People, by far the most frequent, are found badly: they stand in crowds
# and at all distances. Birds, which are small, and dogs, rare *and* of many looks, are hardly learned in so short a
# time.
#
# Two machines never train quite alike, since rounding differs and grows. So the last cell does not compare digits. It
# asks whether your run lies in the band of the recorded one. If it says `False`, something is wrong; please tell us.
#
# ## 10. What do the learned weights look like?
#
# Fig. 6 of the paper shows the anchor weights $\lambda^{c,a}$ against the area of the anchor. Here are ours. All
# started equal. Only their *relative* sizes mean something: multiply $\lambda$ by ten and divide every
# $\lambda^{c,a}$ by ten, and neither the loss nor eq. 7 changes. So we divide them by their geometric mean; 1 is the
# average weight.

# %% tags=["nbval-ignore-output"]
lam_loc, lam_cls = (weight / weight.log().mean().exp() for weight in training.method.criterion.anchor_weights)
weights = {"localisation, λ_loc relative to the mean": lam_loc, "classification, λ_cls relative to the mean": lam_cls}
print({title: f"{w.min():.2g} to {w.max():.2g}" for title, w in weights.items()})
figures.weights_vs_area(training.method.shapes, weights, SCENE_CLASSES)

# %% [markdown]
# **Notice** that the curves fall: small anchors have large weights. And the classes are apart: *person*, by far the
# most frequent, lies lowest; *bus* and *dog*, the rarest, lie high. Both is what the paper says of its fig. 6. Nobody
# told them so. At the balance of eqs. 5 to 7, $\lambda^{c,a}$ is one over the loss of its anchors, and who adds
# little to the loss is turned up.
#
# **An honest remark.** The paper's weights come from 120 000 steps, ours from a few hundred. We let them learn faster
# than the network (`balance_lr` and `loss_weight_lr` in the recipe), or they would hardly have moved. Read this as *the
# mechanism works*, not as a copy of fig. 6.
#
# ## 11. Exercises
#
# Replace `None`, run the cell, and it tells you how you did. Each takes a minute or two.
#
# **Exercise 1. Where does an anchor sit?** Cells are 8 × 8 pixels, and the first is number 0. What is the centre
# $(x, y)$, in pixels, of the cell in row 3 and column 5?
#
# <details><summary>Hint</summary>
#
# The middle of the first cell is at 4. Which of the two, row or column, tells you $x$?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# center = ((5 + 0.5) * 8, (3 + 0.5) * 8)
# ```
# </details>

# %%
center = None  # (x, y)

check("cell_center", center, row=3, column=5)

# %% [markdown]
# **Exercise 2. PONO by hand.** `ao.overlap` holds the plain overlaps of the scene with the little bird, and
# `ao.object_index` says to which object each anchor belongs; `bird` is the bird's number. Make the bird's map $O$:
# eq. 1 inside its cluster, 0 everywhere else.
#
# <details><summary>Hint</summary>
#
# `torch.where(condition, a, 0)` keeps `a` where the condition holds. The largest value of a tensor is `t.max()`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# overlap_of_bird = torch.where(ao.object_index == bird, ao.overlap, 0)
# pono_of_bird = overlap_of_bird / overlap_of_bird.max()
# ```
# </details>

# %%
both = flatten_targets([render_situation("tiny_object")[1]])
pono_of_bird = None  # a tensor of the shape of ao.overlap

check("pono", pono_of_bird, shapes=shapes, grid_size=(32, 32), boxes=both[0], labels=both[1], number=bird)

# %% [markdown]
# **Exercise 3. How good is good enough?** An anchor has $O = 0.8$. From which fit $\hat O$ on does AMS (eq. 3) keep
# it as a positive?
#
# <details><summary>Hint</summary>
#
# Write down eq. 3 with 0.8 in the place of $O$, as an equation.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# least = 0.5 / 0.8
# ```
#
# Only an anchor that fits its object to 62.5 % may say that it sees it. For the best anchor, $O = 1$, 50 % are
# enough.
# </details>

# %%
least = None

check("least_fit", least, overlap=0.8)

# %% [markdown]
# ## Summary
#
# - **Per-class anchors** are k-means over the sizes of each class's objects, laid on every cell.
# - **PONO** (eq. 1) divides each overlap by the best of the object's cluster, so that every object has an anchor with
#   $O = 1$. Absolute overlap lost 7 % of our objects; PONO lost none.
# - **AMS** (eq. 3) labels an anchor positive only if the network can fit it: $O \cdot \hat O > 0.5$.
# - **Balance weights** (eqs. 5 to 7), one for each class and anchor, are learned and then thrown away: the finished
#   detector does not need them.
#
# | what the paper says | what we saw |
# | --- | --- |
# | With AO, small objects may be missed by the label assignment (3.2). | 143 of 2114, nearly all below 24 px. |
# | With PONO no object is missed (3.2). | None of 2114. It takes a rescue where boxes are equal; that did not occur. |
# | AMS removes ambiguous anchors, and each object keeps a group (fig. 5). | Yes, already without any training. |
# | The loss needs no sampling (3.3). | True: every anchor is in the loss, and the network learns. |
# | Learned weights fall with the anchor's area and the class's frequency (fig. 6). | Both, after so short a training. |
# | PONO: <!--record paper.table_2a.pono.no.map-->81.1<!--/record--> % mAP (table 2a). | Not tried: the full schedule. |
#
# ## Where to go next
#
# The paper's own training on PASCAL VOC, for a machine with four GPUs (`lapnet data get` fetches the images):
#
# ```bash
# torchrun --nproc-per-node 4 -m lapnet_core.cli train --data voc
# ```
#
# The other notebooks. **Those marked with ☐ are not there yet.**
#
# | | notebook | its question |
# | --- | --- | --- |
# | ☑ | `00_start_here` | What is LapNet about? *(you are here)* |
# | ☑ | [01_anchors](01_anchors.ipynb) | How many shapes does a class need? |
# | ☑ | [02_pono](02_pono.ipynb) | What does PONO change, object by object, on real data sets? |
# | ☑ | [03_ambiguity](03_ambiguity.ipynb) | Which anchors does AMS excuse while a network learns? |
# | ☑ | [04_balance](04_balance.ipynb) | What do the learned weights do for rare and small objects? |
# | ☑ | [05_model](05_model.ipynb) | What happens between the image and the scores? |
# | ☐ | `06_detections` | How do scores become boxes, and boxes a mark? |
# | ☑ | [07_training](07_training.ipynb) | How does one train on one's own pictures, and what if it fails? |
# | ☑ | [08_weights](08_weights.ipynb) | Which weights does a training learn, and why do two of them rise without end? |
# | ☑ | [09_ablations](09_ablations.ipynb) | Which claims of the paper do we see again, and how sure is one? |
# | ☐ | `10_speed_accuracy` | What does LapNet cost, beside other detectors (fig. 1)? |
# | ☐ | `11_bug_hunt` | Something is wrong: where? |
