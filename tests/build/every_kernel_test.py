"""The CUDA tests launch every kernel in their binary.

cuda_emulator counts the launches, either in an earlier run, whose log ONEPASS_KERNEL_LOG names, or in a new run."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BINARY, EMULATOR = sys.argv.pop(1), sys.argv.pop(1)


class EveryKernel(unittest.TestCase):
    def counted(self):
        earlier = os.environ.get("ONEPASS_KERNEL_LOG")
        if earlier:
            return pathlib.Path(earlier).read_text()
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "kernels"
            environment = {**os.environ, "LD_LIBRARY_PATH": EMULATOR, "ONEPASS_EMULATOR_KERNEL_LOG": str(log)}
            result = subprocess.run([BINARY, "--gtest_brief=1"], env=environment, capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout[-4000:] + result.stderr[-4000:])
            return log.read_text()

    def test_every_kernel_is_launched(self):
        launches = {}
        for line in self.counted().splitlines():
            count, kernel = line.split("\t")
            launches[kernel] = launches.get(kernel, 0) + int(count)
        self.assertEqual([kernel for kernel, count in launches.items() if count == 0], [])
        # The variants of all rules (AdamW, NAdam and RAdam use those of others) and their prepares, zero_grad, the patch,
        # fill, dropout with and without a residual, and the two kernels that change the state of dropout.
        self.assertGreaterEqual(len(launches), 60, launches)


if __name__ == "__main__":
    unittest.main()
