# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Detections: from scores to boxes, and to one number
#
# **The question.** When does a detector's output count as right, and how does one number come of it?
#
# The network of [05_model](05_model.ipynb) gives every anchor a score and four offsets. That is not yet a list of
# objects, and no table can be made of it. After this notebook you will be able to
#
# - choose a score threshold and a suppression threshold, and say what each costs;
# - decide by hand which detections are right, by the rules of VOC and of COCO;
# - compute an average precision, and tell VOC's two and COCO's one apart;
# - say which mistakes lower the mAP, and how far two mAPs must differ before you believe it.
#
# <!-- records: detections.tiers -->
# | tier | `LAPNET_TIER` | what it studies | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | a recorded detector on 40 drawn scenes | 40 s (one core) | 0.9 GB | nothing |
# | laptop, full | `laptop`, `full` | as `tiny`: nothing is trained here, no GPU is needed | | | |
# <!-- /records -->

# %%
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from lapnet_core import evaluate
from lapnet_core.evaluate import doubts
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab import Predict, aligned, mine, models, pictures, setup
from lapnet_lab.lessons.detections import figures, mistakes, panels, study
from lapnet_lab.lessons.detections.exercises import check

lab = setup()

# %% [markdown]
# ## 1. What comes out
#
# A small trained detector ships with the package. It has never seen this street. `predict` does everything at once:
# it drops low scores, suppresses doubles and returns boxes, scores and classes.

# %% tags=["nbval-ignore-output"]
scenes = study.recorded_scenes()
image, target = scenes[24]
shown = models.shipped("scenes").predict(image, score_threshold=0.7)
print(len(shown["scores"]), "boxes")
pictures.draw_boxes(image, shown["boxes"], shown["labels"], SCENE_CLASSES, shown["scores"])

# %% [markdown]
# The last digits of a network differ between processors. So from here on we use detections that were **recorded**: the
# same detector on 40 test scenes, before suppression. (One thinning was done to keep the file small: of two boxes of a
# class with an IoU above <!--given-->.8<!--/given--> only the better is there.) Everything that follows is exact.

# %%
raw, targets = study.recorded(), [scenes.target(k) for k in range(len(scenes))]
found = study.suppressed(raw)  # by the library; section 3 does it by hand
objects = study.counts(targets)  # of each class; difficult ones are left out
print(f"{len(raw)} scenes, {sum(objects)} objects; boxes: {sum(len(one['scores']) for one in raw)} recorded")
stages = [raw[24], found[24], study.above(found, 0.3)[24]]
print(f"scene 24: {' to '.join(str(len(one['scores'])) for one in stages)} boxes")
figures.steps(image, stages, ["recorded", "suppressed", "score .3"])

# %% [markdown]
# **Notice** the numbers above the pictures. There are 12 objects to be found in this scene. A whole cluster of anchors
# answers to each of them, since the training told all of them to (section 3.2 of the paper). Two steps make a list of
# it.
#
# ## 2. The score threshold
#
# The first step hides what has a low score. Move the threshold. Blue is right, orange a false alarm, dashed black is
# missed; how we decide that comes in section 4. On the right is every score of the scene.

# %%
panels.threshold_panel({k: scenes[k] for k in (24, 12, 34)}, found)

# %% [markdown]
# **Notice** the states *hide nothing* and *only the sure*. Between them no value is right: each false alarm that you
# hide may take an object with it. A threshold for a picture is a matter of taste. A number that judges a detector must
# not depend on it.
#
# ## 3. Non-maximum suppression
#
# The second step, **NMS**, removes second boxes of one object. Take the best box, remove every box *of its class* that
# overlaps it by more than a threshold, take the next. A person and a bicycle may share a place; two people may not.

# %%
# exercise: nms


# %%
def suppress(one, threshold=0.5):
    own = [(one["labels"] == label).nonzero().flatten() for label in range(len(SCENE_CLASSES))]
    return torch.cat([rows[mine.nms(one["boxes"][rows], one["scores"][rows], threshold)] for rows in own])


for one, library in zip(raw, found, strict=True):
    assert torch.equal(one["scores"][suppress(one)].sort(descending=True).values, library["scores"])
print(f"{sum(len(suppress(one)) for one in raw)} boxes stay, the same as by the library's batched_nms")

# %%
Predict(
    "People stand in a crowd. With which threshold of suppression are most of them found, and with which is the "
    "mAP of all scenes highest?",
    ["both with a low one, .3", "both with a high one, .8", "most are found with .8; the mAP is highest near .5"],
    answer=2,
    because="a high threshold spares neighbours, but also second boxes of one object, and those are false alarms.",
)

# %%
panels.suppression_panel(scenes[34], 34, raw, targets)

# %% [markdown]
# **Notice** the states from *strict* to *lax*. Objects that stand alone hardly care. Of those in a crowd, with an IoU
# of <!--given-->.3<!--/given--> or more with a neighbour of their class, many vanish under *strict*: NMS cannot tell a
# neighbour from a double. *Lax* finds them, and pays with doubles. (*Side by side* is an IoU
# of <!--given-->.1<!--/given--> to <!--given-->.3<!--/given-->; *found* is with a score of <!--given-->.3<!--/given--> or more.) The usual .5 is best for all scenes together, not for
# each.
#
# **Exercise 1. How close?** *(five minutes, with pencil)*. Two people of the same size stand side by side, and both
# boxes fit perfectly. How far apart must the boxes be, as a share of their width, so that NMS at .5 keeps both?
#
# <details><summary>Hint</summary>
#
# Two boxes of width $w$, displaced by $d$, share $w - d$ of their width, and together they are $w + d$ wide.
# </details>
# <details><summary>Solution</summary>
#
# $(w - d) / (w + d) = \tfrac12$ gives $2w - 2d = w + d$.
#
# ```python
# closest = 1 / 3
# ```
# </details>

# %%
closest = None  # a share of the width

check("closest", closest)

# %% [markdown]
# ## 4. Which detections are right?
#
# Detections of a class are taken by falling score. By VOC's rule each looks at the object that it overlaps **most**:
#
# - IoU below the threshold, usually .5: a false alarm;
# - the object is marked *difficult* (nearly hidden, or tiny): the detection is not counted at all;
# - the object was hit before: a **double**, and that is a false alarm;
# - else it is a **hit**.
#
# Objects without a hit are *missed*. Here are three objects and five detections, numbered by falling score.

# %%
things = torch.tensor([[0.0, 0, 40, 60], [60, 0, 100, 60], [120, 0, 160, 60]])
hard = torch.tensor([False, False, True])
five = torch.tensor([[2.0, 0, 42, 60], [-4, 2, 38, 62], [76, 0, 116, 60], [121, 3, 158, 60], [58, -3, 99, 60]])
overlaps = box_iou(five, things)
print(aligned({f"detection {d}: IoU": row for d, row in enumerate(overlaps.tolist())}, ".2f"))
figures.by_hand(things, hard, five, [0.95, 0.9, 0.8, 0.7, 0.6])

# %%
Predict(
    "How many of the five detections are hits?",
    ["one", "two", "three", "four"],
    answer=1,
    because="0 and 4. Number 1 is a double, number 2 lies too far off, and number 3, on a difficult object, is not "
    "counted.",
)

# %%
# exercise: match

# %%
right = mine.match(overlaps, 0.5)
ignored = hard[overlaps.argmax(1)] & (overlaps.amax(1) >= 0.5)
for d in range(len(five)):
    print(f"detection {d}:", "not counted" if ignored[d] else "hit" if right[d] else "false alarm")

# %% [markdown]
# COCO judges a little otherwise: a detection takes the best object that is still **free**, so that somebody's second
# box may hit the neighbour. And its *crowds* excuse whatever lies inside them.
#
# ## 5. Precision and recall
#
# Put the detections of a class, of all scenes, into one row by falling score. Cut it anywhere. **Precision** is the
# share of what you kept that is right. **Recall** is the share of all objects that you found.


# %%
def ranked(label: int, threshold: float = 0.5) -> tuple[Tensor, Tensor]:
    """(K,) scores, falling, and (K,) hits of a class, all scenes in one row."""
    parts = [study.of_class(*pair, label, threshold) for pair in zip(found, targets, strict=True)]
    scores = torch.cat([one.scores[~one.ignored] for one in parts])
    hits = torch.cat([mine.match(one.ious, threshold)[~one.ignored] for one in parts])
    order = scores.argsort(descending=True, stable=True)
    return scores[order], hits[order]


# %%
person = SCENE_CLASSES.index("person")
ranks, right = ranked(person)
precisions = right.cumsum(0) / torch.arange(1, len(right) + 1)  # of the best, of the best two, ...
recalls = right.cumsum(0) / objects[person]
for score in (0.9, 0.6, 0.3, 0.1):
    k = int((ranks >= score).sum()) - 1
    print(f"score {score}: {k + 1:3} boxes; precision {precisions[k]:.2f}, recall {recalls[k]:.2f}")

# %%
Predict(
    "You lower the score threshold step by step. What do precision and recall do?",
    ["recall rises, precision falls, always", "recall never falls, precision may rise at times", "both rise"],
    answer=1,
    because="one more box never takes a found object away. But it raises precision if it is a hit.",
)

# %%
panels.curve_panel(found, targets)

# %% [markdown]
# **Notice** the saw of the grey line: each hit lifts it, each false alarm lowers it. The blue line takes at every
# recall the best precision *there or beyond*. In the state *people, tight* a box has to fit with an IoU of .75, and
# the same detections are mostly false alarms. In the state *buses* there are few objects, and each is a big step.
#
# ## 6. Average precision
#
# The threshold is still a free choice. So take all of them: the **average precision** (AP) is the area under the
# curve. Its mean over the classes is the **mAP**, in which each class counts the same, however rare.

# %%
# exercise: average_precision

# %%
aps = [mine.average_precision(ranked(label)[1], objects[label]) for label in range(len(SCENE_CLASSES))]
print(", ".join(f"{name} {ap:.3f}" for name, ap in zip(SCENE_CLASSES, aps, strict=True)))
voc = evaluate.voc_map(found, targets, len(SCENE_CLASSES))
assert abs(np.mean(aps) - voc.mean_ap) < 1e-6
print(f"mAP {voc.mean_ap:.3f}, as evaluate.voc_map says")

# %% [markdown]
# That is VOC's AP since <!--given-->2010<!--/given-->. Before, and still in many tables for VOC 2007, it was the mean
# of the best precision at **11 points**, recall 0, .1, ..., 1. COCO takes **101 points**; it does so at ten IoU
# thresholds from .5 to .95, with its own matching, and takes the mean.


# %%
def at_points(ranking, points):
    """The mean of the best precision at each recall or beyond; 0 where that is not reached."""
    precision, recall = ranking.curve()
    return sum(float(precision[recall >= r].max()) for r in points if r <= recall[-1]) / len(points)


eleven = [at_points(study.ranking(found, targets, c), [k / 10 for k in range(11)]) for c in range(7)]
old = evaluate.voc_map(found, targets, 7, metric="11point")
assert abs(np.mean(eleven) - old.mean_ap) < 1e-6
print(f"mAP by area {voc.mean_ap:.3f}, by 11 points {old.mean_ap:.3f}")

# %%
points, thresholds = np.linspace(0, 1, 101), [k / 100 for k in range(50, 100, 5)]
by_iou = [np.mean([at_points(study.ranking(found, targets, c, iou, "coco"), points) for c in range(7)])
          for iou in thresholds]  # fmt: skip
coco = evaluate.coco_map_from_targets(found, targets, 7)
assert abs(np.mean(by_iou) - coco.ap) < 1e-6
print(", ".join(f"{iou}: {ap:.2f}" for iou, ap in zip(thresholds, by_iou, strict=True)))
print(f"COCO's AP, their mean: {coco.ap:.3f}")

# %% [markdown]
# **Notice** that one detector has three numbers. Two differ by .01, the third is far below: at an IoU of .95 next to
# nothing fits. A number without its metric says nothing.
#
# ## 7. What a mistake costs
#
# Every false alarm is of a kind: a **double**; a wrong **position** (right class, IoU between .1 and .5); a wrong
# **class**; or **background**. And there are objects that not even a wrong box is
# near: **missed** here. We repair one kind at a time, and
# measure again.

# %%
Predict(
    "Suppose that all boxes on background vanish. What does the mAP, now .711, gain?",
    ["about .02", "about .1", "about .25"],
    answer=0,
    because="most of them have low scores and stand at the end of the row, behind the hits. A false alarm costs "
    "what stands behind it.",
)

# %%
costs = mistakes.costs(found, targets)
for kind, cost in costs.items():
    print(f"{kind:11} {cost.count:4}; repaired: mAP {cost.gain:+.3f}")
figures.repairs(costs)

# %% [markdown]
# **Notice** that the number of mistakes says little about their cost. Wrong positions cost most, .069: repaired, many
# of them are hits. The 11 missed objects cost more than 926 boxes on background. (Repairs overlap, so do not add them
# up.)
#
# **Exercise 2. Hide first, then measure** *(five minutes)*. Somebody hides everything with a score below .3, because
# pictures look better, and measures the mAP of the rest. What does she get?
#
# <details><summary>Hint</summary>
#
# `study.above(found, 0.3)` hides. `evaluate.voc_map(...)` of section 6 measures; it has a `mean_ap`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# cut = evaluate.voc_map(study.above(found, 0.3), targets, 7).mean_ap
# ```
#
# That is <!--record detections.cut-->.676<!--/record-->: the curve ends where she cut it, and what lies beyond counts
# as 0.
# </details>

# %%
cut = None  # the mAP, between 0 and 1

check("cut", cut, found=found, targets=targets)

# %% [markdown]
# ## 8. How much of it is luck?
#
# Other scenes would have given another number. We draw 40 of the 40 scenes with replacement, 200 times
# (the *bootstrap*), and look where 95 % of the values lie.

# %%
spread = study.spreads(found, targets, replicates=200)
for name, one in spread.items():
    print(f"{name:13} {one.objects:3} objects: AP {one.ap:.2f}, 95 % of draws {one.low:.2f} to {one.high:.2f}")
figures.intervals(spread)

# %% [markdown]
# **Notice** *dog*: with 11 objects its AP may be nearly anything below one half. *Traffic light* has no bar at all, for
# all 13 were found in every draw; the bootstrap knows nothing of lights that it has not seen. And the mAP itself moves
# between .65 and .77. On <!--given-->300<!--/given--> scenes, these among them, the same detector
# has <!--record training.scenes_map-->.706<!--/record-->. A difference of .01 on 40 scenes is no difference; unless
# both detectors saw the *same* scenes: then draw for both at once, and look at the difference, as
# [09_ablations](09_ablations.ipynb) does.
#
# ## 9. Scores of different classes are not compared
#
# AP asks only for the *order*, and only within a class. So let us spoil the scores of one class.

# %%
Predict(
    "We divide all scores of traffic lights, the best class, by 20. What does the mAP do?",
    ["it falls by about .1", "it falls a little", "it stays as it is"],
    answer=2,
    because="the order within each class is the same, and no score of one class is ever compared with another's.",
)

# %%
lights = SCENE_CLASSES.index("traffic_light")
quiet = [{**one, "scores": one["scores"] / torch.where(one["labels"] == lights, 20, 1)} for one in found]
print(f"mAP {study.mean_ap(found, targets):.3f}, with the scores spoilt {study.mean_ap(quiet, targets):.3f}")
for name, every in (("before", found), ("after", quiet)):
    seen = sum(int((one["labels"] == lights).sum()) for one in study.above(every, 0.3))
    print(f"{name}: {seen} traffic lights are shown from a score of .3 on")

# %%
meaning = {name: study.precision_by_score(study.ranking(found, targets, c)) for c, name in enumerate(SCENE_CLASSES)}
for name, (*_, (some, share), _) in meaning.items():
    if some >= 10:
        print(f"{name}: {some} boxes with a score from .7 to .9, {share:.0%} of them right")
figures.meaning_of_scores(meaning)

# %% [markdown]
# **Notice** that the mAP is blind to what a user sees at once. The figure shows why one threshold for all classes is
# unfair: with a score between .7 and .9, 59 % of the people are right, and 20 % of the cars. A score is a rank, no
# probability (on the dotted line it would be one).
#
# ## 10. Photographs
#
# The other shipped detector knows people and five animals. If `LAPNET_DATA` names a folder with `voc_animals`, the
# next cell judges it on <!--record detections.photographs_images-->350<!--/record--> photographs that are new to it,
# in <!--record detections.photographs_time-->13<!--/record--> seconds of one core. Recorded were a mAP
# of <!--record detections.photographs_map-->.647<!--/record--> and a COCO AP
# of <!--record detections.photographs_coco-->.343<!--/record-->. The best class was *cat*,
# with <!--record detections.photographs_cat-->.86<!--/record-->, the worst *cow*,
# with <!--record detections.photographs_cow-->.50<!--/record-->: one number for six classes hides that.

# %% tags=["nbval-ignore-output"]
unseen = models.unseen_photographs(lab.data)
if unseen is None:
    print("no photographs here; LAPNET_DATA names a folder that has them")
else:
    animals = models.shipped("photographs").predict_dataset(unseen, progress=lab.progress)[:2]
    print(evaluate.voc_map(*animals, len(models.ANIMALS), class_names=models.ANIMALS))
    print(f"COCO's AP: {evaluate.coco_map_from_targets(*animals, len(models.ANIMALS)).ap:.3f}")

# %% [markdown]
# ## 11. When the truth has gaps
#
# AP believes the annotations. People make them, and people overlook things. Let us forget one object in five, while
# the detections stay as they are. Does the mAP, now .711, rise, since there is less to miss, or does it fall? Then we
# turn it round: who contradicts the truth *and is sure* deserves a second look.

# %%
gappy, forgotten = study.forgetful(targets, share=0.2, seed=0)
print(f"{sum(len(boxes) for boxes in forgotten)} objects forgotten: mAP {study.mean_ap(found, gappy):.3f}")
doubted = [one for one in doubts.doubts(found, gappy, 7, sure=0.7) if one.annotated is None]
again = study.found_again(doubted, forgotten)
print(f"{len(doubted)} boxes from .7 on lie on no object; {again} of them on a forgotten one")
one = doubted[0]
pictures.draw_boxes(scenes[one.image][0], one.box[None], [one.label], SCENE_CLASSES, [one.score])

# %% [markdown]
# **Notice** that it falls: who is forgotten and found all the same is a false alarm now, and one at the head of the
# row. And the detector finds what we forgot, without being told that anything is missing. Real data are like this. On
# the <!--given-->72<!--/given--> test images of BCCD, blood cells, our
# detector has <!--record bccd.overlooked-->318<!--/record--> sure boxes on no annotated cell, most of them on cells;
# without these its mAP would be <!--record bccd.map_without-->.943<!--/record--> in place
# of <!--record bccd.pretrained_map-->.884<!--/record-->. Before you improve a detector, look at its doubts:
# `lapnet evaluate RUN --data FOLDER --doubts doubts.png`.
#
# ## Summary
#
# - **Score threshold** and **NMS** make a list of thousands of anchors. NMS costs neighbours of one class.
# - A detection is **right** if the object that it overlaps most is free and fits. A double is a false alarm.
# - **AP** is the area under precision over recall: all thresholds at once, one class. **mAP** is the mean of classes.
# - VOC's area, VOC's 11 points and COCO's mean over IoUs are different numbers.
# - A mistake costs by its **rank**, not by its being one. Few objects make a noisy AP, and forgotten ones a low one.
#
# | what the paper says | what we saw |
# | --- | --- |
# | Boxes are filtered using non-maximum suppression (3.1). | Its threshold is not told; it decides about crowds. |
# | Table 1 is mAP on VOC 2007, table 3 AP on COCO. | Not comparable: one detector has .711 and .438 (section 6). |
# | PONO instead of AO gains mAP (table 2a). | So small a gain would be lost in the noise of our scenes (section 8). |
#
# Next: how the scores come to be. [07_training](07_training.ipynb).
