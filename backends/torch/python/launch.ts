/** `launch.py` of an emitted package, the same in every one. Loaded kernels and their launches. */
export const launchPython: string = String.raw`"""Entry points ready to run on one device: kernels loaded, and for each batch and length all numbers worked out.

A call packs pointers into one buffer per thread and hands the kernels to the driver on PyTorch's current
stream. It allocates with PyTorch's allocator only and never waits, so that CUDA graphs can capture it.
"""
from __future__ import annotations

import threading
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import torch

from . import driver, nvrtc
from .memory import UNWANTED, ZEROS, Kept
from .plan import Plan, dynamic_bytes, make_plan
from .structure import Kernels

_buffer = driver.LaunchBuffer()
_plain_types = (torch.Tensor, torch.nn.Parameter)

#: Kernels load up to 16 bytes at once: bits of an address that must be zero.
_ALIGNMENT = 15

#: Sizes of calls whose numbers are kept, per entry point.
_KEPT_PLANS = 512


def _current_stream(index: int) -> int:
    return torch.cuda.current_stream(index).cuda_stream


def _check_layout(tensor: torch.Tensor, shape: tuple, strides: tuple) -> None:
    if tensor.shape != shape or not tensor.is_contiguous():
        raise AssertionError


# the same with less work per call, where this PyTorch has them
_current_device = getattr(torch._C, "_cuda_getDevice", torch.cuda.current_device)
_current_stream = getattr(torch._C, "_cuda_getCurrentRawStream", _current_stream)
_guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
_check_layout = getattr(_guards, "assert_size_stride", _check_layout)


class Program:
    """One entry point for one storage type on one device."""

    def __init__(self, choices: Sequence[Kernels], device: torch.device, layer: str) -> None:
        entry = choices[-1].entry  # for calls of every size; callers see the same tensors of all of them
        self.entry = entry
        self.storage = choices[-1].folder
        self.choices = choices
        self.functions: Dict[str, Dict[str, int]] = {}
        self.lock = threading.Lock()
        self.layer = layer
        self.device = device
        self.index = device.index
        self.plans: Dict[tuple, Plan] = {}
        self.zeros = ZEROS.setdefault(device.index, Kept(device))
        self.unwanted = UNWANTED.setdefault(device.index, Kept(device))
        self.expected = tuple(tensor.dtype for tensor in entry.given)
        self.optional = tuple(tensor.role == "initial" for tensor in entry.given)
        dispatches = [one for choice in choices for one in choice.entry.dispatches]
        read = {each["tensor"] for one in dispatches for each in one["bindings"] if each["access"] != "write"}
        #: final states that no kernel reads: where nobody wants them, they need no memory of their own
        self.droppable = tuple(tensor.role == "final" and tensor.name not in read for tensor in entry.results)
        with torch.cuda.device(device):
            torch.cuda.current_stream().query()  # makes the context current in this thread
            self._functions_of(choices[-1])
            self.context = driver.current_context()
        self.launch_kernel = driver.library().cuLaunchKernelEx

    def _functions_of(self, kernels: Kernels) -> Dict[str, int]:
        """The loaded kernels by name, compiled at first use."""
        with self.lock:
            found = self.functions.get(kernels.folder)
            if found is None:
                found = self.functions[kernels.folder] = self._load(kernels)
        return found

    def _load(self, kernels: Kernels) -> Dict[str, int]:
        entry = kernels.entry
        if not entry.dispatches:
            return {}
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"the kernels of '{entry.name}' of layer {self.layer} are not loaded yet, which cannot be done "
                "while a CUDA graph is captured: call 'prepare()' of the package, or run the layer once at this "
                "size, before"
            )
        path = Path(__file__).parent / "kernels" / kernels.folder / f"{entry.name}.cu"
        label = f"{self.layer}-{entry.name}-{kernels.folder}"
        capability = torch.cuda.get_device_capability(self.index)
        module = driver.load_module(nvrtc.image_of(path.read_text(encoding="utf-8"), capability, label))
        return {
            each["kernel"]: driver.function_of(module, each["kernel"], dynamic_bytes(each["sharedBytes"]))
            for each in entry.dispatches
        }

    def load_all(self) -> None:
        """Loads the kernels for calls of every size."""
        with torch.cuda.device(self.device):
            for each in self.choices:
                self._functions_of(each)

    def plan(self, batch: int, length: int) -> Plan:
        """The numbers for a batch and length, worked out once."""
        found = self.plans.get((batch, length))
        if found is None:
            kernels = next(each for each in self.choices if each.serves(batch, length))
            found = make_plan(kernels.entry, self._functions_of(kernels), batch, length)
            if len(self.plans) >= _KEPT_PLANS:
                self.plans.clear()
            self.plans[(batch, length)] = found
        return found

    def try_run(self, batch: int, length: int, given: Sequence[Optional[torch.Tensor]], drop: bool = False):
        """The results, or None unless every tensor is plain and exactly as the kernels want it.

        With 'drop' final states are not given: where nobody wants them they need no memory.
        """
        plan = self.plans.get((batch, length))
        if plan is None or _current_device() != self.index:
            return None
        index = self.index
        pointers: List[int] = []
        used: List[Optional[torch.Tensor]] = []
        try:
            for tensor, dtype, shape, strides in zip(given, self.expected, plan.shapes, plan.strides):
                if tensor is None:
                    if not self.optional[len(pointers)]:
                        return None
                    pointer, own = self.zeros.at(plan.bytes[len(pointers)])
                    pointers.append(pointer)
                    used.append(own)
                    continue
                if type(tensor) not in _plain_types:
                    return None
                if tensor.dtype is not dtype:
                    if not tensor.is_complex():
                        return None
                    tensor = torch.view_as_real(tensor)
                    if tensor.dtype is not dtype:
                        return None
                _check_layout(tensor, shape, strides)
                if tensor.get_device() != index:
                    return None
                pointer = tensor.data_ptr()
                if pointer & _ALIGNMENT:
                    return None
                pointers.append(pointer)
                used.append(tensor)
        except (AssertionError, RuntimeError):  # another shape, other strides, or a conjugate not yet computed
            return None
        return self._run(plan, used, pointers, drop)

    def run(self, batch: int, length: int, given: Sequence[Optional[torch.Tensor]]) -> List[torch.Tensor]:
        """The results; the tensors have the right shapes and types and are on the device."""
        if _current_device() != self.index:
            with torch.cuda.device(self.index):
                return self.run(batch, length, given)
        if batch == 0 or length == 0:
            return self._run_empty(batch, length, given)
        plan = self.plan(batch, length)
        pointers: List[int] = []
        used: List[Optional[torch.Tensor]] = []
        for tensor, size in zip(given, plan.bytes):
            if tensor is None:
                pointer, own = self.zeros.at(size)
            else:
                own = tensor if tensor.is_contiguous() else tensor.contiguous()
                pointer = own.data_ptr()
                if pointer & _ALIGNMENT:  # a piece of a larger tensor
                    own = own.clone()
                    pointer = own.data_ptr()
            pointers.append(pointer)
            used.append(own)
        return self._run(plan, used, pointers, False)

    def _run(self, plan: Plan, used: List[Optional[torch.Tensor]], pointers: List[int], drop: bool):
        device = self.device
        results = []
        for (shape, dtype, size, like), droppable in zip(plan.results, self.droppable):
            if drop and droppable:
                pointer, own = self.unwanted.at(size)
                pointers.append(pointer)
                results.append(own)
                continue
            result = torch.empty(shape, dtype=dtype, device=device) if like is None else torch.empty_like(used[like])
            pointers.append(result.data_ptr())
            results.append(result)
        if plan.scratch_bytes > 0:
            scratch = torch.empty(plan.scratch_bytes, dtype=torch.uint8, device=device)
            start = scratch.data_ptr()
            for offset in plan.scratch_offsets:
                pointers.append(start + offset)
        elif plan.scratch_offsets:
            pointers.extend([0] * len(plan.scratch_offsets))
        buffer = _buffer
        packed, address, extra = buffer.bytes, buffer.address, buffer.extra_address
        stream = _current_stream(self.index)
        launch_kernel = self.launch_kernel
        for function, shape, pack, pick, uniforms, size in plan.launches:
            pack(packed, 0, *shape, stream, 0, 0, size, *pick(pointers), *uniforms)
            code = launch_kernel(address, function, None, extra)
            if code != 0:
                self._retry(code, address, function, extra)
        return results

    def _run_empty(self, batch: int, length: int, given: Sequence[Optional[torch.Tensor]]) -> List[torch.Tensor]:
        """No sequences, or none with a token: states stay, their gradients pass, all other gradients are zero."""
        passed = {"final": "initial", "gradient": "final-cotangent"}
        states = {(each.role, each.subject): tensor for each, tensor in zip(self.entry.given, given)}
        results = []
        for each in self.entry.results:
            shape = each.shape(batch, length)
            if each.role == "output" and 0 not in shape:
                raise ValueError(f"output '{each.subject}' of layer {self.layer} has no value over {length} tokens")
            result = torch.zeros(shape, dtype=each.dtype, device=self.device)
            state = states.get((passed.get(each.role, ""), each.subject))
            results.append(result if state is None else result.copy_(state))
        return results

    def _retry(self, code: int, address: int, function: int, extra: int) -> None:
        """Launches again in a thread that has not used the device yet; other failures are raised."""
        if code == driver.INVALID_CONTEXT:
            driver.check(driver.library().cuCtxSetCurrent(self.context), "making the device current")
            code = self.launch_kernel(address, function, None, extra)
        driver.check(code, f"launching '{self.entry.name}' of layer {self.layer}")


class Programs:
    """All entry points of a layer on all devices, loaded when they are first used."""

    def __init__(self, layer: str, kernels: Dict[tuple, Sequence[Kernels]]) -> None:
        self.layer = layer
        self.kernels = kernels
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
                found = Program(self.kernels[(entry, storage)], device, self.layer)
                self.loaded[key] = found
        return found
`;
