"""factored.py - the rules that keep numbers for the rows and columns of matrices, in operations of torch. docs/rules.md
has the formulas and their sources."""

import torch

from .plain import AdamLike, Plain
from .sums import norm


def kept_rows(shape):
    """Returns the shape of a state of rows that has the parameter's dimensions."""
    return (*shape[:-1], 1)


def kept_columns(shape):
    return (*shape[:-2], 1, shape[-1])


def rows(shape):
    """Returns the shape of a state of rows without the dimension of the columns."""
    return tuple(shape[:-1])


def columns(shape):
    return (*shape[:-2], shape[-1])


class Factored(Plain):
    """What they share. A parameter of two dimensions or more consists of matrices, its last two dimensions; any other
    one is a vector."""

    lines = {}  # States of rows and columns: the function that makes their shape of the parameter's.

    def states(self, group):
        return ("exp_avg",)

    def states_of(self, group, p):
        return (*self.states(group), *(self.lines if p.dim() > 1 else ("exp_avg_sq",)))

    def first(self, key, p):
        return p.new_zeros(self.lines[key](p.shape)) if key in self.lines else super().first(key, p)

    def _opened(self, group, p):
        if torch.is_complex(p):
            raise RuntimeError(f"{type(self).__name__} does not support complex parameters")
        return super()._opened(group, p)


class CAME(Factored):
    """Luo et al. 2023, arXiv 2307.02047: Adafactor with momentum, and shorter steps where it deviates from the
    gradients. States have the shapes of came-pytorch's."""

    lines = {"exp_avg_sq_row": rows, "exp_avg_sq_col": columns, "exp_avg_res_row": rows, "exp_avg_res_col": columns}

    def __init__(self, params, lr=2e-4, betas=(0.9, 0.999, 0.9999), eps=(1e-30, 1e-16), clip_threshold=1.0,
                 weight_decay=0.0, *, weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr=lr, betas=betas, eps=eps, clip_threshold=clip_threshold, weight_decay=weight_decay,
                         weight_decay_mode=weight_decay_mode, maximize=maximize)

    @staticmethod
    def _check(key, value):
        for one in value if key == "eps" else (value,):
            Plain._check(key, one)

    def update(self, group, state, p, g, t):
        (beta1, beta2, beta3), (eps1, eps2) = group["betas"], group["eps"]
        if p.dim() > 1:
            u = g / self._root(state, "exp_avg_sq", g * g + eps1, beta2)
        else:
            u = g / state["exp_avg_sq"].lerp_(g * g + eps1, 1 - beta2).sqrt()
        if group["clip_threshold"] != 0:
            u = u / max(1.0, norm(u) / max(u.numel(), 1) ** 0.5 / group["clip_threshold"])
        m = state["exp_avg"].lerp_(u, 1 - beta1)
        if p.dim() > 1:
            m = m / self._root(state, "exp_avg_res", (u - m).square() + eps2, beta3)
        return float(group["lr"]) * m

    @staticmethod
    def _root(state, name, squares, beta):
        """Moves the averages of squares over rows and over columns. Returns the root of their factored average."""
        row = state[f"{name}_row"].lerp_(squares.mean(-1), 1 - beta)
        column = state[f"{name}_col"].lerp_(squares.mean(-2), 1 - beta)
        return ((row / row.mean(-1, keepdim=True)).unsqueeze(-1) * column.unsqueeze(-2)).sqrt()


class AdamMini(Factored, AdamLike):
    """Zhang et al. 2024, arXiv 2406.16793: AdamW with one second moment for each row of a matrix."""

    lines = {"vmean": kept_rows}

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                         weight_decay_mode=weight_decay_mode, maximize=maximize)

    def update(self, group, state, p, g, t):
        beta1, beta2 = group["betas"]
        correction1, correction2 = self.corrected(group, t)
        m = state["exp_avg"].lerp_(g, 1 - beta1)
        if p.dim() > 1:
            v = state["vmean"].lerp_((g * g).mean(-1, keepdim=True), 1 - beta2)
        else:
            v = state["exp_avg_sq"].lerp_(g * g, 1 - beta2)
        return float(group["lr"]) / correction1 * m / ((v / correction2).sqrt() + group["eps"])
