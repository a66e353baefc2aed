/** Random well-typed modules from a seed: every operation, and scans with and without history. */
import { TensorBuilder, ValueIds } from '../../../ir/tensor/builder.ts';
import type {
  AffineScanOp, BinaryFunction, Coefficient, FunctionResult, ScanHistory, TensorFunction, TensorModule, TensorType, TensorValue,
  UnaryFunction, ValueId,
} from '../../../ir/tensor/ops.ts';
import { seededNumbers } from './seeded.ts';

const axes = [{ name: 'D', size: 3 }, { name: 'block.N', size: 2 }, { name: 'odd name "]', size: 3 }];
const unaryNames: readonly UnaryFunction[] = ['negate', 'exp', 'tanh', 'sigmoid', 'softplus', 'erf', 'phi1', 'phi2', 'expm1', 'sine'];
const binaryNames: readonly BinaryFunction[] = ['add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum'];

type Random = { readonly below: (count: number) => number; readonly pick: <T>(items: readonly T[]) => T; readonly number: () => number };

function random(seed: number): Random {
  const next = seededNumbers(seed);
  const below = (count: number): number => Math.min(count - 1, Math.floor(((next() + 1) / 2) * count));
  return { below, pick: (items) => items[below(items.length)]!, number: next };
}

function someAxes({ below }: Random, from: readonly string[]): readonly string[] {
  return from.filter(() => below(2) === 1);
}

/** Appends elementwise instructions and gives back one real value that uses the pool. */
function growElementwise(builder: TensorBuilder, pool: ValueId[], source: Random, count: number): ValueId {
  const { pick, below } = source;
  for (let step = 0; step < count; step++) {
    const [a, b] = [pick(pool), pick(pool)];
    const kinds: readonly (() => ValueId)[] = [
      () => builder.unary(pick(unaryNames), a),
      () => builder.binary(pick(binaryNames), a, b),
      () => builder.select(builder.binary('less', a, b), b, a),
      () => pick(builder.analytic(pick(['exp', 'phi1', 'phi2']), a, b)),
      () => builder.part(pick(['re', 'im']), builder.unary('negate', builder.complex(a, b))),
      () => builder.constant(pick([0.1, -0, 1e-30, 12, -3.5e21])),
      () => builder.add(builder.iota(pick(['time', 'D'])), builder.length()),
    ];
    pool.push(kinds[below(kinds.length)]!());
  }
  return pool.at(-1)!;
}

/** A value of at most the given axes: the rest is summed away. */
function within(builder: TensorBuilder, id: ValueId, allowed: readonly string[]): ValueId {
  return builder.reduce('sum', builder.typeOf(id).axes.filter((axis) => !allowed.includes(axis)), id);
}

function growScan(builder: TensorBuilder, pool: ValueId[], source: Random): void {
  const { below, pick } = source;
  const region = new TensorBuilder(builder.axes, builder.ids);
  const stateAxes = someAxes(source, axes.map((axis) => axis.name));
  const type: TensorType = { dtype: 'real', axes: ['batch', 'time', ...stateAxes] };
  const parts = below(2) + 1;
  const states = (name: string): TensorValue[] => Array.from({ length: parts }, () => region.fresh(name, type));
  const operands = [pick(pool), pick(pool)].map((id) => within(builder, id, ['batch', 'time', ...stateAxes]));
  const parameters = operands.map((id) => region.fresh(builder.value(id).name, builder.typeOf(id)));
  const inner: ValueId[] = parameters.map((value) => value.id);
  const coefficient = (): Coefficient => {
    const value = region.unary('tanh', growElementwise(region, inner, source, 2));
    const narrowed = region.unary('negate', region.unary('softplus', within(region, value, type.axes)));
    return below(2) === 0 ? { kind: 'exponent', exponent: narrowed } : { kind: 'value', parts: Array.from({ length: parts }, () => narrowed) };
  };
  const stage = { coefficient: coefficient(), drive: Array.from({ length: parts }, () => parameters[0]!.id) };
  const initial = below(2) === 0 ? null : Array.from({ length: parts }, () => within(builder, pick(pool), ['batch', ...stateAxes]));
  const history: ScanHistory | null = below(2) === 0 ? null : {
    order: pick(['forward', 'reverse']), interval: below(5) + 1, checkpoints: [], previous: states('h_before'), current: states('h'),
    coefficient: coefficient(), drive: stage.drive, initial,
  };
  const form = pick(['decay-then-add', 'add-then-decay'] as const);
  const [previous, current] = [states('x_previous'), states('x')];
  inner.push(...[...previous, ...current, ...(history?.previous ?? [])].map((value) => value.id));
  const yields = Array.from({ length: below(3) + 1 }, () => {
    const value = growElementwise(region, inner, source, 3);
    return { value, sumOver: someAxes(source, region.typeOf(value).axes) };
  });
  const op: AffineScanOp = {
    kind: 'affine-scan', state: 'block.x', order: pick(['forward', 'reverse']), form, axes: stateAxes, operands, parameters,
    region: region.instructions, ...stage, release: form === 'add-then-decay' && below(2) === 0 ? stage.drive : null,
    previous, current, initial, history, yields, emitsFinal: below(2) === 0, checkpointInterval: below(2) === 0 ? null : below(9) + 1,
  };
  const known = [...parameters, ...previous, ...current, ...(history?.previous ?? []), ...region.instructions.flatMap((each) => each.results)];
  const { yields: made, finals } = builder.scan(op, new Map(known.map((value) => [value.id, value])));
  pool.push(...made, ...finals);
}

function growPlain(builder: TensorBuilder, pool: ValueId[], source: Random): void {
  const { pick, below } = source;
  const a = pick(pool);
  const timed = builder.broadcast(a, ['time']);
  const names = axes.map((axis) => axis.name);
  const kinds: readonly (() => ValueId)[] = [
    () => builder.reduce(pick(['sum', 'maximum']), someAxes(source, builder.typeOf(a).axes), a),
    () => builder.contract(a, builder.broadcast(pick(pool), ['D']), ['D']),
    () => builder.delay(timed, below(5) - 2),
    () => {
      const plain = builder.reduce('sum', ['odd name "]'], timed);
      const tail = builder.slide(plain, { from: 'time', to: 'odd name "]', steps: 0, lengths: 0 });
      return builder.delay(plain, below(3) + 1, { value: tail, axis: 'odd name "]' });
    },
    () => builder.last(timed),
    () => builder.slide(builder.reduce('sum', ['odd name "]'], timed), { from: 'time', to: 'odd name "]', steps: below(5) - 2, lengths: below(3) - 1 }),
    () => builder.atLast(builder.reduce('sum', ['time'], a)),
    () => builder.broadcast(a, [pick(names)]),
    () => builder.renameAxis(builder.reduce('sum', ['odd name "]'], a), 'D', 'odd name "]'),
    () => builder.gather(builder.broadcast(a, ['D']), 'D', pool[0]!),
    () => builder.scatterAdd(timed, 'D', pool[0]!, [...new Set(['batch', 'time', ...builder.typeOf(timed).axes.filter((axis) => axis === 'D')])]),
  ];
  pool.push(kinds[below(kinds.length)]!());
}

function randomFunction(name: string, ids: ValueIds, source: Random): TensorFunction {
  const builder = new TensorBuilder(axes, ids);
  const label = builder.argument({ role: 'input', subject: 'label', type: { dtype: 'index', axes: ['batch', 'time'] } });
  const pool: ValueId[] = ['u', 'weird "\n} = %3'].map((subject) =>
    builder.argument({ role: 'input', subject, type: { dtype: 'real', axes: ['batch', 'time', ...someAxes(source, ['D', 'block.N'])] } }));
  for (let step = 0; step < 6; step++) {
    growElementwise(builder, pool, source, 2);
    // pool[0] is the index of gathers and scatters while those grow
    const withIndex = [label, ...pool];
    growPlain(builder, withIndex, { ...source, pick: (items) => (items === (withIndex as readonly unknown[]) ? source.pick(items.slice(1)) : source.pick(items)) });
    pool.push(withIndex.at(-1)!);
    if (step % 3 === 2) growScan(builder, pool, source);
  }
  const results: FunctionResult[] = pool.slice(-4).map((value, at) => ({ role: 'output', subject: `y${at}`, part: 'whole', value }));
  return { name, instructions: builder.instructions, results };
}

export function randomModule(seed: number): TensorModule {
  const source = random(seed);
  const ids = new ValueIds();
  return { name: `random ${seed}`, axes, functions: [randomFunction('forward', ids, source), randomFunction('step', ids, source)] };
}
