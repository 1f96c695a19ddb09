"""The `lapnet` command: train, evaluate, predict, anchors, bench, data, doctor."""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from PIL import Image, ImageDraw, ImageFont
from tqdm.auto import tqdm

from lapnet_core.cli.anchors import Anchors, make_anchors
from lapnet_core.cli.doctor import report
from lapnet_core.config import PRESETS, TrainConfig, preset_for
from lapnet_core.data import DOWNLOADS, CocoDetection, DataError, DownloadError, data_dir
from lapnet_core.data.download import download
from lapnet_core.data.named import open_dataset
from lapnet_core.detector import Detector
from lapnet_core.evaluate import coco_map, voc_map, write_coco_results
from lapnet_core.model import LapNet
from lapnet_core.predict import Detection, detect
from lapnet_core.processes import pick_device
from lapnet_core.timing import seconds_each
from lapnet_core.train import train

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
# Okabe and Ito's colours tell apart for the colour-blind.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 for an error that is told in one line, 130 for Ctrl-C."""
    args = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "evaluate": lambda rest: _evaluate(tyro.cli(Evaluate, args=rest, prog="lapnet evaluate")),
        "predict": lambda rest: _predict(tyro.cli(Predict, args=rest, prog="lapnet predict")),
        "anchors": lambda rest: make_anchors(tyro.cli(Anchors, args=rest, prog="lapnet anchors")),
        "bench": lambda rest: _bench(tyro.cli(Bench, args=rest, prog="lapnet bench")),
        "data": lambda rest: _data(tyro.cli(Data, args=rest, prog="lapnet data")),
        "doctor": lambda rest: _doctor(tyro.cli(Doctor, args=rest, prog="lapnet doctor")),
    }
    if not args or args[0] not in commands:
        asked_for_help = bool(args) and args[0] in ("-h", "--help")
        print(f"usage: lapnet {{{','.join(commands)}}} ...   (lapnet COMMAND --help says more)\n")
        print("\n".join(f"  {name:9} {HELP[name]}" for name in commands))
        return 0 if asked_for_help else 2
    try:
        return commands[args[0]](args[1:])
    except (ValueError, FloatingPointError, DownloadError, OSError) as error:
        print(f"lapnet {args[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"lapnet {args[0]}: interrupted", file=sys.stderr)
        return 130


HELP = {
    "train": "train a LapNet; --data scenes | bccd | voc | coco | coco_tiny | FOLDER, --preset NAME",
    "evaluate": "mAP of a trained model on a split: VOC's both metrics, COCO's on COCO",
    "predict": "detections in image files, drawn and as JSON",
    "anchors": "cluster the anchors of a data set, or of a table of boxes, into a file",
    "bench": "speed of inference on this machine",
    "data": "what can be downloaded; get NAME ... fetches it",
    "doctor": "what this machine can run, and how long it will take",
}


def _train(args: list[str]) -> int:
    """Where the flags start from is given by --preset, or by --data; every other flag changes one field."""
    given = [arg for arg in args if arg != "--resume"]
    resume = len(given) < len(args)
    preset, args = _take(given, "--preset")
    if preset and preset not in PRESETS:
        raise ValueError(f'no preset is called "{preset}"; there are {", ".join(PRESETS)}')
    start = PRESETS[preset]() if preset else preset_for(_take(args, "--data")[0] or "scenes")
    about = "Train a LapNet. --preset NAME starts from a preset, --resume goes on with the run in --out."
    config = tyro.cli(TrainConfig, args=args, default=start, prog="lapnet train", description=about)
    result = train(config, resume=resume)
    if result.interrupted:
        print(f"stopped; go on with: lapnet train {shlex.join([*given, '--resume'])}")
        return 130
    print(f"trained: {config.run_dir / 'model.safetensors'}; log.jsonl and anchors.json beside it")
    return 0


def _take(args: list[str], flag: str) -> tuple[str, list[str]]:
    """The value of `--flag value` or `--flag=value` ("" where it is not given), and the other arguments."""
    for k, arg in enumerate(args):
        if arg.startswith(flag + "="):
            return arg[len(flag) + 1 :], args[:k] + args[k + 1 :]
        if arg == flag and k + 1 < len(args):
            return args[k + 1], args[:k] + args[k + 2 :]
    return "", args


@dataclass(frozen=True)
class Evaluate:
    """Mean average precision of a trained model on one split."""

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, or the run folder that holds it."""
    data: str
    """As in `lapnet train`."""
    split: str = "test"
    on_error: Literal["raise", "skip"] = "raise"
    batch_size: int = 8
    workers: int = 0
    device: str = "auto"
    json: Path | None = None
    """Write the figures here."""
    results: Path | None = None
    """Write COCO's results JSON here (COCO only), as the test-dev server takes it."""


def _evaluate(args: Evaluate) -> int:
    detector = Detector.load(args.model, pick_device(args.device))
    names = detector.class_names
    dataset = open_dataset(
        args.data, args.split, image_size=detector.image_size, class_names=names, on_error=args.on_error
    )
    detections, targets, skipped = detector.predict_dataset(dataset, batch_size=args.batch_size, workers=args.workers)
    figures: dict[str, Any] = {"model": str(args.model), "data": args.data, "split": args.split, "images": len(targets)}
    ids: list[Any] = [target["image_id"] for target in targets]
    if args.results is not None:
        if not isinstance(dataset, CocoDetection):
            raise ValueError(f"--results writes COCO's format; {args.data} is not COCO")
        write_coco_results(args.results, detections, ids, dataset.category_ids)
        print(f"wrote {args.results}")
    annotated = any(len(target["labels"]) for target in targets)  # COCO's test-dev is not
    if annotated:
        for metric in ("area", "11point"):
            result = voc_map(detections, targets, len(names), metric=metric, class_names=names)
            print(result if metric == "area" else f"11-point metric: {result.mean_ap:.4f}")
            figures[f"voc_{metric}"] = result.mean_ap
            figures[f"voc_{metric}_per_class"] = dict(zip(names, result.ap.tolist(), strict=True))
    if isinstance(dataset, CocoDetection) and annotated:
        measured = coco_map(detections, dataset.annotation_file, image_ids=ids, category_ids=dataset.category_ids)
        print(measured)
        figures["coco_ap"], figures["coco_ap50"] = measured.ap, measured.ap50
    if skipped:
        print(f"{len(skipped)} images could not be read and are left out, first: {skipped[0]}")
        figures["skipped"] = len(skipped)
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


@dataclass(frozen=True)
class Predict:
    """Detections in image files: a picture with boxes each, and detections.json."""

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, or the run folder that holds it."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files, or folders of them."""
    out: Path = Path("predictions")
    score_threshold: float = 0.3
    on_error: Literal["raise", "skip"] = "raise"
    device: str = "auto"


def _predict(args: Predict) -> int:
    detector = Detector.load(args.model, pick_device(args.device))
    files = [file for path in args.images for file in _image_files(path)]
    if not files:
        raise ValueError(f"no image in {', '.join(map(str, args.images)) or 'the arguments'}")
    args.out.mkdir(parents=True, exist_ok=True)
    records, skipped, used = [], [], set[str]()
    for file in tqdm(files, desc="predict", unit="image", disable=None):
        try:
            image, found = detector.predict_file(file, score_threshold=args.score_threshold)
        except DataError as error:
            if args.on_error == "raise":
                raise
            skipped.append(str(error))
            continue
        name = file.stem
        while name in used:  # files of one name from several folders
            name += "_"
        used.add(name)
        draw(image, found, detector.class_names).save(args.out / f"{name}.png")
        for box, score, label in zip(
            found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True
        ):
            box = [round(side, 2) for side in box]
            records.append(
                {"file": str(file), "class": detector.class_names[label], "score": round(score, 4), "box_xyxy": box}
            )
    (args.out / "detections.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(f"{len(records)} detections in {len(files) - len(skipped)} images: {args.out}")
    if skipped:
        print(f"{len(skipped)} files skipped, first: {skipped[0]}")
    return 0


def _image_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    return [path]


def draw(image: Image.Image, found: Detection, class_names: Sequence[str]) -> Image.Image:
    """A copy of the image with boxes, class names and scores; the most confident on top."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    unit = max(1, round(max(image.size) / 400))  # line width, so that a large photograph has readable boxes too
    font: Any = ImageFont.load_default(size=8 + 4 * unit)
    for n in reversed(range(len(found["labels"]))):
        label = int(found["labels"][n])
        color = COLORS[label % len(COLORS)]
        x1, y1, x2, y2 = found["boxes"][n].tolist()
        pen.rectangle((x1, y1, x2, y2), outline=color, width=unit)
        text = f"{class_names[label]} {float(found['scores'][n]):.2f}"
        corner = (x1, max(0, y1 - 1.3 * font.size))  # above the box, so that small objects stay visible
        pen.rectangle(pen.textbbox(corner, text, font=font), fill=color)
        pen.text(corner, text, fill="black", font=font)
    return drawn


@dataclass(frozen=True)
class Bench:
    """Time per image of inference: network, and detections from its outputs."""

    backbone: str = "light"
    image_size: tuple[int, int] = (512, 512)
    num_classes: int = 20
    repeats: int = 5
    device: str = "auto"


def _bench(args: Bench) -> int:
    device = pick_device(args.device)
    model = LapNet(args.num_classes, backbone=args.backbone).to(device).to(memory_format=torch.channels_last).eval()
    images = torch.zeros(1, 3, *args.image_size, device=device).contiguous(memory_format=torch.channels_last)
    shapes = torch.full((args.num_classes, model.per_class, 2), 32.0, device=device)
    with torch.no_grad():
        scores, offsets = model(images)
        network = seconds_each(lambda: model(images), repeats=args.repeats)
        post = seconds_each(lambda: detect(scores, offsets, shapes), repeats=args.repeats)
    size = "x".join(map(str, args.image_size))
    print(f"{args.backbone} {size}, {args.num_classes} classes, {device}, median of {args.repeats}")
    print(f"network {network * 1e3:.1f} ms, detections {post * 1e3:.1f} ms, {1 / (network + post):.1f} images/s")
    return 0


@dataclass(frozen=True)
class Data:
    """List what can be downloaded, or download it: `lapnet data get voc2007-test`."""

    what: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Nothing, or get NAME ..."""


def _data(args: Data) -> int:
    if not args.what:
        print(f"data folder: {data_dir()} (LAPNET_DATA names another)")
        for name, entry in DOWNLOADS.items():
            print(f"  {name:18} {entry.size / 1e9:5.1f} GB")
        return 0
    verb, *names = args.what
    unknown = [name for name in names if name not in DOWNLOADS]
    if verb != "get" or not names or unknown:
        raise ValueError(f"expected: lapnet data get NAME ..., with names among {', '.join(DOWNLOADS)}")
    for name in names:
        print(f"{name}: {download(name)}")
    return 0


@dataclass(frozen=True)
class Doctor:
    """What this machine has, what it can run, and how long that takes."""

    quick: bool = False
    """Leave the timing out."""


def _doctor(args: Doctor) -> int:
    print(report(args.quick))
    return 0


if __name__ == "__main__":
    sys.exit(main())
