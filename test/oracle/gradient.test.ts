/**
 * The oracle's reverse sweep against five-point differences of its own values along each entry: the
 * differences know nothing of the partials on the tape. Every operation of the language occurs.
 */
import { describe, expect, it } from 'vitest';
import { evaluateLayer, gradient, type EvaluationRequest, type OracleTensor } from './evaluate.ts';
import { randomTensor, request, seededNumbers } from '../support/oracle-requests.ts';

type Cotangents = Parameters<typeof gradient>[0]['cotangents'];

function lossOf(given: EvaluationRequest, cotangents: Cotangents): number {
  const { outputs, final } = evaluateLayer(given);
  let loss = 0;
  for (const [results, weights] of [[outputs, cotangents.outputs], [final, cotangents.final]] as const) {
    for (const [name, weight] of weights) {
      const result = results.get(name)!;
      result.re.forEach((re, at) => (loss += re * weight.re[at]! + (result.im?.[at] ?? 0) * (weight.im?.[at] ?? 0)));
    }
  }
  return loss;
}

function differenceAt(given: EvaluationRequest, cotangents: Cotangents, array: Float64Array, at: number): number {
  const step = 1e-3;
  const original = array[at]!;
  const lossAt = (k: number): number => {
    array[at] = original + k * step;
    const loss = lossOf(given, cotangents);
    array[at] = original;
    return loss;
  };
  return (8 * (lossAt(1) - lossAt(-1)) - (lossAt(2) - lossAt(-2))) / (12 * step);
}

/** Compares all entries of all given tensors and returns how many there were. */
function checkGradients(given: EvaluationRequest, seed: number, skipped: readonly string[] = []): number {
  const next = seededNumbers(seed);
  const values = evaluateLayer(given);
  const randomLike = (results: ReadonlyMap<string, OracleTensor>): ReadonlyMap<string, OracleTensor> =>
    new Map([...results].map(([name, { axes, shape, im }]) => [name, randomTensor(axes.join(' '), shape, next, im === null ? 'real' : 'complex')]));
  const cotangents = { outputs: randomLike(values.outputs), final: randomLike(values.final) };
  const { gradients } = gradient({ ...given, cotangents });
  let compared = 0;
  for (const group of ['inputs', 'params', 'initial'] as const) {
    for (const [name, tensor] of given[group]) {
      if (skipped.includes(name)) continue;
      const found = gradients[group].get(name)!;
      const largest = Math.max(...found.re.map(Math.abs), ...(found.im ?? []).map(Math.abs), 1e-3);
      for (const part of ['re', 'im'] as const) {
        const numbers = tensor[part];
        numbers?.forEach((_, at) => {
          const difference = differenceAt(given, cotangents, numbers, at);
          expect(Math.abs(found[part]![at]! - difference) / largest, `${name}.${part}[${at}]`).toBeLessThan(2e-9);
          compared++;
        });
      }
    }
  }
  return compared;
}

const next = seededNumbers(11);

describe('gradients agree with differences', () => {
  const functions = [
    'exp(u)', 'log(2 + u)', 'sqrt(2 + u)', 'sin(u)', 'cos(u)', 'tanh(u)', 'abs(u)', 'sigmoid(u)', 'softplus(u)', 'silu(u)',
    'relu(u)', 'gelu(u)', 'expm1(u)', 'log1p(u + 1)', 'log_sigmoid(u)', 'square(u)', 'max(u, u * u)', 'min(u, -0.1)',
    'u ^ 3', '(u + 2) ^ -1.5', 'u / (3 + u)', 'softmax[K](u)', 'log_softmax[K](u)', 'rms_norm[K](u)', 'layer_norm[K](u)',
    'max[K](u) * u', 'mean[time](u) * last(u)', 'delay(u, 2) * u', 'if position == 1 or u > 5 then u * u else exp(u)',
    'abs(complex(u, u * u))', 'real(exp(complex(u, 2 * u)) * conj(complex(1, u)))', 'imag(complex(u, 1) / complex(u, u + 2))',
    'gather[V](table, position)', 'real(complex(u, 1) ^ 3)',
  ];
  it.each(functions)('%s', (value) => {
    const inputs = { u: randomTensor('batch time K', [2, 3, 3], next) };
    const params = { table: randomTensor('V K', [3, 3], next) };
    const compared = checkGradients(request(`layer L(K = 3, V = 3) { input u[K]; param table[V, K]; output y[K] = ${value} }`, {
      batch: 2, length: 3, inputs, params,
    }), 5);
    expect(compared).toBe(27);
  });

  const flags: OracleTensor = { axes: ['batch', 'time'], shape: [2, 4], re: Float64Array.of(0, 0, 1, 0, 1, 0, 0, 1), im: null };
  const states = [
    'dx/dt = A * x + B * u; discretize zoh(dt)',
    'dx/dt = A * x + B * u; discretize zoh(1e-3 * dt)',
    'dx/dt = A * x + B * u; discretize bilinear(dt)',
    'dx/dt = -A * (x - B * u) / 2; discretize backward_euler(dt)',
    'dx/dt = A * x + B * u; discretize gbt(0.7, dt), input euler',
    'next x = A * x + B * u; order reverse',
    'next x = A * x + B * u; order bidirectional',
    'next x = A * x + B * u + delay(B * u, 1); reset when f',
    'next x = (if position > 1 then A * x else x) + B * u; restart initial when f',
    'next x = A * x - B * sum[N](A * x) + u; restart initial when f',
    'next x = A * x - B * sum[N](A * x) + u; reset when f; order reverse',
  ];
  it.each(states)('state x { %s }', (clauses) => {
    const inputs = { u: randomTensor('batch time', [2, 4], next), f: flags };
    const params = {
      A: randomTensor('N', [2], next, 'complex'), B: randomTensor('N', [2], next, 'complex'), dt: randomTensor('N', [2], next),
    };
    const initial = { x: randomTensor('batch N', [2, 2], next, 'complex') };
    const text = `layer L(N = 2) { input u; input f: flag; param A[N]: complex, B[N]: complex, dt[N]
      state x[N]: complex { ${clauses} }
      output y[N]: complex = x * prev(x) }`;
    expect(checkGradients(request(text, { batch: 2, length: 4, inputs, params, initial }), 6, ['f'])).toBe(8 + 10 + 8);
  });
});
