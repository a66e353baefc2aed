"""The rows of the comparison: shapes, seeded inputs, bytes, floors, float64 references and who takes part."""

import math
from dataclasses import dataclass, replace
from typing import Callable, Optional, Sequence

import torch

import floors
import reference
from peers import (
    S6_STREAMS, S6_WEIGHTS, Implementation, OurPackages, Tensors,
    accelerated_scan, fft_convolution, jax_scan, mamba_scan, mamba_step,
)

DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32, "c64": torch.complex64}


@dataclass(frozen=True)
class Workload:
    family: str
    which: str  # forward, backward, step
    dtype: str
    shape: dict[str, int]
    inputs: Callable[[int], dict[str, torch.Tensor]]
    # float64 results for some channels, from inputs cut to them
    expected: Callable[[Tensors, slice], dict[str, torch.Tensor]]
    bytes: float
    floor: Callable[[floors.Chip], float]
    implementations: Sequence[Implementation]
    channel_axis: dict[str, Optional[int]]

    @property
    def name(self) -> str:
        sizes = " ".join(f"{key}{value}" for key, value in self.shape.items())
        return f"{self.family} {self.which} {self.dtype} {sizes}"


def leave_out(workload: Workload, without: Sequence[str]) -> Workload:
    """The workload without implementations whose name has one of the texts."""
    kept = [each for each in workload.implementations if not any(text in each.name for text in without)]
    return replace(workload, implementations=kept)


def _generator(seed: int, device: str) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(seed)


def s6_inputs(device: str, dtype: str, lead: tuple[int, ...], channels: int, states: int, seed: int) -> dict[str, torch.Tensor]:
    """Steps between 1e-3 and 1e-1 before the input's share, as layers start; everything else normal."""
    random = _generator(seed, device)
    kind = DTYPES[dtype]
    normal = lambda *sizes: torch.randn(*sizes, device=device, generator=random)
    step = torch.exp(torch.rand(channels, device=device, generator=random) * math.log(100) + math.log(1e-3))
    return {
        "u": normal(*lead, channels).to(kind), "delta": (0.5 * normal(*lead, channels)).to(kind),
        "B": normal(*lead, states).to(kind), "C": normal(*lead, states).to(kind), "z": normal(*lead, channels).to(kind),
        "dy": normal(*lead, channels).to(kind),
        "A_log": torch.log(torch.arange(1, states + 1, device=device, dtype=torch.float32)).repeat(channels, 1),
        "delta_bias": step + torch.log(-torch.expm1(-step)), "skip": normal(channels),
    }


def wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


S6_AXES = {"u": 2, "delta": 2, "z": 2, "dy": 2, "y": 2, "A_log": 0, "delta_bias": 0, "skip": 0, "B": None, "C": None}


def _cut(inputs: Tensors, axes: dict[str, Optional[int]], channels: slice) -> dict[str, torch.Tensor]:
    def one(name: str, tensor: torch.Tensor) -> torch.Tensor:
        axis = axes[name]
        return wide(tensor if axis is None else tensor.narrow(axis, channels.start, channels.stop - channels.start))

    return {name: one(name, tensor) for name, tensor in inputs.items()}


def _expect(which: str, function, names: Sequence[str], axes: dict[str, Optional[int]]):
    """Results of a layer, or the gradients of all that has a channel axis (the rest sums over all channels)."""

    def expected(inputs: Tensors, channels: slice) -> dict[str, torch.Tensor]:
        cut = _cut(inputs, axes, channels)
        values = [cut[each] for each in names]
        if which == "forward":
            return {"y": function(*values)}
        leaves = [each.requires_grad_() for each in values]
        kept = [at for at, each in enumerate(names) if axes[each] is not None]
        found = torch.autograd.grad(function(*leaves), [leaves[at] for at in kept], cut["dy"])
        return dict(zip([names[at] for at in kept], found))

    return expected


def s6(device: str, ours: OurPackages, which: str, dtype: str, batch: int, channels: int, length: int, states: int = 16) -> Workload:
    size = 2 if dtype == "bf16" else 4
    count = batch * channels * length
    streams = 4 if which == "forward" else 7
    times = 1 if which == "forward" else 2
    floor = floors.s6_forward if which == "forward" else floors.s6_backward
    names = (*S6_STREAMS, *S6_WEIGHTS)
    return Workload(
        "S6", which, dtype, {"B": batch, "D": channels, "L": length, "N": states},
        lambda seed: s6_inputs(device, dtype, (batch, length), channels, states, seed),
        _expect(which, reference.s6, names, S6_AXES),
        size * (streams * count + 2 * times * batch * length * states),
        lambda chip: floor(chip, batch, channels, length, states, size),
        [ours.layer(ours.first(f"S6D{channels}B{batch}", f"S6D{channels}"), S6_STREAMS, S6_WEIGHTS), mamba_scan()], S6_AXES,
    )


def s6_step(device: str, ours: OurPackages, batch: int, channels: int = 5120, states: int = 16, dtype: str = "bf16") -> Workload:
    size = 2 if dtype == "bf16" else 4
    axes = {**{name: (1 if axis == 2 else axis) for name, axis in S6_AXES.items()}, "x": 1}

    def inputs(seed: int) -> dict[str, torch.Tensor]:
        made = s6_inputs(device, dtype, (batch,), channels, states, seed)
        return {**made, "x": torch.randn(batch, channels, states, device=device, generator=_generator(seed + 1, device))}

    def expected(given: Tensors, part: slice) -> dict[str, torch.Tensor]:
        cut = _cut(given, axes, part)
        y, state = reference.s6_step(*(cut[each] for each in ("x", *S6_STREAMS, *S6_WEIGHTS)))
        return {"y": y, "x": state}

    return Workload(
        "S6", "step", dtype, {"B": batch, "D": channels, "N": states}, inputs, expected,
        batch * channels * (8 * states + 4 * size) + 2 * size * batch * states + 4 * channels * (states + 2),
        lambda chip: floors.s6_step(chip, batch, channels, states, size),
        [ours.s6_step(f"S6D{channels}"), mamba_step()], axes,
    )


def scan(device: str, ours: OurPackages, which: str, kind: str, batch: int, channels: int, length: int) -> Workload:
    is_complex = kind == "complex"
    dtype, size = ("c64", 8) if is_complex else ("f32", 4)
    axes = {"a": 2, "b": 2, "dy": 2, "y": 2}

    def inputs(seed: int) -> dict[str, torch.Tensor]:
        random = _generator(seed, device)
        uniform = lambda: torch.rand(batch, length, channels, device=device, generator=random)
        decay = 0.9 + 0.099 * uniform()
        if not is_complex:
            return {"a": decay, **{name: 2 * uniform() - 1 for name in ("b", "dy")}}
        return {"a": torch.polar(decay, 6.28 * uniform()), **{name: torch.complex(2 * uniform() - 1, 2 * uniform() - 1) for name in ("b", "dy")}}

    floor = floors.scan_forward if which == "forward" else floors.scan_backward
    peers = [accelerated_scan("complex"), jax_scan()] if is_complex else [accelerated_scan("scalar"), accelerated_scan("warp")]
    name = f"{kind.capitalize()}ScanD{channels}"
    return Workload(
        f"{kind} scan", which, dtype, {"B": batch, "D": channels, "L": length}, inputs,
        _expect(which, lambda a, b: reference.scan(a, b, 1), ("a", "b"), axes),
        (3 if which == "forward" else 5) * size * batch * channels * length,
        lambda chip: floor(chip, batch, channels, length, size),
        [ours.layer(name, ("a", "b"), ()), *peers], axes,
    )


S4D_WEIGHTS = ("log_dt", "a_re", "a_im", "C", "skip")


def s4d(device: str, ours: OurPackages, batch: int, channels: int, length: int, modes: int = 32) -> Workload:
    axes = {"u": 2, "dy": 2, "y": 2, **{name: 0 for name in S4D_WEIGHTS}}

    def inputs(seed: int) -> dict[str, torch.Tensor]:
        random = _generator(seed, device)
        normal = lambda *sizes: torch.randn(*sizes, device=device, generator=random)
        log_dt = torch.rand(channels, device=device, generator=random) * math.log(100) + math.log(1e-3)
        return {
            "u": normal(batch, length, channels), "log_dt": log_dt,
            "a_re": torch.full((channels, modes), math.log(0.5), device=device),
            "a_im": math.pi * torch.arange(modes, device=device, dtype=torch.float32).repeat(channels, 1),
            "C": torch.complex(normal(channels, modes), normal(channels, modes)) * math.sqrt(0.5), "skip": normal(channels),
        }

    return Workload(
        "S4D", "forward", "f32", {"B": batch, "D": channels, "L": length, "modes": modes}, inputs,
        _expect("forward", reference.s4d, ("u", *S4D_WEIGHTS), axes),
        8 * batch * channels * length, lambda chip: floors.lti_forward(chip, batch, channels, length, 4),
        [ours.layer(f"S4DD{channels}", ("u",), S4D_WEIGHTS), fft_convolution()], axes,
    )


def all_workloads(device: str, ours: OurPackages) -> list[Workload]:
    """The rows of the table."""
    rows = []
    for which in ("forward", "backward"):
        rows += [s6(device, ours, which, dtype, 8, 2048, 2048) for dtype in ("bf16", "f32")]
        rows += [s6(device, ours, which, "bf16", *shape) for shape in ((1, 5120, 8192), (1, 2048, 65536), (2, 1536, 2048))]
    rows += [s6_step(device, ours, batch) for batch in (1, 64, 256)]
    for which in ("forward", "backward"):
        rows += [scan(device, ours, which, "real", 8, 1536, 16384)]
        rows += [scan(device, ours, which, "complex", 8, 1024, length) for length in (1024, 16384)]
    rows += [s4d(device, ours, 8, 1024, length) for length in (1024, 16384, 65536)]
    return rows


def sweep_workloads(device: str, ours: OurPackages) -> list[Workload]:
    """More shapes for the plots over length and batch."""
    lengths = [s6(device, ours, "forward", "bf16", 8, 2048, length) for length in (256, 512, 1024, 4096, 8192, 16384)]
    batches = [s6(device, ours, "forward", "bf16", batch, 2048, 2048) for batch in (1, 2, 4, 16, 32)]
    scans = [scan(device, ours, "forward", "real", 8, 1536, length) for length in (1024, 4096, 65536)]
    return lengths + batches + scans + [s4d(device, ours, 8, 1024, 4096)]


def small_workloads(device: str, ours: OurPackages) -> list[Workload]:
    """One of each kind, small: to try the program itself."""
    return [
        *(s6(device, ours, which, "f32", 2, 64, 96) for which in ("forward", "backward")), s6_step(device, ours, 3, 64),
        *(scan(device, ours, which, kind, 2, 32, 128) for which in ("forward", "backward") for kind in ("real", "complex")),
        s4d(device, ours, 2, 16, 200, 4),
    ]
