/** One small layer per feature of the language: each elaborates, lowers to Tensor IR and verifies there. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { lowerSpec } from '../../ir/passes/lower-spec.ts';
import { ValueIds } from '../../ir/tensor/builder.ts';
import { verifyModule } from '../../ir/tensor/verify.ts';
import { renderDiagnostics } from '../../support/render-diagnostic.ts';

const layers: readonly (readonly [string, string])[] = [
  ['a classifier with its loss', `layer A(D=4,K=3) {
      input u[D], label: index(K) per sequence
      param W[K,D] = normal()
      let m = mean[time](u)
      let s = sum[D](W*m)
      output loss per sequence = -pick[K](log_softmax[K](s), label)
      output p[K] per sequence = softmax[K](s) }`],
  ['an embedding', `layer A(V=5,D=4) {
      input t: index(V)
      param E[V,D] = normal()
      output y[D] = gather[V](E, t) }`],
  ['broadcasting to stated axes', `layer A(D=4,N=2) {
      input u[D]
      let v[N,D] = u
      output y[D,N] = v + 1
      output z[D,N] = u }`],
  ['broadcasting a flag', `layer A(D=4,N=2) {
      input f: flag, u[D]
      let g[D,N] = f
      output y[D,N] = if g then u else 0 }`],
  ['both directions with restarts and the previous state', `layer A(D=4) {
      input u[D], f: flag
      param a[D]
      state x[D] { next x = sigmoid(a)*x + u
      order bidirectional restart initial when f }
      output y[D] = x + prev(x) }`],
  ['a chain of states with two discretizations', `layer A(D=4) {
      input u[D], dt
      param a[D]
      state x[D] { dx/dt = -exp(a)*x+u
      discretize gbt(0.3, dt),
      input dirac }
      state z[D] { dz/dt = -z + x
      discretize bilinear(dt)
      order reverse }
      output y[D] = z }`],
  ['position, length and iota', `layer A(D=4) {
      input u[D]
      output y[D] = u * cos(position / length * iota(D)) }`],
  ['comparisons, flags and indices', `layer A(D=4) {
      input u[D], k: index(3)
      output y[D] = if k == 2 and not (u > 1 or u <= -1) then max(u, 0) else min(u, 1) }`],
  ['reductions over time', `layer A(D=4) {
      input u[D]
      output y[D] per sequence = last(u)
      output s[D] per sequence = sum[time](u) * length }`],
  ['complex arithmetic and outputs', `layer A(D=4) {
      input u[D], v[D]: complex
      output y[D]: complex = conj(v) * u / v + exp(v) ^ 2
      output m[D] = real(v) + imag(v) }`],
  ['a conditional update', `layer A(D=4) {
      input u[D], p: flag
      state x[D] { next x = if p then 0.5 * x else u }
      output y[D] = x }`],
  ['an output of parameters only', `layer A(D=4) {
      input u[D]
      param a[D]
      output y[D] per sequence = exp(a)
      output z[D] = u}`],
  ['a constant output', `layer A(D=4) {
      input u[D]
      output z[D] per sequence = 1
      output w[D]=u}`],
  ['norms and activations', `layer A(D=4) {
      input u[D]
      output y[D] = layer_norm[D](u) + rms_norm[D](u*2) + gelu(u) + log_sigmoid(u) + relu(u) + square(u) + silu(u)}`],
  ['a softmax of the previous state', `layer A(D=4) { input u[D]
      state x[D] { next x = 0.5 * x + u }
      output y[D] = softmax[D](2 * prev(x)) }`],
  ['a flag as output', `layer A(D=4) {
      input u[D]
      output y[D]: flag = u > 0 }`],
];

describe('features', () => {
  it.each(layers)('%s', (_, text) => {
    const { spec, diagnostics } = loadLayer({ name: 'feature.ssm', text }, null, { sizes: new Map() });
    expect(renderDiagnostics(diagnostics, { color: false })).toBe('');
    expect(verifyModule(lowerSpec(spec!, new ValueIds()))).toEqual([]);
  });
});
