# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training: from pictures to a detector
#
# **The question.** How does one train a detector on one's own pictures, and how does one see, while it still runs,
# whether it will be any good?
#
# After this notebook you will be able to
#
# - train LapNet on drawn scenes, VOC, COCO or your own photographs, by changing one variable;
# - read the log, and say which of its numbers tell something;
# - choose the best model by validation, and end a training in time;
# - tell four ways to fail apart by their curves, and say what helps.
#
# <!-- records: training.tiers -->
# | tier | `LAPNET_TIER` | what it trains | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | scenes at 96 px, 200 steps; a shipped detector | 67 s (two cores) | 1 GB | 20 MB |
# | laptop | `laptop` | the preset of the data; scenes: 1500 steps | 8 minutes (estimate) | 1.5 GB (estimate) | 20 MB |
# | full | `full` | as laptop; for VOC and COCO the paper's schedule | days on GPUs (not measured) | | VOC, COCO |
# <!-- /records -->
#
# You should have seen [00](00_start_here.ipynb) for the terms of the loss, and [06](06_detections.ipynb) for average
# precision.

# %%
import tempfile
from pathlib import Path

from IPython.display import display

from lapnet_core import config, evaluate, train
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.step import learning_rate as library_rate
from lapnet_lab import Predict, gather, listed, mine, models, records, setup
from lapnet_lab.lessons.training import failures, figures, panels, study
from lapnet_lab.lessons.training.exercises import check

lab = setup()

# %% [markdown]
# ## 1. First the end: what a trained detector does
#
# Two small trained detectors come with the package. `models.shipped("scenes")` was trained on drawn street scenes, from
# random numbers in <!--record training.scenes_steps-->2200<!--/record--> steps. Here are three test scenes that it has
# never seen:

# %%
ready = models.shipped("scenes")
scenes = Scenes(100, size=ready.image_size, split="test", keep=True)
shown = {i: scenes[i] for i in (17, 36, 85)}  # picked by hand: there is much to see in them
found = {i: ready.predict(image, score_threshold=0.4) for i, (image, _) in shown.items()}
marks = {i: study.hits(found[i], target) for i, (_, target) in shown.items()}
titles = [f"scene {i}: {m.found} of {m.objects} found, {m.false} false" for i, m in marks.items()]
print("\n".join(titles))
figures.with_boxes([image for image, _ in shown.values()], list(found.values()), SCENE_CLASSES, titles)

# %% [markdown]
# **Notice** where things are missed or found twice: where objects stand in each other's way. Now its mAP (at IoU 0.5)
# on a hundred test scenes, and the classes that it knows well:

# %%
predicted, truth, _ = ready.predict_dataset(scenes, progress=lab.progress)
result = evaluate.voc_map(predicted, truth, len(SCENE_CLASSES), class_names=SCENE_CLASSES)
recorded = records.value("training.scenes_map_100")
print(f"mAP on 100 test scenes is {recorded}, as recorded: {abs(result.mean_ap - recorded) < 0.005}")
above = [name for name, ap in zip(SCENE_CLASSES, result.ap, strict=True) if ap > 0.5]
print(f"AP above .5: {', '.join(above)}; below: {', '.join(name for name in SCENE_CLASSES if name not in above)}")

# %% [markdown]
# The other one, `models.shipped("photographs")`, knows people and five animals. It was trained on photographs of
# PASCAL VOC, with a backbone that had learned on ImageNet. If `LAPNET_DATA` names a folder with `voc_animals`, you see
# three that are new to it.

# %% tags=["nbval-ignore-output"]
photographs = models.unseen_photographs(lab.data)  # None where there are none
if photographs is not None:
    animals = models.shipped("photographs")
    three = [photographs[i][0] for i in (46, 56, 6)]  # picked by hand: a rider, children, a herd
    seen = [animals.predict(image, score_threshold=0.4) for image in three]
    display(figures.with_boxes(three, seen, animals.class_names, [f"{len(each['boxes'])} found" for each in seen]))
print("photographs are there" if photographs is not None else "LAPNET_DATA holds no voc_animals: nothing to show")

# %% [markdown]
# Its mAP (AP50, as it asks for an IoU of <!--given-->.5<!--/given-->) on <!--record training.photographs_test_images-->900<!--/record--> test photographs
# is <!--record training.photographs_ap50-->.64<!--/record-->,
# after <!--record training.photographs_time-->39<!--/record--> minutes of one core.
#
# ## 2. One variable says what is trained on
#
# | `data =` | what it is | where it comes from |
# | --- | --- | --- |
# | `"scenes"` | drawn street scenes, 7 classes | they are drawn here, offline |
# | `"bccd"` | blood cells under a microscope, 3 classes | a folder `bccd` in `LAPNET_DATA` |
# | `"voc"`, `"coco"` | the paper's data, <!--given-->20 and 80 classes<!--/given--> | `lapnet data get`, gigabytes |
# | `"path/to/folder"` | **your own photographs** | annotations of VOC, COCO, YOLO and others; told apart by itself |
#
# `study.plan` takes the preset of the data, in the tiny tier cut down to seconds. To train on something else, change
# the first line and run all cells.

# %%
data = "scenes"  # or "bccd", "voc", "coco", or the path of your folder
run_folder = Path(tempfile.mkdtemp()) / "run"  # `lapnet train` writes to runs/ instead
settings = study.plan(data, lab.tier, run_folder)
dataset, held_out = study.open_images(settings, lab.tier)
print(f"{len(dataset)} images to train on, {len(held_out or ())} to validate; {len(dataset.class_names)} classes")
print(f"{settings.image_size[0]} px, {settings.steps} steps of {settings.batch_size}, lr {settings.lr}")

# %% [markdown]
# ### Look at the data first
#
# Most trainings that fail have failed here. Are all objects annotated, and right? How small are they *in the network's
# input*, which is where it counts?

# %%
objects = gather.objects(dataset, min(100, len(dataset)), settings.image_size)
sides = gather.sizes(objects.boxes).prod(-1).sqrt()
counts = objects.labels.bincount(minlength=len(dataset.class_names)).tolist()
print(listed(dict(zip(dataset.class_names, counts, strict=True))))
print(f"side in pixels: smallest {sides.min():.0f}, median {sides.median():.0f}, largest {sides.max():.0f}")
images, targets = zip(*(dataset[i] for i in range(min(4, len(dataset)))), strict=True)
figures.with_boxes(images, targets, dataset.class_names, ["annotated"] * len(images))

# %% [markdown]
# **Notice** that most objects are small: one of `8 × 8` pixels covers a single cell of the output. If they matter,
# raise `image_size` before anything else. In a folder of yours this finds every faulty box, and names its file:
#
# ```bash
# lapnet data check path/to/folder
# ```
#
# ## 3. The recipe
#
# These settings decide:
#
# | setting | what it does | how to choose it |
# | --- | --- | --- |
# | `weights="imagenet"` | the backbone has learned to see before | **yes**, for photographs: worth more than the rest |
# | `image_size` | how large objects are for the network | as large as your patience allows |
# | `steps`, `batch_size` | how often it looks | the more steps the better, until validation says otherwise |
# | `lr` | how far a step goes | the largest that does not diverge; try a few, each three times the last |
# | `warmup`, `clip_norm` | keep the first steps from doing harm | with pretrained weights: a few dozen steps, and 10 |
#
# Large steps find the region, small ones settle in it. So the paper lets the learning rate fall: in step $t$ of $T$ it
# is $\eta_0 (1 - t/T)^{0.9}$.

# %%
# exercise: learning_rate

# %% [markdown]
# The library has one factor more, a *warm-up*: in the first $w$ steps it multiplies the rate with $(t+1)/w$.

# %%
for k in range(settings.steps):
    own = mine.learning_rate(k, settings.steps, settings.lr, settings.power)
    warm = min(1.0, (k + 1) / settings.warmup) if settings.warmup else 1.0
    assert abs(own * warm - library_rate(settings, k)) < 1e-6 * settings.lr  # float32 is right, too
print(f"the library's rate, in all {settings.steps} steps")

# %%
warming = settings.with_options(warmup=settings.steps // 5)
straight = settings.with_options(power=1.0)
constant = settings.with_options(power=0.0)
figures.schedules({"as planned": settings, "with a warm-up": warming, "power 1": straight, "constant": constant})

# %% [markdown]
# **Notice** that what matters is that the rate *ends at zero*. So **a training of 1000 steps is not the first half of
# one of 2000**: to know what more steps give, start anew.
#
# ## 4. Train, and watch
#
# The next cell trains for about a minute. It draws the losses, the mean fit $\hat O$ of the positives (the IoU of
# the predicted boxes with their objects), the mAP of each validation, and the surest boxes on a picture that it does
# not train on.

# %%
Predict(
    "After these few steps from random numbers, what is the mAP on pictures that it does not train on?",
    ["next to nothing", "about half of a good detector's", "close to a good detector's"],
    answer=0,
    because="boxes come to lie on objects long before the scores mean anything. mAP wants the right class, an "
    "IoU of .5, and right boxes that are surer than wrong ones.",
)

# %% tags=["nbval-ignore-output"]
others = held_out or dataset
picture = others[min(1, len(others) - 1)][0]
watch = panels.LiveTraining(settings, picture, dataset.class_names)
training = train.train(settings, dataset, val_dataset=held_out, progress=lab.progress, on_step=watch)
watch.draw()  # with the validation after the last step
fits = [line["predicted_iou"] for line in watch.log]
first, last = (sum(part) / len(part) for part in (fits[:20], fits[-20:]))
print(f"mean Ô over the first 20 steps {first:.3f}, over the last {last:.3f}; {training.seconds:.0f} s")

# %%
print(f"the boxes fit better than at first: {last > first}")
if lab.tier == "tiny" and data == "scenes":
    recorded = records.value("training.live_fit")
    print(f"mean Ô at the end within .04 of the recorded run ({recorded}): {abs(last - recorded) <= 0.04}")
print(", ".join(sorted(path.name for path in run_folder.iterdir() if not path.name.startswith("."))))

# %% [markdown]
# The last line lists the folder of the run: log, anchors, two checkpoints from which it goes on (`--resume`), the
# finished detector, `model.safetensors`, and the best one by validation.
#
# ## 5. What the log says
#
# Now to the long training of the shipped detector, which ended well. In all charts, hover for numbers, drag to zoom,
# double-click to zoom out, and click on a name in the legend to hide its curve.

# %%
Predict(
    "Training minimises the loss. What did its localisation and classification losses do from first step to last?",
    ["they fell close to 0", "they fell a little, and stayed", "they rose, and stayed"],
    answer=2,
    because="each is multiplied by a weight λ, which is learned too. λ grows until its term is about 1: whatever "
    "the network gains, the weight takes back.",
)

# %%
log = study.runs("scenes")["scenes"]
figures.curves(log, figures.LOSSES, "the training of the shipped detector")

# %% [markdown]
# The losses tell nothing, then. $\hat O$ is not weighted, and so it is honest. Every number of a line:
#
# | number | what it is | what to look for |
# | --- | --- | --- |
# | `total` | the next three together | nothing: it may be negative |
# | `loc`, `cls` | localisation and classification loss (eqs. 5, 6), *weighted* | that they are finite |
# | `reg` | regularisation (eq. 7); it keeps the weights from vanishing | nothing |
# | `predicted_iou` | mean $\hat O$ over the positives | **that it rises** |
# | `lam_loc`, `lam_cls` | the two learned loss weights | that they come to rest |
# | `objects` | annotated objects in the batch | that there are some |
# | `positives_loc` | anchors with $O > 0.5$ | **ten or more an object; never 0** |
# | `positives_cls` | those that AMS leaves; without AMS the same | that it does not sink to 0 |
# | `rescued` | objects whose cluster was empty (notebook 02) | that it is rare |
# | `lr`, `seconds` | the learning rate; the time since the start | |
# | `val_map` | mAP of a validation, on a line of its own | **that it rises; it is the one that counts** |

# %%
figures.curves(log, figures.WEIGHTS, "the two loss weights", log_scale=True)

# %% [markdown]
# **Notice** that the weights rise more and more slowly: they are about one over losses that shrink. (The rule of this
# run, `steady`, is ours. With the paper's `learned` they rise without end: [08](08_weights.ipynb) shows why.)
#
# ## 6. How detections improve
#
# The same training, seen from the three pictures of section 1.

# %%
Predict(
    "At step 250 it finds 17 of the 28 objects (scores from .30 on). What do the other 1,950 steps change most?",
    ["they find the objects that are missing", "they take false boxes away", "nothing much: it is nearly done"],
    answer=1,
    because="eight more objects are found, and 86 false boxes fewer are drawn. A detector proposes from early on; "
    "training teaches it which of its proposals deserve a score.",
)

# %%
images, targets = ({i: shown[i][k] for i in shown} for k in (0, 1))
grown = panels.growth_panel(study.snapshots(), images, targets, SCENE_CLASSES)
for k in (250, 1000, 2200):
    marks = grown.compute(k, 0.3)["marks"]
    found, false = sum(m.found for m in marks), sum(m.false for m in marks)
    print(f"step {k}: {found} of {sum(m.objects for m in marks)} found, {false} false")
grown

# %% [markdown]
# Go through the states, *first look*, *halfway*, *after training*. Then set *score from* to its least: many boxes come
# back, at *every* step.
#
# ## 7. The best model, and when to stop
#
# Losses cannot tell which model is best, so we measure: `val_every=200` stops every 200 steps, measures mAP on `val`,
# and keeps the best model so far. **Never on `test`**: whoever chooses by a number can no longer report it.
# `patience=2` ends the training after two validations in a row that brought nothing better.
#
# **Exercise 1. Write the patience** *(●●○, 10 minutes)*. Given the results of the validations, say how many are made,
# and which is the best of them.
#
# <details><summary>Hint</summary>
#
# Go through `maps` with two variables: the number of the best so far, and how many have come since.
# </details>
# <details><summary>Second hint</summary>
#
# Only `>` is better. Ask for the end *after* counting, and only where `patience` is not 0.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def stops(maps, patience):
#     best, stale = 0, 0
#     for k in range(1, len(maps)):
#         best, stale = (k, 0) if maps[k] > maps[best] else (best, stale + 1)
#         if patience and stale == patience:
#             return k + 1, best
#     return len(maps), best
# ```
# </details>


# %%
def stops(maps, patience):
    """Where patience ends a training.

    maps: list of floats, the mAP of each validation, were none left out; at least one
    patience: it ends after so many in a row that brought nothing better (equal is not better); 0 never ends it
    returns: (how many validations are made, the number of the best one of them, from 0)
    """
    ...


check("patience", stops)

# %% [markdown]
# Where would it have ended the shipped detector's training? And another one, on only 24 scenes, to which section 8
# comes back?

# %%
by_heart = study.runs("failures")["overfitting"]  # the run on 24 scenes
named = {"the shipped detector": log, "24 scenes alone": by_heart}
named = {name: study.column(lines, "val_map") for name, lines in named.items()}
ends = {f"patience 2, {name}": study.stop(*curve, 2) for name, curve in named.items()}
for name, stop in ends.items():
    print(f"{name}: ends at step {stop.ended}; best mAP {stop.val_map:.3f}, at step {stop.best}")
figures.map_chart(named, ends)

# %% [markdown]
# **Notice** that the first curve rises to its end: even from step 1800 on, with tiny steps, it goes
# from <!--record training.scenes_val_1800-->.637<!--/record-->
# to <!--record training.scenes_val_map-->.699<!--/record-->. The second is ended early: that is what patience is for.
# But **an early end is not a finished training**: it never gets the small steps. So choose `steps` first; `patience=3`
# guards against wasted nights.
#
# ### An average of the weights
#
# Noise throws the weights about. `--ema .999` validates and keeps their **moving average** instead, after each step
# $\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta$: a memory of about $1/(1 - d)$ steps. A toy: noisy gradients
# pull one weight from 0 to 1. **Which $d$ brings the average nearest to 1? Does it help where the rate falls to zero?**
# Guess first.

# %%
panels.average_panel()

# %% [markdown]
# **Notice** the state *long memory*: the average still remembers its start. So the library's $d$ is at most
# $(1 + t) / (10 + t)$ in step $t$. In the state *falling rate* the weight comes to rest by itself: hence there is no
# average unless you ask for one.
#
# ## 8. When it fails
#
# Four failures, each made on purpose (`failures.CASES`), each with its own signature in the log.
#
# ### It diverges
#
# The learning rate is far too high.

# %%
lines, _ = failures.run("rate", steps=12)
_, fit = study.column(lines, "predicted_iou")
_, loss = study.column(lines, "cls")
print(f"Ô fell to less than half of what an untrained network has: {fit[-1] < fit[0] / 2}")
print(f"the classification loss rose to more than ten times the first: {max(loss) > 10 * loss[0]}")

# %% [markdown]
# **Notice** that no error was raised: only a loss that is *not finite* ends a training with a message.
#
# ### There is nothing to learn from
#
# The anchors were made in pixels of photographs sixteen times as large, a mistake that is quickly made.

# %%
Predict(
    "All anchors are sixteen times too large. How many positives does PONO give?",
    ["none: there is nothing that fits", "fewer than with the right anchors", "more than with the right anchors"],
    answer=2,
    because="PONO divides by the best anchor's IoU, however bad. A huge anchor overlaps its object equally badly "
    "from everywhere, so the smallest shapes pass .5 nearly everywhere. AO shows 0 at once.",
)

# %%
for scale in (1, 16):
    with failures.anchors_of(dataset, settings.image_size, scale) as file:
        for overlap in ("ao", "pono"):
            count, positives = failures.positives(dataset, settings, file, overlap)
            print(f"anchors × {scale:2}, {overlap:4}: {count} objects, {positives} positives")

# %% [markdown]
# **Notice** that PONO *hides* this mistake. In the log `predicted_iou` begins very low.
#
# ### mAP stays at 0
#
# Ô rises, and every validation says 0. Then the *measurement* speaks of something else. The shipped detector of section
# 1 again, measured with three mistakes that people make:

# %%
for name, targets in failures.mistakes(truth, len(SCENE_CLASSES), ready.image_size[0]).items():
    measured = evaluate.voc_map(predicted, targets, len(SCENE_CLASSES)).mean_ap
    same, little = measured == result.mean_ap, measured < result.mean_ap / 10
    print(f"{name:26} the same mAP: {same}; less than a tenth of it: {little}")

# %% [markdown]
# Draw the annotations of `val` *and* the detections on one picture: all of these mistakes are seen at a glance.
#
# ### It learns by heart
#
# 24 scenes, always the same, many times over. mAP is measured on these 24 and on 100 others.

# %%
known, unknown = (study.column(by_heart, name) for name in ("train_map", "val_map"))
figures.map_chart({"on the 24 scenes that it trains on": known, "on 100 others": unknown})

# %% [markdown]
# **Notice** the gap. Had we looked at the training pictures alone, we would be proud. All four in one table, and
# a training that is merely slow:
#
# | symptom | probable cause | what helps |
# | --- | --- | --- |
# | the loss is not finite, or Ô falls | rate too high | `lr / 3`, `clip_norm`, `warmup` |
# | `positives_loc` is 0, or Ô begins very low | anchors in other pixels | leave `--anchors` out; `lapnet data check` |
# | Ô rises, `val_map` stays 0 | classes or boxes of `val` mean something else | draw annotations and detections |
# | good on train, poor on `val` | learned by heart | more data, `--weights imagenet --frozen 2`, augmentation |
# | all rises, too slowly | too few steps, or too small a rate | three times the steps; pretrained weights with `--depth 1` |
#
# **Exercise 2. Four patients** *(●●○, 10 minutes)*. Four logs without their names. Which fault has which: `rate`,
# `anchors` (with AO), `classes`, `overfitting`? (`train_map` is the mAP on
# the pictures that they were trained on. A was validated on them, too.)
#
# <details><summary>Hint</summary>
#
# Ask in this order: are there positives? Does Ô rise? Is `train_map` high? Is `val_map` high, too?
# </details>
# <details><summary>Second hint</summary>
#
# Two of them know their training scenes by heart. One of these is A: its `val_map`, of the same scenes, should be as
# high, and is next to 0.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# diagnosis = {"A": "classes", "B": "rate", "C": "overfitting", "D": "anchors"}
# ```
#
# C and A both know their training scenes by heart. But A was validated on these very scenes and fails them all, so its
# validation must speak of other classes.
# </details>

# %%
patients = failures.patients()
for name, lines in patients.items():
    print(f"{name}: {failures.summary(lines)}")
diagnosis = None  # {"A": ..., "B": ..., "C": ..., "D": ...}

check("diagnosis", diagnosis, truth=failures.PATIENTS)
figures.compared(patients, "predicted_iou", "mean Ô of the four")

# %% [markdown]
# ## 9. The same from the command line
#
# What section 4 did, the training of the shipped detector, and one on a folder of yours:

# %%
print(study.command(settings.with_options(out="")))
print(study.command(study.shipped_config()))
print(study.command(config.preset_for("path/to/folder").with_options(val_every=200)))

# %% [markdown]
# `lapnet train --help` explains every flag. Ctrl-C ends a training cleanly, and `--resume` goes on.
#
# ## Summary
#
# - Look at the data first.
# - The losses are weighted by what is learned: they tell nothing. Watch **Ô**, **positives_loc** and **val_map**.
# - The rate has to end at zero; so choose the number of steps first.
# - The best model is chosen on `val`, and reported, once, on `test`.
# - Whoever meets a mAP of 0 looks at pictures before turning any knob.
#
# | what the paper says | what we saw |
# | --- | --- |
# | $120\,000$ steps of $28$ images (4.1). | <!--record training.scenes_steps-->2200<!--/record--> of $8$, scenes. |
# | The rate falls polynomially, power 0.9 (4). | The same. Validation rises to the last step. |
# | (It is silent on validation, early ends and warm-up.) | All three are ours; the best model is kept by `val`. |
# | Backbones start from ImageNet (4). | So does the photographs' one; the scenes' begins at random numbers. |
# | VOC: <!--record paper.table_2a.pono.no.map-->81.1<!--/record--> % (table 2a). | About two thirds: section 1. |
