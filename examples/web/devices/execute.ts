/** Running a layer in the page with timings, on whichever device. */
import type { Manifest } from '../../../backends/artifact.ts';
import type { Layer } from '../../../runtime/index.ts';
import { evaluateSize, type RunSizes } from '../../../support/size.ts';
import type { OutputNumbers, RunJob, RunReport } from '../services/protocol.ts';
import { makeInputs } from './signals.ts';

/** Timed runs end after this, whatever number was wanted. */
const enoughMilliseconds = 3000;

/** One run to warm up, then at most `repeats` timed ones; the numbers are those of the last. */
export async function executeLayer(layer: Layer, job: RunJob): Promise<Omit<RunReport, 'readyMilliseconds'>> {
  const sizes: RunSizes = { batch: job.batch, length: job.length };
  const call = {
    inputs: makeInputs(job.prepared.spec, job.signal, sizes),
    batch: job.batch,
    length: job.length,
  };
  let last = await layer.forward(call);
  const times: number[] = [];
  const end = performance.now() + enoughMilliseconds;
  while (times.length === 0 || (times.length < job.repeats && performance.now() < end)) {
    last = await layer.forward(call);
    times.push(last.timing.milliseconds);
  }
  const outputs: Record<string, OutputNumbers> = {};
  for (const [name, tensor] of Object.entries(last.outputs)) {
    outputs[name] = {
      ...shapeOf(layer.artifact.manifest, name, sizes),
      data: Float32Array.from(await tensor.read()),
    };
  }
  times.sort((left, right) => left - right);
  return {
    outputs,
    milliseconds: {
      median: times[times.length >> 1] ?? NaN,
      least: times[0] ?? NaN,
      runs: times.length,
      source: last.timing.source,
    },
  };
}

function shapeOf(manifest: Manifest, output: string, sizes: RunSizes): Omit<OutputNumbers, 'data'> {
  const forward = manifest.entries.find((each) => each.name === 'forward');
  const tensor = forward?.tensors.find((each) => each.role === 'output' && each.subject === output);
  return { axes: tensor?.axes ?? [], shape: tensor?.dims.map((each) => evaluateSize(each, sizes)) ?? [] };
}
