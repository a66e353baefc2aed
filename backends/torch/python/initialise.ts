/** `initialise.py` of an emitted package, the same in every one. Distributions and functions of initialisers. */
export const initialisePython: string = String.raw`"""What initialisers are made of: functions and random numbers in float64, drawn from PyTorch's generator."""
from __future__ import annotations

import math

import torch


def number(value) -> torch.Tensor:
    """A number or tensor in float64 (or complex128)."""
    if isinstance(value, torch.Tensor):
        return value.to(torch.complex128 if value.is_complex() else torch.float64)
    return torch.tensor(value, dtype=torch.float64)


def along(size: int, rank: int, dim: int) -> torch.Tensor:
    """0, 1, 2, … along one dimension."""
    return torch.arange(size, dtype=torch.float64).reshape([size if at == dim else 1 for at in range(rank)])


def modes(pairs, rank: int, dim: int) -> torch.Tensor:
    """Complex numbers along one dimension, from their real and imaginary parts."""
    values = torch.view_as_complex(torch.tensor(pairs, dtype=torch.float64))
    return values.reshape([len(pairs) if at == dim else 1 for at in range(rank)])


def parameter(tensor: torch.Tensor, dims, rank: int, is_complex: bool) -> torch.Tensor:
    """Another parameter's values with their axes at these dimensions."""
    values = number(tensor.detach().cpu())
    if is_complex:
        values = torch.view_as_complex(values.contiguous())
    order = sorted(range(len(dims)), key=dims.__getitem__)
    sizes = [1] * rank
    for at in order:
        sizes[dims[at]] = values.shape[at]
    return values.permute(order).reshape(sizes)


def normal(shape, mean=0.0, std=1.0) -> torch.Tensor:
    return mean + std * torch.randn(shape, dtype=torch.float64)


def normal_complex(shape, mean=0.0, std=1.0) -> torch.Tensor:
    """Real and imaginary part are drawn independently, each with this standard deviation."""
    return torch.complex(normal(shape, mean, std), normal(shape, 0.0, std))


def uniform(shape, low=0.0, high=1.0) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, dtype=torch.float64)


def log_uniform(shape, low=1e-3, high=1e-1) -> torch.Tensor:
    low, high = number(low), number(high)
    drawn = torch.exp(uniform(shape, torch.log(low), torch.log(high)))
    return torch.minimum(torch.maximum(drawn, low), high)


def lru_ring(shape, low=0.9, high=0.999) -> torch.Tensor:
    """Uniform over the ring between two radii, at any angle."""
    radius = torch.sqrt(uniform(shape, low * low, high * high))
    return torch.polar(radius, uniform(shape, 0.0, 2 * math.pi))


def power(base, exponent) -> torch.Tensor:
    return torch.pow(number(base), number(exponent))


def inverse_softplus(value) -> torch.Tensor:
    value = number(value)
    return value + torch.log(-torch.expm1(-value))


def softplus(value) -> torch.Tensor:
    value = number(value)
    return torch.logaddexp(value, torch.zeros_like(value))


def square(value) -> torch.Tensor:
    value = number(value)
    return value * value


def complex(re, im) -> torch.Tensor:
    return torch.complex(*torch.broadcast_tensors(number(re), number(im)))


def real(value) -> torch.Tensor:
    value = number(value)
    return value.real if value.is_complex() else value


def imag(value) -> torch.Tensor:
    value = number(value)
    return value.imag if value.is_complex() else torch.zeros_like(value)


def conj(value) -> torch.Tensor:
    return torch.conj(number(value)).resolve_conj()


def maximum(left, right) -> torch.Tensor:
    return torch.maximum(*torch.broadcast_tensors(number(left), number(right)))


def minimum(left, right) -> torch.Tensor:
    return torch.minimum(*torch.broadcast_tensors(number(left), number(right)))


def _elementwise(function):
    def apply(value) -> torch.Tensor:
        return function(number(value))

    return apply


exp, log, sqrt = _elementwise(torch.exp), _elementwise(torch.log), _elementwise(torch.sqrt)
sin, cos, tanh = _elementwise(torch.sin), _elementwise(torch.cos), _elementwise(torch.tanh)
expm1, log1p = _elementwise(torch.expm1), _elementwise(torch.log1p)
absolute, sign, sigmoid = _elementwise(torch.abs), _elementwise(torch.sign), _elementwise(torch.sigmoid)


@torch.no_grad()
def fill(parameter: torch.Tensor, value, is_complex: bool = False) -> None:
    """Writes values over the parameter, broadcast to its shape; complex ones become pairs."""
    value = number(value)
    if is_complex and not value.is_complex() and value.shape == parameter.shape:
        pass  # pairs already
    elif is_complex:
        value = torch.view_as_real(value.to(torch.complex128))
    elif value.is_complex():
        raise ValueError("an initialiser of a real parameter gave complex numbers")
    parameter.copy_(value.expand(parameter.shape))
`;
