"""tools/build-report builds each variant of a library, here a made-up one, and reports its time, size and objects."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Its build takes at least one second of processor time, in a child of a child process, and waits for two more.
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(made_up LANGUAGES CXX)
set(chosen "${CMAKE_BUILD_TYPE} ${CMAKE_CXX_COMPILER_LAUNCHER}${ONEPASS_BUILD_TESTS} ${ONEPASS_BUILD_BENCH}")
string(APPEND chosen " ${ONEPASS_BUILD_EXAMPLES} ${ONEPASS_CUDA} ${CMAKE_CUDA_ARCHITECTURES}\\n")
file(APPEND "${CMAKE_SOURCE_DIR}/chosen" "${chosen}")
file(APPEND "${CMAKE_SOURCE_DIR}/folders" "${CMAKE_BINARY_DIR}\\n")
add_library(onepass one.cpp two.cpp)
add_library(other three.cpp)
add_custom_command(TARGET onepass POST_BUILD VERBATIM COMMAND
  sh -c "'$<SHELL_PATH:@PYTHON@>' '${CMAKE_SOURCE_DIR}/work.py'")
"""
# Generated objects of a rule, in the folder where the library has them. One of them takes the compiler some time.
GENERATED = """
file(WRITE "${CMAKE_BINARY_DIR}/rules/fast.cpp" "int fast() { return 1; }\\n")
file(WRITE "${CMAKE_BINARY_DIR}/rules/fast_baseline.cpp" "int loop() { return 1; }\\n")
file(WRITE "${CMAKE_BINARY_DIR}/rules/slow_coach_avx2.cpp" "constexpr long sum() { long all = 0;
  for (int i = 0; i < 2000; ++i) for (int j = 0; j < 1000; ++j) all += j; return all; }
  extern const long kSum = sum();\\n")
target_sources(onepass PRIVATE "${CMAKE_BINARY_DIR}/rules/fast.cpp" "${CMAKE_BINARY_DIR}/rules/fast_baseline.cpp"
  "${CMAKE_BINARY_DIR}/rules/slow_coach_avx2.cpp")
target_compile_features(onepass PRIVATE cxx_std_20)
"""
WORK = "import time\nwhile time.process_time() < 1.0: pass\ntime.sleep(2)\n"
ROW = r"\| (.+) \| (\d+) s \| (\d+\.\d) MB \| (\d+) \| (\S+) \| (.+) \|"


class BuildReport(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name).resolve()
        self.write("CMakeLists.txt", PROJECT.replace("@PYTHON@", sys.executable))
        self.write("work.py", WORK)
        self.write("one.cpp", "extern const char large[2000000] = {1};\n")
        self.write("two.cpp", "int two() { return 2; }\n")
        self.write("three.cpp", "#error this target must not be built\n")
        self.write("path/nvcc", "#!/bin/sh\n").chmod(0o755)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def report(self, *arguments):
        environment = dict(os.environ, PATH=f"{self.folder}/path:{os.environ['PATH']}",
                           CMAKE_CXX_COMPILER_LAUNCHER="there-is-no-such-cache")
        return subprocess.run([sys.executable, ROOT / "tools/build-report", "--source", self.folder, *arguments],
                              env=environment, capture_output=True, text=True)

    def test_each_variant_has_a_row_with_its_time_size_and_objects(self):
        result = self.report()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        rows = [re.fullmatch(ROW, line) for line in result.stdout.splitlines()[2:]]
        self.assertTrue(all(rows), result.stdout)
        self.assertEqual([row[1] for row in rows], ["with CUDA", "CPU only"])
        for row in rows:
            self.assertIn(int(row[2]), (1, 2), row[0])
            self.assertEqual((row[3], row[4], row[5]), ("2.0", "2", "unknown"), row[0])
            self.assertRegex(row[6], r"^\w+ [\d.]+$")
        self.assertEqual((self.folder / "chosen").read_text(), "Release OFF OFF OFF ON \nRelease OFF OFF OFF OFF \n")
        for folder in (self.folder / "folders").read_text().split():
            self.assertFalse(pathlib.Path(folder).exists(), folder)

    def test_a_single_variant_is_reported_with_its_commit(self):
        git = ["git", "-C", self.folder, "-c", "user.name=somebody", "-c", "user.email=nobody"]
        for words in (["init", "-q"], ["add", "one.cpp"], ["commit", "-qm", "one"]):
            subprocess.run([*git, *words], check=True)
        result = self.report("--only", "cpu")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), 3)
        self.assertRegex(re.fullmatch(ROW, result.stdout.splitlines()[2])[5], r"^[0-9a-f]{12}$")

    def test_generated_objects_have_rows_with_the_time_of_each(self):
        self.write("CMakeLists.txt", PROJECT.replace("@PYTHON@", sys.executable) + GENERATED)
        result = self.report("--only", "cpu", "--objects")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        lines = result.stdout.splitlines()
        self.assertEqual(re.fullmatch(ROW, lines[2])[4], "5")
        self.assertEqual(lines[4], "| generated object | .cpp | baseline | avx2 | avx512 | .cu | all |")
        fast = re.fullmatch(r"\| fast \| (\d\.\d) s \| (\d\.\d) s \|  \|  \|  \| (\d\.\d) s \|", lines[6])
        slow = re.fullmatch(r"\| slow_coach \|  \|  \| (\d+\.\d) s \|  \|  \| (\d+\.\d) s \|", lines[7])
        self.assertTrue(fast and slow, result.stdout)
        self.assertAlmostEqual(float(fast[1]) + float(fast[2]), float(fast[3]), delta=0.11)
        self.assertGreater(float(slow[1]), float(fast[1]) + 0.1)
        self.assertEqual(len([line for line in lines if line]), 7)

    def test_a_failed_build_has_no_row(self):
        self.write("two.cpp", "#error this one is broken\n")
        result = self.report("--only", "cpu")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stdout.splitlines()), 2)
        self.assertIn("this one is broken", result.stderr)

    def test_an_unknown_variant_is_refused(self):
        result = self.report("--only", "gpu")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--only gpu: unknown variant; the variants are cuda, cpu", result.stderr)


if __name__ == "__main__":
    unittest.main()
