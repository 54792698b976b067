"""_sam.py - SAM and ASAM around every optimizer: the step uses the gradients at a place nearby."""

import contextlib

import torch

from .. import _interface
from ._engine import stream_of
from ._walk import local


class Perturbs:
    """The functions of an optimizer that move its parameters between a first and a second backward pass, and put them
    back."""

    _perturbed = None  # The plan whose parameters are moved, and these parameters.

    @torch._disable_dynamo
    def perturb(self, rho=0.05, adaptive=False, eta=0.0):
        """Moves the parameters by `rho` along their gradients, for a second forward and backward pass (SAM, Foret et
        al. 2021), or with `adaptive` each by its own size |p| + eta (ASAM, Kwon et al. 2021):

            loss(model(x), y).backward()
            optimizer.perturb(rho=0.05)
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()                # puts the parameters back first, bit for bit

        The norm is that of all gradients, of all ranks if parameters are DTensors or there is a `process_group`. With a
        gradient that is not finite, all parameters stay where they are."""
        self._require_unperturbed("perturb")
        sam = _interface.Sam(adaptive=int(adaptive), rho=float(rho), eta=float(eta))
        with torch.no_grad():
            plan = self._read()
            if any(p.grad is not None for p in plan.others):
                raise RuntimeError("perturb() needs every parameter to be stepped by onepass, but torch's own "
                                   f"formulas step {len(plan.others)} of {len(plan.seats)}")
            self._before(plan)
            streams = self._prepare(plan, self._handling(plan))
            if len(plan.engines) > 1 or plan.reduction.across:
                total = plan.reduction.sum([(engine.measure_perturbation(sam, stream), engine.counted)
                                           for engine, stream in zip(plan.engines, streams)])
                for engine, stream in zip(plan.engines, streams):
                    engine.perturb_measured(sam, total, stream)
            else:
                for engine, stream in zip(plan.engines, streams):
                    engine.perturb(sam, stream)
            self._perturbed = plan, list(plan.stepped_parameters())
            self._after(plan)

    @torch._disable_dynamo
    def restore(self):
        """Puts every parameter back to where it was before perturb(), bit for bit. Does nothing if none is moved."""
        if self._perturbed is None:
            return
        plan, moved = self._perturbed
        for seat in plan.stepped:
            if local(seat.parameter.detach()).data_ptr() != seat.address:
                raise RuntimeError(f"restore() cannot put {seat.name!r} back: it was given other memory after "
                                   "perturb()")
        with torch.no_grad():
            for engine in plan.engines:
                engine.restore(stream_of(engine.device))
            self._perturbed = None
            self._note_changes(plan, moved)

    @contextlib.contextmanager
    def perturbed(self, rho=0.05, adaptive=False, eta=0.0):
        """Calls perturb() at the beginning of a `with` statement, and restore() at its end:

            with optimizer.perturbed(rho=0.05):
                optimizer.zero_grad()
                loss(model(x), y).backward()
            optimizer.step()"""
        self.perturb(rho, adaptive, eta)
        try:
            yield self
        finally:
            self.restore()

    def _require_unperturbed(self, function):
        if self._perturbed is not None:
            raise RuntimeError(f"{function}() was called after perturb(); restore() puts the parameters back")
