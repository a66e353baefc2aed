/** Time-invariant layers for tests of convolutional mode: texts, one per way in which a layer can be one. */
import { readFileSync } from 'node:fs';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { required } from '../../support/invariant.ts';

/** Sizes that are no multiples of a vector beside ones that are. */
const examples: readonly (readonly [string, Readonly<Record<string, number>>])[] = [
  ['s4d', { D: 4, N: 3 }], ['dss', { D: 3, N: 4 }], ['lru', { H: 3, N: 4 }], ['s5', { H: 4, P: 5 }],
  ['s5-bidirectional', { H: 3, P: 4 }], ['s4d-block', { D: 4, N: 3 }],
];

const bilinear = `layer Bilinear(D = 5, N = 4) {
  input u[D]
  param log_dt[D] = log(log_uniform(1e-3, 1e-1)), a_re[D, N] = log(0.5), a_im[D, N] = pi * iota(N)
  param C[D, N]: complex = normal(std = 0.5)
  state x[D, N]: complex {
    dx/dt = complex(-exp(a_re), a_im) * x + u
    discretize bilinear(exp(log_dt))
  }
  output y[D] = 2 * real(sum[N](C * x))
}`;

const realDecay = `layer RealDecay(D = 4, N = 8) {
  input u[D]
  param A_log[D, N] = log(1 + iota(N)), B[D, N] = normal(), C[D, N] = normal(), log_dt[D] = log(log_uniform(1e-2, 1e-1))
  state x[D, N] {
    dx/dt = -exp(A_log) * x + B * u
    discretize zoh(exp(log_dt)), input euler
  }
  output y[D] = gelu(sum[N](C * x))
}`;

const reverseBefore = `layer ReverseBefore(D = 4, N = 2) {
  input u[D], v[D]
  param a[D, N] = uniform(0.5, 0.9), b[D, N] = normal(), c[D, N] = normal(), e[D, N] = normal()
  state x[D, N] {
    next x = a * x + b * u - e * v
    order reverse
  }
  output y[D] = sum[N](c * prev(x)) + sum[N](e * x)
}`;

const average = `layer Average(D = 8) {
  input u[D]
  param raw[D] = normal(), offset[D] = normal()
  let a = 1 / (1 + exp(-raw))
  state x[D] { next x = a * x + (1 - a) * u + offset }
  output y[D] = x * u
}`;

const reverseAverage = `layer ReverseAverage(D = 4) {
  input u[D]
  param raw[D] = normal()
  state x[D] {
    next x = sigmoid(raw) * x + u
    order reverse
  }
  output y[D] = x
}`;

const oneInput = `layer OneInput(H = 4, P = 3) {
  input u
  param Lambda_re[P] = -0.5, Lambda_im[P] = pi * iota(P)
  param B[P]: complex = normal(), C[H, P]: complex = normal(), log_step[P] = log(log_uniform(1e-2, 1e-1))
  state x[P]: complex {
    dx/dt = complex(Lambda_re, Lambda_im) * x + B * u
    discretize dirac(exp(log_step))
  }
  output y[H] = real(sum[P](C * x))
}`;

const chain = `layer Chain(D = 4, N = 2) {
  input u[D]
  param a[D, N] = uniform(0.5, 0.9), b[D, N] = normal(), c[D, N] = normal(), d[D] = uniform(0.2, 0.7)
  state x[D, N] { next x = a * x + b * u }
  let m = sum[N](c * x)
  state w[D] { next w = d * w + m }
  output y[D] = w + m
}`;

export type ConvolutionLayer = { readonly name: string; readonly spec: LayerSpec };

function specOfText(name: string, text: string, sizes: Readonly<Record<string, number>> = {}): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: `${name}.ssm`, text }, null, { sizes: new Map(Object.entries(sizes)) });
  return required(spec, `${name}: ${diagnostics.map((each) => each.message).join('; ')}`);
}

/** All layers, small. */
export const convolutionLayers: readonly ConvolutionLayer[] = [
  ...examples.map(([name, sizes]) => ({ name, spec: specOfText(name, readFileSync(`examples/${name}.ssm`, 'utf8'), sizes) })),
  ...Object.entries({ bilinear, realDecay, reverseBefore, average, reverseAverage, oneInput, chain }).map(([name, text]) => ({ name, spec: specOfText(name, text) })),
];

export { specOfText };
