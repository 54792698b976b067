"""_optimizer.py - an optimizer over memory that the caller owns. docs/python/package.md explains it; c/onepass.h
documents units, ranges, memory and threads.

    parameters = [onepass.parameter(value, grad, name="weight")]
    with onepass.Optimizer("AdamW", parameters, lr=3e-4, weight_decay_mode="decoupled") as optimizer:
        optimizer.step()
        optimizer.set(lr=1e-4)
"""

import ctypes

from onepass._interface import CPU, DOUBLE, HANDLE, LONG, Group, Parameter, Sam, Setting
from onepass._library import Error, library


def settings_of(hyperparameters):
    """Returns the array of Setting for a dict of values: numbers, flags as bool, choices as text or index."""
    made = [Setting(name.encode(), 0.0, value.encode()) if isinstance(value, str) else Setting(name.encode(), value)
            for name, value in hyperparameters.items()]
    return (Setting * len(made))(*made)


def dims_of(shape):
    """Returns the members of a Parameter that have its shape; none for ()."""
    return {"shape": (LONG * len(shape))(*shape), "dim_count": len(shape)} if len(shape) else {}


class Optimizer:
    """An optimizer over a list of Parameter. It keeps alive the memory of those that onepass.parameter() made; other
    memory must outlive it. close(), the end of a `with` statement or the garbage collector ends it.

    `rule` is the name of the rule of all parameters, whose hyperparameters are keyword arguments; or a list of groups,
    each a rule's name and a dict of hyperparameters, of which Parameter.group selects one. `device` is CPU or the
    number of a CUDA device. Raises Error for invalid arguments."""

    def __init__(self, rule, parameters, device=CPU, options=None, /, **hyperparameters):
        self.library = library()
        self.handle = HANDLE()
        self.parameters = list(parameters)
        groups = [(rule, hyperparameters)] if isinstance(rule, str) else rule
        if groups is rule and hyperparameters:
            raise Error(f"onepass: {', '.join(hyperparameters)} must be in the dict of a group")
        listed = [(name, settings_of(values)) for name, values in groups]
        made = (Group * len(listed))(*(Group(rule=name.encode(), settings=settings, setting_count=len(settings))
                                       for name, settings in listed))
        array = (Parameter * len(self.parameters))(*self.parameters)
        self.library.check(self.library.calls.onepass_create(made, len(made), array, len(array), device,
                                                             options, ctypes.byref(self.handle)))

    def step(self, stream=None):
        """Takes one step. On CUDA it is queued on `stream`, a cudaStream_t as an int or None for the default stream,
        and the call does not wait for it."""
        status = self.library.calls.onepass_step(self.handle, stream)
        if status != 0:
            self.library.check(status)

    def sweep(self, name, stream=None):
        """Takes a pass over the parameters that is no step: "update_hessian" of SophiaG."""
        self.library.check(self.library.calls.onepass_sweep(self.handle, name.encode(), stream))

    def perturb(self, rho=0.05, adaptive=False, eta=0.0, stream=None):
        """Moves the parameters by `rho` along their gradients, for a second pass (SAM), or adaptively (ASAM). step()
        puts them back first."""
        sam = Sam(adaptive=int(adaptive), rho=rho, eta=eta)
        self.library.check(self.library.calls.onepass_perturb(self.handle, sam, stream))

    def restore(self, stream=None):
        """Puts the parameters back to where they were before perturb(), bit for bit."""
        self.library.check(self.library.calls.onepass_restore(self.handle, stream))

    def set(self, group=0, stream=None, /, **hyperparameters):
        """Sets hyperparameters of a group, all of them or, if Error is raised, none."""
        settings = settings_of(hyperparameters)
        self.library.check(
            self.library.calls.onepass_set_several(self.handle, group, settings, len(settings), stream))

    def get(self, name, group=0):
        """Returns a hyperparameter of a group as a number: a flag is 0 or 1, a choice the index of its name."""
        value = DOUBLE()
        self.library.check(self.library.calls.onepass_get(self.handle, group, name.encode(), ctypes.byref(value)))
        return value.value

    def close(self):
        """Waits for the last step and frees the states. May be called again."""
        self.library.calls.onepass_destroy(self.handle)
        self.handle, self.parameters = HANDLE(), []

    def __del__(self):
        if getattr(self, "handle", None):
            self.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
