"""Assignment for one COCO image at 512 px (80 classes, 10 anchors, 64 x 64 cells: 3.28 million anchors, 7 objects).

Beside it what one would write with torchvision: `box_iou` of the objects with the anchors of their class, alone and
with the maps made from it, and `box_iou` with all anchors. The dense anchors are made beforehand. Each figure is a
median in one process; the ratios are what to quote.
"""

import torch
from torchvision.ops import box_iou

from lapnet_core.anchors import anchor_boxes
from lapnet_core.assign import assign
from lapnet_core.losses import LapNetLoss
from lapnet_core.timing import seconds_each

CLASSES, ANCHORS, GRID, OBJECTS = 80, 10, (64, 64), 7


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = torch.rand(CLASSES, ANCHORS, 2, generator=generator) * 300 + 8
    corner = torch.rand(OBJECTS, 2, generator=generator) * 400
    boxes = torch.cat((corner, corner + torch.rand(OBJECTS, 2, generator=generator) * 100 + 5), 1)
    labels = torch.tensor([0, 0, 0, 2, 2, 56, 79])
    dense = anchor_boxes(shapes, GRID)

    def ours() -> tuple[torch.Tensor, torch.Tensor]:
        result = assign(shapes, GRID, boxes, labels)
        return result.overlap, result.object_index  # the whole maps, written out

    def same_class() -> list[torch.Tensor]:
        return [box_iou(boxes[labels == c], dense[c].view(-1, 4)) for c in labels.unique().tolist()]

    def same_maps() -> tuple[torch.Tensor, torch.Tensor]:
        overlap = torch.zeros(1, CLASSES, ANCHORS, *GRID)
        owner = torch.full(overlap.shape, -1)
        for c in labels.unique().tolist():
            ids = (labels == c).nonzero().flatten()
            best, winner = box_iou(boxes[ids], dense[c].view(-1, 4)).max(0)
            peaks = torch.stack([best[winner == k].max() for k in range(len(ids))])
            overlap[0, c] = (best / peaks[winner]).view(overlap.shape[2:])
            owner[0, c] = torch.where(best > 0, ids[winner], -1).view(overlap.shape[2:])
        return overlap, owner

    def everything() -> torch.Tensor:
        return box_iou(boxes, dense.view(-1, 4))

    def positives() -> torch.Tensor:
        return assign(shapes, GRID, boxes, labels).positives().flat

    for mine, theirs in zip(ours(), same_maps(), strict=True):
        torch.testing.assert_close(mine, theirs)
    reference = seconds_each(ours, repeats=15)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"assign, maps written out             {reference * 1e3:6.1f} ms")
    print(f"assign, positives only (the loss)    {seconds_each(positives, repeats=15) * 1e3:6.1f} ms")
    for name, work, repeats in (
        ("the same maps by box_iou, same class", same_maps, 9),
        ("box_iou alone, same class", same_class, 9),
        ("box_iou alone, all anchors", everything, 3),
    ):
        seconds = seconds_each(work, repeats=repeats)
        print(f"{name:36} {seconds * 1e3:6.1f} ms   {seconds / reference:6.1f} times ours")

    scores, offsets = torch.zeros(1, CLASSES, ANCHORS, *GRID), torch.zeros(1, CLASSES, ANCHORS, 4, *GRID)
    loss = LapNetLoss(CLASSES, ANCHORS)
    target = {
        "boxes": boxes,
        "labels": labels,
        "difficult": torch.zeros(OBJECTS, dtype=torch.bool),
        "image_id": 0,
        "original_size": (512, 512),
    }
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    bare = seconds_each(lambda: entropy(scores, torch.zeros_like(scores)), repeats=9)
    whole = seconds_each(lambda: loss(scores, offsets, shapes, [target]), repeats=9)  # pyright: ignore[reportArgumentType]
    print(f"loss, forward                        {whole * 1e3:6.1f} ms   {whole / bare:6.1f} times its cross-entropy")


if __name__ == "__main__":
    main()
