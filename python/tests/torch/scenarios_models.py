"""scenarios_models.py - models in many processes: DDP, FSDP2, ZeRO, and checkpoints that other numbers of ranks
load."""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

import onepass.torch as onepass
from scenario_tools import (FOLDER, batch, bits, give_gradients, line, one_process, perceptron, scenario, whole, world)


def data_parallel(model, optimizer, steps=4):
    for step in range(steps):
        inputs, targets = (part.chunk(world())[dist.get_rank()] for part in batch(step))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()


@scenario
def ddp():
    for view in (False, True):
        model = torch.nn.parallel.DistributedDataParallel(perceptron(), gradient_as_bucket_view=view,
                                                          find_unused_parameters=view)
        data_parallel(model, onepass.AdamW(model.parameters(), lr=0.01))
        for one, two in zip(model.parameters(), one_process()):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=3e-7)


@scenario
def fsdp2():
    from torch.distributed.fsdp import fully_shard

    model = perceptron()
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mesh=line())
    fully_shard(model, mesh=line())
    optimizer = onepass.AdamW(model.parameters(), lr=0.01)
    data_parallel(model, optimizer)
    for part, one in zip(model.parameters(), one_process()):
        torch.testing.assert_close(whole(part.detach()), one.detach(), rtol=1e-5, atol=3e-7)
        assert isinstance(optimizer.state[part]["exp_avg"], DTensor)
        assert optimizer.state[part]["exp_avg"].placements == part.placements


@scenario
def cpu_offload_policy():
    """FSDP2 keeps parameters, gradients and states of a model on a GPU in the CPU's memory: the SIMD loops step
    them."""
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard

    if torch.cuda.device_count() < world():
        return "skipped: needs a GPU for each rank"
    torch.cuda.set_device(dist.get_rank())
    model = fully_shard(perceptron(), mesh=init_device_mesh("cuda", (world(),)), offload_policy=CPUOffloadPolicy())
    optimizer = onepass.AdamW(model.parameters(), lr=0.01)
    for step in range(4):
        inputs, targets = (part.chunk(world())[dist.get_rank()].cuda() for part in batch(step))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
    for part, one in zip(model.parameters(), one_process()):
        assert part.device.type == "cpu"
        torch.testing.assert_close(whole(part.detach()), one.detach(), rtol=1e-4, atol=1e-5)
    return None


@scenario
def zero_redundancy_optimizer():
    from torch.distributed.optim import ZeroRedundancyOptimizer

    model = torch.nn.parallel.DistributedDataParallel(perceptron())
    optimizer = ZeroRedundancyOptimizer(model.parameters(), optimizer_class=onepass.AdamW, lr=0.01)
    data_parallel(model, optimizer)
    for one, two in zip(model.parameters(), one_process()):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=3e-7)
    optimizer.consolidate_state_dict(0)
    if dist.get_rank() == 0:
        torch.optim.AdamW(perceptron().parameters()).load_state_dict(optimizer.state_dict())


def sharded_model(dtype):
    """Returns an FSDP2 model and a copy that has it whole."""
    from torch.distributed.fsdp import fully_shard

    model, copy = perceptron().to(dtype), perceptron().to(dtype)
    mesh = line()
    for layer in model[::2]:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh), list(copy.parameters())


def checkpointed(name, model, optimizer, flat, load=None, save=None):
    """Saves, or loads, model and optimizer by torch.distributed.checkpoint."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    weights, states = get_state_dict(model, optimizer, options=options)
    if save:
        dcp.save({"model": weights, "optimizer": states}, checkpoint_id=FOLDER / f"{name}-{save}")
    if load:
        dcp.load({"model": weights, "optimizer": states}, checkpoint_id=FOLDER / f"{name}-{load}")
        set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=states, options=options)


@scenario
def checkpoints_of_other_numbers_of_ranks_are_loaded():
    """Every run saves after two steps, and goes on from each checkpoint that is there: its own and those of other
    runs."""
    results = {}
    for flat in (False, True):
        for format, dtype, arguments in (("float32", torch.float32, {}), ("split", torch.bfloat16, {}),
                                         ("rounded", torch.bfloat16, {"master": "none", "rounding": "stochastic"})):
            name = f"{format}-{flat}"
            model, copy = sharded_model(dtype)
            optimizer = onepass.AdamW(model.parameters(), lr=0.01, max_grad_norm=1.0, **arguments)
            for step in range(4):
                if step == 2:
                    checkpointed(name, model, optimizer, flat, save=world())
                give_gradients(model.parameters(), copy, step)
                optimizer.step()
            results[name] = bits(model.parameters())
            dist.barrier()
            for folder in sorted(FOLDER.glob(f"{name}-*")):
                other, copy = sharded_model(dtype)
                optimizer = onepass.AdamW(other.parameters(), lr=0.5, max_grad_norm=1.0, **arguments)
                checkpointed(name, other, optimizer, flat, load=folder.name.removeprefix(f"{name}-"))
                for step in (2, 3):
                    give_gradients(other.parameters(), copy, step)
                    optimizer.step()
                assert bits(other.parameters()) == results[name], folder.name
    return results


@scenario
def checkpoints_of_torch_are_loaded_and_go_back():
    model, copy = sharded_model(torch.float32)
    first = torch.optim.AdamW(model.parameters(), lr=0.01, foreach=False)
    give_gradients(model.parameters(), copy, 0)
    first.step()
    checkpointed("torch", model, first, False, save=world())
    dist.barrier()
    other, _ = sharded_model(torch.float32)
    second = onepass.AdamW(other.parameters(), lr=0.5)
    checkpointed("torch", other, second, False, load=world())
    for optimizer, parts in ((first, model), (second, other)):
        give_gradients(parts.parameters(), copy, 1)
        optimizer.step()
    for one, two in zip(model.parameters(), other.parameters()):
        torch.testing.assert_close(whole(one.detach()), whole(two.detach()))
    checkpointed("onepass", other, second, False, save=world())
    dist.barrier()
    checkpointed("onepass", model, first, False, load=world())
