/** What the WebGPU suite runs. */
import type { CompileOptions } from '../../backends/compile.ts';
import type { Workload } from './workloads.ts';

/** `portable`: compiled for WebGPU's guaranteed limits; `adapter`: for what the adapter grants. */
export type WebGpuWorkload = Workload & { readonly device: 'portable' | 'adapter' };

const selectiveScan = {
  file: 'examples/s6.ssm', sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 2, length: 19 },
} as const;

/** The published selective scan under given parameters of the schedule `lanes`, for timing. */
function variant(lanes: number, workgroupSize: number, tile: number): WebGpuWorkload {
  const schedule: CompileOptions['schedule'] = () => ({
    parameters: { kind: 'lanes', lanes, channels: 1, workgroupSize, tile, channelSums: 'shuffle', prefetch: true, overlap: false, helpers: 0 }, split: null,
  });
  return {
    ...selectiveScan, name: `s6-l${lanes}-w${workgroupSize}-t${tile}`, device: 'adapter', checked: { batch: 1, length: 19 },
    options: { storage: 'f32', checkpointInterval: tile, schedule },
  };
}

/** In order of interest: a run that is cut short has the first ones. */
export const webGpuWorkloads: readonly WebGpuWorkload[] = [
  { ...selectiveScan, name: 's6', device: 'adapter', options: { storage: 'f32' } },
  { ...selectiveScan, name: 's6-portable', device: 'portable', options: { storage: 'f32' } },
  { ...selectiveScan, name: 's6-bf16', device: 'adapter', options: { storage: 'bf16' } },
  {
    name: 's6-odd', device: 'adapter', file: 'examples/s6.ssm', options: { storage: 'f32' }, sizes: { D: 37, N: 8 },
    timed: [], checked: { batch: 3, length: 257 },
  },
  {
    name: 's6-scan', device: 'adapter', file: 'examples/s6.ssm', options: { storage: 'f32', mode: 'scan', pieceLength: 64 },
    sizes: { D: 96, N: 16 }, timed: [{ batch: 1, length: 65536 }], checked: { batch: 1, length: 261 },
  },
  {
    name: 's4d', device: 'adapter', file: 'examples/s4d.ssm', options: { storage: 'f32' }, sizes: { D: 1024, N: 32 },
    timed: [{ batch: 8, length: 1024 }], checked: { batch: 1, length: 67 },
  },
  {
    name: 'rg-lru', device: 'adapter', file: 'examples/rg-lru.ssm', options: { storage: 'f32' }, sizes: {},
    timed: [], checked: { batch: 1, length: 19 },
  },
  ...[[4, 128, 16], [8, 64, 16], [8, 256, 8], [2, 64, 16], [8, 128, 8]].map(([lanes = 8, size = 128, tile = 16]) => variant(lanes, size, tile)),
];
