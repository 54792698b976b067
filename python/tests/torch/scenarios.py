"""scenarios.py - what every rank of a distributed run does; distributed_test.py starts it by torchrun, once for each
number of ranks, and reads what rank 0 has written. Gradients are functions of the whole tensor, so that runs with other
numbers of ranks must have the same bits."""

import datetime
import json
import os
import pathlib
import sys
import traceback
import zlib

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import onepass.torch as onepass
from models import assert_same_bits, copies, parameters, set_gradients, train

SHAPES = [(13, 6), (5,), (3, 3), (64, 32), (1, 7)]  # Over 2 and 4 ranks: uneven and empty shards.
ROUNDED = {"master": "none", "states": "bfloat16", "rounding": "stochastic", "seed": 3}
FORMATS = {"float32": (torch.float32, {}), "split": (torch.bfloat16, {}), "float16": (torch.float16, {}),
           "stochastic": (torch.bfloat16, ROUNDED),
           "remainder8": (torch.bfloat16, {"master": "remainder8", "seed": 4})}
SCENARIOS = {}


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


def rows(_):
    return [Shard(0)]


def columns(parameter):
    return [Shard(parameter.dim() - 1)]


def some_replicated(parameter):
    return [Replicate()] if parameter.dim() == 1 else [Shard(0)]


@scenario
def shards_have_the_bits_of_the_whole():
    """Parameters, states and norm, for rows, columns and beside replicated parameters, in every format without 8
    bits."""
    results, mesh = {}, line()
    for name, (dtype, arguments) in FORMATS.items():
        for placements in (rows, columns, some_replicated):
            model = parameters(SHAPES, dtype)
            sharded = cut(model, mesh, placements)
            optimizer = onepass.AdamW(sharded, lr=0.01, weight_decay=0.1, max_grad_norm=1.0, **arguments)
            for step in range(4):
                give_gradients(sharded, model, step)
                optimizer.step()
            states = [value for p in sharded for key, value in optimizer.state[p].items() if key != "step"]
            results[f"{name} {placements.__name__}"] = bits(sharded + states) + [optimizer.grad_norm.hex()]
    return results


@scenario
def blocks_of_8_bit_states_have_the_bits_of_the_whole():
    """Rows of 32 elements cut no group that shares a scale."""
    model = parameters([(64, 32), (8, 64)], torch.bfloat16)
    sharded = cut(model, line(), rows)
    optimizer = onepass.AdamW(sharded, lr=0.01, states="8bit", master="remainder8", max_grad_norm=1.0)
    for step in range(4):
        give_gradients(sharded, model, step)
        optimizer.step()
    return bits(sharded)


@scenario
def norm_is_torchs():
    model = parameters(SHAPES)
    sharded = cut(model, line(), some_replicated)
    optimizer = onepass.SGD(sharded, lr=0.1, max_grad_norm=1.0)
    give_gradients(sharded, model, 0)
    expected = torch.nn.utils.clip_grad_norm_(copies_with_gradients(model), 1.0)
    optimizer.step()
    assert abs(optimizer.grad_norm - expected.item()) < 1e-5 * expected.item()


def copies_with_gradients(model):
    made = copies(model)
    for one, two in zip(made, model):
        one.grad = two.grad.clone()
    return made


@scenario
def two_dimensions_of_ranks():
    """Rows over one dimension of the mesh and columns over the other, beside parameters that only one of them cuts."""
    if world() != 4:
        return None
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "model"))
    model = parameters([(8, 6), (7,), (13, 4)])
    placements = [[Shard(0), Shard(1)], [Replicate(), Replicate()], [Shard(0), Replicate()]]
    sharded = [torch.nn.Parameter(distribute_tensor(p.detach().clone(), mesh, place))
               for p, place in zip(model, placements)]
    beside = torch.nn.Parameter(distribute_tensor(torch.ones(5), mesh["data"], [Shard(0)]))
    plain = torch.nn.Parameter(torch.ones(3))
    optimizer = onepass.SGD([*sharded, beside, plain], lr=0.1, max_grad_norm=1.0)
    give_gradients(sharded, model, 0)
    beside.grad = distribute_tensor(torch.full((5,), 2.0), mesh["data"], [Shard(0)])
    plain.grad = torch.full((3,), 3.0)
    optimizer.step()
    expected = (sum(p.grad.double().square().sum() for p in model) + 5 * 4 + 3 * 9).sqrt().item()
    assert abs(optimizer.grad_norm - expected) < 1e-9 * expected, (optimizer.grad_norm, expected)
    for one, part in zip(model, sharded):
        torch.testing.assert_close(whole(part.detach()), one.detach() - 0.1 * one.grad / (expected + 1e-6))


@scenario
def inf_on_one_rank_skips_everywhere():
    model = parameters(SHAPES)
    sharded = cut(model, line(), rows)
    optimizer = onepass.AdamW(sharded, lr=0.1, skip_nonfinite=True)
    give_gradients(sharded, model, 0)
    optimizer.step()
    before = [whole(p.detach()).clone() for p in sharded]
    give_gradients(sharded, model, 1)
    if dist.get_rank() == world() - 1:
        next(p.grad._local_tensor for p in sharded if p.grad._local_tensor.numel()).view(-1)[0] = float("inf")
    optimizer.step()
    for one, part in zip(before, sharded):
        assert_same_bits(one, whole(part.detach()))
    assert optimizer.skipped_steps == 1
    assert optimizer.state[sharded[0]]["step"].item() == 1


@scenario
def a_rank_without_gradients_takes_part():
    model = parameters([(8, 4)])
    sharded = cut(model, line(), rows)
    optimizer = onepass.SGD(sharded, lr=0.1, max_grad_norm=1.0)
    give_gradients(sharded, model, 0)
    if dist.get_rank() == 0:
        sharded[0].grad = None
    optimizer.step()
    part = -(-8 // world())
    expected = model[0].grad[part:].double().norm().item() if world() > 1 else 0.0
    assert dist.get_rank() == 0 or abs(optimizer.grad_norm - expected) < 1e-9


@scenario
def gradients_with_other_placements_are_brought_to_the_parameters():
    model = parameters([(8, 4)])
    mesh = line()
    sharded = cut(model, mesh, rows)
    optimizer = onepass.SGD(sharded, lr=0.1)
    set_gradients(model)
    sharded[0].grad = distribute_tensor(model[0].grad.clone(), mesh, [Replicate()])
    optimizer.step()
    torch.testing.assert_close(whole(sharded[0].detach()), model[0].detach() - 0.1 * model[0].grad)


@scenario
def plain_tensors_add_their_norm_over_a_group():
    """Whoever shards by hand names the group."""
    mine = [torch.nn.Parameter(torch.ones(4))]
    optimizer = onepass.SGD(mine, lr=0.1, max_grad_norm=1.0, process_group=dist.group.WORLD)
    mine[0].grad = torch.full((4,), float(dist.get_rank() + 1))
    optimizer.step()
    expected = sum(4 * (rank + 1) ** 2 for rank in range(world())) ** 0.5
    assert abs(optimizer.grad_norm - expected) < 1e-12 * expected


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


def run_all():
    """Returns the results of all scenarios: the same on every rank."""
    results = {}
    for name, run in SCENARIOS.items():
        try:
            results[name] = run()
        except Exception:
            results[name] = {"failed": traceback.format_exc()}
            print(f"rank {dist.get_rank()}: {name}: {results[name]['failed']}", flush=True)
        gathered = [None] * world()
        dist.all_gather_object(gathered, results[name])
        failed = [one for one in gathered if isinstance(one, dict) and "failed" in one]
        results[name] = failed[0] if failed else results[name]
        if not failed and any(one != gathered[0] for one in gathered):
            results[name] = {"failed": f"ranks differ: {gathered}"}
    return results


if __name__ == "__main__":
    FOLDER = pathlib.Path(sys.argv[1])
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=30))  # A rank that waits for a dead one fails.
    found = run_all()
    if dist.get_rank() == 0:
        (FOLDER / f"{world()}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may still run here, and end a process that waits for them by an abort.
