/** `test_ops.py` of an emitted package, the same in every one. The tests of a package; upper-case words are replaced by the names of the layer. */
export const testOpsPython: string = String.raw`"""Tests of the kernels against the reference. Run with pytest, or with 'python -m unittest discover tests'.

Without a CUDA device the tests of the reference still run; the others say that they were skipped.
"""
import copy
import os
import threading
import unittest

import torch

import PACKAGE as package
from PACKAGE import LAYER, reference
from PACKAGE.ops import OPERATORS
from PACKAGE.plan import make_plan

FUNCTION = getattr(package, "FUNCTION")
REFERENCE = getattr(reference, "FUNCTION")
STEP = getattr(package, "FUNCTION_step", None)
MODULE = getattr(package, "CLASS")
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
TOLERANCES = {torch.float32: 2e-4, torch.bfloat16: 2e-2, torch.float16: 3e-3}
HAS_GPU = torch.cuda.is_available()
NAMES = [each.name for each in (*LAYER.inputs, *LAYER.parameters, *LAYER.states)]
#: of one long run; layers whose reference is too large for that take less
LONG = int(os.environ.get("STATEFUSE_TEST_LENGTH", "70001"))


def make_module(device="cpu"):
    torch.manual_seed(5)
    given = {
        each.name: torch.randn(*each.shape(1, 1), *([2] if each.kind == "complex" else []))
        for each in LAYER.parameters if each.name in GIVEN
    }
    return MODULE(**given).to(device)


def draw(value, batch, length, dtype):
    """Random numbers for an input or a state."""
    shape = value.shape(batch, length)
    if value.kind == "flag":
        return torch.rand(shape) < 0.2
    if value.kind == "index":
        return torch.randint(0, value.values, shape)
    pairs = [2] if value.kind == "complex" else []
    return (0.5 * torch.randn(*shape, *pairs)).to(dtype)


def make_arguments(batch, length, dtype=torch.float32, device="cpu", seed=0):
    """Inputs, parameters and initial states by name; leaves that require gradients where they can."""
    module = make_module()
    torch.manual_seed(seed)
    values = {each.name: draw(each, batch, length, dtype) for each in LAYER.inputs}
    values.update({each.name: getattr(module, each.name).detach().clone() for each in LAYER.parameters})
    values.update({each.name: draw(each, batch, length, torch.float32) for each in LAYER.states})
    return {
        name: value.to(device).requires_grad_(value.is_floating_point()) for name, value in values.items()
    }


def call(function, arguments, **options):
    inputs = [arguments[each.name] for each in LAYER.inputs]
    rest = {name: value for name, value in arguments.items() if name not in {each.name for each in LAYER.inputs}}
    results = function(*inputs, **rest, **options)
    return results if isinstance(results, tuple) else (results,)


def as_double(arguments):
    return {
        name: value.detach().double().cpu().requires_grad_() if value.is_floating_point() else value.cpu()
        for name, value in arguments.items()
    }


def real(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def differentiate(results, weights, arguments):
    loss = sum((real(each).to(weight) * weight).sum() for each, weight in zip(results, weights))
    leaves = {name: value for name, value in arguments.items() if value.requires_grad}
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)))


class Agreement(unittest.TestCase):
    def close(self, found, expected, tolerance, what):
        found, expected = real(found).detach().double().cpu(), real(expected).detach().double().cpu()
        self.assertEqual(found.shape, expected.shape, what)
        self.assertFalse(bool(found.isnan().any()), f"{what} has NaN")
        scale = float(expected.abs().max()) if expected.numel() else 0.0
        error = float((found - expected).abs().max()) if expected.numel() else 0.0
        self.assertLessEqual(error, tolerance * max(scale, 1e-6), f"{what}: error {error} at magnitude {scale}")

    def compare(self, batch, length, dtype, final=True, function=None, slack=1.0):
        """Results and all gradients against the reference in float64, from the same rounded inputs."""
        arguments = make_arguments(batch, length, dtype, "cuda")
        results = call(function or FUNCTION, arguments, return_final=final)
        doubles = as_double(arguments)
        expected = call(REFERENCE, doubles, return_final=final)
        names = [each.name for each in LAYER.outputs] + [f"final {each.subject}" for each in LAYER.states]
        tolerance = TOLERANCES[dtype] * slack
        for name, one, other in zip(names, results, expected):
            self.close(one, other, tolerance, name)
        torch.manual_seed(3)
        weights = [torch.randn(real(each).shape, dtype=torch.float64).to(real(one).dtype) for each, one in zip(expected, results)]
        gradients = differentiate(results, [each.cuda() for each in weights], arguments)
        truth = differentiate(expected, [each.double() for each in weights], doubles)
        for name, gradient in truth.items():
            found = gradients[name]
            if gradient is None:
                self.assertTrue(found is None or not bool(found.any()), f"gradient of {name}")
            else:
                self.assertEqual(found.dtype, arguments[name].dtype)
                self.close(found, gradient, tolerance * 2, f"gradient of {name}")


class ReferenceTests(Agreement):
    def test_halves_equal_the_whole(self):
        if any(each.axes and "time" not in each.axes and "batch" in each.axes for each in LAYER.outputs) or not CAUSAL:
            self.skipTest("the layer is not causal, or its outputs are per sequence")
        arguments = as_double(make_arguments(2, 9))
        whole = call(REFERENCE, arguments, return_final=True)
        self.halves(REFERENCE, arguments, whole, 1e-12)

    def halves(self, function, arguments, whole, tolerance):
        timed = {each.name: each.axes.index("time") for each in LAYER.inputs if "time" in each.axes}
        size = next(arguments[name].shape[axis] for name, axis in timed.items())
        cut = size // 2
        part = lambda start, stop: {
            name: value.narrow(timed[name], start, stop - start) if name in timed else value for name, value in arguments.items()
        }
        first = call(function, part(0, cut), return_final=True)
        count = len(LAYER.outputs)
        second = part(cut, size)
        second.update({each.name: state for each, state in zip(LAYER.states, first[count:])})
        second = call(function, second, return_final=True)
        joined = [torch.cat(pair, each.axes.index("time")) for each, pair in zip(LAYER.outputs, zip(first, second))]
        results = (*joined, *second[count:])
        for one, other in zip(results, whole):
            self.close(one, other, tolerance, "two halves")
        torch.manual_seed(7)
        weights = [torch.randn_like(real(each)) for each in whole]
        found = differentiate(results, weights, arguments)
        expected = differentiate(whole, weights, arguments)
        for name, gradient in expected.items():
            if gradient is not None:
                self.close(found[name], gradient, tolerance * 10, f"gradient of {name} through two halves")

    def test_gradcheck(self):
        arguments = as_double(make_arguments(1, 3))
        leaves = [name for name, value in arguments.items() if value.requires_grad and value.numel() <= 4000]
        if not leaves:
            self.skipTest("all tensors are too large for finite differences")

        def function(*values):
            results = call(REFERENCE, {**arguments, **dict(zip(leaves, values))}, return_final=True)
            return tuple(real(each) for each in results)

        self.assertTrue(torch.autograd.gradcheck(function, [arguments[name] for name in leaves], fast_mode=True))

    def test_plans(self):
        """Grids and sizes of every entry, for nothing, for little and for what the kernels cannot index."""
        for (_, storage), choices in OPERATORS.kernels.items():
            for entry in (each.entry for each in choices):
                functions = {each["kernel"]: 1 for each in entry.dispatches}
                for batch, length in ((0, 0), (0, 5), (2, 0), (1, 1), (3, 131)):
                    made = make_plan(entry, functions, batch, length)
                    self.assertTrue(all(min(each.shape) >= 0 for each in made.launches), f"{storage} {entry.name}")
                    self.assertEqual(len(made.results), len(entry.results))
                with self.assertRaisesRegex(ValueError, "too large"):
                    make_plan(entry, functions, 2**31, 2**31)

    def test_cpu_tensors_are_refused_with_advice(self):
        with self.assertRaisesRegex(RuntimeError, "reference"):
            call(FUNCTION, make_arguments(1, 2))
        results = call(FUNCTION, make_arguments(1, 2), implementation="reference")
        self.assertTrue(all(bool(torch.isfinite(real(each)).all()) for each in results))

    def test_module_by_reference(self):
        module = make_module()
        module.implementation = "reference"
        inputs = [draw(each, 2, 4, torch.float32) for each in LAYER.inputs]
        results = module(*inputs, return_final=True)
        results = results if isinstance(results, tuple) else (results,)
        if any(each.requires_grad for each in results):
            sum(real(each).sum() for each in results).backward()
        self.assertEqual({name for name, _ in module.named_parameters()}, {each.name for each in LAYER.parameters})


@unittest.skipUnless(HAS_GPU, "no CUDA device")
class KernelTests(Agreement):
    def test_agreement(self):
        for storage in LAYER.storages:
            for batch, length in ((1, 1), (2, 37), (3, 64), (1, 131)):
                for final in (False, True):
                    with self.subTest(storage=storage, batch=batch, length=length, final=final):
                        self.compare(batch, length, DTYPES[storage], final)

    def test_few_sequences(self):
        """Kernels for few sequences give what those for all calls give, gradients too."""
        for storage, (sequences, tokens) in LAYER.few.items():
            with self.subTest(storage=storage):
                few = make_arguments(1, tokens + 5, DTYPES[storage], "cuda")
                batched = {each.name for each in LAYER.states} | {each.name for each in LAYER.inputs if "batch" in each.axes}
                many = {
                    name: value.detach().expand(sequences + 1, *value.shape[1:]).clone().requires_grad_(value.requires_grad)
                    if name in batched else value.detach().clone().requires_grad_(value.requires_grad) for name, value in few.items()
                }
                one, other = (call(FUNCTION, each, return_final=True) for each in (few, many))
                weights = [torch.ones_like(real(each)) for each in one]
                repeated = [torch.ones_like(real(each)) for each in other]
                for found, expected in zip(one, other):
                    self.close(found, expected[:1], TOLERANCES[DTYPES[storage]], "result")
                expected_gradients = differentiate(other, repeated, many)
                for name, found in differentiate(one, weights, few).items():
                    if found is not None:
                        expected = expected_gradients[name]
                        expected = expected[:1] if name in batched else expected / (sequences + 1)
                        self.close(found, expected, TOLERANCES[DTYPES[storage]] * 2, f"gradient of {name}")

    def test_long(self):
        """Two pieces with the state handed on equal one long run; the reference would take minutes here."""
        with torch.no_grad():
            size = LONG
            arguments = {name: value.detach() for name, value in make_arguments(1, size, device="cuda").items()}
            whole = call(FUNCTION, arguments, return_final=True)
            self.assertTrue(all(bool(torch.isfinite(real(each)).all()) for each in whole))
            if not CAUSAL:
                return
            timed = {each.name: each.axes.index("time") for each in LAYER.inputs if "time" in each.axes}
            state, cut = {}, size - 40
            for start, stop in ((0, cut), (cut, size)):
                part = {name: value.narrow(timed[name], start, stop - start) if name in timed else value for name, value in arguments.items()}
                part.update(state)
                results = call(REFERENCE if start > 0 else FUNCTION, part, return_final=True)
                state = {each.name: value for each, value in zip(LAYER.states, results[len(LAYER.outputs):])}
            for one, other in zip(results[len(LAYER.outputs):], whole[len(LAYER.outputs):]):
                self.close(one, other, 1e-3, "final state")

    def test_halves_equal_the_whole(self):
        if not CAUSAL or any("time" not in each.axes for each in LAYER.outputs):
            self.skipTest("the layer is not causal, or its outputs are per sequence")
        arguments = make_arguments(2, 50, device="cuda")
        whole = call(FUNCTION, arguments, return_final=True)
        ReferenceTests.halves(self, FUNCTION, arguments, whole, 2e-4)

    @unittest.skipUnless(LAYER.has_step, "the layer has no step")
    def test_steps_equal_the_sequence(self):
        arguments = make_arguments(2, 6, device="cuda")
        whole = call(FUNCTION, arguments, return_final=True)
        timed = {each.name: each.axes.index("time") for each in LAYER.inputs if "time" in each.axes}
        names = {each.name: name for each, name in zip(LAYER.states, STEP_STATES)}
        for lean in (True, False):
            state = {names[each.name]: arguments[each.name] for each in LAYER.states}
            tokens = []
            with torch.set_grad_enabled(not lean):
                for token in range(6):
                    now = {n: v.select(timed[n], token) if n in timed else v for n, v in arguments.items() if n not in names}
                    results = call(STEP, {**now, **state})
                    state = dict(zip(state, results[len(LAYER.outputs):]))
                    tokens.append(results[: len(LAYER.outputs)])
            joined = [
                torch.stack([each[at] for each in tokens], value.axes.index("time")) if "time" in value.axes else tokens[-1][at]
                for at, value in enumerate(LAYER.outputs)
            ]
            results = (*joined, *results[len(LAYER.outputs):])
            for one, other in zip(results, whole):
                self.close(one, other, 2e-4, "steps")
        weights = [torch.ones_like(real(each)) for each in whole]
        found, expected = differentiate(results, weights, arguments), differentiate(whole, weights, arguments)
        for name, gradient in expected.items():
            if gradient is not None:
                self.close(found[name], gradient, 1e-3, f"gradient of {name} through steps")

    def operator_arguments(self, requires_grad=True):
        arguments = make_arguments(2, 5, device="cuda")
        prepared = OPERATORS.arguments.prepare("forward", [arguments[name] for name in NAMES])
        return tuple(
            each.detach().requires_grad_(requires_grad and each.is_floating_point()) for each in prepared
        )

    def test_opcheck(self):
        operators = getattr(torch.ops, LAYER.namespace)
        for name in ("forward", "forward_saved"):
            with self.subTest(operator=name):
                torch.library.opcheck(getattr(operators, name).default, self.operator_arguments(), rtol=1e-3, atol=1e-4)
        if LAYER.has_step:
            arguments = make_arguments(2, 1, device="cuda")
            token = [
                arguments[each.name].squeeze(each.axes.index("time")) if "time" in each.axes else arguments[each.name]
                for each in LAYER.inputs
            ]
            rest = [arguments[name] for name in NAMES[len(token):]]
            prepared = OPERATORS.arguments.prepare("step", [*token, *rest])
            prepared = tuple(each.detach().requires_grad_(each.is_floating_point()) for each in prepared)
            torch.library.opcheck(operators.step.default, prepared, rtol=1e-3, atol=1e-4)

    def test_compile(self):
        if not os.environ.get("STATEFUSE_TEST_COMPILE", "1") == "1":
            self.skipTest("STATEFUSE_TEST_COMPILE is not 1")
        arguments = make_arguments(2, 21, device="cuda")
        expected = call(FUNCTION, arguments, return_final=True)
        compiled = torch.compile(FUNCTION, fullgraph=True)
        results = call(compiled, arguments, return_final=True)
        for one, other in zip(results, expected):
            self.close(one, other, 1e-5, "compiled")
        weights = [torch.ones_like(real(each)) for each in expected]
        found, truth = differentiate(results, weights, arguments), differentiate(expected, weights, arguments)
        for name, gradient in truth.items():
            if gradient is not None:
                self.close(found[name], gradient, 1e-4, f"compiled gradient of {name}")
        with torch.no_grad():
            for one, other in zip(call(compiled, arguments, return_final=True), expected):
                self.close(one, other, 1e-5, "compiled, no gradients")

    def test_compile_dynamic(self):
        compiled = torch.compile(FUNCTION, fullgraph=True, dynamic=True)
        for length in (5, 12, 17):
            arguments = make_arguments(2, length, device="cuda")
            expected = call(FUNCTION, arguments, return_final=True)
            for one, other in zip(call(compiled, arguments, return_final=True), expected):
                self.close(one, other, 1e-5, f"compiled at length {length}")

    def test_cuda_graph(self):
        arguments = {name: value.detach() for name, value in make_arguments(2, 33, device="cuda").items()}
        with torch.no_grad():
            call(FUNCTION, arguments)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                captured = call(FUNCTION, arguments, return_final=True)
            fresh = make_arguments(2, 33, device="cuda", seed=11)
            for name, value in arguments.items():
                value.copy_(fresh[name].detach())
            graph.replay()
            for one, other in zip(captured, call(FUNCTION, fresh, return_final=True)):
                self.close(one, other, 1e-6, "replayed")

    def test_cuda_graph_of_training(self):
        arguments = make_arguments(2, 33, device="cuda")
        leaves = [value for value in arguments.values() if value.requires_grad]

        def run():
            results = call(FUNCTION, arguments, return_final=True)
            return torch.autograd.grad(sum(real(each).float().sum() for each in results), leaves, allow_unused=True)

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            expected = run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = run()
        graph.replay()
        for one, other in zip(captured, expected):
            if other is not None:
                self.close(one, other, 1e-6, "replayed gradient")

    def test_autocast(self):
        if "bf16" not in LAYER.storages or not any(each.kind == "real" for each in LAYER.inputs):
            self.skipTest("nothing to cast")
        arguments = make_arguments(2, 20, device="cuda")
        with torch.autocast("cuda", dtype=torch.bfloat16):
            results = call(FUNCTION, arguments, return_final=True)
        self.assertEqual(results[0].dtype, torch.bfloat16)
        self.assertTrue(all(real(each).dtype == torch.float32 for each in results[len(LAYER.outputs):]))
        expected = call(REFERENCE, as_double(arguments), return_final=True)
        for one, other in zip(results, expected):
            self.close(one, other, 5e-2, "autocast")
        found = differentiate(results, [torch.ones_like(real(each)) for each in results], arguments)
        self.assertTrue(all(each is None or each.dtype == torch.float32 for each in found.values()))

    def shifted(self, tensor):
        """The same numbers at an address that is no multiple of 16 bytes."""
        room = torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
        room[1:] = tensor.flatten()
        return room[1:].view(tensor.shape)

    def test_strides_and_absent_states(self):
        arguments = make_arguments(2, 10, device="cuda")
        strided = {
            name: value.detach().transpose(0, 1).contiguous().transpose(0, 1) if value.dim() > 1 else value.detach()
            for name, value in arguments.items()
        }
        for one, other in zip(call(FUNCTION, strided, return_final=True), call(FUNCTION, arguments, return_final=True)):
            self.close(one, other, 1e-6, "strided")
        odd = {name: self.shifted(value.detach()) for name, value in arguments.items()}
        for grad in (True, False):
            leaves = {n: v.detach().requires_grad_(grad and v.is_floating_point()) for n, v in odd.items()}
            for one, other in zip(call(FUNCTION, leaves, return_final=True), call(FUNCTION, arguments, return_final=True)):
                self.close(one, other, 1e-6, "at odd addresses")
        states = {each.name for each in LAYER.states}
        absent = {name: value for name, value in arguments.items() if name not in states}
        zeros = {name: torch.zeros_like(value) if name in states else value for name, value in arguments.items()}
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                for one, other in zip(call(FUNCTION, absent, return_final=True), call(FUNCTION, zeros, return_final=True)):
                    self.close(one, other, 1e-6, "absent states")

    def test_empty(self):
        for batch, length in ((0, 5), (2, 0), (0, 0)):
            arguments = make_arguments(batch, length, device="cuda")
            if batch > 0 and any("time" not in each.axes for each in LAYER.outputs):
                with self.assertRaisesRegex(ValueError, "no value over 0 tokens"):  # a mean over none has none
                    call(FUNCTION, arguments, return_final=True)
                continue
            results = call(FUNCTION, arguments, return_final=True)
            for state, final in zip(LAYER.states, results[len(LAYER.outputs):]):
                self.close(real(final), real(arguments[state.name]), 0.0, f"final {state.subject}")
            gradients = differentiate(results, [torch.ones_like(real(each)) for each in results], arguments)
            for name, value in gradients.items():
                expected = 1.0 if name in {each.name for each in LAYER.states} else 0.0
                self.assertTrue(value is None or bool((value == expected).all()), f"{name} at batch {batch}, length {length}")

    def test_messages(self):
        arguments = make_arguments(2, 6, device="cuda")
        first = LAYER.inputs[0]
        last = (*LAYER.inputs, *LAYER.parameters)[-1].name
        with self.assertRaisesRegex(ValueError, f"'{last}' has shape"):
            call(FUNCTION, {**arguments, last: arguments[last].detach()[None]})
        with self.assertRaisesRegex(TypeError, first.name):
            call(FUNCTION, {**arguments, first.name: None})
        if first.kind == "real":
            with self.assertRaisesRegex(TypeError, "float64"):
                call(FUNCTION, {**arguments, first.name: arguments[first.name].double()})

    def test_threads(self):
        arguments = {name: value.detach() for name, value in make_arguments(2, 40, device="cuda").items()}
        expected = call(FUNCTION, arguments)
        torch.cuda.synchronize()
        failures = []

        def work():
            try:
                with torch.cuda.stream(torch.cuda.Stream()):
                    for _ in range(50):
                        results = call(FUNCTION, arguments)
                    torch.cuda.current_stream().synchronize()
                    for one, other in zip(results, expected):
                        self.close(one, other, 1e-6, "thread")
            except Exception as error:  # reported by the main thread
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(failures, [])

    def test_module_trains(self):
        if not LAYER.parameters:
            self.skipTest("no parameters")
        module = make_module("cuda")
        inputs = [draw(each, 2, 16, torch.float32).cuda() for each in LAYER.inputs]
        optimiser = torch.optim.Adam(module.parameters(), 1e-3)
        losses = []
        for _ in range(5):
            optimiser.zero_grad()
            results = module(*inputs)
            results = results if isinstance(results, tuple) else (results,)
            loss = sum(real(each).square().mean() for each in results)
            loss.backward()
            optimiser.step()
            losses.append(float(loss))
        self.assertLess(losses[-1], losses[0] + 1e-6)
        other = make_module("cuda")
        other.load_state_dict(copy.deepcopy(module.state_dict()))


if __name__ == "__main__":
    unittest.main()
`;
