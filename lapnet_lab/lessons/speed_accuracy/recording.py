"""Measures what notebook 10 draws, and writes it to data/runs/speed_voc_animals.jsonl, one result a line.

    python -m lapnet_lab.lessons.speed_accuracy.recording accuracy MODEL... --data voc_animals
    python -m lapnet_lab.lessons.speed_accuracy.recording speed MODEL... --data voc_animals
    python -m lapnet_lab.lessons.speed_accuracy.stated

A MODEL is a run's folder, or its model.safetensors. `accuracy` tests each at every size; a line that is there is not
done again. `speed` times all of them, and each of KINDS with random weights, at every size: nothing else should run on
the machine. Times that were recorded before with this data, machine and threads are replaced, since times can be
compared where they come from one process.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lapnet_core import ablate
from lapnet_core.data import collate, eval_transform
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.data.stream import Transformed
from lapnet_core.detector import Detector
from lapnet_core.evaluate.bootstrap import interval
from lapnet_core.files import write_whole
from lapnet_core.timing import machine_name
from lapnet_lab.lessons.speed_accuracy import measuring
from lapnet_lab.lessons.speed_accuracy.measuring import BATCH, KINDS, SIZES, at_size, kind_of, untrained
from lapnet_lab.lessons.speed_accuracy.study import PATH, lines_of, same

Open = Callable[..., Images]
RESAMPLED = ("ap50", "ap75")


def _about(data: str, device: str) -> dict[str, Any]:
    return {
        "data": Path(data).name, "machine": machine_name(device), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def trained_as(model: Path) -> dict[str, Any]:
    """Seed, steps, learning rate and AP50 on val, where `lapnet ablate` has left them beside the run; else None."""
    folder = model if model.is_dir() else model.parent
    lines = [line for line in ablate.results(folder.parent.parent) if line["key"] == folder.name]
    last = lines[-1] if lines else {"config": {}}
    told = {**last["config"], "seed": last.get("seed"), "val": last.get("val", {}).get("ap50")}
    return {name: told.get(name) for name in ("seed", "steps", "lr", "val")}


def accuracy(
    models: Sequence[Path], data: str, out: Path, sizes: Sequence[int] = SIZES, *, device: str = "cpu",
    open_images: Open = open_dataset, progress: bool = True, told: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Test each model at every size on `data`'s test; the file grows by one line for each that is not there yet."""
    for path in models:
        detector, trained = Detector.load(path, device), trained_as(path)
        method, backbone = kind_of(detector)
        for size in sizes:
            head = {"kind": "accuracy", "data": Path(data).name, "method": method, "backbone": backbone, "size": size}
            head |= {"trained_at": detector.image_size[0], "split": "test", **trained}
            if any(same(head, line) for line in lines_of(out)):
                continue
            images = open_images(data, "test", image_size=(size, size), class_names=detector.class_names)
            found = ablate.measure(at_size(detector, size), images, replicates=True, progress=progress)
            drawn = {name: [round(x, 3) for x in found["replicates"][name]] for name in RESAMPLED}
            ends = {name: [round(x, 4) for x in interval(np.array(found["replicates"][name]))] for name in RESAMPLED}
            line = head | {name: found[name] for name in ("images", "ap50", "ap75", "ap", "per_class")}
            ablate.append(out, line | {"interval": ends} | _about(data, device) | {"replicates": drawn})
            told(f"{method}, {backbone}, {size} px: AP50 {found['ap50']:.3f}, AP75 {found['ap75']:.3f}")


def speed(
    models: Sequence[Path], data: str, out: Path, sizes: Sequence[int] = SIZES, *, device: str = "cpu",
    turns: int = measuring.TURNS, batch_turns: int = measuring.BATCH_TURNS, open_images: Open = open_dataset,
    progress: bool = True, told: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Time the models, and KINDS with random weights, at every size, on the first photographs of `data`'s test."""
    trained = [Detector.load(path, device) for path in models]
    images = open_images(data, "test", image_size=(192, 192))
    random = [untrained(kind, len(images.class_names)) for kind in KINDS]
    for one in random:
        one.method.to(device)
    both = [*measuring.contestants(trained, sizes, "trained"), *measuring.contestants(random, sizes, "random")]
    shown = {size: collate([Transformed(images, eval_transform((size, size)))[k] for k in range(BATCH)]).images
             for size in sizes}  # fmt: skip
    about = {"kind": "speed", **_about(data, device)}
    speeds = measuring.measure(both, shown, turns, batch_turns, progress=progress)
    one_set = {name: about[name] for name in ("kind", "data", "machine", "threads")}
    before = lines_of(out)
    kept = [line for line in before if not same(one_set, line)]
    lines = [*kept, *({**about, **each.line()} for each in speeds)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_whole(out, lambda part: part.write_text(text, encoding="utf-8"))
    replaced = len(before) - len(kept)
    told(f"{out}: {len(speeds)} times" + (f" in the place of {replaced} of this machine" if replaced else ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 1 where a model or the data cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m lapnet_lab.lessons.speed_accuracy.recording", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("what", choices=("accuracy", "speed"))
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--data", default="voc_animals", help="a data set's name or folder; its test is looked at")
    parser.add_argument("--out", type=Path, default=PATH)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of the input, multiples of 32")
    parser.add_argument("--threads", type=int, default=0, help="of torch; as many as it takes without")
    parser.add_argument("--turns", type=int, default=measuring.TURNS, help="of single images; a third of batches")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        if given.what == "accuracy":
            accuracy(given.models, given.data, given.out, given.sizes, device=given.device)
        else:
            turns, some = given.turns, -(-given.turns // 3)
            speed(given.models, given.data, given.out, given.sizes, device=given.device, turns=turns, batch_turns=some)
    except (OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
