/** Syntax tree to LayerSpec: the examples, axes, types, variance, application, sugar. */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec, StateSpec } from '../../dsl/spec.ts';
import { renderDiagnostics } from '../../support/render-diagnostic.ts';
import { show } from './show.ts';

function load(text: string, sizes: readonly (readonly [string, number])[] = []): LayerSpec {
  const outcome = loadLayer({ name: 'a.ssm', text }, null, { sizes: new Map(sizes) });
  expect(outcome.spec, renderDiagnostics(outcome.diagnostics, { color: false })).not.toBeNull();
  return outcome.spec!;
}

function stateOf(spec: LayerSpec, name: string): StateSpec {
  const state = spec.body.find((each) => each.name === name);
  if (state?.kind !== 'state') throw new Error(`no state ${name}`);
  return state;
}

function letOf(spec: LayerSpec, name: string): string {
  const found = spec.body.find((each) => each.name === name);
  if (found?.kind !== 'let') throw new Error(`no let ${name}`);
  return show(found.value);
}

const folder = new URL('../../examples/', import.meta.url);
const examples = readdirSync(folder).filter((name) => name.endsWith('.ssm'));

describe('examples', () => {
  it.each(examples)('%s elaborates without a message and names its paper', (name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    const outcome = loadLayer({ name, text }, null, { sizes: new Map() });
    expect(renderDiagnostics(outcome.diagnostics, { color: false })).toBe('');
    const spec = outcome.spec!;
    expect(spec.outputs.length).toBeGreaterThan(0);
    expect(text).toMatch(/^\/\/\/ .*\n(\/\/\/.*\n)*layer /m);
    expect(text).toMatch(/^\/\/\/ Paper: /m);
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
    checkOrder(spec);
  });
});

/** Each reference is to something earlier, and what stands in the body has one path. */
function checkOrder(spec: LayerSpec): void {
  const known = new Set([...spec.inputs, ...spec.params].map((each) => each.name));
  for (const item of spec.body) {
    const text = item.kind === 'let' ? show(item.value) : `${show(item.coefficient)} ${show(item.drive)}`;
    for (const [, name] of text.matchAll(/(?:let|state|param|input):([\w.]+)/g)) expect(known, `${item.name} reads ${name}`).toContain(name);
    expect(known).not.toContain(item.name);
    known.add(item.name);
  }
}

describe('S4D', () => {
  const text = readFileSync(new URL('s4d.ssm', folder), 'utf8');
  it('has the declared axes, types and the read-off affine form', () => {
    const spec = load(text, [['D', 8]]);
    expect(spec.axes).toEqual([{ name: 'D', size: 8 }, { name: 'N', size: 32 }]);
    const state = stateOf(spec, 'x');
    expect(show(state.coefficient)).toBe('complex((- exp(param:a_re)), param:a_im)');
    expect(state.coefficient.type).toBe('complex');
    expect(state.coefficient.variance).toEqual({ batch: false, time: false });
    expect(show(state.drive)).toBe('input:u');
    expect(state.discretization).toMatchObject({ rule: 'zoh', alpha: null, input: 'rule' });
    expect(show(spec.outputs[0]!.value)).toBe(
      '((2 * real(sum[N]((param:C * state:x)))) + (param:skip * input:u))'
    );
    expect(spec.outputs[0]!.axes).toEqual(['D']);
  });
});

describe('S6', () => {
  it('is selective in Δ, B and C with Euler input', () => {
    const spec = load(readFileSync(new URL('s6.ssm', folder), 'utf8'));
    const state = stateOf(spec, 'x');
    expect(state.discretization).toMatchObject({ rule: 'zoh', input: 'euler' });
    expect(show(state.coefficient)).toBe('(- exp(param:A_log))');
    expect(show(state.drive)).toBe('(input:B * input:u)');
    expect(state.drive.axes).toEqual(['N', 'D']);
    if (state.discretization.rule === 'none') throw new Error('discrete');
    expect(state.discretization.delta.variance).toEqual({ batch: true, time: true });
    expect(state.discretization.delta.axes).toEqual(['D']);
  });
});

describe('axes', () => {
  it('copies, derives and overrides sizes', () => {
    const spec = load(
      'layer A(D = 4) { axis E = 2 * D, M = E, R = ceil(D / 3) input u[E, M, R] output y[R] = sum[E, M](u) }',
      [['D', 10]],
    );
    expect(spec.axes.map((axis) => axis.size)).toEqual([10, 20, 20, 4]);
  });

  it('uses the name of an axis as a number', () => {
    expect(show(load('layer A(D = 4) { input u[D] output y[D] = u / sqrt(D) }').outputs[0]!.value)).toBe('(input:u / sqrt(4))');
  });

  it('broadcasts to stated axes', () => {
    const spec = load('layer A(D = 4, N = 2) { input u[D] let v[D, N] = u output y[N] = sum[D](v) }');
    const [item] = spec.body;
    expect(item?.kind === 'let' && item.value.axes).toEqual(['D', 'N']);
    expect(letOf(spec, 'v')).toBe('(input:u + (0 * iota(N)))');
  });

  it('renames', () => {
    const spec = load(
      'layer A(D = 4) { axis E = D input u[D] param w[E, D] output y[E] = sum[D](w * u) + rename(u, D, E) }',
    );
    expect(spec.outputs[0]!.value.axes).toEqual(['E']);
  });
});

describe('time and batch', () => {
  it('are inferred per value', () => {
    const spec = load(
      'layer A(K = 3) { input u[K], label: index(K) per sequence param w[K] output loss per sequence = -pick[K](log_softmax[K](mean[time](u * w)), label) }',
    );
    expect(spec.outputs[0]!.value.variance).toEqual({ batch: true, time: false });
    expect(spec.inputs[1]).toMatchObject({
      type: 'index', values: 3, variance: { batch: true, time: false },
    });
  });

  it('names delays after what they delay', () => {
    const spec = load('layer A { input u let a = delay(u, 2) + delay(u, 2) output y = a }');
    expect(letOf(spec, 'a')).toBe('(delay[u.delay2 2](input:u) + delay[u.delay2.2 2](input:u))');
  });

  it('has one tail per delayed value, as long as its largest delay', () => {
    const spec = load(`layer Conv(D = 2) { input u[D] output y[D] = delay(u, 2) + delay(u * u, 1) }
      layer A(D = 2) { input u[D], z[D]: complex let c = Conv(u = u) let d = Conv(u = 2 * u)
        output y[D] = delay(u, 1) + delay(u, 4) + delay(c, 3) + delay(d.y, 1) + real(delay(2 * z, 1)) + delay(u + 1, 5) }`);
    expect(spec.tails.map(({ name, count, axes, type }) => `${name} ${count} ${axes.join()} ${type}`)).toEqual([
      'c.u.tail 2 D real', 'c.delay.1.tail 1 D real', 'd.u.tail 2 D real', 'd.delay.1.tail 1 D real', 'u.tail 4 D real',
      'c.y.tail 3 D real', 'd.y.tail 1 D real', 'delay.1.tail 1 D complex', 'delay.2.tail 5 D real',
    ]);
  });

  it('taps in the block of a state with resets stop there', () => {
    const spec = load('layer A { input u, f: flag state x { next x = 0.5 * x + delay(u, 2); reset when f } output y = x + delay(u, 1) }');
    expect(letOf(spec, 'x.reset')).toBe('input:f');
    expect(spec.tails.map(({ name, count }) => [name, count])).toEqual([['x.reset.tail', 1], ['u.tail', 2]]);
  });

  it('reads the state before the update with prev', () => {
    const spec = load('layer A { input u state x { next x = 0.5 * x + u } output y = prev(x) + x }');
    expect(show(spec.outputs[0]!.value)).toBe('(previous:x + state:x)');
  });
});

describe('sugar', () => {
  it('softmax names what it uses twice', () => {
    const spec = load('layer A(K = 3) { input u[K] output y[K] = softmax[K](u * 2) }');
    expect(letOf(spec, 'softmax.1')).toBe('(input:u * 2)');
    expect(letOf(spec, 'softmax.1.2')).toBe('(let:softmax.1 - max[K](let:softmax.1))');
    expect(letOf(spec, 'softmax.1.3')).toBe('exp(let:softmax.1.2)');
    expect(show(spec.outputs[0]!.value)).toBe('(let:softmax.1.3 / sum[K](let:softmax.1.3))');
  });

  it('norms take eps', () => {
    const spec = load('layer A(D = 3) { input u[D] output y[D] = rms_norm[D](u, eps = 1e-6) }');
    expect(show(spec.outputs[0]!.value)).toBe('(input:u / sqrt((mean[D](square(input:u)) + 0.000001)))');
  });

  it('bidirectional is two states and their sum', () => {
    const spec = load(
      'layer A { input u state x { next x = 0.5 * x + u order bidirectional } output y = x }'
    );
    expect(stateOf(spec, 'x').order).toBe('forward');
    expect(stateOf(spec, 'x_reverse').order).toBe('reverse');
    expect(show(stateOf(spec, 'x_reverse').coefficient)).toBe('0.5');
    expect(show(spec.outputs[0]!.value)).toBe('(state:x + state:x_reverse)');
  });
});

describe('application', () => {
  const inner = 'layer Inner(D = 3, N = 2) { input u[D] param a[D, N] = 1 let v = a * u state x[D, N] { next x = 0.5 * x + v } output y[D] = sum[N](x) output z[D] = u }\n';

  it('puts what the layer declares under the name of the let', () => {
    const spec = load(
      `${inner}layer Outer(E = 5) { input h[E] let b = Inner(u = 2 * h, N = 7) output o[E] = b.y + b.z }`,
    );
    expect(spec.axes).toEqual([{ name: 'E', size: 5 }, { name: 'b.N', size: 7 }]);
    expect(spec.params.map((each) => [each.name, each.axes])).toEqual([['b.a', ['E', 'b.N']]]);
    expect(spec.body.map((each) => each.name)).toEqual(['b.u', 'b.v', 'b.x', 'b.y']);
    expect(show(spec.outputs[0]!.value)).toBe('(let:b.y + let:b.u)');
    checkOrder(spec);
  });

  it('binds axes of the caller, takes sizes by path and nests', () => {
    const middle = `${inner}layer Middle(D = 3) { input u[D] axis M = 4 let i = Inner(u, N = M) output y[D] = i.y + i.z }\n`;
    const spec = load(
      `${middle}layer Outer(E = 5) { input h[E] let m = Middle(h) let n = Middle(m, D = E) output o[E] = n }`,
      [['m.M', 9]],
    );
    expect(spec.axes).toEqual([{ name: 'E', size: 5 }, { name: 'm.M', size: 9 }, { name: 'n.M', size: 4 }]);
    expect(spec.params.map((each) => [each.name, each.axes])).toEqual(
      [['m.i.a', ['E', 'm.M']], ['n.i.a', ['E', 'n.M']]],
    );
    checkOrder(spec);
  });

  it('broadcasts an argument without the axes of the input', () => {
    const spec = load(
      `${inner}layer Outer { input h let b = Inner(u = h) output o = sum[F](rename(b.y + b.z, G, F)) }`.replace('layer Outer {', 'layer Outer(G = 3) { axis F = G').replace('u = h', 'u = h, D = G'),
    );
    expect(letOf(spec, 'b.u')).toBe('(input:h + (0 * iota(G)))');
  });

  it('binds, sizes and checks derived axes', () => {
    const layers = 'layer Half(D = 4) { axis E = 2 * D axis K = 3 input u[D], g[E] param p[K] output y[D] = u * sum[E](g) * sum[K](p) }\n';
    const spec = load(
      `${layers}layer Outer(A = 5) { axis B = 10 input h[A], v[B] let b = Half(h, v, K = 7) output o[A] = b }`,
    );
    expect(spec.axes.map((axis) => [axis.name, axis.size])).toEqual([['A', 5], ['B', 10], ['b.K', 7]]);
    const wrong = loadLayer(
      {
        name: 'a',
        text: `${layers}layer Outer(A = 5) { axis B = 9 input h[A], v[B] let b = Half(h, v) output o[A] = b }`,
      },
      null, { sizes: new Map() },
    );
    expect(wrong.diagnostics.map((each) => each.code)).toEqual(['SSM2009']);
  });

  it('stops before a tree of applications grows without bound', () => {
    const layers = ['layer L0 { input u output y = u + 1 }'];
    for (let depth = 1; depth < 30; depth++) layers.push(
      `layer L${depth} { input u let a = L${depth - 1}(u) let b = L${depth - 1}(a) output y = b }`
    );
    const start = performance.now();
    const outcome = loadLayer({ name: 'a.ssm', text: layers.join('\n') }, null, { sizes: new Map() });
    expect(outcome.diagnostics.map((each) => each.code)).toContain('SSM1004');
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('names of the host language', () => {
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'])('%s is an ordinary name', (name) => {
    const spec = load(
      `layer A(${name} = 2) { input u[${name}] let v_${name} = u output y[${name}] = v_${name} }`
    );
    expect(spec.axes).toEqual([{ name, size: 2 }]);
    const other = load(`layer ${name} { input ${name} output y = ${name} }`);
    expect(show(other.outputs[0]!.value)).toBe(`input:${name}`);
    const unknown = loadLayer(
      { name: 'a', text: `layer A { output y per sequence = ${name}(1) }` }, null, { sizes: new Map() },
    );
    expect(unknown.diagnostics.map((each) => each.code)).toEqual(['SSM2001']);
  });
});
