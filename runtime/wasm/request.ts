/** Checks a run request against the manifest: nothing wrong may reach a kernel's addresses. */
import { checkSignal, checkSizes, directionOf, maximumElements } from '../entry.ts';
import type { Manifest, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { showValue } from '../../support/show-value.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import type { RunRequest, TensorData } from '../device.ts';
import { checkData } from '../storage.ts';
import type { Session } from './session.ts';
import { isWasmTensor, type WasmTensor } from './tensor.ts';

/** A tensor with its size in this run. */
export type SizedTensor = { readonly tensor: ManifestTensor; readonly length: number };

/** A request that has been checked. */
export type CheckedRequest = {
  readonly entry: ManifestEntry;
  readonly sizes: RunSizes;
  readonly given: ReadonlyMap<string, TensorData | WasmTensor>;
  readonly into: ReadonlyMap<string, WasmTensor>;
  readonly inputs: readonly SizedTensor[];
  readonly results: readonly SizedTensor[];
  readonly scratch: readonly SizedTensor[];
};

function sizedTensors(entry: ManifestEntry, sizes: RunSizes): readonly SizedTensor[] {
  return entry.tensors.map((tensor) => {
    const length = tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
    if (length <= maximumElements) return { tensor, length };
    throw ssmError(
      'SSM5002',
      `\`${tensor.name}\` has ${length} elements; kernels index at most ${maximumElements}`,
      'use a smaller batch',
    );
  });
}

function checkTensor(
  value: WasmTensor,
  { tensor, length }: SizedTensor,
  session: Session,
  name: string,
): WasmTensor {
  if (value.session !== session) throw ssmError('SSM6004', `\`${name}\` lives on another device`);
  value.address();
  if (value.storage !== tensor.storage)
    throw ssmError('SSM6004', `\`${name}\` must be ${tensor.storage}, found ${value.storage}`);
  if (value.length !== length)
    throw ssmError('SSM6004', `\`${name}\` needs ${length} numbers, found ${value.length}`);
  return value;
}

function checkNames(
  names: Iterable<unknown>,
  allowed: readonly SizedTensor[],
  entry: string,
  where: string,
): void {
  const known = new Set<unknown>(allowed.map((each) => each.tensor.name));
  for (const name of names) {
    if (known.has(name)) continue;
    throw ssmError(
      'SSM6004',
      `\`${where}\` has ${showValue(name)}, which entry \`${entry}\` does not take`,
      `it takes ${[...known].map((each) => `\`${String(each)}\``).join(', ')}`,
    );
  }
}

function checkGiven(
  request: RunRequest,
  inputs: readonly SizedTensor[],
  session: Session,
): Map<string, TensorData | WasmTensor> {
  const given = new Map<string, TensorData | WasmTensor>();
  for (const sized of inputs) {
    const { name, storage } = sized.tensor;
    const value: unknown = request.tensors.get(name);
    if (value === undefined)
      throw ssmError('SSM6004', `entry \`${request.entry}\` needs the tensor \`${name}\``);
    if (isWasmTensor(value)) {
      given.set(name, checkTensor(value, sized, session, `tensors.${name}`));
    } else {
      checkData(value, storage, sized.length, `tensors.${name}`);
      given.set(name, value);
    }
  }
  return given;
}

/** Targets must be this device's tensors, each used once and not as an input. */
function checkInto(
  request: RunRequest,
  results: readonly SizedTensor[],
  session: Session,
): Map<string, WasmTensor> {
  const seen = new Set<unknown>(request.tensors.values());
  const into = new Map<string, WasmTensor>();
  for (const sized of results) {
    const { name } = sized.tensor;
    const target: unknown = request.into?.get(name);
    if (target === undefined) continue;
    if (!isWasmTensor(target)) throw ssmError('SSM6004', `\`into.${name}\` is not a tensor of this device`);
    if (seen.has(target))
      throw ssmError(
        'SSM6004',
        `\`into.${name}\` is also used for another tensor of the run`,
        'write into a tensor of its own',
      );
    seen.add(target);
    into.set(name, checkTensor(target, sized, session, `into.${name}`));
  }
  return into;
}

/** Throws SSM6004, SSM6003 or SSM5002, or returns the request in checked form. */
export function checkRequest(session: Session, manifest: Manifest, request: RunRequest): CheckedRequest {
  session.check();
  if (typeof request !== 'object' || request === null)
    throw ssmError('SSM6004', 'a run needs a request object');
  checkSignal(request.signal);
  const entry = manifest.entries.find((each) => each.name === request.entry);
  if (entry === undefined) {
    throw ssmError(
      'SSM6004',
      `layer \`${manifest.layer}\` has no entry ${showValue(request.entry)}`,
      `it has ${manifest.entries.map((each) => `\`${each.name}\``).join(', ')}`,
    );
  }
  const sizes = checkSizes(request.sizes);
  if (!(request.tensors instanceof Map))
    throw ssmError('SSM6004', '`tensors` must be a Map from tensor names to numbers');
  if (request.into !== undefined && !(request.into instanceof Map))
    throw ssmError('SSM6004', '`into` must be a Map from tensor names to tensors');
  const all = sizedTensors(entry, sizes);
  const byDirection = (direction: ReturnType<typeof directionOf>): readonly SizedTensor[] =>
    all.filter((each) => directionOf(each.tensor, entry.name) === direction);
  const [inputs, results, scratch] = [byDirection('given'), byDirection('result'), byDirection('scratch')];
  checkNames(request.tensors.keys(), inputs, entry.name, 'tensors');
  checkNames(request.into?.keys() ?? [], results, entry.name, 'into');
  const given = checkGiven(request, inputs, session);
  return { entry, sizes, given, into: checkInto(request, results, session), inputs, results, scratch };
}
