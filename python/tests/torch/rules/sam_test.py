"""sam_test.py - SAM and ASAM around the optimizers."""

import copy
import pathlib
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import onepass.torch as onepass  # noqa: E402
from onepass import Error  # noqa: E402
from models import SHAPES, assert_same_bits, copies, parameters, set_gradients  # noqa: E402

CASES = [{"rho": 0.05}, {"rho": 3.0}, {"rho": 0.5, "adaptive": True}, {"rho": 2.0, "adaptive": True, "eta": 0.01}]
FORMATS = [(torch.float32, {}), (torch.bfloat16, {}), (torch.bfloat16, {"master": "float32"}), (torch.float16, {}),
           (torch.bfloat16, {"master": "none", "rounding": "stochastic"}),
           (torch.bfloat16, {"master": "remainder8", "states": "8bit"})]


def moved(model, rho, adaptive=False, eta=0.0):
    """Returns where the formulas of the papers move parameters, in float64."""
    p, g = [one.detach().double() for one in model], [one.grad.double() for one in model]
    t = [one.abs() + eta if adaptive else torch.ones_like(one) for one in p]
    norm = torch.stack([(a * b).norm() for a, b in zip(t, g)]).norm()
    return [a + rho * b * b * c / (norm + 1e-12) for a, b, c in zip(p, t, g)]


@pytest.mark.parametrize("case", CASES)
def test_parameters_move_by_the_formula_and_come_back(case):
    model = parameters()
    optimizer = onepass.AdamW(model, lr=0.01)
    for step in range(3):
        set_gradients(model, step=step)
        before, wanted = copies(model), moved(model, **case)
        optimizer.perturb(**case)
        for p, there in zip(model, wanted):  # Seven roundings of the way, and one of the sum
            torch.testing.assert_close(p.detach().double(), there, rtol=2e-7, atol=5e-7 * case["rho"])
        optimizer.restore()
        for p, old in zip(model, before):
            assert_same_bits(p.detach(), old.detach())
        optimizer.step()


@pytest.mark.parametrize("dtype, arguments", FORMATS)
@pytest.mark.parametrize("kind", [onepass.SGD, onepass.AdamW, onepass.LAMB])
def test_steps_are_those_by_the_second_gradients(kind, dtype, arguments):
    """A step after a perturbation has the bits of one without it, masters and states included."""
    model = parameters(dtype=dtype)
    other = copies(model)
    optimizer, usual = (kind(some, lr=0.01, **arguments) for some in (model, other))
    for step in range(4):
        set_gradients(model, step=100 + step)
        optimizer.perturb(rho=1.0)
        assert any((p.detach() != q.detach()).any() for p, q in zip(model, other))
        if step == 2:
            optimizer.restore()
        set_gradients(model, other, step=step)
        optimizer.step()
        usual.step()
        for p, wanted in zip(model, other):
            assert_same_bits(p.detach(), wanted.detach())
            for key, value in usual.state[wanted].items():
                assert_same_bits(optimizer.state[p][key], value)


def test_the_two_pass_loop_trains():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x = torch.randn(64, 4)
    y = (x[:, :1] * x[:, 1:2]).detach()
    optimizer = onepass.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.mse_loss(net(x), y)
        value.backward()
        return value

    first = loss().item()
    for _ in range(100):
        loss()
        with optimizer.perturbed(rho=0.05):
            loss()
        optimizer.step()
    assert loss().item() < first / 3


def test_the_closure_of_a_step_is_the_second_pass():
    model = parameters([(3,)])
    optimizer = onepass.SGD(model, lr=0.0)
    set_gradients(model)
    before, seen = copies(model), []
    optimizer.perturb(rho=1.0)
    optimizer.step(lambda: seen.append(model[0].detach().clone()))
    assert (seen[0] != before[0]).all()
    assert_same_bits(model[0].detach(), before[0].detach())


def test_autograd_knows_that_parameters_have_changed():
    model = parameters([(3,)])
    optimizer = onepass.SGD(model, lr=0.1)
    set_gradients(model)
    for change in (optimizer.perturb, optimizer.restore):
        squares = (model[0] * model[0]).sum()
        change()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            squares.backward()


def test_parameters_without_a_gradient_stay():
    model = parameters([(7,), (3,)])
    optimizer = onepass.AdamW(model, lr=0.01)
    set_gradients(model)
    optimizer.step()
    before = copies(model)
    model[1].grad = None
    optimizer.perturb(rho=1.0)
    assert (model[0] != before[0]).any()
    assert_same_bits(model[1].detach(), before[1].detach())
    set_gradients(model)
    optimizer.restore()
    assert_same_bits(model[0].detach(), before[0].detach())


def test_a_parameter_that_is_not_dense_moves_and_comes_back():
    base = torch.randn(6, 8)
    model = [torch.nn.Parameter(base[:, ::2])]
    optimizer = onepass.SGD(model, lr=0.1)
    model[0].grad = torch.randn(6, 4)
    before = model[0].detach().clone()
    wanted = moved(model, 1.0)[0]
    optimizer.perturb(rho=1.0)
    torch.testing.assert_close(model[0].detach().double(), wanted, rtol=2e-7, atol=5e-7)
    optimizer.restore()
    assert_same_bits(model[0].detach(), before)


def test_what_does_not_fit_is_refused():
    model = parameters([(7,)])
    optimizer = onepass.AdamW(model, lr=0.01)
    set_gradients(model)
    saved = optimizer.state_dict()
    with pytest.raises(Error, match="Sam.rho"):
        optimizer.perturb(rho=-1.0)
    optimizer.restore()
    optimizer.perturb()
    for call, name in ((optimizer.perturb, "perturb"), (optimizer.state_dict, "state_dict"),
                       (lambda: optimizer.load_state_dict(saved), "load_state_dict"),
                       (lambda: copy.deepcopy(optimizer), "__getstate__")):
        with pytest.raises(RuntimeError, match=rf"{name}\(\) was called after perturb\(\)"):
            call()
    old = model[0].data
    model[0].data = model[0].data.clone()
    with pytest.raises(RuntimeError, match="other memory"):
        optimizer.restore()
    model[0].data = old
    optimizer.restore()
    assert optimizer.state_dict()


@pytest.mark.filterwarnings("ignore:onepass. torch's own formulas")
def test_parameters_of_other_types_are_refused():
    model = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]
    optimizer = onepass.SGD(model, lr=0.1)
    for p in model:
        p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match="perturb.. needs every parameter"):
        optimizer.perturb()
    assert (model[0] == 1).all()


def test_plain_optimizers_of_shapes_without_elements_are_taken():
    model = parameters([shape for shape in SHAPES if 0 in shape])
    optimizer = onepass.SGD(model, lr=0.1)
    set_gradients(model)
    optimizer.perturb()
    optimizer.step()
