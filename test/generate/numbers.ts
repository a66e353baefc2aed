/**
 * Numbers of generated layers. Coefficients are drawn so that the transition of the discrete system
 * lies where its regime says, whatever the rule and the parameterisation: first the transition, then
 * backwards through the rule. Everything else is uniform.
 */
import type { OracleTensor } from '../oracle/evaluate.ts';
import { seededNumbers } from '../support/oracle-requests.ts';
import type { LayerRecipe, Regime, Rule } from './recipe.ts';

/** How the entries of one declared tensor are drawn. */
export type Numbers =
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  /** transitions of the recipe's regime, taken backwards through its rule and `map`; one part where a complex one is declared as two tensors */
  | { readonly kind: 'transition'; readonly map: CoefficientMap; readonly part: 're' | 'im' }
  /** steps near `stepSize`, as they are or through the inverse of softplus */
  | { readonly kind: 'step'; readonly map: 'plain' | 'inverse-softplus' }
  | { readonly kind: 'flags' };

/** How a parameter becomes the coefficient: as it is, a = sigmoid(p), a = exp(−exp(p) + i·q), A = −exp(p) + i·q. */
export type CoefficientMap = 'plain' | 'sigmoid' | 'log-log' | 'negative-exp';

/** Typical Δ: coefficients are transitions' logarithms over it. */
export const stepSize = 0.1;
export const gbtAlpha = 0.7;

type Complex = { readonly re: number; readonly im: number };
type Next = () => number;

const between = (next: Next, low: number, high: number): number => low + ((next() + 1) / 2) * (high - low);

/** The regime a recipe really has: rules with e^z have no negative real transitions, mapped coefficients only those in (0, 1). */
export function regimeOf({ regime, field, rule, coefficient }: LayerRecipe): Regime {
  const isExponential = rule === 'zoh' || rule === 'dirac';
  if (field === 'real' && regime === 'near-circle') return 'near-unit';
  if (field === 'real' && regime === 'alternating' && (isExponential || coefficient === 'mapped')) return 'contracting';
  if (coefficient === 'mapped' && (regime === 'unit' || regime === 'zero' || regime === 'unstable')) return 'contracting';
  return regime;
}

function drawTransition(regime: Regime, isComplex: boolean, next: Next): Complex {
  const size = (): number => {
    switch (regime) {
      case 'contracting': return between(next, 0.3, 0.9);
      case 'near-unit':
      case 'near-circle': return 1 - 10 ** between(next, -4, -2);
      case 'unit': return 1;
      case 'alternating': return between(next, 0.3, 0.95);
      case 'zero': return 0;
      case 'unstable': return between(next, 1.001, 1.03);
    }
  };
  const modulus = size();
  if (regime === 'unit' || regime === 'zero' || !isComplex) return { re: regime === 'alternating' ? -modulus : modulus, im: 0 };
  const spread = regime === 'near-circle' ? 3 : regime === 'alternating' ? 0.3 : 0.8;
  const angle = (regime === 'alternating' ? Math.PI : 0) + between(next, -spread, spread);
  return { re: modulus * Math.cos(angle), im: modulus * Math.sin(angle) };
}

function divide(a: Complex, b: Complex): Complex {
  const size = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / size, im: (a.im * b.re - a.re * b.im) / size };
}

/** z = ΔA whose transition under the rule is `a`; far away, not infinite, where there is none. */
function throughRule(a: Complex, rule: Rule): Complex {
  const moved = { re: a.re - 1, im: a.im };
  const alpha = rule === 'bilinear' ? 0.5 : rule === 'backward_euler' ? 1 : rule === 'gbt' ? gbtAlpha : 0;
  if (rule === 'none') return a;
  if (rule === 'zoh' || rule === 'dirac') {
    const modulus = Math.hypot(a.re, a.im);
    return modulus === 0 ? { re: -200, im: 0 } : { re: Math.log(modulus), im: Math.atan2(a.im, a.re) };
  }
  const z = divide(moved, { re: alpha * a.re + 1 - alpha, im: alpha * a.im });
  const size = Math.hypot(z.re, z.im);
  return size < 50 ? z : { re: -50, im: 0 };
}

function drawCoefficient(recipe: LayerRecipe, map: CoefficientMap, next: Next): Complex {
  const transition = drawTransition(regimeOf(recipe), recipe.field === 'complex', next);
  switch (map) {
    case 'sigmoid':
      return { re: Math.log(transition.re / (1 - transition.re)), im: 0 };
    case 'log-log':
      return { re: Math.log(-Math.log(Math.hypot(transition.re, transition.im))), im: Math.atan2(transition.im, transition.re) };
    case 'plain':
    case 'negative-exp': {
      if (recipe.rule === 'none') return transition;
      const z = throughRule(transition, recipe.rule);
      const value = { re: z.re / stepSize, im: z.im / stepSize };
      return map === 'plain' ? value : { re: Math.log(Math.max(1e-6, -value.re)), im: value.im };
    }
  }
}

function drawReal(numbers: Numbers, recipe: LayerRecipe, next: Next): number {
  switch (numbers.kind) {
    case 'uniform': return between(next, numbers.low, numbers.high);
    case 'flags': return next() > 0.6 ? 1 : 0;
    case 'step': {
      const step = between(next, 0.95, 1.05) * stepSize;
      return numbers.map === 'plain' ? step : Math.log(Math.expm1(step));
    }
    case 'transition': return drawCoefficient(recipe, numbers.map, next)[numbers.part];
  }
}

/** New entries for a tensor of the given axes; complex where `like` is. */
export function drawTensor(like: OracleTensor, numbers: Numbers, recipe: LayerRecipe, seed: number): OracleTensor {
  const next = seededNumbers(seed);
  const { axes, shape } = like;
  if (like.im !== null && numbers.kind === 'transition') {
    const entries = Array.from(like.re, () => drawCoefficient(recipe, numbers.map, next));
    return { axes, shape, re: Float64Array.from(entries, (each) => each.re), im: Float64Array.from(entries, (each) => each.im) };
  }
  const part = (): Float64Array => Float64Array.from(like.re, () => drawReal(numbers, recipe, next));
  return { axes, shape, re: part(), im: like.im === null ? null : part() };
}
