"""The rules of the house: who may include whom, file lengths, format, README snippets."""

import collections
import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("*.hpp", "*.cpp", "*.cu", "*.cuh", "*.h", "*.c")
ROOMS = ("include", "step", "kernels", "host", "tests", "cuda_emulator", "examples", "bench", "c")

# What a file may include of the project, besides its own folder: arrows point down only.
ALLOWED = {
    "include": {"onepass/"},
    "step": {"onepass/", "step/"},
    "kernels": {"onepass/", "step/", "kernels/"},
    "host": {"onepass/", "step/", "kernels/", "host/"},
    "c": {"onepass/", "c/"},
    "tests/reference": {"reference/"},
}
# The order inside the rooms, from the ground up: a file may include files of its own storey and of those below. The
# first pattern that fits a file decides.
STOREYS = {
    "include/onepass": [
        "arithmetic/*", "stream.hpp", "device.hpp", "error.hpp", "cpu.hpp", "threads.hpp", "tensor.hpp", "ema.hpp",
        "random/*", "storage/*", "parameter.hpp", "rule/*", "optimizers/*", "initializers/*", "regularizers/*", "schedules/*",
        "gradients.hpp", "shared_loss_scaler.hpp", "options.hpp", "state_dict.hpp", "optimizer.hpp", "checkpoint.hpp",
        "onepass.hpp"],
    "step": [
        "global.hpp", "exact_sum.hpp", "by_dtype.hpp", "reduction.hpp", "exact_leaf.hpp", "control.hpp", "table.hpp",
        "random_jobs.hpp", "lookup.hpp", "shard_measure.hpp", "start.hpp", "decide_step.hpp", "perturb.hpp",
        "coefficients.hpp", "axes.hpp"],
    "kernels": ["cuda_check.hpp", "*.cuh", "*", "update/*", "random/*"],
    "host": [
        "check/sentence.hpp", "cuda/device_guard.hpp", "cuda/runtime.*", "check/*", "cpu/threads/*", "cpu/codecs/*",
        "backend/*", "cuda/*", "*.cpp", "cpu/random.hpp", "cpu/exact_leaf.hpp",
        "cpu/loops/chunk_streams.hpp", "cpu/staged/*", "cpu/loops/*", "cpu/sam/*", "cpu/*", "rule/*", "schedules/*", "initializers/*",
        "regularizers/*", "optimizer/memory/*", "optimizer/*", "optimizer/sam/*", "scaler/*", "checkpoint/[!c]*", "checkpoint/pieces/*", "checkpoint/*"],
}
MOST_FILES = 15
# Folders with one file for each rule, schedule, result or golden source.
LONG_FOLDERS = ("include/onepass/optimizers", "include/onepass/schedules", "bench/results", "tests/optimizers",
                "tests/optimizers/golden", "tests/reference", "tests/schedules/golden")
# Third-party and CUDA headers have no business in the public room; the CUDA runtime none in the rest of host/.
CUDA_HEADER = re.compile(r"cuda|cublas|thrust|cub/")


def files(room):
    for pattern in SOURCES:
        for path in sorted((ROOT / room).rglob(pattern)):
            yield path


def includes(path):
    for line in path.read_text().splitlines():
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield match.group(1), match.group(2)


def storey(room, path):
    """Returns the number of a file's storey in its room, from the ground up."""
    name = path.relative_to(ROOT / room).as_posix()
    for number, pattern in enumerate(STOREYS[room]):
        if name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern):
            return number
    raise AssertionError(f"{room}/{name} has no storey in {__file__}")


def included_files(path):
    """Yields the files of the project that a file includes."""
    for kind, header in includes(path):
        for root in (path.parent, ROOT, ROOT / "include", ROOT / "tests", ROOT / "cuda_emulator", ROOT / "examples/train"):
            if kind == '"' and (root / header).is_file():
                yield (root / header).resolve()
                break


class House(unittest.TestCase):
    def test_arrows_point_down(self):
        for room, allowed in ALLOWED.items():
            for path in files(room):
                for kind, header in includes(path):
                    # The headers of the C interface find each other wherever they are installed.
                    if kind == '"' and not (path.suffix == ".h" and (path.parent / header).exists()):
                        self.assertTrue(header.startswith(tuple(allowed)), f"{path.relative_to(ROOT)}: {header}")

    def test_files_include_only_their_own_storey_and_those_below(self):
        for room in STOREYS:
            for path in files(room):
                for header in included_files(path):
                    if header.is_relative_to(ROOT / room):
                        self.assertLessEqual(storey(room, header), storey(room, path),
                                             f"{path.relative_to(ROOT)} includes {header.relative_to(ROOT)}, which is above it")

    def test_no_files_include_each_other_in_a_circle(self):
        finished = set()

        def visit(path, above):
            self.assertNotIn(path, above, f"circle: {[one.relative_to(ROOT).as_posix() for one in above]}")
            if path not in finished:
                for header in included_files(path):
                    visit(header, [*above, path])
                finished.add(path)

        for room in ROOMS:
            for path in files(room):
                visit(path.resolve(), [])

    def test_folders_hold_few_files(self):
        names = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True).stdout.split()
        if not names:
            self.skipTest("this is no git checkout")
        folders = collections.Counter(str(pathlib.PurePosixPath(name).parent) for name in names)
        for folder, count in folders.items():
            if folder not in LONG_FOLDERS:
                self.assertLessEqual(count, MOST_FILES, folder)

    def test_public_headers_name_no_cuda_and_no_third_party(self):
        for path in files("include"):
            for kind, header in includes(path):
                if kind == "<":
                    self.assertNotRegex(header, r"[./]", f"{path.relative_to(ROOT)} includes <{header}>")
                self.assertNotRegex(header, CUDA_HEADER, path.relative_to(ROOT))

    def test_host_names_cuda_in_its_cuda_folder_alone(self):
        for path in files("host"):
            if path.parent.name == "cuda":
                continue
            for kind, header in includes(path):
                if kind == "<":
                    self.assertNotRegex(header, CUDA_HEADER, path.relative_to(ROOT))

    def test_reference_never_sees_a_rule(self):
        for path in files("tests/reference"):
            self.assertNotIn("onepass", path.read_text(), path.relative_to(ROOT))

    def test_files_are_short(self):
        for room in ROOMS:
            for path in files(room):
                lines = len(path.read_text().splitlines())
                self.assertLessEqual(lines, 400, path.relative_to(ROOT))

    def test_python_files_are_short(self):
        names = subprocess.run(["git", "-C", ROOT, "ls-files", "*.py"], capture_output=True, text=True).stdout.split()
        if not names:
            self.skipTest("this is no git checkout")
        for name in names:
            lines = (ROOT / name).read_text().splitlines()
            self.assertLessEqual(len(lines), 400, name)
            for number, line in enumerate(lines, 1):
                if name.startswith("python/"):
                    self.assertLessEqual(len(line), 120, f"{name}:{number}")

    def test_sources_are_formatted(self):
        formatter = shutil.which("clang-format-14") or shutil.which("clang-format")
        if formatter is None:
            self.skipTest("no clang-format")
        version = subprocess.run([formatter, "--version"], capture_output=True, text=True, check=True).stdout
        if "version 14." not in version:
            self.skipTest(f"format is that of clang-format 14, and this is {version.strip()}")
        paths = [str(path) for room in ROOMS for path in files(room)]
        result = subprocess.run([formatter, "--dry-run", "-Werror", *paths], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr[:4000])

    def test_mutations_have_their_places(self):
        result = subprocess.run([ROOT / "tools/mutate", "--list"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_tools_do_nothing_when_they_are_imported(self):
        scripts = [path for path in sorted((ROOT / "tools").iterdir())
                   if path.is_file() and (path.suffix == ".py" or "python3" in path.read_text().partition("\n")[0])]
        self.assertGreater(len(scripts), 2)
        for path in scripts:
            result = subprocess.run([sys.executable, "-c", f"import runpy; runpy.run_path({str(path)!r})"], text=True,
                                    capture_output=True, timeout=60)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""), path.name)

    def test_snippets_in_the_docs_are_cut_from_compiled_files(self):
        """<!-- snippet: FILE NAME --> is followed by what stands in FILE between // [NAME] and // [/NAME]."""
        found = 0
        for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
            text = document.read_text()
            for file, name, code in re.findall(r"<!-- snippet: (\S+) (\S+) -->\n```\w*\n(.*?)```", text, re.S):
                found += 1
                source = (ROOT / file).read_text()
                marked = re.search(rf"[^\n]*\[{name}\]\n(.*?)[^\n]*\[/{name}\]", source, re.S)
                self.assertIsNotNone(marked, f"{file} has no mark [{name}]")
                lines = marked.group(1).splitlines()
                indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
                cut = "\n".join(line[indent:] for line in lines) + "\n"
                self.assertEqual(cut, code, f"{document.name}: snippet {name} is not what {file} says")
        self.assertGreater(found, 0)


if __name__ == "__main__":
    unittest.main()
