"""schedule_free.py - Schedule-Free SGD and AdamW (Defazio et al. 2024, arXiv 2405.15682) in operations of torch, and
the two modes of their parameters. The library's headers have the formulas."""

import torch

from .plain import OwnsDecay


class _ScheduleFree(OwnsDecay):
    """What both share. z_minus_y is the difference of the sequence of plain steps and the parameter."""

    scalars = ("weight_sum", "lr_max")

    def __init__(self, params, lr, warmup_steps, r, weight_lr_power, weight_decay, weight_decay_mode, maximize,
                 **others):
        super().__init__(params, lr=lr, **others, warmup_steps=warmup_steps, r=r, weight_lr_power=weight_lr_power,
                         weight_decay=weight_decay, weight_decay_mode=weight_decay_mode, maximize=maximize,
                         train_mode=True)

    @staticmethod
    def _check(key, value):
        first = value[0] if key == "betas" else value
        if key in ("momentum", "betas") and not 0.0 < first < 1.0:
            raise ValueError(f"Invalid {'momentum' if key == 'momentum' else 'beta parameter at index 0'}: {first}")
        OwnsDecay._check(key, value)

    def states(self, group):
        return ("z_minus_y",)

    def direction(self, group, state, g, t):
        raise NotImplementedError

    def update(self, group, state, p, g, t):
        rate, share = self._weights(group, state, t)
        u, decay = self.direction(group, state, g, t), self.own_decay(group)
        if decay != 0:
            u = u + decay * p
        d, kept = state["z_minus_y"], momentum_of(group)
        loss = rate * (1 - kept * (1 - share)) * u - share * d
        d.sub_(rate * kept * u).mul_(1 - share)
        return loss

    @staticmethod
    def _weights(group, state, t):
        """Returns the learning rate of step t, and the weight of its z in the average of all."""
        rate, warmup = float(group["lr"]), group["warmup_steps"]
        if t < warmup:
            rate *= t / warmup
        state["lr_max"].fill_(max(float(state["lr_max"]), rate))
        weight = t ** group["r"] * float(state["lr_max"]) ** group["weight_lr_power"]
        state["weight_sum"].add_(weight)
        return rate, weight / float(state["weight_sum"]) if state["weight_sum"] > 0 else 0.0


class ScheduleFreeSGD(_ScheduleFree):
    """SGD whose parameters need no schedule."""

    def __init__(self, params, lr=1.0, momentum=0.9, warmup_steps=0, r=0.0, weight_lr_power=2.0, weight_decay=0.0, *,
                 weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, warmup_steps, r, weight_lr_power, weight_decay, weight_decay_mode, maximize,
                         momentum=momentum)

    def direction(self, group, state, g, t):
        return g


class ScheduleFreeAdamW(_ScheduleFree):
    """AdamW whose parameters need no schedule. It has no first moment."""

    def __init__(self, params, lr=2.5e-3, betas=(0.9, 0.999), eps=1e-8, warmup_steps=0, r=0.0, weight_lr_power=2.0,
                 weight_decay=0.0, *, weight_decay_mode="decoupled", maximize=False):
        super().__init__(params, lr, warmup_steps, r, weight_lr_power, weight_decay, weight_decay_mode, maximize,
                         betas=betas, eps=eps)

    def states(self, group):
        return ("z_minus_y", "exp_avg_sq")

    def direction(self, group, state, g, t):
        beta2 = group["betas"][1]
        v = state["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        return g / ((v / (1 - beta2**t)).sqrt() + group["eps"])


def momentum_of(group):
    return group["momentum"] if "momentum" in group else group["betas"][0]


class Modes:
    """The two modes of a Schedule-Free optimizer. In training, which is the first, the parameters are where gradients
    are taken; in evaluation, they are the average that the model is to be evaluated and saved at. A step in the mode of
    evaluation is an error. `param_groups` and the state dict have the mode as `train_mode`. Norms with running
    statistics, such as BatchNorm, need them computed anew in evaluation."""

    _left = None  # By parameter: its numbers in training, and the version that it had after evaluation began.

    @torch.no_grad()
    def eval(self):
        """Brings the parameters to the point of evaluation. Does nothing in evaluation."""
        self._left = self._left or {}
        for group in self.param_groups:
            if not group["train_mode"]:
                continue
            group["train_mode"] = False
            for p in group["params"]:
                if "z_minus_y" in self.state.get(p, ()):
                    before = p.detach().clone()
                    p.copy_(self._apart(group, p, -1))
                    self._left[p] = before, p._version

    @torch.no_grad()
    def train(self):
        """Brings the parameters back to where training left them: to the bit, unless they were changed or loaded in
        between. Does nothing in training."""
        for group in self.param_groups:
            if group["train_mode"]:
                continue
            group["train_mode"] = True
            for p in group["params"]:
                if "z_minus_y" in self.state.get(p, ()):
                    before, version = (self._left or {}).pop(p, (None, None))
                    p.copy_(before if version == p._version else self._apart(group, p, 1))
        self._left = None

    @torch.no_grad()
    def evaluation_point(self, parameter):
        """Returns the point of evaluation of a parameter, which stays as it is."""
        for group in self.param_groups:
            if any(p is parameter for p in group["params"]):
                has_point = group["train_mode"] and "z_minus_y" in self.state.get(parameter, ())
                return self._apart(group, parameter, -1) if has_point else parameter.detach().clone()
        raise ValueError("the optimizer has no such parameter")

    def _apart(self, group, p, sign):
        """Returns the parameter moved by the distance of the two points."""
        state = self.state[p]
        master = state.get("master")
        exact = master if sign < 0 and master is not None and master.is_floating_point() else p
        distance = 1 / momentum_of(group) - 1
        return (exact.detach().to(state["z_minus_y"].dtype) + sign * distance * state["z_minus_y"]).to(p.dtype)

    def step(self, closure=None):
        """Updates every parameter that has a gradient. Returns what the closure returns."""
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(f"{type(self).__name__} is in the mode of evaluation; call train() before step()")
        return super().step(closure)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self._left = None
