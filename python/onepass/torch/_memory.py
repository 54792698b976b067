"""_memory.py - what a model of PyTorch and its optimizer take in each storage format, before there is memory for
them."""

import torch

from .. import Error, _memory
from . import _rules
from ._walk import NAMES, local

_RULES = {one.name: one for one in vars(_rules).values() if isinstance(one, _rules.Spelling)}


def named(model):
    """Returns (name, tensor) of a module, of an iterable of tensors, or of one of such pairs."""
    if isinstance(model, torch.nn.Module):
        return list(model.named_parameters())
    return [pair if isinstance(pair, tuple) else (str(number), pair) for number, pair in enumerate(model)]


def memory_report(model, optimizer="AdamW", gpu=None, **hyperparameters):
    """Returns a report of the bytes that weights, gradients, states and masters of a model take in each storage format:
    a table as text and, in a notebook, as HTML. onepass.memory_report() explains it.

    model: a module, its parameters or named_parameters(); tensors on the meta device count like others, and of a
        DTensor the part of this rank.
    optimizer: one of onepass.torch or torch.optim, or the library's name of its rule, such as "AdamW" or "RMSProp".
    gpu: the memory of a GPU, "24GB" or bytes: the report says which formats fit.

    Raises onepass.Error for parameters of other types than float32, bfloat16 and float16, which the library does not
    step."""
    listed = []
    for name, tensor in named(model):
        if tensor.dtype not in NAMES:
            raise Error(f'onepass: parameter "{name}" is of {tensor.dtype}; a memory report counts '
                        f"{', '.join(NAMES.values())}")
        listed.append((name, tuple(local(tensor).shape), NAMES[tensor.dtype]))
    if isinstance(optimizer, torch.optim.Optimizer):
        bases = {one.base: one for one in _RULES.values()}
        spelling = next((bases[kind] for kind in type(optimizer).__mro__ if kind in bases), None)
        if spelling is None:
            raise Error(f"onepass: a memory report was asked for with {type(optimizer).__name__}; it knows "
                        f"{', '.join(_RULES)}")
        settings = dict(spelling.settings(optimizer.param_groups[0]))
        hyperparameters = {name: settings[name] for name in spelling.selecting} | hyperparameters
        optimizer = spelling.name
    return _memory.memory_report(listed, gpu=gpu, rule=optimizer, **hyperparameters)
