"""`python -m onepass` says what was found, checks steps, and ends with `all well` or with what to do."""

import math
import os
import sys

import onepass
import pytest
from onepass import _check_step, _doctor
from support import BUILD, LIBRARY, ROOT, VERSION, fake_library, run

EMULATOR = BUILD / "cuda_emulator/lib"
ON_EMULATOR = BUILD / "c/libonepass_c_shared_cudart.so"


def doctor(*options, library=LIBRARY, flags=("-S",), **variables):
    """Runs the doctor in a Python of its own, which has no packages but those of PYTHONPATH unless `flags` is empty.
    Returns its exit status, its lines by their labels, and its last line."""
    environment = {name: value for name, value in os.environ.items() if name != "ONEPASS_LIBRARY"}
    environment |= ({"ONEPASS_LIBRARY": str(library)} if library else {}) | variables
    result = run(sys.executable, *flags, "-m", "onepass", *options, env=environment, check=False)
    assert result.stderr == ""
    *lines, last = result.stdout.splitlines()
    return result.returncode, [(line[:10].strip(), line[10:]) for line in lines], last


def test_the_doctor_names_what_it_finds_and_all_is_well():
    status, lines, last = doctor(flags=[])
    assert (status, last) == (0, "all well")
    found = dict(lines)
    assert found["onepass"].startswith(f"{VERSION}, Python {sys.version.split()[0]}, Linux")
    assert found["library"] == f"{LIBRARY}, version {VERSION}, binary interface 1"
    assert "threads" in found["cpu"]
    torch = pytest.importorskip("torch")
    assert found["torch"].startswith(f"{torch.__version__} with ")
    assert found["torch"].endswith("exchange table found") == hasattr(torch.Tensor, "__dlpack_c_exchange_api__")
    steps = [text for label, text in lines if label == "step"]
    assert steps[:2] == ["cpu against float64: as expected", "cpu against torch.optim.AdamW: as expected"]


def test_the_command_may_be_named():
    assert doctor("doctor") == doctor()


def test_without_torch_the_doctor_checks_the_rest():
    status, lines, last = doctor()
    assert (status, last) == (0, "all well")
    assert ("torch", "not installed") in lines
    assert ("step", "cpu against float64: as expected") in lines
    assert not any("torch.optim" in text for _, text in lines)


def test_a_broken_torch_is_told_with_its_reason(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcublas.so.13: cannot open shared object file')")
    status, lines, last = doctor(PYTHONPATH=f"{tmp_path}:{ROOT / 'python'}")
    assert status == 1
    assert ("torch", "installed, but cannot be imported") in lines
    assert last == ("PyTorch cannot be imported (libcublas.so.13: cannot open shared object file): install it again.")
    assert ("step", "cpu against float64: as expected") in lines


def test_without_a_library_the_doctor_says_what_to_do(tmp_path):
    missing = tmp_path / "missing.so"
    status, lines, last = doctor(library=missing)
    assert (status, last) == (1, f"onepass: there is no library {missing}: correct or unset ONEPASS_LIBRARY, which "
                                 "names it")
    assert ("library", f"{missing}: cannot be used") in lines
    assert not any(label == "step" for label, _ in lines)


def test_a_library_of_another_interface_is_told(tmp_path):
    other = fake_library(tmp_path, 7)
    status, _, last = doctor(library=other)
    assert (status, last) == (1, f"onepass: {other} has the binary interface 7, but this package needs 1: correct or "
                                 "unset ONEPASS_LIBRARY, which names it")


def test_a_variable_out_of_range_is_told():
    status, lines, last = doctor(ONEPASS_THREADS="many")
    assert status == 1 and "ONEPASS_THREADS" in last
    assert ("cpu", "cannot be used") in lines


def test_a_gpu_that_the_library_cannot_use_is_told(tmp_path):
    (tmp_path / "driver.c").write_text("int cuDriverGetVersion(int* v) { *v = 11080; return 0; }\n"
                                       "int cuInit(unsigned flags) { return (int)flags; }\n"
                                       "int cuDeviceGetCount(int* n) { *n = 2; return 0; }\n")
    run("cc", "-shared", "-fPIC", tmp_path / "driver.c", "-o", tmp_path / "libcuda.so.1")
    status, lines, last = doctor(LD_LIBRARY_PATH=str(tmp_path))
    assert status == 1
    assert ("cuda", "the driver is of CUDA 11.8 and has 2 devices") in lines
    assert last.startswith("This machine has a GPU that the library cannot use (onepass: ")
    assert last.endswith("install a wheel with CUDA, or a driver that is not older than the CUDA of the wheel.")


@pytest.mark.skipif(not ON_EMULATOR.exists() or not EMULATOR.exists(), reason="built without the CUDA emulator")
def test_steps_on_a_cuda_device_are_checked_too():
    status, lines, last = doctor(library=ON_EMULATOR, LD_LIBRARY_PATH=str(EMULATOR))
    assert (status, last) == (0, "all well")
    assert any(label == "cuda:0" for label, _ in lines)
    assert ("step", "cuda:0 against float64: as expected") in lines


@pytest.mark.parametrize("wrong", [{"lr": 1.0001e-2}, {"weight_decay": 0.1001}, {"beta1": 0.9001}, {"eps": 1e-7}])
def test_a_step_that_is_slightly_wrong_is_told(monkeypatch, wrong):
    monkeypatch.setattr(_check_step, "NUMBERS", _check_step.NUMBERS | wrong)
    report = _doctor.Report()
    _doctor.examine_steps(report, "cpu", lambda: _check_step.against_float64(onepass.CPU))
    assert "cpu: WRONG" in report.lines[0]
    assert report.text().endswith("Steps on cpu are wrong: please report this, with all lines above.")


@pytest.mark.parametrize("distance, said", [(1.0, "as expected"), (1.1, "WRONG, 1.1 times the tolerance"),
                                            (math.nan, "WRONG, nan times the tolerance")])
def test_the_tolerance_decides(distance, said):
    report = _doctor.Report()
    _doctor.examine_steps(report, "cpu", lambda: distance)
    assert report.lines == [f"step      cpu: {said}"]


def test_a_step_that_fails_is_told():
    report = _doctor.Report()
    _doctor.examine_steps(report, "cuda:99", lambda: _check_step.against_float64(99))
    assert report.lines == ["step      cuda:99: failed"]
    assert report.text().splitlines()[-1].startswith("A step on cuda:99 failed: onepass: cuda:99")


def test_not_a_number_is_farther_than_any_tolerance():
    assert math.isnan(_check_step.distance([1.0, math.nan], [1.0, 1.0]))
    assert _check_step.distance([1.0], [1.0, 2.0]) == math.inf
    assert _check_step.distance([1.0, 2.0], [1.0, 2.0]) == 0.0
