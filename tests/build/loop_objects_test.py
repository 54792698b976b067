"""The compiler vectorises every CPU loop, and objects of two instruction sets share no symbol."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

BUILD = pathlib.Path(sys.argv.pop(1))

# Instructions that every loop of a rule must contain at full width: its root and division, or its multiply-add.
NEEDED = {
    "sgd": [r"vfn?m(add|sub)\w*ps"],
    "rmsprop": [r"vsqrtps", r"vdivps"],
    "adam": [r"vsqrtps", r"vdivps"],
}
# Each variant has one loop with clamp and L1 and one without, each for both types of gradients, in each format.
LOOP = re.compile(r"\S+ <void .*::(update_float32|update_blocks16|update_blocks8)<")
OF_VARIANT = 2 + 2 * 2 * 6 + 2 * 2 * 2  # float32; the other formats; formats rounded with random bits
BY_INSTRUCTION = 2 * 2 * 3  # more with AVX-512: bfloat16 loops for processors that can round to bfloat16
VARIANTS = {"sgd": 2, "rmsprop": 4, "adam": 2}  # AdamW uses Adam's loops
# Further instructions that the loops of each format must contain, by the beginning of the loop's name. 16-bit numbers
# are rounded two at a time in a lane of 32 bits (block_codec.hpp). Blocks of 8-bit states have loads and stores of
# their own, of whole vectors (scaled_block_vectors.hpp).
ROUNDED = {"avx2": [r"vpcmpgtw", r"vpsubw"], "avx512": [r"vpcmp\w*uw", r"vpaddw"]}
CODECS = {
    r"update_blocks16<.*?Format<onepass::storage::(Alone|WithMaster)<onepass::storage::BFloat16>": ROUNDED,
    r"update_blocks16<.*?Format<onepass::storage::SplitBFloat16": ROUNDED,
    r"update_blocks16<.*?Format<onepass::storage::WithMaster<onepass::storage::Float16>": {
        "avx2": [r"vcvtps2ph"], "avx512": [r"vcvtps2ph"]},
    r"update_blocks8<": {
        "avx2": [r"vpmovsxbw", r"vpblendw", r"vpackuswb"], "avx512": [r"vpmovsxbw", r"vpermt2w", r"vpmovwb"]},
}
# The source holds the float32 numbers of a block in arrays. The compiler must keep them in registers if there are
# enough: with AVX-512, in the loops without clamp and L1.
IN_REGISTERS = re.compile(r"\S+ <void .*::update_blocks16<[^,]*, true, ")
STORED_ON_STACK = r"%zmm\d+,-?(0x)?[0-9a-f]*\(%r[sb]p"
# Loops that belong to no rule, by the beginning of their name: reductions in double (by Measure), accumulation, and
# the moving average.
TABLE_LOOPS = {
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)0>": r"vaddpd",
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)1>": r"vfmadd\w*pd",
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)2>": r"vcmp(lt|gt)pd",
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)3>": r"vfmadd\w*pd",
    r"onepass::cpu::\(anonymous namespace\)::accumulate\(": r"vaddps",
    r"onepass::cpu::\(anonymous namespace\)::follow\(": r"vfn?madd\w*ps",
}
# A reduction is compiled for each type of gradients.
GRADIENT_TYPES = 3
WIDTH = {"avx2": "%ymm", "avx512": "%zmm"}


def loop_object(stem, isa):
    found = list(BUILD.glob(f"CMakeFiles/onepass.dir/rules/{stem}_{isa}.cpp.o"))
    if not found:
        raise FileNotFoundError(f"no object for {stem} and {isa} in {BUILD}")
    return found[0]


def random_object(isa):
    return next(BUILD.glob(f"CMakeFiles/onepass.dir/rules/random_{isa}.cpp.o"))


def output(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


class LoopObjects(unittest.TestCase):
    def test_no_symbol_is_shared_between_instruction_sets(self):
        for isa in ("baseline", *WIDTH):
            for made in [random_object(isa), *(loop_object(stem, isa) for stem in (*NEEDED, "table_loops"))]:
                for line in output("nm", "-C", made).splitlines():
                    # W and V are weak, u is unique. The symbols of a sanitizer are the same in all objects.
                    kind = line[17:18]
                    if "asan" in line or "ubsan" in line:
                        continue
                    self.assertNotIn(kind, ("W", "V", "u", "w", "v"), f"{made.name}: {line}")

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_every_loop_is_vectorised(self):
        for stem, needed in NEEDED.items():
            for isa, register in WIDTH.items():
                text = output("objdump", "-dC", "--no-show-raw-insn", loop_object(stem, isa))
                loops = [part for part in re.split(r"\n(?=[0-9a-f]+ <)", text) if LOOP.match(part)]
                by_instruction = BY_INSTRUCTION if isa == "avx512" else 0
                self.assertEqual(len(loops), VARIANTS[stem] * (OF_VARIANT + by_instruction), stem)
                by_processor = [loop for loop in loops if re.search(r"vcvtne2ps2bf16\s.*%zmm", loop)]
                self.assertEqual(len(by_processor), VARIANTS[stem] * by_instruction, stem)
                for loop in loops:
                    codec = [made[isa] for name, made in CODECS.items() if re.search(name, loop.partition("\n")[0])]
                    for instruction in needed + sum(codec, []):
                        self.assertRegex(loop, rf"{instruction}\s.*{register}", f"{stem}_{isa}: {loop[:160]}")
                    if isa == "avx512" and IN_REGISTERS.match(loop):
                        self.assertNotRegex(loop, STORED_ON_STACK, f"{stem}_{isa}: {loop[:160]}")

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_reductions_and_accumulation_are_vectorised(self):
        for isa, register in WIDTH.items():
            text = output("objdump", "-dC", "--no-show-raw-insn", loop_object("table_loops", isa))
            functions = re.split(r"\n(?=[0-9a-f]+ <)", text)
            for name, needed in TABLE_LOOPS.items():
                loops = [function for function in functions if re.match(rf"\S+ <{name}", function)]
                self.assertEqual(len(loops), GRADIENT_TYPES if "reduce_leaf" in name else 1, name)
                for loop in loops:
                    self.assertRegex(loop, rf"{needed}\s.*{register}", f"{isa}: {name}")

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_random_loops_are_vectorised(self):
        # Uniform, normal and truncated normal numbers; the mask of dropout; a reflection.
        needed = {
            r"fill_as<.*\)1>": [r"vpmuludq", r"vfmadd\w*pd"],
            r"fill_as<.*\)2>": [r"vpmuludq", r"vdivpd", r"vsqrtpd"],
            r"fill_as<.*\)3>": [r"vpmuludq", r"vdivpd", r"vsqrtpd"],
            r"dropout\(": [r"vpmuludq", r"vmulps", r"vfmadd\w*ps"],
            r"reflect\(": [r"vmulpd", r"vaddpd"],
        }
        for isa, register in WIDTH.items():
            text = output("objdump", "-dC", "--no-show-raw-insn", random_object(isa))
            parts = re.split(r"\n(?=[0-9a-f]+ <)", text)
            for name, instructions in needed.items():
                loop = next(part for part in parts if re.match(rf"\S+ <.*{name}", part))
                for instruction in instructions:
                    self.assertRegex(loop, rf"{instruction}\s.*{register}", f"{isa}: {name}")


if __name__ == "__main__":
    unittest.main()
