"""modes_test.py - the modes of Schedule-Free optimizers, and the refresh of SophiaG's Hessian."""

import copy
import pickle
import sys
import pathlib

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import onepass.torch as onepass  # noqa: E402
from models import assert_same_bits, copies, parameters, set_gradients, train  # noqa: E402

SHAPES = [(7,), (3, 5), (0,), (100, 33)]
KINDS = [(onepass.ScheduleFreeSGD, {"lr": 0.05, "momentum": 0.8}),
         (onepass.ScheduleFreeAdamW, {"lr": 0.01, "weight_decay": 0.1, "warmup_steps": 3})]


def trained(kind, options, dtype=torch.float32, steps=5, **more):
    model = parameters(SHAPES, dtype)
    optimizer = kind(model, **options, **more)
    train([optimizer], [model], steps)
    return model, optimizer


@pytest.mark.parametrize("kind, options", KINDS)
def test_evaluation_is_the_mean_of_the_plain_steps(kind, options):
    """Without warm-up all weights are equal. z = y + z_minus_y after each step."""
    model = parameters(SHAPES)
    optimizer = kind(model, **{**options, "warmup_steps": 0})
    total = [torch.zeros_like(p) for p in model]
    for step in range(20):
        train([optimizer], [model], 1, first=step)
        for p, sum_ in zip(model, total):
            sum_.add_(p.detach() + optimizer.state[p]["z_minus_y"])
    points = [optimizer.evaluation_point(p) for p in model]
    optimizer.eval()
    for p, point, sum_ in zip(model, points, total):
        assert_same_bits(p.detach(), point)
        torch.testing.assert_close(p.detach(), sum_ / 20, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype, more", [(torch.float32, {}), (torch.bfloat16, {}),
                                         (torch.bfloat16, {"master": "split"}),
                                         (torch.bfloat16, {"master": "float32"})])
@pytest.mark.parametrize("kind, options", KINDS)
def test_training_goes_on_as_if_nothing_was_evaluated(kind, options, dtype, more):
    model, optimizer = trained(kind, options, dtype, **more)
    other, usual = trained(kind, options, dtype, **more)
    for _ in range(2):
        optimizer.eval()
        optimizer.eval()
        optimizer.train()
        optimizer.train()
        train([optimizer], [model], 2, first=7)
        train([usual], [other], 2, first=7)
    for p, wanted in zip(model, other):
        assert_same_bits(p.detach(), wanted.detach())
        for key, value in usual.state[wanted].items():
            assert_same_bits(optimizer.state[p][key], value)


@pytest.mark.parametrize("kind, options", KINDS)
def test_step_in_evaluation_is_an_error_that_changes_nothing(kind, options):
    model, optimizer = trained(kind, options)
    optimizer.eval()
    before = [p.detach().clone() for p in model]
    set_gradients(model)
    with pytest.raises(RuntimeError, match=rf"{kind.__name__} is in the mode of evaluation; call train\(\)"):
        optimizer.step()
    for p, wanted in zip(model, before):
        assert_same_bits(p.detach(), wanted)
    optimizer.train()
    optimizer.step()


@pytest.mark.parametrize("kind, options", KINDS)
def test_state_dict_says_the_mode_and_training_goes_on_from_it(kind, options):
    model, optimizer = trained(kind, options)
    left = [p.detach().clone() for p in model]
    optimizer.eval()
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    assert [group["train_mode"] for group in saved["param_groups"]] == [False]
    resumed = copies(model)
    loaded = kind(resumed, **options)
    loaded.load_state_dict(saved)
    with pytest.raises(RuntimeError, match="call train"):
        loaded.step()
    loaded.train()
    for p, wanted in zip(resumed, left):
        torch.testing.assert_close(p.detach(), wanted, rtol=0, atol=1e-6)
    train([loaded], [resumed], 1, first=5)


def test_parameters_changed_in_evaluation_are_kept():
    model, optimizer = trained(*KINDS[0])
    optimizer.eval()
    with torch.no_grad():
        model[0].add_(1.0)
    point = model[0].detach().clone()
    optimizer.train()
    torch.testing.assert_close(optimizer.evaluation_point(model[0]), point, rtol=0, atol=1e-6)


def test_parameters_that_have_not_stepped_stay_where_they_are():
    model = parameters(SHAPES)
    optimizer = onepass.ScheduleFreeSGD(model)
    before = [p.detach().clone() for p in model]
    optimizer.eval()
    optimizer.train()
    for p, wanted in zip(model, before):
        assert_same_bits(p.detach(), wanted)
    with pytest.raises(ValueError, match="no such parameter"):
        optimizer.evaluation_point(torch.nn.Parameter(torch.zeros(1)))


@pytest.mark.parametrize("kind", [onepass.ScheduleFreeSGD, onepass.ScheduleFreeAdamW])
def test_decays_that_the_rule_has_not_are_refused(kind):
    with pytest.raises(ValueError, match="weight_decay_mode is 'after'; it must be 'coupled' or 'decoupled'"):
        kind([torch.nn.Parameter(torch.zeros(1))], weight_decay_mode="after")


def test_hessian_is_refreshed_as_in_torchs_operations():
    ours, theirs = (parameters(SHAPES) for _ in range(2))
    one = onepass.SophiaG(ours, lr=0.01, weight_decay=0.1)
    plain = onepass.SophiaG._spelling.base(theirs, lr=0.01, weight_decay=0.1)
    for step in range(6):
        set_gradients(ours, theirs, step=100 + step)
        one.update_hessian()
        plain.update_hessian()
        train([one, plain], [ours, theirs], 2, first=2 * step)
    for p, wanted in zip(ours, theirs):
        torch.testing.assert_close(p.detach(), wanted.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.state[p]["hessian"], plain.state[wanted]["hessian"], rtol=1e-6, atol=0)
    assert float(one.state[ours[0]]["step"]) == 12


def test_refresh_moves_no_parameter_and_unscales():
    model = parameters(SHAPES)
    optimizer = onepass.SophiaG(model, lr=0.01, max_grad_norm=1e-3)
    before = [p.detach().clone() for p in model]
    set_gradients(model, scale=8.0)
    optimizer.grad_scale = torch.tensor(8.0)
    optimizer.update_hessian()
    other = copies(model)
    usual = onepass.SophiaG(other, lr=0.01)
    set_gradients(other)
    usual.update_hessian()
    for p, same, start in zip(model, other, before):
        assert_same_bits(p.detach(), start)
        torch.testing.assert_close(optimizer.state[p]["hessian"], usual.state[same]["hessian"], rtol=1e-5, atol=0)


def test_copies_of_an_optimizer_keep_the_mode():
    model, optimizer = trained(*KINDS[1])
    optimizer.eval()
    twin = copy.deepcopy(optimizer)
    assert [group["train_mode"] for group in twin.param_groups] == [False]
