"""large_test.py - one tensor of more than 2^31 elements. Row 20 of the table in docs/python/pytorch.md."""

import os

import pytest
import torch

import onepass.torch as onepass

NUMEL = 2**31 + 65


def free_bytes():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


@pytest.mark.skipif(not os.path.exists("/proc/meminfo") or free_bytes() < 16 << 30, reason="needs 16 GB of free memory")
def test_every_element_of_a_large_tensor_is_stepped():
    parameter = torch.nn.Parameter(torch.ones(NUMEL, dtype=torch.bfloat16))
    parameter.grad = torch.full((NUMEL,), 2.0, dtype=torch.bfloat16)
    onepass.SGD([parameter], lr=0.25, master="none").step()
    with torch.no_grad():
        assert parameter.min() == 0.5 and parameter.max() == 0.5
