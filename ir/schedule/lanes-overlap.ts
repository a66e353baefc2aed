/**
 * Overlapping phases of schedule `lanes`: between the tokens of a tile, a thread computes what the next
 * tile's recurrence will read and the results of the tile before, a few rows per block of tokens. The
 * recurrence keeps the exponential unit busy, the other phases the arithmetic, and neither waits long for
 * a barrier; tables in shared memory hold two tiles. With helpers, other threads of the workgroup compute
 * them instead: the recurrence then never waits for global memory, and while one kind of thread waits the
 * other has work.
 */
import { required } from '../../support/invariant.ts';
import { add, binary, divide, integer, multiply, remainder } from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import type { LanesExports } from './lanes-exports.ts';
import { helps, rowOf, type LanesFrame, type Overlap, type Tile } from './lanes-frame.ts';
import type { LanesPrefetch } from './lanes-prefetch.ts';
import type { LanesResults } from './lanes-results.ts';
import type { Meanwhile } from './lanes-tokens.ts';

export type OverlapRequest = {
  readonly frame: LanesFrame;
  readonly prefetch: LanesPrefetch;
  readonly exports: LanesExports;
  readonly results: LanesResults;
  /** what happens before a tile's tokens */
  readonly before: (tile: Tile) => void;
  readonly recurrence: (tile: Tile, meanwhile: Meanwhile) => void;
};

/** Runs `body` for the rows that belong to a block of tokens. */
function rowsOfBlock({ builder, rows }: LanesFrame, block: KernelExpression, blocks: number, body: (pass: KernelExpression) => void): void {
  if (rows % blocks === 0) {
    const count = rows / blocks;
    builder.for('part', { start: integer(0), end: integer(count), unroll: true }, (part) => body(builder.let('pass', add(multiply(block, integer(count)), part))));
    return;
  }
  const every = blocks / rows;
  builder.if(binary('equal', remainder(block, integer(every)), integer(0)), () => body(builder.let('pass', divide(block, integer(every)))));
}

/** The phases of a tile's neighbours for the walk over whole tiles. */
export function overlapPhases(request: OverlapRequest): Overlap {
  return request.frame.parameters.helpers === 0 ? betweenTokens(request) : besideWalkers(request);
}

/** Every thread does all phases, those of a tile's neighbours between its own tokens. */
function betweenTokens({ frame, prefetch, exports, results, before, recurrence }: OverlapRequest): Overlap {
  const { builder } = frame;
  return {
    begin: (first, after) => {
      prefetch.load(first.base);
      exports.run(first, prefetch);
      prefetch.loadLate(first.base);
      prefetch.loadEarly(after);
      results.clear();
    },
    walk: ({ before: previous, hasBefore, tile, after, afterNext }) => {
      before(tile);
      // before the barrier, where no compiler moves them towards their use
      prefetch.loadStaged(after.base);
      const take = prefetch.loadBeside({ early: afterNext, late: tile.base });
      builder.barrier();
      const registers = exports.declare();
      recurrence(tile, (block, blocks) => rowsOfBlock(frame, block, blocks, (pass) => {
        results.row(previous, rowOf(frame, previous, pass), prefetch, hasBefore);
        exports.row(after, rowOf(frame, after, pass), prefetch, registers);
      }));
      exports.store(after, registers);
      exports.stage(after, prefetch);
      take();
    },
    end: (last) => {
      builder.barrier();
      results.run(last, prefetch);
    },
  };
}

/** Helpers do the phases of a tile's neighbours while the other threads advance the states. */
function besideWalkers({ frame, prefetch, exports, results, before, recurrence }: OverlapRequest): Overlap {
  const { builder } = frame;
  const isHelper = required(helps(frame), 'helpers');
  return {
    begin: (first, after) => builder.if(isHelper, () => {
      prefetch.load(first.base);
      exports.run(first, prefetch);
      prefetch.loadLate(first.base);
      prefetch.loadEarly(after);
    }),
    walk: ({ before: previous, hasBefore, tile, after, afterNext }) => {
      builder.barrier();
      const help = (): void => {
        prefetch.loadStaged(after.base);
        const take = prefetch.loadBeside({ early: afterNext, late: tile.base });
        builder.if(hasBefore, () => results.run(previous, prefetch));
        exports.run(after, prefetch);
        take();
      };
      builder.if(isHelper, help, () => {
        before(tile);
        recurrence(tile, () => undefined);
      });
    },
    end: (last) => {
      builder.barrier();
      results.run(last, prefetch);
    },
  };
}
