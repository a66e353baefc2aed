/**
 * The discretizations of dx/dt = J·x + f with f held over the step, element by element, from their
 * definitions (decisions.md, Language 4). The oracle's own formulas.
 */
import { invariant, required } from '../../support/invariant.ts';
import type { Affine } from './affine.ts';
import { combine } from './expressions.ts';
import { mapTensors, scalarTensor, type NodeTensor } from './node-tensor.ts';
import type { Scope } from './scope.ts';
import { applyFunction } from './tape-operations.ts';

export type Discretization = {
  /** zoh, bilinear, euler, backward_euler, gbt, dirac */
  readonly rule: string;
  /** of gbt */
  readonly alpha: NodeTensor | null;
  readonly delta: NodeTensor;
  /** euler, dirac, or null: as the rule says */
  readonly inputRule: string | null;
  readonly affine: Affine;
};

/** x_t = coefficient·x_{t−1} + drive */
export type DiscreteForm = { readonly coefficient: NodeTensor; readonly drive: NodeTensor };

const alphas: ReadonlyMap<string, number> = new Map([['bilinear', 0.5], ['euler', 0], ['backward_euler', 1]]);

export function discretize(given: Discretization, scope: Scope): DiscreteForm {
  const tape = scope.run.tape;
  const zero = scalarTensor(tape, 0);
  const one = scalarTensor(tape, 1);
  const { delta, rule, inputRule } = given;
  const held = given.affine.drive ?? zero;
  const exponent = combine('*', delta, given.affine.coefficient ?? zero, scope);
  const apply = (name: string, tensor: NodeTensor): NodeTensor =>
    mapTensors([tensor], (node) => applyFunction(tape, name, node));
  let coefficient: NodeTensor;
  let weight: NodeTensor;
  if (rule === 'zoh' || rule === 'dirac') {
    coefficient = apply('exp', exponent);
    weight = rule === 'dirac' ? one : combine('*', apply('phi1', exponent), delta, scope);
  } else {
    const fixed = alphas.get(rule);
    const alpha = fixed === undefined ? required(given.alpha, `rule ${rule}`) : scalarTensor(tape, fixed);
    const implicit = combine('-', one, combine('*', alpha, exponent, scope), scope);
    weight = combine('/', delta, implicit, scope);
    // (1 + (1 − α)ΔJ)/(1 − αΔJ), in the form whose error a device has: that of a number near one
    coefficient = combine('+', one, combine('*', given.affine.coefficient ?? zero, weight, scope), scope);
  }
  if (inputRule === 'euler') weight = delta;
  else if (inputRule === 'dirac') weight = one;
  else invariant(inputRule === null, `input ${inputRule}`);
  return { coefficient, drive: combine('*', weight, held, scope) };
}
