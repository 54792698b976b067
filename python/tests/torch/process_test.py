"""process_test.py - a process around the optimizer: torch.compile, hooks that step in the backward pass, threads,
garbage collection and fork. Numbers in brackets are rows of the table in docs/python/pytorch.md."""

import gc
import os
import subprocess
import sys
import threading

import pytest
import torch

import onepass.torch as onepass
from models import assert_same_bits, copies, parameters, set_gradients, train


def test_training_steps_are_compiled_around_the_step():  # [36]
    compiled = torch.nn.Linear(4, 4)
    plain = torch.nn.Linear(4, 4)
    plain.load_state_dict(compiled.state_dict())
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    def training_step(model, optimizer, inputs):
        optimizer.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    optimizers = onepass.AdamW(compiled.parameters(), lr=0.1), onepass.AdamW(plain.parameters(), lr=0.1)
    fast = torch.compile(training_step, backend=backend)
    for step in range(5):
        inputs = torch.full((2, 4), float(step))
        fast(compiled, optimizers[0], inputs), training_step(plain, optimizers[1], inputs)
        if step == 2:
            known = len(graphs)
    assert len(graphs) == known  # Later steps compile nothing anew.
    for one, two in zip(compiled.parameters(), plain.parameters()):
        torch.testing.assert_close(one, two)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: captures a step in a CUDA graph")
def test_replays_of_a_captured_step_go_on():  # [37]
    captured, plain = (torch.nn.Parameter(torch.ones(100, device="cuda")) for _ in range(2))
    optimizers = [onepass.AdamW([p], lr=0.1, capturable=True) for p in (captured, plain)]
    for parameter, optimizer in zip((captured, plain), optimizers):
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizers[0].step()
    for _ in range(3):
        graph.replay()
        optimizers[1].step()
    assert_same_bits(captured.cpu(), plain.cpu())


def test_gradients_are_released_as_the_backward_pass_makes_them():  # [44]
    """One optimizer a parameter, stepped by a hook: no two gradients are alive at once."""
    released, plain = (torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)) for _ in range(2))
    plain.load_state_dict(released.state_dict())
    optimizers = {p: onepass.AdamW([p], lr=0.1) for p in released.parameters()}
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9) for optimizer in optimizers.values()]

    def step(parameter):
        optimizers[parameter].step()
        parameter.grad = None

    for parameter in released.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    reference = onepass.AdamW(plain.parameters(), lr=0.1)
    schedulers.append(torch.optim.lr_scheduler.ExponentialLR(reference, 0.9))
    for _ in range(4):
        reference.zero_grad()
        released(torch.ones(3, 4)).sum().backward()
        plain(torch.ones(3, 4)).sum().backward()
        reference.step()
        for scheduler in schedulers:
            scheduler.step()
    assert all(p.grad is None for p in released.parameters())
    for one, two in zip(released.parameters(), plain.parameters()):
        assert_same_bits(one, two)


def test_twelve_threads_each_own_an_optimizer():
    models = [parameters([(257,), (33, 3)], seed=i % 2) for i in range(12)]
    optimizers = [onepass.AdamW(model, lr=0.01, max_grad_norm=1.0) for model in models]
    failed = []

    def run(model, optimizer):
        try:
            train([optimizer], [model], 30)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(models, optimizers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for i, model in enumerate(models):
        for one, two in zip(model, models[i % 2]):
            assert_same_bits(one, two)


def test_an_optimizer_is_collected_in_the_middle_of_its_life():
    """The step's closure drops the last reference to the optimizer and collects."""
    model, kept = parameters([(64,)]), {}
    kept["optimizer"] = onepass.AdamW(model, lr=0.1)
    train([kept["optimizer"]], [model], 1)
    set_gradients(model, step=1)

    def closure():
        del kept["optimizer"]
        gc.collect()
        return 1.0

    cycle = kept["optimizer"]
    cycle.itself = cycle
    step = kept["optimizer"].step
    del cycle
    assert step(closure) == 1.0
    del step
    gc.collect()
    assert torch.isfinite(model[0]).all()


def test_many_optimizers_come_and_go_while_another_steps():
    model = parameters([(129,)])
    other = copies(model)
    steady, alone = onepass.AdamW(model, lr=0.01), onepass.AdamW(other, lr=0.01)
    for step in range(20):
        passing = parameters([(65,)])
        train([onepass.SGD(passing, lr=0.1)], [passing], 1)
        train([steady, alone], [model, other], 1, first=step)
        gc.collect()
    assert_same_bits(model[0], other[0])


FORKED = """
import os, sys
import torch
import onepass.torch as onepass
def run():
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(300))
    o = onepass.AdamW([p], lr=0.1)
    for _ in range(3):
        p.grad = torch.ones(300)
        o.step()
    return p.sum().item()
before = run() if sys.argv[1] == "after a step" else None
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, repr(run()).encode())
    os._exit(0)
assert os.read(read, 100).decode() == repr(run())
"""


@pytest.mark.parametrize("when", ["after import", "after a step"])
def test_a_forked_process_steps(when):
    threads = {"OMP_NUM_THREADS": "1"} if when == "after a step" else {}  # OpenMP's threads do not survive a fork.
    subprocess.run([sys.executable, "-c", FORKED, when], check=True, timeout=120, env={**os.environ, **threads})
