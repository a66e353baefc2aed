/** Layers that `npm run bench` measures on one thread, with what no kernel of theirs can do without. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadLayer } from '../dsl/index.ts';
import type { LayerSpec } from '../dsl/spec.ts';
import { required } from '../support/invariant.ts';

export type Workload = {
  readonly name: string;
  readonly file: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly batch: number;
  readonly length: number;
  /** exponentials per token, channel and state that no kernel can do without */
  readonly exponentials: Readonly<Record<MeasuredEntry, number>>;
  readonly hasPeer: boolean;
};

export type MeasuredEntry = 'forward' | 'forwardSaved' | 'backward';
export const measuredEntries: readonly MeasuredEntry[] = ['forward', 'forwardSaved', 'backward'];

const oneEach = { forward: 1, forwardSaved: 1, backward: 1 };
const none = { forward: 0, forwardSaved: 0, backward: 0 };

export const workloads: readonly Workload[] = [
  { name: 'S6', file: 's6.ssm', sizes: { D: 1536, N: 16 }, batch: 1, length: 256, exponentials: oneEach, hasPeer: true },
  { name: 'S6 long', file: 's6.ssm', sizes: { D: 384, N: 16 }, batch: 1, length: 2048, exponentials: oneEach, hasPeer: true },
  { name: 'S4D', file: 's4d.ssm', sizes: { D: 256, N: 32 }, batch: 1, length: 512, exponentials: none, hasPeer: false },
  { name: 'RG-LRU', file: 'rg-lru.ssm', sizes: { H: 8, W: 32 }, batch: 1, length: 512, exponentials: oneEach, hasPeer: false },
];

/** The checked layer of a workload. */
export function loadWorkload(root: string, { file, sizes }: Workload): LayerSpec {
  const text = readFileSync(join(root, 'examples', file), 'utf8');
  const { spec, diagnostics } = loadLayer({ name: file, text }, null, { sizes: new Map(Object.entries(sizes)) });
  if (spec === null) throw new Error(`${file}: ${diagnostics[0]?.message ?? 'no layer'}`);
  return spec;
}

/** Updates of a state entry per token, over all states. */
export function statesPerToken(spec: LayerSpec): number {
  const axis = (name: string): number => required(spec.axes.find((each) => each.name === name), name).size;
  return spec.body.reduce((sum, item) => (item.kind === 'state' ? sum + item.axes.reduce((product, name) => product * axis(name), 1) : sum), 0);
}
