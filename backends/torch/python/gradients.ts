/** `gradients.py` of an emitted package, the same in every one. Gradients of the operators of torch.library. */
export const gradientsPython: string = String.raw`"""Gradients of a layer's operators: what is kept for them, and the entry that computes them."""
from __future__ import annotations

from typing import List, Optional

import torch


class Gradients:
    """Registers the gradients of 'forward_saved', 'forward' and 'step'.

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
            kept = list(inputs) if recompute else self._kept(inputs, results)
            ctx.save_for_backward(*kept)
            ctx.dtypes = [result.dtype for result in results[:count]]
            ctx.sizes = self.operators.arguments.sizes(inputs, entry)

        def backward(ctx, *cotangents):
            kept, cotangents = ctx.saved_tensors, list(cotangents[:count])
            if recompute:
                kept, cotangents = self._recompute(operator, kept, cotangents)
            computed = self._run(dict(zip(self.used, kept)), cotangents, ctx)
            gradients = [
                computed.get(key) if wanted else None for key, wanted in zip(self.roles, ctx.needs_input_grad)
            ]
            if operator == "step":
                gradients = self.operators.without_time(gradients, self.operators.arguments.values)
            return tuple(gradients)

        name = f"{self.namespace}::{operator}"
        torch.library.register_autograd(name, backward, setup_context=setup, lib=self.operators.library)

    def _kept(self, inputs, results) -> list:
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
        return self._kept(arguments, results), cotangents

    def _run(self, kept: dict, cotangents: List[Optional[torch.Tensor]], ctx) -> dict:
        """Gradients by role and path; without cotangents of final states the cheaper entry runs."""
        has_final = any(each is not None for each in cotangents[len(self.description.outputs) :])
        operator, name = ("backward_final", "backwardFinal") if has_final else ("backward", "backward")
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
        results = getattr(getattr(torch.ops, self.namespace), operator)(*given, batch, length)
        results = results if isinstance(results, (tuple, list)) else (results,)
        return {(self.role_of[each.subject], each.subject): result for each, result in zip(entry.results, results)}
`;
