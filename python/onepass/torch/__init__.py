"""onepass.torch - PyTorch's optimizers with one fused step, in fewer bytes. docs/pytorch.md explains them.

    import onepass.torch as onepass
    optimizer = onepass.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1, states="8bit", max_grad_norm=1.0)
"""

import torch

from . import _rules
from ._convert import convert
from ._digest import digest
from ._face import Face
from ._memory import memory_report


class SGD(Face, torch.optim.SGD):
    """torch.optim.SGD in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.SGD


class RMSprop(Face, torch.optim.RMSprop):
    """torch.optim.RMSprop in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.RMSPROP


class Adam(Face, torch.optim.Adam):
    """torch.optim.Adam in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.ADAM


class AdamW(Face, torch.optim.AdamW):
    """torch.optim.AdamW in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.ADAMW


def clip_grad_norm_(optimizer, max_norm):
    """Clips the next step of an optimizer by the norm of all its gradients, inside the step, in place of
    torch.nn.utils.clip_grad_norm_(parameters, max_norm). `optimizer.grad_norm` has the norm after the step."""
    optimizer.clip_grad_norm_(max_norm)
