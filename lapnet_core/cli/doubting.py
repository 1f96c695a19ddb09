"""What `lapnet evaluate` says of annotations that the detector doubts, and the pictures of them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MANY = 0.1
"""Doubts for each object, from which on they are told without being asked for."""
SHOWN = 64


def said(
    names: Sequence[str], doubted: Sequence[Any], detections: Any, targets: Any, mean_ap: float | None
) -> list[str]:
    """What is in doubt, in which images, and how much of the mAP it may cost, if there is one."""
    from lapnet_core.evaluate import voc_map
    from lapnet_core.evaluate.doubts import SURE, without

    overlooked = [doubt for doubt in doubted if doubt.annotated is None]
    swapped = [doubt for doubt in doubted if doubt.annotated is not None]
    lines = [f"annotations in doubt, by detections with a score of at least {SURE}:"]
    if not doubted:
        return [f"{lines[0]} none"]
    where = Counter(str(targets[doubt.image]["image_id"]) for doubt in doubted)
    if overlooked:
        of = Counter(str(names[doubt.label]) for doubt in overlooked)
        lines.append(f"  on no object, {len(overlooked)}: {_counted(of)}")
        if mean_ap is not None:
            better = voc_map(without(detections, overlooked), targets, len(names), class_names=names).mean_ap
            cost = f"{100 * (better - mean_ap):.1f} points of mAP (it would be {better:.4f})"
            lines.append(f"    if all of them are objects that were overlooked, they cost {cost}")
    if swapped:
        of = Counter(f"{names[doubt.label]} on {names[doubt.annotated]}" for doubt in swapped)
        lines.append(f"  on an object of another class, {len(swapped)}: {_counted(of)}")
    lines.append(f"  in {len(where)} of {len(targets)} images, most in {_counted(where)}")
    return lines


def hint(doubted: Sequence[Any], targets: Any) -> str:
    """One line where there is much in doubt, else nothing."""
    objects = sum(len(target["labels"]) for target in targets)
    if len(doubted) < max(1, MANY * objects):
        return ""
    return f"{len(doubted)} sure detections are on no object, or on one of another class: --doubts FILE.png shows them"


def write_sheet(path: Path, dataset: Any, names: Sequence[str], doubted: Sequence[Any], targets: Any) -> str:
    """Writes a contact sheet of the surest doubts; returns what to say of it."""
    from PIL import Image

    from lapnet_core.cli.drawing import contact_sheet, cropped
    from lapnet_core.files import write_new, wrote

    shown, places = doubted[:SHOWN], {str(dataset.target(k)["image_id"]): k for k in range(len(dataset))}
    crops: list[Any] = [None] * len(shown)
    for image in sorted({doubt.image for doubt in shown}):
        name = str(targets[image]["image_id"])
        picture = Image.fromarray(dataset[places[name]][0].permute(1, 2, 0).numpy())
        for k, doubt in enumerate(shown):
            if doubt.image == image:
                but = "no object" if doubt.annotated is None else names[doubt.annotated]
                caption = f"{name}\n{names[doubt.label]} {doubt.score:.2f}; {but}"
                crops[k] = (cropped(picture, doubt.box.tolist(), targets[image]["boxes"].tolist()), caption)
    written = write_new(path, lambda part: contact_sheet(crops).save(part, format="PNG"))
    return f"{wrote(path, written)}: the {len(shown)} surest of {len(doubted)}, and in blue what is annotated"


def _counted(counts: Counter[str], most: int = 4) -> str:
    more = f", and {len(counts) - most} more" if len(counts) > most else ""
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common(most)) + more
