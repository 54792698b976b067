"""_distributed.py - where the local part of a DTensor lies in its tensor, and the one sum over ranks that makes norm
and decision to skip equal on all of them."""

import math

import torch

from ._engine import MEASURE
from ._seats import Place
from ._walk import local


def is_distributed(parameter):
    return local(parameter) is not parameter


def require_whole(who, seat):
    """Raises RuntimeError if a parameter consists of matrices that are cut over ranks."""
    parameter = seat.parameter
    if not is_distributed(parameter) or parameter.dim() < 2:
        return
    mesh = parameter.device_mesh
    ranks = math.prod(mesh.size(d) for d, place in enumerate(parameter.placements) if not place.is_replicate())
    if ranks > 1:
        raise RuntimeError(
            f"onepass: {who} takes means over whole rows and columns, but parameter {seat.name} of the shape "
            f"{tuple(parameter.shape)} is cut over {ranks} ranks, as {', '.join(map(str, parameter.placements))}; keep "
            "it whole on every rank, as DDP does, or give parameters that are cut an optimizer that takes shards, such "
            "as AdamW")


def place_of_shard(parameter):
    """Returns the Place of a DTensor's local part; None if that is no set of equal runs at one pitch."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, start = compute_local_shape_and_global_offset(parameter.shape, parameter.device_mesh, parameter.placements)
    return place_of_box(tuple(parameter.shape), tuple(shape), tuple(start))


def place_of_box(whole, shape, start):
    """Returns the Place of a box in a tensor: the one of `shape` that begins at index `start`."""
    strides = [math.prod(whole[d + 1:]) for d in range(len(whole))]
    first = sum(s * stride for s, stride in zip(start, strides))
    cut = [d for d in range(len(whole)) if shape[d] != whole[d]]
    if not cut or 0 in shape:
        return Place()
    last = cut[-1]
    outer = [d for d in range(last) if shape[d] > 1]
    if not outer:
        return Place(first)
    # The runs follow each other at one pitch if each outer dimension begins where the next one's indices end.
    if any(strides[a] != shape[b] * strides[b] for a, b in zip(outer, outer[1:])):
        return None
    return Place(first, shape[last] * strides[last], strides[outer[-1]])


def is_laid_out_otherwise(seat):
    """Returns whether a DTensor's gradient lies on the ranks in another way than the parameter."""
    gradient, spec = seat.parameter.grad, getattr(seat.parameter, "_spec", None)
    return spec is not None and gradient is not None and gradient._spec.placements != spec.placements


class Reduction:
    """Adds up the measures of the gradients over the ranks. A parameter that several ranks have counts on one."""

    def __init__(self, parameters, group):
        self.group = group
        meshes = [parameter.device_mesh for parameter in parameters if is_distributed(parameter)]
        self.mesh = max(meshes, key=lambda mesh: mesh.ndim, default=None)
        self.across = group is not None or self.mesh is not None
        self.exact = self.mesh is not None

    def is_counted(self, parameter):
        """Returns whether this rank adds the gradient of a parameter to the sum."""
        if self.mesh is None:
            return True
        cut = set()
        if is_distributed(parameter):
            mesh = parameter.device_mesh
            cut = {self._name(mesh, d) for d, place in enumerate(parameter.placements) if not place.is_replicate()}
        coordinate = self.mesh.get_coordinate()
        return all(coordinate[d] == 0 for d in range(self.mesh.ndim) if self._name(self.mesh, d) not in cut)

    def _name(self, mesh, dimension):
        """Returns what two meshes have in common for a dimension: its name; without names its number."""
        return mesh.mesh_dim_names[dimension] if mesh.mesh_dim_names else dimension

    def is_first(self):
        """Returns whether this rank counts what all ranks have."""
        return self.mesh is None or not any(self.mesh.get_coordinate())

    def device(self):
        """Returns the device of a sum on a rank that has no gradient."""
        kind = self.mesh.device_type if self.mesh is not None else "cpu"
        return torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)

    def sum(self, measures):
        """Returns the sum of this rank's measures and of all others'. `measures`: one of each engine, with whether it
        is counted here."""
        device = measures[0][0].device if measures else self.device()
        total = torch.zeros(MEASURE, dtype=torch.int64, device=device)
        for measure, counted in measures:
            if counted:
                total += measure.to(device)
        return self.all_reduce(total)

    def all_reduce(self, total):
        """Adds a tensor of int64 over all ranks that have a part of the parameters, in place. Returns it."""
        import torch.distributed as dist

        if self.group is not None:
            dist.all_reduce(total, group=self.group)
        elif self.mesh is not None:
            self.all_reduce_over_mesh(total)
        return total

    def all_reduce_sums(self, rows, model):
        """Adds sums over tensors over the ranks that have parts of them, and over the model over all ranks. Returns
        both."""
        import torch.distributed as dist

        if self.group is None:
            both = torch.cat([rows, model])
            if self.mesh is not None:
                self.all_reduce_over_mesh(both)
            return both[:len(rows)], both[len(rows):]
        if self.mesh is not None:
            self.all_reduce_over_mesh(rows)
        if len(model) != 0:
            dist.all_reduce(model, group=self.group)
        return rows, model

    def all_reduce_over_mesh(self, total):
        """Adds a tensor of int64 over the ranks that have parts of the same parameters, in place."""
        import torch.distributed as dist

        if self.mesh.size() == dist.get_world_size():
            dist.all_reduce(total)
            return
        for dimension in range(self.mesh.ndim):
            dist.all_reduce(total, group=self.mesh.get_group(dimension))
