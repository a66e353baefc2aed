/** `launch.py` of an emitted package, the same in every one. Loaded kernels and their launches. */
export const launchPython: string = String.raw`"""Entry points ready to run on one device: kernels loaded, and for each batch and length all numbers worked out.

A call packs pointers into one buffer per thread and hands the kernels to the driver on PyTorch's current
stream. It allocates with PyTorch's allocator only and never waits, so that CUDA graphs can capture it.
"""
from __future__ import annotations

import struct
import threading
from operator import itemgetter
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch

from . import driver, nvrtc
from .structure import MOST_ELEMENTS, Entry, EntryTensor, evaluate_size

_arguments = driver.LaunchArguments()
_plain_types = (torch.Tensor, torch.nn.Parameter)

#: Sizes of calls whose numbers are kept, per entry point.
_KEPT_PLANS = 512

#: Zeros that stand for absent states are kept up to this size.
_KEPT_ZEROS = 64 * 2**20

#: Launch limits of every GPU with compute capability 3.0 or later.
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)

_STATIC_SHARED = 48 * 1024


def _current_device() -> int:
    return torch.cuda.current_device()


def _current_stream(index: int) -> int:
    return torch.cuda.current_stream(index).cuda_stream


# the same without a Python object per call, where this PyTorch has them
_current_device = getattr(torch._C, "_cuda_getDevice", _current_device)
_current_stream = getattr(torch._C, "_cuda_getCurrentRawStream", _current_stream)


class Launch(NamedTuple):
    """One kernel of a plan."""

    function: int
    grid: Tuple[int, int, int]
    block: int
    shared: int
    #: writes the arguments into a buffer
    pack: Callable
    #: takes this kernel's pointers out of all pointers of the call
    pick: Callable
    uniforms: Tuple[int, ...]
    size: int


class Plan(NamedTuple):
    """An entry point for one batch and length."""

    shapes: Tuple[tuple, ...]
    results: Tuple[Tuple[tuple, torch.dtype], ...]
    scratch_bytes: int
    scratch_offsets: Tuple[int, ...]
    launches: Tuple[Launch, ...]


class _Zeros:
    """Zeros of a device that never change and never move, for states that a call does not bring."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.kept: List[torch.Tensor] = []
        self.bytes = 0
        self.pointer = 0

    def at(self, size: int) -> Tuple[int, Optional[torch.Tensor]]:
        """A pointer to so many bytes, and what must live until the launch where it is not kept here."""
        if size <= self.bytes:
            return self.pointer, None
        if size > _KEPT_ZEROS or torch.cuda.is_current_stream_capturing():
            own = torch.zeros(size, dtype=torch.uint8, device=self.device)
            return own.data_ptr(), own
        made = torch.zeros(max(65536, 2 ** (size - 1).bit_length()), dtype=torch.uint8, device=self.device)
        torch.cuda.current_stream(self.device).synchronize()  # once per growth: other streams may read it next
        self.kept.append(made)  # smaller ones stay: a captured graph may point at them
        self.bytes, self.pointer = made.numel(), made.data_ptr()
        return self.pointer, None


_zeros: Dict[int, _Zeros] = {}


def _zeros_of(device: torch.device) -> _Zeros:
    return _zeros.setdefault(device.index, _Zeros(device))


def _picker(places: Sequence[int]) -> Callable:
    if len(places) > 1:
        return itemgetter(*places)
    return (lambda pointers: (pointers[places[0]],)) if places else (lambda pointers: ())


class Program:
    """One entry point for one storage type on one device."""

    def __init__(self, entry: Entry, storage: str, device: torch.device, layer: str) -> None:
        self.entry = entry
        self.layer = layer
        self.device = device
        self.index = device.index
        self.plans: Dict[tuple, Plan] = {}
        self.zeros = _zeros_of(device)
        self.expected = tuple(tensor.dtype for tensor in entry.given)
        self.optional = tuple(tensor.role == "initial" for tensor in entry.given)
        with torch.cuda.device(device):
            torch.cuda.current_stream().query()  # makes the context current in this thread
            self.functions = self._load(storage)
            self.context = driver.current_context()
        self.launch_kernel = driver.library().cuLaunchKernel

    def _load(self, storage: str) -> Dict[str, int]:
        if not self.entry.dispatches:
            return {}
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"the kernels of '{self.entry.name}' of layer {self.layer} are not loaded yet, which cannot be done "
                "while a CUDA graph is captured: call 'prepare()' of the package, or run the layer once, before"
            )
        path = Path(__file__).parent / "kernels" / storage / f"{self.entry.name}.cu"
        label = f"{self.layer}-{self.entry.name}-{storage}"
        capability = torch.cuda.get_device_capability(self.index)
        module = driver.load_module(nvrtc.image_of(path.read_text(encoding="utf-8"), capability, label))
        return {
            each["kernel"]: driver.function_of(module, each["kernel"], _dynamic_bytes(each["sharedBytes"]))
            for each in self.entry.dispatches
        }

    def plan(self, batch: int, length: int) -> Plan:
        """The numbers for a batch and length; refuses what the kernels cannot index or launch."""
        found = self.plans.get((batch, length))
        if found is not None:
            return found
        entry = self.entry
        for tensor in (*entry.given, *entry.results, *entry.scratch):
            count = _count(tensor.shape(batch, length))
            if count > MOST_ELEMENTS:
                raise ValueError(
                    f"batch {batch} and length {length} are too large: '{tensor.name}' would have {count} elements, "
                    f"the kernels index at most {MOST_ELEMENTS}; cut the batch, or the sequence with the state handed on"
                )
        offsets, total = [], 0
        for tensor in entry.scratch:
            offsets.append(total)
            total += (_count(tensor.shape(batch, length)) * tensor.dtype.itemsize + 255) // 256 * 256
        names = [tensor.name for tensor in (*entry.given, *entry.results, *entry.scratch)]
        places = {name: at for at, name in enumerate(names)}
        launches = (self._launch(each, places, batch, length) for each in entry.dispatches)
        made = Plan(
            tuple(tensor.shape(batch, length) for tensor in entry.given),
            tuple((tensor.shape(batch, length), tensor.dtype) for tensor in entry.results),
            total, tuple(offsets), tuple(each for each in launches if each is not None),
        )
        if len(self.plans) >= _KEPT_PLANS:
            self.plans.clear()
        self.plans[(batch, length)] = made
        return made

    def _launch(self, dispatch: dict, places: Dict[str, int], batch: int, length: int) -> Optional[Launch]:
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
        packed = struct.Struct("<" + "Q" * len(bindings) + "i" * len(uniforms))
        if packed.size > driver.LaunchArguments.capacity:
            raise RuntimeError(f"the kernel {dispatch['kernel']} takes too many arguments")
        return Launch(
            self.functions[dispatch["kernel"]], grid, dispatch["workgroupSize"], _dynamic_bytes(dispatch["sharedBytes"]),
            packed.pack_into, _picker(bindings), uniforms, packed.size,
        )

    def try_run(self, batch: int, length: int, given: Sequence[Optional[torch.Tensor]]):
        """The results, or None unless every tensor is plain and exactly as the kernels want it."""
        plan = self.plans.get((batch, length))
        if plan is None or _current_device() != self.index:
            return None
        pointers = []
        holding = None
        for tensor, dtype, shape, optional in zip(given, self.expected, plan.shapes, self.optional):
            if tensor is None:
                if not optional:
                    return None
                pointer, own = self.zeros.at(4 * _count(shape))
                holding = own if holding is None else (holding, own)
                pointers.append(pointer)
                continue
            if type(tensor) not in _plain_types:
                return None
            if tensor.dtype is not dtype:
                if not tensor.is_complex():
                    return None
                tensor = torch.view_as_real(tensor)
                if tensor.dtype is not dtype:
                    return None
            if tensor.shape != shape or tensor.get_device() != self.index or not tensor.is_contiguous():
                return None
            pointers.append(tensor.data_ptr())
        return self._run(plan, pointers)

    def run(self, batch: int, length: int, given: Sequence[Optional[torch.Tensor]]) -> List[torch.Tensor]:
        """The results; the tensors have the right shapes and types and are on the device."""
        with torch.cuda.device(self.index):
            plan = self.plan(batch, length)
            pointers, holding = [], []
            for tensor, shape in zip(given, plan.shapes):
                if tensor is None:
                    pointer, own = self.zeros.at(4 * _count(shape))
                else:
                    own = tensor.contiguous()
                    pointer = own.data_ptr()
                pointers.append(pointer)
                holding.append(own)
            return self._run(plan, pointers)

    def _run(self, plan: Plan, pointers: List[int]) -> List[torch.Tensor]:
        device = self.device
        results = []
        for shape, dtype in plan.results:
            result = torch.empty(shape, dtype=dtype, device=device)
            results.append(result)
            pointers.append(result.data_ptr())
        if plan.scratch_bytes > 0:
            scratch = torch.empty(plan.scratch_bytes, dtype=torch.uint8, device=device)
            start = scratch.data_ptr()
            for offset in plan.scratch_offsets:
                pointers.append(start + offset)
        elif plan.scratch_offsets:
            pointers.extend([0] * len(plan.scratch_offsets))
        arguments = _arguments
        buffer, size, extra = arguments.buffer, arguments.size, arguments.extra_address
        stream = _current_stream(self.index)
        launch_kernel = self.launch_kernel
        for function, (x, y, z), block, shared, pack, pick, uniforms, bytes_of in plan.launches:
            pack(buffer, 0, *pick(pointers), *uniforms)
            size.value = bytes_of
            code = launch_kernel(function, x, y, z, block, 1, 1, shared, stream, None, extra)
            if code == driver.INVALID_CONTEXT:  # a thread that has not used the device yet
                driver.check(driver.library().cuCtxSetCurrent(self.context), "making the device current")
                code = launch_kernel(function, x, y, z, block, 1, 1, shared, stream, None, extra)
            if code != 0:
                driver.check(code, f"launching '{self.entry.name}' of layer {self.layer}")
        return results


def _count(shape: tuple) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _dynamic_bytes(shared: int) -> int:
    return shared if shared > _STATIC_SHARED else 0


class Programs:
    """All entry points of a layer on all devices, loaded when they are first used."""

    def __init__(self, layer: str, entries: Dict[str, Dict[str, Entry]]) -> None:
        self.layer = layer
        self.entries = entries
        self.loaded: Dict[tuple, Program] = {}
        self.lock = threading.Lock()
        self.locks: Dict[tuple, threading.Lock] = {}

    def get(self, entry: str, storage: str, index: int) -> Program:
        key = (entry, storage, index)
        found = self.loaded.get(key)
        if found is not None:
            return found
        with self.lock:
            own = self.locks.setdefault(key, threading.Lock())
        with own:  # two threads compile different entries at once, and none twice
            found = self.loaded.get(key)
            if found is None:
                device = torch.device("cuda", index)
                found = Program(self.entries[storage][entry], storage, device, self.layer)
                self.loaded[key] = found
        return found
`;
