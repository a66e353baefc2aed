/**
 * A sequence in pieces, its state record handed on, is the sequence at once (R6, R22): outputs, final
 * states and tails, and every gradient, that of initial states and tails included, at every split
 * point; and the one-token step, repeated, is the forward pass. The whole is judged by the oracle. In
 * float64 by the Tensor IR interpreter, in kernels by the sanitizing interpreter, in f32 on WASM.
 */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec, type CompileResult } from '../../backends/compile.ts';
import { loadLayer, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import { interpretFunction, tensorKey } from '../../ir/tensor/interpret.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize } from '../../support/size.ts';
import { relativeToLargest } from '../oracle/agreement.ts';
import { evaluateLayer, gradient, type EvaluationRequest } from '../oracle/evaluate.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';
import { planArguments } from '../support/compiled-case.ts';
import { entryOf, runEntry } from '../support/device-case.ts';
import { randomRequest, randomTensor, seededNumbers, stateRecordOf, unpackTensor } from '../support/oracle-requests.ts';
import { joinTokens, tokensOfAll, type Tensors } from '../support/pieces.ts';

const example = (name: string): string => readFileSync(new URL(`../../examples/${name}`, import.meta.url), 'utf8');

type Case = { readonly name: string; readonly text: string; readonly sizes?: Readonly<Record<string, number>>; readonly length: number };

const cases: readonly Case[] = [
  { name: 'taps of inputs, lets and states', length: 5, text: `layer L(D = 4) {
      input u[D]
      param a[D], w[D]
      let c = u + w * delay(u, 1) + 0.5 * delay(u, 3)
      state x[D] { next x = sigmoid(a) * x + c * delay(c, 2) }
      output y[D] = x + delay(x, 2) * delay(u * u, 4) }` },
  { name: 'complex taps, nested taps, a value without axes', length: 4, text: `layer L(N = 3) {
      input u, v
      param b[N]: complex, c[N]: complex
      let z = b * u
      state x[N]: complex { next x = (0.5 * b) * x + delay(z, 2) + v }
      output y[N]: complex = c * delay(x, 1) + delay(delay(z, 1) * v, 1)
      output m = sum[N](abs(delay(x, 3))) }` },
  { name: 'taps that stop at resets', length: 6, text: `layer L(D = 2) {
      input u[D], f: flag
      param a[D], w[D]
      let c = u + w * delay(u, 1, boundary = f) + delay(u, 3, boundary = f)
      state x[D] { next x = sigmoid(a) * x + c + delay(u, 2); reset when f }
      state r[D] { next r = 0.5 * r + delay(u * w, 3); reset when f }
      output y[D] = x + r + delay(u, 1) }` },
  { name: 'taps inside applied layers', length: 4, text: `layer Conv(D = 2) {
      input u[D]
      param w[D]
      output y[D] = w * u + delay(u, 2) }
    layer L(D = 2) {
      input u[D]
      let a = Conv(u = u, D = D)
      let b = Conv(u = a * 2, D = D)
      output y[D] = b + delay(a, 3) + delay(b.y, 1) }` },
  { name: 'mamba-block', length: 5, text: example('mamba-block.ssm'), sizes: { D: 4, N: 4, R: 2 } },
  { name: 's4d', length: 4, text: example('s4d.ssm'), sizes: { D: 4, N: 4 } },
];

/** Runs an entry on pieces of any length; backward runs forwardSaved first. Results by `role:subject`. */
type Run = (entry: 'forward' | 'step' | 'backwardFinal', length: number, given: Tensors) => Promise<Tensors>;

type Loaded = { readonly spec: LayerSpec; readonly request: EvaluationRequest; readonly compiled: CompileResult };

const batch = 2;

function load({ name, text, sizes, length }: Case): Loaded {
  const file = { name: `${name}.ssm`, text };
  const { spec, diagnostics } = loadLayer(file, null, { sizes: new Map(Object.entries(sizes ?? {})) });
  expect(diagnostics.filter((each) => each.severity === 'error').map((each) => each.message)).toEqual([]);
  const checked = required(spec, 'spec');
  const made = randomRequest(parse(file).tree, checked, { batch, length, seed: 5 });
  const flags = [0, 0, 1, 0, 0, 1, /* */ 1, 0, 0, 0, 1, 0];
  const inputs = new Map([...made.inputs].map(([key, value]) => [key, key === 'f' ? { ...value, re: value.re.map((_, at) => flags[at % flags.length] ?? 0) } : value]));
  // tails of flags hold flags
  const initial = new Map([...made.initial].map(([key, value]) => [key, /(^f|reset)\.tail$/.test(key) ? { ...value, re: value.re.map((each) => (each > 0.5 ? 1 : 0)) } : value]));
  const compiled = compileSpec(checked, { target: 'wasm', checkpointInterval: 2, pieceLength: 4 });
  return { spec: checked, request: { ...made, inputs, initial }, compiled };
}

function interpreted({ compiled: { module } }: Loaded): Run {
  const run = (name: string, length: number, given: Tensors): Tensors =>
    interpretFunction(module, required(module.functions.find((each) => each.name === name), name), { batch, length, arguments: given });
  return async (entry, length, given) => {
    if (entry !== 'backwardFinal') return run('forward', length, given);
    const saved = [...run('forwardSaved', length, given)].filter(([key]) => key.startsWith('saved:'));
    return run(entry, length, new Map([...given, ...saved]));
  };
}

function inKernels({ compiled: { plans } }: Loaded): Run {
  const run = (name: string, length: number, given: Tensors, saved: ReadonlyMap<string, Float64Array>): { tensors: ReadonlyMap<string, Float64Array>; results: Tensors } => {
    const plan = required(plans.find((each) => each.entry === name), name);
    const sizes = { batch, length };
    const { tensors } = interpretPlan(plan, sizes, new Map([...planArguments(plan.tensors, given), ...saved]), { rounding: 'f64' });
    const results = new Map<string, OracleTensor>();
    for (const tensor of plan.tensors) {
      if (!['output', 'final', 'gradient'].includes(tensor.role)) continue;
      const isComplex = tensor.axes.includes('complex');
      const shape = tensor.dims.slice(0, isComplex ? -1 : undefined).map((dim) => evaluateSize(dim, sizes));
      const axes = tensor.axes.filter((axis) => axis !== 'complex');
      results.set(tensorKey(tensor.role, tensor.subject ?? ''), unpackTensor(required(tensors.get(tensor.name), tensor.name), axes, shape, isComplex ? 'complex' : 'real'));
    }
    return { tensors, results };
  };
  return async (entry, length, given) => {
    if (entry !== 'backwardFinal') return run(entry, length, given, new Map()).results;
    const { tensors } = run('forwardSaved', length, given, new Map());
    return run(entry, length, given, new Map([...tensors].filter(([name]) => name.startsWith('saved.')))).results;
  };
}

const device = await openWasm({ workers: 1, checks: 'canaries' });
afterAll(async () => device[Symbol.asyncDispose]());

async function onWasm({ compiled: { artifact } }: Loaded): Promise<Run> {
  const layer = await device.prepare(artifact);
  return async (entry, length, given) => {
    const sizes = { batch, length };
    const saved = entry === 'backwardFinal' ? await runEntry(layer, 'forwardSaved', sizes, given) : null;
    const made = await runEntry(layer, entry, sizes, given, saved?.saved);
    const results = new Map<string, OracleTensor>();
    for (const tensor of entryOf(artifact, entry).tensors) {
      const numbers = made.numbers.get(tensor.name);
      if (numbers === undefined || !['output', 'final', 'gradient'].includes(tensor.role)) continue;
      const isComplex = tensor.axes.includes('complex');
      const shape = tensor.dims.slice(0, isComplex ? -1 : undefined).map((dim) => evaluateSize(dim, sizes));
      const axes = tensor.axes.filter((axis) => axis !== 'complex');
      results.set(tensorKey(tensor.role, tensor.subject ?? ''), unpackTensor(Array.from(numbers), axes, shape, isComplex ? 'complex' : 'real'));
    }
    made.dispose();
    saved?.dispose();
    return results;
  };
}

const keyed = (role: string, tensors: Tensors): [string, OracleTensor][] => [...tensors].map(([name, value]) => [tensorKey(role, name), value]);
const ofRole = (role: string, tensors: Tensors): Map<string, OracleTensor> =>
  new Map([...tensors].flatMap(([key, value]) => (key.startsWith(`${role}:`) ? [[key.slice(role.length + 1), value] as const] : [])));

function expectClose(actual: Tensors, expected: Tensors, bar: number, what: string): void {
  expect([...actual.keys()].sort(), what).toEqual([...expected.keys()].sort());
  for (const [name, value] of expected) {
    expect(relativeToLargest(required(actual.get(name), name), value), `${what} ${name}`).toBeLessThan(bar);
  }
}

type Piece = { readonly start: number; readonly count: number };

/** Forward over pieces with the states handed on, then backward over them with their cotangents. */
async function runPieces(run: Run, request: EvaluationRequest, cotangents: { outputs: Tensors; final: Tensors }, pieces: readonly Piece[]): Promise<{ outputs: Tensors; final: Tensors; gradients: Tensors }> {
  const givens: [string, OracleTensor][][] = [];
  const outputs = new Map<string, OracleTensor[]>();
  let states: Tensors = request.initial;
  for (const { start, count } of pieces) {
    const given = [...keyed('input', tokensOfAll(request.inputs, start, count)), ...keyed('param', request.params), ...keyed('initial', states)];
    givens.push(given);
    const results = await run('forward', count, new Map(given));
    for (const [name, value] of ofRole('output', results)) outputs.set(name, [...(outputs.get(name) ?? []), value]);
    states = ofRole('final', results);
  }
  let later: Tensors = cotangents.final;
  const gradients = new Map<string, OracleTensor>();
  for (const [at, { start, count }] of [...pieces.entries()].reverse()) {
    const given = [...required(givens[at], 'piece'), ...keyed('output-cotangent', tokensOfAll(cotangents.outputs, start, count)), ...keyed('final-cotangent', later)];
    const made = ofRole('gradient', await run('backwardFinal', count, new Map(given)));
    for (const [name, value] of made) {
      const known = gradients.get(name);
      if (known === undefined || request.initial.has(name)) gradients.set(name, value);
      else gradients.set(name, value.axes.includes('time') ? joinTokens([value, known]) : sumOf(value, known));
    }
    later = new Map([...made].filter(([name]) => request.initial.has(name)));
  }
  return { outputs: new Map([...outputs].map(([name, each]) => [name, joinTokens(each)])), final: states, gradients };
}

function sumOf(left: OracleTensor, right: OracleTensor): OracleTensor {
  const add = (a: Float64Array, b: Float64Array): Float64Array => a.map((each, at) => each + required(b[at], 'entry'));
  return { ...left, re: add(left.re, right.re), im: left.im === null || right.im === null ? null : add(left.im, right.im) };
}

describe.each(cases.map((each) => [each.name, each] as const))('%s', (_name, each) => {
  const { length } = each;
  const loaded = load(each);
  const { spec, request, compiled } = loaded;
  const next = seededNumbers(9);
  const plain = evaluateLayer(request);
  const like = (value: OracleTensor): OracleTensor => randomTensor(value.axes.join(' '), value.shape, next, value.im === null ? 'real' : 'complex');
  const cotangents = {
    outputs: new Map([...plain.outputs].map(([name, value]) => [name, like(value)])),
    final: new Map([...plain.final].map(([name, value]) => [name, like(value)])),
  };
  const whole = gradient({ ...request, cotangents });
  const isReal = (name: string): boolean => spec.inputs.every((input) => input.name !== name || input.type === 'real');
  const expected = new Map([...whole.gradients.inputs, ...whole.gradients.params, ...whole.gradients.initial].filter(([name]) => isReal(name)));
  const splits = Array.from({ length: length - 1 }, (_, at): Piece[] => [{ start: 0, count: at + 1 }, { start: at + 1, count: length - at - 1 }]);
  const all: Piece[][] = [[{ start: 0, count: length }], ...splits, Array.from({ length }, (_, start) => ({ start, count: 1 }))];
  const check = async (run: Run, pieces: readonly Piece[], bar: number): Promise<void> => {
    const made = await runPieces(run, request, cotangents, pieces);
    expectClose(made.outputs, whole.outputs, bar, 'output');
    expectClose(made.final, whole.final, bar, 'final');
    expectClose(made.gradients, expected, bar, 'gradient of');
  };
  const names = all.map((pieces) => [pieces.map((piece) => piece.count).join(' + '), pieces] as const);

  it('has the state record of the specification', () => {
    expect([...plain.final.keys()].sort()).toEqual(stateRecordOf(spec).map((entry) => entry.name).sort());
  });
  it.each(names)('%s tokens in Tensor IR', (_, pieces) => check(interpreted(loaded), pieces, 1e-10));
  it.each(names)('%s tokens in Kernel IR', (_, pieces) => check(inKernels(loaded), pieces, 1e-5));
  it.each(names)('%s tokens on WASM', async (_, pieces) => check(await onWasm(loaded), pieces, 2e-5));

  it('steps through the tokens as forward does', async () => {
    expect(compiled.plans.map((plan) => plan.entry)).toContain('step');
    for (const [run, bar] of [[inKernels(loaded), 1e-5], [await onWasm(loaded), 2e-5]] as const) {
      let states: Tensors = request.initial;
      const outputs = new Map<string, OracleTensor[]>();
      for (let at = 0; at < length; at++) {
        const given = [...keyed('input', tokensOfAll(request.inputs, at, 1)), ...keyed('param', request.params), ...keyed('initial', states)];
        const results = await run('step', 1, new Map(given));
        for (const [name, value] of ofRole('output', results)) outputs.set(name, [...(outputs.get(name) ?? []), value]);
        states = ofRole('final', results);
      }
      expectClose(new Map([...outputs].map(([name, tokens]) => [name, joinTokens(tokens)])), whole.outputs, bar, 'output');
      expectClose(states, whole.final, bar, 'final');
    }
  });
});

/** Layers whose pieces cannot be handed on (they look ahead), still with tails. */
describe.each([
  ['taps in both directions stop at their boundaries', `layer L(D = 2) {
      input u[D], f: flag
      param a[D]
      state x[D] { next x = sigmoid(a) * x + delay(u, 1) + delay(u * u, 2); order bidirectional reset when f }
      state r[D] { dr/dt = -exp(a) * r + delay(u, 3); discretize zoh(exp(delay(a * u, 1))); order reverse; reset when f }
      output y[D] = x + r + delay(u + 1, 1) }`],
  ['complex values of which a part has fewer axes', `layer L(D = 2, N = 3) {
      input u[D], f: flag
      param a[D], c[N]
      let z = complex(a, u)
      state x[D]: complex { next x = complex(sigmoid(a), 0.1) * x + delay(complex(u, 0), 1) + delay(z, 2); reset when f }
      output y[D] = real(x) + imag(sum[N](complex(c * u, 0.5)) * x)
      output v[D]: complex = complex(u, 0.25)
      output w[D]: complex = conj(delay(complex(1, u), 3)) }`],
  ['a flag per sequence', `layer L(D = 2) {
      input u[D], g per sequence
      param a[D]
      state x[D] { next x = sigmoid(a) * x + delay(u, 2) + delay(u, 1); reset when g > 0 }
      output y[D] = x }`],
  ['a delay of the position', `layer L(D = 2) {
      input u[D]
      output y[D] = u * delay(position, 2) + delay(position + 1, 1) }`],
])('%s', (name, text) => {
  const loaded = load({ name, text, length: 6 });
  const { request } = loaded;
  const next = seededNumbers(4);
  const plain = evaluateLayer(request);
  const like = (value: OracleTensor): OracleTensor => randomTensor(value.axes.join(' '), value.shape, next, value.im === null ? 'real' : 'complex');
  const cotangents = {
    outputs: new Map([...plain.outputs].map(([key, value]) => [key, like(value)])),
    final: new Map([...plain.final].map(([key, value]) => [key, like(value)])),
  };
  const { outputs, final, gradients } = gradient({ ...request, cotangents });
  const expected = new Map([...gradients.inputs, ...gradients.params, ...gradients.initial].filter(([key]) => key !== 'f'));
  it.each([['Tensor IR', interpreted, 1e-10], ['Kernel IR', inKernels, 1e-5], ['WASM', onWasm, 2e-5]] as const)('in %s', async (_, open, bar) => {
    const made = await runPieces(await open(loaded), request, cotangents, [{ start: 0, count: 6 }]);
    expectClose(made.outputs, outputs, bar, 'output');
    expectClose(made.final, final, bar, 'final');
    expectClose(made.gradients, expected, bar, 'gradient of');
  });
});

it('segments in one sequence are sequences of their own', async () => {
  const text = `layer L(D = 4) {
      input u[D], f: flag
      param a[D], w0[D], w1[D], w2[D]
      let c = silu(w0 * u + w1 * delay(u, 1, boundary = f) + w2 * delay(u, 2, boundary = f))
      state x[D] { next x = sigmoid(a) * x + c + delay(c, 3); reset when f }
      output y[D] = x }`;
  const loaded = load({ name: 'packed', text, length: 7 });
  const run = interpreted(loaded);
  const { inputs, params, initial } = loaded.request;
  const flag = required(inputs.get('f'), 'f');
  const packed = { ...flag, re: flag.re.map((_, at) => (at % 7 === 0 || at % 7 === 3 ? 1 : 0)) };
  const ofTokens = async (start: number, count: number, record: Tensors): Promise<OracleTensor> => {
    const given = [...keyed('input', tokensOfAll(new Map([...inputs, ['f', packed]]), start, count)), ...keyed('param', params), ...keyed('initial', record)];
    return required((await run('forward', count, new Map(given))).get('output:y'), 'y');
  };
  const zeros = new Map([...initial].map(([key, value]) => [key, { ...value, re: new Float64Array(value.re.length) }]));
  const whole = await ofTokens(0, 7, initial);
  const alone = joinTokens([await ofTokens(0, 3, zeros), await ofTokens(3, 4, zeros)]);
  expect(relativeToLargest(whole, alone)).toBeLessThan(1e-12);
});

describe('no step where one token after another is something else', () => {
  it.each([
    ['output y per sequence = mean[time](u)', /reduction over time/],
    ['output y per sequence = last(u)', /last token/],
    ['output y = u * position', /position/],
    ['output y = u / length', /length/],
    ['state x { next x = 0.5 * x + u; order reverse } output y = x', /reverse/],
    ['state x { next x = 0.5 * x + u; restart initial when u > 0 } output y = x', /restarts from the initial state/],
    ['state x { next x = 0.5 * x + u } output y per sequence = sum[time](x)', /reduction over time/],
  ])('%s', (body, reason) => {
    const { spec } = loadLayer({ name: 'a.ssm', text: `layer A { input u ${body} }` }, null, { sizes: new Map() });
    const { artifact, plans } = compileSpec(required(spec, 'spec'), { target: 'wasm' });
    expect(plans.map((plan) => plan.entry)).not.toContain('step');
    expect(artifact.manifest.decisions.find((each) => each.subject === 'step')?.reason).toMatch(reason);
  });
});
