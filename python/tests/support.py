"""support.py - what several tests of the Python package share."""

import array
import os
import pathlib
import re
import subprocess
import sys

import onepass

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ONEPASS_BUILD", ROOT / "build/release"))
LIBRARY = pathlib.Path(os.environ.get("ONEPASS_LIBRARY", BUILD / "python/onepass/_lib/libonepass.so"))
VERSION = re.search(r"project\(onepass VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


def run(*command, library=None, check=True, **options):
    """Runs a command with ONEPASS_LIBRARY set to `library`, or without that variable. Returns its result."""
    environment = {name: value for name, value in os.environ.items() if name != "ONEPASS_LIBRARY"}
    environment |= {"ONEPASS_LIBRARY": str(library)} if library is not None else {}
    result = subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=120,
                            **{"env": environment} | options)
    if check:
        assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
    return result


def python(code, **options):
    """Runs code in a Python of its own. Returns the lines that it prints."""
    return run(sys.executable, "-c", code, **options).stdout.splitlines()


def fake_library(folder, abi, functions=("onepass_abi",)):
    """Compiles a shared library whose functions return `abi`. Returns its path."""
    source, made = folder / "fake.c", folder / f"libfake{abi}.so"
    source.write_text("".join(f"int {name}(void) {{ return {abi}; }}\n" for name in functions))
    run("cc", "-shared", "-fPIC", source, "-o", made)
    return made


class Line:
    """A tensor of one float32 array, which Python owns, and its gradient."""

    def __init__(self, values, grads=None):
        self.value = array.array("f", values)
        self.grad = array.array("f", grads if grads is not None else [0.0] * len(values))

    def parameter(self, **members):
        return onepass.Parameter(value=self.value.buffer_info()[0], grad=self.grad.buffer_info()[0],
                                 numel=len(self.value), **members)
