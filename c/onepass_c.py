"""onepass_c.py - a ctypes wrapper of onepass_c.h: optimizers over memory that the caller owns. The header documents
units, ranges, memory and threads."""

import ctypes

CPU = -1
RULES = {"sgd": 0, "rmsprop": 1, "adam": 2, "adamw": 3}
DTYPES = {"float32": 0, "bfloat16": 1, "float16": 2}
MASTERS = {"none": 0, "float32": 1, "split": 2, "remainder8": 3}
STATES = {"float32": 0, "bfloat16": 1, "quantized8": 2}
ROUNDINGS = {"nearest": 0, "stochastic": 1}


class Config(ctypes.Structure):
    """onepass_config, with the same members in the same order."""

    _fields_ = [(name, ctypes.c_double) for name in
                ("lr", "weight_decay", "beta1", "beta2", "alpha", "eps", "momentum", "dampening")]
    _fields_ += [("seed", ctypes.c_uint64)]
    _fields_ += [(name, ctypes.c_int32) for name in
                 ("rule", "amsgrad", "nesterov", "centered", "eps_outside_root", "maximize", "master", "states",
                  "rounding", "threads")]


class Tensor(ctypes.Structure):
    """onepass_tensor: two addresses, the number of elements and two values of DTYPES."""

    _fields_ = [("value", ctypes.c_void_p), ("grad", ctypes.c_void_p), ("numel", ctypes.c_int64),
                ("dtype", ctypes.c_int32), ("grad_dtype", ctypes.c_int32)]


class Error(Exception):
    """A call failed; the text is onepass's message."""


class Library:
    """The shared library onepass_c, loaded from `path`."""

    def __init__(self, path):
        self.calls = ctypes.CDLL(str(path))
        self.calls.onepass_last_error.restype = ctypes.c_char_p
        self.calls.onepass_defaults.argtypes = [ctypes.c_int32, ctypes.POINTER(Config)]
        self.calls.onepass_create.argtypes = [ctypes.POINTER(Config), ctypes.POINTER(Tensor), ctypes.c_int64,
                                              ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p)]
        self.calls.onepass_step.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.calls.onepass_destroy.argtypes = [ctypes.c_void_p]
        self.calls.onepass_destroy.restype = None

    def check(self, status):
        """Raises Error unless `status` is ONEPASS_OK."""
        if status != 0:
            raise Error(self.calls.onepass_last_error().decode())

    def config(self, name, /, **changes):
        """Returns the defaults of RULES[name] with some members changed. Raises Error for an unknown member."""
        config = Config()
        self.check(self.calls.onepass_defaults(RULES[name], ctypes.byref(config)))
        known = {member for member, _ in Config._fields_}
        for member, value in changes.items():
            if member not in known:
                raise Error(f"onepass: there is no {member}; the members are {', '.join(sorted(known))}")
            setattr(config, member, value)
        return config


class Optimizer:
    """An optimizer over a list of Tensor, whose memory must outlive it. `device` is CPU or the number of a CUDA
    device. Raises Error for invalid arguments. Call close() or use it in a `with` statement."""

    def __init__(self, library, config, tensors, device=CPU):
        self.library = library
        self.handle = ctypes.c_void_p()
        array = (Tensor * len(tensors))(*tensors)
        library.check(library.calls.onepass_create(ctypes.byref(config), array, len(tensors), device,
                                                   ctypes.byref(self.handle)))

    def step(self, stream=None):
        """Takes one step. On CUDA it is queued on `stream`, a cudaStream_t as an int or None for the default stream, and
        the call does not wait for it."""
        status = self.library.calls.onepass_step(self.handle, stream)
        if status != 0:
            self.library.check(status)

    def close(self):
        """Waits for the last step and frees the states."""
        self.library.calls.onepass_destroy(self.handle)
        self.handle = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
