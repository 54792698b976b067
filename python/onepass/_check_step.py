"""_check_step.py - steps of AdamW on a device, compared with float64 arithmetic in Python and with PyTorch. The results
are distances in units of the tolerance: 1 or less is right."""

import array
import ctypes
import importlib.util
import math

from onepass._interface import ADDRESS, CPU, DTYPES, HANDLE, Parameter
from onepass._library import library
from onepass._optimizer import Optimizer

COUNT, STEPS = 1000, 3
LR, BETA1, BETA2, EPS, WEIGHT_DECAY = 1e-2, 0.9, 0.95, 1e-8, 0.1
NUMBERS = {"lr": LR, "beta1": BETA1, "beta2": BETA2, "eps": EPS, "weight_decay": WEIGHT_DECAY}


def start():
    """Returns float32 values between -1 and 1."""
    return array.array("f", [math.sin(1.0 + 0.7 * i) for i in range(COUNT)])


def gradient(step):
    """Returns the gradients of a step: of both signs, and of sizes from 1e-4 to 1."""
    return array.array("f", [math.cos(1.3 * i + step) * 10.0 ** -(i % 5) for i in range(COUNT)])


def expected():
    """Returns the values after all steps, in float64."""
    values = []
    for p, *gradients in zip(start(), *map(gradient, range(STEPS))):
        first = second = 0.0
        for t, g in enumerate(gradients, 1):
            p *= 1 - LR * WEIGHT_DECAY
            first = BETA1 * first + (1 - BETA1) * g
            second = BETA2 * second + (1 - BETA2) * g * g
            p -= LR * first / (1 - BETA1**t) / (math.sqrt(second / (1 - BETA2**t)) + EPS)
        values.append(p)
    return values


def distance(values, others):
    """Returns the largest difference in units of the tolerance: two float32 roundings of each step."""
    if len(values) != len(others):
        return math.inf
    differences = [abs(x - y) / (STEPS * 2.0**-23 * (abs(y) + LR)) for x, y in zip(values, others)]
    return math.nan if any(map(math.isnan, differences)) else max(differences)


class Buffer:
    """Float32 elements in a device's memory, which the library allocates."""

    def __init__(self, device, values):
        self.device, self.bytes, self.library = device, 4 * len(values), library()
        self.handle = HANDLE()
        created = self.library.calls.onepass_buffer_create(device, self.bytes, None, ctypes.byref(self.handle))
        self.library.check(created)
        self.address = self.library.calls.onepass_buffer_data(self.handle)
        self.write(values)

    def write(self, values):
        source = ADDRESS(values.buffer_info()[0])
        self.library.check(self.library.calls.onepass_copy(self.device, self.address, CPU, source, self.bytes, None))

    def read(self):
        values = array.array("f", bytes(self.bytes))
        target = ADDRESS(values.buffer_info()[0])
        self.library.check(self.library.calls.onepass_copy(CPU, target, self.device, self.address, self.bytes, None))
        return values

    def __del__(self):
        self.library.calls.onepass_buffer_destroy(self.handle)


def against_float64(device):
    """Takes steps in memory of the library's on a device."""
    value, grad = Buffer(device, start()), Buffer(device, gradient(0))
    parameter = Parameter(value=value.address, grad=grad.address, numel=COUNT)
    with Optimizer("AdamW", [parameter], device, **NUMBERS) as optimizer:
        for step in range(STEPS):
            grad.write(gradient(step))
            optimizer.step()
        return distance(value.read(), expected())


class OverTensors:
    """The plain optimizer over a tensor of PyTorch, whose gradient stays where it is."""

    def __init__(self, torch, tensor):
        dtype = DTYPES["float32"]
        parameter = Parameter(value=tensor.data_ptr(), grad=tensor.grad.data_ptr(), numel=tensor.numel(), dtype=dtype)
        is_cpu = tensor.device.type == "cpu"
        self.optimizer = Optimizer("AdamW", [parameter], CPU if is_cpu else tensor.device.index, **NUMBERS)
        self.stream = None if is_cpu else torch.cuda.current_stream(tensor.device).cuda_stream or None

    def step(self):
        self.optimizer.step(self.stream)


def make_ours(torch, tensor):
    if importlib.util.find_spec("onepass.torch") is None:
        return OverTensors(torch, tensor)
    from onepass.torch import AdamW
    return AdamW([tensor], lr=LR, betas=(BETA1, BETA2), eps=EPS, weight_decay=WEIGHT_DECAY)


def against_torch(torch, place):
    """Takes steps in PyTorch's memory, beside torch.optim.AdamW in float64."""
    ours, theirs = (torch.tensor(start(), dtype=dtype, device=place, requires_grad=True)
                    for dtype in (torch.float32, torch.float64))
    for tensor in (ours, theirs):
        tensor.grad = torch.zeros_like(tensor)
    optimizers = [make_ours(torch, ours), torch.optim.AdamW([theirs], lr=LR, betas=(BETA1, BETA2), eps=EPS,
                                                            weight_decay=WEIGHT_DECAY, foreach=False)]
    for step in range(STEPS):
        for tensor in (ours, theirs):
            tensor.grad.copy_(torch.tensor(gradient(step)))
        for optimizer in optimizers:
            optimizer.step()
    return distance(ours.tolist(), theirs.tolist())
