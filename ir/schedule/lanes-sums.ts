/**
 * Per-token sums over the channels of a workgroup (dB, dC of a selective scan). Each thread brings one
 * value per state and sum.
 *
 * shuffle: inside 32 neighbouring threads by a transposing reduction: at each step a thread gives away
 * half of its values and adds what it receives to the other half, so m values over k channels cost
 * about m exchanges instead of m·log2 k. The sums of the 32-thread rows meet in shared memory and are
 * added and stored once per tile. Where there is room for all values of a tile, `LanesTileSums` does without exchanges.
 * shared: all values go through shared memory at every token (targets without register exchange).
 */
import { required } from '../../support/invariant.ts';
import { add, binary, builtin, divide, element, integer, less, literal, loadShared, multiply, remainder, select, shuffleXor, variable, type KernelBuilder } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray, type SharedArray } from '../kernel/nodes.ts';
import { splitIndex, withCoordinates, type Coordinates } from './access.ts';
import type { Tile } from './lanes-frame.ts';
import type { LanesParameters } from './parameters.ts';
import type { RegionPlan } from './region-plan.ts';
import type { InnerSite } from './region-values.ts';
import { storeValue, timeOfVisit, type YieldTarget } from './scan-request.ts';

const rowSize = 32;

/** Sums over the channels of a workgroup, per token. */
export type ChannelSums = {
  /** Takes a thread's value of one state at this token. */
  readonly add: (target: YieldTarget, site: InnerSite, value: KernelExpression) => void;
  /** Called when the thread has brought all values of a token. */
  readonly finishToken: (index: KernelExpression) => void;
  /** Stores the tile's sums, after a barrier. */
  readonly storeTile: (tile: Tile, coordinates: Coordinates) => void;
};

export class LanesSums implements ChannelSums {
  readonly #builder: KernelBuilder;
  readonly #plan: RegionPlan;
  readonly #parameters: LanesParameters;
  readonly #targets: readonly YieldTarget[];
  readonly #steps: number;
  readonly #rows: number;
  readonly #values: readonly RegisterArray[];
  /** token × row × (value, lane) */
  readonly #sums: SharedArray | null;
  readonly #exchange: SharedArray | null;

  constructor(builder: KernelBuilder, plan: RegionPlan, parameters: LanesParameters, targets: readonly YieldTarget[]) {
    this.#builder = builder;
    this.#plan = plan;
    this.#parameters = parameters;
    this.#targets = targets;
    this.#steps = plan.innerCount / parameters.lanes;
    this.#rows = parameters.channelSums !== 'shared' ? parameters.workgroupSize / rowSize : 1;
    const count = targets.length * this.#steps;
    const isUsed = targets.length > 0;
    this.#values = targets.map((each) => builder.array(`${plan.names.get(each.yielded.value) ?? 'sum'}_own`, f32, this.#steps));
    this.#sums = isUsed ? builder.shared('channel_sums', f32, parameters.tile * this.#rows * count * parameters.lanes) : null;
    this.#exchange = isUsed && parameters.channelSums === 'shared' ? builder.shared('exchange', f32, parameters.workgroupSize * count) : null;
  }

  add(target: YieldTarget, site: InnerSite, value: KernelExpression): void {
    this.#builder.setElement(required(this.#values[this.#targets.indexOf(target)], 'channel sum'), site.step, value);
  }

  /** Reduces the token's values over the channels of the workgroup. */
  finishToken(index: KernelExpression): void {
    if (this.#sums === null) return;
    const values = this.#values.flatMap((array) => Array.from({ length: this.#steps }, (_, step) => element(array, integer(step))));
    if (this.#exchange === null) this.#shuffle(index, values, this.#sums);
    else this.#throughShared(index, values, this.#exchange, this.#sums);
  }

  #lane(): KernelExpression {
    return remainder(builtin('invocation'), integer(this.#parameters.lanes));
  }

  /** Place of value `value` of this lane in the sums of a token and row. */
  #place(index: KernelExpression, row: KernelExpression, value: KernelExpression, lane: KernelExpression): KernelExpression {
    const count = this.#targets.length * this.#steps;
    const first = add(multiply(index, integer(this.#rows)), row);
    return add(multiply(add(multiply(first, integer(count)), value), integer(this.#parameters.lanes)), lane);
  }

  #shuffle(index: KernelExpression, values: readonly KernelExpression[], sums: SharedArray): void {
    const builder = this.#builder;
    const { lanes } = this.#parameters;
    let held = values.map((value) => builder.let('own', value));
    let offset: KernelExpression = integer(0);
    let isHolder: KernelExpression | null = null;
    for (let mask = lanes; mask < rowSize; mask *= 2) {
      const isUpper = builder.let('upper', binary('not-equal', binary('bit-and', builtin('invocation'), integer(mask)), integer(0)));
      if (held.length % 2 === 0) {
        const half = held.length / 2;
        held = Array.from({ length: half }, (_, at) => {
          const [low, high] = [required(held[at], 'value'), required(held[at + half], 'value')];
          const sent = builder.let('sent', select(isUpper, low, high));
          return builder.let('held', add(select(isUpper, high, low), shuffleXor(sent, mask)));
        });
        offset = builder.let('offset', add(offset, select(isUpper, integer(half), integer(0))));
      } else {
        held = held.map((value) => builder.let('held', add(value, shuffleXor(value, mask))));
        const isLower = binary('equal', binary('bit-and', builtin('invocation'), integer(mask)), integer(0));
        isHolder = isHolder === null ? isLower : binary('and', isHolder, isLower);
      }
    }
    const row = divide(builtin('invocation'), integer(rowSize));
    const store = (): void => held.forEach((value, at) => builder.storeShared(sums, this.#place(index, row, add(offset, integer(at)), this.#lane()), value));
    if (isHolder === null) store();
    else builder.if(isHolder, store);
  }

  #throughShared(index: KernelExpression, values: readonly KernelExpression[], exchange: SharedArray, sums: SharedArray): void {
    const builder = this.#builder;
    const { workgroupSize, lanes } = this.#parameters;
    const count = values.length;
    values.forEach((value, at) => builder.storeShared(exchange, add(multiply(integer(at), integer(workgroupSize)), builtin('invocation')), value));
    builder.barrier();
    const total = count * lanes;
    const passes = Math.ceil(total / workgroupSize);
    builder.for('pass', { start: integer(0), end: integer(passes) }, (pass) => {
      const place = builder.let('place', add(multiply(pass, integer(workgroupSize)), builtin('invocation')));
      builder.if(less(place, integer(total)), () => {
        const [value, lane] = [builder.let('value', divide(place, integer(lanes))), builder.let('lane', remainder(place, integer(lanes)))];
        const sum = builder.var('sum', literal(0));
        builder.for('c', { start: integer(0), end: integer(workgroupSize / lanes) }, (channel) => {
          const from = add(multiply(value, integer(workgroupSize)), add(multiply(channel, integer(lanes)), lane));
          builder.assign(sum, add(variable(sum), loadShared(exchange, from)));
        });
        builder.storeShared(sums, this.#place(index, integer(0), value, lane), variable(sum));
      });
    });
    builder.barrier();
  }

  /** Adds the rows and stores the tile's sums, one thread per token, sum and state. */
  storeTile(tile: Tile, coordinates: Coordinates): void {
    const sums = this.#sums;
    if (sums === null) return;
    const builder = this.#builder;
    const { workgroupSize, tile: tokens } = this.#parameters;
    const { innerCount } = this.#plan;
    const size = tokens * innerCount;
    const passes = Math.ceil(size / workgroupSize);
    builder.comment('sums over the channels of this group');
    builder.for('pass', { start: integer(0), end: integer(passes) }, (pass) => {
      const place = builder.let('place', add(multiply(pass, integer(workgroupSize)), builtin('invocation')));
      const index = builder.let('i', divide(place, integer(innerCount)));
      builder.if(less(index, tile.count), () => {
        const inner = builder.let('inner', remainder(place, integer(innerCount)));
        const lane = builder.let('lane', divide(inner, integer(this.#steps)));
        const step = remainder(inner, integer(this.#steps));
        const time = timeOfVisit(builder, this.#plan, builder.let('visit', add(tile.base, index)));
        const at = withCoordinates(coordinates, [...splitIndex(builder, inner, this.#plan.inner), ['time', time]]);
        this.#targets.forEach((each, sink) => {
          const value = builder.let('value', add(step, integer(sink * this.#steps)));
          const parts = Array.from({ length: this.#rows }, (_, row) => loadShared(sums, this.#place(index, integer(row), value, lane)));
          storeValue(builder, each.target, at, parts.reduce((left, right) => add(left, right)), null);
        });
      });
    });
  }
}
