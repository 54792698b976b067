"""tools_test.py - convert(), digest(), memory_report(), and the benchmark of a model's shapes."""

import json
import subprocess
import sys

import pytest
import torch

import onepass
import onepass.torch
from models import CASES, PAIRS, assert_same_bits, copies, loop, parameters, train
from onepass.torch import convert, digest, memory_report


@pytest.mark.parametrize("name, options", CASES)
def test_a_running_optimizer_of_torch_is_converted(name, options):
    _, theirs = PAIRS[name]
    mine = parameters([(9, 5), (33,)])
    other = copies(mine)
    optimizers = loop(theirs, mine, **options), loop(theirs, other, **options)
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(one, 0.9) for one in optimizers]
    for step in range(6):
        if step == 3:
            converted = convert(optimizers[0])
            assert converted is optimizers[0] and isinstance(converted, onepass.torch.Face)
        train(optimizers, [mine, other], 1, first=step)
        for scheduler in schedulers:
            scheduler.step()
    assert optimizers[0]._plan is not None
    for one, two in zip(mine, other):
        torch.testing.assert_close(one, two)


@pytest.mark.filterwarnings("error")
def test_a_scheduler_still_knows_that_a_converted_optimizer_steps():
    mine = parameters([(3,)])
    optimizer = torch.optim.AdamW(mine, lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    convert(optimizer, states="8bit")
    train([optimizer], [mine], 1)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5 and optimizer.state[mine[0]]["exp_avg"].dtype == torch.uint8


@pytest.mark.parametrize("name, options", CASES)
@pytest.mark.parametrize("format", [{"states": "8bit"}, {"states": "bfloat16", "master": "remainder8"},
                                    {"master": "float32"}], ids=str)
def test_formats_of_a_running_optimizer_change(name, options, format):
    ours, _ = PAIRS[name]
    mine = parameters([(40, 3), (33,)], torch.bfloat16)
    other = copies(mine)
    changed, alone = ours(mine, seed=2, **options), ours(other, seed=2, **options)
    train([changed, alone], [mine, other], 3)
    assert convert(changed, **format)._arguments.seed == 2
    train([changed, alone], [mine, other], 2, first=3)
    for one, two in zip(mine, other):
        torch.testing.assert_close(one.float(), two.float(), rtol=0.03, atol=0.03)
    convert(changed, states=None, master=None)
    train([changed], [mine], 1, first=5)
    assert all(value.dtype != torch.uint8 for state in changed.state.values() for value in state.values())


def test_convert_refuses_what_it_cannot_convert_and_changes_nothing():
    mine = parameters([(3,)])
    with pytest.raises(onepass.Error, match="convert.. was given a torch.optim.lbfgs.LBFGS; it takes SGD"):
        convert(torch.optim.LBFGS(mine))
    optimizer = torch.optim.AdamW(mine)
    with pytest.raises(ValueError, match="convert: states is '4bit'"):
        convert(optimizer, states="4bit")
    optimizer.step = lambda: None
    with pytest.raises(onepass.Error, match="whose step.. somebody has replaced"):
        convert(optimizer)
    assert type(optimizer) is torch.optim.AdamW


def model_and_optimizer(**options):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3)).to(torch.bfloat16)
    optimizer = onepass.torch.AdamW(model.named_parameters(), lr=0.1, **options)
    train([optimizer], [list(model.parameters())], 3)
    return model, optimizer


@pytest.mark.parametrize("options", [{}, {"states": "8bit", "master": "remainder8"}, {"master": "float32"}], ids=str)
def test_digests_are_equal_just_if_the_bits_are(options):
    model, optimizer = model_and_optimizer(**options)
    again, same = model_and_optimizer(**options)
    known = digest(model, optimizer)
    assert known == digest(again, same) and len(known) == 8 and int(known, 16) >= 0
    assert digest(model) == digest(again) != known
    seen = {known, digest(model)}
    for change in (lambda: again[0].weight.data[2, 3].mul_(-1), lambda: again[0].bias.data.copy_(again[0].bias.flip(0)),
                   lambda: same.state[again[1].weight]["step"].add_(1),
                   lambda: same.state[again[1].weight]["exp_avg"].view(-1)[:1].add_(1),
                   lambda: same.state[again[1].weight]["master"].view(-1)[:1].add_(1)):
        change()
        seen.add(digest(again, same))
    assert len(seen) == 7


def test_any_nan_has_the_digest_of_any_other():
    weights = [torch.tensor([1, bits], dtype=torch.int32).view(torch.float32)
               for bits in (0x7FC00000, 0x7FA00001, 0x7F800000)]
    digests = [digest([("weight", torch.nn.Parameter(one))]) for one in weights]
    assert digests[0] == digests[1] != digests[2]


def test_memory_report_counts_a_model_before_it_exists():
    with torch.device("meta"):
        model = torch.nn.Linear(1000, 1000, bias=False)
    report = memory_report(model, gpu="24GB")
    by_name = {row.format.name: row for row in report.rows}
    assert by_name["float32"].total == 16_000_000
    assert by_name["float32, 8-bit states"].total == 4_000_000 * 2 + 2_000_000 + 2 * 2 * 1_000_000 // 32
    assert "24.00 GB" in str(report) or "24,000.00 MB" in str(report)
    assert "<table>" in report._repr_html_()
    amsgrad = memory_report(model.named_parameters(), torch.optim.AdamW(model.parameters(), amsgrad=True))
    assert amsgrad.rows[0].total == 20_000_000
    with pytest.raises(onepass.Error, match='parameter "0" is of torch.float64; a memory report counts float32'):
        memory_report([torch.ones(3, dtype=torch.float64)])


def test_memory_report_counts_what_an_optimizer_takes():
    mine = parameters([(100, 33), (7,)])
    for name, arguments in {"float32": {}, "float32, 8-bit states": {"states": "8bit"},
                            "float32, bfloat16 states": {"states": "bfloat16"}}.items():
        optimizer = onepass.torch.AdamW(mine, **arguments)
        train([optimizer], [mine], 1)
        taken = sum(t.numel() * t.element_size() for state in optimizer.state.values() for key, value in state.items()
                    for t in (value, getattr(value, "_onepass_scales", torch.empty(0))) if key != "step")
        assert next(row for row in memory_report(mine).rows if row.format.name == name).states == taken


def test_a_step_of_many_small_tensors_takes_a_fraction_of_torchs():
    """docs/performance.md has the ratio of an idle machine, more than 10. A third of it leaves room for a busy one."""
    from onepass.torch import bench
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names = ["torch fused", "onepass", "onepass, clipped"]
    try:
        times = bench.measure([(16,)] * 1000, torch.device("cpu"), 5, 10, names)
    finally:
        torch.set_num_threads(threads)
    assert times["torch fused"] > 3 * max(times["onepass"], times["onepass, clipped"]), times


def test_bench_prints_a_table_and_draws_a_picture(tmp_path):
    run = subprocess.run([sys.executable, "-m", "onepass", "bench", "--model", "50x16", "--rounds", "3", "--json",
                          "--out", tmp_path / "bench.svg"], capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(run.stdout)
    assert found["numel"] == 800 and all(ms > 0 for ms in found["ms"].values())
    assert {"onepass", "torch fused", "torch foreach"} < set(found["ms"])
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")
    from onepass.torch import bench
    assert "times torch fused's speed" in bench.table(found["ms"], 800)
    assert bench.names_of("onepass") == ["torch fused", "onepass"]
    with pytest.raises(SystemExit, match="--only names 'twopass'; it knows torch for-loop"):
        bench.names_of("twopass")
    with pytest.raises(SystemExit, match="it must be"):
        bench.shapes_of("resnet")
