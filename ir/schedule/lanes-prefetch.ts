/**
 * Loads of the next tile in flight while this one is computed, in schedule `lanes`: what the
 * cooperative phases read from global memory (streams per channel, values that all channels share)
 * is loaded one tile ahead into registers. What the last phase of a tile needs again is held.
 */
import { required } from '../../support/invariant.ts';
import { element, integer, loadEarly } from '../kernel/builder.ts';
import { withWidth, type KernelExpression, type RegisterArray, type VectorWidth } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, withCoordinates } from './access.ts';
import { loadStagedValue, overRows, overStaged, stagedPasses, stagedWidth, type LanesFrame, type Placement, type Tile } from './lanes-frame.ts';
import { hasInnerAxis, variesInTime, type RegionPlan } from './region-plan.ts';

/** Values per token and channel that the computation of `roots` reads, the roots among them, short of `known` ones. */
export function scalarsBehind(plan: RegionPlan, roots: readonly ValueId[], known: ReadonlySet<ValueId> = new Set()): ReadonlySet<ValueId> {
  const seen = new Set<ValueId>();
  const stack = [...roots];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (seen.has(id) || known.has(id) || !variesInTime(plan, id) || hasInnerAxis(plan, id)) continue;
    seen.add(id);
    const definition = plan.definitions.get(id);
    if (definition !== undefined && definition.op.kind !== 'reduce') stack.push(...operandsOf(definition.op));
  }
  return seen;
}

/** Region parameters among them, which are loaded. */
export function streamsBehind(plan: RegionPlan, roots: readonly ValueId[], known: ReadonlySet<ValueId>): ReadonlySet<ValueId> {
  return new Set([...scalarsBehind(plan, roots, known)].filter((id) => plan.parameters.has(id)));
}

/** Registers that streams may take beside the replayed states of a tile: with more, Mamba's block spills on Ampere and Hopper. */
const streamRegisters = 40;

/**
 * The streams of the last phase that are held in registers beside those of the next tile: all, or as many as `rows`
 * registers each leave room for. The last phase loads the others again, from the cache.
 */
export function affordableStreams(early: ReadonlySet<ValueId>, late: ReadonlySet<ValueId>, rows: number): ReadonlySet<ValueId> {
  const held = new Set<ValueId>();
  for (const id of late) {
    const next = new Set([...early, ...held, id]);
    if ((next.size + held.size + 1) * rows <= streamRegisters) held.add(id);
  }
  return held;
}

export type PrefetchRequest = {
  readonly frame: LanesFrame;
  readonly cooperative: Placement;
  /** streams that the first phase reads */
  readonly early: ReadonlySet<ValueId>;
  /** streams that the last phase reads */
  readonly late: ReadonlySet<ValueId>;
  /** values that all channels share */
  readonly staged: readonly ValueId[];
  /** the last phase of a tile comes when the loads for the next are in flight: its streams are loaded a second time, later */
  readonly isOverlapped?: boolean;
};

/** Registers per stream, one per row of the thread. */
type Streams = ReadonlyMap<ValueId, RegisterArray>;

export class LanesPrefetch {
  readonly #request: PrefetchRequest;
  readonly #next = new Map<ValueId, RegisterArray>();
  /** streams of the last phase: held since the first, or loaded for it */
  readonly #held = new Map<ValueId, RegisterArray>();
  readonly #staged = new Map<ValueId, RegisterArray>();

  constructor(request: PrefetchRequest) {
    this.#request = request;
    const { frame, early, late, staged, isOverlapped } = request;
    for (const id of new Set([...early, ...(isOverlapped === true ? [] : late)])) this.#next.set(id, this.#declare(id, 'next', frame.rows));
    for (const id of late) this.#held.set(id, this.#declare(id, 'held', frame.rows));
    for (const id of staged) this.#staged.set(id, this.#declare(id, 'next', stagedPasses(frame), stagedWidth(frame.parameters)));
  }

  #declare(id: ValueId, suffix: string, length: number, width: VectorWidth = 1): RegisterArray {
    const { builder, plan } = this.#request.frame;
    const probe = loadValue(builder, this.#memory(id), this.#probeCoordinates(id));
    return builder.array(`${required(plan.names.get(id), 'name')}_${suffix}`, withWidth(probe.type, width), length);
  }

  /** Any coordinates: only the type of the load is wanted. */
  #probeCoordinates(id: ValueId): ReadonlyMap<string, KernelExpression> {
    const { cooperative } = this.#request;
    const zero = required(cooperative.coordinates.get('batch'), 'batch');
    return new Map(this.#memory(id).tensor.axes.map((axis) => [axis, cooperative.coordinates.get(axis) ?? zero]));
  }

  #memory(id: ValueId): ReturnType<LanesFrame['request']['memory']> {
    const { plan, request } = this.#request.frame;
    return request.memory(required(plan.op.operands[required(plan.parameters.get(id), 'parameter')], 'operand'));
  }

  /** Issues the loads of the whole tile at `base`. */
  load(base: KernelExpression): void {
    this.loadEarly(base);
    this.loadStaged(base);
  }

  /** Issues the loads that the first phase of the tile at `base` needs of its rows. */
  loadEarly(base: KernelExpression): void {
    this.#loadRows(this.#next, base);
  }

  /** Issues the loads that only the last phase of the tile at `base` needs, where phases overlap. */
  loadLate(base: KernelExpression): void {
    this.#loadRows(this.#held, base);
  }

  /**
   * Issues the loads for a first and a last phase while earlier tiles' values are still needed; the result
   * takes them over.
   */
  loadBeside({ early, late }: { early: KernelExpression; late: KernelExpression }): () => void {
    const { builder, rows } = this.#request.frame;
    const beside = (arrays: Streams): Streams => new Map([...arrays.keys()].map((id) => [id, this.#declare(id, 'incoming', rows)]));
    const [next, held] = [beside(this.#next), beside(this.#held)];
    this.#loadRows(next, early);
    this.#loadRows(held, late);
    const take = (into: Streams, from: Streams): void => {
      for (const [id, array] of into) {
        builder.for('pass', { start: integer(0), end: integer(rows), unroll: true }, (pass) => builder.setElement(array, pass, element(required(from.get(id), 'stream'), pass)));
      }
    };
    return () => {
      take(this.#next, next);
      take(this.#held, held);
    };
  }

  #wholeTile(base: KernelExpression): Tile {
    return { base, count: base, isWhole: true, slot: integer(0) };
  }

  #loadRows(arrays: Streams, base: KernelExpression): void {
    if (arrays.size === 0) return;
    const { frame: { builder }, frame, cooperative } = this.#request;
    overRows(frame, this.#wholeTile(base), ({ pass, time }) => {
      for (const [id, array] of arrays) {
        builder.setElement(array, pass, loadEarly(loadValue(builder, this.#memory(id), withCoordinates(cooperative.coordinates, [['time', time]]))));
      }
    });
  }

  /** Issues the loads of shared values for the tile at `base`. */
  loadStaged(base: KernelExpression): void {
    const { frame, frame: { builder } } = this.#request;
    if (this.#staged.size === 0) return;
    overStaged(frame, this.#wholeTile(base), (at) => {
      for (const [id, array] of this.#staged) builder.setElement(array, at.pass, loadEarly(loadStagedValue(frame, this.#memory(id), at)));
    });
  }

  /** Keeps a row of the tile for its last phase. */
  hold(pass: KernelExpression): void {
    const { frame: { builder }, isOverlapped } = this.#request;
    if (isOverlapped === true) return;
    for (const [id, array] of this.#held) builder.setElement(array, pass, element(required(this.#next.get(id), 'stream'), pass));
  }

  /** A stream's value in this thread's row, in the first phase. */
  early(id: ValueId, pass: KernelExpression): KernelExpression | null {
    const array = this.#next.get(id);
    return array === undefined ? null : element(array, pass);
  }

  /** The same in the last phase. */
  late(id: ValueId, pass: KernelExpression): KernelExpression | null {
    const array = this.#held.get(id);
    return array === undefined ? null : element(array, pass);
  }

  /** A shared value at this thread's place. */
  staged(id: ValueId, pass: KernelExpression): KernelExpression {
    return element(required(this.#staged.get(id), 'staged value'), pass);
  }
}
