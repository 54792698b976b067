"""numbers_test.py - the numbers that steps give: beside torch's own formulas in float64, and beside the library to the
bit."""

import pytest
import torch

import onepass
import onepass.torch
from onepass._optimizer import dims_of
from models import CASES, PAIRS, SHAPES, assert_same_bits, copies, loop, parameters, set_gradients, shapes_for, train

pytestmark = pytest.mark.usefixtures("both_walkers")
IDS = [f"{name}-{'-'.join(map(str, options))}" for name, options in CASES]


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_equals_torch_in_float64(name, options):
    ours, theirs = PAIRS[name]
    model = parameters(shapes_for(name))
    exact = copies(model, torch.float64)
    train([ours(model, **options), loop(theirs, exact, **options)], [model, exact], 30)
    for one, two in zip(model, exact):
        torch.testing.assert_close(one.double(), two, rtol=1.3e-6 * 8, atol=1e-5)  # torch's for float32; 30 steps


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_has_the_bits_of_the_library(name, options):
    """The package adds nothing to the arithmetic: onepass.Optimizer over the same memory gives the same bits."""
    ours, _ = PAIRS[name]
    model = [p for p in parameters() if p.numel()]
    plain = copies(model)
    optimizer = ours(model, **options)
    grads = [torch.zeros_like(p) for p in plain]
    listed = [onepass.Parameter(name=str(i).encode(), value=p.data_ptr(), grad=g.data_ptr(), numel=p.numel(),
                                **dims_of(p.shape)) for i, (p, g) in enumerate(zip(plain, grads))]
    spelling = ours._spelling
    settings = dict(spelling.settings(optimizer.param_groups[0]))
    with onepass.Optimizer(spelling.name, listed, **settings) as library:
        for step in range(10):
            set_gradients(model, step=step)
            for grad, one in zip(grads, model):
                grad.copy_(one.grad)
            optimizer.step()
            library.step()
    for one, two in zip(model, plain):
        assert_same_bits(one, two)


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64], ids=str)
def test_steps_what_the_library_does_not_take_by_torchs_formulas(name, options, dtype):
    if dtype.is_complex and options.get("amsgrad"):
        pytest.skip("torch's amsgrad has no complex numbers in its for-loop")
    if dtype.is_complex and PAIRS[name][0]._spelling.lines:
        pytest.skip("matrices of complex numbers are refused: rules/factored_test.py")
    ours, theirs = PAIRS[name]
    model = [torch.nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in SHAPES[:5]]
    other = copies(model)
    with pytest.warns(UserWarning, match="torch's own formulas step 5 of 5 parameters"):
        train([ours(model, **options)], [model], 1)
    train([theirs(other, **options)], [other], 1)
    for one, two in zip(model, other):
        assert_same_bits(torch.view_as_real(one) if dtype.is_complex else one,
                         torch.view_as_real(two) if dtype.is_complex else two)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e-40, 0.0, -0.0, 3e38])
def test_special_gradients_go_where_torch_lets_them_go(value):
    for name, options in CASES:
        ours, theirs = PAIRS[name]
        model = parameters([(33,)])
        other = copies(model)
        optimizers = ours(model, **options), loop(theirs, other, **options)
        for one in (*model, *other):
            one.grad = torch.full_like(one, value)
        for optimizer in optimizers:
            optimizer.step()
        if name == "Rprop" and value != value:
            assert model[0].isnan().all()  # torch.sign makes 0 of it, so that torch's parameter stays.
        elif name == "Adafactor" and value == 3e38:
            assert model[0].isfinite().all()  # The squares overflow; torch.lerp makes NaN of infinity * 0.
        else:
            torch.testing.assert_close(model[0], other[0], equal_nan=True)


def test_gradients_of_zero_move_adamw_and_count():
    model = parameters([(33,)])
    optimizer = onepass.torch.AdamW(model, lr=0.1, weight_decay=0.5)
    before = model[0].detach().clone()
    model[0].grad = torch.zeros_like(model[0])
    optimizer.step()
    torch.testing.assert_close(model[0].detach(), before * (1 - 0.1 * 0.5))
    assert optimizer.state[model[0]]["step"].item() == 1


def _layouts():
    base = torch.randn(6, 8, 10)
    return {"transposed": base.permute(2, 0, 1), "channels_last": torch.randn(2, 3, 4, 5).to(
        memory_format=torch.channels_last), "slice": base[:, ::2], "column": base[0, :, 3], "scalar": torch.randn(())}


@pytest.mark.parametrize("layout", _layouts())
def test_any_layout_of_a_parameter_and_of_its_gradient(layout):
    value = _layouts()[layout]
    for name, options in CASES:
        ours, theirs = PAIRS[name]
        mine = torch.nn.Parameter(value)
        theirs_too = torch.nn.Parameter(value.clone(memory_format=torch.contiguous_format))
        whole = value.clone()
        mine.data = value.clone() if layout != "slice" else torch.empty(6, 8, 10)[:, ::2].copy_(value)
        assert mine.stride() == value.stride() or layout != "slice"
        optimizers = ours([mine], **options), loop(theirs, [theirs_too], **options)
        for step in range(5):
            gradient = torch.randn(whole.shape)
            mine.grad = gradient.mT.contiguous().mT if step % 2 and gradient.dim() > 1 else gradient
            theirs_too.grad = gradient.clone()
            for optimizer in optimizers:
                optimizer.step()
        torch.testing.assert_close(mine, theirs_too)


def test_expanded_gradients():
    model = parameters([(4, 5)])
    other = copies(model)
    optimizers = onepass.torch.AdamW(model, lr=0.1), torch.optim.AdamW(other, lr=0.1)
    for one in (*model, *other):
        one.sum().backward()  # The gradient is one number, expanded.
        assert one.grad.shape == (4, 5)
    for optimizer in optimizers:
        optimizer.step()
    torch.testing.assert_close(model[0], other[0])


def test_sparse_gradients_are_torchs_to_refuse_or_to_step():
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    embedding(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        onepass.torch.AdamW(embedding.parameters()).step()
    before = embedding.weight.detach().clone()
    onepass.torch.SGD(embedding.parameters(), lr=0.5).step()
    before[1:3] -= 0.5
    torch.testing.assert_close(embedding.weight.detach(), before)


def test_float32_gradients_of_bfloat16_parameters_are_read_as_they_are():
    if not hasattr(torch.Tensor, "grad_dtype"):
        pytest.skip("this torch has no Tensor.grad_dtype")
    wide, narrow = torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16)), torch.nn.Parameter(torch.ones(64))
    wide.grad_dtype = torch.float32
    wide.grad = torch.full((64,), 1 + 2**-12)
    narrow.grad = wide.grad.clone()
    optimizers = onepass.torch.SGD([wide], lr=0.125, master="float32"), onepass.torch.SGD([narrow], lr=0.125)
    for optimizer in optimizers:
        optimizer.step()
    assert_same_bits(optimizers[0].state[wide]["master"], narrow.detach())


def test_gradients_of_a_type_that_the_kernels_do_not_read_are_torchs():
    if not hasattr(torch.Tensor, "grad_dtype"):
        pytest.skip("this torch has no Tensor.grad_dtype")
    parameter = torch.nn.Parameter(torch.ones(64))
    parameter.grad_dtype = torch.float64
    parameter.grad = torch.full((64,), 0.5, dtype=torch.float64)
    with pytest.warns(UserWarning, match="torch's own formulas step 1 of 1"):
        onepass.torch.SGD([parameter], lr=0.5).step()
    assert parameter.eq(0.75).all()


def test_version_of_a_stepped_parameter_moves():
    """A backward pass through a parameter that a step has changed must raise, as with torch's optimizers."""
    model = parameters([(3,), (3,)])
    loss = (model[0] * model[1]).sum()
    optimizer = onepass.torch.SGD(model, lr=0.1)
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


