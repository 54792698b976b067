"""Installs the built library and has a project of its own find, link and run it."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1))
CONSUMER = pathlib.Path(__file__).resolve().parent / "consumer"


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{result.stdout}\n{result.stderr}")
    return result.stdout


class Install(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_an_installed_package_is_found_and_takes_a_rule_of_ones_own(self):
        prefix = self.folder / "prefix"
        run("cmake", "--install", BUILD, "--prefix", prefix)
        generator = "-GNinja" if shutil.which("ninja") else "-GUnix Makefiles"
        run("cmake", generator, "-S", CONSUMER, "-B", self.folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", self.folder / "build")
        self.assertIn("both rules have moved the weights", run(self.folder / "build" / "consumer"))


if __name__ == "__main__":
    unittest.main()
