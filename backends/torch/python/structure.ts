/** `structure.py` of an emitted package, the same in every one. Tensors of a layer and of its manifests. */
export const structurePython: string = String.raw`"""What a layer's tensors are, and what its manifests say about entries, tensors and launches."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch

#: Element types by the names that manifests use.
DTYPES = {
    "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64,
    "i32": torch.int32, "u8": torch.uint8, "i8": torch.int8,
}

#: Tensors that a caller of an entry brings, in contrast to results and scratch memory.
GIVEN_ROLES = ("input", "param", "initial", "output-cotangent", "final-cotangent")

#: Kernels count elements with 32 bits.
MOST_ELEMENTS = 2**31 - 1


class Value(NamedTuple):
    """An input, parameter, state or output of the layer, as callers see it."""

    #: the argument's name in Python
    name: str
    #: its path in the layer's text
    subject: str
    #: "real", "complex", "flag" or "index"
    kind: str
    #: "batch" and "time" where it varies with them, then the declared axes
    axes: Tuple[str, ...]
    #: sizes of the axes; None for batch and time
    sizes: Tuple[Optional[int], ...]
    #: number of values of an index
    values: Optional[int] = None

    def shape(self, batch, length) -> tuple:
        """The shape of a call's tensor, without the pairs of complex numbers."""
        known = {"batch": batch, "time": length}
        return tuple(known[axis] if size is None else size for axis, size in zip(self.axes, self.sizes))


class Description(NamedTuple):
    """A layer: its name, the storage types that it was compiled for, and its tensors."""

    layer: str
    namespace: str
    storages: Tuple[str, ...]
    #: by storage type that has kernels for few sequences: at most how many, of at least how many tokens
    few: Dict[str, Tuple[int, int]]
    inputs: Tuple[Value, ...]
    parameters: Tuple[Value, ...]
    states: Tuple[Value, ...]
    outputs: Tuple[Value, ...]
    has_step: bool


class EntryTensor(NamedTuple):
    """A tensor of an entry point as the kernels see it; complex numbers are pairs along a last axis."""

    name: str
    role: str
    subject: str
    dtype: torch.dtype
    axes: Tuple[str, ...]
    dims: tuple

    def shape(self, batch, length) -> tuple:
        return tuple(evaluate_size(size, batch, length) for size in self.dims)


class Entry(NamedTuple):
    """An entry point: what it is given, what it gives, and its launches as the manifest has them."""

    name: str
    given: Tuple[EntryTensor, ...]
    results: Tuple[EntryTensor, ...]
    scratch: Tuple[EntryTensor, ...]
    dispatches: tuple


def evaluate_size(size, batch, length):
    """A size of a manifest as a number, or as a symbolic one where batch or length are symbolic."""
    if isinstance(size, int):
        return size
    if size == "batch":
        return batch
    if size == "length":
        return length
    left = evaluate_size(size["left"], batch, length)
    right = evaluate_size(size["right"], batch, length)
    operator = size["operator"]
    if operator == "add":
        return left + right
    if operator == "multiply":
        return left * right
    if operator == "ceil-divide":
        if isinstance(right, int) and right == 0:  # pieces of nothing
            return 0
        return (left + right - 1) // right
    if operator == "minimum":
        return left if left < right else right
    raise ValueError(f"a manifest has the unknown operator {operator!r}")


def _tensor(described: dict, entry: str) -> EntryTensor:
    axes, dims = tuple(described["axes"]), tuple(described["dims"])
    if entry == "step":  # one token: its tensors have no axis of time
        kept = [at for at, axis in enumerate(axes) if axis != "time"]
        axes, dims = tuple(axes[at] for at in kept), tuple(dims[at] for at in kept)
    role = described["role"]
    # both parts of a complex value are saved under its name: what is saved goes by the tensor's own name
    subject = described["name"] if role == "saved" else described["subject"] or described["name"]
    return EntryTensor(described["name"], role, subject, DTYPES[described["storage"]], axes, dims)


def _entry(described: dict, layer: Description) -> Entry:
    name = described["name"]
    given_saved = name in ("backward", "backwardFinal")
    given: List[EntryTensor] = []
    results: List[EntryTensor] = []
    scratch: List[EntryTensor] = []
    for each in described["tensors"]:
        tensor = _tensor(each, name)
        if tensor.role == "scratch":
            scratch.append(tensor)
        elif tensor.role in GIVEN_ROLES or (tensor.role == "saved" and given_saved):
            given.append(tensor)
        else:
            results.append(tensor)
    if not name.startswith("backward"):  # outputs and final states in the order of the description, then what is saved
        order = [("output", each.subject) for each in layer.outputs] + [("final", each.subject) for each in layer.states]
        results.sort(key=lambda each: order.index((each.role, each.subject)) if each.role != "saved" else len(order))
    return Entry(name, tuple(given), tuple(results), tuple(scratch), tuple(described["dispatches"]))


def load_entries(kernels: str, layer: Description) -> Dict[str, Entry]:
    """The entry points of a manifest: 'kernels' is a storage type, with '-few' behind it for few sequences."""
    text = (Path(__file__).parent / "kernels" / kernels / "manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    if manifest.get("schema") != "statefuse-manifest" or manifest.get("version") != 1:
        raise RuntimeError(f"the manifest for {kernels} is not of version 1: reinstall the package")
    return {each["name"]: _entry(each, layer) for each in manifest["entries"]}


class Kernels(NamedTuple):
    """An entry point with the folder of its text, and for which calls it is meant."""

    entry: Entry
    folder: str
    #: at most so many sequences, of at least so many tokens; None for calls of every size
    sizes: Optional[Tuple[int, int]] = None

    def serves(self, batch: int, length: int) -> bool:
        return self.sizes is None or (batch <= self.sizes[0] and length >= self.sizes[1])


def load_kernels(layer: Description) -> Dict[Tuple[str, str], Tuple[Kernels, ...]]:
    """By entry point and storage type: kernels for few sequences where there are any, then those for all calls."""
    found: Dict[Tuple[str, str], Tuple[Kernels, ...]] = {}
    for storage in layer.storages:
        for name, entry in load_entries(storage, layer).items():
            found[(name, storage)] = (Kernels(entry, storage),)
        if storage in layer.few:
            folder = f"{storage}-few"
            for name, entry in load_entries(folder, layer).items():
                found[(name, storage)] = (Kernels(entry, folder, layer.few[storage]), *found[(name, storage)])
    return found
`;
