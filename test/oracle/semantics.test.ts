/** The language's rules on numbers small enough to work out by hand. */
import { describe, expect, it } from 'vitest';
import { evaluateLayer } from './evaluate.ts';
import { randomTensor, request, seededNumbers, tensor } from '../support/oracle-requests.ts';

const u = tensor('batch time', [1, 4], [1, 2, 3, 4]);

function outputOf(text: string, given: Partial<Parameters<typeof request>[1]> = {}, name = 'y'): number[] {
  const result = evaluateLayer(request(text, { length: 4, inputs: { u }, ...given }));
  return [...result.outputs.get(name)!.re];
}

describe('states', () => {
  it('next reads the previous value, later text the updated one, prev the one before', () => {
    const text = `layer L() { input u
      state x { next x = 2 * x + u }
      state w { next w = w + x }
      output y = x
      output before = prev(x)
      output chain = w }`;
    const initial = { x: tensor('batch', [1], [10]) };
    expect(outputOf(text, { initial })).toEqual([21, 44, 91, 186]);
    expect(outputOf(text, { initial }, 'before')).toEqual([10, 21, 44, 91]);
    expect(outputOf(text, { initial }, 'chain')).toEqual([21, 65, 156, 342]);
  });

  it('keeps the initial state as the final one of an empty sequence', () => {
    const text = 'layer L() { input u; state x { next x = x + u }; output y = x }';
    const initial = { x: tensor('batch', [1], [5]) };
    const result = evaluateLayer(request(text, { length: 0, inputs: { u: tensor('batch time', [1, 0], []) }, initial }));
    expect([...result.final.get('x')!.re]).toEqual([5]);
    expect(result.outputs.get('y')!.shape).toEqual([1, 0]);
  });

  it('order reverse starts at the last token and ends at the first', () => {
    const text = 'layer L() { input u; state x { next x = 2 * x + u; order reverse }; output y = x }';
    expect(outputOf(text)).toEqual([49, 24, 11, 4]);
    const result = evaluateLayer(request(text, { length: 4, inputs: { u } }));
    expect([...result.final.get('x')!.re]).toEqual([49]);
  });

  it('order bidirectional is the sum of both, token t in each', () => {
    const text = 'layer L() { input u; state x { next x = 2 * x + u; order bidirectional }; output y = x }';
    expect(outputOf(text)).toEqual([1 + 49, 4 + 24, 11 + 11, 26 + 4]);
    const result = evaluateLayer(request(text, { length: 4, inputs: { u } }));
    expect([...result.final.keys()]).toEqual(['x', 'x_reverse']);
  });

  const flag = tensor('batch time', [1, 4], [0, 0, 1, 0]);
  const initial = { x: tensor('batch', [1], [10]) };
  it.each([
    ['reset when f', [21, 44, 3, 10], [10, 21, 0, 3]],
    ['restart initial when f', [21, 44, 23, 50], [10, 21, 10, 23]],
    ['reset when f; order reverse', [17, 8, 3, 24], []],
  ])('%s', (clause, expected, before) => {
    const text = `layer L() { input u; input f: flag
      state x { next x = 2 * x + u; ${clause} }
      output y = x; output before = prev(x) }`;
    const given = { inputs: { u, f: flag }, initial };
    expect(outputOf(text, given)).toEqual(expected);
    if (!clause.includes('reverse')) expect(outputOf(text, given, 'before')).toEqual(before);
  });

  it('masks the taps in the block of a state with resets, and only there', () => {
    const text = `layer L() { input u; input f: flag
      state x { next x = 0 * x + u + 10 * delay(u, 1) + 100 * delay(u, 2); reset when f }
      output y = x; output outside = delay(u, 1) }`;
    const given = { inputs: { u, f: flag } };
    expect(outputOf(text, given)).toEqual([1, 12, 3, 34]);
    expect(outputOf(text, given, 'outside')).toEqual([0, 1, 2, 3]);
    // in reverse the flag is on the first token visited: the boundary is after token 2, not before it
    const reverse = text.replace('reset when f', 'reset when f; order reverse');
    expect(outputOf(reverse, given)).toEqual([1, 12, 123, 4]);
  });

  it('delays read the tail before the first token, and leave the last values', () => {
    const text = 'layer L() { input u; output y = delay(u, 1) + 10 * delay(u, 3) }';
    const tail = tensor('batch u.tail', [1, 3], [5, 6, 7]);
    expect(outputOf(text, { inputs: { u }, initial: { 'u.tail': tail } })).toEqual([57, 61, 72, 13]);
    const short = tensor('batch time', [1, 2], [1, 2]);
    const { final } = evaluateLayer(request(text, { length: 2, inputs: { u: short }, initial: { 'u.tail': tail } }));
    expect([...final.get('u.tail')!.re]).toEqual([7, 1, 2]);
  });

  it('taps with a boundary stop there, also at one that lies in the piece before', () => {
    const text = 'layer L() { input u; input f: flag; output y = delay(u, 1, boundary = f) + 10 * delay(u, 2, boundary = f) }';
    const initial = { 'u.tail': tensor('batch u.tail', [1, 2], [5, 6]), 'f.tail': tensor('batch f.tail', [1, 1], [0]) };
    const given = { inputs: { u, f: flag }, initial };
    expect(outputOf(text, given)).toEqual([56, 61, 0, 3]);
    const cut = { ...initial, 'f.tail': tensor('batch f.tail', [1, 1], [1]) };
    expect(outputOf(text, { ...given, initial: cut })).toEqual([6, 61, 0, 3]);
    const { final } = evaluateLayer(request(text, { length: 4, ...given }));
    expect([...final].map(([name, value]) => [name, ...value.re])).toEqual([['u.tail', 3, 4], ['f.tail', 0]]);
  });

  it('a state in its own coefficient or contracted is evaluated token by token (delta rule)', () => {
    const next = seededNumbers(3);
    const inputs = {
      k: randomTensor('batch time K', [1, 5, 2], next), v: randomTensor('batch time V', [1, 5, 3], next),
      beta: randomTensor('batch time', [1, 5], next),
    };
    const text = `layer L(K = 2, V = 3) { input k[K], v[V], beta
      state S[K, V] { next S = S - beta * k * sum[K](k * S) + beta * k * v }
      output y[K, V] = S }`;
    const actual = outputOf(text, { length: 5, inputs });
    const state = new Float64Array(6);
    const expected: number[] = [];
    for (let t = 0; t < 5; t++) {
      const read = [0, 1, 2].map((j) => [0, 1].reduce((sum, i) => sum + inputs.k.re[2 * t + i]! * state[3 * i + j]!, 0));
      for (let i = 0; i < 2; i++) {
        for (let j = 0; j < 3; j++) {
          state[3 * i + j]! += inputs.beta.re[t]! * inputs.k.re[2 * t + i]! * (inputs.v.re[3 * t + j]! - read[j]!);
        }
      }
      expected.push(...state);
    }
    actual.forEach((each, at) => expect(each).toBeCloseTo(expected[at]!, 13));
  });
});

describe('discretizations of dx/dt = J x + f', () => {
  const run = (clause: string): number[] =>
    outputOf(`layer L() { input u; param j; param dt; state x { dx/dt = j * x + u; discretize ${clause} }; output y = x }`, {
      length: 2, inputs: { u: tensor('batch time', [1, 2], [1, 3]) },
      params: { j: tensor('', [], [-0.5]), dt: tensor('', [], [0.25]) }, initial: { x: tensor('batch', [1], [2]) },
    });
  const recurrence = (a: number, b: number): number[] => [a * 2 + b, a * (a * 2 + b) + 3 * b];
  const z = -0.125;
  it.each([
    ['zoh(dt)', Math.exp(z), (Math.exp(z) - 1) / -0.5],
    ['zoh(dt), input euler', Math.exp(z), 0.25],
    ['zoh(dt), input dirac', Math.exp(z), 1],
    ['dirac(dt)', Math.exp(z), 1],
    ['euler(dt)', 1 + z, 0.25],
    ['backward_euler(dt)', 1 / (1 - z), 0.25 / (1 - z)],
    ['bilinear(dt)', (1 + z / 2) / (1 - z / 2), 0.25 / (1 - z / 2)],
    ['gbt(0.3, dt)', (1 + 0.7 * z) / (1 - 0.3 * z), 0.25 / (1 - 0.3 * z)],
  ])('%s', (clause, a, b) => {
    run(clause).forEach((each, at) => expect(each).toBeCloseTo(recurrence(a, b)[at]!, 14));
  });

  it('zoh has the limit Δ·f where J vanishes', () => {
    const text = 'layer L() { input u; param j; state x { dx/dt = j * x + u; discretize zoh(0.5) }; output y = x }';
    expect(outputOf(text, { params: { j: tensor('', [], [0]) } })).toEqual([0.5, 1.5, 3, 5]);
  });
});

describe('expressions', () => {
  it('time: delay, position, length, means and last', () => {
    expect(outputOf('layer L() { input u; output y = delay(u, 2) }')).toEqual([0, 0, 1, 2]);
    expect(outputOf('layer L() { input u; output y = u + position / length }')).toEqual([1, 2.25, 3.5, 4.75]);
    expect(outputOf('layer L() { input u; output y per sequence = mean[time](u) }')).toEqual([2.5]);
    expect(outputOf('layer L() { input u; output y per sequence = last(u) + sum[time](u) }')).toEqual([14]);
    expect(outputOf('layer L() { input u; output y = if position >= 2 and not (u == 4) then u else -u }')).toEqual([-1, -2, 3, -4]);
  });

  it('axes: sizes, iota, rename, contraction, gather', () => {
    const W = tensor('A B', [2, 3], [1, 2, 3, 4, 5, 6]);
    const text = (body: string): string => `layer L(A = 2, B = 3) { axis C = A; input u; param W[A, B]; ${body} }`;
    const given = { length: 1, inputs: { u: tensor('batch time', [1, 1], [1]) }, params: { W } };
    expect(outputOf(text('output y[A] = sum[B](W * iota(B)) * u'), given)).toEqual([8, 17]);
    expect(outputOf(text('output y[A, C] = sum[B](W * rename(W, A, C)) * u'), given)).toEqual([14, 32, 32, 77]);
    expect(outputOf(text('output y[B, A] = W * u + A'), given)).toEqual([3, 6, 4, 7, 5, 8]);
    expect(outputOf(text('output y[B] = gather[A](W, u)'), given)).toEqual([4, 5, 6]);
    expect(outputOf(text('output y = max[A](mean[B](W)) * u'), given)).toEqual([5]);
  });

  it('softmax, log_softmax, rms_norm and layer_norm', () => {
    const given = { length: 1, inputs: { u: tensor('batch time K', [1, 1, 3], [1000, 1001, 1002]) } };
    const text = (value: string): string => `layer L(K = 3) { input u[K]; output y[K] = ${value} }`;
    const weights = [Math.exp(-2), Math.exp(-1), 1].map((each, _, all) => each / all.reduce((a, b) => a + b));
    outputOf(text('softmax[K](u)'), given).forEach((each, at) => expect(each).toBeCloseTo(weights[at]!, 14));
    outputOf(text('log_softmax[K](u)'), given).forEach((each, at) => expect(each).toBeCloseTo(Math.log(weights[at]!), 13));
    outputOf(text('layer_norm[K](u, eps = 1)'), given).forEach((each, at) => expect(each).toBeCloseTo((at - 1) / Math.sqrt(5 / 3), 10));
    const scale = Math.sqrt((1000 ** 2 + 1001 ** 2 + 1002 ** 2) / 3 + 1e-5);
    outputOf(text('rms_norm[K](u)'), given).forEach((each, at) => expect(each).toBeCloseTo((1000 + at) / scale, 12));
  });

  it('has no value for the logarithm of a negative real', () => {
    expect(outputOf('layer L() { input u; output y = log(u - 2) }')[0]).toBeNaN();
  });
});

describe('application of layers', () => {
  const inner = `layer Decay(D = 7, N = 2) { input u[D]; param a[D, N]
    state x[D, N] { next x = a * x + u }
    output y[D] = sum[N](x) }`;
  it('prefixes states and parameters, binds axes, nests', () => {
    const text = `${inner}
      layer Pair(E = 1) { input v[E]
        let first = Decay(u = v, D = E, N = 1)
        let second = Decay(first)
        output y[E] = second.y }
      layer Outer(E = 1) { input v[E]; let both = Pair(v); output y[E] = both }`;
    const v = tensor('batch time E', [1, 3, 1], [1, 0, 0]);
    const params = {
      'both.first.a': tensor('D N', [1, 1], [0.5]),
      'both.second.a': tensor('E both.second.N', [1, 2], [0, 1]),
    };
    const result = evaluateLayer(request(text, { length: 3, inputs: { v }, params }));
    expect([...result.outputs.get('y')!.re]).toEqual([1 + 1, 0.5 + 1.5, 0.25 + 1.75]);
    expect([...result.final.keys()].sort()).toEqual(['both.first.x', 'both.second.x']);
  });

  it('refuses recursion', () => {
    const text = 'layer R() { input u; let again = R(u); output y = again }';
    expect(() => outputOf(text)).toThrow(/applies itself/);
  });
});
