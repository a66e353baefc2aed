/** Initialisers: formulas by hand, ranges and moments of the draws, equal numbers from equal seeds, and what is refused. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../../dsl/index.ts';
import { initialParameters } from '../../../ir/initial/index.ts';
import {
  cosineOfTurns, exponential, exponentialMinusOne, hyperbolicTangent, inverseSoftplus, logarithm, logarithmOnePlus, softplus,
} from '../../../ir/initial/portable.ts';
import { philox } from '../../../ir/initial/random.ts';

function parametersOf(declarations: string, seed = 7, sizes: ReadonlyMap<string, number> = new Map()): ReadonlyMap<string, Float64Array> {
  const names = [...declarations.matchAll(/param (\w+)(\[[^\]]*\])?(: complex)?/g)].map(([, name, , complex]) => (complex === undefined ? name! : `real(${name!})`));
  const uses = names.map((name) => `sum[N](${name} * ones)`).join(' + ');
  const text = `layer Sample(D = 3, N = 4) {\n input u[D]\n param ones[N], wide[D]\n${declarations}\n output y[D] = u * wide * (${uses}) \n}`;
  const { spec, diagnostics } = loadLayer({ name: 'sample.ssm', text }, null, { sizes });
  if (spec === null) throw new Error(diagnostics.map((each) => each.message).join('; '));
  return initialParameters(spec, seed);
}

const of = (declarations: string, name = 'p'): number[] => Array.from(parametersOf(declarations).get(name)!);

describe('formulas', () => {
  it.each([
    ['a number', 'param p[N] = 2.5', [2.5, 2.5, 2.5, 2.5]],
    ['arithmetic', 'param p[N] = 1 + 2 * 3 - 4 / 8', [6.5, 6.5, 6.5, 6.5]],
    ['signs and powers', 'param p[N] = -(2 ^ 3) + 4 ^ 0.5', [-6, -6, -6, -6]],
    ['iota', 'param p[N] = 10 * (1 + iota(N))', [10, 20, 30, 40]],
    ['sizes', 'param p[N] = N / D', [4 / 3, 4 / 3, 4 / 3, 4 / 3]],
    ['pi', 'param p[N] = pi * iota(N)', [0, Math.PI, 2 * Math.PI, 3 * Math.PI]],
    ['other parameters', 'param q[N] = iota(N)\n param p[N] = q + max(q, 2)', [2, 3, 4, 6]],
    ['complex pairs', 'param p[N]: complex = complex(iota(N), 1) * complex(0, 1)', [-1, 0, -1, 1, -1, 2, -1, 3]],
    ['real values of complex parameters', 'param p[N]: complex = 3', [3, 0, 3, 0, 3, 0, 3, 0]],
    ['parts', 'param p[N] = imag(exp(complex(0, pi / 2))) + abs(complex(3, 4))', [6, 6, 6, 6]],
  ])('%s', (_what, declarations, expected) => {
    of(declarations).forEach((each, at) => expect(each).toBeCloseTo(expected[at]!, 14));
  });

  it('broadcasts by name, in the declared order of axes', () => {
    expect(of('param q[N] = iota(N)\n param p[D, N] = q + 10 * iota(D)')).toEqual([0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]);
    expect(of('param q[D] = iota(D)\n param p[N, D] = iota(N) * q')).toEqual([0, 0, 0, 0, 1, 2, 0, 2, 4, 0, 3, 6]);
  });

  it.each([
    ['not finite', 'param p[N] = log(0 - 1)', /not finite/],
    ['complex for a real parameter', 'param p[N] = complex(1, 2)', /is complex, the parameter is real/],
    ['a real function of complex values', 'param p[N] = log(complex(1, 2))', /`log` takes real values/],
    ['an empty range', 'param p[N] = uniform(2, 1)', /`low` is 2, `high` is 1/],
    ['a range without logarithm', 'param p[N] = log_uniform(0, 1)', /above 0/],
    ['a negative spread', 'param p[N] = normal(std = -1)', /`std` is -1/],
  ])('refuses %s', (_what, declarations, message) => {
    expect(() => of(declarations)).toThrow(message);
  });
});

describe('draws', () => {
  const many = new Map([['D', 64], ['N', 64]]);
  const sample = (initial: string): Float64Array => parametersOf(`param p[D, N] = ${initial}`, 3, many).get('p')!;
  const mean = (values: Float64Array): number => values.reduce((sum, each) => sum + each, 0) / values.length;

  it('uniform stays in its range and fills it', () => {
    const values = sample('uniform(-2, 4)');
    expect(Math.min(...values)).toBeGreaterThan(-2);
    expect(Math.min(...values)).toBeLessThan(-1.98);
    expect(Math.max(...values)).toBeLessThan(4);
    expect(Math.max(...values)).toBeGreaterThan(3.98);
    expect(mean(values)).toBeCloseTo(1, 0);
  });

  it('log_uniform is uniform in its logarithm', () => {
    const values = sample('log_uniform(1e-3, 1e-1)');
    expect(Math.min(...values)).toBeGreaterThanOrEqual(1e-3);
    expect(Math.max(...values)).toBeLessThanOrEqual(1e-1);
    expect(values.filter((each) => each < 1e-2).length / values.length).toBeCloseTo(0.5, 1);
  });

  it('normal has its moments, and a tail', () => {
    const values = sample('normal(1, std = 3)').map((each) => (each - 1) / 3);
    expect(Math.abs(mean(values))).toBeLessThan(0.05);
    expect(mean(values.map((each) => each * each))).toBeCloseTo(1, 1);
    expect(Math.abs(mean(values.map((each) => each ** 3)))).toBeLessThan(0.15);
    expect(mean(values.map((each) => each ** 4))).toBeGreaterThan(2.6);
    expect(mean(values.map((each) => each ** 4))).toBeLessThan(3.4);
    expect(Math.max(...values)).toBeGreaterThan(2.8);
  });

  it('normal draws both parts of a complex parameter on their own', () => {
    const values = parametersOf('param p[D, N]: complex = normal(std = 2)', 3, many).get('p')!;
    const [re, im] = [values.filter((_, at) => at % 2 === 0), values.filter((_, at) => at % 2 === 1)];
    expect(mean(re.map((each) => each * each))).toBeCloseTo(4, 0);
    expect(mean(im.map((each) => each * each))).toBeCloseTo(4, 0);
    expect(Math.abs(mean(re.map((each, at) => each * im[at]!)))).toBeLessThan(0.3);
  });

  it('inverse_softplus undoes softplus', () => {
    const values = sample('softplus(inverse_softplus(log_uniform(1e-3, 1e-1)))');
    expect(Array.from(values)).toHaveLength(4096);
    const plain = sample('log_uniform(1e-3, 1e-1)');
    values.forEach((each, at) => expect(Math.abs(each / plain[at]! - 1)).toBeLessThan(1e-12));
  });

  it('two draws of one initialiser differ', () => {
    const values = sample('uniform(0, 1) - uniform(0, 1)');
    expect(values.some((each) => each !== 0)).toBe(true);
  });

  it('gives equal numbers for equal seeds only, whatever else is declared', () => {
    const one = parametersOf('param p[N] = normal()').get('p');
    expect(parametersOf('param p[N] = normal()').get('p')).toEqual(one);
    expect(parametersOf('param a[D, N] = normal()\n param p[N] = normal()\n param z[N] = uniform(0, 1)').get('p')).toEqual(one);
    expect(parametersOf('param q[N] = normal()').get('q')).not.toEqual(one);
    expect(parametersOf('param p[N] = normal()', 8).get('p')).not.toEqual(one);
  });

  it('gives these numbers, on every machine', () => {
    expect(of('param p[N] = normal()')).toMatchInlineSnapshot(`
      [
        0.8454946654924863,
        0.6188813964035244,
        1.1475355822919728,
        1.7241725261684817,
      ]
    `);
    expect(of('param p[N] = log(log_uniform(1e-3, 1e-1))')).toMatchInlineSnapshot(`
      [
        -4.560264867173691,
        -4.208844192047115,
        -5.170337983327231,
        -5.866117590277493,
      ]
    `);
  });
});

describe('Philox4x32-10', () => {
  // known answers published with Random123 (Salmon et al. 2011)
  it.each([
    ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    ['ones', [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    ['digits of pi', [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]],
  ] as const)('%s', (_what, counter, key, expected) => {
    expect(philox(counter, key)).toEqual(expected);
  });
});

describe('portable functions', () => {
  const points = [-700, -30, -3, -1, -0.6, -0.49, -1e-3, -1e-12, 1e-300, 1e-12, 1e-3, 0.3, 0.5, 0.7, 1, 1.5, 3, 20, 300, 700];
  const positive = points.filter((each) => each > 0);
  it.each([
    ['exp', exponential, Math.exp, points], ['expm1', exponentialMinusOne, Math.expm1, points], ['log', logarithm, Math.log, [...positive, 5e-324, 1e-310]],
    ['log1p', logarithmOnePlus, Math.log1p, points.filter((each) => each > -1)], ['tanh', hyperbolicTangent, Math.tanh, points],
    ['softplus', softplus, (x: number) => (x > 30 ? x : Math.log1p(Math.exp(x))), points],
  ] as const)('%s agrees with the engine', (_name, ours, theirs, at) => {
    for (const x of at) expect(Math.abs(ours(x) - theirs(x))).toBeLessThanOrEqual(8 * 2 ** -53 * Math.abs(theirs(x)));
  });

  it('cosine of turns', () => {
    for (let step = 0; step < 1000; step++) expect(cosineOfTurns(step / 1000)).toBeCloseTo(Math.cos((2 * Math.PI * step) / 1000), 14);
  });

  it('limits', () => {
    expect([exponential(1000), exponential(-1000), logarithm(0), logarithm(Infinity), logarithm(-1)]).toEqual([Infinity, 0, -Infinity, Infinity, NaN]);
    expect(inverseSoftplus(50)).toBeCloseTo(50, 12);
  });
});
