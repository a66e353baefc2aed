/** Checks a run request against the manifest: nothing wrong may reach a kernel's addresses. */
import type { Manifest, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { showValue } from '../../support/show-value.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import type { RunRequest, TensorData } from '../device.ts';
import { checkSignal, checkSizes, directionOf, maximumElements } from '../entry.ts';
import { checkData } from '../storage.ts';
import type { Session } from './session.ts';
import { isCudaTensor, type CudaTensor } from './tensor.ts';

/** A tensor with its size in this run. */
export type SizedTensor = { readonly tensor: ManifestTensor; readonly length: number };

/** What a caller brings to an entry at given sizes, and gets back. */
export type EntryShape = {
  readonly entry: ManifestEntry;
  readonly sizes: RunSizes;
  readonly inputs: readonly SizedTensor[];
  readonly results: readonly SizedTensor[];
  readonly inputNames: ReadonlySet<unknown>;
  readonly resultNames: ReadonlySet<unknown>;
};

/** A request that has been checked. */
export type CheckedRequest = EntryShape & {
  readonly given: ReadonlyMap<string, TensorData | CudaTensor>;
  readonly into: ReadonlyMap<string, CudaTensor>;
};

/** The shape of an entry at sizes; throws SSM6004 and SSM5002. Loops of equal calls find it ready. */
export type EntryShapes = (name: unknown, sizes: unknown) => EntryShape;

const keptShapes = 32;

/** The tensors of an entry with their elements; throws SSM5002 where they are too many for an index. */
export function sizedTensors(entry: ManifestEntry, sizes: RunSizes): readonly SizedTensor[] {
  return entry.tensors.map((tensor) => {
    const length = tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
    if (length <= maximumElements) return { tensor, length };
    throw ssmError('SSM5002', `\`${tensor.name}\` has ${length} elements; kernels index at most ${maximumElements}`, 'use a smaller batch');
  });
}

function checkTensor(value: CudaTensor, { tensor, length }: SizedTensor, session: Session, where: string): CudaTensor {
  const name = `${where}.${tensor.name}`;
  if (value.session !== session) throw ssmError('SSM6004', `\`${name}\` lives on another device`);
  value.block();
  if (value.storage !== tensor.storage) throw ssmError('SSM6004', `\`${name}\` must be ${tensor.storage}, found ${value.storage}`);
  if (value.length !== length) throw ssmError('SSM6004', `\`${name}\` needs ${length} numbers, found ${value.length}`);
  return value;
}

function checkNames(names: Iterable<unknown>, known: ReadonlySet<unknown>, entry: string, where: string): void {
  for (const name of names) {
    if (known.has(name)) continue;
    throw ssmError(
      'SSM6004', `\`${where}\` has ${showValue(name)}, which entry \`${entry}\` does not take`,
      `it takes ${[...known].map((each) => `\`${String(each)}\``).join(', ')}`,
    );
  }
}

function checkGiven(request: RunRequest, inputs: readonly SizedTensor[], session: Session): Map<string, TensorData | CudaTensor> {
  const given = new Map<string, TensorData | CudaTensor>();
  for (const sized of inputs) {
    const { name, storage } = sized.tensor;
    const value: unknown = request.tensors.get(name);
    if (value === undefined) throw ssmError('SSM6004', `entry \`${request.entry}\` needs the tensor \`${name}\``);
    if (isCudaTensor(value)) {
      given.set(name, checkTensor(value, sized, session, 'tensors'));
    } else {
      checkData(value, storage, sized.length, `tensors.${name}`);
      given.set(name, value);
    }
  }
  return given;
}

/** Targets must be this device's tensors, each used once and not as an input. */
function checkInto(request: RunRequest, results: readonly SizedTensor[], session: Session): Map<string, CudaTensor> {
  const seen = new Set<unknown>(request.tensors.values());
  const into = new Map<string, CudaTensor>();
  for (const sized of results) {
    const { name } = sized.tensor;
    const target: unknown = request.into?.get(name);
    if (target === undefined) continue;
    if (!isCudaTensor(target)) throw ssmError('SSM6004', `\`into.${name}\` is not a tensor of this device`);
    if (seen.has(target)) {
      throw ssmError('SSM6004', `\`into.${name}\` is also used for another tensor of the run`, 'write into a tensor of its own');
    }
    seen.add(target);
    into.set(name, checkTensor(target, sized, session, 'into'));
  }
  return into;
}

function checkShape(request: RunRequest): void {
  if (typeof request !== 'object' || request === null) throw ssmError('SSM6004', 'a run needs a request object');
  checkSignal(request.signal);
  if (!(request.tensors instanceof Map)) throw ssmError('SSM6004', '`tensors` must be a Map from tensor names to numbers');
  if (request.into !== undefined && !(request.into instanceof Map)) throw ssmError('SSM6004', '`into` must be a Map from tensor names to tensors');
}

function makeShape(manifest: Manifest, name: unknown, sizes: RunSizes): EntryShape {
  const entry = manifest.entries.find((each) => each.name === name);
  if (entry === undefined) {
    throw ssmError(
      'SSM6004', `layer \`${manifest.layer}\` has no entry ${showValue(name)}`,
      `it has ${manifest.entries.map((each) => `\`${each.name}\``).join(', ')}`,
    );
  }
  const all = sizedTensors(entry, sizes);
  const inputs = all.filter((each) => directionOf(each.tensor, entry.name) === 'given');
  const results = all.filter((each) => directionOf(each.tensor, entry.name) === 'result');
  const namesOf = (tensors: readonly SizedTensor[]): ReadonlySet<unknown> => new Set(tensors.map((each) => each.tensor.name));
  return { entry, sizes, inputs, results, inputNames: namesOf(inputs), resultNames: namesOf(results) };
}

/** Shapes of one manifest's entries; the oldest go first. */
export function createEntryShapes(manifest: Manifest): EntryShapes {
  const known = new Map<string, EntryShape>();
  return (name, given) => {
    const sizes = checkSizes(given);
    const key = `${showValue(name)} ${sizes.batch} ${sizes.length}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const made = makeShape(manifest, name, sizes);
    known.set(key, made);
    const [oldest] = known.keys();
    if (known.size > keptShapes && oldest !== undefined) known.delete(oldest);
    return made;
  };
}

/** Throws SSM6004, SSM6003 or SSM5002, or returns the request in checked form. */
export function checkRequest(session: Session, shapes: EntryShapes, request: RunRequest): CheckedRequest {
  session.check();
  checkShape(request);
  const shape = shapes(request.entry, request.sizes);
  const { entry, inputs, results, inputNames, resultNames } = shape;
  checkNames(request.tensors.keys(), inputNames, entry.name, 'tensors');
  if (request.into !== undefined) checkNames(request.into.keys(), resultNames, entry.name, 'into');
  const given = checkGiven(request, inputs, session);
  return { ...shape, given, into: checkInto(request, results, session) };
}
