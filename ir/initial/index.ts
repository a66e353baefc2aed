/**
 * Initial values of a layer's parameters: its initialisers, evaluated in float64 from one seed. Equal
 * seeds give equal numbers on every machine, and a parameter's numbers depend on its path only.
 */
import type { LayerSpec, ParamSpec } from '../../dsl/spec.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { evaluateInitial } from './evaluate.ts';
import { broadcastTo, type InitialValue, type SizeOf } from './values.ts';

/**
 * Numbers by parameter in the declared order of axes, complex ones as re, im pairs. Parameters without
 * an initialiser are left out. Throws SSM3006 where a formula has no value (`log(-1)`).
 */
export function initialParameters(spec: LayerSpec, seed: number): ReadonlyMap<string, Float64Array> {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw ssmError('SSM6004', `\`seed\` must be a non-negative integer, found ${seed}`);
  }
  const sizeOf: SizeOf = (axis) => required(spec.axes.find((each) => each.name === axis), `axis ${axis}`).size;
  const values = new Map<string, InitialValue>();
  for (const param of spec.params) {
    if (param.initial === null) continue;
    let drawn = 0;
    const value = evaluateInitial(param.initial, {
      seed, path: param.name, axes: param.axes, isComplex: param.type === 'complex', sizeOf,
      parameter: (name) => values.get(name), nextDraw: () => drawn++,
    });
    values.set(param.name, checked(param, broadcastTo(value, param.axes, sizeOf)));
  }
  return new Map([...values].map(([name, value]) => [name, interleaved(value)]));
}

function checked(param: ParamSpec, value: InitialValue): InitialValue {
  const refuse = (why: string): Error => ssmError('SSM3006', `the initialiser of \`${param.name}\` ${why}`);
  if (value.im !== null && param.type !== 'complex') {
    throw refuse('is complex, the parameter is real; write `real(…)` or `imag(…)`, or declare it complex');
  }
  if (value.re.some((each) => !Number.isFinite(each)) || (value.im ?? []).some((each) => !Number.isFinite(each))) {
    throw refuse('gives a number that is not finite');
  }
  return param.type === 'complex' && value.im === null ? { ...value, im: new Float64Array(value.re.length) } : value;
}

function interleaved({ re, im }: InitialValue): Float64Array {
  if (im === null) return re;
  const both = new Float64Array(2 * re.length);
  re.forEach((each, at) => {
    both[2 * at] = each;
    both[2 * at + 1] = im[at] ?? 0;
  });
  return both;
}
