/**
 * Discretizations of dx/dt = J ⊙ x + f with f held over the step Δ (decisions 4), for elementwise J.
 * Each rule is one function from (J, f, Δ) to the transition and the drive of
 * x ← ā ⊙ x + b̄; adding a rule is adding a function and a row to the table at the end.
 * Formulas keep their limits: φ₁ is continuous at Δ·J = 0 and has its own derivative rule.
 */
import type { Coefficient, ValueId } from '../tensor/ops.ts';
import type { TensorBuilder } from '../tensor/builder.ts';
import type { DiscretizationSpec } from '../../dsl/spec.ts';

export type ContinuousSystem = {
  /** J, real or complex, any subset of the state's axes */
  readonly coefficient: ValueId;
  /** f */
  readonly drive: ValueId;
  /** Δ, real */
  readonly delta: ValueId;
};

export type DiscreteSystem = { readonly coefficient: Coefficient; readonly drive: ValueId };

type Rule = Exclude<DiscretizationSpec, { rule: 'none' }>;

/** ā = exp(Δ·J): as a power of two when J is real, so that decays of many tokens add up. */
export function exponentialTransition(builder: TensorBuilder, system: ContinuousSystem): Coefficient {
  if (builder.typeOf(system.coefficient).dtype === 'complex') {
    const scaled = builder.multiply(system.delta, system.coefficient);
    return { kind: 'value', parts: [builder.rename(builder.unary('exp', scaled), 'decay')] };
  }
  const base2 = builder.rename(builder.multiply(system.coefficient, builder.constant(Math.LOG2E)), 'rate');
  return { kind: 'exponent', exponent: builder.rename(builder.multiply(system.delta, base2), 'exponent') };
}

/** zoh: ā = e^{ΔJ}, b̄ = φ₁(ΔJ)·Δ·f. */
function zeroOrderHold(builder: TensorBuilder, system: ContinuousSystem): DiscreteSystem {
  const coefficient = exponentialTransition(builder, system);
  const scaled = builder.multiply(system.delta, system.coefficient);
  const weight = builder.multiply(builder.unary('phi1', scaled), system.delta);
  return { coefficient, drive: builder.multiply(weight, system.drive) };
}

/**
 * gbt(α): ā = (1 + (1−α)ΔJ)/(1 − αΔJ), b̄ = Δ·f/(1 − αΔJ); bilinear ½, euler 0, backward Euler 1.
 * Formed as ā = 1 + J·w with w = Δ/(1 − αΔJ): for slow modes only the last sum rounds, and an error
 * of ā grows with the number of tokens.
 */
function generalizedBilinear(alpha: number): (builder: TensorBuilder, system: ContinuousSystem) => DiscreteSystem {
  return (builder, system) => {
    const scaled = builder.multiply(system.delta, system.coefficient);
    const one = builder.constant(1);
    const denominator = builder.subtract(one, builder.multiply(builder.constant(alpha), scaled));
    const weight = builder.rename(builder.divide(system.delta, denominator), 'weight');
    const decay = builder.rename(builder.add(one, builder.multiply(weight, system.coefficient)), 'decay');
    return { coefficient: { kind: 'value', parts: [decay] }, drive: builder.multiply(weight, system.drive) };
  };
}

/** dirac: ā = e^{ΔJ}, b̄ = f, without Δ. */
function dirac(builder: TensorBuilder, system: ContinuousSystem): DiscreteSystem {
  return { coefficient: exponentialTransition(builder, system), drive: system.drive };
}

/** The discrete system of a rule, with the drive's own rule applied where one is named. */
export function discretize(builder: TensorBuilder, rule: Rule, system: ContinuousSystem): DiscreteSystem {
  const made = rules[rule.rule](rule)(builder, system);
  if (rule.input === 'euler') return { ...made, drive: builder.multiply(system.delta, system.drive) };
  if (rule.input === 'dirac') return { ...made, drive: system.drive };
  return made;
}

const rules: Readonly<Record<Rule['rule'], (rule: Rule) => (builder: TensorBuilder, system: ContinuousSystem) => DiscreteSystem>> = {
  zoh: () => zeroOrderHold,
  dirac: () => dirac,
  bilinear: () => generalizedBilinear(0.5),
  euler: () => generalizedBilinear(0),
  backward_euler: () => generalizedBilinear(1),
  gbt: (rule) => generalizedBilinear(rule.alpha ?? 0.5),
};
