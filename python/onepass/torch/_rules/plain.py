"""plain.py - the rules that torch.optim lacks, in operations of torch, one tensor after the other. They are the bases
of the classes of onepass.torch: their arguments, groups, states and errors. They step what the library does not take,
such as float64, and the tests compare the library with them. docs/rules.md has the formulas and their sources."""

import math

import torch

CAUTIONS = ("none", "masked", "rescaled")
DECAYS = ("coupled", "decoupled", "after", "proximal", "cautious")


def rectification(beta2, t):
    """Returns RAdam's length of the average and its factor of the step, 0 where the length is 4 or less."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    if length <= 4:
        return length, 0.0
    return length, math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


def sign(tensor):
    """Returns the sign, and NaN for NaN, of which torch.sign makes 0."""
    return torch.where(tensor.isnan(), tensor, tensor.sign())


class Plain(torch.optim.Optimizer):
    """What these classes share. `states` names the states of a group, `update` moves them and returns what the
    parameter loses."""

    def __init__(self, params, **defaults):
        for key, value in defaults.items():
            self._check(key, value)
        super().__init__(params, defaults)

    @staticmethod
    def _check(key, value):
        """Raises ValueError, with torch's words, for a hyperparameter out of range."""
        names = {"lr": "learning rate", "eps": "epsilon value"}
        if key == "weight_decay_mode":
            if value not in DECAYS:
                raise ValueError(f"weight_decay_mode is {value!r}; it must be one of {', '.join(map(repr, DECAYS))}")
        elif key == "caution":
            if value not in CAUTIONS:
                raise ValueError(f"caution is {value!r}; it must be one of {', '.join(map(repr, CAUTIONS))}")
        elif key == "beta1":
            Plain._check("betas", (value,))
        elif key == "betas":
            for index, beta in enumerate(value):
                if not 0.0 <= beta < 1.0:
                    raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
        elif torch.is_tensor(value) and value.numel() != 1:
            raise ValueError(f"Tensor {key} must be 1-element")
        elif not isinstance(value, bool) and not value >= 0.0:
            raise ValueError(f"Invalid {names.get(key, key + ' value')}: {value}")

    scalars = ()  # States that are one number for a parameter.

    def states(self, group):
        return ("exp_avg", "exp_avg_sq")

    def states_of(self, group, p):
        return self.states(group)

    def first(self, key, p):
        """Returns a state before the first step."""
        return torch.zeros_like(p, memory_format=torch.preserve_format)

    def update(self, group, state, p, g, t):
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure=None):
        """Updates every parameter that has a gradient. Returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_all([(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None])
        return loss

    def _step_all(self, parts):
        """Updates parameters, given with their groups."""
        for group, p in parts:
            self._move(group, *self._opened(group, p))

    def _opened(self, group, p):
        """Counts a step of a parameter. Returns its states, itself and its gradient as real numbers, and the count."""
        if p.grad.is_sparse:
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
        state = self._begun(group, p)
        state["step"] += 1
        real = torch.view_as_real if torch.is_complex(p) else lambda tensor: tensor
        values = {key: real(state[key]) for key in self.states_of(group, p)} | {key: state[key] for key in self.scalars}
        return values, real(p), real(p.grad), int(state["step"])

    def _begun(self, group, p):
        """Returns the state of a parameter, whose streams are 0 before its first step."""
        state = self.state[p]
        if not state:
            state["step"] = torch.tensor(0.0)
            state.update((name, torch.tensor(0.0, dtype=torch.float64)) for name in self.scalars)
        for key in self.states_of(group, p):
            if key not in state:
                state[key] = self.first(key, p)
        return state

    def _move(self, group, state, p, g, t):
        lr, mode, decay = float(group["lr"]), group["weight_decay_mode"], float(group["weight_decay"])
        seen = self.seen(group, p, g)
        update = self.cautious(group, self.update(group, state, p, seen, t), seen)
        if mode in ("decoupled", "cautious") and self.decays(t):
            decayed = p * (1 - lr * decay)
            p.copy_(decayed if mode == "decoupled" else torch.where(update * p >= 0, decayed, p))
        p.sub_(update)
        if mode == "after":
            p.mul_(1 - lr * decay)
        elif mode == "proximal":
            p.div_(1 + lr * decay)

    @staticmethod
    def seen(group, p, g):
        """Returns the gradient as the rule sees it."""
        g = -g if group["maximize"] else g
        if group["weight_decay_mode"] == "coupled" and group["weight_decay"] != 0:
            return g.add(p, alpha=float(group["weight_decay"]))
        return g

    @staticmethod
    def cautious(group, update, g):
        """Returns the update without the elements whose sign is not the gradient's, divided by the share of the others
        if the group asks for it."""
        caution = group.get("caution", "none")
        if caution == "none" or update.numel() == 0:
            return update
        kept = update.sign() * g.sign() > 0
        masked = torch.where(kept | update.isnan(), update, torch.zeros_like(update))
        return masked / max(float(kept.double().mean()), 1e-3) if caution == "rescaled" else masked

    def decays(self, t):
        """Returns whether decoupled weight decay applies in a parameter's step t."""
        return True


class OwnsDecay(Plain):
    """What rules share whose formula has the decay in it. They have no other forms."""

    @staticmethod
    def _check(key, value):
        if key == "weight_decay_mode" and value not in ("coupled", "decoupled"):
            raise ValueError(f"weight_decay_mode is {value!r}; it must be 'coupled' or 'decoupled'")
        Plain._check(key, value)

    def decays(self, t):
        return False

    @staticmethod
    def own_decay(group):
        """Returns the share of p in the direction."""
        return group["weight_decay"] if group["weight_decay_mode"] == "decoupled" else 0.0


class Lion(Plain):
    """Chen et al. 2023, arXiv 2302.06675, algorithm 2: the sign of an average of gradients."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, *, weight_decay_mode="decoupled",
                 caution="none", maximize=False):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay, weight_decay_mode=weight_decay_mode,
                         caution=caution, maximize=maximize)

    def states(self, group):
        return ("exp_avg",)

    def update(self, group, state, p, g, t):
        beta1, beta2 = group["betas"]
        direction = sign(state["exp_avg"].lerp(g, 1 - beta1))
        state["exp_avg"].lerp_(g, 1 - beta2)
        return float(group["lr"]) * direction


class Signum(Plain):
    """Bernstein et al. 2018, arXiv 1802.04434: the sign of the momentum, or with a momentum of 0 of the gradient."""

    def __init__(self, params, lr=1e-3, momentum=0.9, weight_decay=0.0, nesterov=False, *,
                 weight_decay_mode="decoupled", maximize=False):
        if nesterov and momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov,
                         weight_decay_mode=weight_decay_mode, maximize=maximize)

    def states(self, group):
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def update(self, group, state, p, g, t):
        share = 1 - group["momentum"]
        if share == 1:
            return float(group["lr"]) * sign(g)
        buffer = state["momentum_buffer"].lerp_(g, share)
        return float(group["lr"]) * sign(buffer.lerp(g, share) if group["nesterov"] else buffer)


class AdamLike(Plain):
    """What the relatives of Adam share."""

    def __init__(self, params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, **others):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **others,
                         weight_decay_mode=weight_decay_mode, maximize=maximize)

    def moments(self, group, state, g, first="exp_avg", second="exp_avg_sq"):
        """Moves both averages and returns them."""
        beta1, beta2 = group["betas"][:2]
        return state[first].lerp_(g, 1 - beta1), state[second].mul_(beta2).addcmul_(g, g, value=1 - beta2)

    def corrected(self, group, t):
        """Returns 1 - beta^t for both."""
        beta1, beta2 = group["betas"][:2]
        return 1 - beta1**t, 1 - beta2**t


class NAdamW(AdamLike):
    """Adam with Nesterov momentum and decoupled weight decay, in timm's form."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, *,
                 weight_decay_mode="decoupled", caution="none", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, caution=caution)

    def update(self, group, state, p, g, t):
        m, v = self.moments(group, state, g)
        correction1, correction2 = self.corrected(group, t)
        ahead = m.lerp(g, 1 - group["betas"][0])
        return float(group["lr"]) / correction1 * ahead / ((v / correction2).sqrt() + group["eps"])


class AdEMAMix(AdamLike):
    """Pagliardini et al. 2024, arXiv 2409.03137, algorithm 1: Adam with a second, slow average of gradients."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999, 0.9999), alpha=5.0, alpha_warmup=0, beta3_warmup=0, eps=1e-8,
                 weight_decay=0.0, *, weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, alpha=alpha,
                         alpha_warmup=alpha_warmup, beta3_warmup=beta3_warmup)

    def states(self, group):
        fast = ("exp_avg_fast",) if group["betas"][0] != 0 else ()
        return (*fast, "exp_avg_slow", "exp_avg_sq")

    def update(self, group, state, p, g, t):
        alpha, beta3 = self.warm(group, t)
        m, v = self.moments(group, {"exp_avg_fast": torch.empty_like(g).zero_(), **state}, g, "exp_avg_fast")
        correction1, correction2 = self.corrected(group, t)
        slow = state["exp_avg_slow"].lerp_(g, 1 - beta3)
        return float(group["lr"]) * (m / correction1 + alpha * slow) / ((v / correction2).sqrt() + group["eps"])

    @staticmethod
    def warm(group, t):
        """Returns alpha and beta3 of step t."""
        beta1, _, beta3 = group["betas"]
        alpha = group["alpha"] * min(1.0, t / group["alpha_warmup"]) if group["alpha_warmup"] else group["alpha"]
        if t >= group["beta3_warmup"]:
            return alpha, beta3
        done = t / group["beta3_warmup"]
        # The inverse logarithm of a beta of 0 is 0.
        fast, slow = (1 / math.log(beta) if beta else 0.0 for beta in (beta1, beta3))
        inverse = (1 - done) * fast + done * slow
        return alpha, math.exp(1 / inverse) if inverse else 0.0


class AdaBelief(AdamLike):
    """Zhuang et al. 2020, arXiv 2010.07468, algorithm 1: Adam that divides by the deviation from the average."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-16, weight_decay=0.0, rectify=False, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, rectify=rectify)

    def states(self, group):
        return ("exp_avg", "exp_avg_var")

    def update(self, group, state, p, g, t):
        (beta1, beta2), eps = group["betas"], group["eps"]
        correction1, correction2 = self.corrected(group, t)
        m = state["exp_avg"].lerp_(g, 1 - beta1)
        v = state["exp_avg_var"].mul_(beta2).addcmul_(g - m, g - m, value=1 - beta2).add_(eps)
        rate = float(group["lr"]) / correction1
        if not group["rectify"]:
            return rate * m / ((v / correction2).sqrt() + eps)
        length, factor = rectification(beta2, t)
        return rate * m if length < 5 else rate * factor * math.sqrt(correction2) * m / (v.sqrt() + eps)


class Grams(AdamLike):
    """Cao et al. 2024, arXiv 2412.17107: the magnitude of Adam's step with the sign of the gradient."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize)

    def update(self, group, state, p, g, t):
        m, v = self.moments(group, state, g)
        correction1, correction2 = self.corrected(group, t)
        return float(group["lr"]) / correction1 * sign(g) * m.abs() / ((v / correction2).sqrt() + group["eps"])


class SophiaG(Plain):
    """Liu et al. 2023, arXiv 2305.14342, algorithm 3: a clipped step by an estimate of the Hessian's diagonal."""

    def __init__(self, params, lr=1e-4, betas=(0.965, 0.99), rho=0.04, batch_size=5120, weight_decay=0.1, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr=lr, betas=betas, rho=rho, batch_size=batch_size, weight_decay=weight_decay,
                         weight_decay_mode=weight_decay_mode, maximize=maximize)

    def states(self, group):
        return ("exp_avg", "hessian")

    def update(self, group, state, p, g, t):
        m = state["exp_avg"].lerp_(g, 1 - group["betas"][0])
        scale = group["rho"] * group["batch_size"] * state["hessian"] + 1e-15
        return float(group["lr"]) * sign(m) * (m.abs() / scale).clamp(max=1)

    @torch.no_grad()
    def update_hessian(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self._begun(group, p)
                    state["hessian"].mul_(group["betas"][1]).addcmul_(p.grad, p.grad, value=1 - group["betas"][1])


class ADOPT(AdamLike):
    """Taniguchi et al. 2024, arXiv 2411.02853, algorithm 2: Adam that normalises by the squares before this step. Its
    first step only fills exp_avg_sq."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.9999), eps=1e-6, weight_decay=0.0, clip=True, *,
                 weight_decay_mode="coupled", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, clip=clip)

    def decays(self, t):
        return t > 1

    def update(self, group, state, p, g, t):
        beta1, beta2 = group["betas"]
        v = state["exp_avg_sq"]
        if t == 1:
            v.addcmul_(g, g)
            return torch.zeros_like(g)
        normal = g / v.sqrt().clamp(min=group["eps"])
        if group["clip"]:
            limit = (t - 1) ** 0.25
            normal.clamp_(-limit, limit)
        m = state["exp_avg"].lerp_(normal, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        return float(group["lr"]) * m


class Adan(AdamLike):
    """Xie et al. 2022, arXiv 2208.06677, algorithm 1: Nesterov momentum from the difference of gradients."""

    def __init__(self, params, lr=1e-3, betas=(0.98, 0.92, 0.99), eps=1e-8, weight_decay=0.0, *,
                 weight_decay_mode="proximal", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize)

    def states(self, group):
        return ("exp_avg", "exp_avg_diff", "exp_avg_sq", "neg_pre_grad")

    def update(self, group, state, p, g, t):
        beta1, beta2, beta3 = group["betas"]
        difference = g + state["neg_pre_grad"] if t > 1 else torch.zeros_like(g)
        m = state["exp_avg"].lerp_(g, 1 - beta1)
        d = state["exp_avg_diff"].lerp_(difference, 1 - beta2)
        ahead = g + beta2 * difference
        n = state["exp_avg_sq"].mul_(beta3).addcmul_(ahead, ahead, value=1 - beta3)
        state["neg_pre_grad"].copy_(-g)
        step = m / (1 - beta1**t) + beta2 * d / (1 - beta2**t)
        return float(group["lr"]) * step / ((n / (1 - beta3**t)).sqrt() + group["eps"])


class LaProp(AdamLike):
    """Ziyin et al. 2020, arXiv 2002.04839, algorithm 1: an average of normalised gradients. exp_avg_lr_1 is an average
    of learning rates, which corrects its bias."""

    scalars = ("exp_avg_lr_1",)

    def __init__(self, params, lr=4e-4, betas=(0.9, 0.999), eps=1e-15, weight_decay=0.0, *, weight_decay_mode="after",
                 caution="none", maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, weight_decay_mode, maximize, caution=caution)

    def update(self, group, state, p, g, t):
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        v = state["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        normal = g / ((v / (1 - beta2**t)).sqrt() + group["eps"])
        m = state["exp_avg"].mul_(beta1).add_(normal, alpha=(1 - beta1) * lr)
        rates = state["exp_avg_lr_1"].mul_(beta1).add_((1 - beta1) * lr).item()
        return (lr / rates if lr != 0 else 1.0) * m
