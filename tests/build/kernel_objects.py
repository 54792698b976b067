"""Compiles the kernels with nvcc, for tests that inspect its output.

Run as a program, it prints the path of the nvdisasm for an nvcc, or fails if there is none."""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "kernel_objects"
NO_DISASSEMBLER = ("nvdisasm, which reads machine code, was not found beside nvcc, on the path, in this Python's "
                   "packages, or in build/tools (tools/setup installs it there)")
FLAGS = ["-std=c++20", "-O3", "-fmad=false", f"-I{ROOT}/include", f"-I{ROOT}"]


def rules_of(build):
    """Returns the generated sources of the update kernels, one for each rule."""
    return sorted((pathlib.Path(build) / "rules").glob("*.cu"))


def compile_kernel(nvcc, source, *flags):
    """Returns the messages of nvcc and the bytes of the file that it writes."""
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "out"
        command = [nvcc, *FLAGS, *flags, str(source), "-o", str(made)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        return result.stderr, made.read_bytes()


def key_of(nvcc, source, flags):
    """Returns a hash of all that decides the result: the compiler, its flags, and every file a kernel may include."""
    key = hashlib.sha256(repr((subprocess.run([nvcc, "--version"], capture_output=True).stdout, flags)).encode())
    files = [path for folder in ("include", "step", "kernels") for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in [pathlib.Path(source), *sorted(files)]:
        key.update(path.name.encode() + b"\0" + path.read_bytes())
    return key.hexdigest()[:32]


def compile_cubin(nvcc, source, arch):
    """Returns the report of ptxas, and machine code with line information.

    Keeps both for the next test that asks, because compiling all rules takes a minute."""
    flags = (f"-arch={arch}", "-cubin", "-lineinfo", "-Xptxas", "-v")
    kept = KEPT / key_of(nvcc, source, flags)
    if not kept.with_suffix(".cubin").exists():
        report, cubin = compile_kernel(nvcc, source, *flags)
        KEPT.mkdir(parents=True, exist_ok=True)
        kept.with_suffix(".report").write_text(report)
        whole = kept.with_suffix(f".{os.getpid()}")
        whole.write_bytes(cubin)
        whole.rename(kept.with_suffix(".cubin"))  # atomic: another test may be reading
    return kept.with_suffix(".report").read_text(), kept.with_suffix(".cubin").read_bytes()


def registers(report):
    """Returns the registers per thread by kernel symbol, from the report of `ptxas -v`."""
    return {name: int(count) for name, count in re.findall(
        r"Compiling entry function '(\w+)'.*?\n.*?Used (\d+) registers", report, re.S)}


def find_disassembler(nvcc):
    """Returns the path of nvdisasm, or None.

    It may be that of the toolkit, one on the path, or that of PyPI's nvidia-cuda-nvdisasm, installed in this Python or
    by tools/setup."""
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
