"""The workloads in float64 with plain torch operations: what every implementation is compared with."""

import torch
import torch.nn.functional as F


def scan(a: torch.Tensor, b: torch.Tensor, axis: int) -> torch.Tensor:
    """h_t = a_t h_(t-1) + b_t from zero, by doubling: after k rounds each token holds 2^k tokens' worth."""
    length = b.shape[axis]
    shift = 1
    while shift < length:
        later_a, later_b = a.narrow(axis, shift, length - shift), b.narrow(axis, shift, length - shift)
        earlier_a, earlier_b = a.narrow(axis, 0, length - shift), b.narrow(axis, 0, length - shift)
        b = torch.cat([b.narrow(axis, 0, shift), later_b + later_a * earlier_b], axis)
        a = torch.cat([a.narrow(axis, 0, shift), later_a * earlier_a], axis)
        shift *= 2
    return b


def s6(u, delta, B, C, z, A_log, delta_bias, skip):
    """(batch, time, channels) tensors; B and C (batch, time, states)."""
    dt = F.softplus(delta + delta_bias)
    decay = torch.exp(-dt.unsqueeze(-1) * torch.exp(A_log))
    drive = (dt * u).unsqueeze(-1) * B.unsqueeze(2)
    x = scan(decay, drive, 1)
    return ((x * C.unsqueeze(2)).sum(-1) + skip * u) * F.silu(z)


def s6_step(x, u, delta, B, C, z, A_log, delta_bias, skip):
    """One token; x (batch, channels, states). Returns y and the new state."""
    dt = F.softplus(delta + delta_bias)
    x = torch.exp(-dt.unsqueeze(-1) * torch.exp(A_log)) * x + (dt * u).unsqueeze(-1) * B.unsqueeze(1)
    return ((x * C.unsqueeze(1)).sum(-1) + skip * u) * F.silu(z), x


def s4d_kernel(log_dt, a_re, a_im, C, length):
    """Impulse response (channels, length) of the S4D layer under zero-order hold, without skip."""
    a = torch.complex(-torch.exp(a_re), a_im)
    step = a * torch.exp(log_dt).unsqueeze(-1)
    weight = 2 * C * torch.expm1(step) / a
    time = torch.arange(length, device=a.device, dtype=a_re.dtype)
    kernel = torch.zeros(a.shape[0], length, device=a.device, dtype=a_re.dtype)
    for mode in range(a.shape[1]):
        kernel += (weight[:, mode, None] * torch.exp(step[:, mode, None] * time)).real
    return kernel


def convolve(u, kernel):
    """Causal convolution of (..., channels, time) with (channels, time) through zero-padded transforms."""
    size = 2 * u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u, n=size) * torch.fft.rfft(kernel, n=size), n=size)[..., : u.shape[-1]]


def s4d(u, log_dt, a_re, a_im, C, skip):
    """(batch, time, channels) in and out."""
    kernel = s4d_kernel(log_dt, a_re, a_im, C, u.shape[1])
    return convolve(u.transpose(1, 2), kernel).transpose(1, 2) + skip * u


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Relative L2; not-a-number never looks like agreement."""
    found = found.to(wanted.dtype)
    error = float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted).clamp_min(1e-300))
    return error if error == error else float("inf")
