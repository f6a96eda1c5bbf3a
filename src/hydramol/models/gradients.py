"""What each of several losses does to the weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def gradient_norm(loss: Tensor, parameters: Iterable[Tensor]) -> Tensor:
    """Norm of one loss's gradient over all parameters, without touching their ``grad``.

    Args:
        loss: A scalar whose graph is kept for the step's own backward pass.
        parameters: Those it does not reach count as 0.
    """
    wanted = [one for one in parameters if one.requires_grad]
    gradients = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
    norms = [one.norm() for one in gradients if one is not None]
    return torch.stack(norms).norm() if norms else loss.new_zeros(())
