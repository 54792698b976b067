"""conftest.py - fixtures of the tests of onepass.torch."""

import pytest
import torch

from onepass.torch import _walk


@pytest.fixture(params=["walks in C", "walks in Python"])
def both_walkers(request, monkeypatch):
    """Runs a test with the library's walker, and with the one for versions of torch that have no exchange table."""
    if request.param == "walks in Python":
        monkeypatch.setattr(_walk, "exchange_table", lambda: None)


@pytest.fixture(autouse=True)
def same_numbers():
    """Every test draws the same random numbers, whatever ran before it."""
    torch.manual_seed(0)
