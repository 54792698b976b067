"""The CUDA tests launch every kernel that their binary holds: counted by the emulator, in a run of theirs that
ONEPASS_KERNEL_LOG says was counted already, or in one of its own."""

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

    def test_no_kernel_is_left_unlaunched(self):
        launches = {}
        for line in self.counted().splitlines():
            count, kernel = line.split("\t")
            launches[kernel] = launches.get(kernel, 0) + int(count)
        self.assertEqual([kernel for kernel, count in launches.items() if count == 0], [])
        # Ten variants of four rules, a prepare for each rule, zero_grad and the patch; fill, dropout with and
        # without a residual, and the two that change its state.
        self.assertGreaterEqual(len(launches), 21, launches)


if __name__ == "__main__":
    unittest.main()
