"""models.py - parameters, gradients and optimizers that the tests of onepass.torch share."""

import torch

import onepass.torch as onepass

# Our class and the one that it is like: torch's, or one of plain.py.
PAIRS = {ours.__name__: (ours, ours._spelling.base) for ours in onepass.OPTIMIZERS}
# Every optimizer with each of its options, decay never 0 but in plain SGD and Rprop.
CASES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "eps": 1e-6}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "maximize": True, "eps": 1e-6}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.05, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.1}),
    ("Rprop", {"lr": 0.01}),
    ("Rprop", {"lr": 0.01, "etas": (0.7, 1.5), "step_sizes": (0.005, 0.02), "maximize": True}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "betas": (0.8, 0.9), "momentum_decay": 0.1, "weight_decay": 0.1,
               "decoupled_weight_decay": True}),
    ("ASGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.05, "lambd": 0.1, "alpha": 0.5, "t0": 1.0, "weight_decay": 0.1, "maximize": True}),
    ("Lion", {"lr": 0.002, "weight_decay": 0.1}),
    ("Lion", {"lr": 0.002, "betas": (0.8, 0.95), "weight_decay": 0.1, "weight_decay_mode": "coupled",
              "maximize": True}),
    ("Signum", {"lr": 0.002, "weight_decay": 0.1}),
    ("Signum", {"lr": 0.002, "momentum": 0.0, "weight_decay": 0.1}),
    ("Signum", {"lr": 0.002, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("NAdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("NAdamW", {"lr": 0.01, "weight_decay": 0.1, "weight_decay_mode": "cautious"}),
    ("Grams", {"lr": 0.01, "weight_decay": 0.1, "weight_decay_mode": "after"}),
    ("AdEMAMix", {"lr": 0.002, "weight_decay": 0.1}),
    ("AdEMAMix", {"lr": 0.002, "betas": (0.8, 0.99, 0.9), "alpha_warmup": 5, "beta3_warmup": 20, "weight_decay": 0.1}),
    ("AdEMAMix", {"lr": 0.002, "betas": (0.0, 0.99, 0.999), "alpha": 2.0, "weight_decay": 0.1}),
    ("AdaBelief", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdaBelief", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-8, "rectify": True, "weight_decay": 0.1}),
    ("Grams", {"lr": 0.01, "weight_decay": 0.1}),
    ("LaProp", {"lr": 0.01, "weight_decay": 0.1}),
    ("ScheduleFreeSGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("ScheduleFreeSGD", {"lr": 0.05, "momentum": 0.8, "warmup_steps": 5, "r": 1.0, "maximize": True}),
    ("ScheduleFreeAdamW", {"lr": 0.01, "weight_decay": 0.1, "warmup_steps": 3}),
    ("ScheduleFreeAdamW", {"lr": 0.01, "weight_lr_power": 0.0, "weight_decay": 0.1, "weight_decay_mode": "coupled"}),
    ("SophiaG", {"lr": 0.002, "weight_decay": 0.1}),
    ("ADOPT", {"lr": 0.01, "weight_decay": 0.1}),
    ("ADOPT", {"lr": 0.01, "clip": False, "eps": 0.1, "weight_decay": 0.1, "weight_decay_mode": "decoupled"}),
    ("Adan", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adan", {"lr": 0.01, "betas": (0.9, 0.8, 0.95), "weight_decay": 0.1, "weight_decay_mode": "decoupled",
              "maximize": True}),
    ("LARS", {"lr": 0.5, "trust_coeff": 0.02, "weight_decay": 0.1}),
    ("LARS", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "trust_clip": True, "weight_decay": 0.1,
              "weight_decay_mode": "coupled", "maximize": True}),
    ("LARS", {"lr": 0.5, "momentum": 0.0, "trust_coeff": 0.02, "always_adapt": True}),
    ("LAMB", {"lr": 0.01, "weight_decay": 0.1}),
    ("LAMB", {"lr": 0.01, "bias_correction": False, "grad_averaging": False, "weight_decay": 0.1, "trust_clip": True}),
    ("LAMB", {"lr": 0.01, "weight_decay": 0.0, "always_adapt": True, "maximize": True}),
    ("NovoGrad", {"lr": 0.01, "weight_decay": 0.1}),
    ("NovoGrad", {"lr": 0.1, "betas": (0.8, 0.9), "grad_averaging": True, "weight_decay": 0.1,
                  "weight_decay_mode": "coupled"}),
    ("StableAdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("MARS", {"lr": 0.01, "weight_decay": 0.1}),
    ("MARS", {"lr": 0.01, "betas": (0.8, 0.9), "gamma": 0.5, "weight_decay": 0.1, "weight_decay_mode": "cautious"}),
    ("Lion", {"lr": 0.002, "weight_decay": 0.1, "caution": "rescaled"}),
    ("NAdamW", {"lr": 0.01, "weight_decay": 0.1, "caution": "masked"}),
    ("LaProp", {"lr": 0.01, "weight_decay": 0.1, "caution": "rescaled"}),
    ("Adafactor", {"lr": 0.05, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.05, "beta2_decay": -0.5, "eps": (1e-4, 0.1), "d": 2.0, "weight_decay": 0.1,
                   "maximize": True}),
    ("CAME", {"lr": 0.002, "weight_decay": 0.1}),
    ("CAME", {"lr": 0.002, "betas": (0.8, 0.9, 0.95), "eps": (1e-8, 1e-4), "clip_threshold": 0.5, "weight_decay": 0.1,
              "weight_decay_mode": "coupled", "maximize": True}),
    ("AdamMini", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamMini", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.1, "weight_decay_mode": "cautious"}),
    ("Prodigy", {"d0": 0.01, "weight_decay": 0.1}),
    ("Prodigy", {"lr": 0.5, "beta3": 0.9, "d0": 0.01, "growth_rate": 1.02, "use_bias_correction": True,
                 "safeguard_warmup": True, "weight_decay": 0.1, "weight_decay_mode": "coupled", "maximize": True}),
]
SHAPES = [(), (1,), (7,), (3, 5), (31,), (32,), (33,), (0,), (100, 33), (2, 3, 4, 5), (4099,), (0, 4)]


def shapes_for(name):
    """Returns the shapes that torch's class of an optimizer steps: Adafactor divides by the number of elements."""
    return [shape for shape in SHAPES if name != "Adafactor" or 0 not in shape]


def parameters(shapes=SHAPES, dtype=torch.float32, seed=0):
    """Returns parameters of these shapes with numbers of both signs, zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for shape in shapes:
        value = torch.randn(shape, generator=generator)
        if value.numel() > 5:
            value.view(-1)[5] = 0.0
        made.append(torch.nn.Parameter(value.to(dtype)))
    return made


def loop(kind, model, **options):
    """Returns an optimizer that steps one tensor after the other: classes of plain.py know nothing else."""
    return kind(model, **options, **({"foreach": False} if kind.__module__.startswith("torch.") else {}))


def copies(of, dtype=None):
    """Returns parameters with the same numbers, in float64 for example."""
    return [torch.nn.Parameter(one.detach().clone().to(dtype or one.dtype)) for one in of]


def set_gradients(*models, step=0, scale=1.0):
    """Gives several copies of a model the same random gradients, those of the first model's dtype."""
    generator = torch.Generator().manual_seed(1000 + step)
    for same in zip(*models):
        gradient = (scale * torch.randn(same[0].shape, generator=generator)).to(same[0].dtype)
        for one in same:
            one.grad = gradient.to(one.dtype, copy=True)


def train(optimizers, models, steps, first=0):
    """Takes steps with the same gradients in every copy of a model."""
    for step in range(first, first + steps):
        set_gradients(*models, step=step)
        for optimizer in optimizers:
            optimizer.step()


def assert_same_bits(a, b):
    """Asserts that two tensors have the same dtype and bits; any NaN equals any NaN."""
    assert a.dtype == b.dtype and a.shape == b.shape
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    same = (a.detach().contiguous().view(whole) == b.detach().contiguous().view(whole)) if a.dim() else \
        a.detach().reshape(1).view(whole) == b.detach().reshape(1).view(whole)
    if a.is_floating_point():
        same |= (a.isnan() & b.isnan()).reshape(same.shape)
    assert same.all(), f"{int((~same).sum())} of {same.numel()} elements differ"
