"""The rules of the house: who may include whom, file lengths, format, README snippets."""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("*.hpp", "*.cpp", "*.cu", "*.cuh")
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


class House(unittest.TestCase):
    def test_arrows_point_down(self):
        for room, allowed in ALLOWED.items():
            for path in files(room):
                for kind, header in includes(path):
                    if kind == '"':
                        self.assertTrue(header.startswith(tuple(allowed)), f"{path.relative_to(ROOT)}: {header}")

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
        for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
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
