"""scenario_tools.py - what the scenarios of a distributed run share: their list, tensors cut over ranks, and a small
model."""

import pathlib
import sys
import zlib

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from models import set_gradients

SCENARIOS = {}
FOLDER = pathlib.Path(sys.argv[-1])  # For checkpoints; the runs of all numbers of ranks share it.


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def world():
    return dist.get_world_size()


def line():
    return init_device_mesh("cpu", (world(),), mesh_dim_names=("shards",))


def whole(tensor):
    """Returns all of a DTensor. gloo sends no 16-bit integers, so these travel as wider ones."""
    if not isinstance(tensor, DTensor):
        return tensor
    narrow = tensor.dtype if tensor.dtype in (torch.int16, torch.uint8) else None
    return tensor.full_tensor() if narrow is None else tensor.to(torch.int32).full_tensor().to(narrow)


def bits(tensors):
    """Returns a number for each tensor that is equal just if its bits are."""
    return [zlib.crc32(whole(tensor.detach()).contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
            for tensor in tensors]


def cut(model, mesh, placements):
    """Returns DTensor parameters with the numbers of a model."""
    return [torch.nn.Parameter(distribute_tensor(p.detach().clone(), mesh, placements(p))) for p in model]


def give_gradients(sharded, model, step):
    """Gives the parts of a model the gradients of the whole."""
    set_gradients(model, step=step)
    for part, one in zip(sharded, model):
        part.grad = distribute_tensor(one.grad.clone(), part.device_mesh, part.placements)


def perceptron():
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(6, 13), torch.nn.Tanh(), torch.nn.Linear(13, 5), torch.nn.Tanh(),
                               torch.nn.Linear(5, 3))


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 6, generator=generator), torch.randn(8, 3, generator=generator)


def one_process(steps=4):
    model = perceptron()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for step in range(steps):
        inputs, targets = batch(step)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
    return list(model.parameters())
