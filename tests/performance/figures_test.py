"""figures.py compares counted work with committed figures, and hidden_work.py writes the table in the docs."""

import contextlib
import io
import json
import unittest

import figures
import hidden_work

COMMITTED = {"compiler": "nvcc 1", "work": {"AdamW in compact": {"instructions": 100, "local_accesses": 0}}}


def outcome(measured, compiler="nvcc 1"):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = figures.check(COMMITTED, compiler, lambda: measured, "make figures")
    return code, printed.getvalue()


def of(instructions, local=0):
    return {"AdamW in compact": {"instructions": instructions, "local_accesses": local}}


class Figures(unittest.TestCase):
    def test_changes_within_the_allowance_pass(self):
        for instructions in (97, 100, 103):
            self.assertEqual(outcome(of(instructions))[0], 0)

    def test_growth_fails_and_names_both_numbers(self):
        code, text = outcome(of(104))
        self.assertEqual(code, 1)
        self.assertIn("AdamW in compact: instructions per element grew from 100 to 104 (+4.0%)", text)
        self.assertIn("make figures", text)

    def test_growth_from_zero_fails(self):
        code, text = outcome(of(100, 0.01))
        self.assertEqual(code, 1)
        self.assertIn("accesses to local memory per element grew from 0 to 0.01", text)

    def test_shrinking_fails_and_asks_for_new_figures(self):
        code, text = outcome(of(90))
        self.assertEqual(code, 1)
        self.assertIn("New figures must be committed", text)
        self.assertIn("shrank from 100 to 90 (-10.0%)", text)

    def test_kernels_without_figures_and_figures_without_kernels_fail(self):
        code, text = outcome({"SGD in bf16": {"instructions": 5}})
        self.assertEqual(code, 1)
        self.assertIn("SGD in bf16: has no committed figures", text)
        self.assertIn("AdamW in compact: has committed figures, but is no longer measured", text)

    def test_figures_of_another_compiler_are_skipped_with_a_reason(self):
        with self.assertRaisesRegex(figures.Skip, "the figures were made with nvcc 1, .* is nvcc 2"):
            outcome(of(500), "nvcc 2")

    def test_callgrind_is_read_as_the_difference_of_two_sizes(self):
        text = "".join(
            f"desc: Trigger: Client Request: {name}|{numel}\nevents: Ir\nfn=(1)\n16 {total}\n\ntotals: {total}\n\n"
            for name, numel, total in (("a in b", 100, 1050), ("a in b", 300, 3050), ("c", 10, 7), ("c", 30, 12)))
        self.assertEqual(figures.read_callgrind(text), {"a in b": {"instructions": 10}, "c": {"instructions": 0.25}})

    def test_the_table_in_the_docs_matches_the_figures(self):
        made = hidden_work.table(json.loads(hidden_work.FIGURES.read_text()))
        self.assertIn(made, hidden_work.DOCUMENT.read_text(), "python3 tests/performance/hidden_work.py writes it")

    def test_bytes_are_computed_from_the_accesses(self):
        compact = {"elements": 8, "loads16": 2, "loads8": 3, "loads_narrow": 2,
                   "stores16": 1, "stores8": 3, "stores_narrow": 2}
        self.assertEqual(hidden_work.bytes_of(compact), 12.25)


if __name__ == "__main__":
    unittest.main()
