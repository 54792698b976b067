"""scenarios_tensors.py - tensors cut over ranks: bits, norms, skips. Gradients are functions of the whole tensor, so
that runs with other numbers of ranks must have the same bits."""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import onepass.torch as onepass
from models import assert_same_bits, copies, parameters, set_gradients
from scenario_tools import bits, cut, give_gradients, line, scenario, whole, world

SHAPES = [(13, 6), (5,), (3, 3), (64, 32), (1, 7)]  # Over 2 and 4 ranks: uneven and empty shards.
ROUNDED = {"master": "none", "states": "bfloat16", "rounding": "stochastic", "seed": 3}
FORMATS = {"float32": (torch.float32, {}), "split": (torch.bfloat16, {}), "float16": (torch.float16, {}),
           "stochastic": (torch.bfloat16, ROUNDED),
           "remainder8": (torch.bfloat16, {"master": "remainder8", "seed": 4})}


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
            results[f"{name} {placements.__name__}"] = bits(sharded + states) + [
                optimizer.grad_norm.hex(), onepass.digest([(str(i), p) for i, p in enumerate(sharded)], optimizer)]
    return results


@scenario
def perturbed_shards_have_the_bits_of_the_whole():
    """Where SAM and ASAM move shards in every format, and that the shards come back."""
    results, mesh = {}, line()
    for name, (dtype, arguments) in FORMATS.items():
        for placements in (rows, columns, some_replicated):
            model = parameters(SHAPES, dtype)
            sharded = cut(model, mesh, placements)
            optimizer = onepass.AdamW(sharded, lr=0.01, **arguments)
            before = bits(sharded)
            for adaptive in (False, True):
                give_gradients(sharded, model, int(adaptive))
                optimizer.perturb(rho=1.0, adaptive=adaptive)
                results[f"{name} {placements.__name__} {adaptive}"] = bits(sharded)
                assert bits(sharded) != before
                optimizer.restore()
                assert bits(sharded) == before
    return results


@scenario
def norms_of_whole_tensors_have_the_bits_of_the_whole():
    """Rules that take sums over tensors or over the model, of which each rank has a part, or nothing."""
    results, mesh = {}, line()
    def cautious(*args, **kwargs):
        return onepass.AdamW(*args, caution="rescaled", **kwargs)

    for make in (onepass.LAMB, onepass.LARS, onepass.NovoGrad, onepass.StableAdamW, onepass.MARS, onepass.Prodigy,
                 cautious):
        for placements in (rows, columns, some_replicated):
            for clip, by in ((None, "all"), (1.0, "all"), (0.3, "parameter")):
                model = parameters(SHAPES)
                sharded = cut(model, mesh, placements)
                optimizer = make(sharded, lr=0.01, weight_decay=0.1, max_grad_norm=clip, clip_by=by)
                for step in range(4):
                    give_gradients(sharded, model, step)
                    optimizer.step()
                results[f"{make.__name__} {placements.__name__} {clip} {by}"] = bits(sharded)
    return results


@scenario
def parameters_are_clipped_by_their_norms_on_all_ranks():
    """Clipping by parameter, for shards, replicated parameters beside them, and a plain tensor."""
    results, mesh = {}, line()
    for placements in (rows, columns, some_replicated):
        model = parameters(SHAPES)
        sharded = cut(model, mesh, placements)
        plain = torch.nn.Parameter(torch.linspace(-1, 1, 10))
        optimizer = onepass.AdamW([*sharded, plain], lr=0.01, max_grad_norm=0.3, clip_by="parameter")
        for step in range(4):
            give_gradients(sharded, model, step)
            plain.grad = torch.full_like(plain, 0.5)
            optimizer.step()
        results[placements.__name__] = bits([*sharded, plain]) + [optimizer.grad_norm.hex()]
    return results


@scenario
def matrices_with_states_of_rows_and_columns_are_whole_on_every_rank():
    """Beside vectors of which each rank has a part. Cut matrices are refused by all ranks."""
    results, mesh = {}, line()
    def vectors_cut(parameter):
        return [Shard(0)] if parameter.dim() == 1 else [Replicate()]

    for make in (onepass.Adafactor, onepass.CAME, onepass.AdamMini):
        model = parameters(SHAPES)
        sharded = cut(model, mesh, vectors_cut)
        optimizer = make(sharded, lr=0.01, weight_decay=0.1, max_grad_norm=1.0)
        for step in range(4):
            give_gradients(sharded, model, step)
            optimizer.step()
        states = [value for p in sharded for key, value in optimizer.state[p].items() if key != "step"]
        results[make.__name__] = bits(sharded + states)
        plain = parameters(SHAPES)
        beside = make(plain, lr=0.01, weight_decay=0.1, max_grad_norm=1.0)
        for step in range(4):
            set_gradients(plain, step=step)
            beside.step()
        for one, part in zip(plain, sharded):
            torch.testing.assert_close(whole(part.detach()), one.detach())
        for placements in (rows, columns):
            refused = make(cut(model, mesh, placements), lr=0.01)
            give_gradients(refused.param_groups[0]["params"], model, 0)
            try:
                refused.step()
                assert world() == 1
            except RuntimeError as error:
                assert world() > 1 and f"cut over {world()} ranks" in str(error), error
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
