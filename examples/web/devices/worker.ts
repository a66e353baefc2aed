/** Devices off the page's thread: kernels may take as long as they need, and WebAssembly's threads may wait. */
import type { AnalysisJob, DeviceService, RunJob, TrainEnd, TrainEvent, TrainJob } from '../services/protocol.ts';
import { serve } from '../services/serve.ts';
import { analyseLayer } from './analyse.ts';
import { executeLayer } from './execute.ts';
import { deviceFor, loadPrepared } from './open.ts';
import { loadDigits, trainInPage } from './train.ts';

let training: AbortController | null = null;

async function run(job: RunJob): Promise<DeviceService['run']['result']> {
  const start = performance.now();
  using layer = await loadPrepared(job.target, job.prepared);
  const readyMilliseconds = performance.now() - start;
  return { ...(await executeLayer(layer, job)), readyMilliseconds };
}

async function analyse(job: AnalysisJob): Promise<DeviceService['analyse']['result']> {
  using layer = await loadPrepared(job.target, job.prepared);
  return await analyseLayer(layer, job.prepared.spec, job);
}

async function train(job: TrainJob, tell: (event: TrainEvent) => void): Promise<TrainEnd> {
  training?.abort();
  const mine = new AbortController();
  training = mine;
  const digits = await loadDigits();
  using layer = await loadPrepared(job.target, job.prepared);
  return await trainInPage({ layer, job, digits, signal: mine.signal, tell });
}

serve<DeviceService>({
  open: async (target) => {
    const { name, details } = (await deviceFor(target)).info;
    return { name, details };
  },
  run, analyse, train,
  stop: () => {
    training?.abort();
    return null;
  },
});
