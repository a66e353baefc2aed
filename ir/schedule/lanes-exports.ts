/**
 * The first phase of a tile in schedule `lanes`: per-channel values that inner loops read (Δ, Δ·u, …) are
 * computed once per token and channel, each thread some rows of the tile, and go to shared memory; values
 * that all channels share (B, C) are staged there.
 */
import { required } from '../../support/invariant.ts';
import { add, compose, element, integer } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray, type SharedArray } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { toReal } from './elementwise.ts';
import { firstRow, keptPlace, loadStagedValue, overRows, overStaged, rowsAreUnrolled, vectorFor, type LanesFrame, type Placement, type Row, type Tile } from './lanes-frame.ts';
import type { LanesPrefetch } from './lanes-prefetch.ts';
import type { LanesTokens } from './lanes-tokens.ts';
import type { RegionValues } from './region-values.ts';

export type ExportsRequest = {
  readonly frame: LanesFrame;
  readonly tokens: LanesTokens;
  /** per-channel values of the cooperative thread */
  readonly values: RegionValues;
  readonly cooperative: Placement;
  /** per-channel values and where they go */
  readonly exported: ReadonlyMap<ValueId, SharedArray>;
  /** values that all channels share and where they go */
  readonly staged: ReadonlyMap<ValueId, SharedArray>;
};

/** Registers for a thread's values of a tile until they are stored as vectors; empty where they are not. */
type RowRegisters = ReadonlyMap<ValueId, RegisterArray>;

export class LanesExports {
  readonly #request: ExportsRequest;

  constructor(request: ExportsRequest) {
    this.#request = request;
  }

  /** The whole phase. */
  run(tile: Tile, prefetch: LanesPrefetch | null): void {
    const { frame, exported } = this.#request;
    const ahead = tile.isWhole ? prefetch : null;
    if (exported.size > 0 || ahead !== null) {
      frame.builder.comment('per-channel values of this tile, once');
      const registers = this.declare();
      overRows(frame, tile, (row) => {
        this.row(tile, row, ahead, registers);
        ahead?.hold(row.pass);
      });
      this.store(tile, registers);
    }
    this.stage(tile, ahead);
  }

  /** Registers for this thread's values, where they go to shared memory by vector stores. */
  declare(): RowRegisters {
    const { frame: { builder, plan, rows }, frame, exported } = this.#request;
    if (!rowsAreUnrolled(frame) || vectorFor(rows) === 1) return new Map();
    return new Map([...exported.keys()].map((id) => [id, builder.array(`${required(plan.names.get(id), 'name')}_rows`, f32, rows)]));
  }

  /** The values of one row. */
  row(tile: Tile, { pass, index, time }: Row, ahead: LanesPrefetch | null, registers: RowRegisters): void {
    const { frame: { builder }, tokens, values, cooperative, exported } = this.#request;
    values.beginToken(time);
    values.overrideScalars((id) => ahead?.early(id, pass) ?? null);
    const computed = [...exported].map(([id, array]) => ({ id, array, value: toReal(values.scalar(id)) }));
    for (const { id, array, value } of computed) {
      const register = registers.get(id);
      if (register !== undefined) builder.setElement(register, pass, value);
      else builder.storeShared(array, tokens.exportPlace(tile.slot, index, cooperative.local), value);
    }
    values.overrideScalars(() => null);
  }

  /** Stores what `row` left in registers. */
  store(tile: Tile, registers: RowRegisters): void {
    const { frame: { builder, rows }, frame, tokens, cooperative, exported } = this.#request;
    const width = vectorFor(rows);
    for (let first = 0; first < rows; first += width) {
      for (const [id, array] of registers) {
        const place = tokens.exportPlace(tile.slot, add(firstRow(frame), integer(first)), cooperative.local);
        const value = compose(Array.from({ length: width }, (_, at) => element(array, integer(first + at))));
        builder.storeShared(required(exported.get(id), 'export'), place, value);
      }
    }
  }

  /** Values that all channels share. */
  stage(tile: Tile, ahead: LanesPrefetch | null): void {
    const { frame: { builder, plan, request: { memory } }, frame, staged } = this.#request;
    if (staged.size === 0) return;
    builder.comment('values that all channels share');
    overStaged(frame, tile, (at) => {
      for (const [id, array] of staged) {
        const operand = required(plan.op.operands[required(plan.parameters.get(id), 'parameter')], 'operand');
        const value = ahead === null ? loadStagedValue(frame, memory(operand), at) : ahead.staged(id, at.pass);
        builder.storeShared(array, keptPlace(frame, tile, at, array), toReal(value));
      }
    });
  }

  /** Place of a cooperative thread's value among exported ones. */
  place(tile: Tile, index: KernelExpression): KernelExpression {
    const { tokens, cooperative } = this.#request;
    return tokens.exportPlace(tile.slot, index, cooperative.local);
  }
}
