/**
 * Artifacts come from files too, so a device checks that a manifest is one before it believes it: every
 * field that sizes, allocations and launches are made from has its type, and every binding its tensor.
 */
import type { Artifact, ArtifactCode, TargetName } from '../backends/artifact.ts';
import { ssmError, type SsmError } from '../support/diagnostic.ts';
import { showValue } from '../support/show-value.ts';
import { isStorageName } from './storage.ts';

type Check = (value: unknown) => boolean;

const deepestSize = 64;
const entryNames: ReadonlySet<unknown> = new Set(['forward', 'forwardSaved', 'backward', 'backwardFinal', 'step']);
const roles: ReadonlySet<unknown> = new Set([
  'input', 'param', 'initial', 'output', 'final', 'saved', 'output-cotangent', 'final-cotangent', 'gradient', 'scratch',
]);
const accesses: ReadonlySet<unknown> = new Set(['read', 'write', 'read-write']);
const operators: ReadonlySet<unknown> = new Set(['add', 'multiply', 'ceil-divide', 'minimum']);

const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isCount: Check = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isOneOf = (names: ReadonlySet<unknown>): Check => (value) => names.has(value);
const isList = (check: Check): Check => (value) => Array.isArray(value) && Array.from<unknown>(value).every(check);
const isOptional = (check: Check): Check => (value) => value === undefined || check(value);
const isNullable = (check: Check): Check => (value) => value === null || check(value);

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const hasFields = (fields: Readonly<Record<string, Check>>): Check => (value) =>
  isRecord(value) && Object.entries(fields).every(([name, check]) => check(Object.hasOwn(value, name) ? value[name] : undefined));

function isSize(value: unknown, depth = 0): boolean {
  if (value === 'batch' || value === 'length' || isCount(value)) return true;
  return depth < deepestSize && isRecord(value) && operators.has(value['operator'])
    && isSize(value['left'], depth + 1) && isSize(value['right'], depth + 1);
}

const isAnySize: Check = (value) => isSize(value);

const isTensor = hasFields({
  name: isText, role: isOneOf(roles), subject: isNullable(isText), storage: isStorageName, axes: isList(isText), dims: isList(isAnySize),
});

const isDispatch = hasFields({
  kernel: isText, workgroupSize: (value) => isCount(value) && value !== 0,
  grid: (value) => isList(isAnySize)(value) && (value as readonly unknown[]).length === 3,
  uniforms: isList(hasFields({ name: isText, value: isAnySize })),
  bindings: isList(hasFields({ tensor: isText, access: isOneOf(accesses) })), sharedBytes: isCount,
  gridBase: isOptional(isList(isNullable(isCount))),
});

const isArena = hasFields({ name: isText, storage: isStorageName, length: isAnySize, members: isList(hasFields({ tensor: isText, offset: isAnySize })) });

const isEntry = hasFields({ name: isOneOf(entryNames), tensors: isList(isTensor), dispatches: isList(isDispatch), arenas: isOptional(isList(isArena)) });

/** What each field of a manifest must be. */
const fields: Readonly<Record<string, Check>> = {
  schema: (value) => value === 'statefuse-manifest', version: (value) => value === 1, layer: isText, target: isText, contentHash: isText, mode: isText,
  axes: isList(hasFields({ name: isText, size: isCount })),
  parameters: isList(hasFields({ name: isText, axes: isList(isText), shape: isList(isCount), complex: isFlag, initialiser: isNullable(isText) })),
  indexInputs: isOptional(isList(hasFields({ name: isText, values: isCount }))),
  entries: isList(isEntry), requiredLimits: (value) => isRecord(value) && Object.values(value).every((each) => typeof each === 'number'),
  requiredFeatures: isList(isText),
};

function malformed(what: string): SsmError {
  return ssmError('SSM6004', `\`artifact\` is not what a back end emitted: ${what}`, 'compile the layer again');
}

/** The tensor or member that an entry names without declaring it, or null. */
function strayName({ manifest }: Artifact): string | null {
  for (const { tensors, arenas = [], dispatches } of manifest.entries) {
    const declared = new Set(tensors.map((each) => each.name));
    const stray = arenas.flatMap((each) => each.members).find((each) => !declared.has(each.tensor))?.tensor;
    const bindable = new Set([...declared, ...arenas.map((each) => each.name)]);
    const unbound = dispatches.flatMap((each) => each.bindings).find((each) => !bindable.has(each.tensor))?.tensor;
    if ((stray ?? unbound) !== undefined) return stray ?? unbound ?? null;
  }
  return null;
}

/** The code of a sound artifact of this target; throws SSM6004 with the first field that is wrong. */
export function checkArtifact<Kind extends ArtifactCode['kind']>(artifact: unknown, target: TargetName, kind: Kind): Extract<ArtifactCode, { kind: Kind }> {
  if (!isRecord(artifact)) throw malformed(`it is ${showValue(artifact)}`);
  const { manifest, code } = artifact;
  if (!isRecord(manifest)) throw malformed('it has no manifest');
  const wrong = Object.entries(fields).find(([name, check]) => !check(Object.hasOwn(manifest, name) ? manifest[name] : undefined))?.[0];
  if (wrong !== undefined) throw malformed(`\`manifest.${wrong}\` is wrong`);
  if (manifest['target'] !== target) throw ssmError('SSM6004', `this device runs \`${target}\` artifacts, found ${showValue(manifest['target'])}`);
  const stray = strayName(artifact as Artifact);
  if (stray !== null) throw malformed(`the tensor ${showValue(stray)} is not declared`);
  const isCode = isRecord(code) && code['kind'] === kind && (kind === 'wasm' ? code['module'] instanceof Uint8Array : code['kernels'] instanceof Map);
  if (!isCode) throw malformed('`code` is wrong');
  return code as Extract<ArtifactCode, { kind: Kind }>;
}
