"""migrate.py - a running Adam or AdamW of bitsandbytes, torchao, apex or DeepSpeed goes on with onepass: their state
dicts as those of PyTorch's optimizers. docs/python/migrating.md has the rest.

    python examples/pytorch/migrate.py
"""

import torch

import onepass.torch as onepass
from plain_loop import batch, model


# [decoded]
def decoded(state, number):
    """Returns a state of bitsandbytes as float32: a code selects a number of a map, and each 256 have a scale."""
    codes = state[f"state{number}"]
    if codes.dtype != torch.uint8:
        return codes
    scales = state[f"absmax{number}"].repeat_interleave(256)[:codes.numel()]
    return (state[f"qmap{number}"][codes.flatten().long()] * scales).view(codes.shape)


def moments(state):
    """Returns the two moments of a parameter's state, of any of the four libraries."""
    state = state | state.get("__bnb_optimizer_quant_state__", {})
    if "state1" in state:
        return {"exp_avg": decoded(state, 1), "exp_avg_sq": decoded(state, 2)}
    return {key: state[key].dequantize() if hasattr(state[key], "codes") else state[key]  # As torchao's tensors have.
            for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if key in state}
# [/decoded]


# [migrated]
def migrated(saved, optimizer):
    """Returns a state dict of another library as one that `optimizer`, of onepass or of PyTorch, loads."""
    groups, states = [], {}
    for theirs, own in zip(saved["param_groups"], optimizer.state_dict()["param_groups"], strict=True):
        if not theirs.get("bias_correction", True):
            raise ValueError("bias_correction is off; AdamW of onepass always corrects")
        groups.append(own | {key: value.item() if torch.is_tensor(value) else value  # torchao's lr is a tensor.
                             for key, value in theirs.items() if key in own and key != "param_names"})
        present = {index: saved["state"][index] for index in theirs["params"] if index in saved["state"]}
        # apex counts steps for a group, and DeepSpeed in the state of its last parameter.
        steps = max([float(theirs.get("step", 0)), *(float(state.get("step", 0)) for state in present.values())])
        for index, state in present.items():
            states[index] = {"step": torch.tensor(float(state.get("step", 0)) or steps), **moments(state)}
    return {"state": states, "param_groups": groups}
# [/migrated]


def train(network, optimizer, first, last):
    """Takes steps and returns the losses."""
    losses = []
    for step in range(first, last):
        inputs, targets = batch(step)
        loss = torch.nn.functional.mse_loss(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    import bitsandbytes

    network = model()
    old = bitsandbytes.optim.AdamW8bit(network.parameters(), lr=1e-2, min_8bit_size=1)
    print("bitsandbytes:", *(f"{loss:.3f}" for loss in train(network, old, 0, 10)))
    # [migrate]
    new = onepass.AdamW(network.parameters(), states="8bit")
    new.load_state_dict(migrated(old.state_dict(), new))
    # [/migrate]
    print("onepass:     ", *(f"{loss:.3f}" for loss in train(network, new, 10, 20)))


if __name__ == "__main__":
    main()
