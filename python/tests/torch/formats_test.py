"""formats_test.py - formats of 16 and 8 bits: the bits of the library, groups with formats of their own, the codecs of
state dicts, and the places of shards."""

import itertools
import math
import os

import pytest
import torch

import onepass
import onepass.torch
from models import assert_same_bits, copies, parameters, set_gradients, train
from onepass.torch import _codecs, _distributed

MASTERS = {torch.float32: ("none",), torch.bfloat16: ("none", "float32", "split", "remainder8"),
           torch.float16: ("none", "float32", "remainder8")}
FORMATS = [(dtype, master, states) for dtype, masters in MASTERS.items() for master in masters
           for states in ("float32", "bfloat16", "8bit")]


@pytest.mark.parametrize("dtype, master, states", FORMATS, ids=str)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_formats_have_the_bits_of_the_library(dtype, master, states, rounding):
    mine = parameters([(100, 3), (33,), (5,)], dtype)
    plain = copies(mine)
    optimizer = onepass.torch.AdamW(mine, lr=0.01, weight_decay=0.1, master=master, states=states, rounding=rounding,
                                    seed=9)
    grads = [torch.zeros_like(one) for one in plain]
    code = onepass.DTYPES[str(dtype).removeprefix("torch.")]
    storage = onepass.Storage(master=onepass.MASTERS[master], rounding=onepass.ROUNDINGS[rounding],
                              states=onepass.STATES[{"8bit": "quantized8"}.get(states, states)])
    listed = [onepass.Parameter(name=str(i).encode(), value=one.data_ptr(), grad=grad.data_ptr(), numel=one.numel(),
                                dtype=code, grad_dtype=code, storage=storage)
              for i, (one, grad) in enumerate(zip(plain, grads))]
    with onepass.Optimizer("AdamW", listed, onepass.CPU, onepass.Options(seed=9), lr=0.01, weight_decay=0.1) as library:
        for step in range(6):
            set_gradients(mine, step=step)
            for grad, one in zip(grads, mine):
                grad.copy_(one.grad)
            optimizer.step()
            library.step()
            if step == 3:
                optimizer.state = dict(optimizer.state)  # The optimizer plans anew, and goes on with the same bits.
    for one, two in zip(mine, plain):
        assert_same_bits(one, two)


@pytest.mark.skipif(not os.path.exists("/sys/kernel/mm/transparent_hugepage"), reason="this system has no huge pages")
def test_large_states_ask_for_huge_pages():
    parameter = torch.nn.Parameter(torch.zeros(4 << 20))
    parameter.grad = torch.ones_like(parameter)
    optimizer = onepass.torch.SGD([parameter], lr=0.1, momentum=0.9)
    optimizer.step()
    middle, found = optimizer.state[parameter]["momentum_buffer"].data_ptr() + (8 << 20), None
    with open("/proc/self/smaps", encoding="ascii") as lines:
        for line in lines:
            first, _, last = line.split(" ")[0].partition("-")
            if last:
                inside = int(first, 16) <= middle < int(last, 16)
            elif line.startswith("VmFlags:") and inside:
                found = line.split()
    if found is None:
        pytest.skip("this system does not list the flags of memory")
    assert "hg" in found


def test_a_group_has_formats_of_its_own():
    mine = parameters([(40, 3), (33,)], torch.bfloat16)
    optimizer = onepass.torch.AdamW([{"params": mine[:1], "states": "float32", "master": "float32"},
                                     {"params": mine[1:]}], states="8bit", master="remainder8")
    train([optimizer], [mine], 2)
    assert optimizer.state[mine[0]]["exp_avg"].dtype == torch.float32
    assert optimizer.state[mine[0]]["master"].dtype == torch.float32
    assert optimizer.state[mine[1]]["exp_avg"].dtype == torch.uint8
    assert optimizer.state[mine[1]]["master"].dtype == torch.uint8
    optimizer.param_groups[1]["states"] = "bfloat16"
    train([optimizer], [mine], 1, first=2)
    assert optimizer.state[mine[1]]["exp_avg"].dtype == torch.bfloat16
    optimizer.param_groups[1]["states"] = "2bit"
    with pytest.raises(ValueError, match="states is '2bit'"):
        optimizer.step()


def test_decoded_states_are_what_steps_use():
    """With a gradient of 0 and a parameter of 0, a step of SGD writes the momentum that it has decoded."""
    mine = [torch.nn.Parameter(torch.zeros(1000))]
    optimizer = onepass.torch.SGD(mine, lr=1.0, momentum=0.5, states="8bit", checkpoint="float32")
    mine[0].grad = torch.randn(1000) * torch.logspace(-6, 3, 1000)
    optimizer.step()
    decoded = optimizer.state_dict()["state"][0]["momentum_buffer"]
    mine[0].data.zero_()
    mine[0].grad.zero_()
    optimizer.step()
    assert_same_bits(mine[0].detach(), 0.0 - 0.5 * decoded)


@pytest.mark.parametrize("signed", [True, False])
def test_codes_survive_decoding_and_encoding(signed):
    shard = _codecs.Shard(32 * 64)
    codes = torch.arange(32 * 64, dtype=torch.int64).remainder(256).to(torch.uint8)
    if signed:
        codes[codes == 128] = 127  # -128 is no code.
    codes.view(-1, 32)[:, 0] = 127 if signed else 255  # Each block has its largest number.
    scales = torch.logspace(-15, 15, 64).bfloat16()
    again, same = _codecs.encode8(_codecs.decode8(codes, scales, shard, signed), shard, signed)
    off = (again.view(torch.int8) if signed else again).int() - (codes.view(torch.int8) if signed else codes).int()
    assert_same_bits(same, scales)
    assert off.abs().max() <= (0 if signed else 1)  # A square root is rounded: the code may be the next one.


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("bits", [torch.int16, torch.uint8], ids=str)
def test_remainders_survive_joining_and_splitting(dtype, bits):
    if dtype == torch.float16 and bits == torch.int16:
        pytest.skip("float16 has no split")
    generator = torch.Generator().manual_seed(3)
    value = (torch.randn(4096, generator=generator) * torch.logspace(-9, 4, 4096)).to(dtype)
    info = torch.iinfo(bits)
    remainder = torch.randint(info.min, info.max + 1, (4096,), generator=generator).to(bits)
    joined = _codecs.join(value, remainder)
    kept = joined != 0  # A zero has no remainder to return to.
    assert_same_bits(_codecs.split(value, joined, bits)[kept], remainder[kept])
    assert _codecs.split(value, joined * 1.5 + 1, bits).eq(0).float().mean() > 0.99  # Another number's remainder is 0.


@pytest.mark.parametrize("whole", [(5,), (4, 6), (3, 4, 5), (2, 3, 4, 2)])
def test_places_of_boxes_are_those_of_their_elements(whole):
    index = torch.arange(math.prod(whole)).view(whole)
    known = 0
    for ends in itertools.product(*(itertools.combinations(range(size + 1), 2) for size in whole)):
        part = index[tuple(slice(a, b) for a, b in ends)].reshape(-1)
        place = _distributed.place_of_box(whole, tuple(b - a for a, b in ends), tuple(a for a, _ in ends))
        element = torch.arange(len(part))
        if place is None:  # No runs at one pitch: the steps between its runs differ.
            assert len(set((part[1:] - part[:-1]).tolist()) - {1}) > 1
            continue
        known += 1
        if place.run:
            element = element // place.run * place.pitch + element % place.run
        assert torch.equal(part, element + place.first)
    assert known >= math.prod(whole)
