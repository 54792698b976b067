"""amp_test.py - loss scaling by torch.amp.GradScaler, clipping, and steps that are skipped. Numbers in brackets are
rows of the table in docs/python/pytorch.md."""

import pytest
import torch

import onepass.torch as onepass
from models import CASES, PAIRS, assert_same_bits, copies, loop, parameters, set_gradients, train

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("fused", [False, True])
def test_grad_scaler_unscales_and_skips(fused):  # [21, 22]
    mine = parameters([(9,), (4, 4)])
    other = copies(mine)
    results = []
    for model, kind in ((mine, onepass.AdamW), (other, torch.optim.AdamW)):
        optimizer = kind(model, lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=2)
        scales = []
        for step in range(6):
            set_gradients(model, step=step)
            scaler.scale(torch.zeros(1))
            for parameter in model:
                parameter.grad *= scaler.get_scale()
            if step in (2, 4):
                model[1].grad[0, 0] = (INF, NAN)[step // 4]
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
            assert not hasattr(optimizer, "found_inf")
        results.append((scales, optimizer.state[model[0]]["step"].item()))
    assert results[0] == results[1] and results[0][1] == 4
    for one, two in zip(mine, other):
        torch.testing.assert_close(one, two)


def test_only_fused_asks_the_scaler_to_leave_unscaling_to_the_step():
    """Lightning refuses to clip, and accelerate counts skipped steps, where this flag is set."""
    model = parameters([(3,)])
    assert not getattr(onepass.AdamW(model), "_step_supports_amp_scaling", False)
    assert onepass.AdamW(model, fused=True)._step_supports_amp_scaling


def test_own_grad_scale_and_found_inf_count():  # [23]
    mine = parameters([(9,)])
    other = copies(mine)
    optimizers = onepass.SGD(mine, lr=0.5), onepass.SGD(other, lr=0.5)
    set_gradients(mine, other)
    mine[0].grad *= 8
    optimizers[0].grad_scale = torch.tensor(8.0)
    for optimizer in optimizers:
        optimizer.step()
    assert_same_bits(mine[0], other[0])
    optimizers[0].found_inf = torch.tensor(1.0)
    optimizers[0].step()
    assert_same_bits(mine[0], other[0])
    optimizers[0].found_inf, optimizers[0].grad_scale = None, None
    for optimizer in optimizers:
        mine[0].grad = other[0].grad
        optimizer.step()
    assert_same_bits(mine[0], other[0])


@pytest.mark.parametrize("name, options", CASES)
@pytest.mark.parametrize("way", ["argument", "call"])
def test_clipping_in_the_step_is_torchs(name, options, way):  # [24]
    ours, theirs = PAIRS[name]
    mine = parameters([(300,), (7, 9), ()])
    other = copies(mine)
    optimizer = ours(mine, max_grad_norm=0.5 if way == "argument" else None, **options)
    reference = loop(theirs, other, **options)
    for step in range(5):
        set_gradients(mine, other, step=step, scale=0.01 if step == 3 else 1.0)
        if way == "call":
            optimizer.clip_grad_norm_(0.5)
        norm = torch.nn.utils.clip_grad_norm_(other, 0.5)
        optimizer.step(), reference.step()
        assert optimizer.grad_norm == pytest.approx(norm.item(), rel=1e-6)
    for one, two in zip(mine, other):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name, options", CASES)
def test_clipping_by_parameter_is_torchs_for_each_parameter(name, options):
    ours, theirs = PAIRS[name]
    mine = parameters([(300,), (7, 9), ()])
    other = copies(mine)
    optimizer = ours(mine, max_grad_norm=0.5, clip_by="parameter", **options)
    reference = loop(theirs, other, **options)
    for step in range(5):
        set_gradients(mine, other, step=step, scale=0.01 if step == 3 else 1.0)
        norms = [torch.nn.utils.clip_grad_norm_([parameter], 0.5) for parameter in other]
        optimizer.step(), reference.step()
        assert optimizer.grad_norm == pytest.approx(torch.stack(norms).norm().item(), rel=1e-6)
    for one, two in zip(mine, other):
        torch.testing.assert_close(one, two)


def test_a_clip_of_one_step_is_forgotten_after_it():
    mine = parameters([(30,)])
    other = copies(mine)
    clipped, plain = onepass.SGD(mine, lr=0.1), onepass.SGD(other, lr=0.1)
    set_gradients(mine, other)
    clipped.clip_grad_norm_(1e-9)
    before = mine[0].detach().clone()
    clipped.step()
    torch.testing.assert_close(mine[0].detach(), before)
    plain.step()
    with torch.no_grad():
        mine[0].copy_(other[0])
    train([clipped, plain], [mine, other], 2)
    assert_same_bits(mine[0], other[0])


@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_a_gradient_that_is_not_finite_skips_the_whole_step(value):
    model = parameters([(30,), (5,)])
    optimizer = onepass.AdamW(model, lr=0.1, skip_nonfinite=True)
    train([optimizer], [model], 2)
    before = [parameter.detach().clone() for parameter in model]
    set_gradients(model, step=2)
    model[1].grad[4] = value
    optimizer.step()
    assert optimizer.skipped_steps == 1
    for one, two in zip(model, before):
        assert_same_bits(one.detach(), two)
    assert optimizer.state[model[0]]["step"].item() == 2
    train([optimizer], [model], 1, first=3)
    model[0].data = model[0].data.clone()  # The optimizer plans anew, and still knows what it has skipped.
    train([optimizer], [model], 1, first=4)
    assert optimizer.skipped_steps == 1 and optimizer.state[model[0]]["step"].item() == 4


def test_the_gradient_that_was_not_finite_is_named():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    optimizer = onepass.AdamW(model.named_parameters(), skip_nonfinite=True)
    train([optimizer], [list(model.parameters())], 2)
    assert optimizer.last_nonfinite() is None
    set_gradients(list(model.parameters()), step=2)
    model[0].bias.grad[2] = NAN
    model[1].weight.grad[1, 1] = INF
    optimizer.step()
    for _ in range(2):
        sentence = optimizer.last_nonfinite()
        assert '"0.bias"' in sentence and "element 2" in sentence, sentence
    model[0].bias.data = model[0].bias.data.clone()
    train([optimizer], [list(model.parameters())], 1, first=3)
    assert optimizer.last_nonfinite() == sentence


def test_clipping_refuses_what_torchs_formulas_step():
    model = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]
    optimizer = onepass.AdamW(model, max_grad_norm=1.0)
    set_gradients(model)
    before = [parameter.detach().clone() for parameter in model]
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="need every parameter to be stepped by onepass"):
        optimizer.step()
    for one, two in zip(model, before):
        assert_same_bits(one.detach(), two)


@pytest.mark.parametrize("wrong, sentence", [
    ({"master": "half"}, "master is 'half'; it must be one of None, 'none', 'float32', 'split', 'remainder8'"),
    ({"states": "4bit"}, "states is '4bit'; it must be one of None, 'float32', 'bfloat16', '8bit'"),
    ({"rounding": "up"}, "rounding is 'up'; it must be one of 'nearest', 'stochastic'"),
    ({"checkpoint": "none"}, "checkpoint is 'none'; it must be one of 'portable', 'float32', 'exact'"),
    ({"max_grad_norm": -1}, "max_grad_norm is -1; it must be at least 0, or None"),
    ({"max_grad_norm": NAN}, "max_grad_norm is nan; it must be at least 0, or None"),
    ({"clip_by": "group"}, "clip_by is 'group'; it must be one of 'all', 'parameter'")])
def test_wrong_arguments_are_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(ValueError) as error:
        onepass.AdamW(parameters([(3,)]), **wrong)
    assert str(error.value) == sentence
