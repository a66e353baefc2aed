/** Devices off the page's thread: kernels may take as long as they need, and WebAssembly's threads may wait. */
import type {
  AnalysisJob,
  DeviceService,
  RunJob,
  TrainEnd,
  TrainEvent,
  TrainJob,
} from '../services/protocol.ts';
import { serve } from '../services/serve.ts';
import { analyseLayer } from './analyse.ts';
import { executeLayer } from './execute.ts';
import { deviceFor, withLayer } from './open.ts';
import { loadDigits, trainInPage } from './train.ts';

let training: AbortController | null = null;

function run(job: RunJob): Promise<DeviceService['run']['result']> {
  const start = performance.now();
  return withLayer(job.target, job.prepared, async (layer) => {
    const readyMilliseconds = performance.now() - start;
    return { ...(await executeLayer(layer, job)), readyMilliseconds };
  });
}

function analyse(job: AnalysisJob): Promise<DeviceService['analyse']['result']> {
  return withLayer(job.target, job.prepared, (layer) => analyseLayer(layer, job.prepared.spec, job));
}

async function train(job: TrainJob, tell: (event: TrainEvent) => void): Promise<TrainEnd> {
  training?.abort();
  const { signal } = (training = new AbortController());
  const digits = await loadDigits();
  return withLayer(job.target, job.prepared, (layer) => trainInPage({ layer, job, digits, signal, tell }));
}

serve<DeviceService>({
  open: async (target) => {
    const { name, details } = (await deviceFor(target)).info;
    return { name, details };
  },
  run,
  analyse,
  train,
  stop: () => {
    training?.abort();
    return null;
  },
});
