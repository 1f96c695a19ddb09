# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Speed and accuracy: fig. 1, rebuilt
#
# **The question.** Which detector is the better one if time counts, too, and what does a plot of speed against accuracy
# prove?
#
# After this notebook you will be able to
#
# - read such a plot, and find in it the detectors that no other beats: the *Pareto front*;
# - time detectors fairly, and say what a time in milliseconds leaves out;
# - tell latency from throughput, and operations from time;
# - say which conclusions two cores, small photographs and one training each allow.
#
# <!-- records: speed_accuracy.tiers -->
# | tier | `LAPNET_TIER` | what it does | time | memory | disk |
# | --- | --- | --- | --- | --- | --- |
# | tiny | `tiny`, the default | reads the recorded results; times every detector at three sizes | 30 s (two cores) | 1.0 GB (estimate) | nothing |
# | laptop | `laptop` | times them at five sizes, with more turns | 5 minutes (estimate) | as tiny | nothing |
# | full | `full` | as laptop | as laptop | as tiny | nothing |
# <!-- /records -->
#
# You should know [average precision](06_detections.ipynb) and [what an interval is](09_ablations.ipynb).

# %%
from itertools import pairwise
from statistics import median

from lapnet_lab import Predict, setup
from lapnet_lab.lessons.speed_accuracy import figures, measuring, panels, study
from lapnet_lab.lessons.speed_accuracy.exercises import check
from lapnet_lab.records import paper_table

lab = setup()

# %% [markdown]
# ## 1. What the paper shows
#
# The paper's title promises *real-time* detection, and its first figure is the proof: the accuracy of each detector
# against the time that it takes for an image, on one GPU, a TITAN X. The figure is a picture. Its text gives no time of
# any method, but it does draw two lines: what it calls fast stays
# below <!--given-->100 ms<!--/given-->, and what takes <!--given-->200 ms<!--/given-->
# or more is not plotted. So each detector lies *somewhere* on its bar:

# %%
figures.paper_figure()

# %% [markdown]
# **Notice** that LapNet is the highest of the fast ones. That is the claim: not the most accurate detector, but the most
# accurate below a limit. What stands above it is slower: RetinaNet-800 and FCOS-800
# take, says the text, <!--given-->2.5 times<!--/given--> as long. YOLOv3 takes "almost the same computing time".

# %%
fast = [row for row in paper_table("figure_1") if row["ms_below"] == 100]
best = max(fast, key=lambda row: row["ap"])
others = [row for row in fast if not str(row["method"]).startswith("Lapnet")]
next_one = max(others, key=lambda row: row["ap"])
print(f"{len(fast)} are fast; {best['method']} has {best['ap']} %,")
print(f"{best['ap'] - next_one['ap']:.1f} points more than {next_one['method']} ({next_one['backbone']})")

# %% [markdown]
# But these detectors differ in backbone, size of the input, program and year, too. Whoever wants to compare *methods* has
# to hold the rest still.
#
# ## 2. The same figure, ours
#
# - **Held still**: backbone (`tf_efficientnet_lite0`, weights from ImageNet) and widths, photographs (six classes of
#   VOC), <!--given-->1,500 steps of 8 at 192 px<!--/given-->, one machine, one program.
# - **Changed**: the method, with all that it has behind the backbone (short stacks, as [09](09_ablations.ipynb) says),
#   and the size of the input. Each network was trained *once*, at 192 px with random scales, and tested at five sizes.
#   Its learning rate was chosen on val. LapNet has no AMS and an *even* balance, as 09 recommends.
# - **Besides**: LapNet with the light backbone, from scratch.
#
# The results are recorded, one line each, in `data/runs/speed_voc_animals.jsonl`:

# %%
recorded = study.lines_of()
points = study.points(recorded)
first = points[0]
print(f"{len(points)} points; {first.accuracy['images']} photographs; timed on {first.machine}")
for name in study.NAMES.values():
    own = study.of_kind(points, name)
    told = "seed {seed}, lr {lr}".format(**own[0].accuracy) if own else "not measured"
    print(f"{name:14} {told}")

# %%
Predict(
    "One backbone, the same photographs, as many steps: which method reaches the highest AP50?",
    ["LapNet", "YOLOv3-style", "FCOS", "Faster R-CNN"],
    answer=2,
    because="so it is here, with one seed and a short training. Faster R-CNN, which looks twice, comes next; what "
    "that costs is another question, and section 3's.",
)

# %% [markdown]
# Point at the chart: now the menu above it changes both axes, and each point tells its numbers. A click in the legend takes
# a detector out, a double click leaves it alone.

# %%
figures.plane(points, title="ours: one backbone, five sizes")

# %% [markdown]
# **Notice** that each line goes through five sizes, from small inputs on the left to large ones on the right. The dotted
# line is the next section's: what lies on it is beaten by nobody.
#
# This is *not* the paper's figure on another scale. Other photographs, another metric, a small backbone, a short
# training, a processor instead of a GPU: no number of the one chart can be compared with one of the other.
#
# ## 3. The front
#
# A point *beats* another if it is no slower and no less accurate, and in one of the two strictly better. The points
# that nobody beats are the **Pareto front**. All others are never the right choice, if these two numbers are all that
# counts.
#
# **Exercise 1. Who is left?** *(●●○, 10 minutes)* Find them.
#
# <details><summary>Hint</summary>
#
# For each point ask all others. Two conditions with "no worse", and one that makes it strict.
# </details>
# <details><summary>Second hint</summary>
#
# `any(... for t, ap in zip(times, aps))` asks whether somebody beats a point. A point does not beat itself, since
# nothing is strictly better.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pareto(times, aps):
#     pairs = list(zip(times, aps))
#     return [
#         not any(t <= time and a >= ap and (t < time or a > ap) for t, a in pairs) for time, ap in pairs
#     ]
# ```
# </details>


# %%
def pareto(times, aps):
    """Which points no other beats.

    times: list of milliseconds, in any order; less is better
    aps: list of as many average precisions; more is better
    returns: a list of True or False, one a point; of equal points neither beats the other
    """
    ...


check("pareto", pareto)

# %%
Predict(
    "At AP75 LapNet is above YOLOv3-style, at AP50 it is not, as notebook 09 says. What does that do to the front?",
    ["nothing: time has not changed", "other detectors or sizes can be on it", "it moves up and keeps its members"],
    answer=1,
    because="a front belongs to one measure of accuracy. Who finds objects cheaply and who places boxes cheaply "
    "are two questions.",
)

# %%
for metric, title in study.METRICS.items():
    print(f"{title}, on the front:")
    for p in study.front(points, metric):
        print(f"  {p.label:20}{p.ms:6.1f} ms{100 * p.accuracy[metric]:7.1f} %")
names = {metric: {point.label for point in study.front(points, metric)} for metric in study.METRICS}
print("on both:", "; ".join(sorted(names["ap50"] & names["ap75"])))
print("on one alone:", "; ".join(sorted(names["ap50"] ^ names["ap75"])) or "none")

# %% [markdown]
# **Notice** who is on both, and who on one alone. A paper that shows one metric has chosen one of the two fronts.
#
# But is the front sure? Each accuracy comes from <!--record training.photographs_test_images-->900<!--/record--> photographs. [09](09_ablations.ipynb) drew them again,
# with replacement; let us find the front anew in each of these draws:

# %%
print(figures.shares(points))
for metric, title in study.METRICS.items():
    sure = [share >= 0.95 for share in study.front_shares(points, metric).values()]
    print(f"{title}: {sum(sure)} points are on the front in 95 % of the draws")

# %% [markdown]
# **Notice** that a front is a statistic, too. A point that is on it in half of the draws was lucky with its
# photographs. And another *seed* is not even in this: every network was trained once. Notebook 09 has three seeds of
# most of them, at 192 px; where the two disagree, believe 09.
#
# ### Other images
#
# Does the order hold for other images? The same methods on microscope pictures of blood cells, with the longer stacks
# of their papers and the same learning rates, which nobody chose for them:

# %%
cells = study.points(study.lines_of(study.BLOOD), "bccd")
first_cell = cells[0].accuracy
print(f"{first_cell['images']} test images, {first_cell['steps']} steps")
for metric, title in study.METRICS.items():
    print(f"{title}: rank correlation with the order on photographs {study.same_order(points, cells, metric):+.2f}")
figures.plane(cells, title="blood cells")

# %% [markdown]
# **Notice** that at AP50 the order is another one: a ranking belongs to its images. Nor is this one sure. It has one seed, longer stacks and
# rates that were chosen elsewhere.
#
# ## 4. What a clock says
#
# How long does a detector take? It depends on what one asks. **Latency** is the time until one image is done.
# **Throughput** is how many are done in a second, when many wait and can be handed over in batches.

# %%
Predict(
    "Two cores, batches of eight. How many times as many images a second as one at a time?",
    ["about eight times as many", "more, but nowhere near eight times", "fewer"],
    answer=1,
    because="one image keeps two cores fairly busy, so that eight cannot give eight times as much. On a GPU, "
    "where one small image leaves most of the card idle, the first answer can be near.",
)

# %%
at_192 = study.at_size(points)
print(figures.timed(list(at_192.values())))
gains = study.batch_gains(points)
print(f"gain of a batch, all sizes: median {median(gains):.2f}, from {min(gains):.2f} to {max(gains):.2f}")

# %% [markdown]
# **Notice** the last column: decoding boxes and suppressing overlaps. These loops over a few thousand candidates do not
# get cheaper with a smaller backbone, and for a small network they matter. (What counts here is all that comes after the
# last layer with weights. Faster R-CNN suppresses its proposals *before* that, too.)
#
# A GPU is another matter. There is also the paper's backbone, which
# a GPU trained at 512 px, from scratch, in <!--record gpu.trained.minutes-->6.9<!--/record--> minutes:

# %%
gpu = study.machines(recorded, "voc_animals")[-1]
figures.plane(study.points(recorded, machine=gpu), title=f"on a GPU, {gpu.short}: random weights")

# %% [markdown]
# **Notice** that the lines stand upright: a larger image takes no longer. Python starts kernel after kernel, and the card
# waits for it. LapNet's network at 512 px takes <!--record gpu.small.ms-->4.27<!--/record--> ms so, and as one *CUDA
# graph* <!--record gpu.small.graph-->0.86<!--/record-->; in batches it does <!--record gpu.small.rate:,-->2,212<!--/record--> images/s. Even DarkNet-53 takes but a
# quarter longer. That it finds less is no fault of its own: ImageNet has taught it nothing.
#
# A clock lies in other ways. The first call is slow. Something else runs on the machine for a while. So we take turns:
# all detectors at all sizes, once each, then again, and compare *within* a turn.
#
# **Exercise 2. A fair clock** *(●○○, 5 minutes)*. From two lists of times to one ratio.
#
# <details><summary>Hint</summary>
#
# As with the paired interval of 09: first the ratio of each turn, then one number for all.
# </details>
# <details><summary>Second hint</summary>
#
# `median` is imported. A list without its first item is `ours[1:]`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fair_ratio(ours, theirs):
#     return median(a / b for a, b in zip(ours[1:], theirs[1:]))
# ```
# </details>


# %%
def fair_ratio(ours, theirs):
    """How many times as long ours takes as theirs.

    ours, theirs: lists of seconds, turn by turn: ours[k] and theirs[k] were measured one right after the
        other. The first turn warms up, and does not count
    returns: a number that hardly changes where the machine is busy for some turns, or for a moment
    """
    ...


check("fair", fair_ratio)

# %% [markdown]
# ## 5. Multiplications are not time
#
# [05](05_model.ipynb) counted multiplications, because they are the same on every machine. Now we have both:

# %%
Predict(
    "Of those with the same backbone SSD multiplies least at each size. Is it the fastest, too?",
    ["yes: time is multiplications", "no, but nearly", "no: at 192 px only Faster R-CNN is slower"],
    answer=2,
    because="its heads are one convolution each, but it makes thousands of boxes, and each has to be looked at. "
    "That work multiplies hardly anything.",
)

# %%
figures.clock(points)

# %% [markdown]
# **Notice** that the lines differ, although the backbone is the same: if time were multiplications, all points would lie
# on one straight line through the origin. They do not begin at 0 either. At small
# sizes a fixed cost remains: more than a hundred layers have to be started, however small their maps are.
#
# ## 6. The size of the input
#
# The cheapest way to a faster detector is a smaller image. All networks here were trained at 192 px, with images at
# random scales of <!--given-->.5 to 1.5<!--/given-->, so that they have seen objects as large as
# at <!--given-->96 or at 288 px<!--/given-->. Anchors, and SSD's default boxes, stay as they are in pixels.

# %%
figures.over_sizes(points)

# %% [markdown]
# **Notice** where each curve is highest, and what the *last* step brings. A figure with one point for each detector
# hides all that: two methods can change places with the size. And SSD falls on *both* sides: its large boxes come from
# maps of two and three cells, and what these say belongs to the one size that they learned at. (Blood cells are small,
# and there it is best at 256 px.) Its paper trains a network for each size. So only its point at 192 px is fair.

# %%
for name in study.NAMES.values():
    if len(study.of_kind(points, name)) > 1:
        pixels, time = study.growth(points, name)
        print(f"{name:14} {pixels:.2f} times as many pixels take {time:.1f} times as long")
if {study.TRAINED_AT, 256} <= {point.size for point in study.of_kind(points, "LapNet")}:
    large, trained = (study.at_size(points, size)["LapNet"] for size in (256, study.TRAINED_AT))
    gap = study.gap(large, trained, "ap50")
    print("LapNet, 256 against 192 px: {:+.1f} [{:+.1f}, {:+.1f}] points of AP50".format(*(100 * x for x in gap)))

# %% [markdown]
# ## 7. Your machine
#
# Accuracy can be taken from a file, time cannot: yours is another machine. This cell times every detector here, with
# *random weights* on drawn scenes, as none of the trained ones is needed to know how long a convolution takes.

# %% tags=["nbval-ignore-output"]
sizes = lab.choose((128, 192, 256), measuring.SIZES)
detectors = [measuring.untrained(kind) for kind in study.NAMES]
contestants = measuring.contestants(detectors, sizes, "random")
images = {size: measuring.drawn(size) for size in sizes}
turns, batches = lab.choose((3, 1), (measuring.TURNS, measuring.BATCH_TURNS))
mine_here = measuring.measure(contestants, images, turns, batches, progress=lab.progress)
print(figures.speeds_text(mine_here))

# %% [markdown]
# Is your clock of use? If the machines only differ in speed, the *order* of all these times is that of the recorded ones.

# %%
by_random = study.speeds(recorded, "voc_animals", first.machine, "random")
order, factor = study.agreement(mine_here, by_random)
print(f"rank correlation with the recorded times above .5: {order > 0.5}")
larger = [b.ms > a.ms for a, b in pairwise(mine_here) if a.size < b.size]
print(f"a larger size takes longer in most cases: {sum(larger) > 0.5 * len(larger)}")

# %% tags=["nbval-ignore-output"]
print(f"this machine takes {factor:.2f} times the recorded times")
here = study.Machine("yours", 2)
yours = study.points(recorded, machine=here, timed={((s.method, s.backbone), s.size): s for s in mine_here})
figures.plane([*points, *yours], title="recorded, and dashed: your machine, random weights")

# %% [markdown]
# **Notice** that your lines are shifted to one side: on a logarithmic axis a machine that is twice as slow in everything
# moves all points by the same distance. Lines that change places with others would be the interesting ones.

# %%
Predict(
    "These were random weights. How long does such a detector take, beside a trained one?",
    ["far less: it finds nothing", "about as long", "far longer: it takes everything for an object"],
    answer=1,
    because="a convolution multiplies whatever the numbers are. Only what comes after the last layer can differ.",
)

# %% [markdown]
# The layers do the same work, whatever their weights. What differs is how many candidates come out of them: an
# untrained network gives each anchor the same low score, so that all pass the threshold of `.001`. How long their
# suppression takes depends on how much they overlap. On the recorded machine we timed both:

# %%
for name, times in study.of_weights(recorded).items():
    middle, least, most = study.spread(times)
    print(f"{name:14} random over trained weights: {middle:.2f}, from {least:.2f} to {most:.2f} by size")

# %% [markdown]
# **Notice** that these ratios are near 1, if not at 1: a random network is a fair stand-in for a clock. For methods that lie
# closer together than that, time the trained ones.
#
# ## 8. Beside the paper's tables
#
# Rows of the paper's table 3 (COCO), and ours under them. They share their column heads, nothing
# else: COCO has <!--given-->80 classes<!--/given--> and small objects, and the paper's networks saw it
# for <!--given-->500,000 steps<!--/given-->. Then table 1 (VOC 2007), the six classes that we have, too, on other photographs.

# %%
print(figures.beside_table_3(at_192))
classes = tuple(first.accuracy["per_class"])
print(f"\n{figures.beside_table_1(at_192, classes)}")

# %% [markdown]
# **Notice** what they agree on: cats, large and alone in their pictures, are easier than sheep and cows. And
# that AP75 is much further below AP50 with us than with the paper: boxes get precise late in a training.
#
# ## 9. Look for yourself
#
# Every recorded point is behind this panel. With *against* you choose what a detector has to be cheap in.

# %%
panels.plane_panel([*recorded, *study.lines_of(study.BLOOD)])

# %% [markdown]
# **Exercise 3. A budget** *(●○○, 5 minutes)*. You have so many milliseconds for an image, and need boxes that fit
# closely (AP75). Which detector do you take, at which size? A point has `.ms`, `.ap75` and a `.label`.
#
# <details><summary>Hint</summary>
#
# In the state *AP75 against time* the budget is a vertical line.
# </details>
# <details><summary>Second hint</summary>
#
# `max` with a `key`, over the points that are fast enough.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# choice = max((point for point in points if point.ms <= budget), key=lambda point: point.ap75).label
# ```
# </details>

# %%
budget = median(point.ms for point in points)
print(f"{budget:.0f} ms")
choice = None  # the label of a point

check("budget", choice, points=points, budget=budget)

# %% [markdown]
# ## 10. Measure it yourself
#
# With models of your own, as `lapnet train --method ...` or `lapnet ablate peers` makes them:
#
# ```bash
# python -m lapnet_lab.lessons.speed_accuracy.recording accuracy RUN... --data FOLDER --out mine.jsonl
# python -m lapnet_lab.lessons.speed_accuracy.recording speed RUN... --data FOLDER --out mine.jsonl
# ```
#
# `study.lines_of(Path("mine.jsonl"))` reads it, and every chart of this notebook takes it. Add `--device cuda` to the
# second on a GPU, and nothing else on the machine.
#
# ## Summary
#
# - **A front belongs to images, a metric, a machine and a batch size.** Change one of them, and other detectors are on
#   it.
# - **It is a statistic**: ask in how many draws a point is on it.
# - **Latency is not throughput, and multiplications are not time.** What comes after the last layer counts, too.
# - **Take turns**, and compare within a turn.
# - **Compare methods with the rest held still.** A size, a backbone or a longer training moves a point further than
#   most ideas do.
#
# **What one can conclude here**: on two cores, with this backbone and this program, which method takes how long, and
# what it costs to go from one size to the next. **What one cannot**: which is more accurate by a few points (one seed;
# small data; learning rates from few tries); which is faster on a GPU when its kernels are started at once; which is best
# after a training at *its own* size; and what a reader's own data would say.
#
# ## What the paper says beside what we saw
#
# The paper's AP is COCO's, in percent. Ours are differences in points at 192 px, LapNet minus the other, with the
# interval over photographs, and ratios of times over the sizes.
#
# <!-- records: speed_accuracy.verdicts -->
# | what the paper says | there | here | verdict |
# | --- | --- | --- | --- |
# | LapNet takes about YOLOv3's time (fig. 1) | “almost the same” | with short stacks YOLOv3-style takes 0.75 times LapNet's time, from 0.69 to 0.80 by size | refuted |
# | the same, on a GPU | | 1.01 times, kernel after kernel | reproduced |
# | it is above YOLOv3 (table 3) | AP 38.2 against 33.0 | AP50 -0.5 [-2.4, +1.7], AP75 +7.8 [+5.4, +10.5] points | undecided here: one seed |
# | above RetinaNet, similar size (table 3) | AP 37.6 against 34.4 | AP50 +0.5 [-0.9, +2.0], AP75 +0.9 [-1.6, +3.1] points | undecided here: one seed |
# | above SSD (table 3) | AP 37.6 against 31.2 | AP50 -2.4 [-4.3, -0.5], AP75 +2.0 [+0.0, +5.1] points | undecided here: one seed |
# | RetinaNet-800 and FCOS-800 take far longer (fig. 1) | 2.5 times as long | at one size and backbone 0.96 and 0.90 times | not tried: other sizes, other backbones |
# | a larger input gains accuracy, and costs time | AP 38.2 against 37.6 | 128 to 192 px: AP50 +8.7 [+7.5, +10.3] points, in 1.20 times the time | reproduced, for one network |
# | a very good compromise of both (abstract) | fig. 1 | on the front in 0 % of the draws at AP50, in 1 % at AP75 | undecided here: one seed |
# | the same, on a GPU | | on the front in 100 % of the draws at AP50, in 100 % at AP75 | undecided here: one seed |
# <!-- /records -->
