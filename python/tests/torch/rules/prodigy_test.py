"""prodigy_test.py - what a rule with sums over the model needs, and tells, in Python."""

import pytest
import torch

import onepass.torch as onepass


def test_sums_over_the_model_need_one_formula():
    model = [torch.nn.Parameter(torch.ones(3, dtype=dtype)) for dtype in (torch.float32, torch.float64)]
    optimizer = onepass.Prodigy(model)
    for p in model:
        p.grad = torch.ones_like(p)
    with pytest.warns(UserWarning, match="torch's own formulas"), \
            pytest.raises(RuntimeError, match="Prodigy needs one formula for all parameters"):
        optimizer.step()
    assert all((p == 1).all() for p in model)


def test_prodigy_tells_the_rate_that_it_has_found():
    model = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
    optimizer = onepass.Prodigy(model, d0=0.01, betas=(0.9, 0.99))
    assert optimizer.d == 0.01
    for _ in range(10):
        for p in model:
            p.grad = torch.ones_like(p)
        optimizer.step()
    assert optimizer.d > 0.01
    assert {float(optimizer.state[p]["d"]) for p in model} == {optimizer.d}
