"""plain_loop.py - a loop of PyTorch's own that saves a run in one piece and goes on from there. Other programs of this
folder train its model on its batches.

    python examples/pytorch/plain_loop.py
"""

import os
import pathlib
import tempfile
import zipfile

import torch
import onepass.torch as onepass

STEPS = 40


def model():
    """Returns a small network that always begins with the same weights."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.GELU(), torch.nn.Linear(64, 64), torch.nn.GELU(),
                               torch.nn.Linear(64, 1))


def batch(step):
    """Returns the inputs and targets of a step: a smooth function of 16 numbers."""
    inputs = torch.randn(32, 16, generator=torch.Generator().manual_seed(step))
    return inputs, torch.sin(inputs[:, :4].sum(1, keepdim=True)) + 0.1 * inputs[:, 4:5]


# [save]
def save(path, **parts):
    """Writes a checkpoint beside its place and then renames it. A process that is killed leaves the old one whole."""
    torch.save(parts, f"{path}.part")
    os.replace(f"{path}.part", path)
# [/save]


# [load]
def check(path):
    """Raises an error if a checkpoint is damaged: torch.save writes checksums, but torch.load does not look at them."""
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except zipfile.BadZipFile as error:
        damaged = error
    if damaged is not None:
        raise ValueError(f"{path} is damaged: {damaged}")


def load(path, **parts):
    """Loads the parts of a checkpoint. Name the optimizer first: it refuses a dict of another model as a whole."""
    check(path)
    saved = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
# [/load]


def train(first, last, path, AdamW=onepass.AdamW, **options):
    """Trains from step `first`, which it finds in the checkpoint, to `last`, and saves. Returns the losses."""
    network, losses = model(), []
    optimizer = AdamW(network.parameters(), lr=1e-2, weight_decay=0.1, **options)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    parts = {"optimizer": optimizer, "model": network, "scheduler": scheduler}
    if first:
        load(path, **parts)
    for step in range(first, last):
        inputs, targets = batch(step)
        loss = torch.nn.functional.mse_loss(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    save(path, **{name: part.state_dict() for name, part in parts.items()})
    return losses


def show(train, steps=STEPS):
    """Trains without a break and with one, prints the losses, and says whether they have the same bits."""
    with tempfile.TemporaryDirectory() as folder:
        whole = train(0, steps, pathlib.Path(folder) / "whole")
        halves = [*train(0, steps // 2, pathlib.Path(folder) / "halves"),
                  *train(steps // 2, steps, pathlib.Path(folder) / "halves")]
    print(f"loss {whole[0]:.4f} at the first step, {whole[-1]:.4f} at step {steps}; "
          f"resumed at step {steps // 2}: {'the same bits' if whole == halves else 'OTHER LOSSES'}")


if __name__ == "__main__":
    show(train)
