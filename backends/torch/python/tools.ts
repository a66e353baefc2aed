/** `tools.py` of an emitted package, the same in every one. Functions that the reference is written with. */
export const toolsPython: string = String.raw`"""What the reference is written with: every tensor has one dimension per axis of the layer, of size 1 where it
lacks the axis, so that operands meet by axis. The first two are batch and time.
"""
from __future__ import annotations

import torch

BATCH, TIME = 0, 1


def working_dtype(*tensors) -> torch.dtype:
    """float64 where any tensor has it, else float32: the reference rounds only what it returns."""
    double = any(tensor is not None and tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors)
    return torch.float64 if double else torch.float32


def pair_complex(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Complex numbers from complex ones, or from pairs along the last axis."""
    if tensor.is_complex():
        return tensor.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
    tensor = tensor.to(dtype).contiguous()
    return torch.view_as_complex(tensor.clone() if tensor.storage_offset() % 2 else tensor)


def lift(tensor: torch.Tensor, rank: int, dims) -> torch.Tensor:
    """A tensor whose axes are those at 'dims', over all axes of the layer."""
    order = sorted(range(len(dims)), key=dims.__getitem__)
    sizes = [1] * rank
    for at in order:
        sizes[dims[at]] = tensor.shape[at]
    return tensor.permute(order).reshape(sizes)


def lower(tensor: torch.Tensor, dims, sizes) -> torch.Tensor:
    """The other way round; axes that the value lacks are filled with copies."""
    wanted = [1] * tensor.dim()
    for dim, size in zip(dims, sizes):
        wanted[dim] = size
    kept = sorted(dims)
    tensor = tensor.expand(wanted).reshape([wanted[dim] for dim in kept])
    return tensor.permute([kept.index(dim) for dim in dims])


def widen(tensor: torch.Tensor, sizes: dict) -> torch.Tensor:
    """The value over axes that it may lack, by dimension."""
    shape = [sizes.get(dim, size) for dim, size in enumerate(tensor.shape)]
    return tensor.expand(shape)


def sum_over(tensor: torch.Tensor, sizes: dict) -> torch.Tensor:
    return widen(tensor, sizes).sum(dim=tuple(sizes), keepdim=True)


def mean_over(tensor: torch.Tensor, sizes: dict) -> torch.Tensor:
    return widen(tensor, sizes).mean(dim=tuple(sizes), keepdim=True)


def max_over(tensor: torch.Tensor, sizes: dict) -> torch.Tensor:
    return widen(tensor, sizes).amax(dim=tuple(sizes), keepdim=True)


def contract(left: torch.Tensor, right: torch.Tensor, sizes: dict) -> torch.Tensor:
    """The sum of a product over some axes, without the product in memory."""
    dtype = torch.promote_types(left.dtype, right.dtype)
    left, right = widen(left, sizes).to(dtype), widen(right, sizes).to(dtype)
    rank = left.dim()
    shape = torch.broadcast_shapes(left.shape, right.shape)
    own = [[dim for dim in range(rank) if each.shape[dim] != 1 or dim in sizes] for each in (left, right)]
    kept = sorted({dim for dims in own for dim in dims if dim not in sizes})
    parts = [each.reshape([each.shape[dim] for dim in dims]) for each, dims in zip((left, right), own)]
    result = torch.einsum(parts[0], own[0], parts[1], own[1], kept)
    return result.reshape([1 if dim in sizes else shape[dim] for dim in range(rank)])


def gather(table: torch.Tensor, dim: int, index: torch.Tensor) -> torch.Tensor:
    """Rows of a table: the entry at 'index' along one axis."""
    return torch.take_along_dim(table, index.long(), dim=dim)


def iota(size: int, rank: int, dim: int, like: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    numbers = torch.arange(size, dtype=dtype, device=like.device)
    return numbers.reshape([size if at == dim else 1 for at in range(rank)])


def maximum(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.maximum(*torch.broadcast_tensors(left, right))


def minimum(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.minimum(*torch.broadcast_tensors(left, right))


def softplus(value: torch.Tensor) -> torch.Tensor:
    return torch.logaddexp(value, torch.zeros_like(value))


def log_sigmoid(value: torch.Tensor) -> torch.Tensor:
    return -softplus(-value)


def gelu(value: torch.Tensor) -> torch.Tensor:
    return 0.5 * value * (1 + torch.erf(value * 0.5**0.5))


def as_complex(re: torch.Tensor, im: torch.Tensor) -> torch.Tensor:
    return torch.complex(*torch.broadcast_tensors(re, im))


def real(value: torch.Tensor) -> torch.Tensor:
    return value.real if value.is_complex() else value


def imag(value: torch.Tensor) -> torch.Tensor:
    return value.imag if value.is_complex() else torch.zeros_like(value)


def phi1(value: torch.Tensor) -> torch.Tensor:
    """(exp(z) - 1) / z, and its series near 0."""
    small = value.abs() < 0.05
    near = torch.where(small, value, torch.zeros_like(value))
    far = torch.where(small, torch.ones_like(value), value)
    series = torch.ones_like(value)
    for order in range(10, 1, -1):
        series = 1 + near * series / order
    return torch.where(small, series, (torch.exp(far) - 1) / far)


def discretize(rule: str, coefficient, drive, delta, alpha=0.5, enters="rule"):
    """dx/dt = coefficient * x + drive with the drive held over a step: what multiplies x, and what is added."""
    scaled = delta * coefficient
    if rule in ("zoh", "dirac"):
        decay = torch.exp(scaled)
        added = phi1(scaled) * delta * drive if rule == "zoh" else drive
    else:
        weight = delta / (1 - alpha * scaled)
        decay, added = 1 + weight * coefficient, weight * drive
    if enters == "euler":
        added = delta * drive
    elif enters == "dirac":
        added = drive
    return decay, added


def scan(decay, drive, initial, length: int, reverse: bool = False, reset=None, restart=None):
    """x = decay * x + drive token by token: all states, those before each token, and the last one."""
    shape = list(torch.broadcast_shapes(initial.shape, decay.shape, drive.shape))
    shape[TIME] = length
    dtype = torch.promote_types(torch.promote_types(decay.dtype, drive.dtype), initial.dtype)
    if restart is not None:
        drive = torch.where(restart, drive + decay * initial, drive)
    dropped = reset if reset is not None else restart
    if dropped is not None:
        decay = torch.where(dropped, torch.zeros_like(decay), decay)
    drive = drive.to(dtype).expand(shape)
    state = initial.to(dtype).expand([1 if dim == TIME else size for dim, size in enumerate(shape)])
    after, before = [None] * length, [None] * length
    for token in range(length - 1, -1, -1) if reverse else range(length):
        before[token] = state
        factor = decay if decay.shape[TIME] == 1 else decay[:, token : token + 1]
        state = factor * state + drive[:, token : token + 1]
        after[token] = state
    if length == 0:
        return drive, drive, state
    return torch.cat(after, TIME), torch.cat(before, TIME), state


def delay(value: torch.Tensor, tail: torch.Tensor, steps: int, length: int):
    """The value 'steps' tokens earlier; the tail holds what came before the first token."""
    extended = _extended(value, tail, length)
    start = tail.shape[TIME] - steps
    return extended[:, start : start + length]


def next_tail(value: torch.Tensor, tail: torch.Tensor, length: int) -> torch.Tensor:
    """The last values, for the piece of the sequence that comes next."""
    return _extended(value, tail, length)[:, length:]


def _extended(value: torch.Tensor, tail: torch.Tensor, length: int) -> torch.Tensor:
    shape = [length if dim == TIME else size for dim, size in enumerate(tail.shape)]
    dtype = torch.promote_types(value.dtype, tail.dtype)
    return torch.cat([tail.to(dtype), value.to(dtype).expand(shape)], TIME)
`;
