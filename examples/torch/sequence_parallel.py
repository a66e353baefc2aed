"""A layer over a sequence that is spread over processes: each has a piece, the state goes from piece to piece.

The gradient of the state comes back the same way. Any package of `statefuse compile --target torch` whose layer
runs forward in time can be used: pieces follow each other, so that the time of a pass is that of one GPU, but
each GPU needs memory for its own piece only.

    y = run_piece(lambda x: layer(u, delta, B, C, z, x_initial=x, return_final=True), layer.initial_state(batch))
"""
from __future__ import annotations

import torch
import torch.distributed as dist


def _on_wire(tensor: torch.Tensor) -> torch.Tensor:
    """The numbers as the process group can send them: gloo takes host memory, none takes complex numbers."""
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    tensor = tensor.detach().contiguous()
    return tensor.cpu() if dist.get_backend() == "gloo" else tensor


def _send(tensor: torch.Tensor, to: int) -> None:
    dist.send(_on_wire(tensor), to)


def _receive(like: torch.Tensor, sender: int) -> torch.Tensor:
    room = torch.empty_like(_on_wire(like))
    dist.recv(room, sender)
    room = room.to(like.device)
    return torch.view_as_complex(room) if like.is_complex() else room


class _Receive(torch.autograd.Function):
    """The state of the piece before; backward sends its gradient there."""

    @staticmethod
    def forward(ctx, zeros, sender):
        ctx.sender = sender
        return _receive(zeros, sender)

    @staticmethod
    def backward(ctx, gradient):
        _send(gradient, ctx.sender)
        return None, None


class _HandOn(torch.autograd.Function):
    """Passes an output through and sends the state to the next piece; backward waits for its gradient."""

    @staticmethod
    def forward(ctx, output, state, to):
        ctx.to = to
        ctx.save_for_backward(state)
        _send(state, to)
        return output.view_as(output)

    @staticmethod
    def backward(ctx, gradient):
        (state,) = ctx.saved_tensors
        return gradient, _receive(state, ctx.to), None


def run_piece(layer, zeros: torch.Tensor) -> torch.Tensor:
    """The output of this process's piece; `layer` takes an initial state and gives output and final state.

    Every process must use its output in a loss, as the gradient of the state hangs on it.
    """
    rank, size = dist.get_rank(), dist.get_world_size()
    state = zeros.requires_grad_() if rank == 0 else _Receive.apply(zeros.requires_grad_(), rank - 1)
    output, final = layer(state)
    return output if rank == size - 1 else _HandOn.apply(output, final, rank + 1)
