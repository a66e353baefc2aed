/** Turns an entry's dispatches into numbers for one run: windows of the grid and bytes of uniforms. */
import type { ManifestDispatch } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';

type Triple = readonly [number, number, number];

/** One call of dispatchWorkgroups. */
export type LaunchWindow = { readonly count: Triple; readonly uniformOffset: number };

export type Launch = { readonly dispatch: ManifestDispatch; readonly windows: readonly LaunchWindow[] };

/** Uniforms of many launches, one after the other at the alignment of bindings. */
export type UniformBlock = {
  /** appends values and returns their offset in bytes */
  readonly place: (values: Int32Array<ArrayBuffer>) => number;
  readonly bytes: () => Uint8Array<ArrayBuffer>;
};

/** An empty block. */
export function createUniformBlock(alignment: number): UniformBlock {
  const blocks: { readonly offset: number; readonly values: Int32Array<ArrayBuffer> }[] = [];
  let end = 0;
  return {
    place(values) {
      const offset = end;
      blocks.push({ offset, values });
      end = Math.ceil((offset + values.byteLength) / alignment) * alignment;
      return offset;
    },
    bytes() {
      const bytes = new Uint8Array(end);
      for (const { offset, values } of blocks) bytes.set(new Uint8Array(values.buffer), offset);
      return bytes;
    },
  };
}

/** Starts and lengths of the pieces of `total` that hold at most `limit` each. */
function pieces(total: number, limit: number): readonly { readonly start: number; readonly count: number }[] {
  return Array.from({ length: Math.ceil(total / limit) }, (_, at) => ({
    start: at * limit, count: Math.min(limit, total - at * limit),
  }));
}

function windowsOf(grid: Triple, limit: number): readonly { readonly start: Triple; readonly count: Triple }[] {
  const [xs, ys, zs] = [pieces(grid[0], limit), pieces(grid[1], limit), pieces(grid[2], limit)];
  return zs.flatMap((z) => ys.flatMap((y) => xs.map((x) => ({
    start: [x.start, y.start, z.start] as const, count: [x.count, y.count, z.count] as const,
  }))));
}

function checkInteger(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 2 ** 31 - 1) {
    throw ssmError(
      'SSM5002', `${what} is ${value}, outside the range of 32-bit indices`,
      'use a smaller batch',
    );
  }
  return value;
}

function uniformValues(dispatch: ManifestDispatch, sizes: RunSizes, start: Triple): Int32Array<ArrayBuffer> {
  const values = dispatch.uniforms.map(({ name, value }) =>
    checkInteger(evaluateSize(value, sizes), `\`${name}\` of kernel \`${dispatch.kernel}\``));
  (dispatch.gridBase ?? []).forEach((at, dimension) => {
    if (at !== null) values[at] = checkInteger(start[dimension] ?? 0, 'a grid window');
  });
  return Int32Array.from(values);
}

/** The launches of an entry in order, those with an empty grid left out; their uniforms go to `uniforms`. */
export function planLaunches(
  dispatches: readonly ManifestDispatch[], sizes: RunSizes, workgroupsPerDimension: number, uniforms: UniformBlock,
): readonly Launch[] {
  return dispatches.flatMap((dispatch): readonly Launch[] => {
    const what = `the grid of kernel \`${dispatch.kernel}\``;
    const [x, y, z] = dispatch.grid.map((each) => checkInteger(evaluateSize(each, sizes), what));
    const windows = windowsOf([x ?? 0, y ?? 0, z ?? 0], workgroupsPerDimension).map(({ start, count }) => ({
      count, uniformOffset: dispatch.uniforms.length === 0 ? 0 : uniforms.place(uniformValues(dispatch, sizes, start)),
    }));
    return windows.length === 0 ? [] : [{ dispatch, windows }];
  });
}
