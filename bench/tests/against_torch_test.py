"""Tests of against_torch.py and in_a_loop.py: their parts, and with PyTorch a whole run on small models."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[1] / "torch"
sys.path.insert(0, str(BENCH))
import against_torch
import in_a_loop
import torch_layouts

LIBRARY = sys.argv.pop(1)
try:
    import torch

    import torch_rivals
except ImportError:
    torch = None


class Pieces(unittest.TestCase):
    def test_layouts_have_the_models_sizes(self):
        for name, tensors, parameters in (("resnet50", 161, 25557032), ("gpt2", 148, 124439808),
                                          ("llama8b_1layer", 9, 218112000),
                                          ("llama8b_2layers", 18, 436224000), ("1000x1000", 1000, 1000000),
                                          ("1e4", 1, 10000)):
            sizes = torch_layouts.layout(name)
            self.assertEqual((len(sizes), sum(sizes)), (tensors, parameters), name)
        for name in ("bert", "llama8b_0layers", "llama8b_33layers", "0", "0x5", "5x", "inf", "nan", "-3"):
            with self.assertRaisesRegex(ValueError, f"no layout {name}"):
                torch_layouts.layout(name)

    def test_spread_is_median_and_quartiles(self):
        self.assertEqual(against_torch.spread_of([5.0, 1.0, 2.0, 4.0, 3.0]), {"median": 3.0, "low": 2.0, "high": 4.0})
        self.assertEqual(against_torch.spread_of([7.0]), {"median": 7.0, "low": 7.0, "high": 7.0})

    def test_ratios_pair_samples_of_the_same_round(self):
        class Named:
            def __init__(self, name):
                self.name = name

        # All contestants are twice as slow in the second round.
        samples = [[2e-6, 4e-6], [3e-6, 6e-6]], [[1e-6, 1e-6], [2e-6, 2e-6]]
        row = against_torch.row_of({"parameters": 1000}, [Named("onepass"), Named("fused")], samples)
        fused = row["contestants"]["fused"]
        self.assertAlmostEqual(fused["over_onepass"]["low"], 1.5)
        self.assertAlmostEqual(fused["over_onepass"]["high"], 1.5)
        self.assertAlmostEqual(fused["ns_per_parameter"]["median"], 4.5)
        self.assertAlmostEqual(fused["host_microseconds"]["median"], 2.0)

    def test_gpu_steps_are_queued_behind_an_uncounted_step(self):
        log = []

        class FakeEvent:
            def __init__(self, enable_timing):
                assert enable_timing

            def record(self):
                log.append("record")

            def synchronize(self):
                log.append("wait")

            def elapsed_time(self, end):
                return 6.0  # milliseconds

        cuda = types.SimpleNamespace(Event=FakeEvent)
        seconds, host = against_torch.CudaClock(cuda).time(lambda: log.append("step"), 3)
        self.assertEqual(log, ["step", "record", "step", "step", "step", "record", "wait"])
        self.assertAlmostEqual(seconds, 2e-3)
        self.assertLess(host, 1.0)

    def test_report_names_failed_and_left_out_cases(self):
        run = dict(machine="a", torch="2", commit="c", date="d", command="e", rows=[], left_out=["too large"],
                   failed=["adamw: other bits"])
        self.assertIn("Left out: too large", against_torch.markdown(run))
        self.assertIn("Failed: adamw: other bits", against_torch.markdown(run))

    def test_exits_with_a_message_without_pytorch(self):
        for program in ("against_torch.py", "in_a_loop.py"):
            with tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "torch.py").write_text("raise ImportError\n")
                result = subprocess.run([sys.executable, BENCH / program, "--library", LIBRARY],
                                        env=dict(os.environ, PYTHONPATH=folder), capture_output=True, text=True)
            self.assertEqual(result.returncode, against_torch.NO_TORCH, result.stderr)
            self.assertIn("PyTorch cannot be imported", result.stderr)

    def test_a_loops_ratios_pair_steps_of_the_same_round(self):
        names, seconds = ["onepass", "torch fused"], [[2e-6, 20e-6, 4e-6], [3e-6, 30e-6, 8e-6]]
        row = in_a_loop.row_of({"parameters": 1000}, names, seconds)
        onepass = row["contestants"]["onepass"]
        self.assertAlmostEqual(onepass["microseconds"]["median"], 4.0)
        self.assertAlmostEqual(onepass["torch_over_it"]["median"], 1.5)
        run = dict(machine="a", torch="2", commit="c", date="d", command="e", rounds=3, threads=2, rows=[row])
        self.assertIn("| 1000 | 4 (3 to 12) | 8 (6 to 19) | 1.50 (1.50 to 1.75) |", in_a_loop.markdown(run))


@unittest.skipIf(torch is None, "PyTorch cannot be imported here")
class WithTorch(unittest.TestCase):
    def checked(self, rule_name, dtype, **changes):
        rule = torch_rivals.RULES[rule_name]
        model = torch_rivals.Model([20001, 7, 300], dtype, "cpu")
        os.environ["ONEPASS_LIBRARY"] = str(LIBRARY)
        return torch_rivals.check(torch_rivals.onepass_contestant(rule, model, 1, **changes), rule, model)

    def test_check_rejects_a_wrong_step(self):
        small = {"lr": 1.00002, "beta1": 1.0002, "beta2": 1.0001, "eps": 2000.0, "weight_decay": 2.0}
        # A step in bfloat16 is exact to 2 or 3 digits only, so the errors are larger.
        large = {"lr": 1.3, "eps": 1e7}
        for dtype, factors in (("float32", small), ("bfloat16", large)):
            self.assertEqual(self.checked("adamw", dtype), 3 * 4096 + 307)
            numbers = torch_rivals.RULES["adamw"].onepass_numbers()
            for name, factor in factors.items():
                with self.assertRaises(torch_rivals.Mismatch, msg=f"{dtype} {name}"):
                    self.checked("adamw", dtype, **{name: numbers[name] * factor})
        with self.assertRaises(torch_rivals.Mismatch):
            self.checked("rmsprop", "float32", epsilon="inside_root", eps=1e-6)

    def test_quick_run_reports_every_case(self):
        with tempfile.TemporaryDirectory() as folder:
            report, table = pathlib.Path(folder) / "run.json", pathlib.Path(folder) / "run.md"
            result = subprocess.run([sys.executable, "-W", "ignore", BENCH / "against_torch.py", "--library", LIBRARY,
                                     "--quick", "--device", "cpu", "--json", report, "--markdown", table],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
            run = json.loads(report.read_text())
            lines = table.read_text().splitlines()
        self.assertEqual(len(run["rows"]), 2 * 2 * 2 * len(torch_rivals.RULES))
        self.assertEqual(sum(line.startswith("| ") for line in lines), 1 + len(run["rows"]))
        self.assertEqual(set(run["rows"][0]["contestants"]), {"onepass", *against_torch.WAYS})

    def test_a_short_loop_reports_every_contestant(self):
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "loop.json"
            result = subprocess.run([sys.executable, "-W", "ignore", BENCH / "in_a_loop.py", "--library", LIBRARY,
                                     "--hidden", "8,40", "--rounds", "3", "--json", report],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
            rows = json.loads(report.read_text())["rows"]
        self.assertEqual([row["parameters"] for row in rows], [784 * 8 + 8 + 72 + 90, 784 * 40 + 40 + 1640 + 410])
        self.assertEqual(list(rows[0]["contestants"]),
                         ["onepass, 1 thread", "onepass", "onepass, own threads", "torch fused"])
        self.assertIn("| 6442 |", result.stdout)

    def test_unknown_options_are_refused(self):
        for arguments, sentence in ((["--rule", "lion"], "--rule lion: unknown"),
                                    (["--layout", "bert"], "no layout bert"), (["--threads", "0"], "at least 1"),
                                    (["--device", "cuda:9"], "--device cuda:9")):
            result = subprocess.run([sys.executable, "-W", "ignore", BENCH / "against_torch.py", "--library", LIBRARY,
                                     *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(sentence, result.stderr)


if __name__ == "__main__":
    unittest.main()
