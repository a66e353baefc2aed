/**
 * Forward states of a tile in descending scans of schedule `lanes`: they are replayed into registers from the
 * checkpoint before the tile, and the recurrence reads them token by token. Where tiles are loaded ahead, so are
 * checkpoints.
 */
import { invariant, required } from '../../support/invariant.ts';
import { add, divide, element, integer, multiply } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray } from '../kernel/nodes.ts';
import { checkpointAxis } from '../tensor/ops.ts';
import type { Coordinates } from './access.ts';
import type { LanesFrame, Tile } from './lanes-frame.ts';
import { loadStates } from './lanes-states.ts';
import type { LanesTokens } from './lanes-tokens.ts';
import type { InnerSite } from './region-values.ts';
import { timeOfVisit } from './scan-request.ts';
import type { PassRoots, ScanThread } from './scan-thread.ts';

/** Forward states of a tile's tokens, by part and channel of the thread. */
export type History = readonly (readonly RegisterArray[])[];

export type ReplayRequest = {
  readonly frame: LanesFrame;
  readonly thread: ScanThread;
  readonly tokens: LanesTokens;
  readonly roots: PassRoots;
  /** where this thread's state lies in a checkpoint */
  readonly at: (lane: number, site: InnerSite, more: readonly (readonly [string, KernelExpression])[]) => Coordinates;
  /** whether checkpoints of whole tiles are loaded a tile ahead */
  readonly isAhead: boolean;
};

export class LanesReplay {
  readonly #request: ReplayRequest;
  readonly #interval: number;
  readonly #ahead: History | null;

  constructor(request: ReplayRequest) {
    const { frame, isAhead } = request;
    this.#request = request;
    this.#interval = required(frame.plan.op.history, 'history').interval;
    invariant(this.#interval === frame.parameters.tile, 'tiles of a replaying scan are its checkpoint intervals');
    this.#ahead = isAhead ? this.#declare('ahead', frame.steps) : null;
  }

  /** Starts the loads for the whole tile at `base`, where they come a tile ahead. */
  loadAhead(base: KernelExpression): void {
    if (this.#ahead !== null) this.#load(base, this.#ahead);
  }

  /** Registers for the tile's states, with those before it in their place or on their way. */
  begin({ base, isWhole }: Tile): History {
    const { frame: { builder, steps }, thread } = this.#request;
    const history = this.#declare('history', (this.#interval + 1) * steps);
    const ahead = this.#ahead;
    if (ahead === null || !isWhole) this.#load(base, history);
    else thread.eachStep(({ step }) => history.forEach((lanes, part) => lanes.forEach((array, lane) => builder.setElement(array, step, element(stateOf(ahead, part, lane), step)))));
    return history;
  }

  /** Replays the tile's states. */
  run(tile: Tile, history: History): void {
    const { frame: { builder, plan, steps }, thread, tokens, roots } = this.#request;
    const place = (index: KernelExpression, step: KernelExpression): KernelExpression => add(multiply(index, integer(steps)), step);
    builder.comment('replay the forward states of the tile');
    tokens.over(tile, { roots, isAscending: true, isGuarded: true }, ({ index, begin }) => {
      begin(timeOfVisit(builder, plan, builder.let('visit', add(tile.base, index))));
      thread.runToken(roots, {
        read: (part, lane, step) => element(stateOf(history, part, lane), place(index, step)),
        write: (part, lane, step, value) => builder.setElement(stateOf(history, part, lane), place(add(index, integer(1)), step), value),
      }, []);
    });
  }

  /** Lets the thread's values read the states before and after the token `index`. */
  read(states: History, index: KernelExpression): void {
    const { frame: { plan, steps }, thread: { values } } = this.#request;
    const history = required(plan.history, 'history');
    const at = (part: number, lane: number, place: KernelExpression): KernelExpression => element(stateOf(states, part, lane), add(multiply(place, integer(steps)), values.step()));
    values.readStates((id, lane) => {
      const before = history.previous.findIndex((value) => value.id === id);
      if (before >= 0) return at(before, lane, index);
      const after = history.current.findIndex((value) => value.id === id);
      return after >= 0 ? at(after, lane, add(index, integer(1))) : null;
    });
  }

  #declare(suffix: string, length: number): History {
    const { frame: { builder }, thread, roots } = this.#request;
    return roots.recurrence.current.map((value) => thread.laneNumbers().map(() => builder.array(`${value.name}_${suffix}`, f32, length)));
  }

  /** Starts the loads of the states before the tile at `base`. */
  #load(base: KernelExpression, into: History): void {
    const { frame, frame: { builder, plan, request: { memory } }, thread, at } = this.#request;
    builder.comment('forward states at the start of the tile');
    const checkpoint = builder.let('checkpoint', divide(base, integer(this.#interval)));
    const targets = required(plan.op.history, 'history').checkpoints.map((id) => memory(id));
    const saved = { frame, thread, targets, at: (lane: number, site: InnerSite) => at(lane, site, [[checkpointAxis(this.#interval), checkpoint]]) };
    loadStates(saved, (part, lane, step, value) => builder.setElement(stateOf(into, part, lane), step, value));
  }
}

function stateOf(history: History, part: number, lane: number): RegisterArray {
  return required(history[part]?.[lane], 'history');
}
