"""The kernels as nvcc compiles them, for the tests that look at what it made.

As a program: prints the path of the nvdisasm that goes with an nvcc; fails where there is none."""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "kernel_objects"
NO_DISASSEMBLER = ("there is no nvdisasm, which reads machine code: neither beside nvcc, nor on the path, nor in this "
                   "Python's packages, nor in build/tools (tools/setup installs it there)")
FLAGS = ["-std=c++20", "-O3", "-fmad=false", f"-I{ROOT}/include", f"-I{ROOT}"]


def rules_of(build):
    """The generated sources of the update kernels, one a rule."""
    return sorted((pathlib.Path(build) / "rules").glob("*.cu"))


def compile_kernel(nvcc, source, *flags):
    """What nvcc says, and the bytes of the file it writes."""
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "out"
        command = [nvcc, *FLAGS, *flags, str(source), "-o", str(made)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        return result.stderr, made.read_bytes()


def key_of(nvcc, source, flags):
    """Of all that decides what is made: the compiler, its flags, and every file that a kernel may include."""
    key = hashlib.sha256(repr((subprocess.run([nvcc, "--version"], capture_output=True).stdout, flags)).encode())
    files = [path for folder in ("include", "step", "kernels") for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in [pathlib.Path(source), *sorted(files)]:
        key.update(path.name.encode() + b"\0" + path.read_bytes())
    return key.hexdigest()[:32]


def compile_cubin(nvcc, source, arch):
    """The report of ptxas, and machine code that knows its lines. Kept for the next test that asks: it is a minute's work
    for all rules."""
    flags = (f"-arch={arch}", "-cubin", "-lineinfo", "-Xptxas", "-v")
    kept = KEPT / key_of(nvcc, source, flags)
    if not kept.with_suffix(".cubin").exists():
        report, cubin = compile_kernel(nvcc, source, *flags)
        KEPT.mkdir(parents=True, exist_ok=True)
        kept.with_suffix(".report").write_text(report)
        whole = kept.with_suffix(f".{os.getpid()}")
        whole.write_bytes(cubin)
        whole.rename(kept.with_suffix(".cubin"))  # at once: another test may be looking
    return kept.with_suffix(".report").read_text(), kept.with_suffix(".cubin").read_bytes()


def registers(report):
    """Registers of a thread by the kernel's symbol, from what `ptxas -v` reports."""
    return {name: int(count) for name, count in re.findall(
        r"Compiling entry function '(\w+)'.*?\n.*?Used (\d+) registers", report, re.S)}


def find_disassembler(nvcc):
    """nvdisasm of the toolkit, on the path, or of PyPI's nvidia-cuda-nvdisasm, which may be this Python's or
    tools/setup's; None without."""
    places = [pathlib.Path(nvcc).resolve().parent, *map(pathlib.Path, os.get_exec_path())]
    candidates = [place / "nvdisasm" for place in places]
    for place in [*map(pathlib.Path, sys.path), ROOT / "build/tools"]:
        candidates += sorted(place.glob("nvidia/*/bin/nvdisasm"))
    return next((str(found) for found in candidates if os.access(found, os.X_OK)), None)


if __name__ == "__main__":
    found = find_disassembler(sys.argv[1])
    if found is None:
        sys.exit(NO_DISASSEMBLER)
    print(found)
