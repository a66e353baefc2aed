/**
 * Runs one entry point: allocate, copy host numbers in, dispatch kernel after kernel. A dispatch
 * occupies the calling thread; between dispatches of a long run the event loop gets a turn.
 */
import type { Artifact, ManifestDispatch, ManifestTensor } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import type { RunRequest, RunResult } from '../device.ts';
import { bytesPerElement } from '../storage.ts';
import type { KernelFunction, PoolModule } from './pool.ts';
import { checkRequest, type CheckedRequest, type SizedTensor } from './request.ts';
import type { Session } from './session.ts';
import { copyIn, createTensor, isWasmTensor, type WasmTensor } from './tensor.ts';

/** What a prepared layer knows when it runs. */
export type RunContext = {
  readonly session: Session;
  readonly artifact: Artifact;
  readonly module: PoolModule;
  readonly kernels: ReadonlyMap<string, KernelFunction>;
};

/** Blocks of one run. */
type Allocation = {
  readonly addresses: ReadonlyMap<string, number>;
  readonly results: ReadonlyMap<string, WasmTensor>;
  readonly release: (outcome: 'kept' | 'failed') => void;
};

const largestGroupCount = 2 ** 30;
const turnAfterMilliseconds = 12;

function allocate(context: RunContext, request: CheckedRequest): Allocation {
  const { session, artifact } = context;
  const temporary: number[] = [];
  const addresses = new Map<string, number>();
  const results = new Map<string, WasmTensor>();
  const labelOf = ({ tensor }: SizedTensor): string =>
    `${artifact.manifest.layer}/${request.entry.name}/${tensor.name}`;
  const release = (outcome: 'kept' | 'failed'): void => {
    temporary.forEach((address) => session.free(address));
    if (outcome === 'failed')
      results.forEach((tensor, name) => {
        if (!request.into.has(name)) tensor[Symbol.dispose]();
      });
  };
  const block = (sized: SizedTensor): number => {
    const address = session.allocate(sized.length * bytesPerElement(sized.tensor.storage), labelOf(sized));
    temporary.push(address);
    return address;
  };
  try {
    for (const sized of request.results) {
      const { name, storage } = sized.tensor;
      const tensor = request.into.get(name) ?? createTensor(session, storage, sized.length, labelOf(sized));
      results.set(name, tensor);
      addresses.set(name, tensor.address());
    }
    for (const sized of request.inputs) {
      const value = required(request.given.get(sized.tensor.name), `input ${sized.tensor.name}`);
      const address = isWasmTensor(value) ? value.address() : block(sized);
      if (!isWasmTensor(value)) copyIn(session, address, value);
      addresses.set(sized.tensor.name, address);
    }
    for (const sized of request.scratch) addresses.set(sized.tensor.name, block(sized));
  } catch (error) {
    release('failed');
    throw error;
  }
  return { addresses, results, release };
}

function argumentWords(
  dispatch: ManifestDispatch,
  sizes: RunSizes,
  grid: readonly number[],
  addresses: ReadonlyMap<string, number>,
): number[] {
  const uniforms = dispatch.uniforms.map(({ name, value }) => {
    const size = evaluateSize(value, sizes);
    if (size >= 2 ** 31)
      throw ssmError(
        'SSM5002',
        `\`${name}\` is ${size}; kernels count to ${2 ** 31 - 1}`,
        'use a smaller batch',
      );
    return size;
  });
  const bases = dispatch.bindings.map(({ tensor }) =>
    required(addresses.get(tensor), `address of ${tensor}`),
  );
  return [grid[0] ?? 1, grid[1] ?? 1, ...bases, ...uniforms].map((word) => word | 0);
}

function dispatchKernel(
  context: RunContext,
  dispatch: ManifestDispatch,
  sizes: RunSizes,
  addresses: ReadonlyMap<string, number>,
): void {
  const grid = dispatch.grid.map((size) => evaluateSize(size, sizes));
  const groups = grid.reduce((product, each) => product * each, 1);
  if (groups > largestGroupCount) {
    throw ssmError(
      'SSM5002',
      `kernel \`${dispatch.kernel}\` has ${groups} workgroups; this device runs at most ${largestGroupCount}`,
      'use a smaller batch',
    );
  }
  context.session.pool.dispatch({
    module: context.module,
    name: dispatch.kernel,
    groups,
    words: argumentWords(dispatch, sizes, grid, addresses),
    kernel: required(context.kernels.get(dispatch.kernel), `kernel ${dispatch.kernel}`),
  });
}

/** The given tensor whose values a result of a run without tokens takes over, or null for zeros. */
function sourceOfEmpty(result: ManifestTensor, request: CheckedRequest): string | null {
  if (result.role !== 'final' && result.role !== 'gradient') return null;
  const role = result.role === 'final' ? 'initial' : 'final-cotangent';
  return (
    request.inputs.find(({ tensor }) => tensor.role === role && tensor.subject === result.subject)?.tensor
      .name ?? null
  );
}

/**
 * A run without tokens or sequences: the final state is the initial one, the gradient of the initial
 * state is the final cotangent, all other results are zero.
 */
function fillEmptyRun(session: Session, request: CheckedRequest, { addresses }: Allocation): void {
  for (const { tensor, length } of request.results) {
    const bytes = length * bytesPerElement(tensor.storage);
    const target = session.bytes(required(addresses.get(tensor.name), `address of ${tensor.name}`), bytes);
    const source = sourceOfEmpty(tensor, request);
    const from = source === null ? undefined : addresses.get(source);
    if (from === undefined) target.fill(0);
    else target.set(session.bytes(from, bytes));
  }
}

function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}

async function runKernels(
  context: RunContext,
  request: CheckedRequest,
  allocation: Allocation,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { session } = context;
  if (request.sizes.batch === 0 || request.sizes.length === 0)
    return fillEmptyRun(session, request, allocation);
  let turn = performance.now();
  for (const dispatch of request.entry.dispatches) {
    dispatchKernel(context, dispatch, request.sizes, allocation.addresses);
    if (performance.now() - turn < turnAfterMilliseconds) continue;
    await new Promise<void>((resolve) => void setTimeout(resolve, 0));
    turn = performance.now();
    session.check();
    checkAborted(signal);
  }
}

/** Runs an entry point; the caller disposes the results. */
export async function runEntry(context: RunContext, request: RunRequest): Promise<RunResult> {
  const { session } = context;
  const checked = checkRequest(session, context.artifact.manifest, request);
  checkAborted(request.signal);
  const allocation = allocate(context, checked);
  let outcome: 'kept' | 'failed' = 'failed';
  const start = performance.now();
  try {
    await runKernels(context, checked, allocation, request.signal);
    session.checkCanaries();
    outcome = 'kept';
    return {
      tensors: allocation.results,
      timing: { milliseconds: performance.now() - start, source: 'wall-clock' },
    };
  } finally {
    allocation.release(outcome);
  }
}
