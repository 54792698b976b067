"""trainers_test.py - the examples of trainers: their losses beside those of torch's optimizer in the same trainer, and
a resumed run beside one without a break. Rows 45 to 49 of the table in docs/python/pytorch.md."""

import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest
import torch

import onepass.torch as onepass
from onepass.torch._face import Face

ROOT = pathlib.Path(__file__).resolve().parents[3]
# The example, the package that it needs, the optimizers to compare, the number of steps, and how far losses may differ.
# A step differs from torch's by some units in the last place of each weight, 2^-24 of it. In the perceptrons and the
# language model the losses of 40 steps then differ by 3e-7 of themselves; the bound is ten times this. In the ResNet a
# max pool may then take the other of two nearly equal numbers: losses differ by up to 3e-4, as those of two runs with
# torch's optimizer do whose weights begin one unit in the last place apart.
EXAMPLES = {
    "plain_loop": ("torch", onepass.AdamW, torch.optim.AdamW, 40, 3e-6),
    "with_accelerate": ("accelerate", onepass.AdamW, torch.optim.AdamW, 40, 3e-6),
    "with_trainer": ("transformers", onepass.AdamW, torch.optim.AdamW, 40, 3e-6),
    "with_lightning": ("lightning", onepass.AdamW, torch.optim.AdamW, 40, 3e-6),
    "with_timm": ("timm", "onepass-sgd", "sgd", 20, 3e-3),
    "with_torchtitan": ("torchtitan", "onepass.AdamW", "AdamW", 40, 3e-6),
}


def example(name):
    """Returns the module of an example, or skips the test."""
    pytest.importorskip(EXAMPLES[name][0])
    return importlib.import_module(name)


@pytest.fixture(params=EXAMPLES)
def case(request):
    """The `train` of an example, our optimizer, torch's, the number of steps, and the bound."""
    return example(request.param).train, *EXAMPLES[request.param][1:]


@pytest.fixture
def steps_taken(monkeypatch):
    """The steps of every optimizer of ours. A trainer that makes torch's own in its place would pass other tests."""
    taken, run = [], Face._run
    monkeypatch.setattr(Face, "_run", lambda self, *rest: taken.append(type(self)) or run(self, *rest))
    return taken


def test_losses_are_those_of_torchs_optimizer(case, steps_taken, tmp_path):
    train, ours, torchs, steps, bound = case
    losses = train(0, steps, tmp_path / "ours", ours)
    assert len(losses) == steps and min(losses[-5:]) < losses[0]
    assert len(steps_taken) == steps // (2 if "accelerate" in train.__module__ else 1)  # It accumulates two batches.
    torch.testing.assert_close(losses, train(0, steps, tmp_path / "torchs", torchs), rtol=bound, atol=0)


def test_a_resumed_run_has_the_bits_of_one_without_a_break(case, tmp_path):
    train, ours, _, steps, _ = case
    whole = train(0, steps, tmp_path / "whole", ours)
    first = train(0, steps // 2, tmp_path / "halves", ours)
    assert first + train(steps // 2, steps, tmp_path / "halves", ours) == whole


def test_a_resumed_run_goes_on_from_the_saved_states(case, tmp_path):
    """Torch's optimizer goes on from a checkpoint that ours has written, as it would have gone on from its own."""
    train, ours, torchs, steps, bound = case
    train(0, steps // 2, tmp_path / "halves", ours)
    second = train(steps // 2, steps, tmp_path / "halves", torchs)
    whole = train(0, steps, tmp_path / "whole", torchs)
    torch.testing.assert_close(second, whole[steps // 2:], rtol=bound, atol=0)


@pytest.mark.parametrize("name", ["plain_loop", "with_trainer", "with_torchtitan"])
def test_states_of_8_bits_resume_within_their_rounding(name, tmp_path):
    """A portable checkpoint rounds the states to bfloat16 and encodes them again: 2^-9 of each
    at most. The losses differ by less than 4e-4 of themselves."""
    train, (_, ours, _, steps, _) = example(name).train, EXAMPLES[name]
    whole = train(0, steps, tmp_path / "whole", ours, states="8bit")
    halves = [*train(0, steps // 2, tmp_path / "halves", ours, states="8bit"),
              *train(steps // 2, steps, tmp_path / "halves", ours, states="8bit")]
    assert halves[:steps // 2] == whole[:steps // 2]
    torch.testing.assert_close(halves, whole, rtol=2e-3, atol=0)
    assert whole != train(0, steps, tmp_path / "float32", ours)


def test_timm_makes_its_groups():
    timm = example("with_timm")
    made = timm.create_optimizer_v2(timm.resnet(), "onepass-adamw", lr=1e-3, weight_decay=0.05)
    assert type(made) is onepass.AdamW
    assert [group["weight_decay"] for group in made.param_groups] == [0.0, 0.05]


def test_torchtitan_gives_each_group_its_format():
    torchtitan = example("with_torchtitan")
    network = torchtitan.model()
    optimizers = torchtitan.configuration("onepass.AdamW", {"states": "8bit"}).build(model_parts=[network])
    network(torchtitan.batch(0)[0]).sum().backward()
    optimizers.step()
    state = next(iter(optimizers)).state
    assert {state[network[0].bias]["exp_avg"].dtype, state[network[0].weight]["exp_avg"].dtype} == \
        {torch.float32, torch.uint8}


def test_an_example_is_a_program(tmp_path):
    """The others share plain_loop's show(), and importing torch takes seconds."""
    printed = subprocess.run([sys.executable, ROOT / "examples/pytorch/plain_loop.py"], text=True, capture_output=True,
                             cwd=tmp_path, timeout=120, env=os.environ).stdout
    assert re.search("loss 0.*resumed at step 20: the same bits", printed)
