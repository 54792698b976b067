"""lookahead_test.py - slow weights around every class: the algorithm of the paper on torch's own optimizers."""

import copy

import pytest
import torch

import onepass.torch as onepass
from models import CASES, PAIRS, assert_same_bits, copies, loop, parameters, set_gradients, train


class Reference:
    """Lookahead (arXiv 1907.08610, algorithm 1) around an optimizer of torch."""

    def __init__(self, optimizer, model, k, alpha):
        self.optimizer, self.model, self.k, self.alpha, self.steps = optimizer, model, k, alpha, 0
        self.slow = [parameter.detach().clone() for parameter in model]

    def step(self):
        self.optimizer.step()
        self.steps += 1
        if self.steps % self.k == 0:
            with torch.no_grad():
                for slow, parameter in zip(self.slow, self.model):
                    slow += self.alpha * (parameter - slow)
                    parameter.copy_(slow)


@pytest.mark.parametrize("name, options", CASES)
def test_steps_are_those_of_the_algorithm_around_torchs_optimizer(name, options):
    ours, theirs = PAIRS[name]
    mine = parameters([(300,), (7, 9), ()])
    other = copies(mine)
    optimizer = ours(mine, lookahead=(3, 0.25), **options)
    reference = Reference(loop(theirs, other, **options), other, 3, 0.25)
    for step in range(8):
        set_gradients(mine, other, step=step)
        optimizer.step(), reference.step()
    for one, two, slow in zip(mine, other, reference.slow):
        torch.testing.assert_close(one, two)
        torch.testing.assert_close(optimizer.state[one]["slow"], slow)


@pytest.mark.parametrize("dtype, arguments", [
    (torch.float32, {}), (torch.float32, {"states": "8bit"}), (torch.bfloat16, {}),
    (torch.bfloat16, {"master": "float32", "states": "bfloat16"}), (torch.float16, {})])
def test_a_state_dict_goes_on_bit_for_bit(dtype, arguments):
    whole = parameters(dtype=dtype)
    parted = copies(whole)
    make = lambda model: onepass.AdamW(model, lr=0.1, lookahead=(4, 0.5), checkpoint="exact", **arguments)
    steady, first = make(whole), make(parted)
    train([steady, first], [whole, parted], 6)
    saved = copy.deepcopy(first.state_dict())
    second = make(parted)
    second.load_state_dict(saved)
    train([steady, second], [whole, parted], 7, first=6)
    for one, two in zip(whole, parted):
        assert_same_bits(one, two)
        assert_same_bits(steady.state[one]["slow"], second.state[two]["slow"])


def test_torchs_optimizer_takes_its_state_dict_and_gives_one_that_starts_slow_weights_anew():
    mine = parameters()
    optimizer = onepass.AdamW(mine, lr=0.1, lookahead=(2, 0.5))
    train([optimizer], [mine], 3)
    theirs = torch.optim.AdamW(copies(mine), lr=0.1)
    theirs.load_state_dict(optimizer.state_dict())
    plain = theirs.state_dict()
    for state in plain["state"].values():
        state.pop("slow")
    again = onepass.AdamW(mine, lr=0.1, lookahead=(2, 0.5))
    again.load_state_dict(copy.deepcopy(plain))
    before = [parameter.detach().clone() for parameter in mine]
    set_gradients(mine, step=3)
    again.step()
    for parameter, start in zip(mine, before):
        # The fourth step moves the slow weights, which start where the dict was loaded.
        assert_same_bits(again.state[parameter]["slow"], parameter.detach())
    twin = copies(before)
    plainly = onepass.AdamW(twin, lr=0.1)
    plainly.load_state_dict(plain)
    set_gradients(twin, step=3)
    plainly.step()
    for parameter, start, fast in zip(mine, before, twin):
        torch.testing.assert_close(parameter.detach(), 0.5 * (start + fast.detach()))


def test_formats_without_a_float32_are_refused_by_name():
    model = torch.nn.Linear(4, 3).to(torch.bfloat16)
    for master in ("none", "remainder8"):
        optimizer = onepass.AdamW(model.named_parameters(), master=master, lookahead=(5, 0.5))
        set_gradients(list(model.parameters()))
        with pytest.raises(ValueError) as error:
            optimizer.step()
        assert str(error.value) == ("lookahead needs parameters of float32, or with master 'split' or 'float32', but "
                                    f"'weight' is torch.bfloat16 with master {master!r}")


def test_parameters_that_torchs_formulas_step_are_refused():
    model = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]
    optimizer = onepass.AdamW(model, lookahead=(5, 0.5))
    set_gradients(model)
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="lookahead needs every parameter"):
        optimizer.step()


@pytest.mark.parametrize("wrong", [5, (0, 0.5), (5, 0.0), (5, 1.5), (5, float("nan")), (2.5, 0.5), (5,), "5"])
def test_wrong_arguments_are_refused_with_a_sentence(wrong):
    with pytest.raises(ValueError, match="it must be None or a pair of a number of steps") as error:
        onepass.AdamW(parameters([(3,)]), lookahead=wrong)
    assert str(error.value).startswith(f"lookahead is {wrong!r};")
