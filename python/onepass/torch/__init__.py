"""onepass.torch - PyTorch's optimizers, and others, with one fused step, in fewer bytes. docs/python/pytorch.md
explains them.

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


class RAdam(Face, torch.optim.RAdam):
    """torch.optim.RAdam in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.RADAM


class Adamax(Face, torch.optim.Adamax):
    """torch.optim.Adamax in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.ADAMAX


class Adagrad(Face, torch.optim.Adagrad):
    """torch.optim.Adagrad in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.ADAGRAD


class Adadelta(Face, torch.optim.Adadelta):
    """torch.optim.Adadelta in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.ADADELTA


class Rprop(Face, torch.optim.Rprop):
    """torch.optim.Rprop in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.RPROP


class NAdam(Face, torch.optim.NAdam):
    """torch.optim.NAdam in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.NADAM


class ASGD(Face, torch.optim.ASGD):
    """torch.optim.ASGD in one pass over memory. See Face for what it takes besides."""

    _spelling = _rules.ASGD


class Adafactor(Face, torch.optim.Adafactor):
    """torch.optim.Adafactor in three passes over the gradient. See Face for what it takes besides."""

    _spelling = _rules.ADAFACTOR


class Lion(Face, _rules.plain.Lion):
    """Lion: the sign of an average of gradients. See Face for what it takes besides."""

    _spelling = _rules.LION


class Signum(Face, _rules.plain.Signum):
    """Signum, the sign of the momentum; with a momentum of 0 signSGD. See Face for what it takes besides."""

    _spelling = _rules.SIGNUM


class NAdamW(Face, _rules.plain.NAdamW):
    """AdamW with Nesterov momentum, in timm's form. See Face for what it takes besides."""

    _spelling = _rules.NADAMW


class AdEMAMix(Face, _rules.plain.AdEMAMix):
    """AdEMAMix: AdamW with a second, slow average of gradients. See Face for what it takes besides."""

    _spelling = _rules.ADEMAMIX


class AdaBelief(Face, _rules.plain.AdaBelief):
    """AdaBelief: AdamW that divides by the deviation from the average. See Face for what it takes besides."""

    _spelling = _rules.ADABELIEF


class Grams(Face, _rules.plain.Grams):
    """Grams: the magnitude of AdamW's step with the sign of the gradient. See Face for what it takes besides."""

    _spelling = _rules.GRAMS


class SophiaG(Face, _rules.plain.SophiaG):
    """SophiaG: momentum over an estimate of the Hessian's diagonal, clipped. See Face for what it takes besides."""

    _spelling = _rules.SOPHIAG

    def update_hessian(self):
        """Refreshes the estimate from the gradients, those of a loss with labels drawn from the model. Call it every
        few steps, in place of step(). Gradients are unscaled as in a step, and not clipped."""
        self._sweep("update_hessian", super().update_hessian)


class ADOPT(Face, _rules.plain.ADOPT):
    """ADOPT: Adam that normalises by the squares before this step. See Face for what it takes besides."""

    _spelling = _rules.ADOPT


class Adan(Face, _rules.plain.Adan):
    """Adan: Nesterov momentum from the difference of gradients. See Face for what it takes besides."""

    _spelling = _rules.ADAN


class LaProp(Face, _rules.plain.LaProp):
    """LaProp: an average of normalised gradients. See Face for what it takes besides."""

    _spelling = _rules.LAPROP


class LARS(Face, _rules.sums.LARS):
    """LARS: SGD with a learning rate for each tensor, by its norm. See Face for what it takes besides."""

    _spelling = _rules.LARS


class LAMB(Face, _rules.sums.LAMB):
    """LAMB: Adam's direction, as long as the tensor it moves. See Face for what it takes besides."""

    _spelling = _rules.LAMB


class NovoGrad(Face, _rules.sums.NovoGrad):
    """NovoGrad: momentum of gradients over the norm of their tensor. See Face for what it takes besides."""

    _spelling = _rules.NOVOGRAD


class StableAdamW(Face, _rules.sums.StableAdamW):
    """StableAdamW: AdamW with a lower rate after surprising gradients. See Face for what it takes besides."""

    _spelling = _rules.STABLE_ADAMW


class MARS(Face, _rules.sums.MARS):
    """MARS: AdamW on gradients of reduced variance. See Face for what it takes besides."""

    _spelling = _rules.MARS


class Prodigy(Face, _rules.sums.Prodigy):
    """Prodigy: Adam that finds its own learning rate, `d`. See Face for what it takes besides."""

    _spelling = _rules.PRODIGY


class CAME(Face, _rules.factored.CAME):
    """CAME: Adafactor with momentum, and shorter steps where it is unsure. See Face for what it takes besides."""

    _spelling = _rules.CAME


class AdamMini(Face, _rules.factored.AdamMini):
    """Adam-mini: AdamW with one second moment for each row of a matrix. See Face for what it takes besides."""

    _spelling = _rules.ADAM_MINI


class ScheduleFreeSGD(_rules.schedule_free.Modes, Face, _rules.schedule_free.ScheduleFreeSGD):
    """Schedule-Free SGD: no schedule, and a good average at every step. Call eval() before you evaluate or save the
    model, and train() before you train on. See Face for what it takes besides."""

    _spelling = _rules.SCHEDULE_FREE_SGD


class ScheduleFreeAdamW(_rules.schedule_free.Modes, Face, _rules.schedule_free.ScheduleFreeAdamW):
    """Schedule-Free AdamW: no schedule, and a good average at every step. Call eval() before you evaluate or save the
    model, and train() before you train on. See Face for what it takes besides."""

    _spelling = _rules.SCHEDULE_FREE_ADAMW


OPTIMIZERS = (SGD, RMSprop, Adam, AdamW, RAdam, Adamax, Adagrad, Adadelta, Rprop, NAdam, ASGD, Adafactor, Lion, Signum,
              NAdamW, AdEMAMix, AdaBelief, Grams, SophiaG, ADOPT, Adan, LaProp, LARS, LAMB, NovoGrad, StableAdamW,
              MARS, Prodigy, CAME, AdamMini, ScheduleFreeSGD, ScheduleFreeAdamW)


def clip_grad_norm_(optimizer, max_norm):
    """Clips the next step of an optimizer by the norm of all its gradients, inside the step, in place of
    torch.nn.utils.clip_grad_norm_(parameters, max_norm). `optimizer.grad_norm` has the norm after the step."""
    optimizer.clip_grad_norm_(max_norm)
