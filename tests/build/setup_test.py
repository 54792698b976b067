"""tools/setup installs nvdisasm once where nvcc lacks it, here on made-up machines whose programs are scripts."""

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


if __name__ == "__main__":
    unittest.main()
