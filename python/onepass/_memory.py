"""_memory.py - how many bytes a model and its optimizer take in each storage format, before there is memory for them.

    print(onepass.memory_report([("weight", 1_000_000, "float32")], gpu="24GB"))
"""

import collections
import ctypes
import html
import math
import re

from onepass._interface import (CPU, DTYPES, HANDLE, LONG, MASTERS, STATES, Group, Options, Parameter, Storage,
                                StreamInfo)
from onepass._library import Error, library
from onepass._optimizer import Optimizer, dims_of, settings_of

Format = collections.namedtuple("Format", "name dtype master states")
# The formats of docs/storage.md, with its names.
FORMATS = (
    Format("float32", "float32", "none", "float32"),
    Format("float32, bfloat16 states", "float32", "none", "bfloat16"),
    Format("float32, 8-bit states", "float32", "none", "quantized8"),
    Format("master", "bfloat16", "float32", "float32"),
    Format("split", "bfloat16", "split", "float32"),
    Format("split, 8-bit states", "bfloat16", "split", "quantized8"),
    Format("compact", "bfloat16", "remainder8", "quantized8"),
    Format("bf16", "bfloat16", "none", "float32"),
    Format("all-bf16", "bfloat16", "none", "bfloat16"),
    Format("bf16, 8-bit states", "bfloat16", "none", "quantized8"),
)
SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
MASTER_STREAMS = ("master", "remainder")
HEADINGS = ("format", "weights", "gradients", "states", "master", "total", "bytes/parameter")


class Row(collections.namedtuple("Row", "format weights gradients states master")):
    """Bytes of a model in a Format."""

    @property
    def total(self):
        return self.weights + self.gradients + self.states + self.master


def dtype_in(format, dtype, keeps_float32):
    """Returns the type that a parameter has in a format. Formats of 16 bits leave float32 parameters alone where others
    have 16 bits, such as norms beside matrices; float16 takes as many bytes as bfloat16."""
    if format.dtype == "float32" or (dtype == "float32" and keeps_float32):
        return "float32"
    return format.dtype


def required(groups, parameters, options):
    """Returns the bytes of each stream of the optimizer, by name, summed over the parameters."""
    loaded, handle, count, info = library(), HANDLE(), LONG(), StreamInfo()
    calls, check = loaded.calls, loaded.check
    array = (Parameter * len(parameters))(*parameters)
    check(calls.onepass_required_memory(groups, len(groups), array, len(array), CPU, options, ctypes.byref(handle)))
    bytes_of = collections.Counter()
    try:
        check(calls.onepass_streams_count(handle, ctypes.byref(count)))
        for index in range(count.value):
            check(calls.onepass_streams_at(handle, index, ctypes.byref(info)))
            bytes_of[info.name.decode()] += int(info.bytes)
    finally:
        calls.onepass_streams_destroy(handle)
    del bytes_of["step"]  # eight bytes a tensor, which onepass_memory() leaves out as well
    return bytes_of


def try_out(format, name, rule, hyperparameters):
    """Makes an optimizer over one element in a format. Raises Error if the library refuses the hyperparameters, some of
    which it refuses in some formats."""
    memory = (ctypes.c_double * 2)()
    dtype, address = DTYPES[format.dtype], ctypes.addressof(memory)
    storage = Storage(master=MASTERS[format.master], states=STATES[format.states])
    element = Parameter(name=name.encode(), value=address, grad=address + 8, numel=1, dtype=dtype, grad_dtype=dtype,
                        storage=storage)
    Optimizer(rule, [element], **hyperparameters).close()


def row_of(format, parameters, groups):
    keeps_float32 = any(SIZES[dtype] == 2 for _, _, dtype in parameters)
    made, weights = [], 0
    for name, shape, dtype in parameters:
        kept, numel = dtype_in(format, dtype, keeps_float32), math.prod(shape)
        made.append(Parameter(name=name.encode(), numel=numel, dtype=DTYPES[kept], grad_dtype=DTYPES[kept],
                              **dims_of(shape if len(shape) > 1 else ())))
        weights += numel * SIZES[kept]
    states = STATES[format.states]
    options = Options(storage=Storage(master=MASTERS[format.master], states=states),
                      float32_storage=Storage(states=states))
    bytes_of = required(groups, made, options)
    master = sum(bytes_of.pop(name, 0) for name in MASTER_STREAMS)
    return Row(format, weights, weights, sum(bytes_of.values()), master)


def bytes_in(text):
    """Returns the bytes that a text means: "24GB" (24e9), "80 GiB", or a number."""
    if isinstance(text, (int, float)):
        return int(text)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B\s*", str(text).upper())
    if not found:
        raise Error(f'onepass: gpu is {text!r}; it must be a size such as "24GB"')
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix or " "))


class MemoryReport:
    """The bytes that a model and its optimizer take in each format: `rows`, and tables as text (str) and, in a
    notebook, HTML. Activations are not counted. `refused` has the library's sentence for each format that it
    refuses, by name."""

    def __init__(self, rule, parameters, rows, refused, gpu):
        self.rule, self.rows, self.refused = rule, rows, refused
        self.numel, self.tensors = sum(math.prod(shape) for _, shape, _ in parameters), len(parameters)
        self.gpu = None if gpu is None else bytes_in(gpu)

    def fits(self, row):
        """Returns whether a row takes at most the memory of the GPU, which leaves the rest for activations."""
        return row.total <= self.gpu

    def table(self):
        """Returns headings and rows as texts."""
        largest = max(row.total for row in self.rows)
        unit, name = next((size, name) for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
                          if largest >= size or size == 1)
        digits = 0 if unit == 1 else 2
        lines = [[*HEADINGS] + ([f"in {self.gpu / unit:,.{digits}f} {name}"] if self.gpu is not None else [])]
        for row in self.rows:
            numbers = (row.weights, row.gradients, row.states, row.master, row.total)
            lines.append([row.format.name, *(f"{number / unit:,.{digits}f} {name}" for number in numbers),
                          f"{row.total / max(self.numel, 1):.3f}"])
            if self.gpu is not None:
                free = self.gpu - row.total
                lines[-1].append(f"{free / unit:,.{digits}f} {name} free" if free >= 0 else "too large")
        return lines

    def title(self):
        tensors = "1 tensor" if self.tensors == 1 else f"{self.tensors:,} tensors"
        return f"{self.rule} over {self.numel:,} parameters in {tensors}, without activations"

    def refusals(self):
        """Returns a line for each reason, which several formats may share."""
        names = {}
        for name, sentence in self.refused.items():
            names.setdefault(sentence, []).append(name)
        return [f"Left out ({'; '.join(shared)}): {sentence}" for sentence, shared in names.items()]

    def __str__(self):
        lines = self.table()
        widths = [max(map(len, column)) for column in zip(*lines)]
        table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
        return "\n".join([self.title(), *table, *self.refusals()])

    __repr__ = __str__

    def _repr_html_(self):
        head, *body = [[html.escape(cell) for cell in line] for line in self.table()]
        rows = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
        for row, cells in zip(self.rows, body):
            style = "" if self.gpu is None or self.fits(row) else ' style="opacity: 0.5"'
            rows.append(f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in self.refusals())
        return f"<table><caption>{html.escape(self.title())}</caption>{''.join(rows)}</table>{notes}"


def memory_report(parameters, gpu=None, rule="AdamW", formats=FORMATS, **hyperparameters):
    """Returns a MemoryReport of a model with an optimizer of this rule.

    `parameters` lists name, number of elements or shape, and type ("float32", "bfloat16", "float16") of each tensor;
    the memory need not exist. The shape counts for rules that keep numbers for rows and columns.
    `gpu` is the memory of a GPU, as "24GB" (24e9 bytes), "24GiB" or a number of bytes: the report then says which
    formats fit. Hyperparameters count where a rule has other states with them: amsgrad, momentum."""
    parameters = [(name, tuple(map(int, size if isinstance(size, (tuple, list)) else (size,))), str(dtype))
                  for name, size, dtype in parameters]
    if not parameters:
        raise Error("onepass: a memory report needs at least one parameter")
    for name, _, dtype in parameters:
        if dtype not in SIZES:
            raise Error(f'onepass: "{name}" is of {dtype}; a memory report counts {", ".join(SIZES)}')
    settings = settings_of(hyperparameters)
    groups = (Group * 1)(Group(rule=rule.encode(), settings=settings, setting_count=len(settings)))
    rows, refused = [], {}
    for format in formats:
        try:
            try_out(format, parameters[0][0], rule, hyperparameters)
            rows.append(row_of(format, parameters, groups))
        except Error as error:
            refused[format.name] = str(error)
    if not rows:
        raise Error(next(iter(refused.values())))
    return MemoryReport(rule, parameters, rows, refused, gpu)
