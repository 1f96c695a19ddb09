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
# - train LapNet on drawn scenes, on blood cells, on VOC, COCO or your own photographs, by changing one variable;
# - read every number of the log, and say which of them tell something and which do not;
# - choose the best model by validation, and end a training that no longer gets better;
# - tell four ways to fail apart, by the curves alone, and say what helps against each;
# - do all of this from the command line.
#
# <!-- records: training.tiers -->
# | tier | `LAPNET_TIER` | what it trains | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | scenes at 96 px, 200 steps; a shipped detector | 67 s (two cores) | 1 GB | 20 MB |
# | laptop | `laptop` | the preset of the data; scenes: 1500 steps | 8 minutes (estimate) | 1.5 GB (estimate) | 20 MB |
# | full | `full` | as laptop; for VOC and COCO the paper's schedule | days on GPUs (not measured) | | VOC, COCO |
# <!-- /records -->
#
# You should have seen [00](00_start_here.ipynb), where the terms of the loss and average precision are introduced.

# %%
import tempfile
from pathlib import Path

from IPython.display import display

from lapnet_core import config, detector, evaluate, train
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import gather, models, records, setup
from lapnet_lab.lessons.training import failures, figures, panels, study
from lapnet_lab.lessons.training.exercises import check

lab = setup()

# %% [markdown]
# ## 1. First the end: what a trained detector does
#
# Two small trained detectors come with the package. `models.shipped("scenes")` was trained on our drawn street
# scenes, <!--record training.scenes_steps-->2200<!--/record--> steps from random numbers. Three test scenes that it
# has never seen, the same as in notebook 00:

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
# **Notice** what is missed, and what is drawn twice: both happen where people stand in each other's way. The same
# detector on all hundred test scenes, with its mAP (at IoU 0.5), and which classes it knows well:

# %%
predicted, truth, _ = ready.predict_dataset(scenes, progress=lab.progress)
result = evaluate.voc_map(predicted, truth, len(SCENE_CLASSES), class_names=SCENE_CLASSES)
recorded = records.value("training.scenes_map_100")
print(f"mAP on 100 test scenes is {recorded}, as recorded: {abs(result.mean_ap - recorded) < 0.005}")
above = [name for name, ap in zip(SCENE_CLASSES, result.ap, strict=True) if ap > 0.5]
print(f"AP above .5: {', '.join(above)}; below: {', '.join(name for name in SCENE_CLASSES if name not in above)}")

# %% [markdown]
# The other one, `models.shipped("photographs")`, knows people and five animals. It was trained on photographs of
# PASCAL VOC, and it did not start from random numbers but with a backbone that had learned on ImageNet. Photographs do
# not come with this repository. If `LAPNET_DATA` names a folder that holds `voc_animals`, you see three that it was
# not trained on.

# %% tags=["nbval-ignore-output"]
photographs = models.unseen_photographs(lab.data)  # None where there are none
if photographs is not None:
    animals = models.shipped("photographs")
    three = [photographs[i][0] for i in (46, 56, 6)]  # picked by hand: two that go well, and a herd
    seen = [animals.predict(image, score_threshold=0.4) for image in three]
    display(figures.with_boxes(three, seen, animals.class_names, [f"{len(each['boxes'])} found" for each in seen]))
print("photographs are there" if photographs is not None else "LAPNET_DATA holds no voc_animals: nothing to show")

# %% [markdown]
# Its AP50 on <!--record training.photographs_test_images-->900<!--/record--> test photographs
# is <!--record training.photographs_ap50-->.40<!--/record-->,
# after <!--record training.photographs_time-->157<!--/record--> seconds on a GPU (an NVIDIA H200). That is no good
# detector yet. The cheapest way to a better one is time: the same training with three times the steps
# reaches <!--record training.longer_ap50-->.54<!--/record-->. (Over three seeds the short one
# has <!--record training.short_ap50-->.42<!--/record--> on average.)
#
# ## 2. One variable says what is trained on
#
# | `data =` | what it is | where it comes from |
# | --- | --- | --- |
# | `"scenes"` | drawn street scenes, 7 classes | they are drawn here, offline |
# | `"bccd"` | blood cells under a microscope, 3 classes | a folder `bccd` in `LAPNET_DATA` |
# | `"voc"`, `"coco"` | the paper's data sets, 20 and 80 classes | `lapnet data get`, gigabytes |
# | `"path/to/folder"` | **your own photographs** | annotations of VOC, COCO or YOLO; told apart by itself |
#
# `study.plan` takes the preset of the data (`config.preset_for`), asks for four validations, and in the tiny tier cuts
# everything down to what takes seconds. Change the first line, and run all cells.

# %%
data = "scenes"  # or "bccd", "voc", "coco", or the path of your folder
run_folder = Path(tempfile.mkdtemp()) / "run"  # `lapnet train` writes to runs/ instead
settings = study.plan(data, lab.tier, run_folder)
dataset, held_out = study.open_images(settings, lab.tier)
print(f"{len(dataset)} images to train on, {len(held_out or ())} to validate on; {len(dataset.class_names)} classes")
print(f"{settings.image_size[0]} px, {settings.steps} steps of {settings.batch_size}, lr {settings.lr}")

# %% [markdown]
# ### Look at the data first
#
# Most trainings that fail have failed here. Ten minutes spent looking at annotations are better invested than ten
# hours of training: are the boxes where the objects are? Are all objects annotated? Which classes are rare? How small
# are the objects *in the network's input*, which is where they count?

# %%
objects = gather.objects(dataset, min(100, len(dataset)))
sides = gather.sizes(objects.boxes).prod(-1).sqrt()
counts = objects.labels.bincount(minlength=len(dataset.class_names)).tolist()
print(dict(zip(dataset.class_names, counts, strict=True)))
print(f"side in pixels: smallest {sides.min():.0f}, median {sides.median():.0f}, largest {sides.max():.0f}")
images, targets = zip(*(dataset[i] for i in range(4)), strict=True)
figures.with_boxes(images, targets, dataset.class_names, ["annotated"] * 4)

# %% [markdown]
# **Notice**, for the scenes, that most objects are small at this size. An object of 8 pixels covers a single cell of
# the output. If your own small objects matter to you, raise `image_size` before anything else.
#
# For a folder of yours a command does this thoroughly. It names every faulty box and the file that it stands in,
# counts classes and sizes, finds images that are in train *and* in test, and says how many objects the anchors would
# miss:
#
# ```bash
# lapnet data check path/to/folder
# ```
#
# ## 3. The recipe
#
# A training has many settings. These are the ones that decide, with the presets' answers:
#
# | setting | what it does | how to choose it |
# | --- | --- | --- |
# | `weights="imagenet"` | the backbone has learned to see before | **yes**, for photographs: worth more than the rest |
# | `image_size` | how large objects are for the network | as large as your patience allows; time grows with the area |
# | `steps`, `batch_size` | how often it looks | the more steps the better, until validation says otherwise |
# | `lr` | how far a step goes | the largest that does not diverge; try a few, each three times the last |
# | `warmup`, `clip_norm` | keep the first steps from doing harm | with pretrained weights: a few dozen steps, and 10 |
# | `scale`, `flip` | each image looks different each time | leave them, unless left and right mean something |
#
# The paper's schedule is *polynomial*. In step $t$ of $T$ the learning rate is $\eta_0 (1 - t/T)^{0.9}$, and it ends
# at zero. A *warm-up* over $w$ steps multiplies it with $\min(1, (t+1)/w)$.

# %%
warm = settings.with_options(warmup=settings.steps // 5)
straight = settings.with_options(power=1.0)
constant = settings.with_options(power=0.0)
figures.schedules({"as planned": settings, "with a warm-up": warm, "power 1": straight, "constant": constant})

# %% [markdown]
# **Notice** that a power of 0.9 is nearly a straight line. What matters is that the rate *ends at zero*: large steps
# find the region, small ones settle in it (section 7 shows what they are worth). This has a consequence that is often
# overlooked: **a training of 1000 steps is not the first half of one of 2000.** If you want to know what more steps
# would give, you have to start anew.
#
# ## 4. Train, and watch
#
# `train.train` calls `watch` after each step. It draws the losses, the mean fit $\hat O$ of the positives, the mAP of
# each validation, and what the network finds on one picture that it does not train on.

# %% tags=["nbval-ignore-output"]
picture = (held_out or dataset)[1][0]
watch = panels.LiveTraining(settings, picture, dataset.class_names)
training = train.train(settings, dataset, val_dataset=held_out, progress=lab.progress, on_step=watch)
watch.draw()  # with the validation after the last step
fits = [line["overlap"] for line in watch.log]
first, last = (sum(part) / len(part) for part in (fits[:20], fits[-20:]))
print(f"mean Ô over the first 20 steps {first:.3f}, over the last {last:.3f}; {training.seconds:.0f} s")

# %%
print(f"the boxes fit better than at first: {last > first}")
if lab.tier == "tiny" and data == "scenes":
    recorded = records.value("training.live_fit")
    print(f"mean Ô at the end within .04 of the recorded run ({recorded}): {abs(last - recorded) <= 0.04}")
print(sorted(path.name for path in run_folder.iterdir() if not path.name.startswith(".")))

# %% [markdown]
# **Notice** that the boxes on the picture come to lie on objects long before the scores mean anything, and that the
# mAP is still next to nothing. So few steps teach a network where things are, roughly, and not yet what they are. mAP
# is strict: the class has to be right, the IoU has to reach 0.5, and the right boxes have to be surer than the wrong
# ones.
#
# The last line lists what lies in the folder of the run: `log.jsonl`, a line for every few steps; `last.pt` and
# `previous.pt`, the two newest checkpoints, from which a training that was stopped goes on bit for bit (`--resume`);
# `model.safetensors`, the finished detector; `best.safetensors`, the best one by validation; the anchors.
#
# ## 5. What the log says
#
# Now to the long training that made the shipped detector. Its log is recorded. All curves are smoothed. Click on a
# name in the legend to hide or show a curve, drag to zoom, double-click to zoom out.

# %%
log = study.runs("scenes")["scenes"]
figures.curves(log, figures.LOSSES, "the training of the shipped detector")

# %% [markdown]
# Here is every number of a line, and what it tells you:
#
# | number | what it is | what to look for |
# | --- | --- | --- |
# | `total` | what is minimised: the next three together | nothing: it may be negative, and rise while all is well |
# | `loc` | localisation loss (eq. 5), *weighted by the learned* λ | that it is finite |
# | `cls` | classification loss (eq. 6), weighted too | that it is finite |
# | `reg` | regularisation (eq. 7); it keeps the weights from vanishing | nothing |
# | `overlap` | mean $\hat O$: IoU of the predicted boxes with their objects, over the positives | **that it rises** |
# | `lam_loc`, `lam_cls` | the two learned loss weights | that they come to rest |
# | `objects` | annotated objects in the batch | that there are some |
# | `positives_loc` | anchors with $O > 0.5$ | **dozens for each object; never 0** |
# | `positives_cls` | those that AMS leaves, $O \cdot \hat O > 0.5$; without AMS the same | that it does not sink to 0 |
# | `rescued` | objects whose cluster was empty (notebook 02) | that it is rare |
# | `lr` | the learning rate | that it is what you meant |
# | `seconds` | since the start | |
# | `val_map` | mAP of a validation, on a line of its own | **that it rises; it is the one that counts** |
#
# **Notice** in the chart that the losses *rise* at first and then stay, and that this means nothing. Each λ grows
# until its term is about 1: whatever the network gains, the weight takes back. $\hat O$ is not weighted, and therefore
# honest.

# %%
figures.curves(log, figures.WEIGHTS, "the two loss weights", log_scale=True)

# %% [markdown]
# **Notice** that the weights first rise fast and then more and more slowly, as the losses behind them shrink. (This
# run uses the rule `steady`, which is ours. With the paper's `learned` they rise without end when batches are small;
# notebook 09 compares the two.)
#
# ## 6. How detections improve
#
# The same training, seen from the three pictures of section 1. Move the step, then the threshold.

# %%
images, targets = ({i: shown[i][k] for i in shown} for k in (0, 1))
panels.growth_panel(study.snapshots(), images, targets, SCENE_CLASSES)

# %% [markdown]
# **Notice** the false boxes more than the right ones. A few hundred steps suffice to put a box on most objects, and
# dozens of others beside them. The many steps after that are spent on telling which boxes to believe. Set the
# threshold to its least: many boxes come back, at *every* step. A detector always proposes; training teaches it which
# of its proposals deserve a score.
#
# ## 7. The best model, and when to stop
#
# Losses cannot tell which model is best, so we measure: `val_every=200` stops every 200 steps, measures mAP on `val`,
# and keeps the best model so far as `best.safetensors`. **Never on `test`**: whoever chooses by a number can no longer
# report it. `patience=2` ends the training after two validations in a row that brought nothing better. Where would it
# have ended this one?

# %%
by_heart = study.runs("failures")["overfitting"]  # another run, on 24 scenes; section 8 comes back to it
named = {"the shipped detector": log, "24 scenes alone": by_heart}
named = {name: study.column(lines, "val_map") for name, lines in named.items()}
stops = {f"patience 2, {name}": study.stop(*curve, 2) for name, curve in named.items()}
for name, stop in stops.items():
    print(f"{name}: ends at step {stop.ended}; best mAP {stop.val_map:.3f}, at step {stop.best}")
figures.map_chart(named, stops)

# %% [markdown]
# **Notice** that the first curve rises to its end, and no patience interferes. Its last 400 steps go with less than a
# quarter of the first rate, and still bring it from <!--record training.scenes_val_1800-->.637<!--/record-->
# to <!--record training.scenes_val_map-->.699<!--/record-->. The second goes nowhere, and is ended early: that is what
# patience is for. Between the two are the hard cases. A validation on 300 pictures has an error of some hundredths, so
# that with a patience of 1 a single unlucky one ends everything. And **an early end is not a finished training**: the
# rate falls to zero only at the last step, and who stops before never gets the small steps. So choose `steps` first,
# and take patience as a guard against wasted nights, with 3 or more.
#
# (A moving average of the weights, `ema=0.999`, is another way of letting the last steps settle; it is for long
# trainings, and we have not measured it here.)
#
# Our own training of section 4 has kept its best model, too:

# %%
kept = run_folder / "best.safetensors"
if kept.exists():  # VOC has nothing to validate on
    best = detector.Detector.load(kept)
    note, own = detector.note_of(kept), panels.validations(run_folder)
    print(f"it is the best of {len(own)} validations: {note['val_map'] == max(line['val_map'] for line in own)}")
    print(f"it detects: {len(best.predict(picture, score_threshold=0.0, max_detections=5)['boxes'])} boxes")

# %% [markdown]
# ## 8. When it fails
#
# Four failures, each made on purpose (`failures.CASES`), each with its own signature in the log.
#
# ### It diverges
#
# The learning rate is far too high. We let it run for some steps, and look at the fit of the boxes.

# %%
lines, _ = failures.run("rate", steps=12)
_, fit = study.column(lines, "overlap")
_, loss = study.column(lines, "cls")
print(f"Ô fell to less than half of what an untrained network has: {fit[-1] < fit[0] / 2}")
print(f"the classification loss rose to more than ten times the first: {max(loss) > 10 * loss[0]}")

# %% [markdown]
# **Notice** that no error was raised. A loss that is *not finite* ends a training with a message, and the last good
# checkpoint stays. But between "all is well" and "not a number" there is much room: here the boxes are thrown away in
# a few steps, and then nothing is learned any more. **What helps:** a third of the rate; `clip_norm`; a warm-up.
#
# ### There is nothing to learn from
#
# No training is needed to see this one. We assign a batch's objects to anchors that fit, and to anchors that were made
# in pixels of photographs sixteen times as large, a mistake that is quickly made.

# %%
for scale in (1, 16):
    with failures.anchors_of(dataset, settings.image_size, scale) as file:
        for overlap in ("ao", "pono"):
            count, positives = failures.positives(dataset, settings, file, overlap)
            print(f"anchors × {scale:2}, {overlap:4}: {count} objects, {positives} positives")

# %% [markdown]
# **Notice** that PONO *hides* this mistake. Every object has a best anchor, however bad, and so there are positives
# everywhere; AO would have shown 0 at once. What you see with PONO is that `overlap` begins very low. **What helps:**
# leave `--anchors` out, and they are clustered on your own data in the right pixels; `lapnet data check` says how well
# they fit (mean IoU with the best anchor: .6 is usual, .2 is a mistake).
#
# ### mAP stays at 0
#
# Ô rises, losses look well, and every validation says 0. Then the network has learned, and the *measurement* speaks of
# something else. Here is the shipped detector of section 1 again, measured with three mistakes that people make:

# %%
for name, targets in failures.mistakes(truth, len(SCENE_CLASSES), ready.image_size[0]).items():
    measured = evaluate.voc_map(predicted, targets, len(SCENE_CLASSES)).mean_ap
    same, little = measured == result.mean_ap, measured < result.mean_ap / 10
    print(f"{name:26} the same mAP: {same}; less than a tenth of it: {little}")

# %% [markdown]
# **What helps:** look. Draw the annotations of `val` (section 2) *and* the detections on the same picture. All of
# these mistakes are seen at a glance, and none of them in any number. (Some are caught for you: boxes written as x, y,
# width and height lie outside of their images or end before they begin, and are refused with the name of the file.)
#
# ### It learns by heart
#
# 24 scenes, always the same, many times over. mAP is measured on these 24 and on 100 others.

# %%
known, unknown = (study.column(by_heart, name) for name in ("train_map", "val_map"))
figures.map_chart({"on the 24 scenes that it trains on": known, "on 100 others": unknown})

# %% [markdown]
# **Notice** the gap. Each further step makes the network better on what it knows, and no better on what it does not.
# Had we looked at the training pictures alone, we would be proud. **What helps**, in this order: more pictures; a
# backbone that has learned before, with its early stages frozen (`--weights imagenet --frozen 2`); augmentation
# (`scale`, `flip`, `color`); fewer steps.
#
# | symptom | probable cause | what helps |
# | --- | --- | --- |
# | the loss is not finite, or Ô falls | rate too high | `lr` / 3, `clip_norm`, `warmup` |
# | `positives_loc` is 0, or Ô begins very low | anchors in other pixels | let them be clustered; `lapnet data check` |
# | Ô rises, `val_map` stays 0 | classes or boxes of `val` mean something else | draw annotations and detections |
# | good on train, poor on `val` | learned by heart | more data, pretrained, frozen, augmented |
# | all rises, too slowly | too few steps, or too small a rate | three times the steps; pretrained weights |
#
# ## 9. The same from the command line
#
# Notebooks are for understanding; trainings that take hours belong into a terminal. Here is the line that does what
# section 4 did, and the one of the shipped detector.

# %%
print(study.command(settings.with_options(out="")))
print(study.command(study.shipped_config()))
print(study.command(config.preset_for("path/to/folder").with_options(val_every=200)))

# %% [markdown]
# `lapnet train --help` explains every flag. Ctrl-C ends a training cleanly, and `--resume` goes on. `--tensorboard`
# writes the log for TensorBoard, `lapnet evaluate` measures the finished detector on `test`, once, and `lapnet
# predict` draws boxes on pictures.
#
# ## 10. Exercises
#
# **Exercise 1. Write the schedule.** The learning rate of section 3, with warm-up, as a function. It is compared with
# the library's on many schedules, odd ones too: no warm-up, a warm-up longer than the training, a single step.
#
# <details><summary>Hint</summary>
#
# Two factors. The first is `min(1, (step + 1) / warmup)`, but what is it when `warmup` is 0?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def rate(step, steps, lr, power, warmup):
#     warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
#     return lr * warm * (1 - step / steps) ** power
# ```
# </details>

# %%
rate = None  # def rate(step, steps, lr, power, warmup): ...

check("schedule", rate)

# %% [markdown]
# **Exercise 2. Write the patience.** `maps` are the results of the validations, one after the other. Return how many
# are made before the training ends, and which of these (from 0) is the best. After `patience` validations in a row
# that brought nothing better it ends; a `patience` of 0 never ends it. Equal is not better.
#
# <details><summary>Hint</summary>
#
# Go through `maps` with two variables: the index of the best so far, and how many have come since.
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
stops = None  # def stops(maps, patience): ... return validations, best

check("patience", stops)

# %% [markdown]
# **Exercise 3. Four patients.** Four logs without their names. Which fault has which: `rate`, `anchors`, `classes`,
# `overfitting`? (The names are those of section 8, in its order. All four were validated on the way; `train_map` is
# the mAP on the pictures that they were trained on.)
#
# <details><summary>Hint</summary>
#
# Ask in this order: are there positives? Does Ô rise? Is `train_map` high? Is `val_map` high, too?
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
for name, log in patients.items():
    print(f"{name}: {failures.summary(log)}")
diagnosis = None  # {"A": ..., "B": ..., "C": ..., "D": ...}

check("diagnosis", diagnosis, truth=failures.PATIENTS)
figures.compared(patients, "overlap", "mean Ô of the four")

# %% [markdown]
# ## Summary
#
# - One variable says what is trained on, one preset how; a command checks the data first.
# - The losses are weighted by what is learned: they tell nothing. Watch **Ô**, **positives_loc** and **val_map**.
# - The rate has to end at zero; so choose the number of steps first, and use patience as a guard.
# - The best model is chosen on `val`, and reported, once, on `test`.
# - Whoever meets a mAP of 0 looks at pictures before turning any knob.
#
# | what the paper says | what we saw |
# | --- | --- |
# | 120 000 steps of 28 images (4.1). | <!--record training.scenes_steps-->2200<!--/record--> of 8 for the scenes. |
# | The rate falls polynomially, power 0.9 (4). | The same. Validation rises to the last step. |
# | (It is silent on validation, early ends and warm-up.) | All three are ours; the best model is kept by `val`. |
# | Backbones start from ImageNet (4). | So does the photographs' one; the scenes' begins at random numbers. |
# | VOC: <!--record paper.table_2a.pono.no.map-->81.1<!--/record--> % (table 2a). | Half of it; see section 1. |
#
# **Next:** [08_weights](08_weights.ipynb), what the balance weights have learned.
