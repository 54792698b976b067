"""Counts the work of each update kernel, by rule and format, in the machine code for one GPU.

Run as a program, it prints a table. tests/performance/figures.py compares the same numbers with committed figures."""

import argparse
import concurrent.futures
import dataclasses
import os
import re
import subprocess
import tempfile
import typing

import kernel_objects
import machine_code

ARCH = "sm_90"


class Format(typing.NamedTuple):
    """A format: its name in tests; the elements that a thread must move at a time; the bytes of an element that are
    stored but not loaded (a parameter beside its master); and the number of turns that one draw serves
    (kernels/update/turns.cuh): four, or all turns of a chunk of 4,096 elements if they are fewer."""
    name: str
    tile: int
    only_stored: int = 0
    turns_of_draw: int = 2


# Keys are the codecs of the parameter and of the states.
FORMATS = {
    ("Alone<Float32>", "Float32"): Format("float32", 4),
    ("Alone<BFloat16>", "Float32"): Format("bf16", 8),
    ("Alone<BFloat16>", "BFloat16"): Format("all_bf16", 8),
    ("WithMaster<BFloat16>", "Float32"): Format("bf16_master", 8, 2),
    ("SplitBFloat16", "Float32"): Format("bf16_split", 8),
    ("BFloat16Remainder8", "Quantized8"): Format("compact", 8, turns_of_draw=4),
    ("WithMaster<Float16>", "Float32"): Format("f16_master", 8, 2),
    ("Alone<Float32>", "Quantized8"): Format("f32_q8", 8, turns_of_draw=4),
}
STOCHASTIC = ("bf16", "all_bf16")
QUANTISED = ("compact", "f32_q8")
FLOAT32 = ("float32", "f32_q8")  # whose gradients have one type
UPDATE = re.compile(r"elementwise<(\w+), \w+::(\w+), Format<([^,]+), [^,]+, ([^,]+), ")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An update kernel, and those of its turns that move whole, aligned tiles and do nothing but apply the rule.

    A thread moves `elements` elements in one turn."""
    rule: str
    format: Format
    registers: int
    local_instructions: int
    elements: int
    turns: dict  # Keys are suffixes of the name: "", "_grad32", "_stochastic". A value is None if no turn is found.

    @property
    def name(self):
        return f"{self.rule} in {self.format.name}"


def plain_name(symbol):
    """Returns a demangled symbol, without namespaces and casts."""
    text = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout.strip()
    return re.sub(r"\(\w+\)(?=\d)|\b(onepass|kernels|storage)::", "", text)


def kernel_of(symbol, blocks, registers):
    rule, variant, param, states = UPDATE.search(plain_name(symbol)).groups()
    made_for = FORMATS[param, states]
    local = sum(one.name in ("LDL", "STL") for block in blocks for one in block.code)
    elements, turns = name_turns(made_for, parameter_turns(blocks))
    return Kernel(f"{rule}_{variant}", made_for, registers[symbol], local, elements, turns)


def parameter_turns(blocks):
    """Returns the shortest turn for each value of Turn.moves, from all loops that move parameters."""
    best = {}
    for header, body in machine_code.loops_of(blocks):
        if machine_code.moves_parameters(body):
            for turn in machine_code.turns_of(header, body):
                machine_code.keep(best, turn)
    return list(best.values())


def name_turns(made_for, turns):
    """Returns the elements of a turn, and the turns of whole tiles by suffix.

    Turns of whole tiles move the most bytes. The bytes that are loaded and not stored are those of the gradient, most
    for a float32 gradient. So they give the number of elements in a turn."""
    most = max(turns, key=lambda turn: turn.moves[:2]).accesses
    elements = (most.bytes_loaded - most.bytes_stored) // (4 - made_for.only_stored)
    low = most.bytes_loaded - 2 * elements

    def find(loaded, only_drawing=False):
        found = [turn for turn in turns if turn.moves[:2] == (loaded, most.bytes_stored)
                 and (turn.draws or not only_drawing)]
        return min(found, key=lambda turn: (turn.accesses.narrow, turn.length), default=None)

    has_states_drawn = made_for.name in QUANTISED and any(turn.draws for turn in turns)
    if made_for.name in FLOAT32:
        return elements, {"": find(most.bytes_loaded, has_states_drawn)}
    named = {"": find(low, has_states_drawn), "_grad32": find(most.bytes_loaded, has_states_drawn)}
    if made_for.name in STOCHASTIC:
        named["_stochastic"] = find(low, only_drawing=True)
    return elements, named


def read_kernels(nvcc, build, disassembler, source):
    """Returns the update kernels of a rule."""
    report, cubin = kernel_objects.assemble(nvcc, build, source, ARCH)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [disassembler, "-c", "-g", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers = kernel_objects.registers(report)
    return [kernel_of(symbol, blocks, registers)
            for symbol, blocks in machine_code.parse(text).items() if "elementwise" in symbol]


def all_kernels(nvcc, build, disassembler):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        kernels = pool.map(lambda source: read_kernels(nvcc, build, disassembler, source), kernel_objects.rules_of(build))
    return sorted((one for found in kernels for one in found), key=lambda kernel: kernel.name)


def measure(nvcc, build, disassembler):
    """Returns the work of each kernel, by its name."""
    work = {}
    for kernel in all_kernels(nvcc, build, disassembler):
        for kind, turn in kernel.turns.items():
            if turn is None:
                raise RuntimeError(f"{kernel.name}{kind}: no turn of the loop moves whole tiles")
            saved = 1 - 1 / kernel.format.turns_of_draw
            work[kernel.name + kind] = {
                "instructions": (turn.length - saved * turn.drawing) / kernel.elements,
                "half_rate": (turn.half_rate - saved * turn.drawing_half_rate) / kernel.elements,
                "registers": kernel.registers, "local_instructions": kernel.local_instructions,
                "elements": kernel.elements, **turn.accesses._asdict()}
    return work


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nvcc")
    parser.add_argument("build", help="build folder, with the generated kernels of the rules")
    arguments = parser.parse_args()
    disassembler = kernel_objects.find_disassembler(arguments.nvcc)
    if disassembler is None:
        parser.exit(1, kernel_objects.NO_DISASSEMBLER + "\n")
    for name, work in measure(arguments.nvcc, arguments.build, disassembler).items():
        print(f"{name:44}" + ", ".join(f"{value:g} {what}" for what, value in work.items()))


if __name__ == "__main__":
    main()
