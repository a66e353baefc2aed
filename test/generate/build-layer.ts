/**
 * A recipe as a layer of the language: made by the public builder, kept as the text that says the
 * same, with how the numbers of each declared tensor are to be drawn.
 */
import { printTree } from '../../dsl/format/print-tree.ts';
import * as build from '../../dsl/builder/index.ts';
import type { Axis, BuiltLayer, Expression, LayerScope, Operand, Rule, StateClause } from '../../dsl/builder/index.ts';
import { tableSize, type Draft } from './draft.ts';
import { gbtAlpha, stepSize, type Numbers } from './numbers.ts';
import { finishReadout } from './readout.ts';
import type { LayerRecipe } from './recipe.ts';

export type GeneratedLayer = {
  readonly recipe: LayerRecipe;
  /** the layer and those it applies, formatted */
  readonly text: string;
  /** by name of input or parameter, without the path of an application; the rest is uniform in (-1, 1) */
  readonly numbers: ReadonlyMap<string, Numbers>;
};

type Sizes = Readonly<Record<string, number>>;

function sizesOf({ layout, channels, states, heads }: LayerRecipe): Sizes {
  if (layout === 'channel') return { D: channels };
  return layout === 'heads' ? { H: heads, D: channels, N: states } : { D: channels, N: states };
}

/** The layer of a recipe. */
export function buildLayer(recipe: LayerRecipe): GeneratedLayer {
  const numbers = new Map<string, Numbers>();
  const inputs: string[] = [];
  const inner = build.layer('Generated', sizesOf(recipe), (scope) => {
    const { axes } = scope as LayerScope & { readonly axes: Readonly<Record<string, Axis>> };
    declare(recipe, scope, axes, numbers, inputs);
  });
  return { recipe, text: printTree(applied(recipe, inner, inputs).tree), numbers };
}

/** The layer itself, or one that applies it once or twice in a row. */
function applied(recipe: LayerRecipe, inner: BuiltLayer, inputs: readonly string[]): BuiltLayer {
  if (recipe.applied === 'once') return inner;
  const declared = inner.syntax.items.flatMap((item) => (item.kind === 'input' ? [item.tensor] : []));
  return build.layer('Outer', sizesOf(recipe), (scope) => {
    const axes = (scope as LayerScope & { readonly axes: Readonly<Record<string, Axis>> }).axes;
    const tensors = Object.fromEntries(declared.map(({ name, axes: own, type, perSequence }) => {
      const kind = type === null ? {} : { type: type.argument === null ? (type.name.text as 'flag') : build.index(tableSize) };
      return [name.text, scope.input(name.text, { axes: own.flatMap((each) => axes[each.text] ?? []), perSequence, ...kind })];
    }));
    const hasOneOutput = inner.syntax.items.filter((item) => item.kind === 'output').length === 1;
    const y = (block: Expression): Expression => (hasOneOutput ? block : block.output('y'));
    const first = scope.define('first', build.apply(inner, { ...tensors, ...axes }));
    const streams = declared[0]?.axes.flatMap((each) => axes[each.text] ?? []) ?? [];
    if (recipe.applied === 'inside') return scope.output('y', { axes: streams }, y(first).plus(0.5));
    const second = scope.define('second', build.apply(inner, { ...tensors, ...axes, [inputs[0] ?? 'u']: build.tanh(y(first)) }));
    return scope.output('y', { axes: streams }, y(second).plus(y(first)));
  }, { uses: [inner] });
}

function declare(recipe: LayerRecipe, scope: LayerScope, axes: Readonly<Record<string, Axis>>, numbers: Map<string, Numbers>, inputs: string[]): void {
  const [D, N, H] = [axes['D'] as Axis, axes['N'] as Axis, axes['H'] as Axis];
  const streamAxes = recipe.layout === 'heads' ? [H, D] : [D];
  const stateAxes = { channel: [D], modes: [D, N], shared: [N], heads: [H, D, N] }[recipe.layout];
  const note = (name: string, how: Numbers | undefined): void => void (how !== undefined && numbers.set(name, how));
  const input: Draft['input'] = (name, { numbers: how, ...options }) => {
    note(name, how);
    inputs.push(name);
    return scope.input(name, options);
  };
  const param: Draft['param'] = (name, { numbers: how, ...options }) => {
    note(name, how);
    return scope.param(name, options);
  };
  const u = input('u', { axes: streamAxes });
  const draft: Draft = { recipe, scope, streamAxes, stateAxes, D, N, u, input, param };
  const source = recipe.second === 'before' ? smoothed(draft) : u;
  const x = declareState(draft, H, source);
  finishReadout(draft, x);
}

/** A state that averages the sequence before the main one sees it. */
function smoothed({ scope, streamAxes, u }: Draft): Expression {
  return scope.state('early', { axes: streamAxes }, (early) => [build.next(build.multiply(0.6, early).plus(u.times(0.4)))]);
}

function declareState(draft: Draft, H: Axis, source: Expression): Expression {
  const { recipe, scope, stateAxes } = draft;
  const owner = { channel: [draft.D], modes: [draft.D, draft.N], shared: [draft.N], heads: [H] }[recipe.layout];
  const coefficient = coefficientOf(draft, owner);
  const drive = driveOf(draft, source);
  const type = recipe.field === 'complex' ? { type: 'complex' as const } : {};
  const step = recipe.rule === 'none' ? null : stepOf(draft, recipe.layout === 'modes' ? [draft.D] : owner);
  const condition = recipe.reset === 'none' ? null : conditionOf(draft);
  const isAverage = recipe.rule === 'none' && recipe.field === 'real' && recipe.coefficient === 'mapped';
  return scope.state('x', { axes: stateAxes, ...type }, (x) => {
    const clauses: StateClause[] = [];
    if (step === null) clauses.push(build.next(coefficient.times(x).plus(isAverage ? build.subtract(1, coefficient).times(drive) : drive)));
    else clauses.push(build.derivative(coefficient.times(x).plus(drive)), discretized(recipe, step));
    if (recipe.order !== 'forward') clauses.push(build.order(recipe.order));
    if (condition !== null) clauses.push(recipe.reset === 'reset' ? build.resetWhen(condition) : build.restartInitialWhen(condition));
    return clauses;
  });
}

function coefficientOf(draft: Draft, axes: readonly Axis[]): Expression {
  const { recipe: { coefficient, field, rule }, input, param, scope } = draft;
  const plain = { kind: 'transition', map: 'plain', part: 're' } as const;
  const complexType = field === 'complex' ? { type: 'complex' as const } : {};
  if (coefficient === 'param') return param('A', { axes, numbers: plain, ...complexType });
  if (coefficient === 'input') return input('A', { axes, numbers: plain, ...complexType });
  if (field === 'real') {
    const map = rule === 'none' ? 'sigmoid' : 'negative-exp';
    const raw = param('A_raw', { axes, numbers: { ...plain, map } });
    return scope.define('A', rule === 'none' ? build.sigmoid(raw) : build.negate(build.exp(raw)));
  }
  const map = rule === 'none' ? 'log-log' : 'negative-exp';
  const re = param('A_re', { axes, numbers: { kind: 'transition', map, part: 're' } });
  const im = param('A_im', { axes, numbers: { kind: 'transition', map, part: 'im' } });
  const value = build.complex(build.negate(build.exp(re)), im);
  return scope.define('A', rule === 'none' ? build.exp(value) : value);
}

function stepOf({ recipe, input, param, scope, u, D, streamAxes }: Draft, axes: readonly Axis[]): Operand {
  switch (recipe.step) {
    case 'number': return stepSize;
    case 'param': return param('dt', { axes, numbers: { kind: 'step', map: 'plain' } });
    case 'input': {
      const delta = input('delta', { axes, numbers: { kind: 'step', map: 'inverse-softplus' } });
      return scope.define('dt', build.softplus(delta));
    }
    case 'projected': {
      const bias = param('dt_bias', { axes, numbers: { kind: 'step', map: 'inverse-softplus' } });
      const weight = param('dt_weight', { axes: streamAxes, numbers: { kind: 'uniform', low: -0.01, high: 0.01 } });
      return scope.define('dt', build.softplus(bias.plus(build.sum(D, weight.times(u)))));
    }
  }
}

function discretized({ rule, inputRule }: LayerRecipe, step: Operand): StateClause {
  const made: Rule = rule === 'bilinear' ? build.bilinear(step)
    : rule === 'euler' ? build.euler(step)
      : rule === 'backward_euler' ? build.backwardEuler(step)
        : rule === 'gbt' ? build.gbt(gbtAlpha, step)
          : rule === 'dirac' ? build.dirac(step) : build.zoh(step);
  return inputRule === 'rule' || rule === 'dirac' ? build.discretize(made) : build.discretize(made, inputRule);
}

function conditionOf({ recipe: { condition }, input, scope }: Draft): Expression {
  const flag = (): Expression => input('starts', { type: 'flag', numbers: { kind: 'flags' } });
  switch (condition) {
    case 'flag': return flag();
    case 'compare': return input('mark', {}).isGreater(0.6);
    case 'compound': return flag().and(input('mark', {}).isAtMost(0).not());
    case 'delayed': return scope.define('before', build.delay(input('mark', {}), 1)).isGreater(0.6);
  }
}

/** What is added to the state, from the sequence: shaped, then spread over the state's axes. */
function driveOf(draft: Draft, source: Expression): Expression {
  const { recipe, input, param, N, D, stateAxes } = draft;
  const isShared = recipe.layout === 'shared';
  const over = (value: Expression): Expression => (isShared ? build.sum(D, value) : value);
  const shaped = shapedDrive(draft, source);
  const complexType = recipe.field === 'complex' ? { type: 'complex' as const } : {};
  if (recipe.drive === 'none') return over(shaped);
  if (recipe.drive === 'input') {
    const B = input('B', { axes: recipe.layout === 'channel' ? [D] : [N], ...complexType });
    return isShared ? B.times(build.sum(D, shaped)) : B.times(shaped);
  }
  const B = param('B', { axes: isShared ? [N, D] : stateAxes, ...complexType });
  const driven = over(B.times(shaped));
  return recipe.drive === 'offset' ? driven.plus(param('offset', { axes: stateAxes })) : driven;
}

function shapedDrive({ recipe: { drive }, input, param, scope, streamAxes, u }: Draft, source: Expression): Expression {
  switch (drive) {
    case 'gated':
      return source.times(build.sigmoid(input('g', { axes: streamAxes })));
    case 'taps': {
      const weight = param('tap', { axes: streamAxes });
      return scope.define('tapped', source.plus(weight.times(build.delay(u, 1))).plus(build.multiply(0.5, build.delay(u, 3))));
    }
    case 'delayed-product':
      return source.times(build.delay(u, 2));
    case 'sequence':
      return source.plus(input('constant', { axes: streamAxes, perSequence: true }));
    default:
      return source;
  }
}
