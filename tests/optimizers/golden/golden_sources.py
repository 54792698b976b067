"""The optimizers that make_golden.py asks, with the library's names for their arguments and states."""

import adabelief_pytorch
import adopt
import lion_pytorch
import pytorch_optimizer
import schedulefree
import sophia_opt
import timm.optim
import torch
from golden_case import (COUPLED, DECOUPLED, MAXIMIZE, MOMENTS, RESCALED, USUAL, betas, cases, common, decay, decoupled,
                         same)
from golden_factored import FACTORED
from golden_sums import SUMS


# --- torch

def with_momentum(s):
    return same(*["momentum_buffer"] * (s["momentum"] != 0))


def of_adam(s):
    return same("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * s["amsgrad"])


def of_rmsprop(s):
    return same("square_avg", *["grad_avg"] * s["centered"]) | with_momentum(s)


def sgd(cls, p, s):
    return cls(p, momentum=s["momentum"], dampening=s["dampening"], nesterov=s["nesterov"], **common(s))


def rmsprop(cls, p, s):
    return cls(p, alpha=s["alpha"], eps=s["eps"], momentum=s["momentum"], centered=s["centered"], **common(s))


def adam(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], amsgrad=s["amsgrad"], **common(s))


def nadam(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], momentum_decay=s["momentum_decay"], decoupled_weight_decay=decoupled(s),
               **common(s))


def radam(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], decoupled_weight_decay=decoupled(s), **common(s))


def adagrad(cls, p, s):
    return cls(p, lr_decay=s["lr_decay"], initial_accumulator_value=s["initial_accumulator_value"], eps=s["eps"],
               **common(s))


def adadelta(cls, p, s):
    return cls(p, rho=s["rho"], eps=s["eps"], **common(s))


def adamax(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], **common(s))


def rprop(cls, p, s):
    return cls(p, lr=s["lr"], etas=(s["eta_minus"], s["eta_plus"]), step_sizes=(s["step_size_min"], s["step_size_max"]),
               maximize=s["maximize"], foreach=False)


def asgd(cls, p, s):
    return cls(p, lambd=s["lambd"], alpha=s["alpha"], t0=s["t0"], **common(s))


TORCH = {
    "SGD": cases("torch", torch.optim.SGD, sgd, with_momentum,
                 {"lr": 0.02, "momentum": 0.0, "dampening": 0.0, "nesterov": False, **COUPLED},
                 plain={}, momentum={"momentum": 0.9, "dampening": 0.3, **MAXIMIZE},
                 nesterov={"momentum": 0.8, "nesterov": True}),
    "RMSProp": cases("torch", torch.optim.RMSprop, rmsprop,
                     of_rmsprop,
                     {"lr": 0.01, "alpha": 0.9, "eps": 1e-6, "epsilon": "outside_root", "momentum": 0.0,
                      "centered": False, **COUPLED},
                     plain={}, centered={"centered": True, **MAXIMIZE},
                     centered_momentum={"centered": True, "momentum": 0.7}, momentum={"momentum": 0.7}),
    "Adam": cases("torch", torch.optim.Adam, adam,
                  of_adam,
                  {"lr": 0.02, **USUAL, "amsgrad": False, **COUPLED},
                  coupled={}, maximize={**MOMENTS, **MAXIMIZE}, amsgrad={**MOMENTS, "amsgrad": True}),
    "AdamW": cases("torch", torch.optim.AdamW, adam,
                   of_adam,
                   {"lr": 0.02, **USUAL, "amsgrad": False, **DECOUPLED},
                   decoupled={}, maximize={**MOMENTS, **MAXIMIZE}, amsgrad={**MOMENTS, "amsgrad": True}),
    "Adagrad": cases("torch", torch.optim.Adagrad, adagrad, same("sum"),
                     {"lr": 0.05, "lr_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10, **COUPLED},
                     coupled={},
                     lr_decay={"lr_decay": 0.03, "initial_accumulator_value": 0.5, "eps": 1e-3, **MAXIMIZE}),
    "Adadelta": cases("torch", torch.optim.Adadelta, adadelta, same("square_avg", "acc_delta"),
                      {"lr": 1.0, "rho": 0.9, "eps": 1e-6, **COUPLED}, coupled={},
                      maximize={"lr": 0.5, "rho": 0.8, "eps": 1e-3, **MAXIMIZE}),
    "Adamax": cases("torch", torch.optim.Adamax, adamax, same("exp_avg", "exp_inf"), {"lr": 0.02, **USUAL, **COUPLED},
                    coupled={}, maximize={"beta1": 0.8, "beta2": 0.9, "eps": 0.05, **MAXIMIZE}),
    "Rprop": cases("torch", torch.optim.Rprop, rprop, same("prev", "step_size"),
                   {"lr": 0.01, "eta_minus": 0.5, "eta_plus": 1.2, "step_size_min": 1e-6, "step_size_max": 50.0,
                    **decay("coupled", 0.0)},
                   plain={}, limits={"eta_minus": 0.7, "eta_plus": 1.5, "step_size_min": 0.005, "step_size_max": 0.02,
                                     **MAXIMIZE}),
    "RAdam": cases("torch", torch.optim.RAdam, radam, same("exp_avg", "exp_avg_sq"), {"lr": 0.02, **USUAL, **COUPLED},
                   coupled={}, decoupled={**MOMENTS, **DECOUPLED}, maximize={**MOMENTS, **MAXIMIZE}),
    "NAdam": cases("torch", torch.optim.NAdam, nadam, same("exp_avg", "exp_avg_sq"),
                   {"lr": 0.02, **USUAL, "momentum_decay": 4e-3, **COUPLED},
                   coupled={}, decoupled={**MOMENTS, "momentum_decay": 0.1, **DECOUPLED},
                   maximize={**MOMENTS, **MAXIMIZE}),
    "ASGD": cases("torch", torch.optim.ASGD, asgd, same("ax"),
                  {"lr": 0.02, "lambd": 0.05, "alpha": 0.75, "t0": 20.0, **COUPLED},
                  coupled={}, constant={}, maximize={"alpha": 0.5, "t0": 1.0, **MAXIMIZE}),
}


# --- other packages

def sign_sgd(cls, p, s):
    return cls(p, momentum=s["momentum"], weight_decouple=decoupled(s), **common(s))


def nesterov_signum(cls, p, s):
    """sign(momentum * buf + (1 - momentum) * g) after buf has moved is Lion's with beta1 = momentum^2."""
    return lion(cls, p, s | {"beta1": s["momentum"] ** 2, "beta2": s["momentum"]})


def lion(cls, p, s):
    return cls(p, lr=s["lr"], betas=betas(s), weight_decay=s["weight_decay"], use_triton=False)


def cautious(s):
    return "caution" in s


def timm_lion(cls, p, s):
    return cls(p, betas=betas(s), caution=cautious(s), **common(s))


def timm_adamw(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], caution=cautious(s), **common(s))


def ademamix(cls, p, s):
    warmup = s["alpha_warmup"]
    assert warmup == s["beta3_warmup"]
    return cls(p, betas=betas(s, 3), alpha=s["alpha"], t_alpha_beta3=warmup or None, eps=s["eps"],
               weight_decouple=decoupled(s), **common(s))


def of_ademamix(s):
    """With beta1 = 0 the library has no fast average."""
    return ({"exp_avg_fast": "exp_avg"} if s["beta1"] else {}) | same("exp_avg_slow", "exp_avg_sq")


def adabelief(cls, p, s):
    assert not s["maximize"]
    return cls(p, lr=s["lr"], betas=betas(s), eps=s["eps"], weight_decay=s["weight_decay"],
               weight_decouple=decoupled(s), rectify=s["rectify"], print_change_log=False)


def grams(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], weight_decouple=decoupled(s), **common(s))


def sophia_g(cls, p, s):
    optimizer = cls(p, lr=s["lr"], betas=betas(s), rho=s["rho"], weight_decay=s["weight_decay"], maximize=s["maximize"])
    step = optimizer.step
    optimizer.step = lambda: step(bs=s["batch_size"])
    return optimizer


def adopt_of(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], clip_lambda=(lambda step: step ** 0.25) if s["clip"] else None,
               decouple=decoupled(s), **common(s))


def adan(cls, p, s):
    return cls(p, betas=betas(s, 3), eps=s["eps"], weight_decouple=decoupled(s), max_grad_norm=0.0, **common(s))


def laprop(cls, p, s):
    return cls(p, lr=s["lr"], betas=betas(s), eps=s["eps"], weight_decay=s["weight_decay"], caution=cautious(s),
               foreach=False)


def schedule_free(cls, p, s):
    averages = {"momentum": s["momentum"]} if "momentum" in s else {"betas": betas(s), "eps": s["eps"]}
    optimizer = cls(p, lr=s["lr"], weight_decay=s["weight_decay"], warmup_steps=s["warmup_steps"], r=s["r"],
                    weight_lr_power=s["weight_lr_power"], foreach=False, **averages)
    optimizer.train()
    return optimizer


def with_hessian(all_cases):
    """Starts the cases with a hessian, which step() leaves as it is."""
    for case in all_cases:
        case.start = {"hessian": {"early": (0.02, 0.001, 0.0, 0.0002, 0.05), "late": (0.0, 0.5, 0.01, 0.002, 1e-05)}}
    return all_cases


AVERAGES = {"warmup_steps": 0, "r": 0.0, "weight_lr_power": 2.0}
WARMUP = {"warmup_steps": 20, "r": 0.5, "weight_lr_power": 1.5}
OTHERS = {
    "Signum": cases("pytorch-optimizer", pytorch_optimizer.SignSGD, sign_sgd,
                    with_momentum,
                    {"lr": 0.01, "momentum": 0.9, "nesterov": False, **DECOUPLED},
                    decoupled={}, coupled=COUPLED, maximize={"momentum": 0.7, **MAXIMIZE},
                    without_momentum={"momentum": 0.0})
    + cases("lion-pytorch", lion_pytorch.Lion, nesterov_signum, {"momentum_buffer": "exp_avg"},
            {"lr": 0.01, "momentum": 0.9, "nesterov": True, **DECOUPLED}, nesterov={}),
    "Lion": cases("lion-pytorch", lion_pytorch.Lion, lion, same("exp_avg"),
                  {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, **DECOUPLED},
                  decoupled={}, betas={"beta1": 0.95, "beta2": 0.8})
    + cases("timm", timm.optim.Lion, timm_lion, same("exp_avg"),
            {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, **DECOUPLED}, maximize=MAXIMIZE, rescaled=RESCALED),
    "NAdamW": cases("timm", timm.optim.NAdamW, timm_adamw, same("exp_avg", "exp_avg_sq"),
                    {"lr": 0.02, **USUAL, **DECOUPLED},
                    decoupled={}, maximize={**MOMENTS, **MAXIMIZE}, rescaled=RESCALED),
    "AdEMAMix": cases("pytorch-optimizer", pytorch_optimizer.AdEMAMix, ademamix,
                      of_ademamix,
                      {"lr": 0.01, **USUAL, "beta3": 0.9999, "alpha": 5.0, "alpha_warmup": 0, "beta3_warmup": 0,
                       **DECOUPLED},
                      decoupled={}, warmup={"alpha_warmup": 40, "beta3_warmup": 40},
                      coupled={**MOMENTS, "beta3": 0.99, "alpha": 2.0, **COUPLED, **MAXIMIZE},
                      without_fast_average={"beta1": 0.0, "beta3": 0.99}),
    "AdaBelief": cases("adabelief-pytorch", adabelief_pytorch.AdaBelief, adabelief, same("exp_avg", "exp_avg_var"),
                       {"lr": 0.01, **USUAL, "eps": 1e-16, "rectify": False, **DECOUPLED},
                       decoupled={}, coupled={**MOMENTS, "eps": 1e-4, **COUPLED}, rectify={"rectify": True},
                       rectify_coupled={**MOMENTS, "rectify": True, **COUPLED}),
    "Grams": cases("pytorch-optimizer", pytorch_optimizer.Grams, grams, same("exp_avg", "exp_avg_sq"),
                   {"lr": 0.02, **USUAL, "eps": 1e-6, **DECOUPLED},
                   decoupled={}, maximize={**MOMENTS, "eps": 0.01, **MAXIMIZE}),
    "SophiaG": with_hessian(
        cases("sophia-opt", sophia_opt.SophiaG, sophia_g, same("exp_avg", "hessian"),
              {"lr": 0.01, "beta1": 0.965, "beta2": 0.99, "rho": 0.04, "batch_size": 5120, **DECOUPLED},
              decoupled={}, maximize={"beta1": 0.8, "rho": 0.1, "batch_size": 300, **MAXIMIZE})),
    "ADOPT": cases("torch-adopt", adopt.ADOPT, adopt_of, same("exp_avg", "exp_avg_sq"),
                   {"lr": 0.01, "beta1": 0.9, "beta2": 0.9999, "eps": 1e-6, "clip": True, **COUPLED},
                   coupled={}, decoupled=DECOUPLED, maximize={**MOMENTS, **DECOUPLED, **MAXIMIZE},
                   without_clip={"eps": 0.1, "clip": False}),
    "Adan": cases("pytorch-optimizer", pytorch_optimizer.Adan, adan,
                  same("exp_avg", "exp_avg_diff", "exp_avg_sq") | {"neg_pre_grad": "previous_grad"},
                  {"lr": 0.01, "beta1": 0.98, "beta2": 0.92, "beta3": 0.99, "eps": 1e-8, **decay("proximal")},
                  # Not maximize: the class then takes the first difference from the gradient of the other sign.
                  proximal={}, decoupled={"beta1": 0.9, "beta2": 0.7, "beta3": 0.95, "eps": 1e-3, **DECOUPLED}),
    "LaProp": cases("timm", timm.optim.LaProp, laprop, same("exp_avg", "exp_avg_sq"),
                    {"lr": 0.01, **USUAL, "eps": 1e-15, **decay("after")}, after={}, constant={}, betas=MOMENTS,
                    rescaled=RESCALED),
    "ScheduleFreeSGD": cases("schedulefree", schedulefree.SGDScheduleFree, schedule_free, same("z"),
                             {"lr": 0.05, "momentum": 0.9, **AVERAGES, **DECOUPLED}, decoupled={},
                             constant={"momentum": 0.8, **WARMUP}, warmup={"momentum": 0.8, **WARMUP}),
    "ScheduleFreeAdamW": cases("schedulefree", schedulefree.AdamWScheduleFree, schedule_free,
                               same("z", "exp_avg_sq"),
                               {"lr": 0.02, **USUAL, **AVERAGES, **DECOUPLED}, decoupled={},
                               constant={**MOMENTS, **WARMUP}, warmup={**MOMENTS, **WARMUP}),
}


def qhm(cls, p, s):
    return cls(p, momentum=s["beta"], nu=s["nu"], weight_decouple=decoupled(s), **common(s))


# The rule that tests/build/new_rule adds to the library.
EXAMPLES = {
    "QHM": cases("pytorch-optimizer", pytorch_optimizer.QHM, qhm, same("momentum_buffer"),
                 {"lr": 0.02, "beta": 0.9, "nu": 0.7, **COUPLED}, coupled={}, decoupled={"nu": 0.4, **DECOUPLED}),
}
RULES = TORCH | OTHERS | SUMS | FACTORED
RULES["AdamW"] += cases("timm", timm.optim.AdamWLegacy, timm_adamw, same("exp_avg", "exp_avg_sq"),
                        {"lr": 0.02, **USUAL, **DECOUPLED}, rescaled=RESCALED)
