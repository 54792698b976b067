"""What nvcc made of the kernels, read from its report and from the PTX."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1))
NVCC = shutil.which(sys.argv.pop(1)) or "nvcc"
FLAGS = ["-std=c++20", "-O3", "-fmad=false", f"-I{ROOT}/include", f"-I{ROOT}"]
RULES = sorted((BUILD / "rules").glob("*.cu"))
SOURCES = RULES + sorted((ROOT / "kernels").glob("*.cu"))


def compile_kernel(source, *flags):
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "out"
        result = subprocess.run([NVCC, *FLAGS, *flags, str(source), "-o", str(made)], capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        return result.stderr, made.read_text(errors="replace")


class Kernels(unittest.TestCase):
    def test_nothing_spills(self):
        for source in SOURCES:
            for arch in ("sm_80", "sm_90"):
                report, _ = compile_kernel(source, f"-arch={arch}", "-cubin", "-Xptxas", "-v")
                kernels = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
                self.assertGreater(len(kernels), 0, source.name)
                for kernel in kernels:
                    self.assertEqual(kernel, ("0", "0", "0"), f"{source.name} for {arch}:\n{report}")

    def test_arithmetic_and_accesses_are_what_the_source_says(self):
        for source in SOURCES:
            _, ptx = compile_kernel(source, "-arch=compute_80", "-ptx")
            code = [line.strip() for line in ptx.splitlines() if not line.strip().startswith("//")]
            for line in code:
                where = f"{source.name}: {line}"
                self.assertNotRegex(line, r"^(@!?%p\d+ )?call", where + " (everything must be inlined)")
                self.assertNotRegex(line, r"\b(ld|st)\.(v\d\.)?[busf]\d+", where + " (generic access)")
                self.assertNotRegex(line, r"\.(approx|ftz)\b", where)
                self.assertNotRegex(line, r"\b(add|sub|mul|fma|div|sqrt)\.f(32|64)", where + " (rounding left open)")
            if source in RULES:
                self.assertRegex(ptx, r"ld\.global\.v4\.u32", source.name)
                self.assertRegex(ptx, r"st\.global\.v4\.u32", source.name)


if __name__ == "__main__":
    unittest.main()
