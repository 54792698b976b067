"""presets.py - the arguments of a class that a preset of its rule stands for. The library has the list."""

import inspect

from ..._library import library

TUPLES = {"eps": ("eps1", "eps2"), "betas": ("beta1", "beta2", "beta3"), "etas": ("eta_minus", "eta_plus"),
          "step_sizes": ("step_size_min", "step_size_max")}
FIXED = {"decoupled_weight_decay": True}  # In the groups of torch's AdamW, which does not take it as an argument.


def _values(rule):
    """Returns what the library says of a rule: for each hyperparameter a number, a bool, or the name of a choice."""
    kinds = {"flag": bool, "number": float}
    return {one.name: kinds[one.kind](one.default) if one.kind in kinds else one.choices[int(one.default)]
            for one in library().hyperparameters(rule)}


def _spelled(key, values):
    """Returns a value as an argument of torch has it."""
    if key in TUPLES and key not in values:
        return tuple(values[name] for name in TUPLES[key] if name in values)
    return values["weight_decay_mode"] == "decoupled" if key == "decoupled_weight_decay" else values[key]


def _signature(spelling):
    """Returns the signature of the base with the arguments that it lacks."""
    base = inspect.signature(spelling.base)
    besides = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY) for key in spelling.besides]
    return base.replace(parameters=[*base.parameters.values(), *besides])


def arguments_of(spelling, preset):
    """Returns the arguments, by name, with which a class has the settings of a preset. Raises ValueError if the rule
    has no such preset, or the class no argument for one of its settings."""
    listed = library().presets(spelling.name)
    if preset not in listed:
        raise ValueError(f"preset is {preset!r}; {spelling.name} has " + (", ".join(map(repr, listed)) or "none"))
    usual, wanted = _values(spelling.name), _values(f"{spelling.name}.{preset}")
    taken = _signature(spelling).parameters
    arguments = {key: _spelled(key, wanted) for key in spelling.read if key in taken}
    made = usual | dict(spelling.settings(FIXED | arguments))
    for name, value in wanted.items():
        if made[name] != value:
            raise ValueError(f"preset is {preset!r}, but {spelling.base.__name__} has no argument for its {name}, "
                             f"{value!r}; onepass.Optimizer takes it by the name {spelling.name}.{preset}")
    return arguments


def completed(spelling, preset, params, args, kwargs):
    """Returns the arguments of a call, by name, with those of a preset where the call gives none."""
    given = _signature(spelling).bind_partial(params, *args, **kwargs).arguments
    del given["params"]
    return arguments_of(spelling, preset) | given
