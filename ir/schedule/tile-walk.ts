/**
 * The middle phase of a tiled scan: one channel after the other walks over the tile's tokens with its
 * states, rates and sums in registers. Descending scans replay the channel's forward states first,
 * keeping them and the decays, and walk back over them.
 */
import { required } from '../../support/invariant.ts';
import { add, element, horizontalAdd, integer, multiply, splat, variable } from '../kernel/builder.ts';
import { f32, withWidth, type KernelExpression, type RegisterArray } from '../kernel/nodes.ts';
import { checkpointAxis, type ValueId } from '../tensor/ops.ts';
import { loadValue, withCoordinates, type Coordinates } from './access.ts';
import { hasChannelAxis, type Recurrence } from './region-plan.ts';
import type { InnerSite } from './region-values.ts';
import type { InnerSink, PassRoots, StateStore } from './scan-thread.ts';
import { storeValue, type YieldTarget } from './scan-request.ts';
import type { Tile, TileFrame } from './tile-frame.ts';
import type { HistoryTile, Registers, TileStore } from './tile-store.ts';

type InnerYield = {
  readonly store: TileStore;
  readonly registers: Registers;
  readonly each: YieldTarget;
  readonly site: InnerSite;
  readonly index: KernelExpression;
  readonly time: KernelExpression;
};

/** One channel's walk over one tile. */
type ChannelTile = {
  readonly store: TileStore;
  readonly registers: Registers;
  readonly tile: Tile;
  readonly at: Coordinates;
  /** number of the tile's checkpoint */
  readonly chunk: KernelExpression;
};

/** Emits the walks of a block's channels over a tile. */
export class TileWalk {
  readonly #frame: TileFrame;

  constructor(frame: TileFrame) {
    this.#frame = frame;
  }

  /** One channel after the other over the tile's tokens, states in registers. */
  walkChannels(store: TileStore, tile: Tile, chunk: KernelExpression): void {
    const builder = this.#frame.builder;
    const { plan } = this.#frame.request;
    builder.comment('one channel after the other over the tokens of this tile');
    builder.for('c', { start: integer(0), end: integer(this.#frame.blockChannels) }, (lane) => {
      this.#frame.lane = lane;
      const at = this.#frame.at(builder.let('channel', add(this.#frame.channel, lane)));
      this.#frame.narrow.values.place(at);
      const pieces = this.#frame.steps / this.#frame.pieceSteps;
      const body = (firstStep: KernelExpression): void => {
        this.#frame.firstStep = firstStep;
        const registers = this.#openRegisters(store, at, chunk);
        if (plan.direction === 'ascending') this.#frame.eachToken(tile, 'forward', (index, time) => this.#token(store, registers, index, time));
        else this.#walkBack({ store, registers, tile, at, chunk });
        this.#closeRegisters(store, registers);
      };
      if (pieces === 1) body(integer(0));
      else builder.for('piece', { start: integer(0), end: integer(pieces) }, (each) => body(builder.let('first', multiply(each, integer(this.#frame.pieceSteps)))));
    });
  }

  /** Place of a step of the channel in the block's states. */
  #slot(step: KernelExpression): KernelExpression {
    return add(add(multiply(this.#frame.lane, integer(this.#frame.steps)), this.#frame.firstStep), step);
  }

  /** States, fixed values and running sums of the channel, from the block's memory into registers. */
  #openRegisters(store: TileStore, at: Coordinates, chunk: KernelExpression): Registers {
    const builder = this.#frame.builder;
    const { checkpoints, plan } = this.#frame.request;
    const inner = withWidth(f32, this.#frame.parameters.innerWidth);
    const local = (name: string): RegisterArray => builder.array(name, inner, this.#frame.pieceSteps);
    const registers: Registers = {
      state: plan.recurrence.current.map((value) => local(value.name)),
      fixedInner: new Map([...store.fixedInner].map(([id, array]) => [id, local(array.name.replace(/_block$/, ''))])),
      fixedPowers: new Map([...store.fixedPowers].map(([id]) => [id, local('decay')])),
      fixedScalars: new Map([...store.stagedFixed].map(([id, array]) =>
        [id, builder.let(required(plan.names.get(id), 'name'), element(array, hasChannelAxis(plan, id) ? this.#frame.lane : integer(0)))])),
      totals: new Map([...store.totals].filter(([each]) => this.#frame.isInner(each) && each.sumsTime).map(([each, array]) => [each, local(array.name)])),
    };
    this.#frame.narrow.eachStep((site) => {
      const slot = this.#slot(site.step);
      registers.state.forEach((array, part) => builder.setElement(array, site.step, element(required(store.state[part], 'state'), slot)));
      registers.fixedInner.forEach((array, id) => builder.setElement(array, site.step, element(required(store.fixedInner.get(id), 'fixed'), slot)));
      registers.fixedPowers.forEach((array, id) => builder.setElement(array, site.step, element(required(store.fixedPowers.get(id), 'power'), slot)));
      registers.totals.forEach((array, each) => builder.setElement(array, site.step, element(required(store.totals.get(each), 'sum'), this.#totalSlot(each, site.step))));
      checkpoints?.targets.forEach((target, part) => storeValue(builder, target,
        withCoordinates(at, [...site.coordinates, [checkpointAxis(checkpoints.interval), chunk]]), element(required(registers.state[part], 'state'), site.step), this.#frame.innerVector));
    });
    return registers;
  }

  #totalSlot(each: YieldTarget, step: KernelExpression): KernelExpression {
    return each.sumsChannels ? add(this.#frame.firstStep, step) : this.#slot(step);
  }

  #closeRegisters(store: TileStore, registers: Registers): void {
    const builder = this.#frame.builder;
    this.#frame.narrow.eachStep((site) => {
      registers.state.forEach((array, part) => builder.setElement(required(store.state[part], 'state'), this.#slot(site.step), element(array, site.step)));
      registers.totals.forEach((array, each) => builder.setElement(required(store.totals.get(each), 'sum'), this.#totalSlot(each, site.step), element(array, site.step)));
    });
  }

  #stateStore(registers: Registers): StateStore {
    const at = (part: number): RegisterArray => required(registers.state[part], 'state');
    return {
      read: (part, _lane, step) => element(at(part), step),
      write: (part, _lane, step, value) => this.#frame.builder.setElement(at(part), step, splat(value, this.#frame.parameters.innerWidth)),
    };
  }

  /** Points the narrow thread's values at registers and at what was staged for the token. */
  #beginToken(store: TileStore, registers: Registers, index: KernelExpression, time: KernelExpression): void {
    const { values } = this.#frame.narrow;
    values.beginToken(time);
    values.overrideScalars((id) => {
      const staged = store.staged.get(id);
      if (staged !== undefined) return element(staged, this.#stagedSlot(id, index));
      return registers.fixedScalars.get(id) ?? null;
    });
    values.readStates((id) => {
      const fixed = registers.fixedInner.get(id);
      return fixed === undefined ? null : element(fixed, values.step());
    });
    values.readPowers(this.#powersAt(store, registers, index));
  }

  /** Where a channel and token stand in what is staged for a tile. */
  #stagedSlot(id: ValueId, index: KernelExpression): KernelExpression {
    const isPerChannel = hasChannelAxis(this.#frame.request.plan, id);
    return isPerChannel ? add(multiply(index, integer(this.#frame.blockChannels)), this.#frame.lane) : index;
  }

  #powersAt(store: TileStore, registers: Registers, index: KernelExpression): (id: ValueId) => KernelExpression | null {
    return (id) => {
      const staged = store.stagedPowers.get(id);
      if (staged !== undefined) return element(staged, this.#stagedSlot(id, index));
      const fixed = registers.fixedPowers.get(id);
      return fixed === undefined ? null : element(fixed, this.#frame.narrow.values.step());
    };
  }

  #token(store: TileStore, registers: Registers, index: KernelExpression, time: KernelExpression): void {
    this.#beginToken(store, registers, index, time);
    this.#runFull(store, registers, index, time);
  }

  #runFull(store: TileStore, registers: Registers, index: KernelExpression, time: KernelExpression): void {
    const builder = this.#frame.builder;
    const { values } = this.#frame.narrow;
    this.#frame.narrow.finishSum = (id, sums) => {
      const total = builder.let(required(this.#frame.request.plan.names.get(id), 'name'), horizontalAdd(variable(required(sums[0], 'sum'))));
      values.setScalar(id, total);
      const array = store.sums.get(id);
      if (array === undefined) return;
      const slot = add(multiply(index, integer(this.#frame.blockChannels)), this.#frame.lane);
      builder.setElement(array, slot, this.#frame.pieceSteps < this.#frame.steps ? add(element(array, slot), total) : total);
    };
    const sinks = this.#frame.request.yields.filter((each) => this.#frame.isInner(each)).map((each): InnerSink => ({
      value: each.yielded.value,
      consume: (site, [value]) => this.#consumeInner({ store, registers, each, site, index, time }, required(value, 'lane')),
    }));
    this.#frame.narrow.runToken(this.#frame.full, this.#stateStore(registers), sinks);
  }

  #consumeInner({ store, registers, each, site, index, time }: InnerYield, given: KernelExpression): void {
    const builder = this.#frame.builder;
    const value = splat(given, this.#frame.parameters.innerWidth);
    const inRegister = registers.totals.get(each);
    if (inRegister !== undefined) {
      builder.setElement(inRegister, site.step, add(element(inRegister, site.step), value));
      return;
    }
    const total = store.totals.get(each);
    if (total !== undefined) {
      const slot = add(multiply(index, integer(this.#frame.steps)), add(this.#frame.firstStep, site.step));
      builder.setElement(total, slot, add(element(total, slot), value));
      return;
    }
    const at = this.#frame.at(builder.let('channel', add(this.#frame.channel, this.#frame.lane)));
    storeValue(builder, each.target, withCoordinates(at, [...site.coordinates, ['time', time]]), value, this.#frame.innerVector);
  }

  /** Replays a channel's forward states over the tile, then walks back. */
  #walkBack(channel: ChannelTile): void {
    const { store, registers, tile } = channel;
    const history = store.historyTile;
    if (history === null) {
      this.#frame.eachToken(tile, 'backward', (index, time) => this.#token(store, registers, index, time));
      return;
    }
    const replay = required(this.#frame.replay, 'replay');
    this.#replayTile(channel, history, replay);
    this.#frame.eachToken(tile, 'backward', (index, time) => {
      this.#beginToken(store, registers, index, time);
      this.#readHistory(channel, history, replay.recurrence, index);
      this.#runFull(store, registers, index, time);
    });
  }

  #replayTile({ store, registers, tile, at, chunk }: ChannelTile, history: HistoryTile, replay: PassRoots): void {
    const builder = this.#frame.builder;
    const { innerWidth } = this.#frame.parameters;
    const { checkpoints, interval } = required(this.#frame.request.plan.op.history, 'history');
    builder.comment('replay the forward states of this tile from its checkpoint');
    const running = replay.recurrence.current.map((value) => builder.array(value.name, withWidth(f32, innerWidth), this.#frame.pieceSteps));
    const keep = (part: number, tokens: KernelExpression, step: KernelExpression, value: KernelExpression): void =>
      builder.setElement(required(history.states[part], 'history'), this.#historySlot(tokens, step), value);
    this.#frame.narrow.eachStep((site) => checkpoints.forEach((id, part) => {
      const from = withCoordinates(at, [...site.coordinates, [checkpointAxis(interval), chunk]]);
      const value = builder.let('checkpoint', splat(loadValue(builder, this.#frame.request.memory(id), from, this.#frame.innerVector), innerWidth));
      builder.setElement(required(running[part], 'state'), site.step, value);
      keep(part, integer(0), site.step, value);
    }));
    this.#frame.eachToken(tile, 'forward', (index, time) => {
      this.#beginToken(store, registers, index, time);
      const state: StateStore = {
        read: (part, _lane, step) => element(required(running[part], 'state'), step),
        write: (part, _lane, step, value) => {
          const bound = builder.let('replayed', splat(value, innerWidth));
          builder.setElement(required(running[part], 'state'), step, bound);
          keep(part, add(index, integer(1)), step, bound);
          if (part === 0) this.#keepTransitions(history, index);
        },
      };
      this.#frame.narrow.runToken(replay, state, []);
    });
    builder.comment('walk back over the tile');
  }

  #historySlot(tokens: KernelExpression, step: KernelExpression): KernelExpression {
    return add(multiply(tokens, integer(this.#frame.pieceSteps)), step);
  }

  /** Keeps the transitions of a replayed token for the way back. */
  #keepTransitions(history: HistoryTile, index: KernelExpression): void {
    const { values } = this.#frame.narrow;
    for (const [id, array] of history.transitions) {
      const value = history.isPower ? values.power(id, 0) : values.inner(id, 0);
      this.#frame.builder.setElement(array, this.#historySlot(index, values.step()), splat(value, this.#frame.parameters.innerWidth));
    }
  }

  /** Makes the replayed states and transitions of a token readable. */
  #readHistory({ store, registers }: ChannelTile, history: HistoryTile, recurrence: Recurrence, index: KernelExpression): void {
    const { values } = this.#frame.narrow;
    const transition = (id: ValueId): KernelExpression | null => {
      const kept = history.transitions.get(id);
      return kept === undefined ? null : element(kept, this.#historySlot(index, values.step()));
    };
    const state = (id: ValueId): KernelExpression | null => {
      const before = recurrence.previous.findIndex((value) => value.id === id);
      const after = recurrence.current.findIndex((value) => value.id === id);
      const part = before >= 0 ? before : after;
      const tokens = before >= 0 ? index : add(index, integer(1));
      return part < 0 ? null : element(required(history.states[part], 'history'), this.#historySlot(tokens, values.step()));
    };
    const fixed = (id: ValueId): KernelExpression | null => {
      const array = registers.fixedInner.get(id);
      return array === undefined ? null : element(array, values.step());
    };
    values.readStates((id) => state(id) ?? (history.isPower ? null : transition(id)) ?? fixed(id));
    const powers = this.#powersAt(store, registers, index);
    if (history.isPower) values.readPowers((id) => transition(id) ?? powers(id));
  }
}
