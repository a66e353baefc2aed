/** `arguments.py` of an emitted package, the same in every one. Checks of what callers in Python bring. */
export const argumentsPython: string = String.raw`"""What callers bring, checked and converted to what the operators want, with every mismatch named."""
from __future__ import annotations

import os
from typing import List, Optional, Tuple

import torch

from .structure import DTYPES, Description, Value

_CHECKS_INDICES = os.environ.get("STATEFUSE_CHECK_INDICES") == "1"


class Arguments:
    """The arguments of a layer's operators: inputs, parameters, initial states."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.values = (*description.inputs, *description.parameters, *description.states)
        #: role and subject of each argument, as manifests name them
        self.roles = (
            *(("input", each.subject) for each in description.inputs),
            *(("param", each.subject) for each in description.parameters),
            *(("initial", each.subject) for each in description.states),
        )
        self.inputs = len(description.inputs)
        self.required = self.inputs + len(description.parameters)
        streams = [at for at, each in enumerate(description.inputs) if each.kind in ("real", "complex")]
        #: the input whose type is the storage type, if any holds numbers
        self.stream = streams[0] if streams else None
        self.time_axis = tuple(each.axes.index("time") if "time" in each.axes else None for each in description.inputs)
        self.batch_from = self._find("batch")
        self.length_from = self._find("time")

    def _find(self, axis: str) -> Tuple[int, int]:
        """The first input with an axis, and where it has it."""
        return next((at, each.axes.index(axis)) for at, each in enumerate(self.description.inputs) if axis in each.axes)

    def sizes(self, arguments, entry: str) -> tuple:
        """Batch and length of checked arguments."""
        batch = arguments[self.batch_from[0]].shape[self.batch_from[1]]
        if entry == "step":
            return batch, 1
        return batch, arguments[self.length_from[0]].shape[self.length_from[1]]

    def prepare(self, entry: str, arguments) -> List[Optional[torch.Tensor]]:
        """What callers gave as the operators want it, or an exception that names the argument."""
        for at, (value, tensor) in enumerate(zip(self.values, arguments)):
            if tensor is None and at >= self.required:
                continue
            if not isinstance(tensor, torch.Tensor):
                raise TypeError(f"'{value.name}' must be a tensor, found {type(tensor).__name__}")
        device = self._device(arguments)
        storage_dtype = self._stream_dtype(arguments)
        batch, length = self._given_sizes(entry, arguments)
        prepared: List[Optional[torch.Tensor]] = []
        for at, (value, tensor) in enumerate(zip(self.values, arguments)):
            if tensor is None:
                prepared.append(None)
                continue
            if tensor.device != device:
                raise ValueError(f"'{value.name}' is on {tensor.device}, but the inputs are on {device}")
            dtype = storage_dtype if at < self.inputs else torch.float32
            tensor = self._convert(value, tensor, dtype, is_stream=at < self.inputs)
            self._check_shape(entry, value, tensor, batch, length)
            prepared.append(tensor)
        return prepared

    def _stream_dtype(self, arguments) -> torch.dtype:
        if self.stream is None:
            return torch.float32
        built = [DTYPES[storage] for storage in self.description.storages]
        if torch.is_autocast_enabled("cuda"):
            wanted = torch.get_autocast_dtype("cuda")
            return wanted if wanted in built else torch.float32
        lead = arguments[self.stream]
        dtype = torch.float32 if lead.dtype == torch.complex64 else lead.dtype
        if dtype in built:
            return dtype
        raise TypeError(
            f"'{self.values[self.stream].name}' has dtype {lead.dtype}, but this package holds kernels for "
            f"{', '.join(str(each) for each in built)}: cast the inputs, or pass implementation=\"reference\""
        )

    def _device(self, arguments) -> torch.device:
        device = arguments[self.stream or 0].device
        if device.type == "cuda":
            return device
        raise RuntimeError(
            f"layer {self.description.layer} has kernels for CUDA devices, but '{self.values[self.stream or 0].name}' "
            f"is on {device}: move the tensors to a GPU, or pass implementation=\"reference\" for the slow version in "
            "plain PyTorch"
        )

    def _given_sizes(self, entry: str, arguments) -> tuple:
        found = []
        for where in (self.batch_from, self.length_from):
            if where is self.length_from and entry == "step":
                found.append(1)
                continue
            at, axis = where
            tensor, value = arguments[at], self.values[at]
            if axis >= tensor.dim():
                raise ValueError(f"'{value.name}' has shape {tuple(tensor.shape)}, expected {_expected(value, entry)}")
            found.append(tensor.shape[axis])
        return tuple(found)

    def _convert(self, value: Value, tensor: torch.Tensor, dtype: torch.dtype, is_stream: bool) -> torch.Tensor:
        """Numbers in the storage type; parameters and states are always float32."""
        if value.kind in ("flag", "index"):
            if tensor.is_floating_point() or tensor.is_complex():
                wanted = "bool" if value.kind == "flag" else "an integer type"
                raise TypeError(f"'{value.name}' has dtype {tensor.dtype}, expected {wanted}")
            if _CHECKS_INDICES and value.values is not None and tensor.numel() > 0:
                if int(tensor.min()) < 0 or int(tensor.max()) >= value.values:
                    raise ValueError(f"'{value.name}' must hold indices from 0 to {value.values - 1}")
            return tensor.to(torch.int32)
        if tensor.is_complex():
            if value.kind != "complex":
                raise TypeError(f"'{value.name}' is complex, expected real numbers")
            tensor = torch.view_as_real(tensor.resolve_conj())
        elif not tensor.is_floating_point():
            raise TypeError(f"'{value.name}' has dtype {tensor.dtype}, expected floating-point numbers")
        if tensor.dtype == dtype:
            return tensor
        if is_stream and not torch.is_autocast_enabled("cuda") and value.kind != "complex":
            raise TypeError(f"'{value.name}' has dtype {tensor.dtype}, but the inputs have {dtype}: cast one of them")
        return tensor.to(dtype)

    def _check_shape(self, entry: str, value: Value, tensor: torch.Tensor, batch, length) -> None:
        shape = value.shape(batch, length)
        if entry == "step":
            shape = tuple(size for size, axis in zip(shape, value.axes) if axis != "time")
        if value.kind == "complex":
            shape = (*shape, 2)
        if tuple(tensor.shape) == shape:
            return
        raise ValueError(
            f"'{value.name}' has shape {tuple(tensor.shape)}, expected {shape}: {_expected(value, entry)}"
        )


def _expected(value: Value, entry: str) -> str:
    axes = [axis for axis in value.axes if not (entry == "step" and axis == "time")]
    pairs = " of complex numbers, or with pairs along a last axis" if value.kind == "complex" else ""
    return f"({', '.join(axes)}){pairs}"
`;
