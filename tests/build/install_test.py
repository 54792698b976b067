"""A separate project can use the library: installed, with and without CUDA, and as a subdirectory."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1))
ROOT = pathlib.Path(__file__).resolve().parents[2]
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

    def configure(self, *flags):
        generator = "-GNinja" if shutil.which("ninja") else "-GUnix Makefiles"
        run("cmake", generator, "-S", CONSUMER, "-B", self.folder / "build", "-DONEPASS_LOOP_OPTIMIZATION=-O1", *flags)

    def build_and_run(self):
        run("cmake", "--build", self.folder / "build")
        self.assertIn("all rules have moved the weights", run(self.folder / "build" / "consumer"))

    def test_a_consumer_of_the_installed_package_can_add_its_own_rule(self):
        run("cmake", "--install", BUILD, "--prefix", self.folder / "prefix")
        self.configure(f"-DCMAKE_PREFIX_PATH={self.folder / 'prefix'}")
        self.build_and_run()

    @unittest.skipUnless((BUILD / "rules" / "adamw.cu").exists(), "built without CUDA")
    def test_the_own_rule_of_a_consumer_with_cuda_gets_kernels(self):
        run("cmake", "--install", BUILD, "--prefix", self.folder / "prefix")
        self.configure(f"-DCMAKE_PREFIX_PATH={self.folder / 'prefix'}", "-DCONSUMER_LANGUAGES=CUDA",
                       "-DCMAKE_CUDA_ARCHITECTURES=80-virtual")
        self.build_and_run()
        self.assertTrue((self.folder / "build" / "rules" / "sign_sgd.cu").exists())

    def test_a_program_in_c_uses_the_installed_library(self):
        prefix, made = self.folder / "prefix", self.folder / "training"
        run("cmake", "--install", BUILD, "--prefix", prefix)
        libraries = sorted(path.parent for path in prefix.rglob("libonepass_c.so"))
        self.assertEqual(len(libraries), 1)
        run("cc", "-std=c11", f"-I{prefix / 'include'}", ROOT / "examples/training.c", "-o", made, f"-L{libraries[0]}",
            "-lonepass_c", "-lm", f"-Wl,-rpath,{libraries[0]}")
        self.assertIn("step 1000", run(made))

    def test_a_project_without_cuda_can_add_the_source_tree_as_a_subdirectory(self):
        self.configure(f"-DONEPASS_SOURCE={ROOT}")


if __name__ == "__main__":
    unittest.main()
