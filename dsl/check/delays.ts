/**
 * `delay(u, k)`: the value k tokens earlier, the tail that carries it over the pieces of a sequence,
 * and where taps stop. A tap never looks across the boundary of a segment that it is told of: inside
 * the block of a state with `reset when p` that is p, elsewhere `delay(u, k, boundary = f)` names the
 * flag. A delay outside the block is not masked on its own, since a value must not change its meaning
 * with who reads it; one that feeds a state with resets without naming a flag is warned of.
 */
import type { CallSyntax, ExpressionSyntax } from '../ast.ts';
import type { BodySpec, LayerSpec, SpecExpression, StateSpec, TailSpec } from '../spec.ts';
import { constantArgument, rejectAxes } from './arguments.ts';
import type { Signature } from './arguments.ts';
import { binaryOf, elementwiseOf, numberOf, selectOf, toComplex, tokenVariance } from './build.ts';
import { complain, freshPath } from './elaboration.ts';
import type { Checked, Place, TapReset } from './elaboration.ts';
import { isNumeric, requireType } from './types.ts';
import { operandsOf } from './walk.ts';

const delayLimit = 65536;
/** Flags that one masked tap may look at. */
const maskedLimit = 64;

const signature: Signature = { required: ['value', 'steps'], optional: ['boundary'] };

type EvaluateArguments = (
  place: Place, call: CallSyntax, signature: Signature,
) => ReadonlyMap<string, SpecExpression> | null;

/** Checks a call of `delay`; `argumentsOf` evaluates the arguments by name. */
export function checkDelay(place: Place, call: CallSyntax, argumentsOf: EvaluateArguments): Checked {
  if (!rejectAxes(place, call)) return null;
  const values = argumentsOf(place, call, signature);
  const operand = values?.get('value');
  const given = values?.get('steps');
  if (operand === undefined || given === undefined
    || !isNumeric(place, operand, 'the argument of `delay`')) return null;
  const steps = checkSteps(place, given);
  if (steps === null) return null;
  if (!operand.variance.time) {
    return complain(place, {
      code: 'SSM2005', span: operand.span, message: 'a delay of a value that does not vary with time',
      label: 'the same for all tokens', help: 'leave the delay out',
    });
  }
  const delayed = delayOf(place, operand, steps, tailOf(place, call), call);
  const flag = values?.get('boundary');
  const explicit = flag === undefined ? null : explicitReset(place, call, flag);
  if (flag !== undefined && explicit === null) return null;
  return [explicit, place.run.tapReset].reduce<Checked>(
    (value, reset) => (value === null || reset === null ? value : masked(place, value, reset, { steps, call })), delayed,
  );
}

function checkSteps(place: Place, given: SpecExpression): number | null {
  const steps = constantArgument(place, given, 'the number of tokens');
  if (steps === null || (Number.isInteger(steps) && steps >= 1 && steps <= delayLimit)) return steps;
  return complain(place, {
    code: 'SSM2009', span: given.span, message: `a delay of ${steps} tokens is not possible`,
    label: 'bad number of tokens',
    notes: [`delays are whole numbers from 1 to ${delayLimit}: a value from the future would not be causal`],
    help: 'write a whole number such as `1`',
  });
}

/** The carried tail is per sequence, so a delayed value is too. */
function delayOf(
  place: Place, operand: SpecExpression, steps: number, tail: string, call: CallSyntax,
): SpecExpression {
  const stem = operand.kind === 'reference'
    ? `${operand.name}.delay${steps}`
    : `${place.scope.prefix}delay.${steps}`;
  return {
    kind: 'delay', operand, steps, name: freshPath(place.run, stem), tail, axes: operand.axes,
    type: operand.type, variance: tokenVariance, span: call.span,
  };
}

/**
 * The path of a tail: of the value as this layer calls it (`h.tail`, `ssm.y.tail`), or numbered in the
 * order of checking (`delay.1.tail`). The block of a bidirectional state is checked twice, its calls
 * keep their numbers.
 */
function tailOf(place: Place, call: CallSyntax): string {
  const { run, scope } = place;
  const value = call.arguments.find((each) => each.name?.text === 'value') ?? call.arguments.find((each) => each.name === null);
  const named = value === undefined ? null : nameOf(place, value.value);
  if (named !== null) return `${scope.prefix}${named}.tail`;
  const key = `${scope.prefix} ${call.span.start}`;
  const known = run.tails.get(key);
  if (known !== undefined) return known;
  const stem = `${scope.prefix}delay.tail`;
  const count = (run.made.get(stem) ?? 0) + 1;
  run.made.set(stem, count);
  const made = `${scope.prefix}delay.${count}.tail`;
  run.tails.set(key, made);
  return made;
}

function nameOf(place: Place, syntax: ExpressionSyntax): string | null {
  if (syntax.kind === 'member' && syntax.object.kind === 'name') return `${syntax.object.name}.${syntax.member.text}`;
  if (syntax.kind !== 'name') return null;
  const symbol = place.scope.symbols.get(syntax.name);
  if (symbol?.kind !== 'instance') return syntax.name;
  const [output] = symbol.outputs.keys();
  return output === undefined ? null : `${syntax.name}.${output}`;
}

function explicitReset(place: Place, call: CallSyntax, flag: SpecExpression): TapReset | null {
  if (!requireType(place, flag, ['flag'], 'the flag of a delay')) return null;
  const argument = call.arguments.find((each) => each.name?.text === 'boundary') ?? call.arguments[2];
  const named = argument === undefined ? null : nameOf(place, argument.value);
  if (named !== null && flag.variance.time && flag.axes.length === 0) {
    return { flag, tail: `${place.scope.prefix}${named}.tail`, from: 0, declare: null };
  }
  return complain(place, {
    code: 'SSM2007', span: flag.span, message: 'the flag of a delay is the name of one flag per token',
    label: named === null ? 'not a name' : 'not one flag per token',
    help: named === null ? 'write `let f = …` and `boundary = f`' : 'use a flag without axes that varies with time',
  });
}

/** What taps inside the block of a state with resets stop at; its let is added when a tap needs it. */
export function blockReset(state: string, order: 'forward' | 'reverse', condition: SpecExpression): TapReset {
  const { span } = condition;
  const reference: SpecExpression = {
    kind: 'reference', target: 'let', name: `${state}.reset`, axes: [], type: 'flag', variance: condition.variance, span,
  };
  // in reverse the first token visited carries the flag: the boundary is after it
  const from = order === 'forward' ? 0 : 1;
  return { flag: reference, tail: `${state}.reset.tail`, from, declare: { name: `${state}.reset`, condition } };
}

/** Zero where the flag is up between the token that is read and this one. */
function masked(
  place: Place, value: SpecExpression, reset: TapReset, tap: { readonly steps: number; readonly call: CallSyntax },
): Checked {
  const { call, steps } = tap;
  if (steps > maskedLimit) {
    return complain(place, {
      code: 'SSM4003', span: call.span, message: `a delay of ${steps} tokens across resets is not implemented`,
      label: 'here', help: `delay by at most ${maskedLimit} tokens`,
    });
  }
  if (reset.declare !== null && !place.run.lets.has(reset.declare.name)) {
    const { name, condition } = reset.declare;
    place.run.body.push({ kind: 'let', name, value: condition, span: condition.span });
    place.run.lets.set(name, condition);
  }
  let isCut: SpecExpression | null = null;
  for (let back = reset.from; back < reset.from + steps; back++) {
    const isUp = back === 0 ? reset.flag : wasUp(place, reset, back, call);
    isCut = isCut === null ? isUp : binaryOf('or', isCut, isUp, 'flag', call.span);
  }
  const zero = numberOf(0, call.span);
  return isCut === null ? value : selectOf(isCut, value.type === 'complex' ? toComplex(zero) : zero, value, call.span);
}

function wasUp(place: Place, reset: TapReset, back: number, call: CallSyntax): SpecExpression {
  const level = elementwiseOf('to_real', [reset.flag], 'real', call.span);
  const earlier = delayOf(place, level, back, reset.tail, call);
  return binaryOf('less', numberOf(0.5, call.span), earlier, 'flag', call.span);
}

/** The tails of all delays of a layer, in order of first appearance. */
export function tailsOf(spec: Pick<LayerSpec, 'body' | 'outputs'>): readonly TailSpec[] {
  const tails = new Map<string, TailSpec>();
  const visited = new Set<SpecExpression>();
  const visit = (root: SpecExpression): void => {
    const pending = [root];
    for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
      if (visited.has(top)) continue;
      visited.add(top);
      pending.push(...[...operandsOf(top)].reverse());
      if (top.kind !== 'delay') continue;
      const count = Math.max(top.steps, tails.get(top.tail)?.count ?? 0);
      const type = top.operand.type === 'complex' ? 'complex' : 'real';
      tails.set(top.tail, { name: top.tail, count, axes: top.operand.axes, type });
    }
  };
  for (const item of spec.body) expressionsOf(item).forEach(visit);
  for (const output of spec.outputs) visit(output.value);
  return [...tails.values()];
}

/** A tail is an entry of the state record and an axis: its path must be no state's and no axis's. */
export function checkTailNames(place: Place, tails: readonly TailSpec[]): void {
  const states = new Set(place.run.body.flatMap((item) => (item.kind === 'state' ? [item.name] : [])));
  for (const { name } of tails) {
    const isState = states.has(name);
    if (!isState && !place.run.axes.has(name)) continue;
    complain(place, {
      code: 'SSM2002', span: place.scope.layer.name.span,
      message: `\`${name}\` is the path of ${isState ? 'a state' : 'an axis'} and of the tail of a delayed value`,
      label: 'in this layer', help: `give the ${isState ? 'state' : 'axis'} another name than \`tail\``,
    });
  }
}

function expressionsOf(item: BodySpec): readonly SpecExpression[] {
  return item.kind === 'let' ? [item.value] : [...dynamicsOf(item), ...(item.reset === null ? [] : [item.reset.condition])];
}

function dynamicsOf(state: StateSpec): readonly SpecExpression[] {
  const { discretization } = state;
  return [state.coefficient, state.drive, ...(discretization.rule === 'none' ? [] : [discretization.delta])];
}

/** Warns of delays in lets that feed a state with resets and look across its boundaries. */
export function warnUnmaskedTaps(place: Place): void {
  for (const state of place.run.body) {
    if (state.kind !== 'state' || state.reset === null) continue;
    const found = unmaskedTap(place, state);
    if (found === null) continue;
    complain(place, {
      code: 'SSM3009', severity: 'warning', span: found.span,
      message: `this delay feeds the state \`${state.name}\`, which is reset, and looks across its resets`,
      label: 'reads the segment before',
      notes: ['only delays inside the block of the state stop at its resets on their own'],
      help: 'name the flag: `delay(…, …, boundary = f)`',
    });
  }
}

function unmaskedTap(place: Place, state: StateSpec): SpecExpression | null {
  const visited = new Set<SpecExpression>();
  const pending: SpecExpression[] = [...dynamicsOf(state)];
  for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
    if (visited.has(top)) continue;
    visited.add(top);
    if (top.kind === 'delay') return top;
    if (top.kind === 'select') continue; // a choice by a flag: its author has thought of it
    const target = top.kind === 'reference' && top.target === 'let' ? place.run.lets.get(top.name) : undefined;
    pending.push(...operandsOf(top), ...(target === undefined ? [] : [target]));
  }
  return null;
}
