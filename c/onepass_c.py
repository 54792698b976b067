"""onepass_c.py - a ctypes wrapper of onepass.h: optimizers over memory that the caller owns. The header documents
units, ranges, memory and threads.

    library = Library("libonepass_c.so")
    with Optimizer(library, "AdamW", parameters, lr=3e-4, weight_decay_mode="decoupled") as optimizer:
        optimizer.step()
        optimizer.set(lr=1e-4)
"""

import collections
import ctypes
from ctypes import POINTER

CPU = -1
DTYPES = {"float32": 0, "bfloat16": 1, "float16": 2}
MASTERS = {"none": 0, "float32": 1, "split": 2, "remainder8": 3}
STATES = {"float32": 0, "bfloat16": 1, "quantized8": 2}
ROUNDINGS = {"nearest": 0, "stochastic": 1}
POOLS = {"best": 0, "own": 1, "openmp": 2}
ABI = 1
KINDS = ("number", "flag", "choice")

INT, LONG, DOUBLE, TEXT, HANDLE = ctypes.c_int32, ctypes.c_int64, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p
SIZE = ctypes.c_uint32
Hyperparameter = collections.namedtuple("Hyperparameter", "name kind default interval meaning choices")


class Struct(ctypes.Structure):
    """A struct of the header, with the same members in the same order and its size set. Raises TypeError for an unknown
    member. Its members keep alive what they point to."""

    def __init__(self, **members):
        unknown = set(members) - {name for name, _ in self._fields_}
        if unknown:
            raise TypeError(f"{type(self).__name__} has no member {', '.join(sorted(unknown))}")
        self.size = ctypes.sizeof(self)
        for name, value in members.items():
            setattr(self, name, ctypes.pointer(value) if isinstance(value, Struct) else value)


class Storage(Struct):
    """onepass_storage: values of MASTERS, STATES and ROUNDINGS."""

    _fields_ = [("size", SIZE)] + [(name, INT) for name in ("master", "states", "rounding")]


class Parameter(Struct):
    """onepass_parameter. `value` and `grad` are addresses, `dtype` and `grad_dtype` values of DTYPES."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("grad_dtype", INT), ("copy_dtype", INT), ("name", TEXT), ("value", HANDLE),
                ("grad", HANDLE), ("copy", HANDLE), ("numel", LONG), ("group", INT), ("reserved", INT), ("first", LONG),
                ("run", LONG), ("pitch", LONG), ("storage", POINTER(Storage)), ("streams", HANDLE), ("stream_count", LONG),
                ("shape", POINTER(LONG)), ("dim_count", LONG), ("blocks", LONG)]


# onepass_parallel_for: called with a context, the number of parts, a function and its first argument.
ParallelFor = ctypes.CFUNCTYPE(None, HANDLE, INT, ctypes.CFUNCTYPE(None, HANDLE, INT), HANDLE)


class Options(Struct):
    """onepass_options. `storage` and `float32_storage` are Storage, `pool` is a value of POOLS."""

    _fields_ = [("size", SIZE), ("accumulates_gradients", INT), ("seed", ctypes.c_uint64), ("storage", POINTER(Storage)),
                ("float32_storage", POINTER(Storage)), ("ema", HANDLE), ("chunk_size", LONG), ("threads", INT), ("isa", INT),
                ("pool", INT), ("reserved", INT), ("parallel_for", ParallelFor), ("parallel_for_context", HANDLE)]


class Setting(ctypes.Structure):
    """onepass_setting. `text` is None if `value` counts."""

    _fields_ = [("name", TEXT), ("value", DOUBLE), ("text", TEXT)]


class Group(Struct):
    """onepass_group."""

    _fields_ = [("size", SIZE), ("reserved", INT), ("rule", TEXT), ("settings", POINTER(Setting)), ("setting_count", LONG)]


class HyperparameterInfo(Struct):
    """onepass_hyperparameter_info."""

    _fields_ = [("size", SIZE), ("kind", INT), ("name", TEXT), ("meaning", TEXT), ("interval", TEXT),
                ("choices", POINTER(TEXT)), ("choice_count", LONG), ("default_value", DOUBLE)]


# The functions that return a status, and their arguments.
ARGUMENTS = {
    "onepass_hyperparameter_count": [TEXT, POINTER(INT)],
    "onepass_hyperparameter": [TEXT, INT, POINTER(HyperparameterInfo)],
    "onepass_create": [POINTER(Group), LONG, POINTER(Parameter), LONG, INT, POINTER(Options), POINTER(HANDLE)],
    "onepass_step": [HANDLE, HANDLE],
    "onepass_set": [HANDLE, INT, TEXT, DOUBLE, HANDLE],
    "onepass_set_several": [HANDLE, INT, POINTER(Setting), LONG, HANDLE],
    "onepass_get": [HANDLE, INT, TEXT, POINTER(DOUBLE)],
}


class Error(Exception):
    """A call failed; the text is onepass's message."""


class Library:
    """The shared library onepass_c, loaded from `path`."""

    def __init__(self, path):
        self.calls = ctypes.CDLL(str(path))
        if self.calls.onepass_abi() != ABI:
            raise Error(f"onepass: {path} has the binary interface {self.calls.onepass_abi()}, but this file needs {ABI}")
        for name, arguments in ARGUMENTS.items():
            getattr(self.calls, name).argtypes = arguments
        self.calls.onepass_rule_name.argtypes = [INT]
        self.calls.onepass_destroy.argtypes = [HANDLE]
        self.calls.onepass_destroy.restype = None
        self.calls.onepass_rule_name.restype = self.calls.onepass_last_error.restype = TEXT

    def check(self, status):
        """Raises Error unless `status` is ONEPASS_OK."""
        if status != 0:
            raise Error(self.calls.onepass_last_error().decode())

    def rules(self):
        """Returns the names of all rules."""
        return [self.calls.onepass_rule_name(index).decode() for index in range(self.calls.onepass_rule_count())]

    def hyperparameters(self, rule):
        """Returns a Hyperparameter for each hyperparameter of a rule. Its kind is one of KINDS. Raises Error for an
        unknown rule."""
        count, info = INT(), HyperparameterInfo()
        self.check(self.calls.onepass_hyperparameter_count(rule.encode(), ctypes.byref(count)))
        listed = []
        for index in range(count.value):
            self.check(self.calls.onepass_hyperparameter(rule.encode(), index, ctypes.byref(info)))
            listed.append(Hyperparameter(info.name.decode(), KINDS[info.kind], info.default_value,
                                         info.interval.decode(), info.meaning.decode(),
                                         tuple(info.choices[i].decode() for i in range(info.choice_count))))
        return listed


def settings_of(hyperparameters):
    """Returns the array of Setting for a dict of values: numbers, flags as bool, choices as text or index."""
    made = [Setting(name.encode(), 0.0, value.encode()) if isinstance(value, str) else Setting(name.encode(), value)
            for name, value in hyperparameters.items()]
    return (Setting * len(made))(*made)


class Optimizer:
    """An optimizer over a list of Parameter, whose memory must outlive it. Call close() or use it in a `with` statement.

    `rule` is the name of the rule of all parameters, whose hyperparameters are keyword arguments; or a list of groups,
    each a rule's name and a dict of hyperparameters, of which Parameter.group selects one. `device` is CPU or the number
    of a CUDA device. Raises Error for invalid arguments."""

    def __init__(self, library, rule, parameters, device=CPU, options=None, /, **hyperparameters):
        self.library = library
        self.handle = HANDLE()
        groups = [(rule, hyperparameters)] if isinstance(rule, str) else rule
        if groups is rule and hyperparameters:
            raise Error(f"onepass: {', '.join(hyperparameters)} must be in the dict of a group")
        listed = [(name, settings_of(values)) for name, values in groups]
        made = (Group * len(listed))(*(Group(rule=name.encode(), settings=settings, setting_count=len(settings))
                                       for name, settings in listed))
        array = (Parameter * len(parameters))(*parameters)
        library.check(library.calls.onepass_create(made, len(made), array, len(array), device,
                                                   options, ctypes.byref(self.handle)))

    def step(self, stream=None):
        """Takes one step. On CUDA it is queued on `stream`, a cudaStream_t as an int or None for the default stream,
        and the call does not wait for it."""
        status = self.library.calls.onepass_step(self.handle, stream)
        if status != 0:
            self.library.check(status)

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
        """Waits for the last step and frees the states."""
        self.library.calls.onepass_destroy(self.handle)
        self.handle = HANDLE()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
