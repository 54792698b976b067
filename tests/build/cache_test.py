"""The compiler cache serves a second clone in another folder: it compiles nothing again that the first one compiled."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CUDA = len(sys.argv) > 1 and sys.argv.pop(1) == "cuda"
# A plain source, one with GoogleTest's precompiled header, a loop with flags of its own, and a kernel.
TARGETS = ["CMakeFiles/onepass.dir/host/schedules/schedule.cpp.o", "CMakeFiles/onepass.dir/rules/table_loops_avx2.cpp.o",
           "tests/CMakeFiles/onepass_tests.dir/cmake_pch.hxx.gch",
           "tests/CMakeFiles/onepass_tests.dir/storage/dtype_test.cpp.o"]
CUDA_TARGETS = ["CMakeFiles/onepass.dir/kernels/table_kernels.cu.o"]


@unittest.skipIf(shutil.which("ccache") is None, "ccache is not installed")
class Cache(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name).resolve()
        self.environment = dict(os.environ, CCACHE_DIR=str(self.folder / "cache"), CCACHE_DISABLE="")
        for name in ("CCACHE_DISABLE", "CMAKE_CXX_COMPILER_LAUNCHER", "CMAKE_CUDA_COMPILER_LAUNCHER"):
            self.environment.pop(name, None)

    def run_command(self, *command):
        result = subprocess.run([str(part) for part in command], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        self.assertEqual(result.returncode, 0, result.stdout[-4000:])
        return result.stdout

    def build_clone(self, name):
        """Builds some objects in a copy of the tree; returns the cache's hits and misses."""
        clone = self.folder / name
        made = {str(ROOT / name) for name in ("build", "demo", ".git", "bench/results")}
        shutil.copytree(ROOT, clone, ignore=lambda at, names: [one for one in names if os.path.join(at, one) in made])
        self.run_command("ccache", "-z")
        self.run_command("cmake", "-GNinja", "-S", clone, "-B", clone / "build", "-DCMAKE_BUILD_TYPE=Release",
                         f"-DONEPASS_CUDA={'ON' if CUDA else 'OFF'}", "-DONEPASS_BUILD_EXAMPLES=OFF",
                         "-DONEPASS_BUILD_BENCH=OFF", "-DONEPASS_BUILD_C=OFF")
        self.run_command("ninja", "-C", clone / "build", *TARGETS, *(CUDA_TARGETS if CUDA else []))
        counts = dict(line.split("\t") for line in self.run_command("ccache", "--print-stats").splitlines())
        hits = int(counts["direct_cache_hit"]) + int(counts["preprocessed_cache_hit"])
        return hits, int(counts["cache_miss"])

    def test_a_second_clone_compiles_nothing(self):
        count = len(TARGETS) + (len(CUDA_TARGETS) if CUDA else 0)
        hits, misses = self.build_clone("first")
        self.assertEqual(hits, 0)
        self.assertGreaterEqual(misses, count)
        again_hits, again_misses = self.build_clone("a/second")
        self.assertEqual((again_hits, again_misses), (misses, 0))

    def test_the_cache_is_not_required(self):
        with tempfile.TemporaryDirectory() as folder:
            said = self.run_command("cmake", "-GNinja", "-S", ROOT, "-B", folder, "-DONEPASS_CUDA=OFF",
                                    "-DONEPASS_CCACHE=OFF", "-DONEPASS_BUILD_EXAMPLES=OFF", "-DONEPASS_BUILD_BENCH=OFF", "-DONEPASS_BUILD_C=OFF")
            self.assertIn("Generating done", said)
            self.assertIsNone(re.search("ccache", (pathlib.Path(folder) / "build.ninja").read_text()))


if __name__ == "__main__":
    unittest.main()
