/** States: clauses of the block, the affine form, discretization, order and reset. */
import type { CallSyntax, ExpressionSyntax, StateClauseSyntax, StateSyntax } from '../ast.ts';
import type { DiscretizationSpec, SpecExpression, StateSpec } from '../spec.ts';
import { readAffine } from './affine.ts';
import { constantArgument, matchArguments } from './arguments.ts';
import type { Signature } from './arguments.ts';
import { axisPaths, showAxes } from './axes.ts';
import { arithmetic, tokenVariance } from './build.ts';
import { evaluate } from './calls.ts';
import { blockReset } from './delays.ts';
import { checkFree, complain, didYouMean } from './elaboration.ts';
import type { Checked, Place } from './elaboration.ts';
import { warnUnstable } from './stability.ts';
import { requireType } from './types.ts';
import { readingOf } from './walk.ts';

type Clause<Kind extends StateClauseSyntax['kind']> = StateClauseSyntax & { kind: Kind };

type Clauses = {
  readonly update: Clause<'derivative'> | Clause<'next'> | null;
  readonly discretize: Clause<'discretize'> | null;
  readonly order: Clause<'order'> | null;
  readonly reset: Clause<'reset'> | null;
  readonly structure: Clause<'structure'> | null;
};

type Header = { readonly name: string; readonly axes: readonly string[]; readonly type: 'real' | 'complex' };

/** Checks one state and adds it (two for a bidirectional one) to the body. */
export function checkState(place: Place, syntax: StateSyntax): void {
  const isFree = checkFree(place, syntax.tensor.name);
  const header = checkHeader(place, syntax);
  const clauses = sortClauses(place, syntax);
  const directions = clauses === null ? null : checkOrder(place, clauses.order);
  let states: readonly StateSpec[] | null = null;
  if (isFree && header !== null && clauses !== null && directions !== null) {
    const made = directions.map((order) => checkDirection(place, {
      syntax, header, clauses, order, isSecond: order !== directions[0],
    }));
    const complete = made.flatMap((each) => each ?? []);
    if (complete.length === made.length) states = complete;
  }
  if (!isFree) return;
  place.run.body.push(...(states ?? []));
  const value = states === null ? null : sumOf(states.map((state) => readingOfState(state, 'state')));
  const previous = states === null ? null : sumOf(states.map((state) => readingOfState(state, 'previous')));
  const { text, span } = syntax.tensor.name;
  place.scope.symbols.set(text, { kind: 'value', what: 'state', span, value, previous });
  const second = states?.[1];
  if (second === undefined) return;
  const reverse = { value: readingOfState(second, 'state'), previous: readingOfState(second, 'previous') };
  place.scope.symbols.set(`${text}_reverse`, { kind: 'value', what: 'state', span, ...reverse });
}

function sumOf(values: readonly SpecExpression[]): Checked {
  return values.reduce<Checked>((sum, each) => (sum === null ? each : arithmetic('add', sum, each, each.span)), null);
}

function readingOfState(
  state: Pick<StateSpec, 'name' | 'axes' | 'type' | 'span'>, target: 'state' | 'previous',
): SpecExpression {
  return {
    kind: 'reference', target, name: state.name, axes: state.axes, type: state.type,
    variance: tokenVariance, span: state.span,
  };
}

function checkHeader(place: Place, syntax: StateSyntax): Header | null {
  const { tensor } = syntax;
  const axes = axisPaths(place, tensor.axes);
  const type = tensor.type?.name.text ?? 'real';
  if (type !== 'real' && type !== 'complex') {
    return complain(place, {
      code: 'SSM2008', span: tensor.type?.span ?? tensor.span,
      message: `a state cannot be of type \`${type}\``, label: 'bad type',
      help: 'declare it `real` or `complex`',
    });
  }
  if (tensor.perSequence) {
    return complain(place, {
      code: 'SSM2007', span: tensor.span, message: 'a state always varies with time',
      label: '`per sequence` here', help: 'remove `per sequence`',
    });
  }
  return axes === null ? null : { name: place.scope.prefix + tensor.name.text, axes, type };
}

function sortClauses(place: Place, syntax: StateSyntax): Clauses | null {
  const found = new Map<string, StateClauseSyntax>();
  let isSound = true;
  for (const clause of syntax.clauses) {
    const slot = clause.kind === 'next' || clause.kind === 'derivative' ? 'update' : clause.kind;
    const earlier = found.get(slot);
    if (earlier !== undefined) {
      isSound = false;
      complain(place, {
        code: 'SSM2013', span: clause.span,
        message: `the state has two ${slot === 'update' ? 'right-hand sides' : `\`${slot}\` clauses`}`,
        label: 'second one',
        secondary: [{ span: earlier.span, text: 'first one' }], help: 'keep one of them',
      });
    } else {
      found.set(slot, clause);
    }
    if ((clause.kind === 'next' || clause.kind === 'derivative')
      && clause.name.text !== syntax.tensor.name.text) {
      isSound = false;
      complain(place, {
        code: 'SSM2001', span: clause.name.span,
        message: `this block declares \`${syntax.tensor.name.text}\`, not \`${clause.name.text}\``,
        label: 'another name',
        help: `write \`${clause.kind === 'next' ? `next ${syntax.tensor.name.text}` : `d${syntax.tensor.name.text}/dt`}\``,
      });
    }
  }
  const update = found.get('update') ?? null;
  const discretize = found.get('discretize') ?? null;
  if (!isSound || !checkPresence(place, syntax, update, discretize)) return null;
  const pick = <Kind extends StateClauseSyntax['kind']>(kind: Kind): Clause<Kind> | null => {
    const clause = syntax.clauses.find((each): each is Clause<Kind> => each.kind === kind);
    return clause ?? null;
  };
  return {
    update: pick('derivative') ?? pick('next'), discretize: pick('discretize'), order: pick('order'),
    reset: pick('reset'), structure: pick('structure'),
  };
}

function checkPresence(
  place: Place, syntax: StateSyntax, update: StateClauseSyntax | null, discretize: StateClauseSyntax | null,
): boolean {
  const name = syntax.tensor.name.text;
  if (update === null) {
    complain(place, {
      code: 'SSM2012', span: syntax.tensor.span, message: `the state \`${name}\` has no right-hand side`,
      label: 'how does it evolve?',
      help: `write \`d${name}/dt = …\` with \`discretize zoh(dt)\`, or \`next ${name} = …\``,
    });
    return false;
  }
  if (update.kind === 'derivative' && discretize === null) {
    complain(place, {
      code: 'SSM2012', span: update.span, message: `the derivative of \`${name}\` needs a discretization`,
      label: 'continuous in time',
      notes: ['tokens are discrete; the rule and the step size say how the derivative becomes an update'],
      help: 'add `discretize zoh(dt)`',
    });
    return false;
  }
  if (update.kind === 'next' && discretize !== null) {
    complain(place, {
      code: 'SSM3003', span: discretize.span, message: `\`next ${name}\` is already discrete`,
      label: 'nothing to discretize',
      secondary: [{ span: update.span, text: 'the update is given here' }],
      help: `remove the clause, or write \`d${name}/dt = …\``,
    });
    return false;
  }
  return true;
}

function checkOrder(place: Place, clause: Clause<'order'> | null): readonly ('forward' | 'reverse')[] | null {
  if (clause === null) return ['forward'];
  const name = clause.order.text;
  if (clause.options.length === 0) {
    if (name === 'forward' || name === 'reverse') return [name];
    if (name === 'bidirectional') return ['forward', 'reverse'];
  }
  const isPlanned = clause.options.length > 0
    || ['cross', 'snake', 'map', 'tree', 'grid', 'windows'].includes(name);
  return complain(place, {
    code: isPlanned ? 'SSM4003' : 'SSM2001', span: clause.order.span,
    message: isPlanned ? 'this scan order is not implemented' : `there is no scan order \`${name}\``,
    label: 'not available',
    help: didYouMean(
      place, name, ['forward', 'reverse', 'bidirectional'], 'use `forward`, `reverse` or `bidirectional`',
    ),
  });
}

type Direction = {
  readonly syntax: StateSyntax;
  readonly header: Header;
  readonly clauses: Clauses;
  readonly order: 'forward' | 'reverse';
  /** the second state of a bidirectional one */
  readonly isSecond: boolean;
};

function checkDirection(place: Place, direction: Direction): StateSpec | null {
  const { syntax, clauses, order } = direction;
  const { update } = clauses;
  if (update === null) return null;
  const header = direction.isSecond
    ? { ...direction.header, name: `${direction.header.name}_reverse` }
    : direction.header;
  const name = syntax.tensor.name.text;
  if (direction.isSecond
    && !checkFree(place, { text: `${name}_reverse`, span: syntax.tensor.name.span })) return null;
  const shape = { ...header, span: syntax.tensor.name.span };
  const own = readingOfState(shape, 'previous');
  place.scope.symbols.set(name, {
    kind: 'value', what: 'state', span: syntax.tensor.name.span, value: own, previous: own,
  });
  const wasUsed = place.scope.used.has(name);
  place.run.defining = header.name;
  const reset = clauses.reset === null ? noReset : checkReset(place, clauses.reset, header);
  const condition = reset?.value?.condition ?? null;
  place.run.tapReset = condition === null ? null : blockReset(header.name, order, condition);
  const rhs = evaluate(place, update.value);
  const discretization = clauses.discretize === null ? noDiscretization : checkDiscretization(
    place, clauses.discretize, header,
  );
  place.run.tapReset = null;
  place.run.defining = null;
  if (!wasUsed) place.scope.used.delete(name);
  place.scope.symbols.delete(name);
  if (rhs === null || discretization === null || reset === null) return null;
  const affine = readAffine(place, rhs, header.name);
  if (affine === null || !checkFit(place, header, affine.coefficient, update.value)
    || !checkFit(place, header, affine.drive, update.value)) return null;
  if (!checkStructure(place, clauses.structure, affine.coefficient)) return null;
  const state: StateSpec = {
    kind: 'state', ...header, structure: 'elementwise', coefficient: affine.coefficient, drive: affine.drive,
    discretization, order, reset: reset.value, span: syntax.tensor.span,
  };
  warnUnstable(place, state);
  return state;
}

/** Axes and type of a part of the right-hand side must fit into the state. */
function checkFit(place: Place, header: Header, part: SpecExpression, whole: ExpressionSyntax): boolean {
  const extra = part.axes.find((axis) => !header.axes.includes(axis));
  if (extra !== undefined) {
    complain(place, {
      code: 'SSM2006', span: whole.span,
      message: `the right-hand side has the axis \`${extra}\`, the state has ${showAxes(header.axes)}`,
      label: `has ${showAxes(part.axes)}`,
      help: `add \`${extra}\` to the axes of the state, or sum over it`,
    });
    return false;
  }
  if (part.type === 'complex' && header.type === 'real') {
    complain(place, {
      code: 'SSM2008', span: whole.span, message: 'the right-hand side of a real state is complex',
      label: 'complex',
      help: `declare the state \`${header.name}${showAxes(header.axes)}: complex\``,
    });
    return false;
  }
  return requireType(place, part, ['real', 'complex'], 'the right-hand side of a state');
}

function checkStructure(
  place: Place, clause: Clause<'structure'> | null, coefficient: SpecExpression,
): boolean {
  if (clause === null) return true;
  const asserted = clause.structure.text;
  if (asserted === 'diagonal' || asserted === 'elementwise') return true;
  if (asserted === 'scalar' && coefficient.axes.length === 0) return true;
  complain(place, {
    code: 'SSM3002', span: clause.structure.span,
    message: `the transition is ${coefficient.axes.length === 0 ? 'scalar' : 'diagonal'}, not \`${asserted}\``,
    label: 'asserted here',
    notes: [`the coefficient has the axes ${showAxes(coefficient.axes)} and acts element by element`],
    help: 'write `structure diagonal`, or remove the clause',
  });
  return false;
}

const noReset: { readonly value: StateSpec['reset'] } = { value: null };

function checkReset(
  place: Place, clause: Clause<'reset'>, header: Header,
): { readonly value: StateSpec['reset'] } | null {
  const condition = evaluate(place, clause.condition);
  if (condition === null || !requireType(place, condition, ['flag'], 'the condition of a reset')) return null;
  if (!isFreeOfState(place, condition, header, 'the condition of its reset')) return null;
  if (condition.axes.length === 0) return { value: { action: clause.action, condition } };
  return complain(place, {
    code: 'SSM2006', span: condition.span,
    message: `the condition of a reset has the axes ${showAxes(condition.axes)}`,
    label: 'one flag per token is needed',
    notes: ['a reset drops the whole state at once'], help: 'use a flag without axes',
  });
}

/** What steers a state must not read it. */
function isFreeOfState(place: Place, value: SpecExpression, header: Header, what: string): boolean {
  const reading = readingOf(value, header.name);
  if (reading === null) return true;
  complain(place, {
    code: 'SSM3004', span: reading.span, message: `the state \`${header.name}\` occurs in ${what}`,
    label: 'the state',
    notes: ['an update is affine in the state only if its coefficients are known without it'],
    help: 'let it depend on the input instead of the state',
  });
  return false;
}

const noDiscretization: DiscretizationSpec = { rule: 'none' };

const ruleSignatures: ReadonlyMap<string, Signature> = new Map([
  ['zoh', { required: ['dt'], optional: [] }],
  ['bilinear', { required: ['dt'], optional: [] }],
  ['euler', { required: ['dt'], optional: [] }],
  ['backward_euler', { required: ['dt'], optional: [] }],
  ['dirac', { required: ['dt'], optional: [] }],
  ['gbt', { required: ['alpha', 'dt'], optional: [] }],
]);
const fixedAlpha: ReadonlyMap<string, number> = new Map(
  [['bilinear', 0.5], ['euler', 0], ['backward_euler', 1]],
);

function isRule(name: string): name is Exclude<DiscretizationSpec['rule'], 'none'> {
  return ruleSignatures.has(name);
}

function checkDiscretization(
  place: Place, clause: Clause<'discretize'>, header: Header,
): DiscretizationSpec | null {
  const rule = clause.rule.callee.text;
  const signature = ruleSignatures.get(rule);
  if (signature === undefined || !isRule(rule)) return unknownRule(place, clause.rule);
  const input = clause.inputRule?.text ?? 'rule';
  if (clause.inputRule !== null && input !== 'euler' && input !== 'dirac') {
    return complain(place, {
      code: 'SSM3003', span: clause.inputRule.span, message: `there is no input rule \`${input}\``,
      label: 'unknown rule', help: 'write `input euler` or `input dirac`',
    });
  }
  const matched = matchArguments(place, clause.rule, signature);
  const deltaArgument = matched?.get('dt');
  if (matched === null || deltaArgument === undefined) return null;
  const delta = evaluate(place, deltaArgument.value);
  if (delta === null || !requireType(place, delta, ['real'], 'the step size')) return null;
  if (!isFreeOfState(place, delta, header, 'its step size')) return null;
  const extra = delta.axes.find((axis) => !header.axes.includes(axis));
  if (extra !== undefined) {
    return complain(place, {
      code: 'SSM2006', span: delta.span,
      message: `the step size has the axis \`${extra}\`, the state has ${showAxes(header.axes)}`,
      label: `has ${showAxes(delta.axes)}`,
      notes: ['each element of the state has one step size'],
      help: `add \`${extra}\` to the axes of the state`,
    });
  }
  const alpha = checkAlpha(place, matched.get('alpha')?.value ?? null);
  if (alpha === 'reported') return null;
  return {
    rule, alpha: alpha ?? fixedAlpha.get(rule) ?? null, delta,
    input: input === 'euler' || input === 'dirac' ? input : 'rule',
  };
}

function checkAlpha(place: Place, syntax: ExpressionSyntax | null): number | null | 'reported' {
  if (syntax === null) return null;
  const value = evaluate(place, syntax);
  const alpha = value === null ? null : constantArgument(place, value, '`alpha`');
  if (alpha === null) return 'reported';
  if (alpha >= 0 && alpha <= 1) return alpha;
  complain(place, {
    code: 'SSM3003', span: syntax.span, message: `the weight of \`gbt\` is ${alpha}`, label: 'outside 0 to 1',
    notes: ['0 is Euler, 0.5 bilinear, 1 backward Euler'], help: 'use a number from 0 to 1',
  });
  return 'reported';
}

function unknownRule(place: Place, rule: CallSyntax): null {
  const names = [...ruleSignatures.keys()];
  return complain(place, {
    code: 'SSM3003', span: rule.callee.span, message: `there is no discretization \`${rule.callee.text}\``,
    label: 'unknown rule',
    help: didYouMean(
      place, rule.callee.text, names, `use one of ${names.map((each) => `\`${each}\``).join(', ')}`,
    ),
  });
}
