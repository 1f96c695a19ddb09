"""Tables of trainings that differ in one thing, over seeds: a queue that can be stopped, gone on with, and shared by
several processes. What is chosen is chosen on val; test is measured once a run, at its end."""

import errno
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lapnet_core.backbones import FromScratch
from lapnet_core.checkpoint import LAST, MAY_CHANGE, PREVIOUS, run_folder
from lapnet_core.config import TrainConfig, parts_of
from lapnet_core.data import DataError
from lapnet_core.data.named import NAMED, Images, open_dataset, splits_of
from lapnet_core.detector import Detector
from lapnet_core.evaluate.bootstrap import draws, interval, of_seeds, verdicts
from lapnet_core.files import naming, write_whole
from lapnet_core.method import Method
from lapnet_core.options import LapNetOptions
from lapnet_core.peers import METHODS
from lapnet_core.processes import pick_device
from lapnet_core.timing import machine_name
from lapnet_core.train import train

DEFAULTS = asdict(LapNetOptions())
"""What a line that does not tell an option of LapNet was trained with."""
PAPER = {"depth": 4, "overlap": "pono", "ams": True, "ams_rule": "paper", "ams_from": 0.0, "balance": "learned",
         "anchors_per_class": 10, "rescue": True, "cls_weight": 1.0}  # fmt: skip
"""The complete LapNet of the paper; each row of a table says how it differs."""
LEARNING_RATES = (0.005, 0.01, 0.02, 0.04)
"""Tried for each method on one seed, on val: as many for LapNet as for the others."""
TUNED = {"lapnet": 0.04, "yolov3": 0.005, "retinanet": 0.02, "fcos": 0.04, "faster_rcnn": 0.04, "ssd": 0.01}
"""The best of those tried with short stacks, by AP50 on voc_animals' val, seed 0, 1,500 steps (data/runs); of
Faster R-CNN one was tried. Any other takes the preset's."""
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}
"""Areas of objects in px² of the image files, as COCO has them."""
THRESHOLDS = tuple(0.5 + 0.05 * k for k in range(10))
WATCHED = 30
"""So many times in a training the balance weights are written down."""
NOT_PART = {*MAY_CHANGE, "val_split"}


def _row(**changes: Any) -> dict[str, Any]:
    return PAPER | changes


STEADY = _row(balance="steady", ams=False)  # the best of the rows that have the paper's network
SHALLOW = STEADY | {"depth": 1}
OURS = SHALLOW | {"balance": "even"}  # the best of 1,500 steps; small_photos has three times as many, and AMS
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "2a": {
        "AO": _row(overlap="ao", ams=False),
        "AO, AMS": _row(overlap="ao"),
        "PONO": _row(ams=False),
        "PONO, AMS": _row(),
    },
    "2b": {
        "ones": _row(balance="ones"),
        "R": _row(balance="retina"),
        "R, focal loss": _row(balance="focal"),
        "loss weights": _row(balance="loss"),
        "loss and anchor weights": _row(),
    },
    "ams": {
        "none": STEADY,
        "paper's": _row(balance="steady"),
        "annealed (ours)": _row(balance="steady", ams_rule="annealed"),
        "relative (ours)": _row(balance="steady", ams_rule="relative"),
        "ignore (ours)": _row(balance="steady", ams_rule="ignore"),
        "from the second half on": _row(balance="steady", ams_from=0.5),
    },
    "cls_weight": {
        f"x {weight:g}{', AMS' * ams}": STEADY | {"ams": ams, "cls_weight": weight}
        for ams in (False, True)
        for weight in (0.5, 1.0, 2.0, 4.0)
    },
    "depth": {"4 convolutions (paper's)": STEADY, "1 convolution (ours)": SHALLOW},
    "even": {"steady": SHALLOW, "even (ours)": OURS},
    "even, AMS": {"none": OURS, **{r: OURS | {"ams": True, "ams_rule": r} for r in ("paper", "annealed")}},
    "anchors": {f"{a} a class": OURS | {"anchors_per_class": a} for a in (3, 5, 10, 20)},
    "peers": {m: {"method": m} | ({"lr": TUNED[m]} if m in TUNED else {}) for m in METHODS if m != "lapnet"},
    "tune": {f"{method}, lr {lr}": OURS | {"method": method, "lr": lr} for method in METHODS for lr in LEARNING_RATES},
}
"""What `lapnet ablate` runs: by table, by row, the changes to the config."""
TABLES["2b without AMS"] = {row: changes | {"ams": False} for row, changes in TABLES["2b"].items()}
TABLES["2b without AMS"]["steady (ours)"] = STEADY
TABLES["schedule"] = {row: TABLES["ams"][row] for row in ("none", "paper's", "annealed (ours)")}
"""The rules of AMS for a longer training, by --steps."""
ONLY_VAL = ("tune",)
"""Tables by which something is chosen: test is not looked at."""


@dataclass(frozen=True)
class Job:
    """One training of a table."""

    table: str
    row: str
    config: TrainConfig

    @property
    def key(self) -> str:
        """The same for two trainings that have to give the same model: rows that stand in two tables run once."""
        return key_of(self.config)

    @property
    def splits(self) -> tuple[str, ...]:
        """What it is measured on: nothing that it is trained on."""
        wanted = ("val",) if self.table in ONLY_VAL else ("val", "test")
        return tuple(split for split in wanted if split not in parts_of(self.config.split))


def decisive(config: TrainConfig) -> dict[str, Any]:
    """All that decides the result, as JSON has it. LapNet's switches decide nothing for a peer."""
    kept = {name: value for name, value in json.loads(config.to_json()).items() if name not in NOT_PART}
    kept["data"] = placed(config.data)
    return kept if config.method == "lapnet" else {name: kept[name] for name in kept if name != "lapnet"}


def placed(data: str) -> str:
    """A folder by its whole path, however it was given; a name of `data_dir` stays one, wherever that lies."""
    path = Path(data).expanduser()
    return str(path.resolve()) if data not in NAMED and path.exists() else data


def key_of(config: TrainConfig) -> str:
    """A short name of all that decides the result."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:12]


def jobs(tables: Sequence[str], base: TrainConfig, seeds: int, out: Path) -> list[Job]:
    """The queue: seed by seed, so that a table is complete with one seed before the next begins.

    Raises:
        ValueError: a table has no such name, or would be measured on what is trained on.
    """
    if unknown := set(tables) - set(TABLES):
        raise ValueError(f"no table is called {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    for table, needed in ((table, "val" if table in ONLY_VAL else "test") for table in tables):
        if needed in parts_of(base.split):
            raise ValueError(f"{table} is measured on {needed}, which split {base.split} trains on: take train")
    queue = []
    for seed in range(base.seed, base.seed + seeds):
        for table in tables:
            for row, changes in TABLES[table].items():
                config = base.with_options(**changes, seed=seed, val_every=0, patience=0, data=placed(base.data))
                queue.append(Job(table, row, config.with_options(out=str(out / "runs" / key_of(config)))))
    return queue


def ablate(
    queue: Sequence[Job], out: Path, *, open_images: Callable[..., Images] = open_dataset, progress: bool = True,
    told: Callable[[str], object] = print,
) -> bool:  # fmt: skip
    """Do what of the queue is not done. Each run goes on from its own checkpoint, and leaves one line in
    `out`/results.jsonl; a run that another process is at is left to it, and one that diverges is a line too.

    Returns False where a signal stopped it. DataError, before hours of training, where the data lacks a split.
    """
    needed = {(job.config.data, (job.config.split, *job.splits)) for job in queue if not done(job, out)}
    for data, splits in sorted(needed) if open_images is open_dataset else ():
        if lacks := sorted({*splits} - {*(has := splits_of(data))}):
            raise DataError(f"{data} has no split {', '.join(lacks)}, which is needed; it has {', '.join(has)}")
    for number, job in enumerate(queue, 1):
        claim = out / "jobs" / job.key
        about = f"{number} of {len(queue)}: {job.table}, {job.row}, seed {job.config.seed}"
        if done(job, out):
            continue
        with ExitStack() as held:
            try:
                held.enter_context(run_folder(claim, resume=True))
            except FileExistsError as error:  # another process is at it, or was when its machine went down
                told(f"{about}: passed over; {error}")
                continue
            if done(job, out):  # another process was faster
                continue
            told(about)
            known = next((line for line in reversed(results(out)) if line["key"] == job.key), {})
            line = _run(job, known, open_images, progress)
            if line is None:
                return False
            append(out / "results.jsonl", line)
            for name in (LAST, PREVIOUS):  # the model and its log stay
                (job.config.run_dir / name).unlink(missing_ok=True)
    return True


def done(job: Job, out: Path) -> bool:
    """Whether a line of the results is of this training, and measured on all that is wanted, or diverged."""
    return any("failed" in line or set(job.splits) <= set(line) for line in fitting(results(out), job.config))


def fitting(lines: Sequence[dict[str, Any]], config: TrainConfig) -> list[dict[str, Any]]:
    """The lines of trainings with this config, as far as they tell theirs: shortened records, which tell the data's
    name alone, and lines of versions that knew fewer options, stay of use: what is not told of LapNet's is as it is by
    default. A whole line fits where its key does."""
    wanted = decisive(config)
    options = wanted.get("lapnet", {})

    def fits(line: dict[str, Any]) -> bool:
        told = {**line["config"], "seed": line["seed"]}
        switches, data = told.pop("lapnet", {}), told.pop("data", "")
        here = placed(data) == wanted["data"] if data else line["data"] == Path(config.data).name
        same = here and all(wanted.get(name) == value for name, value in told.items())
        return same and (not options or not switches or options == DEFAULTS | switches)

    return [line for line in lines if fits(line)]


def _line(job: Job) -> dict[str, Any]:
    return {
        "key": job.key, "data": Path(job.config.data).name, "seed": job.config.seed, "config": decisive(job.config),
        "torch": torch.__version__, "machine": machine_name(job.config.device), "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def _run(job: Job, known: dict[str, Any], open_images: Callable[..., Images], progress: bool) -> dict[str, Any] | None:
    """The job's line, None where a signal stopped it. A model that is whole was trained for a table that looked at
    fewer splits: what `known`, the line of that, lacks is measured."""
    config, folder = job.config, job.config.run_dir
    resume = any((folder / name).exists() for name in (LAST, PREVIOUS))
    if not resume and (folder / "model.safetensors").exists():
        line, detector = known or _line(job), Detector.load(folder, pick_device(config.device))
    else:
        dataset = open_images(config.data, config.split, image_size=config.image_size, on_error=config.on_error)
        watch = Watch(config.steps)
        try:
            with warnings.catch_warnings():  # else its row would not be what it is called
                warnings.simplefilter("error", FromScratch)
                trained = train(config, dataset, resume=resume, progress=progress, on_step=watch)
        except FromScratch as problem:
            raise OSError(f"{job.table}, {job.row}, is not trained: {problem}") from None
        except FloatingPointError as error:  # a result: this row does not train at this rate
            return _line(job) | {"failed": str(error)} | {split: {"ap50": 0.0, "ap75": 0.0} for split in job.splits}
        if trained.interrupted:
            return None
        detector, seconds = trained.detector, trained.seconds  # of all its parts
        line = _line(job) | {"seconds": round(seconds, 1), "resumed": resume}
        line["images_per_second"] = round(config.steps * config.batch_size / seconds, 1)
        kept = trained.log[:: max(1, len(trained.log) // 60)]
        line["log"] = [{k: _short(v) for k, v in entry.items() if k != "lr"} for entry in kept]
        if "steps" in watch.told:
            text = json.dumps({"key": job.key, "class_names": detector.class_names, **watch.told})
            write_whole(folder / "weights.json", lambda part: part.write_text(text, encoding="utf-8"))
    names, size = detector.class_names, config.image_size
    for split in [split for split in job.splits if split not in line]:
        images = open_images(config.data, split, image_size=size, class_names=names, on_error=config.on_error)
        line[split] = measure(detector, images, replicates=split == "test", progress=progress)
    return line


def measure(
    detector: Detector, images: Images, *, replicates: bool = False, progress: bool = False
) -> dict[str, Any]:  # fmt: skip
    """VOC AP (area) at IoU .5, .75, and on average over .5 to .95; at .5 by class and by size of the object; the draws
    of `bootstrap.draws` where `replicates`."""
    detections, targets, skipped = detector.predict_dataset(images, progress=progress)
    classes, once = len(detector.class_names), np.ones((1, len(targets)))
    at = [verdicts(detections, targets, classes, iou_threshold=t) for t in THRESHOLDS]
    each = [float(v.mean_ap(once)[0]) for v in at]
    line: dict[str, Any] = {"images": len(targets), "skipped": len(skipped), "ap50": each[0], "ap75": each[5]}
    line["ap"], of_class = float(np.mean(each)), at[0].of_class
    line["per_class"] = {name: float(of_class(c).mean_ap(once)[0]) for c, name in enumerate(detector.class_names)}
    for size, area in SIZES.items():
        line[size] = float(verdicts(detections, targets, classes, area=area).mean_ap(once)[0])
    if replicates:
        weights = draws(len(targets))
        line["replicates"] = {
            name: [round(x, 4) for x in v.mean_ap(weights).tolist()] for name, v in (("ap50", at[0]), ("ap75", at[5]))
        }
    return {name: _short(value) for name, value in line.items()}


class Watch:
    """Writes down LapNet's balance weights as a training goes on, and in how many batches of its last quarter each grid
    (c, a) had a positive; of a training that was gone on with, from there on."""

    def __init__(self, steps: int) -> None:
        self.every, self.last_quarter = max(1, steps // WATCHED), steps * 3 // 4
        self.told: dict[str, Any] = {}
        self.active: Any = 0

    def __call__(self, step: int, method: Method) -> None:
        loss: Any = getattr(method, "criterion", None)
        terms: Any = getattr(method, "terms", None)
        if loss is None or terms is None or not loss.s_loc_anchor.requires_grad:  # no anchor weights are learned
            return
        if step % self.every == 0:
            self.told.setdefault("shapes", rounded(method.shapes))
            for name, s in loss.named_parameters():
                self.told.setdefault(name, []).append(rounded(s.detach()))
            self.told.setdefault("steps", []).append(step)
        if step > self.last_quarter:
            at, size = terms.positives, loss.s_loc_anchor.shape
            count = (at.label * size[1] + at.anchor).bincount(minlength=size.numel())
            self.active = (count > 0).int().view(size) + self.active
            self.told |= {"active_batches": self.active.tolist(), "of_batches": self.told.get("of_batches", 0) + 1}


def results(out: Path) -> list[dict[str, Any]]:
    """The lines of `out`/results.jsonl; one that was cut in half, as on a full disk, is left out."""
    path, found = out / "results.jsonl", []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(text))
    return found


def append(path: Path, line: dict[str, Any]) -> None:
    """One line more, in one write, so that processes that share a queue do not mix theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (json.dumps(line) + "\n").encode()
    if path.is_file() and not path.read_bytes().endswith(b"\n"):
        text = b"\n" + text  # after a line that was cut in half
    with naming(path), path.open("ab", buffering=0) as file:
        if file.write(text) < len(text):  # a full disk takes what there is room for
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())


def table(name: str, lines: Sequence[dict[str, Any]], base: TrainConfig, metric: str = "ap50") -> list[dict[str, Any]]:
    """The rows of a table as far as they have run: mean over the `seeds` that have not `diverged`, the interval of 95 %
    (images and seeds drawn again), and the same of the difference to `against`, the last row that has a mean, paired by
    image; of ONLY_VAL the mean on val alone. nan where all have diverged. ValueError where they were tested on other
    numbers of images."""
    seeds = sorted({line["seed"] for line in lines})
    split, needed = ("val", metric) if name in ONLY_VAL else ("test", "replicates")
    ended = [line for line in lines if "failed" in line or needed in line.get(split, {})]
    rows, last, nan, counts = [], None, float("nan"), set()
    for row, changes in reversed(TABLES[name].items()):
        found = [line for seed in seeds for line in fitting(ended, base.with_options(**changes, seed=seed))[:1]]
        tested = [line[split] for line in found if "failed" not in line]
        about = {"row": row, "seeds": len(tested), "diverged": len(found) - len(tested)}
        about |= {metric: nan, "interval": (nan, nan), "deviation": None, "difference": None, "against": None}
        if tested:
            values = [test[metric] for test in tested]
            about |= {metric: float(np.mean(values))}
            about |= {"deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None}
        if tested and split == "test":
            counts |= {test["images"] for test in tested}
            sampled = of_seeds(np.array([test["replicates"][metric] for test in tested]), seed=len(rows))
            about |= {"interval": interval(sampled)}
            about |= {"difference": interval(sampled - last[1]), "against": last[0]} if last else {}
            last = last or (row, sampled)
        rows += [about] if found else []
    if len(counts) > 1:
        raise ValueError(f"{name} was tested on {counts} images, as the data has changed: --out takes another folder")
    return rows[::-1]


def rounded(values: Any) -> Any:
    """Numbers of four digits, in lists, of a tensor, an array or a number."""
    return np.vectorize(lambda x: float(f"{x:.4g}"), otypes=[float])(torch.as_tensor(values).cpu().numpy()).tolist()


def _short(value: Any) -> Any:
    """Numbers of five digits, nan as None: JSON has none."""
    if isinstance(value, float):
        return None if value != value else float(f"{value:.5g}")
    return {k: _short(v) for k, v in value.items()} if isinstance(value, dict) else value
