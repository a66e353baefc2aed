/**
 * The reference of emitted packages under PyTorch: its own tests, and its numbers against the interpreted
 * kernels of the same layer. Needs a Python with PyTorch (STATEFUSE_PYTHON), else all of it is skipped.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileSpec } from '../../../backends/compile.ts';
import { interpretPlan } from '../../../ir/kernel/interpret.ts';
import { packageOf, pythonWithTorch, specOf, writePackage } from './python.ts';

if (pythonWithTorch === null) console.warn('no Python with PyTorch (STATEFUSE_PYTHON): references of emitted packages are not run');

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'statefuse-reference-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const delays = `layer Odd(D = 5, N = 3, K = 4) {
  input u[D], b[N], label: index(K) per sequence, starts: flag, c[D]: complex
  param rate[D, N] = log(1 + iota(N)), phase[D]: complex = normal(), table[K, D] = normal(), modes[N]: complex = hippo_legs()
  let   short = 0.5 * u + 0.25 * delay(u, 2, boundary = starts)
  state x[D, N]: complex {
    dx/dt = complex(-exp(rate), imag(modes)) * x + b * short
    discretize bilinear(0.1)
    reset when starts
  }
  state h[D] { next h = sigmoid(u) * h + real(sum[N](x)) - real(sum[N](prev(x))) }
  output y[D] = real(sum[N](x)) * gather[K](table, label) + real(phase * c) + h
  output w[N]: complex = sum[D](x * phase)
}`;

const example = (name: string): string => readFileSync(`examples/${name}.ssm`, 'utf8');

const cases: readonly (readonly [string, string, Readonly<Record<string, number>>])[] = [
  ['S6', example('s6'), { D: 6, N: 4 }],
  ['S4D', example('s4d'), { D: 5, N: 4 }],
  ['S5 in both directions', example('s5-bidirectional'), { H: 5, P: 4 }],
  ['RG-LRU with resets', example('rg-lru'), { H: 2, W: 3 }],
  ['the Mamba block', example('mamba-block'), { D: 4, N: 3, R: 2 }],
  ['delays, resets, indices, complex inputs and outputs', delays, {}],
];

/** Draws arguments and weights, and writes them with the reference's results and gradients, by role and path. */
const exchange = `
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
import torch, test_ops as tests
layer = tests.LAYER
arguments = tests.as_double(tests.make_arguments(2, 7))
results = tests.call(tests.REFERENCE, arguments, return_final=True)
torch.manual_seed(3)
weights = [torch.randn(tests.real(each).shape, dtype=torch.float64) for each in results]
gradients = tests.differentiate(results, weights, arguments)
numbers = lambda tensor: [float(each) for each in tests.real(tensor).detach().double().flatten()]
found = {"given": {}, "expected": {}}
for role, values in (("input", layer.inputs), ("param", layer.parameters), ("initial", layer.states)):
    for value in values:
        found["given"][f"{role} {value.subject}"] = numbers(arguments[value.name])
        if gradients.get(value.name) is not None:
            found["expected"][f"gradient {value.subject}"] = numbers(gradients[value.name])
count = len(layer.outputs)
for role, values, tensors, weight in (
    ("output", layer.outputs, results[:count], weights[:count]), ("final", layer.states, results[count:], weights[count:]),
):
    for value, tensor, cotangent in zip(values, tensors, weight):
        found["expected"][f"{role} {value.subject}"] = numbers(tensor)
        found["given"][f"{role}-cotangent {value.subject}"] = numbers(cotangent)
json.dump(found, open(sys.argv[2], "w"))
`;

type Numbers = Readonly<Record<string, readonly number[]>>;

describe.skipIf(pythonWithTorch === null)('references', () => {
  it.each(cases)('of %s pass the package\'s own tests and agree with the interpreted kernels', (_, text, sizes) => {
    const spec = specOf(text, new Map(Object.entries(sizes)));
    writePackage(packageOf(spec), folder);
    const run = (...parameters: readonly string[]): ReturnType<typeof spawnSync> =>
      spawnSync(pythonWithTorch!, ['-W', 'ignore', ...parameters], { cwd: folder, encoding: 'utf8', env: { ...process.env, PYTHONPATH: folder } });
    const tests = run('-m', 'unittest', 'discover', 'tests');
    expect(tests.status, String(tests.stderr)).toBe(0);
    writeFileSync(join(folder, 'exchange.py'), exchange);
    const file = join(folder, 'numbers.json');
    const made = run('exchange.py', folder, file);
    expect(made.status, String(made.stderr)).toBe(0);
    const { given, expected } = JSON.parse(readFileSync(file, 'utf8')) as { given: Numbers; expected: Numbers };
    const found = interpret(spec, given);
    for (const [name, numbers] of Object.entries(expected)) {
      const scale = Math.max(1e-6, ...numbers.map(Math.abs));
      const worst = Math.max(0, ...numbers.map((each, at) => Math.abs(each - (found[name]?.[at] ?? NaN))));
      expect(worst / scale, name).toBeLessThan(1e-5);
    }
    expect(Object.keys(expected).length).toBeGreaterThan(5);
  });
});

/** Results and gradients of the kernels for CUDA, interpreted in float64, by role and path. */
function interpret(spec: ReturnType<typeof specOf>, given: Numbers): Numbers {
  const { plans } = compileSpec(spec, { target: 'cuda' });
  const saved = new Map<string, Float64Array>();
  const found: Record<string, readonly number[]> = {};
  for (const entry of ['forwardSaved', 'backwardFinal']) {
    const plan = plans.find((each) => each.entry === entry)!;
    const tensors = plan.tensors.flatMap((each): (readonly [string, Float64Array])[] => {
      const own = each.role === 'saved' ? saved.get(each.name) : given[`${each.role} ${each.subject}`];
      return own === undefined ? [] : [[each.name, Float64Array.from(own)]];
    });
    const run = interpretPlan(plan, { batch: 2, length: 7 }, new Map(tensors), { rounding: 'f64' });
    for (const each of plan.tensors) {
      const values = run.tensors.get(each.name)!;
      if (each.role === 'saved') saved.set(each.name, values);
      if (['output', 'final', 'gradient'].includes(each.role)) found[`${each.role} ${each.subject}`] = [...values];
    }
  }
  return found;
}
