"""Devices, torchrun's process group, and the signals that stop a training."""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from types import FrameType
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lapnet_core.data.types import DataError

T = TypeVar("T")
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C; what `timeout`, `kill` and clusters send; a terminal that is closed, of which Windows knows nothing."""


def pick_device(name: str) -> torch.device:
    """The device of that name; for "auto" this process's CUDA device where there is one, else the CPU.

    Raises:
        ValueError: there is no such device on this machine.
    """
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" holds none
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


@contextmanager
def processes(device_name: str) -> Iterator[tuple[int, int]]:
    """`join_processes` for the time of a `with`."""
    rank, world = join_processes(device_name)
    try:
        yield rank, world
    finally:
        if world > 1 and dist.is_initialized():
            dist.destroy_process_group()


def in_turn(own: list[T]) -> list[T]:
    """The items of all processes in the first one, one of each in turn: where process r of n took the items r, r + n,
    r + 2n, ... of a list, these are in the order of the list again. Nothing in the other processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return own
    first = dist.get_rank() == 0
    parts: list[list[T]] | None = [[] for _ in range(dist.get_world_size())] if first else None
    dist.gather_object(own, parts)
    missing = object()
    rows = zip_longest(*(parts or []), fillvalue=missing)
    return [item for row in rows for item in row if item is not missing]  # pyright: ignore[reportReturnType]


def from_first(value: T) -> T:
    """The value of the first process, in each."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    carried = [value]
    dist.broadcast_object_list(carried)
    return carried[0]


def in_parallel(module: nn.Module, device: torch.device, world: int, image_size: tuple[int, int]) -> nn.Module:
    """The module as it is trained: itself, or DDP around it, with BatchNorm synchronised on GPUs."""
    if world == 1:
        return module
    for part in module.modules():
        if hasattr(part, "freeze_unused"):
            part.freeze_unused(image_size)  # pyright: ignore[reportCallIssue]
    on_gpu = device.type == "cuda"
    if not on_gpu and dist.get_rank() == 0:
        warnings.warn(
            f"{world} processes on CPUs: each normalises its own share of a batch, so the result is not quite that of "
            "one process with the same batch size",
            stacklevel=2,
        )
    return DistributedDataParallel(synchronised(module) if on_gpu else module, [device] if on_gpu else None)


def synchronised(module: nn.Module) -> nn.Module:
    """The same with BatchNorm over all processes. Not by torch's own function, which would drop the activations that
    timm's layers of BatchNorm have in them."""
    from timm.layers.norm_act import convert_sync_batchnorm

    return convert_sync_batchnorm(module)


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mean_of_all(values: dict[str, float]) -> dict[str, float]:
    """The same numbers of all processes, `summed_up`."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    gathered: list[dict[str, float]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(gathered, values)
    return summed_up(gathered)


def summed_up(parts: list[dict[str, float]]) -> dict[str, float]:
    """One for many: whole numbers are counts and are summed, the others are averaged."""
    if len(parts) == 1:
        return parts[0]
    sums = {name: sum(one[name] for one in parts) for name in parts[0]}
    return {name: s if isinstance(parts[0][name], int) else s / len(parts) for name, s in sums.items()}


@contextmanager
def stop_signal() -> Iterator[Callable[[torch.device | None], bool]]:
    """A function that says whether a signal of STOPPING came to any process, which all have to ask together, or, for
    None, to this one. The second Ctrl-C interrupts at once."""
    caught = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught = True

    def stopped(device: torch.device | None) -> bool:
        if device is None or not (dist.is_available() and dist.is_initialized()):
            return caught
        flag = torch.tensor(float(caught), device=device)
        dist.all_reduce(flag)  # all processes have to stop after the same step
        return bool(flag)

    main = threading.current_thread() is threading.main_thread()
    # nohup has a closed terminal ignored; Ctrl-C is so in each script's background, where it is sent on purpose
    heard = [n for n in STOPPING if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
    previous = {number: signal.signal(number, note) for number in heard} if main else {}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: it was not set from Python


def read_ahead(loader: Iterable[T]) -> Iterator[T]:
    """The batches of a DataLoader. Its processes get no signals (`signals_held`), and end with the iterator: also where
    they hand over an error, of which torch would keep them waiting for ever."""
    with signals_held():
        batches = iter(loader)
    try:
        yield from batches
    except DataError as error:  # torch gives it the whole traceback of the other process as its text
        name = f"{DataError.__module__}.{DataError.__name__}: "
        raise DataError(str(error).strip().splitlines()[-1].removeprefix(name)) from None
    finally:
        if hasattr(batches, "_shutdown_workers"):
            batches._shutdown_workers()  # pyright: ignore[reportAttributeAccessIssue]


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
