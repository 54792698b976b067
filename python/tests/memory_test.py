"""onepass.memory_report counts the bytes that real optimizers take, and shows them as text and HTML."""

import ctypes
import html
import re
import xml.etree.ElementTree as xml

import onepass
import pytest
from onepass import _interface, _memory

GPT2 = [("wte", 38597376, "float32"),
        *((f"block{i}", 7087872, "float32") for i in range(12)), ("ln_f", 1536, "float32")]
# Sizes that are no multiple of 32, the block of 8-bit states, and of both kinds.
MIXED = [("matrix", 1000, "bfloat16"), ("bias", 33, "bfloat16"), ("norm", 7, "float32")]
CASES = [("AdamW", {}), ("AdamW", {"amsgrad": True}), ("SGD", {}), ("SGD", {"momentum": 0.9}),
         ("RMSProp", {"centered": True, "momentum": 0.5})]


def real_bytes(format, parameters, rule, hyperparameters):
    """Makes an optimizer, whose parameters have memory, and returns the bytes of each stream by name."""
    kept, made = [], []
    has_16_bits = any(dtype != "float32" for _, _, dtype in parameters)
    for name, numel, dtype in parameters:
        is_float32 = format.dtype == "float32" or (has_16_bits and dtype == "float32")
        memory = [(ctypes.c_float if is_float32 else ctypes.c_uint16) * numel for _ in range(2)]
        kept += [kind() for kind in memory]
        value, grad = map(ctypes.addressof, kept[-2:])
        code = onepass.DTYPES["float32" if is_float32 else "bfloat16"]
        storage = onepass.Storage(master=0 if is_float32 else onepass.MASTERS[format.master],
                                  states=onepass.STATES[format.states])
        made.append(onepass.Parameter(name=name.encode(), value=value, grad=grad, numel=numel, dtype=code,
                                      grad_dtype=code, storage=storage))
    calls, handle, count = onepass.library().calls, _interface.HANDLE(), _interface.LONG()
    info, found = _interface.StreamInfo(), {}
    with onepass.Optimizer(rule, made, **hyperparameters) as optimizer:
        onepass.library().check(calls.onepass_memory(optimizer.handle, ctypes.byref(handle)))
        onepass.library().check(calls.onepass_streams_count(handle, ctypes.byref(count)))
        for index in range(count.value):
            onepass.library().check(calls.onepass_streams_at(handle, index, ctypes.byref(info)))
            found[info.name.decode()] = info.bytes
        calls.onepass_streams_destroy(handle)
    return found


@pytest.mark.parametrize("rule, hyperparameters", CASES)
@pytest.mark.parametrize("parameters", [MIXED, [("w", 1025, "float32")]])
def test_every_row_is_what_a_real_optimizer_takes(parameters, rule, hyperparameters):
    report = onepass.memory_report(parameters, rule=rule, **hyperparameters)
    assert [row.format for row in report.rows] == list(_memory.FORMATS)
    for row in report.rows:
        real = real_bytes(row.format, parameters, rule, hyperparameters)
        master = real.pop("master", 0) + real.pop("remainder", 0)
        assert (row.weights, row.gradients, row.master) == (real.pop("param"), real.pop("grad"), master), row.format
        assert row.states == sum(real.values()), row.format
        assert row.total == row.weights + row.gradients + row.states + row.master


def test_bytes_per_parameter_are_those_of_the_table_of_formats():
    report = onepass.memory_report([("w", 32 * 1000, "float32")])
    assert {row.format.name: row.total / 32000 for row in report.rows} == {
        "float32": 16, "float32, bfloat16 states": 12, "float32, 8-bit states": 10.125, "master": 16, "split": 14,
        "split, 8-bit states": 8.125, "compact": 7.125, "bf16": 12, "all-bf16": 8, "bf16, 8-bit states": 6.125}


def test_float16_takes_as_much_as_bfloat16():
    half = onepass.memory_report([("w", 1000, "float16")])
    assert half.rows == onepass.memory_report([("w", 1000, "bfloat16")]).rows


def test_the_text_says_which_formats_fit():
    lines = str(onepass.memory_report(GPT2, gpu="1.5 GB")).splitlines()
    assert lines[0] == "AdamW over 123,653,376 parameters in 14 tensors, without activations"
    assert re.split(r"\s{2,}", lines[1]) == ["format", "weights", "gradients", "states", "master", "total",
                                             "bytes/parameter", "in 1.50 GB"]
    rows = {line[0]: line[1:] for line in (re.split(r"\s{2,}", line) for line in lines[2:])}
    assert rows["float32"] == ["0.49 GB", "0.49 GB", "0.99 GB", "0.00 GB", "1.98 GB", "16.000", "too large"]
    assert rows["compact"] == ["0.25 GB", "0.25 GB", "0.26 GB", "0.12 GB", "0.88 GB", "7.125", "0.62 GB free"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert "free" not in str(onepass.memory_report(GPT2))


def test_a_row_that_takes_all_of_the_gpu_fits_and_one_byte_more_does_not():
    total = onepass.memory_report(GPT2).rows[0].total
    for gpu, fits in ((total, True), (total - 1, False)):
        report = onepass.memory_report(GPT2, gpu=gpu)
        assert report.fits(report.rows[0]) == fits
        assert ("too large" in str(report).splitlines()[2]) != fits


def test_units_follow_the_size():
    assert str(onepass.memory_report([("w", 10, "float32")])).splitlines()[2].split()[1:3] == ["40", "B"]
    assert "4.00 kB" in str(onepass.memory_report([("w", 1000, "float32")]))
    assert "4.00 MB" in str(onepass.memory_report([("w", 1000000, "float32")]))
    assert "28,000.00 GB" in str(onepass.memory_report([("w", 7 * 10**12, "float32")]))


@pytest.mark.parametrize("text, size", [("24GB", 24e9), ("80 gib", 80 * 2**30), ("0.5TB", 5e11), ("12MB", 12e6),
                                        ("7kB", 7e3), ("9B", 9), (10**9, 1e9), (1.5e9, 1.5e9)])
def test_a_gpu_is_a_size_with_a_unit_or_a_number_of_bytes(text, size):
    assert onepass.memory_report(GPT2, gpu=text).gpu == size


def test_html_has_the_numbers_of_the_text():
    report = onepass.memory_report([("w", 1000000, "float32")], gpu="14MB", rule="AdamW")
    table = xml.fromstring(report._repr_html_())
    assert table.findtext("caption") == report.title()
    assert [[cell.text for cell in row] for row in table.iter("tr")] == report.table()
    dimmed = [row[0].text for row in table.iter("tr") if "opacity" in row.get("style", "")]
    assert dimmed == ["float32", "master"]


def test_formats_that_the_library_refuses_are_left_out_with_its_sentence():
    report = onepass.memory_report([("w", 100, "float32")], beta2=0.9999)
    assert "compact" not in [row.format.name for row in report.rows]
    assert set(report.refused) == {name for name in (format.name for format in _memory.FORMATS)
                                   if "8-bit" in name or name == "compact"}
    assert str(report).endswith("\nLeft out (float32, 8-bit states; split, 8-bit states; compact; bf16, 8-bit states): "
                                + report.refused["compact"])
    assert '"w" asks for states in 8 bits, which hold exp_avg_sq up to beta2 = 0.999, but' in report.refused["compact"]
    assert html.escape(report.refused["compact"]) in report._repr_html_()


@pytest.mark.parametrize("arguments, options, sentence", [
    ([[]], {}, "a memory report needs at least one parameter"),
    ([[("w", 10, "float64")]], {}, '"w" is of float64; a memory report counts float32, bfloat16, float16'),
    ([GPT2], {"gpu": "big"}, "gpu is 'big'; it must be a size such as \"24GB\""),
    ([GPT2], {"rule": "Lion King"}, 'there is no rule "Lion King"'),
    ([GPT2], {"lr": -1}, "AdamW.lr must be at least 0"),
    ([[("w", -3, "float32")]], {}, "-3"),
])
def test_what_cannot_be_counted_is_refused(arguments, options, sentence):
    with pytest.raises(onepass.Error, match=re.escape(sentence)):
        onepass.memory_report(*arguments, **options)
