"""faults_test.py - checkpoints that a killed process leaves, that are damaged, or that belong to another model, and
gradients that change their layout."""

import copy
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
import torch

import onepass.torch as onepass
import plain_loop

FORMATS = {"float32": (torch.float32, {}), "split and 8 bits": (torch.bfloat16, {"states": "8bit"}),
           "exact": (torch.bfloat16, {"states": "8bit", "checkpoint": "exact"})}
# Saves again and again, each time a run of one more step, and says when it begins.
SAVER = """
import itertools, sys, torch
import plain_loop, onepass.torch as onepass
network = torch.nn.Linear(1024, 1024)
optimizer = onepass.AdamW(network.parameters())
for step in itertools.count(1):
    network.weight.grad = torch.ones_like(network.weight)
    optimizer.step()
    plain_loop.save(sys.argv[1], optimizer=optimizer.state_dict(), model=network.state_dict())
    print(step, flush=True)
"""


def trained(dtype=torch.float32, shape=(40, 5), **options):
    """Returns a layer and its optimizer, after two steps."""
    torch.manual_seed(0)
    network = torch.nn.Linear(*shape).to(dtype)
    optimizer = onepass.AdamW(network.parameters(), lr=0.01, **options)
    for _ in range(2):
        step(network, optimizer)
    return network, optimizer


def step(network, optimizer):
    for index, weight in enumerate(network.parameters()):
        weight.grad = torch.linspace(-1, 1 + index, weight.numel()).view_as(weight).to(weight.dtype)
    optimizer.step()


def memory(network, optimizer):
    """Returns a copy of everything that a step reads and writes."""
    states = {index: {key: (value.clone(), getattr(value, "_onepass_scales", value).clone())
                      for key, value in optimizer.state[weight].items()}
              for index, weight in enumerate(network.parameters())}
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    return [weight.detach().clone() for weight in network.parameters()], states, groups


def assert_untouched(network, optimizer, before):
    """Asserts that nothing has changed, and that the next step is that of an optimizer which never tried to load."""
    torch.testing.assert_close(memory(network, optimizer), before, rtol=0, atol=0)
    other, twin = copy.deepcopy((network, optimizer))
    step(network, optimizer)
    step(other, twin)
    torch.testing.assert_close(list(network.parameters()), list(other.parameters()), rtol=0, atol=0)


@pytest.mark.parametrize("megabytes", [0, 3, 6, 9])
def test_a_process_killed_while_it_saves_leaves_the_old_checkpoint_whole(megabytes, tmp_path):
    """A checkpoint has 12 MB. The process is killed when it has written more than `megabytes` of the second or a later
    one."""
    path, part = tmp_path / "run", tmp_path / "run.part"
    for _ in range(10):
        part.unlink(missing_ok=True)
        saver = subprocess.Popen([sys.executable, "-c", SAVER, path], stdout=subprocess.PIPE, text=True,
                                 env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        try:
            first = saver.stdout.readline()
            wait_for_size(part, megabytes * 1_000_000)
        finally:
            saver.send_signal(signal.SIGKILL)
            printed = [first, *saver.communicate()[0].splitlines()]
        if part.exists() and not zipfile.is_zipfile(part):
            break  # Else the kill came too late, when the file had its end or its name.
    assert part.exists() and not zipfile.is_zipfile(part)
    network = torch.nn.Linear(1024, 1024)
    optimizer = onepass.AdamW(network.parameters())
    plain_loop.load(path, optimizer=optimizer, model=network)
    assert optimizer.state[network.weight]["step"].item() - int(printed[-1]) in (0, 1)


def wait_for_size(path, size):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if path.stat().st_size > size:
                return
        except FileNotFoundError:
            pass
    raise AssertionError(f"{path} did not appear")


def bytes_of_checkpoint(path, network, optimizer):
    plain_loop.save(path, optimizer=optimizer.state_dict(), model=network.state_dict())
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["empty", "truncated", "without its end", "text"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_checkpoint_is_refused_and_changes_nothing(format, damage, tmp_path):
    dtype, options = FORMATS[format]
    network, optimizer = trained(dtype, **options)
    data = bytes_of_checkpoint(tmp_path / "run", network, optimizer)
    (tmp_path / "run").write_bytes({"empty": b"", "truncated": data[:len(data) // 2], "without its end": data[:-30],
                                    "text": b"loss 0.1\n"}[damage])
    step(network, optimizer)
    before = memory(network, optimizer)
    with pytest.raises(ValueError, match="run is damaged: .*not a zip file"):
        plain_loop.load(tmp_path / "run", optimizer=optimizer, model=network)
    assert_untouched(network, optimizer, before)


@pytest.mark.parametrize("format", FORMATS)
def test_a_flipped_bit_is_an_error_or_harmless(format, tmp_path):
    """Most of the bytes are numbers and their description, and have checksums. A few describe the file once more: to
    flip one of these may do no harm, and then the same numbers are loaded."""
    dtype, options = FORMATS[format]
    network, optimizer = trained(dtype, **options)
    data = bytes_of_checkpoint(tmp_path / "run", network, optimizer)
    plain_loop.load(tmp_path / "run", optimizer=optimizer, model=network)
    loaded, errors, places = memory(network, optimizer), 0, range(3, len(data), len(data) // 150)
    for place in places:
        (tmp_path / "run").write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1:])
        before = memory(network, optimizer)
        try:
            plain_loop.load(tmp_path / "run", optimizer=optimizer, model=network)
        except (ValueError, RuntimeError, OSError):
            errors += 1
            torch.testing.assert_close(memory(network, optimizer), before, rtol=0, atol=0)
        else:
            torch.testing.assert_close(memory(network, optimizer), loaded, rtol=0, atol=0)
            step(network, optimizer)
    assert errors > len(places) / 4


@pytest.mark.parametrize("dtype, master", [
    (torch.bfloat16, "split"), (torch.bfloat16, "remainder8"), (torch.bfloat16, "float32"),
    (torch.float16, "remainder8"), (torch.float16, "float32")])
def test_an_optimizer_may_be_loaded_before_its_model(dtype, master):
    """A master is a part of the number whose upper part is the parameter, which is still that of another run then."""
    network, optimizer = trained(dtype, master=master)
    saved = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    resumed, twin = trained(dtype, master=master)
    step(resumed, twin)
    twin.load_state_dict(saved[1])
    resumed.load_state_dict(saved[0])
    masters = [state["master"] for state in twin.state_dict()["state"].values()]
    torch.testing.assert_close(masters, [state["master"] for state in saved[1]["state"].values()], rtol=0, atol=0)
    step(network, optimizer)
    step(resumed, twin)
    torch.testing.assert_close(memory(resumed, twin), memory(network, optimizer), rtol=0, atol=0)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", [(5, 40), (40, 6), (13, 3)])
def test_a_state_dict_of_another_model_is_refused_by_name_and_changes_nothing(format, shape):
    dtype, options = FORMATS[format]
    _, other = trained(dtype, shape, **options)
    network, optimizer = trained(dtype, **options)
    before = memory(network, optimizer)
    with pytest.raises(ValueError, match="parameter 0|weight"):
        optimizer.load_state_dict(other.state_dict())
    assert_untouched(network, optimizer, before)


def test_a_state_dict_of_a_model_with_other_tensors_is_refused_and_changes_nothing():
    network, optimizer = trained()
    before = memory(network, optimizer)
    for other in ([torch.nn.Parameter(torch.ones(5, 40))], [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]):
        with pytest.raises(ValueError, match="parameter group that doesn't match the size"):
            optimizer.load_state_dict(onepass.AdamW(other).state_dict())
    assert_untouched(network, optimizer, before)


@pytest.mark.parametrize("options", [{}, {"states": "8bit"}, {"max_grad_norm": 0.5}])
def test_a_gradient_of_other_strides_at_the_same_address_is_read_as_it_lies(options):
    """The layout of a gradient may change between two steps without its address: by t(), as_strided or in a recomputed
    graph. The order of its elements is then another one."""
    numbers = torch.linspace(-1, 1, 64 * 64)
    ours, torchs = (torch.nn.Parameter(torch.linspace(-2, 3, 64 * 64).view(64, 64).clone()) for _ in range(2))
    optimizer, same = onepass.AdamW([ours], lr=0.01, **options), onepass.AdamW([torchs], lr=0.01, **options)
    buffer = numbers.clone()
    for strides in [(64, 1), (1, 64), (64, 1), (0, 1), (1, 64)]:
        ours.grad = buffer.as_strided((64, 64), strides)
        assert ours.grad.data_ptr() == buffer.data_ptr()
        torchs.grad = ours.grad.clone(memory_format=torch.contiguous_format)
        optimizer.step()
        same.step()
        torch.testing.assert_close(ours, torchs, rtol=0, atol=0)
