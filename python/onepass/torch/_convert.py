"""_convert.py - makes an optimizer of torch that already runs one of these, in place."""

import types

from .. import Error
from . import _state
from ._face import Arguments


def _ours(optimizer):
    """Returns our class for an optimizer of torch, or of one of these."""
    from . import OPTIMIZERS

    for ours in OPTIMIZERS:
        if type(optimizer) in (ours, ours._spelling.base):
            return ours
    raise Error(f"onepass: convert() was given a {type(optimizer).__module__}.{type(optimizer).__qualname__}; it takes "
                f"{', '.join(ours.__name__ for ours in OPTIMIZERS)} of onepass.torch and their like of torch.optim")


def convert(optimizer, **arguments):
    """Turns a running optimizer of torch.optim into one of these, or gives one of these other arguments (`states`,
    `master`, `rounding`, `max_grad_norm`, ... of Face). It stays the same object, so schedulers, hooks and wrappers
    keep working; its groups stay, and its states come into the new formats. Returns the optimizer.

    Raises onepass.Error if it is of another class, or somebody but a scheduler has replaced its `step`; and ValueError
    for an argument that Face refuses. The optimizer is then unchanged."""
    ours = _ours(optimizer)
    step = vars(optimizer).get("step")
    scheduled = hasattr(step, "_wrapped_by_lr_sched")
    if step is not None and not scheduled:
        raise Error("onepass: convert() was given an optimizer whose step() somebody has replaced; convert it before it"
                    " is wrapped")
    before = getattr(optimizer, "_arguments", Arguments())
    try:
        after = before._replace(**arguments).check()
    except ValueError as wrong:
        raise ValueError(f"convert: {wrong}") from None
    # A state dict in float32 is what torch has, and the way from one format to another.
    optimizer._arguments = before._replace(checkpoint="float32")
    _state.make_portable(optimizer)
    optimizer._arguments = after
    optimizer.__class__ = ours
    optimizer._begin()
    optimizer._patch_step_function()
    if scheduled:
        optimizer.step = _tracked(optimizer)
    _state.adopt(optimizer)
    return optimizer


def _tracked(optimizer):
    """Returns the step of the class with what a scheduler adds to it: it notes that the optimizer has stepped. The old
    wrapper calls the step that the optimizer had before."""

    def step(self, *args, **kwargs):
        self._opt_called = True
        return type(self).step(self, *args, **kwargs)

    step._wrapped_by_lr_sched = True
    return types.MethodType(step, optimizer)
