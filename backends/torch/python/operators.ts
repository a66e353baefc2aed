/** `operators.py` of an emitted package, the same in every one. The operators of torch.library. */
export const operatorsPython: string = String.raw`"""From checked tensors to the operators of 'torch.library' and on to the launches, for any layer."""
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Callable, List, Optional, Sequence, Tuple

import torch

from .arguments import Arguments
from .gradients import Gradients
from .launch import Programs
from .structure import DTYPES, Description, load_kernels

#: Entry points of the manifest by operator.
ENTRY_OF = {
    "forward": "forward", "forward_saved": "forwardSaved", "backward": "backward",
    "backward_final": "backwardFinal", "step": "step",
}
_STORAGE_OF = {dtype: name for name, dtype in DTYPES.items()}
_modes = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
_autocast = getattr(torch._C, "_is_any_autocast_enabled", lambda: torch.is_autocast_enabled("cuda"))
_transforms = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", lambda: True)


def check_implementation(implementation: str) -> None:
    if implementation not in ("kernels", "reference"):
        raise ValueError(f"'implementation' is {implementation!r}, expected \"kernels\" or \"reference\"")


def _picker(places: Sequence[int]) -> Callable:
    return itemgetter(*places) if len(places) > 1 else lambda arguments: [arguments[at] for at in places]


class LayerOperators:
    """The operators of one layer: 'forward', 'forward_saved', 'backward', 'backward_final' and 'step'."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.arguments = Arguments(description)
        self.kernels = load_kernels(description)
        first = description.storages[0]
        self.first = {name: each[-1].entry for (name, storage), each in self.kernels.items() if storage == first}
        self.programs = Programs(description.layer, self.kernels)
        self.results = (*description.outputs, *description.states)
        self.is_complex = tuple(each.kind == "complex" for each in self.results)
        self.pickers = {
            entry: tuple(self.arguments.roles.index((each.role, each.subject)) for each in self.first[entry].given)
            for entry in ("forward", "forwardSaved", "step") if entry in self.first
        }
        self.pick = {entry: _picker(places) for entry, places in self.pickers.items()}
        self.gradients = Gradients(self) if "forwardSaved" in self.first else None
        self._register()

    # --- calls -----------------------------------------------------------------------------------------------

    def forward(self, arguments: Sequence[Optional[torch.Tensor]], return_final: bool) -> Sequence[torch.Tensor]:
        """Outputs, and on demand final states; arguments are inputs, parameters and initial states."""
        results = self._call("forward", arguments, not return_final)
        return results if return_final else results[: len(self.description.outputs)]

    def step(self, arguments: Sequence[Optional[torch.Tensor]]) -> Sequence[torch.Tensor]:
        """Outputs and new states for one token: inputs and outputs have no axis of time."""
        return self._call("step", arguments, False)

    def _call(self, entry: str, arguments, drop: bool):
        is_plain = not torch.compiler.is_compiling() and _modes() == 0 and _transforms() is None
        results = self._lean(entry, arguments, drop) if is_plain else None
        if results is None:
            results = self._checked(entry, self.arguments.prepare(entry, arguments), is_plain)
        if True not in self.is_complex:
            return results
        return tuple(
            torch.view_as_complex(result.float()) if is_complex and result is not None else result
            for result, is_complex in zip(results, self.is_complex)
        )

    def _lean(self, entry: str, arguments, drop: bool):
        """A call with nothing to convert, without the dispatcher; None where anything is amiss or unusual."""
        if _autocast():
            return None
        try:
            batch, length = self.arguments.sizes(arguments, entry)
            lead = arguments[self.arguments.stream or 0]
            storage = "f32" if self.arguments.stream is None else _STORAGE_OF[lead.dtype]
            if torch.is_grad_enabled() and True in [each is not None and each.requires_grad for each in arguments]:
                if entry == "step" or self.gradients is None:
                    return None
                program = self.programs.loaded[("forwardSaved", storage, lead.get_device())]
                return self.gradients.apply(program, batch, length, arguments, False)
            program = self.programs.loaded[(entry, storage, lead.get_device())]
        except (KeyError, AttributeError, IndexError, TypeError):
            return None
        return program.try_run(batch, length, self.pick[entry](arguments), drop)

    def _checked(self, entry: str, prepared: List[Optional[torch.Tensor]], is_plain: bool):
        """A call with checked arguments; through the dispatcher where something may want to see it."""
        operators = getattr(torch.ops, self.description.namespace)
        needs_gradient = self.gradients is not None and torch.is_grad_enabled() and any(
            tensor is not None and tensor.requires_grad for tensor in prepared
        )
        if not needs_gradient:
            results = operators.step(*prepared) if entry == "step" else operators.forward(*prepared)
            return results if isinstance(results, (tuple, list)) else (results,)
        if entry == "step":
            prepared = self.with_time(prepared)
        if is_plain:
            lead, storage = self._lead("forwardSaved", prepared, False)
            program = self.programs.get("forwardSaved", storage, lead.get_device())
            results = self.gradients.apply(program, *self.arguments.sizes(prepared, "forward"), prepared, True)
        else:
            results = operators.forward_saved(*prepared)[: len(self.results)]
        return self.without_time(results, self.results) if entry == "step" else results

    def with_time(self, arguments) -> list:
        """Arguments of a step as those of a sequence of one token."""
        axes = self.arguments.time_axis
        return [
            tensor.unsqueeze(axes[at]) if at < len(axes) and axes[at] is not None else tensor
            for at, tensor in enumerate(arguments)
        ]

    def without_time(self, tensors, values) -> list:
        """Tensors of a sequence of one token as those of a step."""
        return [
            tensor.squeeze(value.axes.index("time")) if tensor is not None and "time" in value.axes else tensor
            for tensor, value in zip(tensors, values)
        ]

    # --- operators -------------------------------------------------------------------------------------------

    def _register(self) -> None:
        self.library = torch.library.Library(self.description.namespace, "DEF")
        types = ["Tensor" if at < self.arguments.required else "Tensor?" for at in range(len(self.arguments.roles))]
        names = [f"{role}_{at}" for at, (role, _) in enumerate(self.arguments.roles)]
        arguments = ", ".join(f"{kind} {name}" for kind, name in zip(types, names))
        for operator, name in ENTRY_OF.items():
            entry = self.first.get(name)
            if entry is None:
                continue
            if operator.startswith("backward"):
                given = "".join(f"Tensor given_{at}, " for at in range(len(entry.given)))
                self._define(operator, f"{given}SymInt batch, SymInt length", len(entry.results))
            else:
                self._define(operator, arguments, len(entry.results))
        if self.gradients is not None:
            self.gradients.register()

    def _define(self, operator: str, arguments: str, results: int) -> None:
        returned = "Tensor" if results == 1 else "(" + ", ".join(["Tensor"] * results) + ")"
        self.library.define(f"{operator}({arguments}) -> {returned}", tags=(torch.Tag.pt2_compliant_tag,))
        run, fake = self._implementations(operator, results == 1)
        self.library.impl(operator, run, "CUDA")
        torch.library.register_fake(f"{self.description.namespace}::{operator}", fake, lib=self.library)

    def _implementations(self, operator: str, single: bool) -> Tuple[Callable, Callable]:
        """The launches, and what they give as shapes and types only."""
        entry = ENTRY_OF[operator]
        is_backward = operator.startswith("backward")
        picker = self.pickers.get(entry)

        def run(*arguments):
            batch, length = arguments[-2:] if is_backward else self.arguments.sizes(arguments, entry)
            lead, storage = self._lead(entry, arguments, is_backward)
            program = self.programs.get(entry, storage, lead.get_device())
            given = arguments[:-2] if is_backward else [arguments[at] for at in picker]
            results = program.run(batch, length, given)
            return results[0] if single else tuple(results)

        def fake(*arguments):
            batch, length = arguments[-2:] if is_backward else self.arguments.sizes(arguments, entry)
            lead, storage = self._lead(entry, arguments, is_backward)
            described = self.kernels[(entry, storage)][-1].entry.results
            results = [lead.new_empty(each.shape(batch, length), dtype=each.dtype) for each in described]
            return results[0] if single else tuple(results)

        return run, fake

    def _lead(self, entry: str, arguments, is_backward: bool) -> Tuple[torch.Tensor, str]:
        """A tensor of the call's device, and the storage type of the streams."""
        if not is_backward:
            lead = arguments[self.arguments.stream or 0]
            return lead, "f32" if self.arguments.stream is None else _STORAGE_OF[lead.dtype]
        for each, tensor in zip(self.first[entry].given, arguments):
            if each.role == "output-cotangent" or (each.role == "input" and each.dtype != torch.int32):
                return tensor, _STORAGE_OF[tensor.dtype]
        return arguments[0], "f32"

    # --- loading ---------------------------------------------------------------------------------------------

    def prepare(self, device, dtypes, entries) -> None:
        """Loads entry points in parallel: all, or those named as operators."""
        index = torch.device("cuda" if device is None else device).index
        index = torch.cuda.current_device() if index is None else index
        storages = self.description.storages if dtypes is None else [_STORAGE_OF[dtype] for dtype in dtypes]
        names = [ENTRY_OF[each] for each in (ENTRY_OF if entries is None else entries)]
        wanted = [(name, storage, index) for storage in storages for name in names if (name, storage) in self.kernels]
        with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
            for _ in pool.map(lambda key: self.programs.get(*key).load_all(), wanted):
                pass
`;
