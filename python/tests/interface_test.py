"""onepass/_interface.py and _functions.py are the C interface of c/onepass_c/*.h: every constant, every member of every
struct, and every function with its types."""

import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "python"))
from onepass import _functions, _interface

# The dicts of constants, and how their names begin in C.
CONSTANTS = {"STATUSES": "", "DTYPES": "", "MASTERS": "MASTER_", "STATES": "STATES_", "ROUNDINGS": "",
             "CONTENTS": "CONTENTS_", "POOLS": "POOL_", "ISAS": "ISA_", "KINDS": "", "NORMS": "NORM_",
             "CLIP_FORMULAS": "CLIP_", "NONFINITE": "NONFINITE_"}
NUMBERS = {"int": ctypes.c_int32, "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32, "int64_t": ctypes.c_int64,
           "uint64_t": ctypes.c_uint64, "double": ctypes.c_double, "float": ctypes.c_float}


def headers():
    text = "".join(path.read_text() for path in sorted((ROOT / "c/onepass_c").glob("*.h")))
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def structs():
    """Returns the structs of the headers: name, and the C type and name of each member."""
    found = {}
    for body, name in re.findall(r"typedef struct \{(.*?)\} (onepass_\w+);", headers(), re.S):
        members = []
        for declaration in body.split(";"):
            first, *others = declaration.strip().split(",")
            if first:
                kind, member = re.fullmatch(r"(.*[ *])(\w+(?:\[\d+\])?)", " ".join(first.split())).groups()
                members += [(kind.strip(), one.strip()) for one in (member, *others)]
        found[name] = members
    return found


def functions():
    """Returns the functions of the headers: name, the C type of the result, and those of the arguments."""
    found = {}
    for result, name, arguments in re.findall(r"^(\w[\w *]*[ *])(onepass_\w+)\(([^()]*)\);", headers(), re.M):
        listed = [re.sub(r"\w+$", "", " ".join(one.split())) for one in arguments.split(",") if one.strip() != "void"]
        found[name] = (result.strip(), [one.strip() for one in listed])
    return found


def python_name(c_name):
    return "".join(part.capitalize() for part in c_name.removeprefix("onepass_").split("_"))


def types_for(c_type):
    """Returns the ctypes types that may stand for a C type. Numbers behind a pointer may lie on a device, so an address
    may stand for it."""
    base = c_type.replace("const ", "").replace("* const", "*").replace(" ", "")
    name, stars = base.rstrip("*"), base.count("*")
    if name == "char":
        kinds = [ctypes.c_char_p]
        stars -= 1
    elif name == "void" or (name.startswith("onepass_") and not hasattr(_interface, python_name(name))):
        kinds = [ctypes.c_void_p if stars else None]
        stars = max(stars - 1, 0)
    elif name in NUMBERS:
        kinds = [NUMBERS[name]]
        if stars:
            kinds += [ctypes.c_void_p]
    else:
        kinds = [getattr(_interface, python_name(name))]
    allowed = []
    for kind in kinds:
        for _ in range(stars - (kind is ctypes.c_void_p and name in NUMBERS)):
            kind = ctypes.POINTER(kind)
        allowed.append(kind)
    return allowed


class Interface(unittest.TestCase):
    def test_every_struct_has_the_members_of_the_header(self):
        declared = structs()
        self.assertGreater(len(declared), 20)
        written = {name for name, one in vars(_interface).items() if isinstance(one, type)
                   and issubclass(one, ctypes.Structure) and one is not _interface.Struct}
        self.assertEqual(written, {python_name(name) for name in declared})
        for name, members in declared.items():
            fields = getattr(_interface, python_name(name))._fields_
            self.assertEqual([field for field, _ in fields], [re.sub(r"\[.*", "", one) for _, one in members], name)
            for (field, kind), (c_type, member) in zip(fields, members):
                if "[" in member:
                    self.assertEqual(kind, NUMBERS[c_type] * int(re.search(r"\d+", member).group()), f"{name}.{field}")
                else:
                    self.assertIn(kind, types_for(c_type), f"{name}.{field}")

    def test_every_member_lies_where_the_compiler_puts_it(self):
        lines, expected = [], []
        for name in structs():
            kind = getattr(_interface, python_name(name))
            lines.append(f'  printf("{name} %zu\\n", sizeof({name}));')
            expected.append(f"{name} {ctypes.sizeof(kind)}")
            for field, _ in kind._fields_:
                lines.append(f'  printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
                expected.append(f"{name}.{field} {getattr(kind, field).offset}")
        program = "\n".join(['#include <stddef.h>', '#include <stdio.h>', '#include "onepass.h"', "int main(void) {",
                             *lines, "}"])
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder) / "program"
            subprocess.run([os.environ.get("CC", "cc"), "-x", "c", "-", f"-I{ROOT / 'c'}", "-o", made], check=True,
                           input=program, text=True)
            printed = subprocess.run([made], capture_output=True, text=True, check=True).stdout
        self.assertEqual(printed.splitlines(), expected)

    def test_every_constant_has_the_number_of_the_header(self):
        declared = {name: int(value) for name, value in re.findall(r"ONEPASS_(\w+) =\s*(-?\d+)", headers())}
        written = {"CPU": _interface.CPU}
        for group, begin in CONSTANTS.items():
            written |= {begin + name.upper(): value for name, value in getattr(_interface, group).items()}
        self.assertEqual(written, declared)
        self.assertIn(f"#define ONEPASS_ABI {_interface.ABI}\n", headers())

    def test_every_function_has_the_types_of_the_header(self):
        declared = functions()
        self.assertGreater(len(declared), 100)
        written = {name: (ctypes.c_int32, arguments) for name, arguments in _functions.ARGUMENTS.items()}
        written |= _functions.OTHERS
        self.assertEqual(set(written), set(declared))
        for name, (c_result, c_arguments) in declared.items():
            result, arguments = written[name]
            self.assertIn(result, types_for(c_result), name)
            self.assertEqual(c_result == "int", name in _functions.ARGUMENTS, f"{name} returns a status or not")
            self.assertEqual(len(arguments), len(c_arguments), name)
            for number, (argument, c_argument) in enumerate(zip(arguments, c_arguments)):
                self.assertIn(argument, types_for(c_argument), f"{name}, argument {number}")


if __name__ == "__main__":
    unittest.main()
