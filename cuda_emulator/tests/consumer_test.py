"""Another project (consumer/) builds its CUDA test and runs it on the emulator, as README.md says.

Usage: consumer_test.py LIBRARY_DIR BUILD_DIR CMAKE_ARGUMENT...
"""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parent
SOURCE = TESTS / "consumer" / "scale_test.cu"
LIBRARIES, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
CMAKE_ARGUMENTS = sys.argv[3:]


def run(*command, **environment):
    return subprocess.run([str(word) for word in command], env={**os.environ, **environment}, capture_output=True,
                          text=True)


class Consumer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(BUILD, ignore_errors=True)
        for command in (["cmake", "-S", SOURCE.parent, "-B", BUILD, f"-DCUDA_EMULATOR_LIBRARY_DIR={LIBRARIES}",
                         *CMAKE_ARGUMENTS],
                        ["cmake", "--build", BUILD]):
            result = run(*command)
            if result.returncode != 0:
                raise AssertionError(result.stdout + result.stderr)

    def run_on_emulator(self, *arguments):
        return run(BUILD / "scale_test", *arguments, LD_LIBRARY_PATH=str(LIBRARIES))

    def test_correct_program_passes_under_ctest(self):
        result = run("ctest", "--test-dir", BUILD, "--output-on-failure")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("100% tests passed, 0 tests failed out of 1", result.stdout)

    def test_correct_program_launches_its_kernel_on_the_emulator(self):
        log = BUILD / "kernels"
        log.unlink(missing_ok=True)
        result = run(BUILD / "scale_test", LD_LIBRARY_PATH=str(LIBRARIES), CUDA_EMULATOR_KERNEL_LOG=str(log))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual(log.read_text(), "1\tscale(float*, int, float)\n")

    def test_access_out_of_bounds_is_reported_with_its_line_and_exits_with_99(self):
        lines = SOURCE.read_text().splitlines()
        line = next(number for number, text in enumerate(lines, 1) if "// FAULT" in text)
        result = self.run_on_emulator("out-of-bounds")
        self.assertEqual(result.returncode, 99, result.stderr)
        self.assertIn("cuda_emulator: access out of bounds\n", result.stderr)
        self.assertRegex(result.stderr, rf"thread \(100,0,0\), at \S*scale_test\.cu:{line}\n")
        self.assertIn("cudaDeviceSynchronize: an illegal memory access was encountered", result.stdout)

    def test_emulator_has_every_call_that_the_program_needs(self):
        result = run(sys.executable, TESTS / "symbols_test.py", LIBRARIES / "libcudart.so.13", "--",
                     BUILD / "scale_test")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn(" 0 are missing", result.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
