/**
 * Puts the tensors of files to the tensors of a layer: by name, with every missing and unexpected name
 * and every wrong shape reported at once, complex tensors from pairs or from two parts, and the batch
 * and length of the run read off the shapes.
 */
import type { LayerSpec } from '../../dsl/spec.ts';
import type { LayerValue, ShapedNumbers } from '../../runtime/layer-values.ts';
import { makeDiagnostic, SsmError, type Diagnostic } from '../../support/diagnostic.ts';
import type { RunSizes } from '../../support/size.ts';
import { suggestName } from '../../support/suggest-name.ts';
import type { FileTensor } from './tensor-files.ts';
import type { Wanted, WantedRole } from './wanted.ts';

export type Matched = { readonly wanted: Wanted; readonly value: LayerValue; readonly from: string; readonly dtype: string };

export type Match = { readonly tensors: readonly Matched[]; readonly sizes: RunSizes };

export type MatchRequest = {
  readonly spec: LayerSpec;
  readonly wanted: readonly Wanted[];
  readonly files: readonly FileTensor[];
  /** as the command line says, else read off the shapes */
  readonly batch: number | null;
  readonly length: number | null;
};

type Part = 'whole' | 're' | 'im';
type Slot = { readonly wanted: Wanted; readonly parts: Map<Part, FileTensor> };
type Target = { readonly slot: Slot; readonly part: Part };
type SizeOf = (axis: string) => number | null;

function problem(message: string, more: Partial<Diagnostic> = {}): Diagnostic {
  return makeDiagnostic({ code: 'SSM7003', message, ...more });
}

function quoted(names: readonly string[]): string {
  return names.map((each) => `\`${each}\``).join(', ');
}

/** By role of file, what each name in it stands for. Files of states may call them `x.final`, as results do. */
function targetsOf(slots: readonly Slot[], role: FileTensor['role']): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const slot of slots) {
    const { wanted } = slot;
    if (role !== 'any' && wanted.role !== role) continue;
    for (const name of role === 'state' ? [wanted.name, `${wanted.name}.final`] : [wanted.name]) {
      targets.set(name, { slot, part: 'whole' });
      if (wanted.type !== 'complex') continue;
      targets.set(`${name}.re`, { slot, part: 're' });
      targets.set(`${name}.im`, { slot, part: 'im' });
    }
  }
  return targets;
}

const plurals: readonly (readonly [WantedRole, string])[] = [
  ['input', 'inputs'], ['param', 'parameters'], ['state', 'states'],
  ['output-cotangent', 'gradients of outputs'], ['final-cotangent', 'gradients of final states'],
];

function unexpectedNames(request: MatchRequest, unexpected: readonly FileTensor[]): readonly Diagnostic[] {
  const first = unexpected[0];
  if (first === undefined) return [];
  const names = unexpected.map((each) => each.name);
  const known = request.wanted.map((each) => each.name);
  const near = names.map((each) => [each, suggestName(each, known)] as const).find(([, found]) => found !== null);
  const wantsGradients = known.some((each) => each.startsWith('d.'));
  const help = near !== undefined ? `did you mean \`${near[1]}\` by \`${near[0]}\`?`
    : !wantsGradients && names.some((each) => each.startsWith('d.')) ? 'gradients (`d.…`) are taken with `--gradients`'
      : 'remove them from the files, or rename them';
  const notes = plurals.flatMap(([role, title]) => {
    const own = request.wanted.filter((each) => each.role === role).map((each) => each.name);
    return own.length === 0 ? [] : [`${title}: ${own.join(', ')}`];
  });
  const paths = [...new Set(unexpected.map((each) => each.path))];
  return [problem(`layer \`${request.spec.name}\` takes no ${quoted(names)} (${paths.join(', ')})`, { notes, help })];
}

/** Outputs and gradients in a file of states are what a run wrote beside them, and no mistake. */
function isResultBesideStates(file: FileTensor, spec: LayerSpec): boolean {
  if (file.role !== 'state') return false;
  return file.name.startsWith('grad.') || spec.outputs.some((each) => each.name === file.name);
}

function fillSlots(request: MatchRequest, slots: readonly Slot[]): Diagnostic[] {
  const tables = { any: targetsOf(slots, 'any'), param: targetsOf(slots, 'param'), state: targetsOf(slots, 'state') };
  const problems: Diagnostic[] = [];
  const unexpected: FileTensor[] = [];
  for (const file of request.files) {
    const target = tables[file.role].get(file.name);
    if (target === undefined) {
      if (!isResultBesideStates(file, request.spec)) unexpected.push(file);
      continue;
    }
    const { slot, part } = target;
    const before = slot.parts.get(part) ?? (part === 'whole' ? [...slot.parts.values()][0] : slot.parts.get('whole'));
    if (before === undefined) slot.parts.set(part, file);
    else problems.push(problem(`\`${slot.wanted.name}\` is given twice, as \`${before.name}\` in ${before.path} and as \`${file.name}\` in ${file.path}`));
  }
  return [...problems, ...unexpectedNames(request, unexpected)];
}

function missingNames({ spec }: MatchRequest, slots: readonly Slot[]): readonly Diagnostic[] {
  const missing: string[] = [];
  const notes: string[] = [];
  for (const { wanted, parts } of slots) {
    if (parts.size === 0 && wanted.isRequired) {
      missing.push(wanted.name);
      const what = wanted.role === 'param' ? 'a parameter without initialiser'
        : wanted.role === 'input' ? 'an input' : 'the gradient with respect to an output; nothing is assumed for it';
      notes.push(`\`${wanted.name}\` (${wanted.axes.join(', ')}): ${what}`);
    } else if (parts.size === 1 && !parts.has('whole')) {
      missing.push(`${wanted.name}.${parts.has('re') ? 'im' : 're'}`);
    }
  }
  if (missing.length === 0) return [];
  return [problem(`layer \`${spec.name}\` needs ${quoted(missing)}`, { notes, help: 'give them in `--inputs` or one by one, as in `--input u=u.npy`' })];
}

function rankOf(part: Part, { axes, type }: Wanted): number {
  return axes.length + (part === 'whole' && type === 'complex' ? 1 : 0);
}

/** The size of `batch` or `time` that the first tensor of the right rank has. */
function inferSize(slots: readonly Slot[], axis: string): number | null {
  for (const { wanted, parts } of slots) {
    const at = wanted.axes.indexOf(axis);
    for (const [part, { shape }] of parts) if (at >= 0 && shape.length === rankOf(part, wanted)) return shape[at] ?? null;
  }
  return null;
}

function shapeProblem(wanted: Wanted, part: Part, file: FileTensor, sizeOf: SizeOf): Diagnostic | null {
  const isPair = part === 'whole' && wanted.type === 'complex';
  const axes = isPair ? [...wanted.axes, 're/im'] : wanted.axes;
  const sizes = axes.map((axis) => (axis === 're/im' ? 2 : sizeOf(axis)));
  const isSame = sizes.length === file.shape.length && sizes.every((size, at) => size === null || size === file.shape[at]);
  if (isSame) return null;
  const expected = sizes.map((size, at) => size ?? (axes[at] === 'time' ? 'length' : axes[at])).join(', ');
  const meaning = axes.length === 0 ? 'one number' : axes.join(', ');
  const wrong = sizes.length !== file.shape.length ? [] : axes.flatMap((axis, at) => (sizes[at] === file.shape[at] ? [] : [[axis, file.shape[at] ?? 0] as const]));
  const resizable = wrong.length > 0 && wrong.every(([axis, size]) => !['batch', 'time', 're/im'].includes(axis) && size > 0);
  return problem(`\`${file.name}\` of ${file.path} has shape [${file.shape.join(', ')}], expected [${expected}] (${meaning})`, {
    help: resizable ? `if the layer shall have that size: ${wrong.map(([axis, size]) => `\`--size ${axis}=${size}\``).join(' ')}` : null,
  });
}

/** A finite number that f32 cannot hold, or something that is no flag. */
function valueProblem({ type }: Wanted, { name, path, data }: FileTensor): Diagnostic | null {
  const isWrong = type === 'flag' ? (each: number): boolean => each !== 0 && each !== 1
    : type === 'index' || !(data instanceof Float64Array) ? null
      : (each: number): boolean => Number.isFinite(each) && !Number.isFinite(Math.fround(each));
  const at = isWrong === null ? -1 : data.findIndex(isWrong);
  if (at < 0) return null;
  const message = `\`${name}\` of ${path} has ${data[at]} at ${at}, ${type === 'flag' ? 'a flag is 0 or 1' : 'more than f32 can hold'}`;
  return makeDiagnostic({ code: 'SSM6004', message });
}

function valueOf({ wanted, parts }: Slot): ShapedNumbers {
  const [whole, re, im] = [parts.get('whole'), parts.get('re'), parts.get('im')];
  if (whole !== undefined) return { shape: whole.shape, data: whole.data };
  const shape = [...(re?.shape ?? []), 2];
  const data = new Float32Array(2 * (re?.data.length ?? 0));
  for (let at = 0; 2 * at < data.length; at++) {
    data[2 * at] = re?.data[at] ?? NaN;
    data[2 * at + 1] = im?.data[at] ?? NaN;
  }
  return { shape, data };
}

function checkSlots(slots: readonly Slot[], sizeOf: SizeOf): readonly Diagnostic[] {
  return slots.flatMap(({ wanted, parts }) => [...parts].flatMap(([part, file]) => {
    const found = shapeProblem(wanted, part, file, sizeOf) ?? valueProblem(wanted, file);
    return found === null ? [] : [found];
  }));
}

/** Every tensor that was given, checked; throws an SsmError with everything that is wrong. */
export function matchTensors(request: MatchRequest): Match {
  const { spec } = request;
  const slots = request.wanted.map((wanted): Slot => ({ wanted, parts: new Map() }));
  const problems = [...fillSlots(request, slots), ...missingNames(request, slots)];
  const batch = request.batch ?? inferSize(slots, 'batch');
  const length = request.length ?? inferSize(slots, 'time');
  const known = new Map<string, number | null>([...spec.axes.map(({ name, size }) => [name, size] as const), ...spec.tails.map(({ name, count }) => [name, count] as const)]);
  known.set('batch', batch).set('time', length);
  problems.push(...checkSlots(slots, (axis) => known.get(axis) ?? null));
  if (problems.length > 0) throw new SsmError(problems);
  const unknown = [...(batch === null ? ['batch'] : []), ...(length === null ? ['length'] : [])];
  if (batch === null || length === null) {
    throw new SsmError([problem(`no tensor tells the ${unknown.join(' and ')} of the run`, { help: `say it: ${unknown.map((each) => `\`--${each} 1\``).join(' ')}` })]);
  }
  const tensors = slots.filter((each) => each.parts.size > 0).map((slot): Matched => {
    const files = [...slot.parts.values()];
    return { wanted: slot.wanted, value: valueOf(slot), from: [...new Set(files.map((each) => each.path))].join(', '), dtype: files[0]?.dtype ?? '' };
  });
  return { tensors, sizes: { batch, length } };
}
