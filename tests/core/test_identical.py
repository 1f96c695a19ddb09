"""A refactoring changes no bit of a training, and what was written before it can still be read.

The losses were recorded before the code was moved, and were the same to the bit when it had been (commit 4c43837); they
were recorded again when the seeds were mended (tests/record_losses.py). On the processor and the torch of the record
they have to be the same to the last bit; elsewhere rounding differs, and grows from step to step: there the first step
is compared closely, and the others roughly.
"""

import json
import lzma
import platform
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from lapnet_core.config import TrainConfig
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.detector import Detector
from lapnet_core.options import LapNetOptions
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.train import train

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
RECORD_FILE = FIXTURES / "losses_of_30_steps.json"
RECORD = json.loads(RECORD_FILE.read_text())
SCENES = TrainConfig(
    data="scenes", image_size=(96, 96), batch_size=4, steps=30, lr=0.02, warmup=5, clip_norm=10.0, device="cpu"
)
BCCD = replace(SCENES, data="bccd", split="trainval", on_error="skip", image_size=(96, 128), color=0.2)
VARIANTS = {
    **{balance: {"balance": balance} for balance in ("learned", "loss", "focal", "retina", "ones")},
    "ao": {"overlap": "ao", "ams": False, "rescue": False},
}


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def losses_of(config: TrainConfig, dataset: Images | None = None) -> list[list[str]]:
    """total, loc, cls and reg of every step, to the bit; on the config's data, opened here or before."""
    rows = []

    def note(_step, method):
        terms = method.terms
        rows.append([x.item().hex() for x in (terms.total, terms.loc, terms.cls, terms.reg)])

    train(config, dataset, save=False, progress=False, on_step=note)
    return rows


@pytest.fixture
def threads() -> Iterator[None]:
    """As many as the record was made with: `make test` gives each of its processes one."""
    before = torch.get_num_threads()
    torch.set_num_threads(RECORD["threads"])
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    """What `train` opens, painted once for all variants: the pictures, and hundreds of targets for the anchors."""
    opened = open_dataset(SCENES.data, SCENES.split, image_size=SCENES.image_size)
    assert isinstance(opened, Scenes)
    dataset = Scenes(len(opened), size=opened.size, seed=opened.seed, split=opened.split, keep=True)
    dataset.target = cache(dataset.target)
    return dataset


def compare(name: str, found: list[list[str]]) -> None:
    expected = RECORD["losses"][name]
    if (processor(), torch.__version__, torch.get_num_threads()) == tuple(
        RECORD[key] for key in ("processor", "torch", "threads")
    ):
        assert found == expected
    else:
        ours, theirs = (torch.tensor([[float.fromhex(x) for x in row] for row in rows]) for rows in (found, expected))
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.25)


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_on_scenes_are_those_of_before(variant: str, scenes: Scenes) -> None:
    compare(f"scenes {variant}", losses_of(SCENES.with_options(**VARIANTS[variant]), scenes))


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
@pytest.mark.data
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_on_photographs_are_those_of_before(
    variant: str, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAPNET_DATA", str(real_data))
    compare(f"bccd {variant}", losses_of(BCCD.with_options(**VARIANTS[variant])))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run folder that version 0.1 wrote; each tensor was then filled with one number, so that it packs well."""
    for packed in (FIXTURES / "version_0_1").glob("*.xz"):
        (tmp_path / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return tmp_path


def test_a_model_of_version_0_1_loads(old: Path) -> None:
    detector = Detector.load(old)
    assert (detector.class_names, detector.image_size) == (SCENE_CLASSES, (64, 64))
    assert detector.method.shapes.shape == (7, 2, 2)
    assert detector.method.shapes.min() > 1
    values = {p.flatten()[0].item() for p in detector.method.model.parameters()}
    assert len(values) > 50  # each tensor kept the number that it was filled with
    assert values <= {k / 128 for k in range(1, 98)}
    found = detector.predict(torch.zeros(3, 40, 80, dtype=torch.uint8), score_threshold=0.0)
    assert set(found) == {"boxes", "scores", "labels"}


def test_a_checkpoint_of_version_0_1_is_gone_on_with(old: Path) -> None:
    config = TrainConfig(
        data="scenes", image_size=(64, 64), batch_size=2, steps=4, lr=0.01, save_every=2, log_every=1, out=str(old),
        device="cpu", lapnet=LapNetOptions(anchors_per_class=2, balance="loss", ams=False),
    )  # fmt: skip
    (old / "model.safetensors").unlink()
    before = torch.load(old / "last.pt", weights_only=True)
    with pytest.raises(ValueError, match=r"another balance \(loss, not ones\)"):
        train(config.with_options(balance="ones"), Scenes(16, size=(64, 64)), resume=True, progress=False)
    seen = []

    def look(step, method):
        seen.append((step, method.criterion.s_cls_anchor.clone(), method.shapes.clone()))

    result = train(config, Scenes(16, size=(64, 64)), resume=True, progress=False, on_step=look)
    assert [step for step, *_ in seen] == [3, 4]
    assert torch.equal(seen[0][1], before["trainee"]["loss.s_cls_anchor"])  # a constant under this balance
    assert torch.equal(seen[0][2], before["shapes"])
    assert [line["step"] for line in result.log] == [1, 2, 3, 4]
    after = torch.load(old / "last.pt", weights_only=True)
    assert after["about"]["loss"] == {
        "balance": "loss", "ams": False, "ams_rule": "paper", "ams_from": 0.0, "overlap": "pono", "rescue": True,
        "cls_weight": 1.0,
    }  # fmt: skip
    momenta = [[s["momentum_buffer"] is not None for s in c["optimizer"]["state"].values()] for c in (before, after)]
    assert momenta[0] == momenta[1]
    assert Detector.load(old).class_names == SCENE_CLASSES
