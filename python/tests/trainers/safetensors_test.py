"""safetensors_test.py - safetensors itself reads a checkpoint that the library has written (docs/checkpoints.md)."""

import ctypes

import pytest
import torch

import onepass

safetensors = pytest.importorskip("safetensors.torch")


@pytest.mark.parametrize("states", ["float32", "bfloat16"])
def test_safetensors_reads_the_librarys_checkpoints(tmp_path, states):
    value, grad = torch.randn(7, 5), torch.randn(7, 5)
    weight = onepass.Parameter(name=b"layer.weight", value=value.data_ptr(), grad=grad.data_ptr(), numel=35,
                               storage=onepass.Storage(states=onepass.STATES[states]))
    path = tmp_path / "run.safetensors"
    with onepass.Optimizer("AdamW", [weight], lr=0.1) as optimizer:
        for _ in range(2):
            optimizer.step()
        library = onepass.library()
        library.check(library.calls.onepass_save(str(path).encode(), ctypes.byref(optimizer.handle), 1, None, None))
    read = safetensors.load_file(path)
    assert set(read) == {"layer.weight", "layer.weight/exp_avg", "layer.weight/exp_avg_sq"}
    assert torch.equal(read["layer.weight"].view(-1), value.view(-1))
    assert all(read[f"layer.weight/{name}"].dtype == getattr(torch, states) for name in ("exp_avg", "exp_avg_sq"))
    tolerance = {"float32": 1e-6, "bfloat16": 2**-7}[states]  # Half a last place of bfloat16 in each of two steps
    torch.testing.assert_close(read["layer.weight/exp_avg"].float().view(7, 5), 0.19 * grad, rtol=tolerance, atol=1e-7)
