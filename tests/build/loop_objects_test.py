"""The compiler vectorises every CPU loop, and objects of two instruction sets share no symbol."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

BUILD = pathlib.Path(sys.argv.pop(1))

WIDTH = {"avx2": "%ymm", "avx512": "%zmm"}
# Instructions that every loop of a rule must contain at full width: its root and division, or its multiply-add.
NEEDED = {
    "sgd": [r"vfn?m(add|sub)\w*ps"],
    "rmsprop": [r"vsqrtps", r"vdivps"],
    "adam": [r"vsqrtps", r"vdivps"],
}
# Each variant has one loop with clamp and L1 and one without, each for both types of gradients, in each format; in
# float32 also one without scale and decay.
LOOP = re.compile(r"\S+ <void .*::(update_float32|update_blocks16|update_blocks8)<")
OF_VARIANT = 3 + 2 + 2 * 2 * 6 + 2 * 2 * 2  # float32; with 8-bit states; the others; those rounded with random bits
BY_INSTRUCTION = 2 * 2 * 3  # more with AVX-512: bfloat16 loops for processors that can round to bfloat16
VARIANTS = {"sgd": 2, "rmsprop": 4, "adam": 2}  # AdamW uses Adam's loops
# A variant without states has no loop of all-bf16 and of float32 with 8-bit states: it uses those of bf16 and float32.
WITHOUT_STATES = {"sgd": 1, "rmsprop": 0, "adam": 0}
OF_STATES_ALONE, ALL_BF16_BY_INSTRUCTION = 2 * 2 + 2 * 2 + 2, 2 * 2
# Loops over float32, for updates in stages: one for each rule::Extras. Variants that store other numbers than their
# states have two more. They are all that a rule has at the baseline level.
STAGED_LOOP = re.compile(r"\S+ <void .*::move_blocks<")
STAGED_LOOPS = {"sgd": 8, "rmsprop": 20, "adam": 8}
# Further instructions that the loops of each format must contain, by the beginning of the loop's name. 16-bit numbers
# are rounded two at a time in a lane of 32 bits (block_codec.hpp). Blocks of 8-bit states have loads and stores of
# their own, of whole vectors (scaled_block_vectors.hpp).
ROUNDED = {"avx2": [r"vpcmpgtw", r"vpsubw"], "avx512": [r"vpcmp\w*uw", r"vpaddw"]}
# The numbers of a block with 8-bit states are in pairs: they are joined without a permutation.
IN_PAIRS = {"avx2": [r"vpmovsxbw", r"vpblendw"], "avx512": [r"vpmovsxbw", r"(vpblendmw|vmovdqu16)"]}
FORMAT, BF16 = r"onepass::storage::Format<onepass::storage::", r"onepass::storage::BFloat16"
CODECS = {
    r"update_blocks16<.*?Format<onepass::storage::(Alone|WithMaster)<onepass::storage::BFloat16>": ROUNDED,
    r"update_blocks16<.*?Format<onepass::storage::SplitBFloat16": ROUNDED,
    r"update_blocks16<.*?Format<onepass::storage::WithMaster<onepass::storage::Float16>": {
        "avx2": [r"vcvtps2ph"], "avx512": [r"vcvtps2ph"]},
    r"update_blocks8<.*?Format<onepass::storage::BFloat16Remainder8": {
        "avx2": [*IN_PAIRS["avx2"], r"vpackuswb"], "avx512": [*IN_PAIRS["avx512"], r"vpmovwb"]},
    # Float32 numbers are brought into pairs.
    r"update_blocks8<.*?Format<onepass::storage::Alone<onepass::storage::Float32>": {
        "avx2": [r"vshufps", r"vpermq", r"vpackuswb"], "avx512": [r"vpermt2d", r"vpmovwb"]},
}
# The source holds the float32 numbers of a block in arrays. The compiler must keep them in registers if there are
# enough: with AVX-512, in the loops without clamp and L1.
IN_REGISTERS = re.compile(r"\S+ <void .*::update_blocks16<[^,]*, \(onepass::rule::Extras\)1, ")
BY_PROCESSOR = r"vcvtne2ps2bf16\s.*%zmm"
STORED_ON_STACK = r"%zmm\d+,-?(0x)?[0-9a-f]*\(%r[sb]p"
# Loops that belong to no rule, by the beginning of their name: reductions in double (by Measure), accumulation, and
# the moving average.
TABLE_LOOPS = {
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)0>": r"vaddpd",
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)1>": r"vfmadd\w*pd",
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)2>": r"vcmp(lt|gt)pd",
    r"double .*::reduce_leaf<.*\(onepass::step::Measure\)5>": r"vfmadd\w*pd",
    r"onepass::cpu::\(anonymous namespace\)::accumulate\(": r"vaddps",
    r"onepass::cpu::\(anonymous namespace\)::follow\(": r"vfn?madd\w*ps",
}
# The codecs of staged updates, by the beginning of their name, with instructions that each must contain at full width.
ENCODED8 = {"avx2": [r"vpackuswb"], "avx512": [r"vpmovwb"]}
STAGE_CODECS = {
    # A vector of float32 is stored into a buffer. A remainder of 8 bits beside wider states goes element by element.
    rf"void .*::unpack(16<(?!{FORMAT}\w+Remainder8)|_state8<)": dict.fromkeys(WIDTH, [r"vmov\w+\s+(?=%[yz]mm\d+,.*\()"]),
    r"void .*::pack16<.*WithMaster<onepass::storage::Float16>": dict.fromkeys(WIDTH, [r"vcvtps2ph"]),
    rf"void .*::pack16<{FORMAT}(Alone<{BF16}>|WithMaster<{BF16}>|SplitBFloat16)": ROUNDED,
    rf"void .*::unpack8<{FORMAT}BFloat16Remainder8": IN_PAIRS,
    rf"void .*::unpack8<{FORMAT}Alone<onepass::storage::Float32>": {
        "avx2": [r"vshufps", r"vpermq"], "avx512": [r"vpermt2d"]},
    rf"void .*::pack8<{FORMAT}BFloat16Remainder8": ENCODED8,
    r"void .*::store_state_blocks<": {isa: [*codes, r"vdivps"] for isa, codes in ENCODED8.items()},
}
# Their numbers. Nothing is decoded of a master and float32 gradients. One codec serves any number of states of float32,
# another, in the order of pairs, none; states of bfloat16 have a codec for each number from 1 to 4.
# Only bf16 and split are in pairs. Parameters are packed by a function for each way of rounding that they or the states
# have. "8" is the remainder of 8 bits.
UNPACKED16 = {"bf16": 3, "f16": 2, "split": 3, "bf16_master": 1, "f16_master": 1, "bf16_8": 2, "f16_8": 2}
UNPACKED16_BF16_STATES = {"f32": 4, **dict.fromkeys(UNPACKED16, 2 * 4)}
PACKED16 = {"bf16": 2 * 2, "f16": 2, "split": 2, "bf16_master": 1, "f16_master": 1, "bf16_8": 1, "f16_8": 1}
PACKED16_BF16_STATES = {"f32": 2 * 4, **dict.fromkeys(PACKED16, 2 * 4), "bf16": 2 * 2 * 4, "split": 2 * 2 * 4}
PACKED16_BY_INSTRUCTION = 2 + 1 + sum(PACKED16_BF16_STATES.values()) // 2
STAGED16 = sum(sum(made.values())
               for made in (UNPACKED16, UNPACKED16_BF16_STATES, PACKED16, PACKED16_BF16_STATES))
# A reduction is compiled for each type of gradients.
GRADIENT_TYPES = 3


def loop_object(stem, isa):
    found = list(BUILD.glob(f"CMakeFiles/onepass.dir/rules/{stem}_{isa}.cpp.o"))
    if not found:
        raise FileNotFoundError(f"no object for {stem} and {isa} in {BUILD}")
    return found[0]


def random_object(isa):
    return next(BUILD.glob(f"CMakeFiles/onepass.dir/rules/random_{isa}.cpp.o"))


def output(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


def functions(made):
    """Returns the disassembly of each function of an object."""
    return re.split(r"\n(?=[0-9a-f]+ <)", output("objdump", "-dC", "--no-show-raw-insn", made))


class LoopObjects(unittest.TestCase):
    def test_no_symbol_is_shared_between_instruction_sets(self):
        for isa in ("baseline", *WIDTH):
            for made in [random_object(isa), *(loop_object(stem, isa) for stem in (*NEEDED, "table_loops", "staged"))]:
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
                loops = [part for part in functions(loop_object(stem, isa)) if LOOP.match(part)]
                by_instruction = 0
                if isa == "avx512":
                    by_instruction = VARIANTS[stem] * BY_INSTRUCTION - WITHOUT_STATES[stem] * ALL_BF16_BY_INSTRUCTION
                nearest = VARIANTS[stem] * OF_VARIANT - WITHOUT_STATES[stem] * OF_STATES_ALONE
                self.assertEqual(len(loops), nearest + by_instruction, stem)
                by_processor = [loop for loop in loops if re.search(BY_PROCESSOR, loop)]
                self.assertEqual(len(by_processor), by_instruction, stem)
                for loop in loops:
                    codec = [made[isa] for name, made in CODECS.items() if re.search(name, loop.partition("\n")[0])]
                    for instruction in needed + sum(codec, []):
                        self.assertRegex(loop, rf"{instruction}\s.*{register}", f"{stem}_{isa}: {loop[:160]}")
                    if isa == "avx512" and IN_REGISTERS.match(loop):
                        self.assertNotRegex(loop, STORED_ON_STACK, f"{stem}_{isa}: {loop[:160]}")

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_every_loop_of_a_staged_update_is_vectorised_and_has_no_loop_for_the_last_elements(self):
        for stem, needed in NEEDED.items():
            for isa, register in WIDTH.items():
                loops = [part for part in functions(loop_object(stem, isa)) if STAGED_LOOP.match(part)]
                self.assertEqual(len(loops), STAGED_LOOPS[stem], stem)
                for loop in loops:
                    for instruction in needed:
                        self.assertRegex(loop, rf"{instruction}\s.*{register}", f"{stem}_{isa}: {loop[:160]}")
                        self.assertNotRegex(loop, rf"{instruction[:-2]}ss\s", f"{stem}_{isa}: {loop[:160]}")

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_rule_has_staged_loops_alone_at_the_baseline_level(self):
        for stem in NEEDED:
            parts = functions(loop_object(stem, "baseline"))
            self.assertEqual(sum(bool(LOOP.match(part)) for part in parts), 0, stem)
            self.assertEqual(sum(bool(STAGED_LOOP.match(part)) for part in parts), STAGED_LOOPS[stem], stem)

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_codecs_of_staged_updates_are_vectorised(self):
        for isa, register in WIDTH.items():
            parts = functions(loop_object("staged", isa))
            codecs = [part for part in parts if re.match(r"\S+ <void .*::(un)?pack16<", part)]
            by_instruction = PACKED16_BY_INSTRUCTION if isa == "avx512" else 0
            self.assertEqual(len(codecs), STAGED16 + by_instruction, isa)
            self.assertEqual(sum(bool(re.search(BY_PROCESSOR, codec)) for codec in codecs), by_instruction, isa)
            for name, needed in STAGE_CODECS.items():
                codecs = [part for part in parts if re.match(rf"\S+ <{name}", part)]
                self.assertNotEqual(codecs, [], name)
                for codec in codecs:
                    for instruction in needed[isa]:
                        self.assertRegex(codec, rf"{instruction}.*{register}", f"{isa}: {codec[:200]}")

    @unittest.skipIf("asan" in os.fspath(BUILD), "sanitizers change the loops")
    def test_reductions_and_accumulation_are_vectorised(self):
        for isa, register in WIDTH.items():
            parts = functions(loop_object("table_loops", isa))
            for name, needed in TABLE_LOOPS.items():
                loops = [function for function in parts if re.match(rf"\S+ <{name}", function)]
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
            parts = functions(random_object(isa))
            for name, instructions in needed.items():
                loop = next(part for part in parts if re.match(rf"\S+ <.*{name}", part))
                for instruction in instructions:
                    self.assertRegex(loop, rf"{instruction}\s.*{register}", f"{isa}: {name}")


if __name__ == "__main__":
    unittest.main()
