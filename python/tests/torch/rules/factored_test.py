"""factored_test.py - the classes that keep numbers for rows and columns: their formulas, their states, what Adafactor
takes besides torch's arguments, and what they refuse."""

import copy
import math

import pytest
import torch

import onepass
import onepass.torch
from models import assert_same_bits, copies, parameters, set_gradients, train
from onepass.torch import CAME, AdamMini, Adafactor

CLASSES = (Adafactor, CAME, AdamMini)
STATES = {Adafactor: {"row_var": (2, 3, 1), "col_var": (2, 1, 5)}, AdamMini: {"exp_avg": (2, 3, 5), "vmean": (2, 3, 1)},
          CAME: {"exp_avg": (2, 3, 5), "exp_avg_sq_row": (2, 3), "exp_avg_sq_col": (2, 5), "exp_avg_res_row": (2, 3),
                 "exp_avg_res_col": (2, 5)}}
VECTORS = {Adafactor: ["step", "variance"], CAME: ["step", "exp_avg", "exp_avg_sq"],
           AdamMini: ["step", "exp_avg", "exp_avg_sq"]}


class OfLists:
    """The formulas over lists of Python's floats: rows of a matrix of 3 x 5."""

    def __init__(self, value):
        self.p = value.tolist()
        self.places = [(i, j) for i in range(3) for j in range(5)]
        self.states = {}

    def moved(self, name, squares, share):
        """Moves averages over rows and over columns. Returns the factored average at each place."""
        row, column = self.states.setdefault(name, ([0.0] * 3, [0.0] * 5))
        for i in range(3):
            row[i] += share * (sum(squares[i]) / 5 - row[i])
        for j in range(5):
            column[j] += share * (sum(squares[i][j] for i in range(3)) / 3 - column[j])
        return [[row[i] * column[j] / (sum(row) / 3) for j in range(5)] for i in range(3)]

    def average(self, name, numbers, share):
        kept = self.states.setdefault(name, [[0.0] * 5 for _ in range(3)])
        for i, j in self.places:
            kept[i][j] += share * (numbers[i][j] - kept[i][j])
        return kept

    def rms(self, numbers):
        return math.sqrt(sum(numbers[i][j] ** 2 for i, j in self.places) / 15)

    def came(self, g, lr, betas, eps, clip):
        v = self.moved("sq", [[x * x + eps[0] for x in row] for row in g], 1 - betas[1])
        u = [[x / math.sqrt(s) for x, s in zip(*rows)] for rows in zip(g, v)]
        most = max(1.0, self.rms(u) / clip)
        u = [[x / most for x in row] for row in u]
        m = self.average("m", u, 1 - betas[0])
        left = [[(x - y) ** 2 + eps[1] for x, y in zip(*rows)] for rows in zip(u, m)]
        s = self.moved("res", left, 1 - betas[2])
        for i, j in self.places:
            self.p[i][j] -= lr * m[i][j] / math.sqrt(s[i][j])

    def adam_mini(self, g, lr, betas, eps, t):
        m = self.average("m", g, 1 - betas[0])
        v = self.states.setdefault("v", [0.0] * 3)
        for i in range(3):
            v[i] += (1 - betas[1]) * (sum(x * x for x in g[i]) / 5 - v[i])
        for i, j in self.places:
            root = math.sqrt(v[i] / (1 - betas[1] ** t))
            self.p[i][j] -= lr * m[i][j] / (1 - betas[0] ** t) / (root + eps)


@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-11), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("ours", [CAME, AdamMini])
def test_steps_of_a_matrix_have_the_numbers_of_the_formula(ours, dtype, rtol):
    """In float64 the classes of _rules step, in float32 the library."""
    model = parameters([(3, 5)], dtype)
    lists = OfLists(model[0].detach())
    settings = {"lr": 0.01, "betas": (0.8, 0.9, 0.95), "eps": (1e-8, 1e-4)} if ours is CAME else \
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6}
    optimizer = (ours if dtype == torch.float32 else ours._spelling.base)(model, **settings)
    for step in range(1, 21):
        set_gradients(model, step=step)
        optimizer.step()
        if ours is CAME:
            lists.came(model[0].grad.tolist(), clip=1.0, **settings)
        else:
            lists.adam_mini(model[0].grad.tolist(), t=step, **settings)
    torch.testing.assert_close(model[0].detach().double(), torch.tensor(lists.p, dtype=torch.float64), rtol=rtol,
                               atol=rtol)


@pytest.mark.parametrize("ours", CLASSES)
def test_matrices_have_states_of_rows_and_columns_and_vectors_of_elements(ours):
    model = parameters([(2, 3, 5), (7,), ()])
    optimizer = ours(model)
    train([optimizer], [model], 2)
    of_matrix = dict(optimizer.state[model[0]])
    assert of_matrix.pop("step") == 2
    assert {key: tuple(value.shape) for key, value in of_matrix.items()} == STATES[ours]
    assert all(list(optimizer.state[one]) == VECTORS[ours] for one in model[1:])
    assert all(optimizer.state[model[1]][key].shape == (7,) for key in VECTORS[ours][1:])


@pytest.mark.parametrize("ours", CLASSES)
@pytest.mark.parametrize("arguments", [{"states": "8bit", "master": "remainder8"}, {"states": "bfloat16"}], ids=str)
def test_states_of_rows_and_columns_are_float32_in_every_format(ours, arguments):
    model = parameters([(40, 64), (33,)], torch.bfloat16)
    optimizer = ours(model, **arguments)
    train([optimizer], [model], 2)
    lines = [value for key, value in optimizer.state[model[0]].items() if key in ours._spelling.lines]
    assert len(lines) == len(ours._spelling.lines) and all(value.dtype == torch.float32 for value in lines)
    saved = copy.deepcopy(optimizer.state_dict())
    assert all(saved["state"][0][key].dtype == torch.float32 for key in ours._spelling.lines)
    twins = copies(model)
    twin = ours(twins, **arguments)
    twin.load_state_dict(saved)
    for key in ours._spelling.lines:
        assert_same_bits(twin.state[twins[0]][key], optimizer.state[model[0]][key])


def test_states_that_torch_keeps_in_bfloat16_go_on_in_float32():
    model = parameters([(6, 4)], torch.bfloat16)
    theirs = torch.optim.Adafactor(model)
    train([theirs], [model], 2)
    assert theirs.state[model[0]]["row_var"].dtype == torch.bfloat16
    ours = Adafactor(model)
    ours.load_state_dict(theirs.state_dict())
    assert_same_bits(ours.state[model[0]]["row_var"], theirs.state[model[0]]["row_var"].float())
    train([ours], [model], 1, first=2)
    assert ours.state[model[0]]["step"] == 3


def test_the_rows_of_a_matrix_are_its_own_however_it_lies():
    value = torch.randn(6, 4)
    model = [torch.nn.Parameter(value.clone()), torch.nn.Parameter(value.t().contiguous().t())]
    assert not model[1].is_contiguous()
    optimizers = [AdamMini([one], lr=0.1) for one in model]
    train(optimizers, [[one] for one in model], 3)
    assert_same_bits(model[0].detach(), model[1].detach().contiguous())
    states = [optimizer.state_dict()["state"][0] for optimizer in optimizers]
    for key, expected in states[0].items():
        assert_same_bits(states[1][key].contiguous(), expected)


def test_eps_none_is_that_of_the_first_parameters_type():
    for dtype in (torch.float32, torch.bfloat16):
        model = parameters([(3, 5)], dtype)
        group = Adafactor([*model, *parameters([(2,)])]).param_groups[0]
        assert dict(Adafactor._spelling.settings(group))["eps1"] == torch.finfo(dtype).eps
    group["eps"] = (1e-3, 1e-2)
    settings = dict(Adafactor._spelling.settings(group))
    assert (settings["eps1"], settings["eps2"]) == (1e-3, 1e-2)


def test_adafactor_has_the_hyperparameters_of_other_implementations():
    model = parameters([(3, 5), (7,)])
    usual, given = Adafactor(model), Adafactor(model, beta1=0.9, relative_step=False, preset="t5")
    assert "beta1" not in usual.param_groups[0] and "beta1" not in usual.defaults
    group = given.param_groups[0]
    assert (group["beta1"], group["relative_step"], group["adds_eps1"]) == (0.9, False, True)
    assert group["eps"] == (1e-30, 1e-3) and "scale_parameter" not in group
    train([given], [model], 2)
    assert list(given.state[model[0]]) == ["step", "row_var", "col_var", "exp_avg"]
    assert list(given.state[model[1]]) == ["step", "variance", "exp_avg"]
    twins = copies(model)
    twin = Adafactor(twins)
    twin.load_state_dict(copy.deepcopy(given.state_dict()))
    train([given, twin], [model, twins], 2, first=2)
    for one, two in zip(model, twins):
        assert_same_bits(one, two)
    given.add_param_group({"params": parameters([(2,)]), "beta1": 0.0})
    assert [group["beta1"] for group in given.param_groups] == [0.9, 0.0]
    with pytest.raises(ValueError, match="Invalid beta parameter at index 0: 1.0"):
        Adafactor(model, beta1=1.0)


def test_momentum_may_be_turned_on_between_steps():
    model = parameters([(3, 5)])
    optimizer = Adafactor(model)
    train([optimizer], [model], 2)
    optimizer.param_groups[0]["beta1"] = 0.5
    train([optimizer], [model], 1, first=2)
    assert list(optimizer.state[model[0]]) == ["step", "row_var", "col_var", "exp_avg"]


def test_torchs_formulas_are_not_asked_for_what_torch_lacks():
    model = parameters([(3, 5)], torch.float64)
    optimizer = Adafactor(model, scale_parameter=False)
    set_gradients(model)
    with pytest.warns(UserWarning, match="torch's own formulas step 1 of 1"), \
            pytest.raises(RuntimeError, match="^scale_parameter needs every parameter to be stepped by onepass, but "):
        optimizer.step()


def test_transformers_adafactor_takes_the_steps_of_its_presets():
    theirs = pytest.importorskip("transformers.optimization").Adafactor
    for preset, arguments in (("t5", {}), ("t5", {"beta1": 0.9}), ("t5", {"warmup_init": True}),
                              ("transformers", {"lr": 1e-3, "scale_parameter": False, "relative_step": False})):
        mine = parameters([(6, 4), (7,), (2, 3, 4)])
        other = copies(mine, torch.float64)
        own = {key: value for key, value in arguments.items() if key in ("beta1", "warmup_init")}
        train([Adafactor(mine, preset=preset, **own), theirs(other, **arguments)], [mine, other], 10)
        for one, two in zip(mine, other):
            torch.testing.assert_close(one.detach().double(), two.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ours", [CAME, AdamMini])
def test_complex_parameters_are_refused_as_torchs_adafactor_refuses_them(ours):
    for made in (ours, Adafactor):
        model = [torch.nn.Parameter(torch.ones(3, dtype=torch.complex64))]
        optimizer = made(model)
        model[0].grad = torch.ones_like(model[0])
        with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="does not support complex parameters"):
            optimizer.step()


def test_states_of_another_shape_are_refused():
    model, other = parameters([(3, 5)]), parameters([(5, 3)])
    optimizer, wrong = Adafactor(model), Adafactor(other)
    train([optimizer], [model], 1)
    with pytest.raises(ValueError, match=r"^row_var of parameter 0 has the shape \(3, 1\), but of a parameter of "
                                         r"\(5, 3\) it must have \(5, 1\)$"):
        wrong.load_state_dict(optimizer.state_dict())


def test_a_memory_report_counts_rows_and_columns():
    model = torch.nn.Linear(1000, 200, bias=False)
    states = {row.format.name: row.states for row in onepass.torch.memory_report(model, "Adafactor").rows}
    assert set(states.values()) == {4 * 1200}
    assert onepass.torch.memory_report(model, AdamMini(model.parameters())).rows[0].states == 4 * 200 * 1001
    by_shape = onepass.memory_report([("w", (200, 1000), "float32")], rule="Adafactor")
    assert (by_shape.numel, by_shape.rows[0].states) == (200_000, 4800)
    assert onepass.memory_report([("w", 200_000, "float32")], rule="Adafactor").rows[0].states == 800_000
