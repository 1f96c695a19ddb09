"""Whether a function can be trained through: its gradient beside the solution's."""

from collections.abc import Callable

import torch
from torch import Tensor


def wrong_gradient(
    function: Callable[..., Tensor], solution: Callable[..., Tensor], arguments: dict[str, Tensor], *trained: str
) -> str:
    """What is wrong with the gradient of a function whose values are right; nothing where it is the solution's.

    Args:
        arguments: by the names that they are told by.
        trained: those of them that are trained through the function.
    """
    found = []
    for each in (function, solution):
        given = {name: value.clone().requires_grad_(name in trained) for name, value in arguments.items()}
        try:
            result = each(*given.values())
        except RuntimeError as problem:
            if "numpy()" not in str(problem):
                raise
            return "the value is right, but no gradient flows through numpy: which functions of torch do the same?"
        if not result.requires_grad:
            return (
                "the value is right, but no gradient flows back: do you leave torch on the way, by `.tolist()`, "
                "`.item()`, `float` or `torch.tensor`?"
            )
        counts = torch.linspace(1, 2, result.numel()).view_as(result)  # no two of its numbers weigh the same
        total = (result * counts).sum()
        found.append(torch.autograd.grad(total, [given[name] for name in trained], allow_unused=True))
    for name, own, right in zip(trained, *found, strict=True):
        if own is None:
            return f"no gradient flows back to the {name}: where do you leave it, by `detach` or `torch.tensor`?"
        if not bool(own.isfinite().all()):
            return f"the value is right, but its gradient for the {name} is nan where they are large: where is inf * 0?"
        if not torch.allclose(own, right, rtol=1e-3, atol=1e-5):
            return (
                f"the value is right, but its gradient for the {name} is not: what cuts a part off, as `math.exp` does?"
            )
    return ""
