"""A new elementwise rule is four files and one line of CMake. This test adds QHM to a copy of the repository, builds it
without CUDA, and finds the rule in the conformance tests, the trainer, the C interface and the page of rules.

The files of the rule lie beside this test: qhm.hpp, reference_qhm.hpp, qhm_test.cpp and QHM.txt. A rule that stays also changes
files that programs write: docs/rules.md, tests/bits/hashes.txt and the counted work in tests/performance/figures.

The copy is configured like build/release and built in a folder of that name, so that the compiler cache has all objects
that do not depend on the list of rules."""

import array
import csv
import difflib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FILES = {"include/onepass/optimizers/qhm.hpp": "qhm.hpp", "tests/reference/qhm.hpp": "reference_qhm.hpp",
         "tests/optimizers/qhm_test.cpp": "qhm_test.cpp", "tests/optimizers/golden/QHM.txt": "QHM.txt"}
LINE = "onepass_add_rule(onepass STEM qhm TYPE onepass::QHM HEADER onepass/optimizers/qhm.hpp)\n"
TARGETS = ("onepass_conformance_tests", "onepass-train", "onepass_c", "onepass_rules_doc")


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{result.stdout[-8000:]}\n{result.stderr[-4000:]}")
    return result.stdout


def copy_repository(to):
    made = {str(ROOT / name) for name in ("build", "demo", ".git")}
    shutil.copytree(ROOT, to, ignore=lambda at, names: [one for one in names if os.path.join(at, one) in made])


def contents(tree):
    """Returns the bytes of each file of a tree by its name, build/ excluded."""
    paths = (path for path in tree.rglob("*") if path.is_file())
    names = {path.relative_to(tree).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith("build/")}


def add_rule(tree):
    for to, name in FILES.items():
        shutil.copyfile(HERE / name, tree / to)
    cmake = tree / "CMakeLists.txt"
    lines = cmake.read_text().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if line.startswith("onepass_add_rule(onepass "))
    cmake.write_text("".join([*lines[:last + 1], LINE, *lines[last + 1:]]))


def write_images(folder):
    """Writes small images with labels in the format of Fashion-MNIST. A class has its own bright pixel."""
    for stem, count in (("train", 40), ("t10k", 10)):
        labels = bytes(i % 10 for i in range(count))
        pixels = bytes(200 if pixel == label else 7 * i % 50 for i, label in enumerate(labels) for pixel in range(16))
        for name, shape, values in (("images-idx3", (count, 4, 4), pixels), ("labels-idx1", (count,), labels)):
            header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
            (folder / f"{stem}-{name}-ubyte").write_bytes(header + values)


class NewRule(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name).resolve()
        cls.tree = cls.folder / "tree"
        cls.build = cls.tree / "build/release"
        copy_repository(cls.tree)
        cls.before = contents(cls.tree)
        add_rule(cls.tree)
        generator = "-GNinja" if shutil.which("ninja") else "-GUnix Makefiles"
        run("cmake", generator, "-S", cls.tree, "-B", cls.build, "-DCMAKE_BUILD_TYPE=Release", "-DONEPASS_CUDA=OFF")
        run("cmake", "--build", cls.build, "--parallel", os.cpu_count(), "--target", *TARGETS)

    def test_rule_is_four_files_and_one_line(self):
        after = contents(self.tree)
        self.assertEqual(after.keys() - self.before.keys(), FILES.keys())
        self.assertEqual([name for name in self.before if after.get(name) != self.before[name]], ["CMakeLists.txt"])
        lines, more_lines = (files["CMakeLists.txt"].decode().splitlines(True) for files in (self.before, after))
        self.assertEqual([line for line in difflib.ndiff(lines, more_lines) if line[0] != " "], ["+ " + LINE])

    def test_conformance_tests_find_the_rule_and_it_passes_them(self):
        tests = self.build / "tests/onepass_conformance_tests"
        suites = re.findall(r"^(\S+)\.$", run(tests, "--gtest_list_tests", "--gtest_filter=*QHM*"), re.M)
        self.assertEqual(sorted(suites), ["All/DecayForms", "All/Handling", "QHM", "QHM/Conformance",
                                          "QHM/ProximalConformance", "QHM/SubgradientConformance", "Rules/Golden"])
        output = run(tests, "--gtest_filter=*QHM*:References.*:Hyperparameters.*:GoldenFiles.*")
        self.assertNotIn("SKIPPED", output)
        self.assertRegex(output, r"OK \] QHM\.StateDictHoldsNuAndTheBuffer ")
        self.assertRegex(output, r"OK \] QHM/Conformance\.TwoHundredStepsStayWithinTheDerivedBound/plain_coupled ")

    def test_trainer_lists_the_rule_and_trains_with_its_hyperparameters(self):
        program = self.build / "examples/train/onepass-train"
        self.assertRegex(run(program, "--list"), r"(?m)^  qhm  +QHM, lr 0\.01$")
        self.assertRegex(run(program, "--help"), r"(?m)^ +--nu NUMBER .*\bDefault: 0\.7 for qhm$")
        write_images(self.folder)

        def losses(*options):
            run(program, "--device", "cpu", "--data", self.folder, "--hidden", 8, "--batch-size", 10, "--steps", 6,
                "--lr", 0.1, "--csv", self.folder / "loss.csv", *options)
            with (self.folder / "loss.csv").open() as table:
                return [row["batch_loss"] for row in csv.DictReader(table)]

        plain = losses("--optimizer", "sgd")
        self.assertEqual(len(plain), 6)
        self.assertEqual(losses("--optimizer", "qhm", "--nu", 0), plain)
        self.assertNotEqual(losses("--optimizer", "qhm", "--nu", 0.5), plain)

    def test_c_interface_lists_the_rule_and_steps_by_its_formula(self):
        sys.path.insert(0, str(self.tree / "python"))
        sys.dont_write_bytecode = True
        os.environ["ONEPASS_LIBRARY"] = str(self.build / "c/libonepass_c.so")
        import onepass
        library = onepass.library()
        self.assertEqual(library.rules()[-1], "QHM")
        listed = {one.name: one for one in library.hyperparameters("QHM")}
        self.assertEqual(list(listed)[:3], ["lr", "beta", "nu"])
        self.assertEqual(listed["nu"][1:4], ("number", 0.7, "finite"))

        lr, beta, nu = 0.25, 0.9, 0.6
        value, grad = array.array("f", [1.5]), array.array("f", [0.0])
        tensor = onepass.Parameter(value=value.buffer_info()[0], grad=grad.buffer_info()[0], numel=1)
        p, buffer = 1.5, 0.0
        with onepass.Optimizer("QHM", [tensor], lr=lr, beta=beta, nu=nu) as optimizer:
            self.assertEqual(optimizer.get("nu"), nu)
            for g in (2.0, -3.0):
                grad[0] = g
                optimizer.step()
                buffer = beta * buffer + (1 - beta) * g
                p -= lr * ((1 - nu) * g + nu * buffer)
                self.assertAlmostEqual(value[0], p, delta=1e-6)

    def test_page_of_rules_has_its_formula_hyperparameters_and_states(self):
        run(self.build / "tests/onepass_rules_doc", "--write", self.folder / "rules.md")
        page = (self.folder / "rules.md").read_text()
        self.assertRegex(page, r"\n\| \[QHM\]\(#qhm\) \| .* \| as SGD .* \| `momentum_buffer` \| 20 \| 1 \|\n")
        section = page.partition("\n## QHM\n")[2].partition("\n## ")[0]
        self.assertIn("    p   = p - lr * ((1 - nu) * g + nu * buf)\n", section)
        self.assertIn("arXiv 1810.06801", section)
        self.assertIn("\n| `nu` | 0.7 | finite | Share of buf in the step", section)


if __name__ == "__main__":
    unittest.main()
