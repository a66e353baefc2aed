/**
 * Sequences of runs recorded once as a CUDA graph and replayed with one call each: what a loop of short
 * steps needs, whose launches would otherwise cost more than its kernels.
 */
import type { DeviceTensor, RunRequest, RunResult } from '../device.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { checkRequest, type CheckedRequest } from './request.ts';
import { allocateResults, disposeNew, type Results } from './results.ts';
import { bindBlocks, describeRun, isEmptyRun, releaseBlocks, runTimed, type BoundRun, type LayerContext } from './run.ts';
import { isCudaTensor, type CudaTensor } from './tensor.ts';

/** Recorded runs. Tensors that were given stay their owner's, and must live as long as it is replayed. */
export type CudaGraph = Disposable & {
  /** results of each run by name; those not given as `into` end with the graph */
  readonly results: readonly ReadonlyMap<string, DeviceTensor>[];
  /** runs all of them in order, so many times; numbers written into the tensors before are seen */
  replay(times?: number): Promise<RunResult['timing']>;
};

type Recording = { readonly runs: readonly BoundRun[]; readonly scratch: readonly number[]; readonly id: number };

function checkRun(context: LayerContext, request: RunRequest): CheckedRequest {
  const checked = checkRequest(context.session, context.shapes, request);
  if (isEmptyRun(checked)) throw ssmError('SSM6004', 'a graph takes no run without sequences or tokens');
  for (const [name, value] of checked.given) {
    if (!isCudaTensor(value)) throw ssmError('SSM6004', `\`tensors.${name}\` must be a tensor of the device in a graph`, 'make it with `createTensor` and write into it before each replay');
  }
  return checked;
}

function record(context: LayerContext, runs: readonly BoundRun[], scratch: number[]): number {
  const { session } = context;
  const bound = runs.map((run) => ({ run, blocks: bindBlocks(context, run, scratch) }));
  session.call('a graph', (native) => native.beginCapture());
  try {
    for (const { run, blocks } of bound) session.call(describeRun(context, run.request), (native) => native.launch(run.plan.id, blocks));
    return session.call('a graph', (native) => native.endCapture());
  } catch (error) {
    session.giveBack((native) => native.abandonCapture());
    throw error;
  }
}

function recordRuns(context: LayerContext, requests: readonly RunRequest[]): Recording {
  const { session, manifest, plans } = context;
  const made: { readonly results: Results; readonly request: CheckedRequest }[] = [];
  const scratch: number[] = [];
  try {
    const runs = requests.map((each): BoundRun => {
      const request = checkRun(context, each);
      const results = allocateResults(session, manifest.layer, request);
      made.push({ results, request });
      return { request, results, plan: plans.get(request.entry, request.sizes) };
    });
    return { runs, scratch, id: record(context, runs, scratch) };
  } catch (error) {
    releaseBlocks(session, scratch);
    for (const { results, request } of made) disposeNew(results, request);
    throw error;
  }
}

function checkTimes(times: unknown): asserts times is number {
  if (typeof times === 'number' && Number.isSafeInteger(times) && times >= 1 && times <= 1e6) return;
  throw ssmError('SSM6004', `\`times\` must be an integer from 1 to 1000000, found ${String(times)}`);
}

/** Records runs; `checkLayer` throws when the layer is no more. */
export function captureRuns(context: LayerContext, requests: readonly RunRequest[], checkLayer: () => void): CudaGraph {
  const { session, manifest } = context;
  if (!Array.isArray(requests) || requests.length === 0) throw ssmError('SSM6004', 'a graph needs an array of requests, at least one');
  const { runs, scratch, id } = recordRuns(context, requests);
  const tensors = new Set(runs.flatMap(({ request, results }) => [...request.given.values(), ...results.values()]).filter(isCudaTensor));
  const what = `a graph of layer \`${manifest.layer}\``;
  let isOpen = true;
  return {
    results: runs.map((each) => each.results),
    async replay(times = 1) {
      checkTimes(times);
      session.check();
      if (!isOpen) throw ssmError('SSM6003', `${what} was used after dispose`);
      checkLayer();
      tensors.forEach((each: CudaTensor) => each.block());
      return runTimed(session, what, () => session.call(what, (native) => native.launchGraph(id, times)));
    },
    [Symbol.dispose]() {
      if (!isOpen) return;
      isOpen = false;
      session.afterWork(() => session.native.dropGraph(id));
      releaseBlocks(session, scratch);
      for (const { request, results } of runs) disposeNew(results, request);
    },
  };
}
