"""caution_test.py - `caution` of classes that PyTorch has; those of the others have golden values (plain_test.py)."""

import pytest
import torch

import onepass.torch as onepass


@pytest.mark.parametrize("caution", ["masked", "rescaled"])
def test_caution_of_a_class_of_torchs(caution):
    """The first step goes down the gradient. In the second, the average of two of three elements still does not."""
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = onepass.AdamW([p], lr=0.25, betas=(0.5, 0.5), weight_decay=0.0, caution=caution)
    for gradient in ([4.0, 4.0, 4.0], [-1.0, -1.0, 1.0]):
        before = p.detach().clone()
        p.grad = torch.tensor(gradient)
        optimizer.step()
    assert (p[:2] == before[:2]).all()
    plain = torch.nn.Parameter(torch.ones(1))
    usual = onepass.AdamW([plain], lr=0.25, betas=(0.5, 0.5), weight_decay=0.0)
    for gradient in (4.0, 1.0):
        last = plain.item()
        plain.grad = torch.tensor([gradient])
        usual.step()
    kept = 3.0 if caution == "rescaled" else 1.0
    assert (before[2] - p[2]).item() == pytest.approx(kept * (last - plain.item()), rel=1e-5)


def test_caution_survives_a_state_dict_and_is_no_key_without():
    p = torch.nn.Parameter(torch.ones(3))
    cautious, usual = onepass.AdamW([p], caution="rescaled"), onepass.AdamW([p])
    assert "caution" not in usual.param_groups[0]
    other = onepass.AdamW([p])
    other.load_state_dict(cautious.state_dict())
    assert other.param_groups[0]["caution"] == "rescaled"
    cautious.load_state_dict(torch.optim.AdamW([p]).state_dict())
    assert cautious.param_groups[0]["caution"] == "rescaled"
    cautious.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    assert cautious.param_groups[1]["caution"] == "rescaled"
    with pytest.raises(ValueError, match="caution is 'much'; it must be one of"):
        onepass.AdamW([p], caution="much")


def test_caution_may_change_between_steps():
    p = torch.nn.Parameter(torch.ones(4))
    optimizer = onepass.AdamW([p], lr=0.1)
    for caution in ("none", "rescaled", "masked", "rescaled"):
        optimizer.param_groups[0]["caution"] = caution
        p.grad = torch.tensor([1.0, -1.0, 2.0, 0.0])
        optimizer.step()
    assert p.isfinite().all()
