"""The wheel, made of the library in the build folder: its contents, and that it trains in an environment of its own."""

import email
import platform
import re
import sys
import zipfile

import pytest
from support import BUILD, ROOT, VERSION, python, run

# Ten steps towards w = (3, -2) from another folder, over memory of array.array and of ctypes.
TRAINING = """
import array, ctypes, sys
import onepass

line, target = array.array("f", [0.0, 0.0]), (3.0, -2.0)
grad = (ctypes.c_float * 2)()
weight = onepass.Parameter(name=b"line", value=line.buffer_info()[0], grad=ctypes.addressof(grad), numel=2)
losses = []
with onepass.Optimizer("SGD", [weight], lr=0.1, momentum=0.5) as optimizer:
    for step in range(10):
        losses.append(sum((x - y) ** 2 for x, y in zip(line, target)))
        grad[:] = [2 * (x - y) for x, y in zip(line, target)]
        optimizer.step()
print(losses[0], losses[-1] < 0.05 * losses[0])
print(onepass.__version__, onepass.library().version(), onepass.__file__)
print(sys.modules.keys() & {"torch", "numpy"})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, ROOT / "tools/make-wheel", folder, "--built", BUILD)
    made, = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def interpreter(wheel, tmp_path_factory):
    """An interpreter in whose environment the wheel is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    run(sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--no-index", "--no-deps", wheel)
    return folder / "bin/python"


def metadata(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_string(archive.read(f"onepass-{VERSION}.dist-info/{name}").decode())


def test_the_wheel_serves_every_python_on_the_platform_of_its_symbols(wheel):
    name = re.fullmatch(r"onepass-([0-9.]+)-py3-none-(manylinux_2_(\d+)_\w+)\.whl", wheel.name)
    assert name.group(1) == VERSION
    assert metadata(wheel, "WHEEL").get_all("Tag") == [f"py3-none-{name.group(2)}"]
    assert metadata(wheel, "WHEEL")["Root-Is-Purelib"] == "false"
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel).stdout
    assert f'"{name.group(2)}"' in shown
    if tuple(map(int, platform.libc_ver()[1].split("."))) <= (2, 36):  # what Debian 12 builds runs on Ubuntu 22.04
        assert int(name.group(3)) <= 34


def test_the_wheel_needs_no_other_package(wheel):
    listed = metadata(wheel, "METADATA")
    assert listed["Version"] == VERSION
    needed = listed.get_all("Requires-Dist", [])
    assert needed and all("extra ==" in one for one in needed), needed
    assert listed.get_all("Provides-Extra") == ["torch", "jax"]


def test_the_wheel_has_every_file_of_the_package_and_the_library(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "python/onepass"
    expected = {f"onepass/{path.relative_to(package)}" for path in package.rglob("*.py")}
    assert names == expected | {"onepass/_lib/libonepass.so"}


def test_the_installed_wheel_trains_in_another_folder(interpreter, tmp_path):
    loss, versions, modules = run(interpreter, "-I", "-c", TRAINING, cwd=tmp_path).stdout.splitlines()
    assert loss == "13.0 True"
    version, library, file = versions.split()
    assert version == library == VERSION
    assert file.startswith(str(interpreter.parents[1]))
    assert modules == "set()"


def test_the_package_in_the_build_folder_is_usable_in_place():
    place = BUILD / "python"
    printed, = python("import onepass; print(onepass.library().path)", env={"PYTHONPATH": str(place)})
    assert printed == str(place / "onepass/_lib/libonepass.so")


def test_the_doctor_of_the_installed_wheel_finds_all_well(interpreter, tmp_path):
    printed = run(interpreter, "-m", "onepass", cwd=tmp_path, env={}).stdout.splitlines()
    assert printed[-1] == "all well"
    assert f"library   {interpreter.parents[1]}/lib/python" in printed[1]
