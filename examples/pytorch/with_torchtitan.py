"""with_torchtitan.py - torchtitan's container of optimizers, which knows its own names alone: a subclass adds those of
onepass. Its configuration chooses an optimizer, and a format of the states, by the names of the parameters.

    python examples/pytorch/with_torchtitan.py
"""

import dataclasses

import torch
from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig

import onepass.torch as onepass
from plain_loop import batch, load, model, save, show


# [torchtitan]
class OnepassContainer(OptimizersContainer):
    @dataclasses.dataclass(kw_only=True, slots=True)
    class Config(OptimizersContainer.Config):
        pass

    @staticmethod
    def _resolve_optimizer_factory(name):
        own = {"onepass.AdamW": onepass.AdamW, "onepass.SGD": onepass.SGD}
        return own.get(name) or OptimizersContainer._resolve_optimizer_factory(name)
# [/torchtitan]


def configuration(name, states):
    """Returns a configuration whose matrices have a format of states of their own."""
    options = {"lr": 1e-2, "weight_decay": 0.1, "betas": (0.9, 0.95)}
    # [torchtitan-groups]
    groups = [ParamGroupConfig(pattern=r"bias$", optimizer_name=name, optimizer_kwargs=options),
              ParamGroupConfig(pattern=r".*", optimizer_name=name, optimizer_kwargs={**options, **states})]
    return OnepassContainer.Config(param_groups=groups, implementation="for-loop")
    # [/torchtitan-groups]


def train(first, last, path, name="onepass.AdamW", **states):
    """Trains from step `first`, which it finds in the checkpoint, to `last`, and saves. Returns the losses."""
    network, losses = model(), []
    optimizers = configuration(name, states).build(model_parts=[network])
    if first:
        load(path, model=network, optimizers=optimizers)
    for step in range(first, last):
        inputs, targets = batch(step)
        loss = torch.nn.functional.mse_loss(network(inputs), targets)
        optimizers.zero_grad()
        loss.backward()
        optimizers.step()
        losses.append(loss.item())
    save(path, model=network.state_dict(), optimizers=optimizers.state_dict())
    return losses


if __name__ == "__main__":
    show(train)
