"""Devices, torchrun's process group, and the signals that stop a training."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
"""Ctrl-C; what `timeout`, `kill` and clusters send; a terminal that is closed."""


def pick_device(name: str) -> torch.device:
    """The device of that name; for "auto" this process's CUDA device where there is one, else the CPU.

    Raises:
        ValueError: there is no such device on this machine.
    """
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'device "{name}" cannot be used here ({reason}); auto or cpu always can') from error
    return device


def join_processes(device_name: str) -> tuple[int, int]:
    """(rank, number of processes); joins torchrun's process group where there is one."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not dist.is_initialized():
        device = pick_device(device_name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return (dist.get_rank(), world) if world > 1 else (0, 1)


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mean_of_all(values: dict[str, float]) -> dict[str, float]:
    """The same numbers of all processes: whole numbers are counts and are summed, the others are averaged."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    gathered: list[dict[str, float]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(gathered, values)
    sums = {name: sum(one[name] for one in gathered) for name in values}
    return {name: s if isinstance(values[name], int) else s / len(gathered) for name, s in sums.items()}


@contextmanager
def stop_signal() -> Iterator[Callable[[torch.device], bool]]:
    """A function that says whether a signal of STOPPING came to any process. The second Ctrl-C interrupts at once."""
    caught = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught = True

    def stopped(device: torch.device) -> bool:
        if not (dist.is_available() and dist.is_initialized()):
            return caught
        flag = torch.tensor(float(caught), device=device)
        dist.all_reduce(flag)  # all processes have to stop after the same step
        return bool(flag)

    main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, note) for number in STOPPING} if main else {}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals of STOPPING wait until the end of the `with`; processes that are started within it never get any.

    Ctrl-C reaches every process of a terminal, and `timeout` and clusters signal whole groups: a process that loads
    images has to live on until the step is done, and ends with the process that it works for.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
