"""_rules - how a parameter group of torch.optim spells the rule of the library that steps it."""

import types
import typing

import torch

from . import factored, plain, schedule_free, sums


class Spelling(typing.NamedTuple):
    """A rule of the library, as a group of torch.optim has it."""

    name: str  # Of the library's rule.
    base: type  # The class that has these groups: torch's, or of plain.
    settings: typing.Callable  # Group -> tuple of (hyperparameter, value), in an order that never changes.
    read: tuple  # Keys of the group that `settings` reads.
    kept: typing.Callable  # Group -> tuple that selects the states; the optimizer is planned anew when it changes.
    keys: tuple  # Of a parameter's state, in torch's order. A rule without "step" among them counts for itself.
    selecting: tuple = ()  # Hyperparameters that select the states.
    starts: typing.Callable | None = None  # Group, parameter -> the state that torch makes in the constructor.
    completed: typing.Callable | None = None  # Group, state -> the state with what torch has besides.
    sums: bool = False  # The rule takes sums over tensors, which ranks add up.
    over_model: bool = False  # Its sums run over all tensors.
    # States of rows and columns of matrices: the function that makes their shape of the parameter's.
    lines: typing.Mapping = types.MappingProxyType({})
    # Arguments, and keys of a group, that the base lacks: their defaults, with which groups do without the keys.
    besides: typing.Mapping = types.MappingProxyType({})


def number(value):
    """Returns a hyperparameter as a float. torch allows tensors of one element."""
    return float(value)


def _decay(group):
    return "decoupled" if group.get("decoupled_weight_decay") else "coupled"


def _numbers(group, *names):
    return tuple((name, number(group[name])) for name in names)


def _flags(group, *names):
    return tuple((name, bool(group[name])) for name in names)


def _several(group, **names):
    """Returns the numbers of a tuple in the group: betas=("beta1", "beta2")."""
    return tuple((name, number(value)) for key, listed in names.items() for name, value in zip(listed, group[key]))


def _betas(group):
    return _several(group, betas=("beta1", "beta2", "beta3"))


def _adam(group):
    return (*_numbers(group, "lr", "eps", "weight_decay"), *_betas(group), ("weight_decay_mode", _decay(group)),
            *_flags(group, "amsgrad", "maximize"))


def _sgd(group):
    return _numbers(group, "lr", "momentum", "dampening", "weight_decay") + _flags(group, "nesterov", "maximize")


def _rmsprop(group):
    return (*_numbers(group, "lr", "alpha", "eps", "weight_decay", "momentum"), ("epsilon", "outside_root"),
            *_flags(group, "centered", "maximize"))


def _radam(group):
    return (*_numbers(group, "lr", "eps", "weight_decay"), *_betas(group), ("weight_decay_mode", _decay(group)),
            *_flags(group, "maximize"))


def _adamax(group):
    return _numbers(group, "lr", "eps", "weight_decay") + _betas(group) + _flags(group, "maximize")


def _adagrad(group):
    return _numbers(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps") + \
        _flags(group, "maximize")


def _adadelta(group):
    return _numbers(group, "lr", "rho", "eps", "weight_decay") + _flags(group, "maximize")


def _rprop(group):
    return _numbers(group, "lr") + _flags(group, "maximize") + _several(
        group, etas=("eta_minus", "eta_plus"), step_sizes=("step_size_min", "step_size_max"))


def _nadam(group):
    return (*_numbers(group, "lr", "eps", "weight_decay", "momentum_decay"), *_betas(group),
            ("weight_decay_mode", _decay(group)), *_flags(group, "maximize"))


def _asgd(group):
    return _numbers(group, "lr", "lambd", "alpha", "t0", "weight_decay") + _flags(group, "maximize")


def _with_mu(group, state):
    """torch's ASGD also keeps the weight of the parameter in the next step's average."""
    mu = 1 / max(1.0, float(state["step"]) - group["t0"])
    return {key: value for key, value in state.items() if key not in ("mu", "ax")} | \
        {"mu": torch.tensor(mu, dtype=torch.float32, device=state["ax"].device), "ax": state["ax"]}


# The arguments that torch's Adafactor lacks.
RELATIVE = {"beta1": 0.0, "relative_step": True, "scale_parameter": True, "warmup_init": False, "adds_eps1": False}


def _adafactor(group):
    eps1, eps2 = group["eps"]
    if eps1 is None:  # Of the first parameter, as torch's.
        parameters = group.get("params")
        eps1 = torch.finfo(parameters[0].dtype if parameters else torch.float32).eps
    beta1, *flags = (group.get(name, default) for name, default in RELATIVE.items())
    return (*_numbers(group, "lr", "beta2_decay", "d", "weight_decay"), ("eps1", number(eps1)), ("eps2", number(eps2)),
            ("beta1", number(beta1)), *zip(list(RELATIVE)[1:], map(bool, flags)), *_flags(group, "maximize"))


def _nothing(group):
    return ()


def _adagrads_start(group, parameter):
    start = group["initial_accumulator_value"]
    start = complex(start, start) if parameter.is_complex() else start
    return {"step": torch.tensor(0.0, dtype=torch.float32),
            "sum": torch.full_like(parameter.detach(), start, memory_format=torch.preserve_format)}


ADAM = Spelling(
    "Adam", torch.optim.Adam, _adam,
    ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "amsgrad", "maximize"),
    lambda group: (bool(group["amsgrad"]),), ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"), ("amsgrad",))
ADAMW = ADAM._replace(name="AdamW", base=torch.optim.AdamW)
SGD = Spelling(
    "SGD", torch.optim.SGD, _sgd, ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
    lambda group: (group["momentum"] != 0,), ("momentum_buffer",), ("momentum",))
RMSPROP = Spelling(
    "RMSProp", torch.optim.RMSprop, _rmsprop,
    ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize"),
    lambda group: (group["momentum"] != 0, bool(group["centered"])),
    ("step", "square_avg", "momentum_buffer", "grad_avg"), ("centered", "momentum"))
RADAM = Spelling(
    "RAdam", torch.optim.RAdam, _radam, ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "maximize"),
    _nothing, ("step", "exp_avg", "exp_avg_sq"))
ADAMAX = Spelling(
    "Adamax", torch.optim.Adamax, _adamax, ("lr", "betas", "eps", "weight_decay", "maximize"), _nothing,
    ("step", "exp_avg", "exp_inf"))
ADAGRAD = Spelling(
    "Adagrad", torch.optim.Adagrad, _adagrad,
    ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps", "maximize"), _nothing, ("step", "sum"),
    starts=_adagrads_start)
ADADELTA = Spelling(
    "Adadelta", torch.optim.Adadelta, _adadelta, ("lr", "rho", "eps", "weight_decay", "maximize"), _nothing,
    ("step", "square_avg", "acc_delta"))
RPROP = Spelling(
    "Rprop", torch.optim.Rprop, _rprop, ("lr", "etas", "step_sizes", "maximize"), _nothing,
    ("step", "prev", "step_size"))

NADAM = Spelling(
    "NAdam", torch.optim.NAdam, _nadam,
    ("lr", "betas", "eps", "weight_decay", "momentum_decay", "decoupled_weight_decay", "maximize"), _nothing,
    ("step", "mu_product", "exp_avg", "exp_avg_sq"))
ADAFACTOR = Spelling(
    "Adafactor", torch.optim.Adafactor, _adafactor,
    ("lr", "beta2_decay", "eps", "d", "weight_decay", "maximize", *RELATIVE),
    lambda group: (group.get("beta1", 0.0) != 0,), ("step", "row_var", "col_var", "variance", "exp_avg"), ("beta1",),
    sums=True, lines={"row_var": factored.kept_rows, "col_var": factored.kept_columns}, besides=RELATIVE)
ASGD = Spelling(
    "ASGD", torch.optim.ASGD, _asgd, ("lr", "lambd", "alpha", "t0", "weight_decay", "maximize"), _nothing,
    ("step", "eta", "ax"), completed=_with_mu)


def _own(base, *numbers, betas=False, flags=(), keys=("exp_avg", "exp_avg_sq"), selecting=()):
    """Returns the spelling of a class of plain.py, whose groups have the library's names."""
    numbers, flags = ("lr", "weight_decay", *numbers), (*flags, "maximize")

    def settings(group):
        listed = _numbers(group, *numbers) + (_betas(group) if betas else ()) + _flags(group, *flags)
        return (*listed, ("weight_decay_mode", group["weight_decay_mode"]))

    def kept(group):
        found = dict(settings(group))
        return tuple(found[name] != 0 for name in selecting)

    read = (*numbers, *(("betas",) if betas else ()), *flags, "weight_decay_mode")
    return Spelling(base.__name__, base, settings, read, kept, ("step", *keys), selecting,
                    lines=getattr(base, "lines", {}))


def _summing(base, *numbers, **names):
    """The same for a class of sums.py, whose rule takes sums over tensors."""
    return _own(base, *numbers, **names)._replace(sums=True)


def _prodigy():
    numbers = ("eps", "d0", "d_coef", "growth_rate")
    flags = ("use_bias_correction", "safeguard_warmup")
    usual = _summing(sums.Prodigy, *numbers, betas=True, flags=flags,
                     keys=(*sums.Prodigy.scalars, "exp_avg", "exp_avg_sq", "s", "p0"))

    def settings(group):
        return (*usual.settings(group), ("beta3", number(group["beta3"] or 0.0)))

    return usual._replace(settings=settings, read=(*usual.read, "beta3"), over_model=True)


def _came():
    lines = tuple(factored.CAME.lines)
    usual = _summing(factored.CAME, "clip_threshold", betas=True, keys=("exp_avg", *lines, "exp_avg_sq"))

    def settings(group):
        return (*usual.settings(group), *_several(group, eps=("eps1", "eps2")))

    return usual._replace(settings=settings, read=(*usual.read, "eps"))


def _cautious(spelling):
    """Returns the spelling of a rule with caution. Groups of torch's classes need not have the key. Steps that rescale
    take sums, for which the optimizer is planned anew."""
    def settings(group):
        return (*spelling.settings(group), ("caution", group.get("caution", "none")))

    def kept(group):
        return (*spelling.kept(group), rescales(group))

    besides = {} if issubclass(spelling.base, plain.Plain) else {"caution": "none"}
    return spelling._replace(settings=settings, read=(*spelling.read, "caution"), kept=kept, besides=besides)


def rescales(group):
    """Returns whether the steps of a group divide updates by the share that is not masked."""
    return group.get("caution") == "rescaled"


ADAM, ADAMW, RADAM, NADAM = map(_cautious, (ADAM, ADAMW, RADAM, NADAM))
LION = _cautious(_own(plain.Lion, betas=True, keys=("exp_avg",)))
SIGNUM = _own(plain.Signum, "momentum", flags=("nesterov",), keys=("momentum_buffer",), selecting=("momentum",))
NADAMW = _cautious(_own(plain.NAdamW, "eps", betas=True))
ADEMAMIX = _own(plain.AdEMAMix, "eps", "alpha", "alpha_warmup", "beta3_warmup", betas=True,
                keys=("exp_avg_fast", "exp_avg_slow", "exp_avg_sq"), selecting=("beta1",))
ADABELIEF = _own(plain.AdaBelief, "eps", betas=True, flags=("rectify",), keys=("exp_avg", "exp_avg_var"))
GRAMS = _own(plain.Grams, "eps", betas=True)
SOPHIAG = _own(plain.SophiaG, "rho", "batch_size", betas=True, keys=("exp_avg", "hessian"))
ADOPT = _own(plain.ADOPT, "eps", betas=True, flags=("clip",))
ADAN = _own(plain.Adan, "eps", betas=True, keys=("exp_avg", "exp_avg_diff", "exp_avg_sq", "neg_pre_grad"))
SCHEDULE_FREE = ("warmup_steps", "r", "weight_lr_power")
SCHEDULE_FREE_SGD = _own(schedule_free.ScheduleFreeSGD, "momentum", *SCHEDULE_FREE,
                         keys=("weight_sum", "lr_max", "z_minus_y"))
SCHEDULE_FREE_ADAMW = _own(schedule_free.ScheduleFreeAdamW, "eps", *SCHEDULE_FREE, betas=True,
                           keys=("weight_sum", "lr_max", "z_minus_y", "exp_avg_sq"))
LAPROP = _cautious(_own(plain.LaProp, "eps", betas=True, keys=("exp_avg_lr_1", "exp_avg", "exp_avg_sq")))
LARS = _summing(sums.LARS, "momentum", "dampening", "trust_coeff", "eps",
                flags=("nesterov", "always_adapt", "trust_clip"), keys=("momentum_buffer",))
LAMB = _summing(sums.LAMB, "eps", betas=True, flags=("bias_correction", "grad_averaging", "always_adapt", "trust_clip"))
NOVOGRAD = _summing(sums.NovoGrad, "eps", betas=True, flags=("grad_averaging",), keys=("exp_avg_norm_sq", "exp_avg"))
STABLE_ADAMW = _summing(sums.StableAdamW, "eps", betas=True)
PRODIGY = _prodigy()
CAME = _came()
ADAM_MINI = _own(factored.AdamMini, "eps", betas=True, keys=("exp_avg", "vmean", "exp_avg_sq"))
MARS = _summing(sums.MARS, "eps", "gamma", betas=True, keys=("exp_avg", "exp_avg_sq", "last_grad"))
