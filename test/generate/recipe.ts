/**
 * Recipes: a random layer as plain data, one field per choice that the language offers, so that
 * fast-check can shrink it. Every list begins with its simplest entry: a failing layer shrinks towards
 * a real diagonal recurrence with one channel, one state and one token, and what is left of it is
 * what the failure needs.
 */
import fc from 'fast-check';

/** Values per run (batch × tokens × channels × states) that the oracle and the interpreters take in a fraction of a second. */
const mostValues = 3000;

/** What each field may be, the simplest first; entries stand as often as they are to come up. */
export const choices = {
  /** who owns states: `channel` x[D], `modes` x[D, N], `shared` x[N] driven by all channels, `heads` x[H, D, N] with one transition per head. */
  layout: ['channel', 'modes', 'shared', 'heads'],
  field: ['real', 'complex'],
  rule: ['none', 'zoh', 'bilinear', 'euler', 'backward_euler', 'gbt', 'dirac'],
  /** how the drive enters a discretized state */
  inputRule: ['rule', 'rule', 'euler', 'dirac'],
  /** where transitions lie */
  regime: ['contracting', 'near-unit', 'unit', 'alternating', 'near-circle', 'zero', 'unstable'],
  /** where the coefficient comes from: a parameter as it is, through -exp or sigmoid, or an input */
  coefficient: ['param', 'mapped', 'input'],
  step: ['param', 'number', 'input', 'projected'],
  drive: ['param', 'input', 'none', 'gated', 'taps', 'offset', 'delayed-product', 'sequence'],
  readout: ['param', 'input', 'plain', 'previous'],
  order: ['forward', 'reverse', 'bidirectional'],
  reset: ['none', 'none', 'reset', 'restart'],
  condition: ['flag', 'compare', 'compound', 'delayed'],
  skip: [false, true],
  gate: ['none', 'silu', 'sigmoid', 'tanh', 'conditional'],
  activation: ['none', 'gelu', 'relu', 'softplus', 'sine', 'quotient', 'log', 'square', 'max'],
  norm: ['none', 'none', 'rms', 'layer', 'softmax', 'log-softmax'],
  mix: ['none', 'none', 'dense', 'table'],
  /** a second state: reads the first one, stands beside it, or smooths what it drives */
  second: ['none', 'none', 'after', 'beside', 'before'],
  overTime: ['none', 'none', 'none', 'mean', 'last', 'sum'],
  position: ['none', 'none', 'position', 'length'],
  outputTaps: ['none', 'none', 'none', 'value', 'state'],
  complexOutput: [false, true],
  applied: ['once', 'once', 'once', 'inside', 'twice'],
  channels: [1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 32, 33],
  states: [1, 2, 3, 4, 5, 7, 8, 16, 17, 64],
  heads: [1, 2, 3, 4],
  batch: [1, 2, 3, 7],
  /** one, primes, powers of two and their neighbours, up to what interpreters take */
  length: [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 127, 128, 129, 130, 151, 255, 257],
  storage: ['f32', 'f32', 'f32', 'f16', 'bf16'],
  initial: ['zero', 'random', 'random'],
  cotangents: ['both', 'outputs'],
  interval: [8, 2, 4, 16, 64],
  piecesPer: [2, 1, 3],
} as const;

export type Regime = (typeof choices)['regime'][number];
export type Rule = (typeof choices)['rule'][number];

export type LayerRecipe = { readonly [field in keyof typeof choices]: (typeof choices)[field][number] } & { readonly seed: number };

/** Longest sequence up to the one asked for that keeps a run small. */
function fitting(recipe: LayerRecipe): LayerRecipe {
  const owned = { channel: recipe.channels, modes: recipe.channels * recipe.states, shared: recipe.channels + recipe.states, heads: recipe.heads * recipe.channels * recipe.states };
  const perToken = recipe.batch * owned[recipe.layout] * (recipe.field === 'complex' ? 2 : 1) * (recipe.applied === 'twice' ? 2 : 1);
  const length = choices.length.filter((each) => each <= recipe.length && each * perToken <= mostValues).at(-1);
  return length === undefined ? { ...recipe, batch: 1, channels: 2, states: 3, length: recipe.length < 33 ? recipe.length : 33 } : { ...recipe, length };
}

const fields = Object.fromEntries(Object.entries(choices).map(([field, values]) => [field, fc.constantFrom<unknown>(...values)]));

/** All recipes, small enough for the interpreters. */
export const recipes: fc.Arbitrary<LayerRecipe> = fc.record({ ...fields, seed: fc.nat(65535) })
  .map((value) => fitting(value as unknown as LayerRecipe));

const sizeFields: ReadonlySet<string> = new Set(['length', 'channels', 'states', 'heads', 'batch']);

/** Recipes that differ in one field, which has a simpler value, sizes first (they cost time), boldest first. */
export function simplerRecipes(recipe: LayerRecipe): readonly LayerRecipe[] {
  const ordered = Object.entries(choices).sort(([a], [b]) => Number(sizeFields.has(b)) - Number(sizeFields.has(a)));
  return ordered.flatMap(([field, values]) => {
    const all: readonly unknown[] = values;
    const now = all.indexOf(recipe[field as keyof typeof choices]);
    return [...new Set(all.slice(0, Math.max(0, now)))].map((value) => fitting({ ...recipe, [field]: value }));
  });
}
