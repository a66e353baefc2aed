/**
 * What the text of a layer says, in a paper's terms: the structure of A, the discrete recurrence with
 * its formulas, what depends on the input and through which names, and which modes that allows.
 */
import type { LayerSpec, SpecExpression, StateSpec } from '../../dsl/spec.ts';
import { obstaclesToConvolution } from './convolution-facts.ts';
import { stepObstacle } from '../passes/pin-length.ts';
import type { TensorModule } from '../tensor/ops.ts';
import { childrenOf } from './expression-children.ts';
import { indexedName, printFormula, type PreviousIndex } from './formula.ts';

export type Quantity = {
  /** `step size`, `transition`, `input map`, `read-out of y` */
  readonly role: string;
  readonly formula: string;
  readonly isSelective: boolean;
  /** why, in one sentence part */
  readonly reason: string;
};

export type StateFacts = {
  readonly name: string;
  readonly structure: string;
  /** name and formula, in the order in which they build on each other */
  readonly equations: readonly { readonly left: string; readonly right: string }[];
  readonly discretization: string;
  readonly order: string;
  readonly reset: string | null;
  readonly quantities: readonly Quantity[];
};

export type ModeFacts = { readonly mode: 'recurrent' | 'scan' | 'conv' | 'step'; readonly isLegal: boolean; readonly isGenerated: boolean; readonly reason: string };

/** Names through which a value varies with time: inputs, and states as `x`. */
export function sourcesOf(spec: LayerSpec, expression: SpecExpression): readonly string[] {
  const found = new Set<string>();
  const seen = new Set<string>();
  const visit = (each: SpecExpression): void => {
    if (each.kind === 'time-scalar' && each.scalar === 'position') found.add('position');
    if (each.kind === 'reference' && each.variance.time) {
      if (each.target !== 'let') found.add(each.name);
      else if (!seen.has(each.name)) {
        seen.add(each.name);
        const body = spec.body.find((item) => item.kind === 'let' && item.name === each.name);
        if (body?.kind === 'let') visit(body.value);
      }
    }
    childrenOf(each).forEach(visit);
  };
  visit(expression);
  return [...found];
}

/** `delta and u`, `u, z and the state x`. */
function listNames(spec: LayerSpec, names: readonly string[]): string {
  return joinWords(names.map((name) => (spec.body.some((item) => item.kind === 'state' && item.name === name) ? `the state ${name}` : name)));
}

function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}

const roleNames = { coefficient: 'transition', delta: 'step size' } as const;

function quantity(spec: LayerSpec, role: string, expression: SpecExpression): Quantity {
  const formula = printFormula(expression);
  if (!expression.variance.time) return { role, formula, isSelective: false, reason: 'the same at every token' };
  return { role, formula, isSelective: true, reason: `changes from token to token with ${listNames(spec, sourcesOf(spec, expression))}` };
}

/** Time-varying factors of a sum of products, term by term: two in one term make an input map selective. */
function varyingFactors(expression: SpecExpression): readonly (readonly SpecExpression[])[] {
  if (!expression.variance.time) return [[]];
  if (expression.kind === 'binary' && (expression.operator === 'add' || expression.operator === 'subtract')) {
    return [...varyingFactors(expression.left), ...varyingFactors(expression.right)];
  }
  if (expression.kind === 'binary' && (expression.operator === 'multiply' || expression.operator === 'divide')) {
    const [left, right] = [varyingFactors(expression.left), varyingFactors(expression.right)];
    return left.flatMap((one) => right.map((other) => [...one, ...other]));
  }
  if (expression.kind === 'negate') return varyingFactors(expression.operand);
  if (expression.kind === 'reduce' && expression.operator === 'sum') return varyingFactors(expression.operand);
  if (expression.kind === 'rename') return varyingFactors(expression.operand);
  if (expression.kind === 'elementwise' && (expression.function === 'real' || expression.function === 'imag')) {
    return varyingFactors(expression.operands[0] ?? expression);
  }
  return [[expression]];
}

function driveQuantity(spec: LayerSpec, state: StateSpec): Quantity {
  const { drive } = state;
  const formula = printFormula(drive);
  const product = varyingFactors(drive).find((factors) => factors.length > 1);
  if (product === undefined) {
    return { role: 'input map', formula, isSelective: false, reason: 'the weights of the input are the same at every token' };
  }
  const names = joinWords([...new Set(product.map((each) => printFormula(each)))]);
  return { role: 'input map', formula, isSelective: true, reason: `${names} change from token to token and are multiplied; they come from ${listNames(spec, sourcesOf(spec, drive))}` };
}

/** What multiplies a state on its way into an output. */
export function readOutQuantities(spec: LayerSpec): readonly Quantity[] {
  const isState = (each: SpecExpression): boolean => each.kind === 'reference' && (each.target === 'state' || each.target === 'previous');
  return spec.outputs.map((output) => {
    const formula = printFormula(output.value);
    const role = `read-out ${output.name}`;
    const withState = varyingFactors(output.value).filter((factors) => factors.some(isState));
    const others = withState.flatMap((factors) => factors.filter((each) => !isState(each)).map((each) => printFormula(each)));
    if (withState.length === 0) return { role, formula, isSelective: false, reason: 'reads no state directly' };
    const names = [...new Set(others)];
    if (names.length === 0) return { role, formula, isSelective: false, reason: 'the weights of the state are the same at every token' };
    return { role, formula, isSelective: true, reason: `the state is multiplied by ${joinWords(names)}` };
  });
}

/** The equations, from the continuous text to the discrete recurrence. */
export function describeState(spec: LayerSpec, state: StateSpec): StateFacts {
  const previous: PreviousIndex = state.order === 'forward' ? '(t-1)' : '(t+1)';
  const rule = state.discretization;
  const quantities = [
    ...(rule.rule === 'none' ? [] : [quantity(spec, roleNames.delta, rule.delta)]),
    quantity(spec, roleNames.coefficient, state.coefficient),
    driveQuantity(spec, state),
  ];
  return {
    name: state.name,
    structure: describeStructure(state),
    equations: equationsOf(state, previous),
    discretization: describeRule(state),
    order: state.order === 'forward' ? 'first token to last' : 'last token to first',
    reset: state.reset === null ? null : `${state.reset.action === 'reset' ? 'the state before token t is dropped (h0 too)' : 'the state starts again from h0'} where ${printFormula(state.reset.condition)}`,
    quantities,
  };
}

function describeStructure(state: StateSpec): string {
  const axes = state.axes.length === 0 ? 'one number' : `[${state.axes.join(', ')}]`;
  const own = state.coefficient.axes;
  const shape = state.axes.every((axis) => own.includes(axis)) ? 'diagonal: every entry has its own transition'
    : own.length === 0 ? 'scalar: all entries share one transition'
      : `diagonal, shared along ${state.axes.filter((axis) => !own.includes(axis)).join(', ')}`;
  return `${shape}; ${state.type} state ${axes} per sequence`;
}

function equationsOf(state: StateSpec, previous: PreviousIndex): readonly { left: string; right: string }[] {
  const rule = state.discretization;
  const [a, f] = [state.coefficient, state.drive];
  const before = `${state.name}_${previous}`;
  const now = `${state.name}_t`;
  if (rule.rule === 'none') {
    return [
      { left: indexedName('a', a.variance.time), right: printFormula(a, previous) },
      { left: indexedName('b', f.variance.time), right: printFormula(f, previous) },
      { left: now, right: `${indexedName('a', a.variance.time)} * ${before} + ${indexedName('b', f.variance.time)}` },
    ];
  }
  const [A, F, D] = [indexedName('A', a.variance.time), indexedName('f', f.variance.time), indexedName('Δ', rule.delta.variance.time)];
  const transitionVaries = a.variance.time || rule.delta.variance.time;
  const [abar, bbar] = [indexedName('Ā', transitionVaries), 'b̄_t'];
  return [
    { left: D, right: printFormula(rule.delta, previous) },
    { left: A, right: printFormula(a, previous) },
    { left: F, right: printFormula(f, previous) },
    { left: `d${state.name}/dt`, right: `${A} * ${state.name} + ${F}` },
    { left: abar, right: transitionFormula(rule, A, D) },
    { left: bbar, right: driveFormula(rule, { A, F, D }) },
    { left: now, right: `${abar} * ${before} + ${bbar}` },
  ];
}

type ContinuousRule = Exclude<StateSpec['discretization'], { rule: 'none' }>;

function transitionFormula(rule: ContinuousRule, A: string, D: string): string {
  if (rule.rule === 'zoh' || rule.rule === 'dirac') return `exp(${D} * ${A})`;
  const alpha = rule.alpha ?? 0.5;
  const [top, bottom] = [term('+', 1 - alpha, `${D} * ${A}`), term('-', alpha, `${D} * ${A}`)];
  return bottom === '1' ? top : `(${top}) / (${bottom})`;
}

function driveFormula(rule: ContinuousRule, names: { A: string; F: string; D: string }): string {
  const { A, F, D } = names;
  if (rule.input === 'euler') return `${D} * ${F}`;
  if (rule.input === 'dirac' || rule.rule === 'dirac') return F;
  if (rule.rule === 'zoh') return `φ₁(${D} * ${A}) * ${D} * ${F}`;
  const bottom = term('-', rule.alpha ?? 0.5, `${D} * ${A}`);
  return bottom === '1' ? `${D} * ${F}` : `${D} * ${F} / (${bottom})`;
}

function term(sign: '+' | '-', weight: number, product: string): string {
  if (weight === 0) return '1';
  return `1 ${sign} ${weight === 1 ? '' : `${weight} * `}${product}`;
}

function describeRule(state: StateSpec): string {
  const rule = state.discretization;
  if (rule.rule === 'none') return 'already discrete (`next`)';
  const input = rule.input === 'rule' ? '' : rule.input === 'euler' ? '; the input enters by Euler, Δ·f' : '; the input enters as it is, without Δ';
  switch (rule.rule) {
    case 'zoh':
      return `zero-order hold: exact for an input held over the step${input || '; φ₁(z) = (e^z - 1)/z, with its limit 1 at z = 0'}`;
    case 'dirac':
      return 'exact decay, impulses as input';
    default:
      return `${rule.rule.replace('_', ' ')} (generalized bilinear, α = ${rule.alpha ?? 0.5})${input}`;
  }
}

/** Why a layer has no one-token step, or null when it has one. */
export function reasonAgainstStep(spec: LayerSpec, module: TensorModule | null): string | null {
  const reverse = spec.body.find((item) => item.kind === 'state' && item.order === 'reverse');
  if (reverse !== undefined) return `the state ${reverse.name} is visited from the last token, so a token's output needs later tokens`;
  const forward = module?.functions.find((each) => each.name === 'forward');
  return forward === undefined ? null : stepObstacle(forward);
}

function reasonAgainstConvolution(spec: LayerSpec): string | null {
  for (const item of spec.body) {
    if (item.kind !== 'state') continue;
    const rule = item.discretization;
    const varying = rule.rule !== 'none' && rule.delta.variance.time ? { role: 'the step size', of: rule.delta }
      : item.coefficient.variance.time ? { role: 'the transition', of: item.coefficient } : null;
    if (varying !== null) return `${varying.role} of ${item.name} changes with ${listNames(spec, sourcesOf(spec, varying.of))}, so there is no single impulse response`;
    if (item.reset !== null) return `resets of ${item.name} cut the sequence, so outputs are not a convolution of the whole input`;
  }
  return null;
}

/** Which evaluations the text allows, which of them this compiler makes, and why. */
export function describeModes(spec: LayerSpec, module: TensorModule | null): readonly ModeFacts[] {
  const step = reasonAgainstStep(spec, module);
  const convolution = reasonAgainstConvolution(spec) ?? obstaclesToConvolution(spec)[0] ?? null;
  const hasState = spec.body.some((item) => item.kind === 'state');
  if (!hasState) return [{ mode: 'recurrent', isLegal: true, isGenerated: true, reason: 'the layer has no state; tokens are independent' }];
  return [
    { mode: 'recurrent', isLegal: true, isGenerated: true, reason: 'token after token, always legal' },
    { mode: 'scan', isLegal: true, isGenerated: true, reason: 'the update is affine in the state, and affine maps compose associatively, so pieces of time can run side by side' },
    { mode: 'conv', isLegal: convolution === null, isGenerated: convolution === null, reason: convolution ?? 'time-invariant: one impulse response serves every token' },
    { mode: 'step', isLegal: step === null, isGenerated: step === null, reason: step ?? 'one token at a time with the state handed over (decoding)' },
  ];
}
