"""with_accelerate.py - a loop of Hugging Face's accelerate, with clipping, accumulation and a checkpoint in the middle.

    python examples/pytorch/with_accelerate.py
"""

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin

import onepass.torch as onepass
from plain_loop import STEPS, batch, model, show


def train(first, last, folder, AdamW=onepass.AdamW):
    """Trains from step `first`, which accelerate finds in the folder, to `last`, and saves. Returns the losses."""
    # The scheduler is told of steps of the optimizer, not of micro-batches.
    accumulation = GradientAccumulationPlugin(num_steps=2, adjust_scheduler=False)
    # [accelerate]
    accelerator = Accelerator(gradient_accumulation_plugin=accumulation)
    network = model()
    optimizer = AdamW(network.parameters(), lr=1e-2, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    network, optimizer, scheduler = accelerator.prepare(network, optimizer, scheduler)
    if first:
        accelerator.load_state(folder)
    # [/accelerate]
    losses = []
    for step in range(first, last):
        inputs, targets = (tensor.to(accelerator.device) for tensor in batch(step))
        with accelerator.accumulate(network):
            loss = torch.nn.functional.mse_loss(network(inputs), targets)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    accelerator.save_state(folder)
    return losses


if __name__ == "__main__":
    show(train)
