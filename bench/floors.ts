/**
 * Lower bounds of a workload's time on one thread of this machine, from two measured costs: what an
 * exponential takes in a loop of nothing else (the same expansion of exp2, in WASM), and what a byte
 * takes in a copy of memory larger than the caches. A kernel cannot beat the larger of the two.
 */
import { assembleModule } from '../backends/wasm/assemble.ts';
import { encodeModule } from '../backends/wasm/binary.ts';
import { raiseKernel } from '../backends/wasm/raise.ts';
import { add, integer, KernelBuilder, load, unary } from '../ir/kernel/builder.ts';
import type { Kernel } from '../ir/kernel/nodes.ts';
import { webAssembly } from '../runtime/wasm/webassembly.ts';
import { summarize } from './statistics.ts';

export type Floors = {
  /** nanoseconds of one exponential; a vector of four costs four times this */
  readonly exponential: number;
  /** nanoseconds of one byte read or written */
  readonly byte: number;
};

const elements = 1024;
const rounds = 512;
const samples = 15;

function exponentialKernel(): Kernel {
  const builder = new KernelBuilder();
  const x = builder.buffer('x', 'f32', 'read', elements);
  const y = builder.buffer('y', 'f32', 'write', elements);
  builder.for('round', { start: integer(0), end: integer(rounds) }, () => {
    builder.for('i', { start: integer(0), end: integer(elements), step: 16 }, (first) => {
      for (let vector = 0; vector < 16; vector += 4) {
        const at = add(first, integer(vector));
        builder.store(y, at, unary('exp2', load(x, at, 4, true)), true);
      }
    });
  });
  return builder.finish({ name: 'exponentials', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
}

type KernelExport = (first: number, end: number, argumentBlock: number, scratch: number) => void;

/** The best time counts: a floor is what the machine can do. */
async function measureExponential(): Promise<number> {
  const memory = new (webAssembly().Memory)({ initial: 4, maximum: 65_536, shared: true });
  const [argumentBlock, x, y] = [1024, 65_536, 2 * 65_536];
  const inputs = new Float32Array(memory.buffer, x, elements);
  inputs.forEach((_, at) => void (inputs[at] = -8 * (at / elements)));
  new Int32Array(memory.buffer, argumentBlock, 4).set([1, 1, x, y]);
  const code = encodeModule(assembleModule([raiseKernel(exponentialKernel())]));
  const instance = new (webAssembly().Instance)(await webAssembly().compile(Uint8Array.from(code)), { env: { memory } });
  const run = instance.exports['exponentials'] as KernelExport;
  const times = Array.from({ length: samples }, () => {
    const start = performance.now();
    run(0, 1, argumentBlock, 3 * 65_536);
    return performance.now() - start;
  });
  return (summarize(times).least * 1e6) / (elements * rounds);
}

function measureByte(): number {
  const from = new Float32Array(2 ** 23).fill(1);
  const to = new Float32Array(from.length);
  const times = Array.from({ length: samples }, () => {
    const start = performance.now();
    to.set(from);
    return performance.now() - start;
  });
  return (summarize(times).least * 1e6) / (2 * from.byteLength);
}

/** Measures both costs here and now. */
export async function measureFloors(): Promise<Floors> {
  return { exponential: await measureExponential(), byte: measureByte() };
}
