"""_library.py - finds and loads libonepass.so at first use. `import onepass` loads nothing, so it never fails."""

import collections
import ctypes
import os
import pathlib
import threading

from onepass import _functions, _interface

Hyperparameter = collections.namedtuple("Hyperparameter", "name kind default interval meaning choices")
BESIDE = pathlib.Path(__file__).with_name("_lib") / "libonepass.so"
KINDS = tuple(_interface.KINDS)


class Error(Exception):
    """A call failed, or there is no library; the text is one sentence."""

    __module__ = "onepass"


def path():
    """Returns the path of the library: ONEPASS_LIBRARY of the environment if set, else of the one in the package."""
    return pathlib.Path(os.environ.get("ONEPASS_LIBRARY") or BESIDE)


def load(file):
    """Loads a library and checks that it fits. Returns a ctypes.CDLL whose functions have their types."""
    remedy = ("correct or unset ONEPASS_LIBRARY, which names it" if os.environ.get("ONEPASS_LIBRARY") else
              "reinstall the package onepass, or set ONEPASS_LIBRARY to the path of libonepass.so")
    if not file.is_file():
        raise Error(f"onepass: there is no library {file}: {remedy}")
    try:
        calls = ctypes.CDLL(str(file.absolute()))
        calls.onepass_abi.restype = ctypes.c_int32
        abi = calls.onepass_abi()
    except (OSError, AttributeError) as wrong:
        raise Error(f"onepass: {file} is no library of onepass that loads here ({wrong}): {remedy}") from None
    if abi != _interface.ABI:
        raise Error(f"onepass: {file} has the binary interface {abi}, but this package needs {_interface.ABI}: "
                    f"{remedy}")
    try:
        _functions.declare(calls)
    except AttributeError as wrong:
        raise Error(f"onepass: {file} is older than this package ({wrong}): {remedy}") from None
    return calls


class Library:
    """The shared library at `path`. `calls` is its ctypes.CDLL, whose functions are those of onepass.h."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.calls = load(self.path)

    def check(self, status):
        """Raises Error unless `status` is ONEPASS_OK."""
        if status != 0:
            raise Error(self.calls.onepass_last_error().decode())

    def version(self):
        """Returns the library's version: "0.2.0"."""
        return self.calls.onepass_version().decode()

    def rules(self):
        """Returns the names of all rules."""
        return [self.calls.onepass_rule_name(index).decode() for index in range(self.calls.onepass_rule_count())]

    def presets(self, rule):
        """Returns the presets of a rule, the settings of other implementations: for each name, such as "apex", one
        sentence or more about it. "LAMB.apex" stands for the rule with these settings. Raises Error for an unknown
        rule."""
        count, info = _interface.INT(), _interface.PresetInfo()
        self.check(self.calls.onepass_preset_count(rule.encode(), ctypes.byref(count)))
        listed = {}
        for index in range(count.value):
            self.check(self.calls.onepass_preset(rule.encode(), index, ctypes.byref(info)))
            listed[info.name.decode()] = info.meaning.decode()
        return listed

    def hyperparameters(self, rule):
        """Returns a Hyperparameter for each hyperparameter of a rule. Its kind is one of KINDS. Raises Error for
        an unknown rule. With "LAMB.apex" the values are the preset's."""
        count, info = _interface.INT(), _interface.HyperparameterInfo()
        self.check(self.calls.onepass_hyperparameter_count(rule.encode(), ctypes.byref(count)))
        listed = []
        for index in range(count.value):
            self.check(self.calls.onepass_hyperparameter(rule.encode(), index, ctypes.byref(info)))
            listed.append(Hyperparameter(info.name.decode(), KINDS[info.kind], info.default_value,
                                         info.interval.decode(), info.meaning.decode(),
                                         tuple(info.choices[i].decode() for i in range(info.choice_count))))
        return listed


class _Loaded:
    """The library of this process. A forked child has it too, and a lock of its own: the parent's may be held."""

    def __init__(self):
        self.library = None
        self.renew_lock()
        os.register_at_fork(after_in_child=self.renew_lock)

    def renew_lock(self):
        self.lock = threading.Lock()

    def get(self):
        if self.library is None:
            with self.lock:
                if self.library is None:
                    self.library = Library(path())
        return self.library


_loaded = _Loaded()


def library():
    """Returns the Library, which the first call loads. Raises Error, with a sentence that says what to do, if there is
    none or it does not fit. A later call tries again."""
    return _loaded.get()
