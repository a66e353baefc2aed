/** `gradients.py` of an emitted package, the same in every one. Gradients of the operators of torch.library. */
export const gradientsPython: string = String.raw`"""Gradients of a layer: what is kept for them, and the entry that computes them."""
from __future__ import annotations

from typing import Callable, List, Optional

import torch
from torch.autograd.function import once_differentiable


class _Direct(torch.autograd.Function):
    """The call outside of compilation: the same as the operator 'forward_saved', without the dispatcher."""

    @staticmethod
    def forward(ctx, gradients, program, batch, length, is_checked, *arguments):
        ctx.set_materialize_grads(False)
        given = [arguments[at] for at in gradients.operators.pickers["forwardSaved"]]
        run = program.run if is_checked else program.try_run
        results = run(batch, length, given)
        if results is None:
            return None
        ctx.save_for_backward(*gradients.kept(arguments, results))
        count = len(gradients.operators.results)
        ctx.layer, ctx.program, ctx.sizes = gradients, program, (batch, length)
        ctx.dtypes = [result.dtype for result in results[:count]]
        return tuple(results[:count])

    @staticmethod
    @once_differentiable
    def backward(ctx, *cotangents):
        layer, operators = ctx.layer, ctx.layer.operators
        key = (ctx.program.storage, ctx.program.index)

        def run(name, given, batch, length):
            return operators.programs.get(name, *key).run(batch, length, given)

        computed = layer.compute(run, dict(zip(layer.used, ctx.saved_tensors)), list(cotangents), ctx)
        wanted = ctx.needs_input_grad[5:]
        return (None,) * 5 + tuple(
            computed.get(role) if each else None for role, each in zip(layer.roles, wanted)
        )


class Gradients:
    """Gradients of 'forward_saved', 'forward' and 'step'.

    'forward_saved' keeps what its kernels saved. The other two save nothing: their backward pass runs
    'forward_saved' first.
    """

    def __init__(self, operators) -> None:
        self.operators = operators
        self.description = operators.description
        self.roles = operators.arguments.roles
        self.namespace = operators.description.namespace
        self.saved = operators.first["forwardSaved"].results
        #: what the backward pass reads, of both its variants
        self.used = list(dict.fromkeys(
            (each.role, each.subject)
            for name in ("backward", "backwardFinal") for each in operators.first[name].given
            if each.role in ("input", "param", "initial", "saved")
        ))
        outputs = self.description.outputs
        self.cotangents = {
            **{("output-cotangent", each.subject): at for at, each in enumerate(outputs)},
            **{("final-cotangent", each.subject): at + len(outputs) for at, each in enumerate(self.description.states)},
        }
        #: input, param or initial by path: a gradient's tensor is named after it
        self.role_of = {subject: role for role, subject in self.roles}

    def apply(self, program, batch: int, length: int, arguments, is_checked: bool):
        """Outputs and final states with a gradient; None where unchecked arguments are not as the kernels want them."""
        return _Direct.apply(self, program, batch, length, is_checked, *arguments)

    def register(self) -> None:
        self._register("forward_saved", recompute=False)
        self._register("forward", recompute=True)
        if "step" in self.operators.first:
            self._register("step", recompute=True)
        for operator in ("backward", "backward_final"):
            torch.library.register_autograd(f"{self.namespace}::{operator}", self._refuse, lib=self.operators.library)

    def _refuse(self, ctx, *_):
        raise RuntimeError(
            f"layer {self.description.layer} has no second derivatives; pass implementation=\"reference\" for them"
        )

    def _register(self, operator: str, recompute: bool) -> None:
        entry = "step" if operator == "step" else "forward"
        count = len(self.operators.results)

        def setup(ctx, inputs, output) -> None:
            ctx.set_materialize_grads(False)
            results = output if isinstance(output, (tuple, list)) else (output,)
            kept = list(inputs) if recompute else self.kept(inputs, results)
            ctx.save_for_backward(*kept)
            ctx.dtypes = [result.dtype for result in results[:count]]
            ctx.sizes = self.operators.arguments.sizes(inputs, entry)

        def backward(ctx, *cotangents):
            kept, cotangents = ctx.saved_tensors, list(cotangents[:count])
            if recompute:
                kept, cotangents = self._recompute(operator, kept, cotangents)
            computed = self.compute(self._operator, dict(zip(self.used, kept)), cotangents, ctx)
            gradients = [
                computed.get(key) if wanted else None for key, wanted in zip(self.roles, ctx.needs_input_grad)
            ]
            if operator == "step":
                gradients = self.operators.without_time(gradients, self.operators.arguments.values)
            return tuple(gradients)

        name = f"{self.namespace}::{operator}"
        torch.library.register_autograd(name, backward, setup_context=setup, lib=self.operators.library)

    def kept(self, inputs, results) -> list:
        """The tensors that the backward pass reads, out of arguments and results of 'forward_saved'."""
        places = {(each.role, each.subject): result for each, result in zip(self.saved, results)}
        places.update(zip(self.roles, inputs))
        return [places[key] for key in self.used]

    def _recompute(self, operator: str, arguments, cotangents):
        if operator == "step":
            arguments = self.operators.with_time(arguments)
            cotangents = [
                each.unsqueeze(value.axes.index("time")) if each is not None and "time" in value.axes else each
                for each, value in zip(cotangents, self.operators.results)
            ]
        results = getattr(torch.ops, self.namespace).forward_saved(*arguments)
        return self.kept(arguments, results), cotangents

    def _operator(self, name: str, given, batch, length):
        operator = "backward_final" if name == "backwardFinal" else "backward"
        results = getattr(getattr(torch.ops, self.namespace), operator)(*given, batch, length)
        return results if isinstance(results, (tuple, list)) else (results,)

    def compute(self, run: Callable, kept: dict, cotangents: List[Optional[torch.Tensor]], ctx) -> dict:
        """Gradients by role and path; without cotangents of final states the cheaper entry runs."""
        has_final = any(each is not None for each in cotangents[len(self.description.outputs) :])
        name = "backwardFinal" if has_final else "backward"
        entry = self.operators.first[name]
        batch, length = ctx.sizes
        lead = next(tensor for tensor in (*cotangents, *kept.values()) if tensor is not None)
        given = []
        for each in entry.given:
            key = (each.role, each.subject)
            at = self.cotangents.get(key)
            tensor = kept.get(key) if at is None else cotangents[at]
            if tensor is None:  # an absent cotangent or state is zero
                dtype = torch.float32 if at is None else ctx.dtypes[at]
                tensor = lead.new_zeros(each.shape(batch, length), dtype=dtype)
            given.append(tensor)
        results = run(name, given, batch, length)
        return {(self.role_of[each.subject], each.subject): result for each, result in zip(entry.results, results)}
`;
