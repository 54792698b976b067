"""tools/gpu-report reports what each part finds, on made-up machines of scripts and, with --quick, on the emulator."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/report"))
import gpu_targets

BUILD = pathlib.Path(sys.argv.pop(1))
EMULATOR = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else None

TESTS = """
cat > "${GTEST_OUTPUT#json:}" <<'END'
{"testsuites": [{"testsuite": [
  {"classname": "Cuda", "name": "Works", "result": "COMPLETED"},
  {"classname": "Cuda", "name": "Breaks", "result": "COMPLETED", "failures": [{"failure": "1 is not 2"}]},
  {"classname": "Cuda", "name": "Waits", "result": "SKIPPED"}]}]}
END
exit 1"""
BENCH = """
[ "$1" = --version ] && echo 0123456789ab && exit
echo "$@" > arguments
while [ $# -gt 0 ]; do
  case $1 in
    --json) echo '{"rows": [ROW]}' > "$2" ;;
    --markdown) echo '| a table |' > "$2" ;;
  esac
  shift
done"""
SANITIZER = """
echo "========= $2 on $5 with $GTEST_FILTER"
[ $2 = memcheck ] && echo "========= ERROR SUMMARY: 0 errors" && exit 0
echo "========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)"
exit 99"""
SMI = """
case $3 in
  *driver*) echo 570.86 ;;
  *memory.total*) echo "81559 MiB" ;;
  *) echo "2619 MHz" ;;
esac"""


def row(**changes):
    """Returns a row of onepass_bench's report."""
    timing = {"over_onepass": {"median": 0.95}, "host_microseconds": {"median": 7.0}}
    return dict({"rule": "adamw", "format": "f32", "layout": "flat", "parameters": 64000000, "caches": "beyond",
                 "clips": False, "bytes_per_parameter": 28.0, "timings": {"onepass": timing, "copy": timing}}, **changes)


class Machine:
    """A folder of scripts that stand for the programs of the build and for those on the PATH."""

    def __init__(self, folder, gpu="Fast GPU (80GB)"):
        self.folder = pathlib.Path(folder).resolve()
        self.write("build/onepass_show_device", f'[ "$1" = cuda ] && echo "{gpu}"' if gpu else "")
        self.write("build/tests/onepass_cuda_tests", TESTS)
        self.write("build/bench/onepass_bench",
                   BENCH.replace("> arguments", f"> {self.folder}/arguments").replace("ROW", json.dumps(row())))
        self.write("path/compute-sanitizer", SANITIZER)
        self.write("path/nvidia-smi", SMI)

    def write(self, name, script):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def report(self, *arguments):
        environment = dict(os.environ, PATH=f"{self.folder}/path:{os.environ['PATH']}",
                           PYTHONPATH=f"{self.folder}/python")
        return subprocess.run([sys.executable, ROOT / "tools/gpu-report", "--build", self.folder / "build", "--output",
                               self.folder / "out", *arguments], env=environment, capture_output=True, text=True)

    def written(self, name="fast-gpu-80gb"):
        out = self.folder / "out"
        return json.loads((out / f"{name}.json").read_text()), (out / f"{name}.md").read_text()


class GpuReport(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)

    def test_without_a_gpu_it_fails_and_says_so(self):
        result = Machine(self.temporary.name, gpu=None).report()
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, "gpu-report: no usable CUDA device was found, so there is nothing to "
                                        "report\n")

    def test_the_report_holds_the_outcome_of_every_part(self):
        machine = Machine(self.temporary.name)
        result = machine.report("--only", "tests,memcheck,racecheck,bench-flat")
        self.assertEqual(result.returncode, 1, result.stderr)  # a test and racecheck fail
        report, table = machine.written()
        about, parts = report["about"], report["parts"]
        self.assertEqual((about["gpu"], about["driver"], about["memory"]), ("Fast GPU (80GB)", "570.86", "81559 MiB"))
        self.assertRegex(about["commit"], r"^[0-9a-f]{7,}(-dirty)?$|^unknown$")
        self.assertEqual((parts["tests"]["passed"], parts["tests"]["skipped"]), (1, 1))
        self.assertEqual(parts["tests"]["summary"], "1 passed, 1 failed, 1 skipped: Cuda.Breaks")
        self.assertEqual([parts[name]["verdict"] for name in ("tests", "memcheck", "racecheck", "bench-flat")],
                         ["failed", "passed", "failed", "passed"])
        self.assertEqual(parts["memcheck"]["summary"], "ERROR SUMMARY: 0 errors")
        self.assertIn("2 hazards", parts["racecheck"]["summary"])
        self.assertEqual(parts["bench-flat"]["report"]["rows"], [row()])
        for text in ("Fast GPU (80GB)", "570.86", "Cuda.Breaks", "| a table |", "2 hazards", "not selected",
                     "| at least 0.9 | 0.95 | adamw f32 flat 64000000 beyond | met |", "not measured"):
            self.assertIn(text, table)
        arguments = (machine.folder / "arguments").read_text()
        self.assertIn("--device cuda:0", arguments)
        self.assertIn("--memory 39.8", arguments)
        for usual in ("--size 1e4,1e6,64e6", "--caches both", "--graph"):
            self.assertIn(usual, arguments)

    def test_a_failing_benchmark_is_reported_as_failed(self):
        machine = Machine(self.temporary.name)
        machine.write("build/bench/onepass_bench", "echo first; echo 'adamw f32: limit has changed something'; exit 1")
        self.assertEqual(machine.report("--only", "bench-flat").returncode, 1)
        report, table = machine.written()
        self.assertEqual(report["parts"]["bench-flat"]["verdict"], "failed")
        self.assertIn("status 1: adamw f32: limit has changed something", table)

    def test_cases_measured_before_a_benchmark_failed_are_kept(self):
        machine = Machine(self.temporary.name)
        machine.write("build/bench/onepass_bench", BENCH.replace("> arguments", "> /dev/null").replace(
            "ROW", json.dumps(row())) + "\nexec sleep 60")
        self.assertEqual(machine.report("--only", "bench-flat", "--timeout", "1").returncode, 1)
        part = machine.written()[0]["parts"]["bench-flat"]
        self.assertEqual((part["verdict"], len(part["report"]["rows"])), ("failed", 1))
        self.assertIn("1 cases, each checked before it was timed; then it took longer", part["summary"])

    def test_a_sanitizer_that_cannot_run_is_skipped(self):
        machine = Machine(self.temporary.name)
        machine.write("path/compute-sanitizer", "echo 'Device not supported'; exit 1")
        self.assertEqual(machine.report("--only", "memcheck").returncode, 0)
        part = machine.written()[0]["parts"]["memcheck"]
        self.assertEqual((part["verdict"], part["summary"]),
                         ("skipped", "memcheck does not run here: Device not supported"))

    def test_missed_targets_are_named(self):
        rows = [row(), row(format="bf16_split", bytes_per_parameter=26.0,
                           timings={"copy": {"over_onepass": {"median": 0.84}}}),
                row(format="sgd", bytes_per_parameter=12.0, timings={"copy": {"over_onepass": {"median": 0.5}}}),
                row(parameters=1000, timings={"copy": {"over_onepass": {"median": 0.1}}}),
                row(layout="2000x1000", parameters=2000000)]
        torch = [dict(rule="adamw", dtype="float32", layout=layout, parameters=1,
                      contestants={"fused": {"over_onepass": {"median": ratio}}})
                 for layout, ratio in (("gpt2", 1.5), ("1e6", 1.2), ("2000x1000", 6.0))]
        lines = gpu_targets.table(rows, torch)[2:]
        self.assertEqual([line.split(" | ", 1)[1] for line in lines], [
            "at least 0.9 | 0.84 | adamw bf16_split flat 64000000 beyond | missed by adamw bf16_split flat 64000000 "
            "beyond (0.84) |",
            "at least 0.75 | not measured | | |",
            "at most 10 | 7 | adamw f32 2000x1000 2000000 beyond | met |",
            "at least 1.3 | 1.2 | adamw float32 1e6 1 | missed by adamw float32 1e6 1 (1.2) |",
            "at least 5 | 6 | adamw float32 2000x1000 1 | met |"])

    def test_a_part_that_is_not_built_is_skipped(self):
        machine = Machine(self.temporary.name)
        machine.write("python/torch.py", "class cuda:\n    is_available = staticmethod(lambda: True)")
        result = machine.report("--only", "torch,python")
        self.assertEqual(result.returncode, 0, result.stderr)
        torch, python = (machine.written()[0]["parts"][name] for name in ("torch", "python"))
        self.assertEqual((python["verdict"], python["summary"]), ("skipped", "libonepass.so is not built"))
        self.assertEqual((torch["verdict"], torch["summary"]), ("skipped", "libonepass_c.so is not built"))

    def test_a_part_that_takes_too_long_is_stopped(self):
        machine = Machine(self.temporary.name)
        machine.write("build/tests/onepass_cuda_tests", "exec sleep 60")
        self.assertEqual(machine.report("--only", "tests", "--timeout", "0.5").returncode, 1)
        self.assertIn("took longer than --timeout allows", machine.written()[1])

    def test_parts_of_an_earlier_report_stay_until_the_driver_changes(self):
        machine = Machine(self.temporary.name)
        machine.report("--only", "memcheck")
        machine.report("--only", "bench-flat")
        self.assertEqual(set(machine.written()[0]["parts"]), {"memcheck", "bench-flat"})
        machine.write("path/nvidia-smi", SMI.replace("570.86", "580.1"))
        machine.report("--only", "bench-flat")
        self.assertEqual(set(machine.written()[0]["parts"]), {"bench-flat"})

    def test_an_unknown_part_is_refused(self):
        result = Machine(self.temporary.name).report("--only", "games")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--only games: unknown part", result.stderr)

    @unittest.skipIf(EMULATOR is None, "this build has no emulator")
    def test_a_quick_report_succeeds_on_the_emulator(self):
        paths = [str(EMULATOR), os.environ.get("LD_LIBRARY_PATH", "")]
        result = subprocess.run([sys.executable, ROOT / "tools/gpu-report", "--build", BUILD, "--output",
                                 self.temporary.name, "--only", "tests,bench-flat", "--quick"], capture_output=True, text=True,
                                env=dict(os.environ, LD_LIBRARY_PATH=":".join(path for path in paths if path)))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        report = json.loads((pathlib.Path(self.temporary.name) / "onepass-cuda-emulator.json").read_text())
        self.assertGreater(report["parts"]["tests"]["passed"], 0)
        self.assertEqual(report["parts"]["bench-flat"]["report"]["rows"][0]["rule"], "adamw")


if __name__ == "__main__":
    unittest.main()
