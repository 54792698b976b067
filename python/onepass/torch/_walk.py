"""_walk.py - reads what a training loop has changed since the last step: gradients, addresses, lists and states.

Two walkers do it: CWalker asks the library, which takes 0.1 us a tensor, and PythonWalker serves versions of torch that
have no DLPack exchange table. Both have the same methods, and tests run both.
"""

import ctypes
import functools

import torch

from .. import _library

STEPPED, WAITING, OTHER = 0, 1, 2  # onepass_walk_row.kind
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
NAMES = {dtype: str(dtype).removeprefix("torch.") for dtype in DTYPES}
_DEVICES = {"cpu": 1, "cuda": 2}  # DLPack's numbers
LOOKS = 64  # States whose address a step looks at.
_HANDLE, _INT, _LONG = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64


class _Python(ctypes.Structure):
    """onepass_walk_python."""

    _fields_ = [(name, _HANDLE) for name in ("describe", "get_attribute", "list_size", "list_item", "dict_next",
                                             "is_instance", "release", "clear_error", "none", "dict_type", "grad_name",
                                             "local_name")]


class _Row(ctypes.Structure):
    """onepass_walk_row."""

    _fields_ = [("parameter", _HANDLE), ("value", _HANDLE)] + \
        [(name, _INT) for name in ("kind", "distributed", "device_type", "device_id", "dtype", "dim_count")] + \
        [("shape", _HANDLE), ("strides", _HANDLE), ("gradient", _HANDLE), ("stand_in", _HANDLE),
         ("unfit", _INT), ("reserved", _INT)]


class _Found(ctypes.Structure):
    """onepass_walk_found."""

    _fields_ = [("gradients", _LONG), ("unfit", _LONG), ("changed", _LONG)]


class _Plan(ctypes.Structure):
    """onepass_walk_plan."""

    _fields_ = [("python", _HANDLE), ("lists", _HANDLE), ("list_count", _LONG), ("states", _HANDLE),
                ("state_count", _LONG), ("tensors", _HANDLE), ("addresses", _HANDLE), ("tensor_count", _LONG),
                ("rows", _HANDLE), ("row_count", _LONG), ("looked", _LONG), ("looks", _LONG), ("found", _Found)]


def local(tensor):
    """Returns the tensor that has the memory: of a DTensor, its local part."""
    return getattr(tensor, "_local_tensor", tensor)


def device_number(device):
    """Returns the number by which DLPack and the library know a device: its index, 0 for the CPU."""
    return device.index or 0


def same_layout(gradient, value):
    """Returns whether the elements of a gradient lie in the order of the value's."""
    return gradient.shape == value.shape and all(
        size == 1 or a == b for size, a, b in zip(value.shape, gradient.stride(), value.stride()))


def _fits(gradient, seat):
    value = local(seat.parameter)
    return seat.shadow is None and gradient.layout is torch.strided and gradient.dtype in (value.dtype, torch.float32) \
        and gradient.device == value.device and same_layout(gradient, value)


class PythonWalker:
    """Walks in Python. A plan gives it its seats, states, and the lists and dicts that must stay as they are."""

    def __init__(self, seats, tensors, roots):
        self.seats = seats
        self.places = [(memory := local(tensor), memory.data_ptr()) for tensor in tensors]
        # No step writes to memory that is freed.
        self.storages = [memory.untyped_storage() for memory, _ in self.places]
        self.listed = [_listed(root) for root in roots]
        self.looked = 0  # Number of the next state whose address is looked at.
        self.gradients = self.unfit = self.changed = 0

    def holds(self, lists, states):
        """Returns whether everything is as it was: lists and dicts hold the objects that they held, and memory lies
        where it lay. If so, it has read the gradients."""
        return self._same((lists, states)) and self._stayed() and self.read()

    def _same(self, roots):
        return all(len(before) == len(now := _listed(root)) and all(map(_is, before, now))
                   for before, root in zip(self.listed, roots))

    def _stayed(self):
        """Returns whether the next 64 states lie where they lay. So a step notices at once if all states were moved by
        `tensor.data = ...`, and one of some steps if one was. Each notices at once what is assigned to a parameter's
        state. Looking at all of them in each step would double its time."""
        first = self.looked if self.looked < len(self.places) else 0
        self.looked = first + LOOKS
        return all(tensor.data_ptr() == address for tensor, address in self.places[first:self.looked])

    def read(self):
        """Reads all gradients into the seats. Returns False if a parameter has moved or has its first gradient."""
        self.gradients = self.unfit = self.changed = 0
        for seat in self.seats:
            gradient = None if seat.kind == OTHER else seat.parameter.grad
            if seat.kind == WAITING and gradient is not None:
                return False
            if seat.kind == STEPPED:
                if local(seat.parameter).data_ptr() != seat.address:
                    return False
                self._read_one(seat, gradient if gradient is None else local(gradient))
        return True

    def _read_one(self, seat, gradient):
        seat.unfit = gradient is not None and not _fits(gradient, seat)
        self.gradients += gradient is not None
        self.unfit += seat.unfit
        self.changed += seat.unfit
        if not seat.unfit:
            before = seat.gradient.data, seat.gradient.dtype
            if gradient is not None:
                seat.gradient.data = gradient.data_ptr() or seat.stand_in()
                seat.gradient.dtype = DTYPES[gradient.dtype]
            else:
                seat.gradient.data = None
            self.changed += before != (seat.gradient.data, seat.gradient.dtype)

    def unfit_seats(self):
        """Returns the seats whose gradients the kernels cannot read."""
        return [seat for seat in self.seats if seat.kind == STEPPED and seat.unfit]


def _is(a, b):
    return a is b


def _listed(root):
    """Returns the objects that a list or dict holds, and the lists and dicts directly in it."""
    found = []
    for value in (root.items() if isinstance(root, dict) else root):
        if isinstance(root, dict):
            found.append(value[0])
            value = value[1]
        found.append(value)
        if isinstance(value, dict):
            for pair in value.items():
                found.extend(pair)
        elif isinstance(value, list):
            found.extend(value)
    return found


class CWalker(PythonWalker):
    """Walks in C, with the same results."""

    def __init__(self, seats, tensors, roots):
        super().__init__(seats, tensors, roots)
        self.calls, self.python = _calls()
        count = len(self.places)
        self.objects = (_HANDLE * count)(*(id(tensor) for tensor, _ in self.places))
        self.addresses = (_HANDLE * count)(*(address for _, address in self.places))
        self.lists = [(_HANDLE * len(objects))(*map(id, objects)) for objects in self.listed]
        self.rows = (_Row * len(seats))(*map(_row, seats))
        at = ctypes.addressof
        self.plan = _Plan(python=at(self.python), lists=at(self.lists[0]), list_count=len(self.lists[0]),
                          states=at(self.lists[1]), state_count=len(self.lists[1]), tensors=at(self.objects),
                          addresses=at(self.addresses), tensor_count=count, rows=at(self.rows), row_count=len(seats),
                          looks=LOOKS)
        self.to_plan, self.found = ctypes.pointer(self.plan), self.plan.found
        self.to_found = ctypes.pointer(self.found)

    def holds(self, lists, states):
        holds = self.calls.onepass_walk_holds(self.to_plan, id(lists), id(states)) == 1
        found = self.found
        self.gradients, self.unfit, self.changed = found.gradients, found.unfit, found.changed
        return holds

    def read(self):
        moved = self.calls.onepass_walk_gradients(self.plan.python, self.plan.rows, self.plan.row_count, self.to_found)
        self.gradients, self.unfit, self.changed = self.found.gradients, self.found.unfit, self.found.changed
        return moved == 0

    def unfit_seats(self):
        return [seat for seat, row in zip(self.seats, self.rows) if row.kind == STEPPED and row.unfit]


def _row(seat):
    """Returns the row of a seat. The seat keeps alive what the row points to."""
    value = local(seat.parameter)
    seat.shape = (_LONG * value.dim())(*value.shape)
    seat.strides = (_LONG * value.dim())(*(value.stride() if seat.kind == STEPPED else ()))
    return _Row(parameter=id(seat.parameter), value=seat.address, kind=seat.kind,
                distributed=int(value is not seat.parameter), device_type=_DEVICES.get(value.device.type, -1),
                device_id=device_number(value.device), dtype=DTYPES.get(value.dtype, -1),
                dim_count=value.dim() if seat.shadow is None else -1, stand_in=seat.stand_in(),
                shape=ctypes.addressof(seat.shape), strides=ctypes.addressof(seat.strides),
                gradient=None if seat.gradient is None else ctypes.addressof(seat.gradient))


def _address_of(function):
    return ctypes.cast(function, _HANDLE).value


def exchange_table():
    """Returns the address of torch's function that describes a tensor (DLPack 1.3), or None in an older torch."""
    capsule = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
    if type(capsule).__name__ != "PyCapsule":
        return None
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = _HANDLE, [ctypes.py_object, ctypes.c_char_p]
    table = pointer(capsule, b"dlpack_exchange_api")
    # The table: version (2 x 4 bytes), the table of an older version, and five functions.
    if ctypes.c_uint32.from_address(table).value != 1:
        return None
    return ctypes.cast(table, ctypes.POINTER(_HANDLE))[5]


@functools.lru_cache(maxsize=None)
def _calls():
    """Returns the library's walking functions, and the functions of this interpreter for them."""
    calls = ctypes.PyDLL(str(_library.library().path))
    for name, arguments in {"holds": [_HANDLE] * 3, "gradients": [_HANDLE, _HANDLE, _LONG, _HANDLE]}.items():
        function = getattr(calls, f"onepass_walk_{name}")
        function.restype, function.argtypes = _INT, arguments
    api = ctypes.pythonapi
    python = _Python(describe=exchange_table(), none=id(None), dict_type=id(dict), grad_name=id(_GRAD),
                     local_name=id(_LOCAL),
                     **{name: _address_of(getattr(api, function)) for name, function in
                        {"get_attribute": "PyObject_GetAttr", "list_size": "PyList_Size", "list_item": "PyList_GetItem",
                         "dict_next": "PyDict_Next", "is_instance": "PyObject_IsInstance", "release": "Py_DecRef",
                         "clear_error": "PyErr_Clear"}.items()})
    return calls, python


_GRAD, _LOCAL = "grad", "_local_tensor"


def walker(seats, tensors, roots):
    """Returns a walker over the seats of a plan: `tensors` are states, `roots` the lists and dicts to compare."""
    return (CWalker if exchange_table() else PythonWalker)(seats, tensors, roots)
