"""Tests of the C interface, called from Python: steps agree with formulas in double, invalid arguments are refused."""

import array
import math
import pathlib
import re
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import onepass_c

PATH = sys.argv.pop(1)
LIBRARY = onepass_c.Library(PATH)
START = [0.5, -1.25, 3.0, -0.01, 0.0]
GRADIENTS = [[0.1, -0.2, 0.3, 0.4, -0.5], [0.2, 0.1, -0.6, 0.4, 0.25], [-0.3, 0.5, 0.15, 0.1, 0.05]]


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
        root = math.sqrt(variance) + k["eps"] if k.get("eps_outside_root") else math.sqrt(variance + k["eps"])
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


# Numbers other than 0 and 1 differ from their defaults and from each other, so that a mix-up of members shows.
CASES = [
    (sgd, dict(lr=0.03, weight_decay=0.02, momentum=0.8, dampening=0.3)),
    (sgd, dict(lr=0.03, weight_decay=0.0, momentum=0.7, dampening=0.0, nesterov=1)),
    (rmsprop, dict(lr=0.02, alpha=0.9, eps=0.01, momentum=0.0, weight_decay=0.03)),
    (rmsprop, dict(lr=0.02, alpha=0.9, eps=0.05, momentum=0.6, weight_decay=0.0, centered=1, eps_outside_root=1)),
    (adam, dict(lr=0.02, beta1=0.8, beta2=0.95, eps=0.01, weight_decay=0.04)),
    (adam, dict(lr=0.02, beta1=0.6, beta2=0.5, eps=0.01, weight_decay=0.0, amsgrad=1, maximize=1)),
    (adamw, dict(lr=0.02, beta1=0.8, beta2=0.95, eps=0.01, weight_decay=0.3)),
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

    def tensors(self):
        return [onepass_c.Tensor(value.buffer_info()[0], grad.buffer_info()[0], len(value), 0, 0)
                for value, grad in zip(self.values, self.grads)]

    def set_gradients(self, gradients):
        flat = iter(gradients)
        for grad in self.grads:
            for i in range(len(grad)):
                grad[i] = next(flat)

    def flat(self):
        return [x for value in self.values for x in value]


class CInterface(unittest.TestCase):
    def refused(self, sentence, config, tensors, device=onepass_c.CPU):
        with self.assertRaises(onepass_c.Error) as caught:
            onepass_c.Optimizer(LIBRARY, config, tensors, device)
        self.assertRegex(str(caught.exception), sentence)

    def test_steps_match_the_formulas(self):
        for rule, numbers in CASES:
            model = Model()
            config = LIBRARY.config(rule.__name__, threads=1, **numbers)
            with onepass_c.Optimizer(LIBRARY, config, model.tensors()) as optimizer:
                for gradients in GRADIENTS:
                    model.set_gradients(gradients)
                    optimizer.step()
            for i, value in enumerate(model.flat()):
                expected = rule(START[i], [step[i] for step in GRADIENTS], numbers)
                self.assertAlmostEqual(value, expected, delta=4e-6, msg=f"{rule.__name__} {numbers}, element {i}")

    def test_defaults_match_the_headers(self):
        root = pathlib.Path(__file__).resolve().parents[2] / "include/onepass/optimizers"
        for name in onepass_c.RULES:
            config = LIBRARY.config(name)
            text = (root / f"{name}.hpp").read_text()
            found = re.findall(r"^  double (\w+) = ([-\de.]+);", text, re.M)
            self.assertGreater(len(found), 3)
            for member, value in found:
                if member != "l1":
                    self.assertEqual(getattr(config, member), float(value), f"{name} {member}")

    def test_bfloat16_parameters_step_and_tensors_without_gradient_stay(self):
        bits = array.array("H", [0x3F80, 0xC000])  # 1 and -2 in bfloat16
        grad = array.array("f", [1.0, 1.0])
        still = array.array("f", [7.0])
        tensors = [onepass_c.Tensor(bits.buffer_info()[0], grad.buffer_info()[0], 2, onepass_c.DTYPES["bfloat16"], 0),
                   onepass_c.Tensor(still.buffer_info()[0], None, 1, 0, 0)]
        with onepass_c.Optimizer(LIBRARY, LIBRARY.config("sgd", lr=0.5), tensors) as optimizer:
            optimizer.step()
        values = [struct.unpack("<f", struct.pack("<I", bit << 16))[0] for bit in bits]
        self.assertEqual(values, [0.5, -2.5])
        self.assertEqual(still[0], 7.0)

    def test_invalid_arguments_are_refused_with_a_message(self):
        tensors = Model().tensors()
        self.refused("lr", LIBRARY.config("adam", lr=-1.0), tensors)
        self.refused(r"amsgrad is 2; it must be 0 or 1", LIBRARY.config("adam", amsgrad=2), tensors)
        self.refused(r"rule is 9; it must be", LIBRARY.config("adam", rule=9), tensors)
        self.refused(r"states is 7; it must be", LIBRARY.config("adam", states=7), tensors)
        self.refused(r"threads is -1", LIBRARY.config("adam", threads=-1), tensors)
        self.refused(r"device is -2", LIBRARY.config("adam"), tensors, -2)
        self.refused(r"cuda:99", LIBRARY.config("adam"), tensors, 99)
        self.refused(r"a dtype is 5", LIBRARY.config("sgd"), [onepass_c.Tensor(1, 1, 1, 5, 0)])
        self.refused(r"null", LIBRARY.config("sgd"), [onepass_c.Tensor(None, None, 3, 0, 0)])
        self.refused(r"overlap", LIBRARY.config("sgd"), [tensors[0], tensors[0]])
        with self.assertRaisesRegex(onepass_c.Error, "there is no beta3"):
            LIBRARY.config("adam", beta3=1.0)
        self.assertEqual(LIBRARY.calls.onepass_step(None, None), 1)
        self.assertEqual(LIBRARY.calls.onepass_last_error(), b"onepass: optimizer is null")
        LIBRARY.calls.onepass_destroy(None)

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
        self.assertEqual(names, {"onepass_defaults", "onepass_create", "onepass_step", "onepass_destroy",
                                 "onepass_last_error"})


if __name__ == "__main__":
    unittest.main()
