"""What recurrent networks compute on every step, written so that a CPU is quick at it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Torch is built with oneDNN, and still has the call that its own compiler makes."""

_ROWS = 32
"""With fewer rows it takes longer to lay out the weights for oneDNN than is won."""


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x @ weight.T + bias, (n, out).

    In single precision on a CPU and without gradients oneDNN computes it: its kernels use AVX-512 wherever there is
    one, those of MKL, which torch takes otherwise, on Intel's processors only. On others they take twice as long.

    Args:
        x: (n, in).
        weight: (out, in).
        bias: (out,), or (n, out).
    """
    if bias.ndim == 2:
        return torch.addmm(bias, x, weight.T)
    is_single = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    if _HAS_ONEDNN and is_single and len(x) >= _ROWS and not torch.is_grad_enabled():
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return found
    return F.linear(x, weight, bias)


def tanh(x: Tensor) -> Tensor:
    """tanh x, of many numbers in a third of the time that ``torch.tanh`` takes on a CPU."""
    return torch.sigmoid(2 * x).mul(2).sub_(1)
