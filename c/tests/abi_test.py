"""Tests of the binary interface: it is that of the committed description, c/onepass_c.abi, and every build of the library
exports its functions and nothing else. Needs abidw and abidiff of Debian's abigail-tools; skipped without them.

After functions or members were added, write the description anew:
    python3 c/tests/abi_test.py --described build/release/c/tests/libonepass_c_abi.so --write
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "c/onepass_c.abi"
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--described", required=True, help="the library with debug information")
PARSER.add_argument("--libraries", nargs="*", default=[], help="the libraries that users load")
PARSER.add_argument("--write", action="store_true", help="write c/onepass_c.abi and test nothing")
OPTIONS = PARSER.parse_args()


def describe(path):
    """Writes the functions and types of the interface, as its headers have them, without places in the sources."""
    subprocess.run(["abidw", "--headers-dir", ROOT / "c/onepass_c", "--drop-private-types", "--no-show-locs",
                    "--no-comp-dir-path", "--no-corpus-path", "--no-write-default-sizes", "--exported-interfaces-only",
                    "--no-elf-needed", "--type-id-style", "hash", "--out-file", path, OPTIONS.described], check=True)


def exported(library):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in listed.splitlines() if " A " not in line}


def declared():
    return {name for header in (ROOT / "c/onepass_c").glob("*.h")
            for name in re.findall(r"^\w[\w *]*[ *](onepass_\w+)\(", header.read_text(), re.M)}


class Abi(unittest.TestCase):
    def test_the_interface_is_that_of_the_committed_description(self):
        with tempfile.TemporaryDirectory() as folder:
            present = pathlib.Path(folder) / "present.abi"
            describe(present)
            compared = subprocess.run(["abidiff", COMMITTED, present], capture_output=True, text=True)
            self.assertEqual(compared.returncode, 0, f"{compared.stdout}{compared.stderr}\n{__doc__}")

    def test_a_changed_struct_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            changed = pathlib.Path(folder) / "changed.abi"
            text = COMMITTED.read_text()
            changed.write_text(re.sub(r"layout-offset-in-bits='64'(>\s*<var-decl name='max_norm')",
                                      r"layout-offset-in-bits='128'\1", text))
            self.assertNotEqual(changed.read_text(), text)
            compared = subprocess.run(["abidiff", COMMITTED, changed], capture_output=True, text=True)
            self.assertNotEqual(compared.returncode, 0)
            self.assertIn("max_norm", compared.stdout)

    def test_every_library_exports_the_declared_functions_alone(self):
        self.assertIn("onepass_step", declared())
        for library in [OPTIONS.described, *OPTIONS.libraries]:
            self.assertEqual(exported(library), declared(), library)


if __name__ == "__main__":
    if shutil.which("abidw") is None or shutil.which("abidiff") is None:
        print("abidw and abidiff are not installed: apt-get install abigail-tools")
        sys.exit(77)
    if OPTIONS.write:
        describe(COMMITTED)
    else:
        unittest.main(argv=sys.argv[:1])
