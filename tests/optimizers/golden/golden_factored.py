"""The optimizers that make_golden.py asks for rules that keep numbers for the rows and columns of a matrix: FACTORED
for vectors, and MATRICES for tensors of two dimensions or more."""

import adam_mini
import came_pytorch
import optax
import torch
import transformers.optimization
from golden_case import DECOUPLED, MAXIMIZE, USUAL, betas, cases, decay, same
from preset_sources import of_optax

TORCHS_EPS1 = 2.0 ** -23  # what torch.optim.Adafactor takes by itself for float32


# --- how the classes are made

def torch_adafactor(cls, p, s):
    assert s["relative_step"] and s["scale_parameter"] and not s["adds_eps1"] and not s["warmup_init"]
    return cls(p, lr=s["lr"], beta2_decay=s["beta2_decay"], eps=(s["eps1"], s["eps2"]), d=s["d"],
               weight_decay=s["weight_decay"], maximize=s["maximize"], foreach=False)


def hugging_face_adafactor(cls, p, s):
    """The class decays by the rate that p moves by, and the library by lr: they are one if nothing scales the rate."""
    assert s["adds_eps1"] and not s["maximize"]
    assert s["weight_decay"] == 0.0 or not (s["scale_parameter"] or s["relative_step"])
    return cls(p, lr=None if s["relative_step"] else s["lr"], eps=(s["eps1"], s["eps2"]), clip_threshold=s["d"],
               decay_rate=s["beta2_decay"], beta1=s["beta1"] or None, weight_decay=s["weight_decay"],
               scale_parameter=s["scale_parameter"], relative_step=s["relative_step"], warmup_init=s["warmup_init"])


def optax_adafactor(function, p, s):
    """Factors a matrix of any size. The learning rate does not scale optax's weight decay."""
    assert s["adds_eps1"] and not s["relative_step"] and s["weight_decay"] == 0.0 and s["eps2"] == 1e-3

    def make(lr):
        return function(lr, min_dim_size_to_factor=1, decay_rate=-s["beta2_decay"], momentum=s["beta1"] or None,
                        multiply_by_parameter_scale=s["scale_parameter"], clipping_threshold=s["d"] or None,
                        dtype_momentum=float, eps=s["eps1"])
    return of_optax(make, *p, s)


def came(cls, p, s):
    return cls(p, lr=s["lr"], eps=(s["eps1"], s["eps2"]), clip_threshold=s["clip_threshold"], betas=betas(s, 3),
               weight_decay=s["weight_decay"])


def adam_mini_of(name):
    """The name of a parameter decides on its blocks: "bias" has one for each element, "mlp" one for each row, "q_proj"
    one for each dim * dim / n_heads elements, and "scale", which the class does not know, one."""
    def make(cls, p, s):
        parameter, = p
        columns = parameter.shape[-1]
        optimizer = cls([(name, parameter)], lr=s["lr"], betas=betas(s), eps=s["eps"], dim=columns, n_heads=columns,
                        verbose=False)
        optimizer.param_groups[0]["weight_decay"] = s["weight_decay"]  # the class takes no decay of a bias
        return optimizer
    return make


def adam_mini_cases(name, names, **changes):
    made = cases("adam-mini", adam_mini.Adam_mini, adam_mini_of(name), names, {"lr": 0.02, **USUAL, **DECOUPLED},
                 **changes)
    for case in made:
        case.source += f" with a parameter of the name {name}"
    return made


# --- the cases

def adafactor_cases(torch_names, hugging_face_names):
    """The names of states that both have in a vector, or in a matrix."""
    base = {"beta2_decay": -0.8, "eps1": TORCHS_EPS1, "eps2": 1e-3, "d": 1.0, "beta1": 0.0, "relative_step": True,
            "warmup_init": False, "scale_parameter": True, "adds_eps1": False}
    fixed = base | {"lr": 0.02, "eps1": 1e-30, "relative_step": False, "scale_parameter": False, "adds_eps1": True}
    kept = fixed | decay("decoupled", 0.0)

    def of_hugging_face(s):
        return hugging_face_names | same(*["exp_avg"] * (s["beta1"] != 0))
    hugging_face = ("transformers", transformers.optimization.Adafactor, hugging_face_adafactor, of_hugging_face)
    warmup = cases(*hugging_face, kept, warmup={"relative_step": True, "warmup_init": True, "scale_parameter": True})
    for case in warmup:
        case.halves = False  # the class takes no learning rate
    scaled = cases("optax", optax.adafactor, optax_adafactor, {}, kept,
                   unclipped={"d": 0.0, "beta2_decay": -0.6}, scaled={"scale_parameter": True, "beta1": 0.8})
    for case in scaled:
        case.source = f"optax {optax.__version__}, optax.adafactor"
    return [
        *cases("torch", torch.optim.Adafactor, torch_adafactor, torch_names, {"lr": 0.05, **base, **DECOUPLED},
               decoupled={}, relative={"lr": 0.5}, eps={"beta2_decay": -0.5, "eps1": 0.02, "eps2": 2.0, "d": 1.5},
               maximize=MAXIMIZE),
        *cases(*hugging_face, fixed | DECOUPLED, momentum={"beta1": 0.9}, clipped={"eps1": 1e-3, "d": 0.5}),
        *cases(*hugging_face, kept, momentum_scaled={"beta1": 0.7, "scale_parameter": True}), *warmup, *scaled]


def came_cases(*names):
    return cases("came-pytorch", came_pytorch.CAME, came, same("exp_avg", *names),
                 {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "beta3": 0.9999, "eps1": 1e-30, "eps2": 1e-16,
                  "clip_threshold": 1.0, **DECOUPLED},
                 decoupled={}, betas={"beta1": 0.8, "beta2": 0.95, "beta3": 0.9, "eps1": 1e-6, "eps2": 1e-3,
                                      "clip_threshold": 0.4})


def shaped(all_cases, early, late):
    for case in all_cases:
        case.shapes = {"early": early, "late": late}
    return all_cases


BATCH = ((3, 4), (2, 2, 5))
OTHER = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3}
FACTORED = {
    "Adafactor": adafactor_cases(same("variance"), {"variance": "exp_avg_sq"}),
    "CAME": came_cases("exp_avg_sq"),
    "AdamMini": adam_mini_cases("bias", {"exp_avg": "m", "exp_avg_sq": "v"}, decoupled={}, betas=OTHER),
}
BLOCKS = {"exp_avg": "m", "vmean": "vmean"}
MATRICES = {
    "Adafactor": shaped(adafactor_cases(same("row_var", "col_var"),
                                        {"row_var": "exp_avg_sq_row", "col_var": "exp_avg_sq_col"}), *BATCH),
    "CAME": shaped(came_cases("exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_res_row", "exp_avg_res_col"), *BATCH),
    "AdamMini": [
        # The class knows rows of two dimensions only, but heads of a parameter of any.
        *shaped(adam_mini_cases("mlp", BLOCKS, rows={}, betas=OTHER), (3, 4), (4, 5)),
        *shaped(adam_mini_cases("q_proj", BLOCKS, heads={}), *BATCH),
        *shaped(adam_mini_cases("scale", BLOCKS, whole=OTHER), (1, 12), (1, 20))],
}
