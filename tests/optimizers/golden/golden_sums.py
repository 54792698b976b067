"""The optimizers that make_golden.py asks for rules with sums over a tensor or over the model."""

import optimi
import prodigyopt
import pytorch_optimizer
import timm.optim
from golden_case import COUPLED, DECOUPLED, MAXIMIZE, MOMENTS, USUAL, betas, cases, common, decoupled, same


def lars(cls, p, s):
    return cls(p, lr=s["lr"], weight_decay=s["weight_decay"], momentum=s["momentum"], dampening=s["dampening"],
               nesterov=s["nesterov"], trust_coeff=s["trust_coeff"], eps=s["eps"], trust_clip=s["trust_clip"],
               always_adapt=s["always_adapt"], foreach=False)


def lamb(cls, p, s):
    return cls(p, lr=s["lr"], betas=betas(s), eps=s["eps"], weight_decay=s["weight_decay"],
               bias_correction=s["bias_correction"], grad_averaging=s["grad_averaging"], max_grad_norm=None,
               trust_clip=s["trust_clip"], always_adapt=s["always_adapt"], foreach=False)


def novograd(cls, p, s):
    return cls(p, lr=s["lr"], betas=betas(s), eps=s["eps"], weight_decay=s["weight_decay"],
               grad_averaging=s["grad_averaging"])


def mars(cls, p, s):
    return cls(p, lr=s["lr"], betas=betas(s), eps=s["eps"], weight_decay=s["weight_decay"], gamma=s["gamma"],
               optimize_1d=True)


def stable_adamw(cls, p, s):
    return cls(p, lr=s["lr"], betas=betas(s), eps=s["eps"], weight_decay=s["weight_decay"], foreach=False, triton=False)


def stable_adamw_of_another(cls, p, s):
    return cls(p, betas=betas(s), eps=s["eps"], weight_decouple=decoupled(s), kahan_sum=False, **common(s))


def prodigy(cls, p, s):
    assert not s["maximize"]
    return cls(p, lr=s["lr"], betas=betas(s), beta3=s["beta3"] or None, eps=s["eps"], weight_decay=s["weight_decay"],
               decouple=decoupled(s), use_bias_correction=s["use_bias_correction"],
               safeguard_warmup=s["safeguard_warmup"], d0=s["d0"], d_coef=s["d_coef"], growth_rate=s["growth_rate"])


def over_model(all_cases):
    """Lets one optimizer of each case step all tensors."""
    for case in all_cases:
        case.over_model = True
    return all_cases


SUMS = {
    "LARS": cases("timm", timm.optim.Lars, lars, same("momentum_buffer"),
                  {"lr": 1.0, "momentum": 0.9, "dampening": 0.0, "nesterov": False, "trust_coeff": 0.02, "eps": 1e-8,
                   "always_adapt": False, "trust_clip": False, **DECOUPLED},
                  decoupled={}, dampening={"momentum": 0.8, "dampening": 0.3, "eps": 0.1},
                  nesterov={"lr": 0.1, "nesterov": True, "trust_clip": True},
                  always={"weight_decay": 0.0, "always_adapt": True}, undecayed={"lr": 0.02, "weight_decay": 0.0}),
    "LAMB": cases("timm", timm.optim.Lamb, lamb, same("exp_avg", "exp_avg_sq"),
                  {"lr": 0.02, **USUAL, "eps": 1e-6, "bias_correction": True, "grad_averaging": True,
                   "always_adapt": False, "trust_clip": False, **DECOUPLED},
                  decoupled={}, clipped={**MOMENTS, "trust_clip": True}, summed={**MOMENTS, "grad_averaging": False},
                  always={"weight_decay": 0.0, "always_adapt": True},
                  uncorrected={**MOMENTS, "bias_correction": False}, undecayed={"weight_decay": 0.0}),
    "NovoGrad": cases("timm", timm.optim.NvNovoGrad, novograd, same("exp_avg"),
                      {"lr": 0.02, "beta1": 0.95, "beta2": 0.98, "eps": 1e-8, "grad_averaging": False, **DECOUPLED},
                      decoupled={}, averaging={"lr": 0.1, "beta1": 0.8, "beta2": 0.5, "eps": 0.1,
                                               "grad_averaging": True}),
    "StableAdamW": [
        *cases("torch-optimi", optimi.StableAdamW, stable_adamw, same("exp_avg", "exp_avg_sq"),
               {"lr": 0.02, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, **DECOUPLED},
               decoupled={}, betas={**MOMENTS, "beta2": 0.7, "eps": 0.01}),
        *cases("pytorch-optimizer", pytorch_optimizer.StableAdamW, stable_adamw_of_another,
               same("exp_avg", "exp_avg_sq"), {"lr": 0.02, **MOMENTS, **COUPLED, **MAXIMIZE}, coupled={}),
    ],
    "MARS": cases("timm", timm.optim.Mars, mars, same("exp_avg", "exp_avg_sq", "last_grad"),
                  {"lr": 0.02, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "gamma": 0.025, **DECOUPLED},
                  decoupled={}, strong={**MOMENTS, "gamma": 0.5}),
    "Prodigy": over_model(cases(
        "prodigyopt", prodigyopt.Prodigy, prodigy, same("exp_avg", "exp_avg_sq", "s", "p0"),
        {"lr": 1.0, **USUAL, "beta3": 0.0, "d0": 0.01, "d_coef": 1.0, "growth_rate": float("inf"),
         "use_bias_correction": False, "safeguard_warmup": False, **DECOUPLED},
        decoupled={}, coupled={**MOMENTS, "d0": 0.1, **COUPLED},
        corrected={"use_bias_correction": True, "growth_rate": 1.05, "d0": 0.1, "d_coef": 0.5},
        safeguarded={**MOMENTS, "beta3": 0.9, "safeguard_warmup": True, "lr": 0.5})),
}
