"""Reads the PTX that the build made of the kernels, and its machine code, for tests that inspect both.

Run as a program, it prints the path of the nvdisasm for an nvcc, or fails if there is none."""

import hashlib
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "kernel_objects"
NO_DISASSEMBLER = ("nvdisasm, which reads machine code, was not found beside nvcc, on the path, in this Python's "
                   "packages, or in build/tools (tools/setup installs it there)")
def rules_of(build):
    """Returns the generated sources of the update kernels, one for each rule."""
    return sorted((pathlib.Path(build) / "rules").glob("*.cu"))


def object_of(build, source):
    """Returns the object that the build made from a source of the library."""
    source = pathlib.Path(source)
    folder = source.parent.relative_to(ROOT) if source.is_relative_to(ROOT / "kernels") else "rules"
    return pathlib.Path(build) / "CMakeFiles/onepass.dir" / folder / f"{source.name}.o"


def ptx_of(build, source):
    """Returns the PTX that the build's nvcc made from a source. Raises RuntimeError where the object has none.

    The fat binary in an object is a header (magic, version, length of the header, length of the rest) and entries, each
    with a header (kind, version, length of the header, length of the payload). Kind 1 is PTX. Builds with tests do not
    compress it."""
    made = object_of(build, source)
    # Not to /dev/stdout: objcopy renames its output into place, and root's would replace the device.
    with tempfile.TemporaryDirectory() as folder:
        copied = pathlib.Path(folder) / "fatbin"
        subprocess.run(["objcopy", "-O", "binary", "--only-section=.nv_fatbin", "--set-section-flags", ".nv_fatbin=alloc",
                        str(made), str(copied)], capture_output=True, check=True)
        section = copied.read_bytes()
    at = section.find(struct.pack("<I", 0xBA55ED50))
    while 0 <= at < len(section):
        _, _, header, length = struct.unpack_from("<IHHQ", section, at)
        entry, end = at + header, at + header + length
        while entry < end:
            kind, _, header, length = struct.unpack_from("<HHIQ", section, entry)
            payload = section[entry + header:entry + header + length]
            if kind == 1 and b".version" in payload:
                return payload.partition(b"\0")[0].decode()
            entry += header + length
        at = section.find(struct.pack("<I", 0xBA55ED50), end)
    raise RuntimeError(f"{made} has no PTX that can be read: build with tests, and with PTX (compute_80 by default)")


def key_of(nvcc, ptx, flags):
    """Returns a hash of the assembler's version, its flags and the PTX."""
    version = subprocess.run([assembler_of(nvcc), "--version"], capture_output=True).stdout
    return hashlib.sha256(repr((version, flags)).encode() + ptx.encode()).hexdigest()[:32]


def assembler_of(nvcc):
    return str(pathlib.Path(nvcc).resolve().parent / "ptxas")


def assemble(nvcc, build, source, arch):
    """Returns the report of ptxas for the build's PTX, and the machine code with line information, as nvcc makes it. The
    result is kept for the next test that asks, because all rules together take some seconds."""
    ptx = ptx_of(build, source)
    flags = (f"-arch={arch}", "-lineinfo", "-v")
    kept = KEPT / key_of(nvcc, ptx, flags)
    if not kept.with_suffix(".cubin").exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        whole = kept.with_suffix(f".{os.getpid()}")
        result = subprocess.run([assembler_of(nvcc), *flags, "-o", str(whole), "-"], input=ptx, capture_output=True,
                                text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        kept.with_suffix(".report").write_text(result.stdout + result.stderr)
        whole.rename(kept.with_suffix(".cubin"))  # in one operation, because another test may look for it
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
