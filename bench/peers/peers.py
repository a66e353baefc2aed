"""Implementations that are measured: ours (PyTorch packages emitted by `statefuse compile --target torch`) and
the peers, each in its native layout. A peer that does not import is absent, with the reason; nothing here
installs or builds one. `--peers DIR` is put on the import path first."""

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence

import torch

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Prepared:
    """`call` is what is timed; `results` turns what it returned into tensors in the workload's layout."""

    call: Callable[[], object]
    results: Callable[[object], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Implementation:
    name: str
    kind: str  # ours or peer
    clock: str  # cuda or host
    prepare: Callable[[Tensors, str], Prepared]


class Absent(Exception):
    """An implementation that is not here, and why."""


def use_folder(folder: Optional[str]) -> None:
    """Makes the packages and extensions of a folder importable; unresolved symbols are bound when called."""
    if folder is None:
        return
    sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_GLOBAL)
    sys.path[:0] = [str(Path(folder).resolve()), str(Path(folder).resolve() / "src")]


def _load(name: str):
    try:
        return importlib.import_module(name)
    except Exception as error:  # a peer may fail to import in any way
        raise Absent(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from error


def _leaves(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [each.detach().clone().requires_grad_() for each in tensors]


def _time_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.transpose(1, 2).contiguous()


def _time_second(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.transpose(1, 2)


def _gradient_call(outputs, leaves, cotangent) -> Callable[[], object]:
    return lambda: torch.autograd.grad(outputs, leaves, cotangent, retain_graph=True)


# ours

S6_STREAMS = ("u", "delta", "B", "C", "z")
S6_WEIGHTS = ("A_log", "delta_bias", "skip")


class OurPackages:
    """The emitted packages below one folder: `statefuse_<layer>` anywhere two levels down."""

    def __init__(self, folder: Optional[str]) -> None:
        self._folders = {} if folder is None else {
            found.parent.name: found.parent for found in sorted(Path(folder).glob("**/statefuse_*/__init__.py"))
        }

    def first(self, *layers: str) -> str:
        """The first of these that there is a package of, else the last."""
        return next((each for each in layers if f"statefuse_{each.lower()}" in self._folders), layers[-1])

    def function(self, layer: str, suffix: str = "") -> Callable[..., object]:
        name = layer.lower()
        package = f"statefuse_{name}"
        if package not in self._folders:
            raise Absent(f"no package {package}: run emit.sh and give its folder as --ours")
        if package not in sys.modules:
            sys.path.insert(0, str(self._folders[package].parent))
        return getattr(_load(package), name + suffix)

    def layer(self, layer: str, streams: Sequence[str], weights: Sequence[str]) -> Implementation:
        def prepare(inputs: Tensors, which: str) -> Prepared:
            function = self.function(layer)
            names = [*streams, *weights]
            values = [inputs[each] for each in names]
            if which == "forward":
                keyword = dict(zip(weights, values[len(streams):]))
                positional = values[: len(streams)]

                def call():
                    with torch.no_grad():
                        return function(*positional, **keyword)

                return Prepared(call, lambda y: {"y": y})
            leaves = _leaves(values)
            y = function(*leaves[: len(streams)], **dict(zip(weights, leaves[len(streams):])))
            return Prepared(_gradient_call(y, leaves, inputs["dy"]), lambda found: dict(zip(names, found)))

        return Implementation("statefuse", "ours", "cuda", prepare)

    def s6_step(self, layer: str) -> Implementation:
        def prepare(inputs: Tensors, _which: str) -> Prepared:
            step = self.function(layer, "_step")
            streams = [inputs[each] for each in S6_STREAMS]
            weights = {each: inputs[each] for each in S6_WEIGHTS}
            state = inputs["x"].clone()

            def call():
                with torch.no_grad():
                    return step(*streams, **weights, x=state)

            return Prepared(call, lambda found: {"y": found[0], "x": found[1]})

        return Implementation("statefuse", "ours", "cuda", prepare)


# state-spaces/mamba


def mamba_scan() -> Implementation:
    def prepare(inputs: Tensors, which: str) -> Prepared:
        interface = _load("mamba_ssm.ops.selective_scan_interface")
        if getattr(interface, "selective_scan_cuda", None) is None:
            raise Absent("mamba_ssm is here without its extension selective_scan_cuda")
        u, delta, B, C, z = (_time_last(inputs[each]) for each in S6_STREAMS)
        A = -torch.exp(inputs["A_log"])
        order = [u, delta, A, B, C, inputs["skip"], z, inputs["delta_bias"]]
        if which == "forward":
            def call():
                with torch.no_grad():
                    return interface.selective_scan_fn(*order, delta_softplus=True)

            return Prepared(call, lambda y: {"y": _time_second(y)})
        leaves = _leaves(order)
        y = interface.selective_scan_fn(*leaves, delta_softplus=True)

        def results(found) -> dict[str, torch.Tensor]:
            du, ddelta, dA, dB, dC, dskip, dz, dbias = found
            streams = dict(zip(S6_STREAMS, map(_time_second, (du, ddelta, dB, dC, dz))))
            return {**streams, "A_log": dA * A, "skip": dskip, "delta_bias": dbias}

        return Prepared(_gradient_call(y, leaves, _time_last(inputs["dy"])), results)

    return Implementation("mamba_ssm CUDA", "peer", "cuda", prepare)


def mamba_step() -> Implementation:
    def prepare(inputs: Tensors, _which: str) -> Prepared:
        update = _load("mamba_ssm.ops.triton.selective_state_update").selective_state_update
        u, delta, B, C, z = (inputs[each] for each in S6_STREAMS)
        A = -torch.exp(inputs["A_log"])
        state = inputs["x"].clone()

        def call():
            return update(state, u, delta, A, B, C, inputs["skip"], z, inputs["delta_bias"], dt_softplus=True)

        def results(_found) -> dict[str, torch.Tensor]:
            state.copy_(inputs["x"])  # updated in place by every call before
            y = call()
            return {"y": y, "x": state.clone()}

        return Prepared(call, results)

    return Implementation("mamba_ssm Triton", "peer", "cuda", prepare)


# proger/accelerated-scan


def accelerated_scan(module: str) -> Implementation:
    def prepare(inputs: Tensors, which: str) -> Prepared:
        if module == "warp":
            _prebuilt_warp()
        scan = _load(f"accelerated_scan.{module}").scan
        a, b = _time_last(inputs["a"]), _time_last(inputs["b"])
        if which == "forward":
            def call():
                with torch.no_grad():
                    return scan(a, b)

            return Prepared(call, lambda h: {"y": _time_second(h)})
        leaves = _leaves([a, b])
        h = scan(*leaves)
        return Prepared(
            _gradient_call(h, leaves, _time_last(inputs["dy"])),
            lambda found: {"a": _time_second(found[0]), "b": _time_second(found[1])},
        )

    return Implementation(f"accelerated_scan {module}", "peer", "cuda", prepare)


def _prebuilt_warp() -> None:
    """The package compiles its extension while it is imported; where `warpscan` is importable, it gets that."""
    if "accelerated_scan.warp" in sys.modules or importlib.util.find_spec("warpscan") is None:
        return
    from torch.utils import cpp_extension

    built = _load("warpscan")
    compile_inline = cpp_extension.load_inline
    cpp_extension.load_inline = lambda *_, **__: built
    try:
        _load("accelerated_scan.warp")
    finally:
        cpp_extension.load_inline = compile_inline


# JAX


def jax_scan() -> Implementation:
    def prepare(inputs: Tensors, which: str) -> Prepared:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        jax = _load("jax")
        if which != "forward":
            raise Absent("measured forward only")

        def combine(left, right):
            return left[0] * right[0], right[0] * left[1] + right[1]

        scan = _JAX_FUNCTIONS.setdefault("scan", jax.jit(lambda a, b: jax.lax.associative_scan(combine, (a, b), axis=2)[1]))
        a, b = (jax.dlpack.from_dlpack(_time_last(inputs[each])) for each in ("a", "b"))
        return Prepared(
            lambda: scan(a, b).block_until_ready(),
            lambda h: {"y": _time_second(torch.from_dlpack(h))},
        )

    return Implementation("JAX associative_scan", "peer", "host", prepare)


_JAX_FUNCTIONS: dict[str, Callable[..., object]] = {}


# torch.fft


def fft_convolution() -> Implementation:
    """The spectrum of the kernel is given: what a trained layer can keep. So the peer at its best."""

    def prepare(inputs: Tensors, which: str) -> Prepared:
        import reference

        if which != "forward":
            raise Absent("measured forward only")
        u = _time_last(inputs["u"])
        length = u.shape[-1]
        weights = [inputs[each] for each in ("log_dt", "a_re", "a_im", "C")]
        wide = [each.to(torch.complex128 if each.is_complex() else torch.float64) for each in weights]
        kernel = reference.s4d_kernel(*wide, length).float()
        kernel[:, 0] += inputs["skip"]
        spectrum = torch.fft.rfft(kernel, n=2 * length)

        def call():
            return torch.fft.irfft(torch.fft.rfft(u, n=2 * length) * spectrum, n=2 * length)[..., :length]

        return Prepared(call, lambda y: {"y": _time_second(y)})

    return Implementation("torch.fft, spectrum kept", "peer", "cuda", prepare)
