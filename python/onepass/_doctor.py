"""_doctor.py - `python -m onepass doctor`: what was found, steps of AdamW checked on each device, and what to do."""

import ctypes
import importlib.util
import math
import platform

from onepass import _check_step, _interface, _library
from onepass._version import __version__


class Report:
    """Lines for the terminal, and sentences that say what to do."""

    def __init__(self):
        self.lines, self.remedies = [], []

    def say(self, label, text):
        self.lines.append(f"{label:10}{text}")

    def advise(self, sentence):
        self.remedies.append(sentence)

    def text(self):
        return "\n".join([*self.lines, *(self.remedies or ["all well"])])


def driver():
    """Returns CUDA's driver as its version ("13.0") and the number of its devices; None without a driver."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        version, count = ctypes.c_int(), ctypes.c_int()
        if cuda.cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
        if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
            count.value = 0
    except (OSError, AttributeError):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}", count.value


def name_of(library, device):
    name = _interface.TEXT()
    library.check(library.calls.onepass_device_name(device, ctypes.byref(name)))
    return name.value.decode()


def examine_library(report):
    """Returns the library, or None and advice."""
    try:
        library = _library.library()
    except _library.Error as error:
        report.say("library", f"{_library.path()}: cannot be used")
        report.advise(str(error))
        return None
    report.say("library", f"{library.path}, version {library.version()}, "
                          f"binary interface {library.calls.onepass_abi()}")
    if library.version() != __version__:
        report.say("", f"the package is of version {__version__}; their binary interfaces fit")
    return library


def examine_cpu(report, library):
    cpu = _interface.Cpu()
    library.check(library.calls.onepass_describe_cpu(ctypes.byref(cpu)))
    isa, pool = (next(name for name, number in names.items() if number == value)
                 for names, value in ((_interface.ISAS, cpu.isa), (_interface.POOLS, cpu.pool)))
    whose = "OpenMP's" if pool == "openmp" else "the library's own"
    report.say("cpu", f"{isa}, at most {cpu.threads} threads ({whose}), {cpu.cache_bytes / 2**20:.0f} MiB of cache")


def examine_cuda(report, library):
    """Returns the number of CUDA devices that the library can use."""
    count, found = library.calls.onepass_cuda_device_count(), driver()
    if found is None and count == 0:
        report.say("cuda", "no driver: steps run on the CPU")
    elif count == 0:
        report.say("cuda", f"the driver is of CUDA {found[0]} and has {found[1] or 'no'} device{'s' * (found[1] > 1)}")
    for device in range(count):
        of_driver = f", the driver is of CUDA {found[0]}" if found else ""
        report.say(f"cuda:{device}", name_of(library, device) + of_driver)
    if count == 0 and found and found[1] > 0:
        try:
            name_of(library, 0)
        except _library.Error as error:
            report.advise(f"This machine has a GPU that the library cannot use ({error}): install a wheel with CUDA, "
                          "or a driver that is not older than the CUDA of the wheel.")
    return count


def examine_torch(report):
    """Returns PyTorch, or None if it is not installed or broken."""
    if importlib.util.find_spec("torch") is None:
        report.say("torch", "not installed")
        return None
    try:
        import torch
        table = "found" if hasattr(torch.Tensor, "__dlpack_c_exchange_api__") else "not found"
        cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    except Exception as error:  # a library of it is missing, or does not fit the machine
        report.say("torch", "installed, but cannot be imported")
        report.advise(f"PyTorch cannot be imported ({str(error).splitlines()[0]}): install it again.")
        return None
    report.say("torch", f"{torch.__version__} with {cuda}, DLPack exchange table {table}")
    return torch


def examine_steps(report, name, far):
    """Reports whether steps are right. `far()` takes them, and returns the largest error in units of the tolerance."""
    try:
        distance = far()
    except Exception as error:  # of whatever package: the doctor tells it
        report.say("step", f"{name}: failed")
        report.advise(f"A step on {name} failed: {error}")
        return
    if math.isfinite(distance) and distance <= 1.0:
        report.say("step", f"{name}: as expected")
    else:
        report.say("step", f"{name}: WRONG, {distance:.3g} times the tolerance")
        report.advise(f"Steps on {name} are wrong: please report this, with all lines above.")


def examine():
    report = Report()
    report.say("onepass", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    library = examine_library(report)
    torch = examine_torch(report)
    if library is None:
        return report
    try:
        examine_cpu(report, library)
    except _library.Error as error:  # a variable of the environment is out of range
        report.say("cpu", "cannot be used")
        report.advise(str(error))
        return report
    devices = [_interface.CPU, *range(examine_cuda(report, library))]
    for device in devices:
        place = "cpu" if device == _interface.CPU else f"cuda:{device}"
        examine_steps(report, f"{place} against float64", lambda: _check_step.against_float64(device))
        if torch is not None and (device == _interface.CPU or torch.cuda.is_available()):
            examine_steps(report, f"{place} against torch.optim.AdamW", lambda: _check_step.against_torch(torch, place))
    return report


def main():
    """Prints the report. Returns 0 if all is well, else 1."""
    report = examine()
    print(report.text())
    return 1 if report.remedies else 0
