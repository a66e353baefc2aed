/** Turns an entry's dispatches into numbers for one run: windows of the grid and bytes of uniforms. */
import type { ManifestDispatch } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';

type Triple = readonly [number, number, number];

/** One call of dispatchWorkgroups. */
export type LaunchWindow = { readonly count: Triple; readonly uniformOffset: number };

export type Launch = { readonly dispatch: ManifestDispatch; readonly windows: readonly LaunchWindow[] };

export type LaunchPlan = {
  /** in order; launches with an empty grid are left out */
  readonly launches: readonly Launch[];
  readonly uniforms: Uint8Array<ArrayBuffer>;
};

export type LaunchLimits = { readonly workgroupsPerDimension: number; readonly uniformAlignment: number };

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

/** All launches of an entry for these sizes. */
export function planLaunches(
  dispatches: readonly ManifestDispatch[], sizes: RunSizes, limits: LaunchLimits,
): LaunchPlan {
  const blocks: { readonly offset: number; readonly values: Int32Array<ArrayBuffer> }[] = [];
  let end = 0;
  const place = (values: Int32Array<ArrayBuffer>): number => {
    const offset = end;
    blocks.push({ offset, values });
    end = Math.ceil((offset + values.byteLength) / limits.uniformAlignment) * limits.uniformAlignment;
    return offset;
  };
  const launches = dispatches.flatMap((dispatch): readonly Launch[] => {
    const what = `the grid of kernel \`${dispatch.kernel}\``;
    const [x, y, z] = dispatch.grid.map((each) => checkInteger(evaluateSize(each, sizes), what));
    const windows = windowsOf([x ?? 0, y ?? 0, z ?? 0], limits.workgroupsPerDimension).map(({ start, count }) => ({
      count, uniformOffset: dispatch.uniforms.length === 0 ? 0 : place(uniformValues(dispatch, sizes, start)),
    }));
    return windows.length === 0 ? [] : [{ dispatch, windows }];
  });
  const uniforms = new Uint8Array(end);
  for (const { offset, values } of blocks) uniforms.set(new Uint8Array(values.buffer), offset);
  return { launches, uniforms };
}
