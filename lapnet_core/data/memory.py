"""Images that were read once and stay in memory, as far as there is room."""

from collections.abc import Callable
from pathlib import Path

from lapnet_core.data.types import Sample, Skipped

MOST = 1 << 30
"""So many bytes of images are kept at most, by all processes of a training together ..."""
SHARE = 1 / 8
"""... and no more than this share of the memory that is available: several trainings may run side by side."""
BESIDE = 4096
"""What a target takes beside its image, in bytes."""


class Kept:
    """Samples by their index: the first ones that are asked for, until `room` bytes are full.

    They are handed on as they are, not as copies: who changes one, changes it for all.
    """

    def __init__(self, room: float) -> None:
        self.room = room
        self.samples: dict[int, Sample] = {}

    def get(self, index: int, read: Callable[[int], Sample | Skipped]) -> Sample | Skipped:
        """Sample `index` from memory, else read; one that cannot be used is never kept."""
        if index in self.samples:
            return self.samples[index]
        sample = read(index)
        if not isinstance(sample, Skipped) and (size := sample[0].nbytes + BESIDE) <= self.room:
            self.room -= size
            self.samples[index] = sample
        return sample


def room_for_images(processes: int = 1) -> float:
    """Bytes that each of so many processes may keep of its own. Where nothing tells what is available, half of MOST."""
    found = [_number("/proc/meminfo", "MemAvailable:") * 1024]
    limit, used = (_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    found += [limit - used] if limit else []
    available = min((x for x in found if x), default=MOST / 2 / SHARE)
    return max(0, min(MOST, SHARE * available)) / max(1, processes)


def _number(path: str, before: str = "") -> int:
    """The number in a file, behind the word `before`; 0 where there is none."""
    try:
        words = Path(path).read_text(encoding="utf-8").split()
        return int(words[words.index(before) + 1 if before else 0])
    except (OSError, ValueError, IndexError):  # another system; no limit
        return 0
