"""migrate_test.py - state dicts of other libraries go on with onepass (docs/python/migrating.md)."""

import copy
import functools
import warnings

import pytest
import torch

import migrate
import onepass.torch as onepass

SETTINGS = {"lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.1}


def twin(network, optimizer, **options):
    """Returns a copy of a network, and an optimizer of onepass that goes on where the other one is."""
    network = copy.deepcopy(network)
    made = onepass.AdamW(network.parameters(), **options)
    made.load_state_dict(copy.deepcopy(migrate.migrated(optimizer.state_dict(), made)))
    return network, made


def assert_goes_on(make, bound, **options):
    """Asserts that losses after a change of optimizer are those without it, to a bound, and others without states."""
    network = migrate.model()
    theirs = make(network.parameters(), **SETTINGS)
    migrate.train(network, theirs, 0, 10)
    ours = twin(network, theirs, **options)
    fresh = copy.deepcopy(network)
    with warnings.catch_warnings(action="ignore"):
        expected = migrate.train(network, theirs, 10, 20)
    torch.testing.assert_close(migrate.train(*ours, 10, 20), expected, rtol=bound, atol=0)
    begun_anew = migrate.train(fresh, onepass.AdamW(fresh.parameters(), **SETTINGS), 10, 20)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(begun_anew, expected, rtol=bound, atol=0)


@pytest.mark.parametrize("bits, bound", [(32, 3e-6), (8, 4e-3)])
def test_bitsandbytes_goes_on(bits, bound):
    """Found: 1.4e-7, and 4e-4 in 8 bits, whose codes are other ones here. The bounds are ten times that, or more."""
    optim = pytest.importorskip("bitsandbytes").optim
    make = functools.partial(optim.AdamW if bits == 32 else optim.AdamW8bit, min_8bit_size=1)
    assert_goes_on(make, bound, states="float32" if bits == 32 else "8bit")


@pytest.mark.parametrize("states", ["float32", "8bit"])
def test_torchao_goes_on(states):
    """Matrices of 4096 numbers and more have 8 bits there, and the others float32. Found: 4e-4."""
    optim = pytest.importorskip("torchao.optim")
    assert_goes_on(optim.AdamW8bit, 4e-3, states=states)


class Apex(torch.optim.AdamW):
    """AdamW with the state dict of apex' FusedAdam: one count of steps, in the group. It stands for apex, which needs a
    compiler and a GPU."""

    def state_dict(self):
        saved = copy.deepcopy(super().state_dict())
        for group in saved["param_groups"]:
            group["step"] = max(int(saved["state"][index].pop("step")) for index in group["params"])
            group["bias_correction"] = True
        return saved


class DeepSpeed(torch.optim.AdamW):
    """AdamW with the state dict of DeepSpeed's FusedAdam, which counts in the state of a group's last parameter."""

    def state_dict(self):
        saved = copy.deepcopy(super().state_dict())
        for group in saved["param_groups"]:
            for index in group["params"]:
                last = index == group["params"][-1]
                saved["state"][index]["step"] = int(saved["state"][index]["step"]) if last else 0
            group |= {"bias_correction": True, "step": 0}
        return saved


@pytest.mark.parametrize("make", [Apex, DeepSpeed])
def test_fused_adams_go_on(make):
    assert_goes_on(make, 3e-6)


def test_settings_of_groups_come_over():
    network = migrate.model()
    theirs = Apex([{"params": network[0].parameters(), "lr": 0.5}, {"params": network[2].parameters(), "eps": 1e-3}],
                  **SETTINGS)
    network(migrate.batch(0)[0]).sum().backward()
    theirs.step()
    ours = onepass.AdamW([{"params": network[0].parameters()}, {"params": network[2].parameters()}])
    ours.load_state_dict(migrate.migrated(theirs.state_dict(), ours))
    assert [(group["lr"], group["eps"], group["betas"]) for group in ours.param_groups] == \
        [(0.5, 1e-8, (0.9, 0.95)), (1e-2, 1e-3, (0.9, 0.95))]
    assert "bias_correction" not in ours.param_groups[0] and "step" not in ours.param_groups[0]


def test_a_run_without_bias_correction_is_refused():
    network = migrate.model()
    saved = {"state": {}, "param_groups": [{"params": list(range(6)), "bias_correction": False}]}
    with pytest.raises(ValueError, match="bias_correction is off"):
        migrate.migrated(saved, onepass.AdamW(network.parameters()))
