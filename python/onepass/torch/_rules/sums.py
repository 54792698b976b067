"""sums.py - the rules whose steps follow from sums over a whole tensor or model, in operations of torch. docs/rules.md
has the formulas and their sources."""

import torch

from .plain import AdamLike, OwnsDecay


def norm(tensor):
    """Returns the Euclidean norm, added up in float64."""
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


class LARS(OwnsDecay):
    """You, Gitman and Ginsburg 2017, arXiv 1708.03888, algorithm 1: SGD with a rate for each tensor."""

    def __init__(self, params, lr=1.0, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False, trust_coeff=1e-3,
                 eps=1e-8, trust_clip=False, always_adapt=False, *, weight_decay_mode="decoupled", maximize=False):
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                         nesterov=nesterov, trust_coeff=trust_coeff, eps=eps, trust_clip=trust_clip,
                         always_adapt=always_adapt, weight_decay_mode=weight_decay_mode, maximize=maximize)

    def states(self, group):
        return ("momentum_buffer",)

    def update(self, group, state, p, g, t):
        decay, momentum, buffer = self.own_decay(group), group["momentum"], state["momentum_buffer"]
        step = self.trust(group, norm(p), norm(g)) * (g + decay * p if decay != 0 else g)
        if t == 1:
            buffer.copy_(step)
        else:
            buffer.mul_(momentum).add_(step, alpha=1 - group["dampening"])
        return float(group["lr"]) * (step + momentum * buffer if group["nesterov"] else buffer)

    def trust(self, group, of_parameter, of_gradient):
        """Returns the factor of the learning rate, given both norms."""
        adapts = group["always_adapt"] or group["weight_decay"] != 0
        if not (adapts and of_parameter > 0 and of_gradient > 0):
            return 1.0
        whole = of_gradient + self.own_decay(group) * of_parameter + group["eps"]
        trust, lr = group["trust_coeff"] * of_parameter / whole, float(group["lr"])
        if not group["trust_clip"]:
            return trust
        return trust / lr if trust < lr else 1.0


class LAMB(OwnsDecay, AdamLike):
    """You et al. 2020, arXiv 1904.00962, algorithm 2: Adam's direction, as long as the tensor."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01, bias_correction=True,
                 grad_averaging=True, trust_clip=False, always_adapt=False, *, weight_decay_mode="decoupled",
                 maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize,
                         bias_correction=bias_correction, grad_averaging=grad_averaging, trust_clip=trust_clip,
                         always_adapt=always_adapt)

    def update(self, group, state, p, g, t):
        beta1, beta2 = group["betas"]
        weight = 1 - beta1 if group["grad_averaging"] else 1
        m = state["exp_avg"].mul_(beta1).add_(g, alpha=weight)
        v = state["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        correction1, correction2 = self.corrected(group, t) if group["bias_correction"] else (1, 1)
        u, decay = m / correction1 / ((v / correction2).sqrt() + group["eps"]), self.own_decay(group)
        if decay != 0:
            u = u + decay * p
        return float(group["lr"]) * self.trust(group, norm(p), norm(u)) * u

    @staticmethod
    def trust(group, of_parameter, of_direction):
        """Returns the factor of the learning rate, given both norms."""
        adapts = group["always_adapt"] or group["weight_decay"] != 0
        if not (adapts and of_parameter > 0 and of_direction > 0):
            return 1.0
        trust = of_parameter / of_direction
        return min(trust, 1.0) if group["trust_clip"] else trust


class NovoGrad(OwnsDecay, AdamLike):
    """Ginsburg et al. 2019, arXiv 1905.11286, algorithm 1: momentum of gradients over the norm of their tensor.
    exp_avg_norm_sq is one number, the average of squared norms."""

    scalars = ("exp_avg_norm_sq",)

    def __init__(self, params, lr=1e-3, betas=(0.95, 0.98), eps=1e-8, weight_decay=0.0, grad_averaging=False, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize,
                         grad_averaging=grad_averaging)

    def states(self, group):
        return ("exp_avg",)

    def update(self, group, state, p, g, t):
        (beta1, beta2), decay = group["betas"], self.own_decay(group)
        v, squares = state["exp_avg_norm_sq"], norm(g) ** 2
        v.fill_(squares if t == 1 else beta2 * float(v) + (1 - beta2) * squares)
        x = g / (float(v) ** 0.5 + group["eps"])
        if decay != 0:
            x = x + decay * p
        m = state["exp_avg"].mul_(beta1).add_(x, alpha=1 - beta1 if group["grad_averaging"] else 1)
        return float(group["lr"]) * m


class StableAdamW(OwnsDecay, AdamLike):
    """Wortsman et al. 2023, arXiv 2304.13013, algorithm 2: AdamW whose rate falls for a tensor with surprising
    gradients."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.01, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize)

    def update(self, group, state, p, g, t):
        share1, share2 = ((1 - beta) / (1 - beta**t) for beta in group["betas"])
        m = state["exp_avg"].lerp_(g, share1)
        v = state["exp_avg_sq"].mul_(1 - share2).addcmul_(g, g, value=share2)
        eps, decay = group["eps"], self.own_decay(group)
        rms = norm(g / v.sqrt().clamp(min=eps)) / max(g.numel(), 1) ** 0.5
        step = m / (v.sqrt() + eps)
        return float(group["lr"]) / (rms if rms > 1 else 1.0) * (step + decay * p if decay != 0 else step)


class MARS(AdamLike):
    """Yuan et al. 2024, arXiv 2411.10438, algorithm 2: AdamW on gradients whose variance those of the last step
    reduce."""

    def __init__(self, params, lr=3e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, gamma=0.025, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, gamma=gamma)

    def states(self, group):
        return ("exp_avg", "exp_avg_sq", "last_grad")

    def update(self, group, state, p, g, t):
        beta1 = group["betas"][0]
        weight = group["gamma"] * beta1 / (1 - beta1)
        c = g + weight * (g - state["last_grad"]) if t > 1 else g
        length = norm(c)
        m, v = self.moments(group, state, c * (1 / length) if length > 1 else c)
        state["last_grad"].copy_(g)
        correction1, correction2 = self.corrected(group, t)
        return float(group["lr"]) / correction1 * m / ((v / correction2).sqrt() + group["eps"])


class Prodigy(OwnsDecay, AdamLike):
    """Mishchenko and Defazio 2023, arXiv 2306.06101, algorithm 4: Adam that finds its own learning rate, d. All
    parameters share d, d_max, d_numerator and k, the number of steps that changed them; each keeps a copy."""

    scalars = ("d", "d_max", "d_numerator", "k")

    def __init__(self, params, lr=1.0, betas=(0.9, 0.999), beta3=None, eps=1e-8, weight_decay=0.0,
                 use_bias_correction=False, safeguard_warmup=False, d0=1e-6, d_coef=1.0, growth_rate=float("inf"), *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, beta3=beta3,
                         use_bias_correction=use_bias_correction, safeguard_warmup=safeguard_warmup, d0=d0,
                         d_coef=d_coef, growth_rate=growth_rate)

    @staticmethod
    def _check(key, value):
        if key == "beta3" and value is None:
            return
        if key == "beta3" and not 0.0 <= value < 1.0 or key == "d0" and not value > 0.0 \
                or key == "growth_rate" and not value >= 1.0:
            raise ValueError(f"Invalid {key} value: {value}")
        OwnsDecay._check(key, value)

    def states(self, group):
        return ("exp_avg", "exp_avg_sq", "s", "p0")

    @property
    def d(self):
        """The learning rate that was found, before lr and its schedule."""
        return self._estimate()[0]

    def _estimate(self):
        """Returns d, d_max, d_numerator and k, those of a parameter that has counted the most steps."""
        newest = max((state for state in self.state.values() if "k" in state), key=lambda state: float(state["k"]),
                     default=None)
        if newest is None or newest["k"] == 0:
            d0 = float(self.param_groups[0]["d0"])
            return d0, d0, 0.0, 0.0
        return tuple(float(newest[name]) for name in self.scalars)

    def _rate(self, group, d, k):
        beta1, beta2 = group["betas"]
        corrected = (1 - beta2 ** (k + 1)) ** 0.5 / (1 - beta1 ** (k + 1)) if group["use_bias_correction"] else 1.0
        return d * float(group["lr"]) * corrected

    def _step_all(self, parts):
        d, d_max, numerator, k = self._estimate()
        opened = [(group, *self._opened(group, p)) for group, p in parts]
        numerator, total = self._kept(self.param_groups[0]) * numerator, 0.0
        for group, state, p, g, t in opened:
            if t == 1:
                state["p0"].copy_(p)
            if float(group["lr"]) != 0:
                terms, magnitudes = self._gather(group, state, p, self.seen(group, p, g), d, k)
                numerator, total = numerator + terms, total + magnitudes
        if total == 0:
            return
        following = self._following(d, d_max, numerator, total)
        for group, state, p, _, _ in opened:
            u = state["exp_avg"] / (state["exp_avg_sq"].sqrt() + following[0] * group["eps"])
            decay = self.own_decay(group)
            p.sub_(self._rate(group, d, k) * (u + decay * p if decay != 0 else u))
            for name, value in zip(self.scalars, (*following, k + 1)):
                state[name].fill_(value)

    @staticmethod
    def _kept(group):
        """Returns the share of s that a step keeps."""
        return group["beta3"] or group["betas"][1] ** 0.5

    def _gather(self, group, state, p, g, d, k):
        """Moves the states. Returns what they add to both sums."""
        rate, share = self._rate(group, d, k), d / float(group["d0"])
        terms = share * rate * float((g.double() * (state["p0"] - p)).sum())
        self.moments(group, state, d * g)
        state["s"].mul_(self._kept(group)).add_(g, alpha=share * (d if group["safeguard_warmup"] else rate))
        return terms, float(state["s"].abs().sum(dtype=torch.float64))

    def _following(self, d, d_max, numerator, total):
        group = self.param_groups[0]
        found = group["d_coef"] * numerator / total
        if d == group["d0"] and found > d:
            d = found
        d_max = found if found > d_max else d_max
        return min(d_max, d * group["growth_rate"]), d_max, numerator
