"""The optimizers that the presets of the library are named after, for make_golden.py. Each has the defaults of its
package, but for a learning rate that moves the tensors, and a weight decay where the package has none by default."""

import functools
import importlib.metadata
import inspect
import os

os.environ["KERAS_BACKEND"] = "jax"  # The formulas of keras.optimizers themselves: PyTorch's backend has copies.

import adabelief_pytorch
import jax
import keras
import optax
import timm.optim
import torch
import transformers.optimization
from golden_case import Case
from optax._src import factorized

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
# optax.adafactor computes 1 - t^-0.8 in float32, whatever the type of the parameter: this is the same in float64.
factorized.scale_by_factored_rms = functools.partial(
    factorized.scale_by_factored_rms,
    decay_rate_fn=lambda i, exponent: 1.0 - jax.numpy.array(i + 1, jax.numpy.float64) ** -exponent)


class Adapter:
    """An optimizer of another framework over one parameter of torch. `move` takes a gradient and the learning rate, and
    returns the parameter."""

    def __init__(self, parameter, lr, move):
        self.parameter, self.move = parameter, move
        self.param_groups = [{"lr": lr}]

    def step(self):
        moved = self.move(self.parameter.grad.numpy(), self.param_groups[0]["lr"])
        self.parameter.data.copy_(torch.tensor(moved.tolist()))


def of_optax(make, parameter, settings):
    """make(lr): the transformation, which is made anew for each learning rate."""
    value = jax.numpy.array(parameter.detach().numpy())
    state = make(settings["lr"]).init(value)

    def move(gradient, lr):
        nonlocal value, state
        updates, state = make(lr).update(jax.numpy.array(gradient), state, value)
        value = optax.apply_updates(value, updates)
        return value
    return Adapter(parameter, settings["lr"], move)


def of_keras(cls, parameter, settings):
    variable = keras.Variable(parameter.detach().numpy(), dtype="float64")
    optimizer = cls(learning_rate=settings["lr"], weight_decay=settings["weight_decay"])

    def move(gradient, lr):
        optimizer.learning_rate = lr
        optimizer.apply([gradient], [variable])
        return keras.ops.convert_to_numpy(variable)
    return Adapter(parameter, settings["lr"], move)


def defaults_of(function, **names):
    """Returns the defaults that arguments have, by the library's names, without those that are no numbers."""
    taken = inspect.signature(function).parameters
    found = {ours: taken[theirs].default for ours, theirs in names.items() if theirs in taken}
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def case(preset, package, call, make, defaults, settings, name=""):
    version = importlib.metadata.version(package).partition("+")[0]
    return Case("preset_" + (name or preset), f"{package} {version}, {call}", settings,
                make=lambda parameters, s: make(*parameters, s), names={}, preset=preset, defaults=defaults)


def optax_case(function, make=None, name="", **settings):
    """`function` is a name in optax. make(lr, **settings): the transformation, if it is not that of the function."""
    of_function = getattr(optax, function)

    def transformation(s, lr):
        return (make or of_function)(lr, **{key: value for key, value in s.items() if key != "lr"})
    return case("optax", "optax", f"optax.{function}",
                lambda p, s: of_optax(functools.partial(transformation, s), p, s),
                defaults_of(of_function, weight_decay="weight_decay"), settings, name)


def keras_case(cls, **settings):
    return case("keras", "keras", f"keras.optimizers.{cls.__name__}", functools.partial(of_keras, cls),
                defaults_of(cls, lr="learning_rate"), settings)


def timm_case(preset, cls, **settings):
    """An optimizer that timm makes by the preset's name. Its Lamb clips by the norm, if it is not told otherwise."""
    unclipped = {"max_grad_norm": None} if cls is timm.optim.Lamb else {}

    def make(p, s):
        return timm.optim.create_optimizer_v2([p], opt=preset, lr=s["lr"], weight_decay=s["weight_decay"],
                                              foreach=False, **unclipped)
    return case(preset, "timm", f"timm.optim.create_optimizer_v2(opt={preset!r})", make, defaults_of(cls, lr="lr"),
                settings)


def torch_case(preset, package, cls, *off, also=None, **settings):
    """`off`: arguments that are False. `also`: others."""
    def make(p, s):
        return cls([p], lr=s["lr"], weight_decay=s["weight_decay"], **dict.fromkeys(off, False), **(also or {}))
    return case(preset, package, f"{cls.__module__}.{cls.__qualname__}", make,
                defaults_of(cls, lr="lr", weight_decay="weight_decay"), settings)


def decayed_rmsprop(lr, weight_decay):
    """optax.rmsprop takes no decay: this is the coupled one."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.rmsprop(lr))


def t5_case():
    """With relative_step the class takes no learning rate. It decays by the scaled rate and the library by lr, so there
    is no decay."""
    t5 = torch_case("t5", "transformers", transformers.optimization.Adafactor, lr=None, weight_decay=0.0)
    del t5.settings["lr"]
    t5.make, t5.halves = lambda parameters, s: transformers.optimization.Adafactor(parameters), False
    return t5


ADAFACTOR = [
    # In float64 the class would take another eps1 by itself.
    torch_case("torch", "torch", torch.optim.Adafactor, "foreach", also={"eps": (2.0 ** -23, 1e-3)}, lr=0.05,
               weight_decay=0.1),
    torch_case("transformers", "transformers", transformers.optimization.Adafactor, "relative_step", "scale_parameter",
               lr=0.02, weight_decay=0.1),
    t5_case(),
    optax_case("adafactor", lr=0.05)]
PRESETS = {
    "Adafactor": ADAFACTOR,
    "RMSProp": [torch_case("torch", "torch", torch.optim.RMSprop, "foreach", lr=0.01, weight_decay=0.01),
                keras_case(keras.optimizers.RMSprop, lr=0.01, weight_decay=0.1),
                optax_case("rmsprop", decayed_rmsprop, lr=0.01, weight_decay=0.01)],
    "AdamW": [optax_case("adamw", lr=0.02), optax_case("adamw", name="optax_decay", lr=0.02, weight_decay=0.1)],
    "Adadelta": [keras_case(keras.optimizers.Adadelta, lr=1.0, weight_decay=0.01)],
    "NAdam": [keras_case(keras.optimizers.Nadam, lr=0.02, weight_decay=0.1), optax_case("nadam", lr=0.02),
              optax_case("nadam", optax.nadamw, name="optax_decay", lr=0.02, weight_decay=0.1)],
    "Lion": [optax_case("lion", lr=0.01), optax_case("lion", name="optax_decay", lr=0.01, weight_decay=0.1)],
    "AdaBelief": [torch_case("authors", "adabelief-pytorch", adabelief_pytorch.AdaBelief, "print_change_log", lr=0.01,
                             weight_decay=0.1)],
    "LARS": [timm_case("larc", timm.optim.Lars, lr=5e-4, weight_decay=0.1)],
    "LAMB": [timm_case("lambc", timm.optim.Lamb, lr=0.02, weight_decay=0.1),
             optax_case("lamb", lr=0.02), optax_case("lamb", name="optax_decay", lr=0.02, weight_decay=0.1)],
    "NovoGrad": [optax_case("novograd", lr=0.02),
                 optax_case("novograd", name="optax_decay", lr=0.02, weight_decay=0.1)],
}
