/**
 * What the phases of a tiled scan share: sizes, places in memory, loops over the channels, states and
 * tokens of a tile, and where the code that is being emitted stands.
 */
import { invariant, required } from '../../support/invariant.ts';
import { add, extract, integer, KernelBuilder, literal, multiply, subtract } from '../kernel/builder.ts';
import type { KernelExpression, RegisterArray, VectorWidth } from '../kernel/nodes.ts';
import { operandsOf } from '../tensor/walk.ts';
import { splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { toReal } from './elementwise.ts';
import { hasInnerAxis } from './region-plan.ts';
import { RegionValues, type InnerSite } from './region-values.ts';
import { ScanThread, type PassRoots } from './scan-thread.ts';
import { storeValue, timeOfVisit, type ScanRequest, type YieldTarget } from './scan-request.ts';
import type { SequentialParameters } from './parameters.ts';
import { planTile, type TileValues } from './tile-values.ts';

/** Tokens of a tile where no checkpoints prescribe them. */
const defaultTile = 64;
/** Vectors of state that stay in registers. */
const stateVectors = 4;

export type Vector = { readonly axis: string; readonly width: VectorWidth } | null;

/** Tile that is being emitted: its first visit and number of tokens. */
export type Tile = { readonly begin: KernelExpression; readonly count: KernelExpression };

/** Sizes and positions of one tiled scan. */
export class TileFrame {
  readonly request: ScanRequest;
  readonly parameters: SequentialParameters;
  readonly builder: KernelBuilder = new KernelBuilder();
  /** emits one channel, its inner axis in vectors */
  readonly narrow: ScanThread;
  readonly full: PassRoots;
  readonly replay: PassRoots | null;
  readonly values: TileValues;
  readonly tile: number;
  readonly blockChannels: number;
  /** inner vectors in all, and those walked over at once */
  readonly steps: number;
  readonly pieceSteps: number;
  start: Coordinates = new Map();
  /** first channel of the block */
  channel: KernelExpression = integer(0);
  /** null while a workgroup takes a single block */
  isFirstBlock: KernelExpression | null = null;
  /** where the channel and the piece of the states that are being emitted stand */
  lane: KernelExpression = integer(0);
  firstStep: KernelExpression = integer(0);

  constructor(request: ScanRequest, parameters: SequentialParameters) {
    this.request = request;
    this.parameters = parameters;
    const { plan } = request;
    const { innerWidth, lanes } = parameters;
    this.steps = plan.innerCount / innerWidth;
    invariant(Number.isInteger(this.steps), `inner size ${plan.innerCount} is no multiple of ${innerWidth}`);
    this.full = { recurrence: plan.recurrence, values: request.yields.map((each) => each.yielded.value) };
    this.pieceSteps = this.#choosePiece();
    this.narrow = new ScanThread(this.builder, plan, {
      lanes: 1, innerWidth, innerSteps: this.pieceSteps, unroll: true, site: (step) => this.site(add(this.firstStep, step), step),
    }, request.memory);
    this.replay = plan.history !== null && this.#readsHistory() ? { recurrence: plan.history, values: [] } : null;
    this.values = planTile(plan, this.replay === null ? [this.full] : [this.full, this.replay], (roots) => this.narrow.liveFor(roots));
    this.tile = request.checkpoints?.interval ?? (this.replay === null ? defaultTile : required(plan.op.history, 'history').interval);
    const [most, count] = [parameters.groupChannels, plan.channelCount];
    this.blockChannels = [4, 2, 1].map((factor) => factor * lanes).find((each) => count % each === 0 && most % each === 0) ?? lanes;
  }

  #choosePiece(): number {
    const { plan } = this.request;
    if (plan.loopCount > 1) return this.steps;
    const most = Math.max(1, Math.floor(stateVectors / plan.recurrence.current.length));
    for (let piece = Math.min(most, this.steps); piece > 1; piece--) if (this.steps % piece === 0) return piece;
    return 1;
  }

  #readsHistory(): boolean {
    const { history } = this.request.plan;
    const replayed = new Set([...(history?.previous ?? []), ...(history?.current ?? [])].map((value) => value.id));
    const operands = this.narrow.liveFor(this.full).flatMap((each) => operandsOf(each.op));
    return [...operands, ...this.full.values].some((id) => replayed.has(id));
  }

  /** Where a step stands: its number in the piece and the coordinates of the inner axes. */
  site(absolute: KernelExpression, step: KernelExpression): InnerSite {
    return { step, coordinates: splitIndex(this.builder, multiply(absolute, integer(this.parameters.innerWidth)), this.request.plan.inner) };
  }

  /** Batch, group, split and the channel axes' coordinates of a channel. */
  at(channel: KernelExpression): Coordinates {
    return withCoordinates(this.start, splitIndex(this.builder, channel, this.request.plan.channels));
  }

  /** Emits values with channels side by side; one for each place in the code, since it remembers names. */
  wide(): RegionValues {
    const { plan, memory } = this.request;
    const { lanes, innerWidth } = this.parameters;
    return new RegionValues({ builder: this.builder, plan, memory, lanes, innerWidth, innerSteps: this.steps });
  }

  /** The last inner axis in vectors. */
  get innerVector(): Vector {
    return { axis: required(this.request.plan.inner.at(-1), 'inner axis').name, width: this.parameters.innerWidth };
  }

  /** The last channel axis in vectors. */
  get channelVector(): Vector {
    return { axis: required(this.request.plan.channels.at(-1), 'channel axis').name, width: this.parameters.lanes };
  }

  /** Loop over the vectors of channels of a block. */
  eachVector(body: (vector: KernelExpression) => void): void {
    const count = this.blockChannels / this.parameters.lanes;
    if (count === 1) body(integer(0));
    else this.builder.for('v', { start: integer(0), end: integer(count) }, body);
  }

  /** Loop over the channels of a block and all steps of each; `slot` numbers them. */
  eachState(body: (slot: KernelExpression, site: InnerSite, at: Coordinates) => void): void {
    const builder = this.builder;
    builder.for('c', { start: integer(0), end: integer(this.blockChannels) }, (lane) => {
      const at = this.at(builder.let('channel', add(this.channel, lane)));
      builder.for('n', { start: integer(0), end: integer(this.steps) }, (step) => {
        const site = this.site(step, step);
        const slot = builder.let('slot', add(multiply(lane, integer(this.steps)), step));
        body(slot, site, withCoordinates(at, site.coordinates));
      });
    });
  }

  /** Loop over the tokens of a tile, forward or backward. */
  eachToken(tile: Tile, order: 'forward' | 'backward', body: (index: KernelExpression, time: KernelExpression) => void): void {
    const builder = this.builder;
    builder.for('i', { start: integer(0), end: tile.count }, (passed) => {
      const index = order === 'forward' ? passed : builder.let('index', subtract(subtract(tile.count, integer(1)), passed));
      body(index, timeOfVisit(builder, this.request.plan, order === 'forward' ? add(tile.begin, index) : builder.let('visit', add(tile.begin, index))));
    });
  }

  /** Whether a yield has inner axes. */
  isInner(each: YieldTarget): boolean {
    return hasInnerAxis(this.request.plan, each.yielded.value);
  }

  /** Stores a value of all lanes to neighbouring elements, or one value; flags as numbers. */
  spread(array: RegisterArray, at: KernelExpression, value: KernelExpression, perChannel: boolean): void {
    const number = toReal(value);
    if (!perChannel) this.builder.setElement(array, at, number);
    else for (let lane = 0; lane < this.parameters.lanes; lane++) this.builder.setElement(array, add(at, integer(lane)), extract(number, lane));
  }

  /** Sets the first elements of an array to zero. */
  clear(array: RegisterArray, length: KernelExpression): void {
    this.builder.for('k', { start: integer(0), end: length }, (index) => this.builder.setElement(array, index, literal(0, array.type)));
  }

  /** Adds to what earlier blocks of this workgroup wrote; the first one overwrites. */
  storeShared(target: MemoryReference, at: Coordinates, value: KernelExpression, vector: Vector): void {
    const bound = this.builder.let('sum', value);
    if (this.isFirstBlock === null) {
      storeValue(this.builder, target, at, bound, vector);
      return;
    }
    this.builder.if(
      this.isFirstBlock,
      () => storeValue(this.builder, target, at, bound, vector, 'initialise'),
      () => storeValue(this.builder, target, at, bound, vector, 'accumulate'),
    );
  }
}
