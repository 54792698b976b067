"""tools/setup installs nvdisasm once where nvcc lacks it, here on made-up machines whose programs are scripts, and
tools/setup-python makes its environment once or says in one line why the Python tests are skipped."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NVCC = 'echo "Cuda compilation tools, release 13.0, V13.0.88"'
# A pip that records its arguments and installs an nvdisasm. Everything else runs a real Python without packages.
PYTHON = """
[ "$1 $2" != "-m pip" ] && exec {python} -I -S "$@"
echo "$@" >> {folder}/asked
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/nvidia/cu13/bin"
printf '#!/bin/sh\\n' > "$2/nvidia/cu13/bin/nvdisasm"
chmod +x "$2/nvidia/cu13/bin/nvdisasm"
"""
NO_PIP = """
[ "$1 $2" != "-m pip" ] && exec {python} -I -S "$@"
echo "No module named pip" >&2
exit 1
"""


class Setup(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name).resolve()
        for name in ("tools/setup", "tests/build/kernel_objects.py"):
            (self.folder / name).parent.mkdir(parents=True)
            shutil.copy(ROOT / name, self.folder / name)
        self.write("dpkg-query", "echo install ok installed")
        self.write("python3", PYTHON)
        for name in ("bash", "dirname", "grep", "sed", "mkdir", "chmod"):
            (self.folder / "path" / name).symlink_to(shutil.which(name))

    def write(self, name, script):
        path = self.folder / "path" / name
        path.parent.mkdir(exist_ok=True)
        python = shutil.which("python3", path="/usr/bin:" + os.environ["PATH"])
        path.write_text("#!/bin/bash\n" + script.replace("{python}", python).replace("{folder}", str(self.folder)))
        path.chmod(0o755)

    def run_setup(self):
        """Expects tools/setup to succeed, and returns what it prints."""
        result = subprocess.run([self.folder / "tools/setup"], env={"PATH": str(self.folder / "path")}, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout

    def asked(self):
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def test_without_nvcc_nothing_is_installed(self):
        self.assertEqual(self.run_setup(), "")
        self.assertEqual(self.asked(), [])

    def test_nvdisasm_of_the_major_version_is_installed_once(self):
        self.write("nvcc", NVCC)
        self.assertEqual(self.run_setup(), "Installing nvidia-cuda-nvdisasm==13.* in build/tools\n")
        self.assertEqual(len(self.asked()), 1)
        self.assertRegex(self.asked()[0], rf"--target {self.folder}/build/tools nvidia-cuda-nvdisasm==13\.\*$")
        self.assertEqual(self.run_setup(), "")
        self.assertEqual(len(self.asked()), 1)

    def test_with_the_toolkits_nvdisasm_nothing_is_installed(self):
        self.write("nvcc", NVCC)
        self.write("nvdisasm", "")
        self.assertEqual(self.run_setup(), "")
        self.assertEqual(self.asked(), [])

    def test_without_pip_it_says_which_tests_will_be_skipped(self):
        self.write("nvcc", NVCC)
        self.write("python3", NO_PIP)
        self.assertIn("nvidia-cuda-nvdisasm==13.* cannot be installed with pip: tests that read machine code will be "
                      "skipped\n", self.run_setup())


class SetupPython(unittest.TestCase):
    """On this machine, with a cache of its own and without PyPI."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.cache = pathlib.Path(temporary.name)

    def run_setup(self, *options):
        nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.cache), "XDG_CACHE_HOME": str(self.cache)}
        result = subprocess.run([ROOT / "tools/setup-python", *options], env=os.environ | nowhere, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.returncode, result.stdout.splitlines()

    def test_no_python_is_one_line_and_skips(self):
        self.assertEqual(self.run_setup("--no-python"),
                         (77, ["setup-python: --no-python was given; the Python tests are skipped."]))
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_without_an_environment_find_skips_and_installs_nothing(self):
        status, printed = self.run_setup("--find")
        self.assertEqual((status, len(printed)), (77, 1))
        self.assertIn("there is no environment yet (run tools/setup-python)", printed[0])
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_without_pypi_it_skips_with_one_line_and_makes_no_environment(self):
        status, printed = self.run_setup()
        self.assertEqual((status, len(printed)), (77, 2))
        self.assertRegex(printed[1], r"PyPI does not answer \(ERROR: No matching distribution found for pytest.*\); the ")
        self.assertEqual(self.run_setup("--find")[0], 77)

    def test_an_environment_that_was_made_is_found_and_left_alone(self):
        self.run_setup()
        folder, = (self.cache / "onepass").iterdir()
        for name in ("complete", "trainers"):
            (folder / name).touch()
        self.assertEqual(self.run_setup("--find"), (0, [str(folder / "bin/python")]))
        self.assertEqual(self.run_setup(), (0, [str(folder / "bin/python")]))


if __name__ == "__main__":
    unittest.main()
