"""conftest.py - the tests of trainers use the programs in examples/pytorch."""

import pathlib
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples/pytorch"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """These models are too small for a second thread, which would wait for the other programs of a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
