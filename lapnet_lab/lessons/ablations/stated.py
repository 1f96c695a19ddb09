"""What notebook 09 states of the recorded trainings; `python -m lapnet_lab.lessons.ablations.stated` writes it down.

Run it when data/runs has new trainings: data/records/ablations.json takes the numbers and the verdicts from here, and
the notebook takes them from there when it is built.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lapnet_core.config import small_photos
from lapnet_lab.lessons.ablations import study
from lapnet_lab.records import DATA, rewrite
from lapnet_lab.runs import BLOOD, ENOUGH, RESAMPLED, Difference, Row, difference, matching, runs

RECORDS = DATA / "records" / "ablations.json"
KEYS = {
    "2a": {"AO": "ao", "AO, AMS": "ao_ams", "PONO": "pono", "PONO, AMS": "pono_ams"},
    "2b": {"ones": "ones_ams", "R": "r_ams", "R, focal loss": "focal_ams", "loss weights": "loss_ams"},
    "2b without AMS": {"ones": "ones", "R": "r", "R, focal loss": "focal", "loss weights": "loss"},
    "ams": {"none": "steady", "paper's": "paper", "annealed (ours)": "annealed", "relative (ours)": "relative",
            "ignore (ours)": "ignore", "from the second half on": "late"},
    "depth": {"1 convolution (ours)": "shallow"},
    "even": {"even (ours)": "ours"},
    "even, AMS": {"paper": "ours_paper", "annealed": "ours_annealed"},
    "anchors": {"5 a class": "five"},
    "cls_weight": {"x 4": "steady_4", "x 4, AMS": "paper_4"},
    "schedule": {"none": "long_none", "paper's": "long_paper", "annealed (ours)": "long_annealed"},
}  # fmt: skip
"""Under which name a row's number is recorded: table -> row -> key. A peer has its method's name."""
PAIRS: dict[str, tuple[str, str, Literal["more", "less"]]] = {
    "pono_over_ao": ("pono", "ao", "more"),
    "ams_on_ao": ("ao_ams", "ao", "less"),
    "ams_on_pono": ("pono_ams", "pono", "more"),
    "ams_on_steady": ("paper", "steady", "more"),
    "ams_on_r": ("r_ams", "r", "more"),
    "ams_on_four": ("paper_4", "steady_4", "more"),
    "four_on_paper": ("paper_4", "paper", "more"),
    "ams_on_long": ("long_paper", "long_none", "more"),
    "annealed_over_none": ("annealed", "steady", "more"),
    "late_over_none": ("late", "steady", "more"),
    "steady_over_learned": ("steady", "pono", "more"),
    "learned_over_ones": ("pono_ams", "ones_ams", "more"),
    "learned_over_r": ("pono_ams", "r_ams", "more"),
    "learned_over_r_alone": ("pono", "r", "more"),
    "focal_on_r": ("focal_ams", "r_ams", "less"),
    "loss_over_r": ("loss_ams", "r_ams", "more"),
    "learned_over_loss": ("pono_ams", "loss_ams", "more"),
    "shallow_over_steady": ("shallow", "steady", "more"),
    "shallow_over_long": ("long_shallow", "long_none", "more"),
    "ours_over_shallow": ("ours", "shallow", "more"),
    "ours_over_long": ("long_ours", "long_shallow", "more"),
    "five_over_ours": ("five", "ours", "more"),
    "over_yolov3": ("ours", "yolov3", "more"),
    "over_ssd": ("ours", "ssd", "more"),
    "over_faster_rcnn": ("ours", "faster_rcnn", "more"),
    "over_retinanet": ("ours", "retinanet", "more"),
    "over_fcos": ("ours", "fcos", "more"),
    "steady_over_ssd": ("steady", "ssd", "more"),
    "over_long_ssd": ("long_ours_annealed", "long_ssd", "more"),
    "over_long_fcos": ("long_ours_annealed", "long_fcos", "more"),
    "annealed_on_ours": ("ours_annealed", "ours", "more"),
    "annealed_on_long_ours": ("long_ours_annealed", "long_ours", "more"),
}
"""Differences that are stated where both rows have run, and whether the claim is that the first has more or less."""


CELLS = dict(zip(("blood_short_", "blood_middle_", "blood_"), study.BLOOD_SCHEDULES, strict=True))
"""What the names of numbers from BCCD begin with -> steps of the trainings; its rows and PAIRS are called as those of
the photographs."""


SMALLEST = "Platelets"
"""The class of BCCD whose objects are by far the smallest: 39 px in the middle, as against 103 and 189."""


def blood_rows(steps: int) -> dict[str, Row]:
    """Every row that has run on BCCD for so many steps, by its key."""
    return {KEYS[name][label]: row for name in ("2a", "2b") for label, row in study.blood(name, steps).items()
            if label in KEYS[name]}  # fmt: skip


def rows() -> dict[str, Row]:
    """Every row that has run on photographs, by its key."""
    found: dict[str, Row] = {}
    for name, keys in KEYS.items():
        table = study.table(name, study.LONG if name == "schedule" else study.STEPS)
        found |= {keys[label]: row for label, row in table.items() if label in keys}
    shallow = study.table("depth", study.LONG)["1 convolution (ours)"]
    long = {"long_shallow": shallow, "long_ours": study.best_of_ours(study.LONG)}
    long |= {f"long_{method}": row for method, row in study.table("peers", study.LONG).items()}
    long |= {
        f"long_ours_{rule}": row for rule, row in study.without(study.table("even, AMS", study.LONG), "none").items()
    }
    return found | long | {method: row for method, row in study.peers().items() if method != "lapnet"}


def differences(metric: str, found: Mapping[str, Row]) -> dict[str, Difference]:
    """PAIRS whose rows have both run."""
    both = {name: pair for name, pair in PAIRS.items() if pair[0] in found and pair[1] in found}
    return {name: difference(found[a], found[b], metric) for name, (a, b, _) in both.items()}


def values() -> dict[str, Any]:
    """What data/records/ablations.json has under "trained"."""
    found, all_runs = rows(), runs()
    written: dict[str, Any] = {
        "runs": {"value": len(all_runs), "unit": "trainings", "format": ""},
        "minutes": {
            "value": round(float(np.mean([run["seconds"] for run in all_runs if "H200" in run["machine"]])) / 60, 1),
            "unit": "min, the mean of a training, most of them 16 on one card", "format": "",
        },
    }  # fmt: skip
    return written | _numbers(found)


def _numbers(found: Mapping[str, Row], prefix: str = "") -> dict[str, Any]:
    """Means and differences of rows."""
    written: dict[str, Any] = {}
    for metric in RESAMPLED:
        means = {key: round(100 * row.mean(metric), 1) for key, row in found.items()}
        written[prefix + metric] = {"value": means, "unit": "%, test, mean over the seeds", "format": ".1f"}
        for name, d in differences(metric, found).items():
            told = {"mean": d.mean, "low": d.low, "high": d.high}
            key = name if metric == "ap50" else f"{name}_75"
            points = {part: round(100 * number, 1) for part, number in told.items()}
            written[prefix + key] = {"value": points, "unit": f"points of {metric}, 95 %", "format": "+.1f"}
    return written


def verdict(name: str, gap: Difference, second: Row) -> str:
    """The word about a pair, and why there is none where a row has one seed or the second had no tuning."""
    if "(not tuned)" in second.name:
        return "undecided here: the peer was not tuned"
    return gap.verdict(PAIRS[name][2]) + (": one seed" if min(gap.seeds) < ENOUGH else "")


def claims() -> list[tuple[str, str, str, str]]:
    """(The claim, the paper's numbers, the key of our difference, the metric), in the order of the closing table."""
    a = "{{paper.table_2a.{}.{}.map}}"
    b = "{{paper.table_2b.{}.map}}"
    learned, retina = a.format("pono", "yes"), b.format("retina")  # the last row of 2b is the last of 2a
    yolo, lapnet = "{{paper.table_3.YoloV3-608.{}}}", "{{paper.table_3.Lapnet-608.{}}}"
    ssd, ours = "{{paper.table_3.SSD-513.{}}}", "{{paper.table_3.Lapnet-512.{}}}"

    def against(more: str, less: str) -> str:
        return f"{more} against {less}"

    return [
        ("PONO is above AO (2a)", against(a.format("pono", "no"), a.format("ao", "no")), "pono_over_ao", "ap50"),
        ("AMS harms AO (2a)", against(a.format("ao", "yes"), a.format("ao", "no")), "ams_on_ao", "ap50"),
        ("AMS gains with PONO (2a)", against(a.format("pono", "yes"), a.format("pono", "no")), "ams_on_pono", "ap50"),
        ("the same, steady weights", "", "ams_on_steady", "ap50"),
        ("the same, with R", "", "ams_on_r", "ap50"),
        ("the same, with R, at AP75", "", "ams_on_r", "ap75"),
        ("the same, steady weights, the classification times four", "", "ams_on_four", "ap50"),
        ("the same, steady weights, the classification times four, at AP75", "", "ams_on_four", "ap75"),
        ("the same, three times the steps", "", "ams_on_long", "ap50"),
        ("annealed AMS on our best, three times the steps", "", "annealed_on_long_ours", "ap50"),
        ("the same at AP75", "", "annealed_on_long_ours", "ap75"),
        ("PONO is above AO, on blood cells, 23 epochs", "", "blood_pono_over_ao", "ap50"),
        ("AMS harms AO there, 23 epochs", "", "blood_ams_on_ao", "ap50"),
        ("AMS gains with PONO there, 4.5 epochs", "", "blood_short_ams_on_pono", "ap50"),
        ("12 epochs", "", "blood_middle_ams_on_pono", "ap50"),
        ("23 epochs", "", "blood_ams_on_pono", "ap50"),
        ("23 epochs, at AP75", "", "blood_ams_on_pono", "ap75"),
        ("all weights 1 fail (2b)", against(learned, b.format("ones")), "learned_over_ones", "ap50"),
        ("learned weights are above R (2b)", against(learned, retina), "learned_over_r", "ap50"),
        ("the same, without AMS", "", "learned_over_r_alone", "ap50"),
        ("the same, on blood cells", "", "blood_learned_over_r", "ap50"),
        ("focal loss is below R there (2b)", against(b.format("focal"), retina), "blood_focal_on_r", "ap50"),
        ("loss weights alone are above R there", against(b.format("loss"), retina), "blood_loss_over_r", "ap50"),
        ("anchor weights gain over them there", against(learned, b.format("loss")), "blood_learned_over_loss", "ap50"),
        ("above YOLOv3 at AP75 (3)", against(lapnet.format("ap75"), yolo.format("ap75")), "over_yolov3", "ap75"),
        ("but not at AP50 (3)", against(lapnet.format("ap50"), yolo.format("ap50")), "over_yolov3", "ap50"),
        ("above SSD at AP75 (3)", against(ours.format("ap75"), ssd.format("ap75")), "over_ssd", "ap75"),
        ("and at AP50 (3)", against(ours.format("ap50"), ssd.format("ap50")), "over_ssd", "ap50"),
        ("the same, three times the steps, at AP75", "", "over_long_ssd", "ap75"),
        ("the same, three times the steps, at AP50", "", "over_long_ssd", "ap50"),
    ]  # fmt: skip


def verdict_rows() -> list[list[str]]:
    """The rows of the closing table, cells with references."""
    measured = {"": rows()} | {prefix: blood_rows(steps) for prefix, steps in CELLS.items()}
    words: dict[tuple[str, str], str] = {}
    for prefix, found in measured.items():
        for metric in RESAMPLED:
            for name, gap in differences(metric, found).items():
                words[prefix + name, metric] = verdict(name, gap, found[PAIRS[name][1]])
    told = []
    for claim, paper, name, metric in claims():
        if (name, metric) not in words:
            continue
        key = f"ablations.{name}" if metric == "ap50" else f"ablations.{name}_75"
        word = words[name, metric]
        if claim == "but not at AP50 (3)":  # the paper's own table has YOLOv3 above
            word = {"refuted": "reproduced", "reproduced": "refuted"}.get(word, word)
        told.append([claim, paper, f"{{{key}.mean}} [{{{key}.low}}, {{{key}.high}}]", word])
    return told


def _of_runs(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a record says of the trainings behind it."""
    return {
        "seed": sorted({run["seed"] for run in lines}), "date": max(run["date"] for run in lines),
        "machine": "; ".join(sorted({run["machine"] for run in lines})), "runs": len(lines),
    }  # fmt: skip


def updated(file: Mapping[str, Any]) -> dict[str, Any]:
    """The record with what the trainings say now."""
    new: dict[str, Any] = json.loads(json.dumps(file))
    new["measured"]["trained"] |= _of_runs(runs()) | {"values": values()}
    cells: dict[str, Any] = {}
    for prefix, steps in CELLS.items():
        cells |= _numbers(blood_rows(steps), prefix)
    smallest = {key: round(100 * row.mean(objects=SMALLEST), 1) for key, row in blood_rows(study.BLOOD_STEPS).items()}
    unit = f"%, AP50 of {SMALLEST}, mean over the seeds"
    cells["blood_smallest"] = {"value": smallest, "unit": unit, "format": ".1f"}
    now = small_photos()
    wanted = {"backbone": now.backbone, "ams": now.lapnet.ams, "ams_rule": now.lapnet.ams_rule}
    preset = Row("small_photos", matching(wanted, runs(BLOOD)))
    kinds = {"map": "all", "platelets": SMALLEST, "red": "RBC", "white": "WBC"}
    reached = {name: round(preset.mean(objects=kind), 3) for name, kind in kinds.items()}
    cells["blood_preset"] = {"value": reached, "unit": "AP at IoU .5, small_photos, 1,000 steps", "format": ".3"}
    new["measured"]["blood cells"] |= _of_runs(runs(BLOOD)) | {"values": cells}
    new["tables"]["verdicts"]["rows"] = verdict_rows()
    return new


def main(path: Path = RECORDS) -> None:
    """Write the record anew."""
    rewrite(path, updated)


if __name__ == "__main__":
    main()
