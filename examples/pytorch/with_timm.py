"""with_timm.py - onepass in timm's registry of optimizers: a small ResNet, with timm's groups and its scheduler.

    python examples/pytorch/with_timm.py
"""

import timm
import torch
from timm.optim import OptimInfo, create_optimizer_v2
from timm.optim._optim_factory import default_registry
from timm.scheduler import CosineLRScheduler

from plain_loop import load, save, show

STEPS = 20

# [timm]
# No underscore: timm drops what stands before one, and would make its own "sgd" of "onepass_sgd".
default_registry.register(OptimInfo(name="onepass-sgd", opt_class="onepass.torch.SGD", has_eps=False,
                                    has_momentum=True, defaults={"nesterov": True}))
default_registry.register(OptimInfo(name="onepass-adamw", opt_class="onepass.torch.AdamW", has_betas=True))
# [/timm]


def resnet():
    """Returns a ResNet of 373,076 weights that are always the same, without a download."""
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=4, act_layer="gelu")


def images(step):
    """Returns a batch of noise with a bright quarter, which is the class."""
    generator = torch.Generator().manual_seed(step)
    pixels, classes = torch.randn(16, 3, 32, 32, generator=generator), torch.randint(4, (16,), generator=generator)
    for image, quarter in zip(pixels, classes.tolist()):
        top, left = quarter // 2 * 16, quarter % 2 * 16
        image[:, top:top + 16, left:left + 16] += 0.5
    return pixels, classes


def train(first, last, path, name="onepass-sgd"):
    """Trains from step `first`, which it finds in the checkpoint, to `last`, and saves. Returns the losses."""
    network, losses = resnet(), []
    # [timm-make]
    optimizer = create_optimizer_v2(network, name, lr=0.05, weight_decay=1e-4, momentum=0.9)
    # [/timm-make]
    scheduler = CosineLRScheduler(optimizer, t_initial=STEPS, warmup_t=4, warmup_lr_init=0.01, t_in_epochs=False)
    if first:
        load(path, optimizer=optimizer, model=network)
    for step in range(first, last):
        scheduler.step_update(step)
        pixels, classes = images(step)
        loss = torch.nn.functional.cross_entropy(network(pixels), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    save(path, model=network.state_dict(), optimizer=optimizer.state_dict())
    return losses


if __name__ == "__main__":
    show(train, STEPS)
