"""Devices, torchrun's process group, and the signals that stop a training."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist


def pick_device(name: str) -> torch.device:
    """The device of that name; for "auto" this process's CUDA device where there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


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
def stop_signal(world: int, device: torch.device) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or SIGTERM came to any process. The second Ctrl-C interrupts at once."""
    caught = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    def stopped() -> bool:
        if world == 1:
            return caught
        flag = torch.tensor(float(caught), device=device)
        dist.all_reduce(flag)  # all processes have to stop after the same step
        return bool(flag)

    main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
