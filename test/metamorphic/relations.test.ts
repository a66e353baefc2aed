/**
 * Relations between runs of one layer (reliability.md, R1 to R23): no oracle is needed, and where bits
 * are promised, bits are compared. Every example, and random layers of the kind a relation is about; which
 * examples a relation does not apply to, and which are tested elsewhere, is said in the tables below.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { openWasm } from '../../runtime/wasm/index.ts';
import { required } from '../../support/invariant.ts';
import type { GradientRequest, OracleTensor } from '../oracle/evaluate.ts';
import { joinTokens, tokensOf, tokensOfAll } from '../support/pieces.ts';
import type { RunResults } from '../generate/judge.ts';
import { changed, exampleSubjects, generatedSubjects, mapRequest, permuted, subjectOf, tensorOf, withRuns, type Mode, type Subject } from './subjects.ts';

const device = await openWasm({ workers: 0, checks: 'canaries' });
afterAll(() => device[Symbol.asyncDispose]());
const modes: readonly Mode[] = ['recurrent', 'scan'];
const examples = exampleSubjects();
const named = (names: readonly string[]): readonly Subject[] => examples.filter((each) => names.includes(each.name));
const rows = (subjects: readonly Subject[]): [string, Mode, Subject][] => subjects.flatMap((each) => modes.map((mode): [string, Mode, Subject] => [each.name, mode, each]));

/** Inputs that an example is linear in together with its states; the others have an activation, or gates made of the input. */
const linear: Readonly<Record<string, readonly string[]>> = {
  s4d: ['u'], dss: ['u'], lru: ['u'], s5: ['u'], 's5-bidirectional': ['u'], 's5-reset': ['u'], s6: ['u'], 's5-irregular': ['u'],
};
/** Transitions that do not vary with time. */
const invariant = ['s4d', 'dss', 'lru', 's5'];
/** What looks ahead. */
const lookingAhead = ['s5-bidirectional'];

const keysOf = (results: RunResults, ...roles: readonly string[]): readonly string[] => [...results.keys()].filter((key) => roles.includes(key.split(':')[0] ?? ''));

function expectBits(actual: OracleTensor, expected: OracleTensor, what: string): void {
  const places = (left: Float64Array | null, right: Float64Array | null): readonly number[] =>
    [...(left ?? [])].flatMap((value, at) => (Object.is(value, right?.[at]) ? [] : [at])).slice(0, 5);
  expect(actual.shape, what).toEqual(expected.shape);
  expect(places(actual.re, expected.re), `${what}: entries that differ`).toEqual([]);
  expect(places(actual.im, expected.im), `${what}: imaginary parts that differ`).toEqual([]);
}

function sumOf(left: OracleTensor, right: OracleTensor): OracleTensor {
  const add = (one: Float64Array, other: Float64Array | null): Float64Array => one.map((value, at) => Math.fround(value + (other?.[at] ?? NaN)));
  return { ...left, re: add(left.re, right.re), im: left.im === null ? null : add(left.im, right.im) };
}

/** Within a relative L2 distance; results of nothing but zeros would prove nothing. */
function expectNear(actual: OracleTensor, expected: OracleTensor, bar: number, what: string): void {
  expect(actual.shape, what).toEqual(expected.shape);
  const all = ({ re, im }: OracleTensor): readonly number[] => [...re, ...(im ?? [])];
  const size = Math.hypot(...all(expected));
  const wanted = all(expected);
  expect(size, what).toBeGreaterThan(0);
  expect(Math.hypot(...all(actual).map((value, at) => value - (wanted[at] ?? NaN))) / size, what).toBeLessThan(bar);
}

const timesPower = (tensor: OracleTensor, power: number): OracleTensor => changed(tensor, (value) => value * 2 ** power);
const isFlag = (tensor: OracleTensor, name: string): boolean => /starts|flag|reset/.test(name) || tensor.re.every((each) => Number.isInteger(each));

/** The request with the linear inputs and all states changed, and flags and the rest as they are. */
function onLinearPath({ name, made }: Subject, change: (tensor: OracleTensor) => OracleTensor): GradientRequest {
  const own = linear[name] ?? [];
  return mapRequest(made.request, (tensor, each, role) => ((role === 'input' && own.includes(each)) || (role === 'initial' && !isFlag(tensor, each)) ? change(tensor) : tensor));
}

describe.each(rows(named(Object.keys(linear))))('%s, %s, is linear', (_name, mode, subject) => {
  it('R1: powers of two in, the same powers out, in bits', () => withRuns(device, subject, mode, async (run) => {
    const [plain, scaled] = [await run(subject.made.request), await run(onLinearPath(subject, (tensor) => timesPower(tensor, 7)))];
    for (const key of keysOf(plain, 'output', 'final')) expectBits(tensorOf(subject.made, scaled, key), timesPower(tensorOf(subject.made, plain, key), 7), key);
  }));
  it('R2: the sum of two sequences gives the sum of the results', () => withRuns(device, subject, mode, async (run) => {
    const other = (tensor: OracleTensor): OracleTensor => changed(tensor, (value) => Math.fround(0.375 - 0.5 * value));
    const [left, right] = [await run(subject.made.request), await run(onLinearPath(subject, other))];
    const both = await run(onLinearPath(subject, (tensor) => sumOf(tensor, other(tensor))));
    for (const key of keysOf(both, 'output', 'final')) {
      expectNear(tensorOf(subject.made, both, key), sumOf(tensorOf(subject.made, left, key), tensorOf(subject.made, right, key)), 1e-5, key);
    }
  }));
  it('R3: nothing in, nothing out', () => withRuns(device, subject, mode, async (run) => {
    const results = await run(onLinearPath(subject, (tensor) => changed(tensor, () => 0)));
    for (const key of keysOf(results, 'output', 'final')) expect(tensorOf(subject.made, results, key).re.every((each) => Math.abs(each) === 0), key).toBe(true);
  }));
  it('R21: the gradient is the adjoint', () => withRuns(device, subject, mode, async (run) => {
    const results = await run(subject.made.request);
    const { request } = subject.made;
    const dot = (left: OracleTensor, right: OracleTensor): number =>
      permutedTo(left, right).re.reduce((sum, each, at) => sum + each * (right.re[at] ?? NaN), 0)
      + (left.im === null || right.im === null ? 0 : required(permutedTo(left, right).im, 'im').reduce((sum, each, at) => sum + each * (right.im?.[at] ?? NaN), 0));
    const ofResults = [...keysOf(results, 'output', 'final')].map((key) => {
      const [role, name] = key.split(':') as [string, string];
      const weights = role === 'output' ? request.cotangents.outputs : request.cotangents.final;
      return dot(required(weights.get(name), key), tensorOf(subject.made, results, key));
    });
    const ofGradients = keysOf(results, 'gradient').flatMap((key) => {
      const name = key.slice('gradient:'.length);
      const given = (linear[subject.name] ?? []).includes(name) ? request.inputs.get(name) : request.initial.get(name);
      return given === undefined || isFlag(given, name) ? [] : [dot(given, tensorOf(subject.made, results, key))];
    });
    const size = [...ofResults, ...ofGradients].reduce((sum, each) => sum + Math.abs(each), 0);
    const total = (parts: readonly number[]): number => parts.reduce((sum, each) => sum + each, 0);
    expect(Math.abs(total(ofResults) - total(ofGradients)) / size).toBeLessThan(1e-5);
  }));
});

/** The entries of a tensor in the order of another's axes. */
function permutedTo(tensor: OracleTensor, like: OracleTensor): OracleTensor {
  const strides = like.axes.map((axis) => {
    const found = tensor.axes.indexOf(axis);
    return tensor.shape.slice(found + 1).reduce((product, size) => product * size, 1);
  });
  const from = (index: number): number => {
    let [rest, at] = [index, 0];
    for (let axis = like.axes.length - 1; axis >= 0; axis--) {
      const size = like.shape[axis] ?? 1;
      at += (rest % size) * (strides[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    return at;
  };
  const move = (numbers: Float64Array): Float64Array => numbers.map((_, index) => numbers[from(index)] ?? NaN);
  return { axes: like.axes, shape: like.shape, re: move(tensor.re), im: tensor.im === null ? null : move(tensor.im) };
}

describe.each(named(invariant).map((each) => [each.name, each] as const))('%s is time-invariant', (_name, subject) => {
  it('R5: a shift in time, filled with zeros, in bits', () => withRuns(device, subject, 'recurrent', async (run) => {
    const shift = 5;
    const still = onLinearPath(subject, (tensor) => (tensor.axes.includes('time') ? tensor : changed(tensor, () => 0)));
    const moved = mapRequest(still, (tensor) => {
      if (!tensor.axes.includes('time')) return tensor;
      const rolled = permuted(tensor, 'time', Array.from({ length: still.length }, (_, at) => (at - shift + still.length) % still.length));
      return changed(rolled, (value, at) => (at('time') < shift ? 0 : value));
    });
    const [before, after] = [await run(still), await run(moved)];
    for (const key of keysOf(before, 'output')) {
      const kept = tokensOf(tensorOf(subject.made, before, key), 0, still.length - shift);
      expectBits(tokensOf(tensorOf(subject.made, after, key), shift, still.length - shift), kept, key);
    }
  }));
});

const causal = [...examples.filter((each) => !lookingAhead.includes(each.name)), ...generatedSubjects(8, (recipe) => ({ ...recipe, order: 'forward', overTime: 'none', position: 'none' }))];

describe.each(rows(causal))('%s, %s, is causal', (_name, mode, subject) => {
  it('R4: later tokens change nothing before them, in bits', () => withRuns(device, subject, mode, async (run) => {
    const { request } = subject.made;
    const from = Math.floor(request.length / 2);
    const other = { ...request, inputs: mapRequest(request, (tensor) => (tensor.axes.includes('time') && !isFlag(tensor, '') ? changed(tensor, (value, at) => (at('time') < from ? value : Math.fround(value * 0.5 + 0.25))) : tensor)).inputs };
    const [before, after] = [await run(request), await run(other)];
    for (const key of keysOf(before, 'output')) expectBits(tokensOf(tensorOf(subject.made, after, key), 0, from), tokensOf(tensorOf(subject.made, before, key), 0, from), key);
  }));
});

/** A restart goes back to the state that the piece began with, not the sequence. */
const handedOn = causal.filter(({ made }) => made.spec.body.every((item) => item.kind !== 'state' || item.reset?.action !== 'restart'));

describe.each(handedOn.map((each) => [each.name, each] as const))('%s in pieces', (_name, subject) => {
  it('R6: at every split point, in bits in recurrent mode', () => withRuns(device, subject, 'recurrent', async (run) => {
    const { request } = subject.made;
    const whole = await run(request);
    for (let at = 1; at < request.length; at++) {
      const piece = (start: number, count: number, initial: ReadonlyMap<string, OracleTensor>): GradientRequest => ({
        ...request, length: count, initial, inputs: tokensOfAll(request.inputs, start, count),
        cotangents: { ...request.cotangents, outputs: tokensOfAll(request.cotangents.outputs, start, count) },
      });
      const first = piece(0, at, request.initial);
      const early = await run(first);
      const states = new Map([...request.initial.keys()].map((name) => [name, tensorOf(subject.made, early, `final:${name}`)]));
      const late = await run(piece(at, request.length - at, states));
      for (const key of keysOf(whole, 'output')) {
        const joined = joinTokens([tensorOf({ ...subject.made, request: first }, early, key), tensorOf({ ...subject.made, request: piece(at, request.length - at, states) }, late, key)]);
        expectBits(joined, tensorOf(subject.made, whole, key), `${key}, split at ${at}`);
      }
      for (const key of keysOf(whole, 'final')) expectBits(tensorOf(subject.made, late, key), tensorOf(subject.made, whole, key), key);
    }
  }));
});

const all = [...examples, ...generatedSubjects(8, (recipe) => recipe)];

describe.each(rows(all))('%s, %s', (_name, mode, subject) => {
  it('R9: sequences of a batch do not know of each other, in bits', () => withRuns(device, subject, mode, async (run) => {
    const order = [2, 0, 1];
    const { request } = subject.made;
    const [plain, moved] = [await run(request), await run(mapRequest(request, (tensor) => permuted(tensor, 'batch', order)))];
    const only = (tensor: OracleTensor): OracleTensor => {
      const at = tensor.axes.indexOf('batch');
      if (at < 0) return tensor;
      const first = permuted(tensor, 'batch', [1, 0, 2]);
      const count = first.re.length / 3;
      return { ...first, shape: first.shape.map((size, axis) => (axis === at ? 1 : size)), re: first.re.slice(0, count), im: first.im?.slice(0, count) ?? null };
    };
    const alone = await run({ ...mapRequest(request, only), batch: 1 });
    for (const key of keysOf(plain, 'output', 'final')) {
      const value = tensorOf(subject.made, plain, key);
      expectBits(tensorOf(subject.made, moved, key), permuted(value, 'batch', order), key);
      expectBits(tensorOf({ ...subject.made, request: { ...request, batch: 1 } }, alone, key), only(value), `${key} alone`);
    }
  }));
  it('R22: cotangents times a power of two, gradients times it, in bits', () => withRuns(device, subject, mode, async (run) => {
    const scaled = mapRequest(subject.made.request, (tensor, _each, role) => (role === 'cotangent' ? timesPower(tensor, 5) : tensor));
    const [plain, other] = [await run(subject.made.request), await run(scaled)];
    for (const key of keysOf(plain, 'gradient')) expectBits(tensorOf(subject.made, other, key), timesPower(tensorOf(subject.made, plain, key), 5), key);
  }));
});

/** Two texts that mean the same, on the same numbers, each in its own way: names of the outputs and what is compared. */
async function expectSameText(left: Subject, right: Subject, mode: Mode, change: (request: GradientRequest) => GradientRequest = (each) => each, back: (tensor: OracleTensor) => OracleTensor = (each) => each): Promise<void> {
  const given = left.made.request;
  const first = await withRuns(device, left, mode, (run) => run(given));
  const second = await withRuns(device, right, mode, (run) => run(change({ ...given, tree: right.made.request.tree })));
  for (const key of keysOf(first, 'output')) expectBits(back(tensorOf(right.made, second, key)), tensorOf(left.made, first, key), key);
}

const modal = (clauses: string, output = 'sum[N](C * x)'): string => `layer L(D = 4, N = 3) {
  input u[D], dt[D]
  param A[D, N] = -uniform(0.5, 2), B[D, N] = normal(), C[D, N] = normal()
  state x[D, N] { ${clauses} }
  output y[D] = ${output} }`;

describe.each(modes)('texts that mean the same, %s', (mode) => {
  const forward = subjectOf('forward', modal('next x = exp(A) * x + B * u'));
  it('R12: reverse is forward on the reversed sequence, in bits', () =>
    expectSameText(forward, subjectOf('reverse', modal('next x = exp(A) * x + B * u\n order reverse')), mode,
      (request) => mapRequest(request, (tensor) => permuted(tensor, 'time', Array.from({ length: request.length }, (_, at) => request.length - 1 - at))),
      (tensor) => permuted(tensor, 'time', Array.from({ length: forward.made.request.length }, (_, at) => forward.made.request.length - 1 - at))));
  it('R13: half the rates for twice the step, in bits', () =>
    expectSameText(subjectOf('whole', modal('dx/dt = A * x + B * u\n discretize zoh(0.25)')), subjectOf('half', modal('dx/dt = A * x + B * u\n discretize zoh(0.5)')), mode,
      (request) => mapRequest(request, (tensor, name) => (name === 'A' || name === 'B' ? timesPower(tensor, -1) : tensor))));
  it('R11: B times a power of two, C divided by it, in bits', () =>
    expectSameText(forward, forward, mode, (request) => mapRequest(request, (tensor, name, role) =>
      (name === 'B' || role === 'initial' ? timesPower(tensor, 3) : name === 'C' ? timesPower(tensor, -3) : tensor))));
  it('R10: channels permuted, in bits', () =>
    expectSameText(forward, forward, mode, (request) => mapRequest(request, (tensor) => permuted(tensor, 'D', [3, 1, 0, 2])), (tensor) => permuted(tensor, 'D', [2, 1, 3, 0])));
  it('R23: dead and doubled text changes no bit', () =>
    expectSameText(forward, subjectOf('dead', modal('next x = exp(A) * x + B * u', 'if position < 100000 then sum[N](C * x) else sum[N](C * x)').replace('state x', 'let unused = exp(u) * dt\n  state x')), mode));
  it('R16: after a reset as from the start, in bits', async () => {
    const subject = subjectOf('reset', `layer L(D = 4, N = 3) {
      input u[D], starts: flag
      param A[D, N] = uniform(0.2, 0.9), B[D, N] = normal()
      state x[D, N] { next x = A * x + B * u; reset when starts }
      output y[D] = sum[N](x) + sum[N](prev(x)) }`);
    const at = 7;
    const { request } = subject.made;
    const flags = mapRequest(request, (tensor, name) => (name === 'starts' ? changed(tensor, (_value, place) => Number(place('time') === at)) : tensor));
    const count = request.length - at;
    const fresh: GradientRequest = {
      ...mapRequest(flags, (tensor, _each, role) => (role === 'initial' ? changed(tensor, () => 0) : tensor)), length: count,
      inputs: tokensOfAll(flags.inputs, at, count), cotangents: { ...request.cotangents, outputs: tokensOfAll(request.cotangents.outputs, at, count) },
    };
    await withRuns(device, subject, 'recurrent', async (run) => {
      const [whole, later] = [await run(flags), await run(fresh)];
      expectBits(tokensOf(tensorOf(subject.made, whole, 'output:y'), at, count), tensorOf({ ...subject.made, request: fresh }, later, 'output:y'), 'y');
      const gradientOfStart = tensorOf(subject.made, whole, 'gradient:u');
      const ofFresh = tensorOf({ ...subject.made, request: fresh }, later, 'gradient:u');
      expectBits(tokensOf(gradientOfStart, at, count), ofFresh, 'gradient of u');
    });
  });
});

/** The request of one text with tensors of another role or shape put in by name. */
function withTensors(request: GradientRequest, tree: GradientRequest['tree'], given: Partial<Pick<GradientRequest, 'inputs' | 'params' | 'initial' | 'cotangents'>>): GradientRequest {
  return { ...request, tree, ...given };
}

/** A tensor repeated for every sequence and token. */
function everywhere(tensor: OracleTensor, { batch, length }: Pick<GradientRequest, 'batch' | 'length'>): OracleTensor {
  const repeat = (numbers: Float64Array): Float64Array => Float64Array.from({ length: batch * length * numbers.length }, (_, at) => numbers[at % numbers.length] ?? NaN);
  return { axes: ['batch', 'time', ...tensor.axes], shape: [batch, length, ...tensor.shape], re: repeat(tensor.re), im: tensor.im === null ? null : repeat(tensor.im) };
}

/** Modes, the last axis, followed by their conjugates. */
function withConjugates(tensor: OracleTensor): OracleTensor {
  const count = tensor.shape.at(-1) ?? 1;
  const doubled = (numbers: Float64Array, sign: 1 | -1): Float64Array => Float64Array.from({ length: 2 * numbers.length }, (_, at) => {
    const [row, place] = [Math.floor(at / (2 * count)), at % (2 * count)];
    return (place < count ? 1 : sign) * (numbers[row * count + (place % count)] ?? NaN);
  });
  return { ...tensor, shape: [...tensor.shape.slice(0, -1), 2 * count], re: doubled(tensor.re, 1), im: tensor.im === null ? null : doubled(tensor.im, -1) };
}

const mapAll = (tensors: ReadonlyMap<string, OracleTensor>, change: (tensor: OracleTensor) => OracleTensor): ReadonlyMap<string, OracleTensor> =>
  new Map([...tensors].map(([name, tensor]) => [name, change(tensor)]));

describe.each(modes)('texts that mean nearly the same, %s', (mode) => {
  const output = async (subject: Subject, request: GradientRequest): Promise<OracleTensor> =>
    withRuns(device, subject, mode, async (run) => tensorOf({ ...subject.made, request }, await run(request), 'output:y'));

  it('R14: modes with their conjugates are half of them, taken twice', async () => {
    const text = (count: number, result: string): string => `layer L(D = 4, N = ${count}) {
      input u[D]
      param A[D, N]: complex, B[D, N]: complex, C[D, N]: complex
      state x[D, N]: complex { next x = 0.6 * A * x + B * u }
      output y[D] = ${result} }`;
    const half = subjectOf('half', text(2, '2 * real(sum[N](C * x))'));
    const whole = subjectOf('whole', text(4, 'real(sum[N](C * x))'));
    const { request } = half.made;
    const params = mapAll(request.params, withConjugates);
    const paired = withTensors(request, whole.made.request.tree, {
      params, initial: mapAll(request.initial, withConjugates), cotangents: { ...request.cotangents, final: mapAll(request.cotangents.final, withConjugates) },
    });
    expectNear(await output(whole, paired), await output(half, request), 2e-6, 'y');
  });

  it('R15: coefficients given per token, always the same, are parameters', async () => {
    const text = (role: string): string => `layer L(D = 4, N = 3) {
      input u[D]
      ${role} dt[D], B[N], C[N]
      param A[D, N] = -uniform(0.5, 2)
      state x[D, N] { dx/dt = A * x + B * u\n discretize zoh(softplus(dt)) }
      output y[D] = sum[N](C * x) }`;
    const [fixed, selective] = [subjectOf('fixed', text('param')), subjectOf('selective', text('input'))];
    const { request } = fixed.made;
    const spread = [...request.params].filter(([name]) => name !== 'A').map(([name, tensor]) => [name, everywhere(tensor, request)] as const);
    const perToken = withTensors(request, selective.made.request.tree, {
      inputs: new Map([...request.inputs, ...spread]), params: new Map([...request.params].filter(([name]) => name === 'A')),
    });
    expectNear(await output(selective, perToken), await output(fixed, request), 2e-6, 'y');
  });

  it('R19: what a skip term adds is its product', async () => {
    const subject = subjectOf('skip', modal('next x = exp(A) * x + B * u', 'sum[N](C * x) + dt * u'));
    const { request } = subject.made;
    const without = mapRequest(request, (tensor, name) => (name === 'dt' ? changed(tensor, () => 0) : tensor));
    const [dt, u] = [required(request.inputs.get('dt'), 'dt'), required(request.inputs.get('u'), 'u')];
    const product = changed(dt, (value) => value);
    product.re.forEach((value, at) => { product.re[at] = value * (u.re[at] ?? NaN); });
    expectNear(await output(subject, request), sumOf(await output(subject, without), permutedTo(product, await output(subject, without))), 2e-7, 'y');
  });

  it.each(['zoh', 'bilinear', 'backward_euler', 'euler'])('R20: %s of steps near zero keeps the state and adds step × drive', async (rule) => {
    const tiny = 2 ** -40;
    const subject = subjectOf('tiny', modal(`dx/dt = A * x + B * u\n discretize ${rule}(${tiny})`));
    const { request } = subject.made;
    await withRuns(device, subject, mode, async (run) => {
      const kept = tensorOf(subject.made, await run(request), 'final:x');
      expectNear(kept, permutedTo(required(request.initial.get('x'), 'x'), kept), 1e-7, 'a state');
      const still = mapRequest(request, (tensor, _name, role) => (role === 'initial' ? changed(tensor, () => 0) : tensor));
      const grown = tensorOf(subject.made, await run(still), 'final:x');
      const [B, u] = [required(request.params.get('B'), 'B'), required(request.inputs.get('u'), 'u')];
      const expected = changed(grown, (_value, at) => {
        const row = Array.from({ length: request.length }, (_, time) => u.re[(at('batch') * request.length + time) * 4 + at('D')] ?? NaN);
        return tiny * (B.re[at('D') * 3 + at('N')] ?? NaN) * row.reduce((sum, each) => sum + each, 0);
      });
      expectNear(grown, expected, 2e-6, 'what was added');
    });
  });
});
