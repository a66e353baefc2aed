/**
 * Per-token sums over the channels of a workgroup (dB, dC of a selective scan) for a whole tile at once: each
 * thread leaves its values in shared memory, as vectors, and when the tile is done a few threads add up each sum and
 * store it. That takes more shared memory than exchanging registers at every token (`LanesSums`), but fewer than half
 * the instructions: nothing is selected, and no sum is stored and loaded again.
 *
 * A row of the table holds what the threads of the same channels bring to a token: sum × inner axis. Rows
 * are rotated by their number, so that the threads of neighbouring channels meet no bank twice.
 */
import { add, binary, builtin, compose, divide, element, extract, integer, less, loadShared, minimum, multiply, remainder, shuffleXor, subtract } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray, type SharedArray, type VectorWidth } from '../kernel/nodes.ts';
import { required } from '../../support/invariant.ts';
import { splitIndex, withCoordinates, type Coordinates } from './access.ts';
import { vectorFor, type LanesFrame, type Tile } from './lanes-frame.ts';
import type { ChannelSums } from './lanes-sums.ts';
import type { LanesParameters } from './parameters.ts';
import type { RegionPlan } from './region-plan.ts';
import type { InnerSite } from './region-values.ts';
import { storeValue, timeOfVisit, type YieldTarget } from './scan-request.ts';

/** Rows of a token: one per group of threads that share their channels. */
function rowsOf({ workgroupSize, lanes }: LanesParameters): number {
  return workgroupSize / lanes;
}

/** Numbers in shared memory for so many sums per token. */
export function tileSumsLength(parameters: LanesParameters, innerCount: number, sums: number): number {
  return parameters.tile * rowsOf(parameters) * sums * innerCount;
}

/** Whether a thread's values go to memory as vectors, for which the table is laid out. */
export function suitsTileSums(plan: RegionPlan, steps: number): boolean {
  const width = vectorFor(steps);
  return width > 1 && (plan.inner.at(-1)?.size ?? 1) % width === 0;
}

export class LanesTileSums implements ChannelSums {
  readonly #frame: LanesFrame;
  readonly #targets: readonly YieldTarget[];
  readonly #values: readonly RegisterArray[];
  readonly #table: SharedArray;
  /** neighbours of the inner axis that are added and stored together */
  readonly #width: VectorWidth;

  constructor(frame: LanesFrame, targets: readonly YieldTarget[]) {
    const { builder, plan, parameters, steps } = frame;
    this.#frame = frame;
    this.#targets = targets;
    this.#width = vectorFor(steps);
    this.#values = targets.map((each) => builder.array(`${plan.names.get(each.yielded.value) ?? 'sum'}_own`, f32, steps));
    this.#table = builder.shared('channel_sums', f32, tileSumsLength(parameters, plan.innerCount, targets.length));
  }

  add(target: YieldTarget, site: InnerSite, value: KernelExpression): void {
    this.#frame.builder.setElement(required(this.#values[this.#targets.indexOf(target)], 'channel sum'), site.step, value);
  }

  /** Place of a number of the inner axis in a row of a token. */
  #place(index: KernelExpression, row: KernelExpression, sum: KernelExpression, inner: KernelExpression): KernelExpression {
    const { plan: { innerCount }, parameters } = this.#frame;
    const rotated = remainder(add(sum, row), integer(this.#targets.length));
    const rows = add(multiply(index, integer(rowsOf(parameters))), row);
    return add(multiply(add(multiply(rows, integer(this.#targets.length)), rotated), integer(innerCount)), inner);
  }

  finishToken(index: KernelExpression): void {
    const { builder, parameters: { lanes }, steps } = this.#frame;
    const own = builtin('invocation');
    const first = multiply(remainder(own, integer(lanes)), integer(steps));
    this.#values.forEach((array, sum) => {
      const place = builder.let('place', this.#place(index, divide(own, integer(lanes)), integer(sum), first));
      for (let step = 0; step < steps; step += this.#width) {
        const value = compose(Array.from({ length: this.#width }, (_, at) => element(array, integer(step + at))));
        builder.storeShared(this.#table, add(place, integer(step)), value);
      }
    });
  }

  /** Threads that share a vector of sums: as many as there are for each, but no more than exchange registers or than there are rows. */
  #parts(): number {
    const { parameters, plan } = this.#frame;
    const vectors = (parameters.tile * this.#targets.length * plan.innerCount) / this.#width;
    let parts = 1;
    while (2 * parts * vectors <= parameters.workgroupSize && rowsOf(parameters) % (2 * parts) === 0 && parts < 16) parts *= 2;
    return parts;
  }

  storeTile(tile: Tile, coordinates: Coordinates): void {
    const { builder, plan, parameters } = this.#frame;
    const { workgroupSize } = parameters;
    const parts = this.#parts();
    const perToken = (this.#targets.length * plan.innerCount) / this.#width;
    const total = parameters.tile * perToken * parts;
    const isExact = tile.isWhole && total % workgroupSize === 0;
    builder.comment('sums over the channels of this group');
    builder.for('pass', { start: integer(0), end: integer(Math.ceil(total / workgroupSize)) }, (pass) => {
      const place = builder.let('place', divide(add(multiply(pass, integer(workgroupSize)), builtin('invocation')), integer(parts)));
      const index = builder.let('i', divide(place, integer(perToken)));
      const vector = builder.let('vector', multiply(remainder(place, integer(perToken)), integer(this.#width)));
      const sum = builder.let('sum', divide(vector, integer(plan.innerCount)));
      const inner = builder.let('inner', remainder(vector, integer(plan.innerCount)));
      const values = this.#addRows(parts, isExact ? index : minimum(index, subtract(tile.count, integer(1))), sum, inner);
      const isFirst = binary('equal', remainder(builtin('invocation'), integer(parts)), integer(0));
      builder.if(binary('and', isFirst, less(index, tile.count)), () => {
        const time = timeOfVisit(builder, plan, builder.let('visit', add(tile.base, index)));
        this.#store(sum, withCoordinates(coordinates, [...splitIndex(builder, inner, plan.inner), ['time', time]]), values);
      });
    });
  }

  /** A vector of sums of a token, in each of the threads that share it. */
  #addRows(parts: number, token: KernelExpression, sum: KernelExpression, inner: KernelExpression): readonly KernelExpression[] {
    const { builder, parameters } = this.#frame;
    const part = builder.let('part', remainder(builtin('invocation'), integer(parts)));
    const loaded = Array.from({ length: rowsOf(parameters) / parts }, (_, at) =>
      builder.let('brought', loadShared(this.#table, this.#place(token, add(part, integer(at * parts)), sum, inner), this.#width)));
    const whole = builder.let('total', loaded.reduce((left, right) => add(left, right)));
    return Array.from({ length: this.#width }, (_, at) => {
      let value: KernelExpression = extract(whole, at);
      for (let mask = 1; mask < parts; mask *= 2) value = builder.let('total', add(value, shuffleXor(value, mask)));
      return value;
    });
  }

  #store(sum: KernelExpression, at: Coordinates, values: readonly KernelExpression[]): void {
    const { builder, plan } = this.#frame;
    const vector = { axis: required(plan.inner.at(-1), 'inner axis').name, width: this.#width };
    this.#targets.forEach((each, number) => builder.if(binary('equal', sum, integer(number)), () => storeValue(builder, each.target, at, compose(values), vector)));
  }
}
