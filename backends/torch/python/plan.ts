/** `plan.py` of an emitted package, the same in every one. The numbers of an entry point for one batch and length. */
export const planPython: string = String.raw`"""The numbers of an entry point for one batch and length: shapes, scratch memory, grids, arguments."""
from __future__ import annotations

import struct
from operator import itemgetter
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import torch

from . import driver
from .structure import MOST_ELEMENTS, Entry, evaluate_size

#: Launch limits of every GPU with compute capability 3.0 or later.
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)

_STATIC_SHARED = 48 * 1024


class Launch(NamedTuple):
    """One kernel of a plan."""

    function: int
    #: grid, block and shared memory
    shape: Tuple[int, ...]
    #: writes configuration and arguments into a buffer
    pack: Callable
    #: takes this kernel's pointers out of all pointers of the call
    pick: Callable
    uniforms: Tuple[int, ...]
    #: bytes of the arguments
    size: int


class Plan(NamedTuple):
    """An entry point for one batch and length."""

    #: of the given tensors
    shapes: Tuple[tuple, ...]
    strides: Tuple[tuple, ...]
    bytes: Tuple[int, ...]
    #: shape, type and bytes of each result, and a given tensor that has the same shape and type
    results: Tuple[Tuple[tuple, torch.dtype, int, Optional[int]], ...]
    scratch_bytes: int
    scratch_offsets: Tuple[int, ...]
    launches: Tuple[Launch, ...]


def make_plan(entry: Entry, functions: Dict[str, int], batch: int, length: int) -> Plan:
    """The plan; refuses what the kernels cannot index or launch."""
    for tensor in (*entry.given, *entry.results, *entry.scratch):
        elements = count(tensor.shape(batch, length))
        if elements > MOST_ELEMENTS:
            raise ValueError(
                f"batch {batch} and length {length} are too large: '{tensor.name}' would have {elements} elements, "
                f"the kernels index at most {MOST_ELEMENTS}; cut the batch, or the sequence with the state handed on"
            )
    offsets, total = [], 0
    for tensor in entry.scratch:
        offsets.append(total)
        total += (count(tensor.shape(batch, length)) * tensor.dtype.itemsize + 255) // 256 * 256
    names = [tensor.name for tensor in (*entry.given, *entry.results, *entry.scratch)]
    places = {name: at for at, name in enumerate(names)}
    launches = (_make_launch(each, functions, places, batch, length) for each in entry.dispatches)
    shapes = tuple(tensor.shape(batch, length) for tensor in entry.given)
    like = {
        (shape, tensor.dtype): at for at, (shape, tensor) in enumerate(zip(shapes, entry.given))
        if tensor.role != "initial"
    }
    outputs = [(tensor.shape(batch, length), tensor.dtype) for tensor in entry.results]
    return Plan(
        shapes, tuple(_strides(shape) for shape in shapes),
        tuple(count(shape) * tensor.dtype.itemsize for shape, tensor in zip(shapes, entry.given)),
        tuple((shape, dtype, count(shape) * dtype.itemsize, like.get((shape, dtype))) for shape, dtype in outputs),
        total, tuple(offsets), tuple(each for each in launches if each is not None),
    )


def _make_launch(dispatch: dict, functions: Dict[str, int], places: Dict[str, int], batch: int, length: int):
    grid = tuple(evaluate_size(size, batch, length) for size in dispatch["grid"])
    if min(grid) == 0:
        return None
    if any(blocks > most for blocks, most in zip(grid, _MOST_BLOCKS)):
        raise ValueError(
            f"batch {batch} and length {length} are too large: a launch would have {grid} blocks, "
            f"the device takes {_MOST_BLOCKS}; cut the batch"
        )
    uniforms = tuple(evaluate_size(each["value"], batch, length) for each in dispatch["uniforms"])
    bindings = [places[each["tensor"]] for each in dispatch["bindings"]]
    packed = struct.Struct(driver.LAUNCH_FORMAT + "Q" * len(bindings) + "i" * len(uniforms))
    size = 8 * len(bindings) + 4 * len(uniforms)
    if size > driver.LaunchBuffer.capacity:
        raise RuntimeError(f"the kernel {dispatch['kernel']} takes too many arguments")
    shape = (*grid, dispatch["workgroupSize"], 1, 1, dynamic_bytes(dispatch["sharedBytes"]))
    return Launch(functions[dispatch["kernel"]], shape, packed.pack_into, _picker(bindings), uniforms, size)


def _picker(places: Sequence[int]) -> Callable:
    if len(places) > 1:
        return itemgetter(*places)
    return (lambda pointers: (pointers[places[0]],)) if places else (lambda pointers: ())


def count(shape: tuple) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _strides(shape: tuple) -> tuple:
    """Strides of a contiguous tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def dynamic_bytes(shared: int) -> int:
    return shared if shared > _STATIC_SHARED else 0
`;
