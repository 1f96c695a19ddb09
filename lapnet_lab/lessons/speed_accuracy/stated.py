"""What notebook 10 states of the recorded results; `python -m lapnet_lab.lessons.speed_accuracy.stated` writes it down.

Run it when data/runs has new lines: data/records/speed_accuracy.json takes the numbers and the verdicts from here, and
the notebook takes them from there when it is built.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lapnet_lab.lessons.speed_accuracy import study
from lapnet_lab.lessons.speed_accuracy.study import NAMES, Point
from lapnet_lab.records import DATA, rewrite

RECORDS = DATA / "records" / "speed_accuracy.json"
SAME = 1.15
"""Times that differ by no more are "almost the same"."""
OURS = "LapNet"
PEERS = {name: method for (method, _), name in NAMES.items() if method != "lapnet"}
"""Name -> how its records are called."""
SMALLER = 128
"""px: the size that the one of the training is compared with."""
ONE_SEED = "undecided here: one seed"


def _points(told: Sequence[float]) -> dict[str, float]:
    return {part: round(100 * number, 1) for part, number in zip(("mean", "low", "high"), told, strict=True)}


def _three(told: Sequence[float]) -> dict[str, float]:
    return {part: round(number, 2) for part, number in zip(("median", "low", "high"), told, strict=True)}


def timed(found: Sequence[Point], prefix: str = "") -> dict[str, Any]:
    """What the clock of one machine said: the peers' times over ours, and how often some size of ours is on a front."""
    written = {}
    for name, key in PEERS.items():
        if times := study.ratios(found, name, OURS):
            unit = f"times the time of {OURS}, one image: median, least, most over the sizes"
            written[f"{prefix}time_{key}"] = {"value": _three(study.spread(times)), "unit": unit, "format": ".2f"}
    for metric, short in (("ap50", "50"), ("ap75", "75")):
        shares = study.front_shares(found, metric) if found else {}
        if own := [share for label, share in shares.items() if label.rpartition(" ")[0] == OURS]:
            unit = f"of the draws in which the likeliest size of {OURS} is on the front of {metric} and time"
            written[f"{prefix}front{short}"] = {"value": round(max(own), 3), "unit": unit, "format": ".0%"}
    return written


def values(found: Sequence[Point]) -> dict[str, Any]:
    """What data/records/speed_accuracy.json has under "recorded", as far as it was measured."""
    at_192, written = study.at_size(found), timed(found)
    written["points"] = {"value": len(found), "unit": "detectors at a size", "format": ""}
    for name, key in PEERS.items():
        if {name, OURS} <= set(at_192):
            for metric, short in (("ap50", "50"), ("ap75", "75")):
                gap = _points(study.gap(at_192[OURS], at_192[name], metric))
                unit = f"points of {metric} that {OURS} is above, at 192 px, photographs drawn again, 95 %, one seed"
                written[f"gap{short}_{key}"] = {"value": gap, "unit": unit, "format": "+.1f"}
    small = study.at_size(found, SMALLER)
    if OURS in small and OURS in at_192:
        gap = _points(study.gap(at_192[OURS], small[OURS], "ap50"))
        written["larger"] = {"value": gap, "unit": f"points of ap50 of {OURS}, {SMALLER} to 192 px", "format": "+.1f"}
        times = round(at_192[OURS].ms / small[OURS].ms, 2)
        written["larger_time"] = {"value": times, "unit": "times the time", "format": ".2f"}
    return written


def same_time(told: Mapping[str, float]) -> str:
    """The verdict about "almost the same time", from the peer's time over ours."""
    slowest, typical = 1 / told["low"], 1 / told["median"]
    return "reproduced" if slowest <= SAME else "refuted" if typical > SAME else "undecided here"


def verdict_rows(known: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the closing table, cells with references; a row for what was measured."""
    rows = []

    def ours(key: str) -> str:
        return f"{{speed_accuracy.{key}.mean}} [{{speed_accuracy.{key}.low}}, {{speed_accuracy.{key}.high}}]"

    def paper(row: str, other: str, column: str = "ap") -> str:
        return f"{{paper.table_3.{row}.{column}}} against {{paper.table_3.{other}.{column}}}"

    if "time_yolov3" in known:
        told = known["time_yolov3"]["value"]
        here = ("with short stacks YOLOv3-style takes {speed_accuracy.time_yolov3.median} times LapNet's time, from "
                "{speed_accuracy.time_yolov3.low} to {speed_accuracy.time_yolov3.high} by size")  # fmt: skip
        rows.append(["LapNet takes about YOLOv3's time (fig. 1)", "“almost the same”", here, same_time(told)])
    if "gpu_time_yolov3" in known:
        here = "{speed_accuracy.gpu_time_yolov3.median} times, kernel after kernel"
        rows.append(["the same, on a GPU", "", here, same_time(known["gpu_time_yolov3"]["value"])])
    accuracy = (
        ("yolov3", "it is above YOLOv3 (table 3)", paper("Lapnet-608", "YoloV3-608")),
        ("retinanet", "above RetinaNet, similar size (table 3)", paper("Lapnet-512", "RetinaNet-500.ResNet-101-FPN")),
        ("ssd", "above SSD (table 3)", paper("Lapnet-512", "SSD-513")),
    )  # fmt: skip
    for key, claim, there in accuracy:
        if f"gap75_{key}" in known:
            here = f"AP50 {ours(f'gap50_{key}')}, AP75 {ours(f'gap75_{key}')} points"
            rows.append([claim, f"AP {there}", here, ONE_SEED])
    if "time_fcos" in known and "time_retinanet" in known:
        here = ("at one size and backbone {speed_accuracy.time_retinanet.median} and "
                "{speed_accuracy.time_fcos.median} times")  # fmt: skip
        claim = "RetinaNet-800 and FCOS-800 take far longer (fig. 1)"
        rows.append([claim, "2.5 times as long", here, "not tried: other sizes, other backbones"])
    if "larger" in known:
        told = known["larger"]["value"]
        word = "reproduced, for one network" if told["low"] > 0 else ONE_SEED
        here = f"128 to 192 px: AP50 {ours('larger')} points, in {{speed_accuracy.larger_time}} times the time"
        rows.append(
            ["a larger input gains accuracy, and costs time", f"AP {paper('Lapnet-608', 'Lapnet-512')}", here, word]
        )
        both = (("a very good compromise of both (abstract)", "fig. 1", ""), ("the same, on a GPU", "", "gpu_"))
        for claim, there, prefix in both:
            if f"{prefix}front50" in known:
                here = (f"on the front in {{speed_accuracy.{prefix}front50}} of the draws at AP50, "
                        f"in {{speed_accuracy.{prefix}front75}} at AP75")  # fmt: skip
                rows.append([claim, there, here, ONE_SEED])
    return rows


def updated(file: Mapping[str, Any]) -> dict[str, Any]:
    """The record with what the recorded lines say now."""
    lines = study.lines_of()
    found = study.points(lines)
    used = [line for line in lines if line["data"] == "voc_animals"]
    new: dict[str, Any] = json.loads(json.dumps(file))
    first, *others = study.machines(lines, "voc_animals")
    known = values(found)
    for gpu in [machine for machine in others if "cores" not in machine.name][:1]:
        known |= timed(study.points(lines, machine=gpu), "gpu_")
    new["measured"]["recorded"] |= {
        "seed": sorted({line["seed"] for line in used if line.get("seed") is not None}),
        "date": max(line["date"] for line in used), "runs": len(used), "values": known,
        "machine": "; ".join(map(str, (first, *others))),
    }  # fmt: skip
    new["tables"]["verdicts"]["rows"] = verdict_rows(known)
    return new


def main(path: Path = RECORDS) -> None:
    """Write the record anew."""
    rewrite(path, updated)


if __name__ == "__main__":
    main()
