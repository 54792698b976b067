"""The kernels that nvcc compiles have no spills, no inexact arithmetic, and accesses of whole tiles only."""

import concurrent.futures
import os
import re
import shutil
import sys
import unittest

import kernel_objects
import update_kernels

BUILD = sys.argv.pop(1)
NVCC = shutil.which(sys.argv.pop(1)) or "nvcc"
DISASSEMBLER = kernel_objects.find_disassembler(NVCC)
RULES = kernel_objects.rules_of(BUILD)
SOURCES = RULES + sorted((kernel_objects.ROOT / "kernels").rglob("*.cu"))


def in_parallel():
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count())


class Kernels(unittest.TestCase):
    def test_no_kernel_spills_registers(self):
        made = [(source, arch) for source in SOURCES for arch in ("sm_80", "sm_90")]
        with in_parallel() as pool:
            for (source, arch), (report, _) in zip(made, pool.map(lambda of: kernel_objects.assemble(NVCC, BUILD, *of), made)):
                kernels = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
                self.assertGreater(len(kernels), 0, source.name)
                for kernel in kernels:
                    self.assertEqual(kernel, ("0", "0", "0"), f"{source.name} for {arch}:\n{report}")

    def test_ptx_has_no_calls_generic_accesses_or_unspecified_rounding(self):
        for source in SOURCES:
            ptx = kernel_objects.ptx_of(BUILD, source)
            code = [line.strip() for line in ptx.splitlines() if not line.strip().startswith("//")]
            for line in code:
                where = f"{source.name}: {line}"
                self.assertNotRegex(line, r"^(@!?%p\d+ )?call", where + " (everything must be inlined)")
                self.assertNotRegex(line, r"\b(ld|st)\.(v\d\.)?[busf]\d+", where + " (generic access)")
                self.assertNotRegex(line, r"\.(approx|ftz)\b", where)
                self.assertNotRegex(line, r"\b(add|sub|mul|fma|div|sqrt)\.f(32|64)", where + " (rounding left open)")
            if "elementwise" in ptx:  # not of AdamW, which uses Adam's update kernels
                self.assertRegex(ptx, r"ld\.global\.v4\.u32", source.name)
                self.assertRegex(ptx, r"st\.global\.v4\.u32", source.name)

    @unittest.skipIf(DISASSEMBLER is None, kernel_objects.NO_DISASSEMBLER)
    def test_update_kernels_move_only_whole_tiles(self):
        kernels = update_kernels.all_kernels(NVCC, BUILD, DISASSEMBLER)
        # A rule with the loops of another, as AdamW, has a prepare kernel alone. A variant without states has no
        # kernel for formats that differ in their states.
        own = [rule for rule in RULES if "elementwise" in kernel_objects.ptx_of(BUILD, rule)]
        self.assertGreaterEqual(len(kernels), len(own) * (len(update_kernels.FORMATS) - 1))
        for kernel in kernels:
            where = f"{kernel.name} for {update_kernels.ARCH}: "
            self.assertEqual(kernel.local_instructions, 0, where + "loads and stores of local memory")
            self.assertGreater(kernel.elements, 0, where + "elements a thread moves in a turn")
            self.assertEqual(kernel.elements % kernel.format.tile, 0, where + "elements a thread moves in a turn")
            for kind, turn in kernel.turns.items():
                self.assertIsNotNone(turn, where + f"no turn of whole tiles{kind}")
                self.check_widths(kernel, turn.accesses, f"{where}{kind or 'gradients as parameters'}: {turn.accesses}")

    def check_widths(self, kernel, accesses, where):
        """Expects accesses of 16 bytes. A state of 8 bits has an access of 8 bytes for a tile of 8 elements, and a
        narrow one for its scale. So has the remainder in compact, without a scale."""
        scales = accesses.loads_narrow
        self.assertEqual(accesses.stores_narrow, scales, where)
        if kernel.format.name in update_kernels.QUANTISED:
            remainders = kernel.elements // kernel.format.tile if kernel.format.name == "compact" else 0
            codes = remainders + scales
            self.assertEqual((accesses.loads8, accesses.stores8), (codes, codes), where)
        else:
            self.assertEqual((scales, accesses.loads8, accesses.stores8), (0, 0, 0), where)
        self.assertGreater(accesses.stores16, 0, where)


if __name__ == "__main__":
    unittest.main()
