"""Compares counted work with committed figures.

The work is that of the CUDA kernels under cuda_emulator, of their machine code, or of the CPU loops under callgrind.
Counts have no noise, so a difference comes from a change of the code or of the compiler."""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "build"))
import kernel_objects
import update_kernels

ALLOWANCE = 0.03
SKIPPED = 77  # CTest reports this exit code as skipped.
UNITS = {
    "instructions": "instructions per element",
    "divisions": "divisions per element",
    "roots": "square roots per element",
    "read_sectors": "32-byte sectors read per element",
    "write_sectors": "32-byte sectors written per element",
    "local_accesses": "accesses to local memory per element",
    "chunk_instructions": "instructions per chunk",
    "chunk_sectors": "32-byte sectors of tables per chunk",
    "local_instructions": "loads and stores of local memory in the kernel",
    "half_rate": "half-rate instructions per element",
    "registers": "registers per thread",
    "elements": "elements per turn",
    "loads16": "16-byte loads per turn",
    "loads8": "8-byte loads per turn",
    "loads_narrow": "narrow loads per turn",
    "stores16": "16-byte stores per turn",
    "stores8": "8-byte stores per turn",
    "stores_narrow": "narrow stores per turn",
}


class Skip(Exception):
    """Raised if nothing can be compared here. Its text says why."""


def run(command, environment):
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {result.returncode}:\n{result.stderr[-4000:]}")
    return result.stdout


def measure_cuda(program, emulator):
    """Returns the work of each kernel. The emulator does not look for races: it takes time, and other tests do it."""
    environment = {**os.environ, "LD_LIBRARY_PATH": emulator, "ONEPASS_EMULATOR_RACES": "0"}
    return json.loads(run([program], environment))


def read_callgrind(text):
    """Returns instructions per element, by name. A mark is "NAME|NUMEL", and each name has two sizes."""
    totals = {}
    for name, numel, total in re.findall(r"Client Request: ([^\n|]*)\|(\d+)\n.*?^totals: (\d+)", text, re.S | re.M):
        totals.setdefault(name, []).append((int(numel), int(total)))
    measured = {}
    for name, sizes in totals.items():
        (few, cost_of_few), (many, cost_of_many) = sorted(sizes)
        measured[name] = {"instructions": round((cost_of_many - cost_of_few) / (many - few), 4)}
    return measured


def measure_cpu(program):
    if shutil.which("valgrind") is None:
        raise Skip("valgrind, which counts instructions, is not installed (tools/setup installs it)")
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind"
        run(["valgrind", "--quiet", "--tool=callgrind", "--combine-dumps=yes",
             f"--callgrind-out-file={out}", program], environment)
        return read_callgrind(out.read_text())


def measure_machine_code(nvcc, build):
    disassembler = kernel_objects.find_disassembler(nvcc)
    if disassembler is None:
        raise Skip(kernel_objects.NO_DISASSEMBLER)
    return update_kernels.measure(nvcc, build, disassembler)


def compare(committed, measured):
    """Returns two lists of sentences: one on all that grew, one on all that shrank or lacks figures or a kernel."""
    grown, other = [], []
    for name in sorted(measured.keys() | committed.keys()):
        if name not in committed:
            other.append(f"{name}: has no committed figures")
        elif name not in measured:
            other.append(f"{name}: has committed figures, but is no longer measured")
        else:
            for quantity, now in measured[name].items():
                before = committed[name].get(quantity, 0)
                if abs(now - before) <= ALLOWANCE * before:
                    continue
                change = f" ({now / before - 1:+.1%})" if before else ""
                verb = "grew" if now > before else "shrank"
                sentence = f"{name}: {UNITS[quantity]} {verb} from {before:g} to {now:g}{change}"
                (grown if now > before else other).append(sentence)
    return grown, other


def write(path, compiler, measured):
    lines = [f"  {json.dumps(name)}: {json.dumps(work)}" for name, work in measured.items()]
    text = f'{{"compiler": {json.dumps(compiler)}, "work": {{\n' + ",\n".join(lines) + "\n}}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{path}: figures of {len(measured)} kernels")


def check(figures, compiler, measure, command):
    if figures["compiler"] != compiler:
        raise Skip(f"the figures were made with {figures['compiler']}, and this build's compiler is {compiler}")
    measured = measure()
    grown, other = compare(figures["work"], measured)
    if grown:
        print(f"Work grew by more than {ALLOWANCE:.0%}:", *grown, sep="\n  ")
    if other:
        print("New figures must be committed:", *other, sep="\n  ")
    if grown or other:
        print(f"If the change is intended, this command writes new figures: {command}")
        return 1
    print(f"{len(measured)} kernels agree with the figures within {ALLOWANCE:.0%}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cuda", "machine_code", "cpu"))
    parser.add_argument("program", help="kernel_work, nvcc or cpu_work")
    parser.add_argument("--figures", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", required=True, help="name and version of the compiler, which figures depend on")
    parser.add_argument("--emulator", help="folder of the emulator's libcudart")
    parser.add_argument("--build", help="build folder, with the generated kernels of the rules")
    parser.add_argument("--command", default="the same with --write",
                        help="command that writes new figures, named in the message")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "cuda":
        measure = lambda: measure_cuda(arguments.program, arguments.emulator)
    elif arguments.what == "machine_code":
        measure = lambda: measure_machine_code(arguments.program, arguments.build)
    else:
        measure = lambda: measure_cpu(arguments.program)
    try:
        if arguments.write:
            write(arguments.figures, arguments.compiler, measure())
            return 0
        return check(json.loads(arguments.figures.read_text()), arguments.compiler, measure, arguments.command)
    except Skip as reason:
        print(f"skipped: {reason}")
        return 0 if arguments.write else SKIPPED  # With --write, the other figures are still written.


if __name__ == "__main__":
    sys.exit(main())
