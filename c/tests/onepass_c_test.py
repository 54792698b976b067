"""Tests of the C interface, called from Python: steps agree with formulas in double, invalid arguments are refused."""

import array
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATH, COMPILER = sys.argv.pop(1), sys.argv.pop(1)
os.environ["ONEPASS_LIBRARY"] = PATH
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "python"))
import onepass
from onepass import _interface

LIBRARY = onepass.library()
START = [0.5, -1.25, 3.0, -0.01, 0.0]
GRADIENTS = [[0.1, -0.2, 0.3, 0.4, -0.5], [0.2, 0.1, -0.6, 0.4, 0.25], [-0.3, 0.5, 0.15, 0.1, 0.05]]


def parameter(value, grad, numel, dtype=0, grad_dtype=0, group=0):
    return onepass.Parameter(value=value, grad=grad, numel=numel, dtype=dtype, grad_dtype=grad_dtype, group=group)


def sgd(p, gradients, k):
    buf = None
    for g in gradients:
        g = g + k["weight_decay"] * p
        buf = g if buf is None else k["momentum"] * buf + (1 - k["dampening"]) * g
        p -= k["lr"] * (g + k["momentum"] * buf if k.get("nesterov") else buf)
    return p


def rmsprop(p, gradients, k):
    square, mean, buf = 0.0, 0.0, 0.0
    for g in gradients:
        g = g + k["weight_decay"] * p
        square = k["alpha"] * square + (1 - k["alpha"]) * g * g
        mean = k["alpha"] * mean + (1 - k["alpha"]) * g
        variance = max(square - mean * mean, 0.0) if k.get("centered") else square
        is_outside = k.get("epsilon") == "outside_root"
        root = math.sqrt(variance) + k["eps"] if is_outside else math.sqrt(variance + k["eps"])
        buf = k["momentum"] * buf + g / root
        p -= k["lr"] * buf
    return p


def adam(p, gradients, k, decoupled=False):
    first, second, largest = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        if k.get("maximize"):
            g = -g
        if decoupled:
            p *= 1 - k["lr"] * k["weight_decay"]
        else:
            g = g + k["weight_decay"] * p
        first = k["beta1"] * first + (1 - k["beta1"]) * g
        second = k["beta2"] * second + (1 - k["beta2"]) * g * g
        largest = max(largest, second) if k.get("amsgrad") else second
        root = math.sqrt(largest / (1 - k["beta2"] ** t)) + k["eps"]
        p -= k["lr"] * first / (1 - k["beta1"] ** t) / root
    return p


def adamw(p, gradients, k):
    return adam(p, gradients, k, decoupled=True)


# Numbers other than 0 and 1 differ from their defaults and from each other, so that a mix-up of names shows.
CASES = [
    ("SGD", sgd, dict(lr=0.03, weight_decay=0.02, momentum=0.8, dampening=0.3)),
    ("SGD", sgd, dict(lr=0.03, weight_decay=0.0, momentum=0.7, dampening=0.0, nesterov=True)),
    ("RMSProp", rmsprop, dict(lr=0.02, alpha=0.9, eps=0.01, momentum=0.0, weight_decay=0.03)),
    ("RMSProp", rmsprop, dict(lr=0.02, alpha=0.9, eps=0.05, momentum=0.6, weight_decay=0.0, centered=True,
                              epsilon="outside_root")),
    ("Adam", adam, dict(lr=0.02, beta1=0.8, beta2=0.95, eps=0.01, weight_decay=0.04)),
    ("Adam", adam, dict(lr=0.02, beta1=0.6, beta2=0.5, eps=0.01, weight_decay=0.0, amsgrad=1, maximize=True)),
    ("AdamW", adamw, dict(lr=0.02, beta1=0.8, beta2=0.95, eps=0.01, weight_decay=0.3)),
]


class Model:
    """Tensors in memory that Python owns."""

    def __init__(self, sizes=(2, 3)):
        self.values, self.grads = [], []
        begin = 0
        for size in sizes:
            self.values.append(array.array("f", START[begin:begin + size]))
            self.grads.append(array.array("f", [0.0] * size))
            begin += size

    def tensors(self, groups=1):
        """Returns the tensors, the first in group 0, the second in group 1 if there are two."""
        return [parameter(value.buffer_info()[0], grad.buffer_info()[0], len(value), 0, 0, index % groups)
                for index, (value, grad) in enumerate(zip(self.values, self.grads))]

    def set_gradients(self, gradients):
        flat = iter(gradients)
        for grad in self.grads:
            for i in range(len(grad)):
                grad[i] = next(flat)

    def flat(self):
        return [x for value in self.values for x in value]


def run(model, optimizer):
    """Takes a step with each of GRADIENTS."""
    for gradients in GRADIENTS:
        model.set_gradients(gradients)
        optimizer.step()
    return model.flat()


class CInterface(unittest.TestCase):
    def refused(self, sentence, *arguments, **hyperparameters):
        with self.assertRaisesRegex(onepass.Error, sentence):
            onepass.Optimizer(*arguments, **hyperparameters)

    def agree(self, values, places, rule, numbers):
        """Checks the elements at `places` against a formula."""
        for i in places:
            expected = rule(START[i], [step[i] for step in GRADIENTS], numbers)
            self.assertAlmostEqual(values[i], expected, delta=4e-6, msg=f"{rule.__name__} {numbers}, element {i}")

    def test_steps_match_the_formulas(self):
        for name, rule, numbers in CASES:
            model = Model()
            options = onepass.Options(threads=1)
            with onepass.Optimizer(name, model.tensors(), onepass.CPU, options, **numbers) as optimizer:
                self.agree(run(model, optimizer), range(5), rule, numbers)

    def test_each_group_steps_with_its_own_rule(self):
        for (name, rule, numbers), (other_name, other_rule, other_numbers) in zip(CASES, CASES[1:]):
            model = Model()
            groups = [(name, numbers), (other_name, other_numbers)]
            with onepass.Optimizer(groups, model.tensors(2)) as optimizer:
                values = run(model, optimizer)
            self.agree(values, range(2), rule, numbers)
            self.agree(values, range(2, 5), other_rule, other_numbers)

    def test_rules_and_hyperparameters_are_listed(self):
        self.assertLessEqual({"SGD", "RMSProp", "Adam", "AdamW"}, set(LIBRARY.rules()))
        for rule in LIBRARY.rules():
            listed = LIBRARY.hyperparameters(rule)
            self.assertEqual(listed[0].name, "lr")
            self.assertEqual(len({one.name for one in listed}), len(listed))
            for one in listed:
                self.assertTrue(one.meaning.endswith("."), one)
                self.assertEqual(bool(one.interval), one.kind == "number", one)
                self.assertEqual(len(one.choices) > 1, one.kind == "choice", one)
        found = {one.name: one for one in LIBRARY.hyperparameters("AdamW")}
        self.assertEqual(found["beta1"][1:4], ("number", 0.9, "[0, 1)"))
        self.assertEqual(found["amsgrad"][1:3], ("flag", 0.0))
        self.assertEqual(found["weight_decay_mode"][1:3], ("choice", 1.0))
        self.assertEqual(found["weight_decay_mode"].choices,
                         ("coupled", "decoupled", "after", "proximal", "corrected", "cautious"))
        with self.assertRaisesRegex(onepass.Error, 'there is no rule "adamw"; the rules are: .*AdamW'):
            LIBRARY.hyperparameters("adamw")

    def test_every_rule_can_be_made_from_its_list(self):
        for rule in LIBRARY.rules():
            listed = LIBRARY.hyperparameters(rule)
            with onepass.Optimizer(rule, Model().tensors(),
                                     **{one.name: one.default for one in listed}) as optimizer:
                self.assertEqual([optimizer.get(one.name) for one in listed], [one.default for one in listed])

    def test_hyperparameters_of_a_group_change_all_or_none(self):
        model = Model()
        groups = [("SGD", dict(momentum=0.9, dampening=0.5)), ("AdamW", {})]
        with onepass.Optimizer(groups, model.tensors(2)) as optimizer:
            optimizer.set(lr=0.5, nesterov=True, dampening=0)
            optimizer.set(1, l1_mode="subgradient", lr=0)
            self.assertEqual([optimizer.get(name) for name in ("lr", "nesterov", "dampening")], [0.5, 1.0, 0.0])
            self.assertEqual([optimizer.get(name, 1) for name in ("lr", "l1_mode")], [0.0, 1.0])
            with self.assertRaisesRegex(onepass.Error, "AdamW.beta1 must lie in"):
                optimizer.set(1, lr=0.1, beta1=1.0)
            self.assertEqual(optimizer.get("lr", 1), 0.0)
            values = run(model, optimizer)
        self.assertNotEqual(values[:2], START[:2])
        self.assertEqual(values[2:], list(array.array("f", START[2:])))

    def test_bfloat16_parameters_step_and_tensors_without_gradient_stay(self):
        bits = array.array("H", [0x3F80, 0xC000])  # 1 and -2 in bfloat16
        grad = array.array("f", [1.0, 1.0])
        still = array.array("f", [7.0])
        tensors = [parameter(bits.buffer_info()[0], grad.buffer_info()[0], 2, onepass.DTYPES["bfloat16"]),
                   parameter(still.buffer_info()[0], None, 1)]
        with onepass.Optimizer("SGD", tensors, lr=0.5) as optimizer:
            optimizer.step()
        values = [struct.unpack("<f", struct.pack("<I", bit << 16))[0] for bit in bits]
        self.assertEqual(values, [0.5, -2.5])
        self.assertEqual(still[0], 7.0)

    def test_threads_are_limited_by_the_option(self):
        values, grads = (array.array("f", bytes(4 * 2000000)) for _ in range(2))
        tensors = [parameter(values.buffer_info()[0], grads.buffer_info()[0], len(values))]
        tasks, added = pathlib.Path("/proc/self/task"), []
        before = len(list(tasks.iterdir()))
        # The workers of a step stay in the process.
        for threads in (1, 3):
            options = onepass.Options(threads=threads)
            with onepass.Optimizer("SGD", tensors, onepass.CPU, options) as optimizer:
                optimizer.step()
            added.append(len(list(tasks.iterdir())) - before)
        self.assertEqual(added, [0, 2])

    def test_steps_run_on_the_callers_loop(self):
        calls, results = [], []

        def in_reverse(context, parts, body, work):
            calls.append((context, parts))
            for part in reversed(range(parts)):
                body(work, part)

        loop = _interface.ParallelFor(in_reverse)
        for options in (onepass.Options(threads=1),
                        onepass.Options(threads=3, parallel_for=loop, parallel_for_context=7)):
            values, grads = array.array("f", [0.5] * 200000), array.array("f", [0.25] * 200000)
            tensors = [parameter(values.buffer_info()[0], grads.buffer_info()[0], len(values))]
            with onepass.Optimizer("AdamW", tensors, onepass.CPU, options) as optimizer:
                for _ in range(2):
                    optimizer.step()
            results.append(values)
        self.assertEqual(calls, [(7, 3)] * 3)  # to make the states, and for two steps
        self.assertEqual(results[0], results[1])

    def test_invalid_arguments_are_refused_with_a_message(self):
        tensors, cpu, options = Model().tensors(), onepass.CPU, onepass.Options
        self.refused("Adam.lr must be at least 0", "Adam", tensors, lr=-1.0)
        self.refused("Adam.amsgrad must be 0 or 1, but is 2", "Adam", tensors, amsgrad=2)
        self.refused('Adam has no hyperparameter "beta3"; it has: lr, ', "Adam", tensors, beta3=1.0)
        self.refused('there is no rule "Lion King"', "Lion King", tensors)
        self.refused(r"Adam.lr must be .*\(group 1\)", [("SGD", {}), ("Adam", dict(lr=-1))], tensors)
        self.refused("lr must be in the dict of a group", [("SGD", {})], tensors, lr=0.1)
        self.refused("no rule was given", [], tensors)
        self.refused("states is 7; it must be", "Adam", tensors, cpu, options(storage=onepass.Storage(states=7)))
        self.refused("threads is -1", "Adam", tensors, cpu, options(threads=-1))
        self.refused("pool is 3; it must be", "Adam", tensors, cpu, options(pool=_interface.POOLS["openmp"] + 1))
        self.refused("device is -2", "Adam", tensors, -2)
        self.refused("cuda:99", "Adam", tensors, 99)
        self.refused("a dtype is 7", "SGD", [parameter(1, 1, 1, 7)])
        self.refused("is of int64, but must be of float32", "SGD", [parameter(8, 8, 1, 5)])
        self.refused("is in group 2", "SGD", [parameter(None, None, 0, group=2)])
        self.refused("null", "SGD", [parameter(None, None, 3)])
        self.refused("overlap", "SGD", [tensors[0], tensors[0]])
        with self.assertRaisesRegex(TypeError, "Options has no member thread"):
            options(thread=1)
        self.assertEqual(LIBRARY.calls.onepass_step(None, None), 1)
        self.assertEqual(LIBRARY.calls.onepass_last_error(), b"onepass: optimizer is null")
        LIBRARY.calls.onepass_destroy(None)

    def test_the_program_in_the_header_compiles_as_c11_and_runs(self):
        header = (ROOT / "c/onepass.h").read_text()
        program = "".join(line + "\n" for line in re.findall(r"^ \*     (.*)", header, re.M))
        self.assertIn("int main(void)", program)
        with tempfile.TemporaryDirectory() as folder:
            source, made = pathlib.Path(folder) / "program.c", pathlib.Path(folder) / "program"
            # The second program gives a wrong learning rate, and must report it.
            for text, status, said in ((program, 0, ""), (program.replace("3e-4", "-3e-4"), 1, "AdamW.lr must be")):
                source.write_text(text)
                compiled = subprocess.run(
                    [COMPILER, "-x", "c", "-std=c11", "-pedantic-errors", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'c'}",
                     source, "-o", made, "-x", "none", PATH, f"-Wl,-rpath,{pathlib.Path(PATH).parent}"],
                    capture_output=True, text=True)
                self.assertEqual(compiled.returncode, 0, compiled.stderr)
                result = subprocess.run([made], capture_output=True, text=True)
                self.assertEqual(result.returncode, status)
                self.assertIn(said, result.stdout)

    def test_last_error_belongs_to_its_thread(self):
        LIBRARY.calls.onepass_step(None, None)
        seen = []
        other = threading.Thread(target=lambda: seen.append(LIBRARY.calls.onepass_last_error()))
        other.start()
        other.join()
        self.assertEqual(seen, [b""])

    def test_library_exports_only_its_functions(self):
        listed = subprocess.run(["nm", "-D", "--defined-only", PATH], capture_output=True, text=True, check=True).stdout
        names = {line.split()[-1] for line in listed.splitlines() if " A " not in line}
        declared = [
            name for header in sorted((ROOT / "c/onepass_c").glob("*.h"))
            for name in re.findall(r"^\w[\w *]*[ *](onepass_\w+)\(", header.read_text(), re.M)]
        self.assertIn("onepass_last_error", declared)
        self.assertEqual(names, set(declared))


if __name__ == "__main__":
    unittest.main()
