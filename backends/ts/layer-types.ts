/**
 * The types in which a generated module describes a layer: what goes in and comes out by name, with
 * the sizes that the text fixes as literals.
 */
import type ts from 'typescript';
import type { EntryPointName, Manifest, ManifestTensor } from '../artifact.ts';
import type { Member, Syntax } from './syntax.ts';

type Role = ManifestTensor['role'];

/** The tensors of a role by what they are called in the text, in the order in which entries list them. */
function tensorsOf(manifest: Manifest, role: Role): ReadonlyMap<string, ManifestTensor> {
  const found = new Map<string, ManifestTensor>();
  // `step` has the same tensors with the length fixed
  for (const entry of manifest.entries) {
    if (entry.name === 'step') continue;
    for (const tensor of entry.tensors) {
      const name = tensor.subject ?? tensor.name;
      if (tensor.role === role && !found.has(name)) found.set(name, tensor);
    }
  }
  return found;
}

/** An axis as a label: the paths of axes of applied layers have dots. */
function labelOf(axis: string): string {
  return axis.replace(/[^A-Za-z0-9_]/g, '_');
}

function shapeType(syntax: Syntax, axes: readonly string[], dims: ManifestTensor['dims']): ts.TypeNode {
  const used = new Set<string>();
  return syntax.tuple(dims.map((size, at) => {
    let label = labelOf(axes[at] ?? 'size');
    while (used.has(label)) label += '_';
    used.add(label);
    return { label, size: typeof size === 'number' ? size : null };
  }));
}

/** `batch × time × D (256)`; axes are identifiers, so nothing of a text can end the comment. */
function shapeComment(axes: readonly string[], dims: ManifestTensor['dims']): string {
  if (axes.length === 0) return 'one number';
  return axes.map((axis, at) => {
    if (axis === 'complex') return 're, im';
    return typeof dims[at] === 'number' ? `${axis} (${dims[at]})` : axis;
  }).join(' × ');
}

function given(syntax: Syntax, tensors: ReadonlyMap<string, ManifestTensor>): ts.TypeNode {
  return syntax.record([...tensors].map(([name, { axes, dims }]) => ({
    name, type: syntax.reference('TensorInput', [shapeType(syntax, axes, dims)]), comment: shapeComment(axes, dims),
  })));
}

function results(syntax: Syntax, tensors: ReadonlyMap<string, ManifestTensor>): ts.TypeNode {
  return syntax.record([...tensors].map(([name, { axes, dims, storage }]) => ({
    name, type: syntax.reference('TensorOutput', [syntax.literal(storage)]), comment: shapeComment(axes, dims),
  })));
}

function parameters(syntax: Syntax, manifest: Manifest, of: 'given' | 'initial'): ts.TypeNode {
  const wanted = manifest.parameters.filter((each) => of === 'given' || each.initialiser !== null);
  return syntax.record(wanted.map(({ name, axes, shape, complex }) => {
    const [all, dims] = complex ? [[...axes, 'complex'], [...shape, 2]] : [axes, shape];
    const type = of === 'given' ? syntax.reference('TensorInput', [shapeType(syntax, all, dims)]) : syntax.reference('Float32Array');
    return { name, type, comment: shapeComment(all, dims) };
  }));
}

export type NamedType = { readonly name: string; readonly type: ts.TypeNode; readonly comment: string };

function has(manifest: Manifest, entry: EntryPointName): boolean {
  return manifest.entries.some((each) => each.name === entry);
}

/** The types of a layer's namespace. */
export function layerTypes(syntax: Syntax, manifest: Manifest, carriesParameters: boolean): readonly NamedType[] {
  const outputs = tensorsOf(manifest, 'output');
  const shapes = [...outputs].map(([name, { axes, dims }]): Member => ({ name, type: shapeType(syntax, axes, dims) }));
  const types: NamedType[] = [
    { name: 'Axes', type: syntax.record(manifest.axes.map(({ name, size }) => ({ name, type: syntax.number(size) }))), comment: 'Sizes of the axes.' },
    { name: 'Inputs', type: given(syntax, tensorsOf(manifest, 'input')), comment: 'What a call brings.' },
    { name: 'Parameters', type: parameters(syntax, manifest, 'given'), comment: 'What is the same for all tokens and sequences.' },
    { name: 'States', type: given(syntax, tensorsOf(manifest, 'initial')), comment: 'What a call may begin with.' },
    { name: 'Outputs', type: results(syntax, outputs), comment: 'What a call gives back.' },
    { name: 'Shapes', type: syntax.record(shapes), comment: 'Shapes of the outputs.' },
    { name: 'FinalStates', type: results(syntax, tensorsOf(manifest, 'final')), comment: 'States after the last token visited.' },
  ];
  if (has(manifest, 'backward')) {
    types.push(
      { name: 'Cotangents', type: given(syntax, outputs), comment: 'dL/doutput, of the shapes of the outputs.' },
      { name: 'Gradients', type: results(syntax, tensorsOf(manifest, 'gradient')), comment: 'dL/d of inputs, parameters and initial states.' },
    );
  }
  if (carriesParameters) types.push({
    name: 'InitialParameters', type: parameters(syntax, manifest, 'initial'), comment: 'Parameters that have an initialiser.',
  });
  return types;
}

/** The type of the layer on a device: its calls, as far as it has them. */
export function loadedType(syntax: Syntax, namespace: string, manifest: Manifest): ts.TypeNode {
  const own = (name: string): ts.TypeNode => syntax.member(namespace, name);
  const call = syntax.reference('TypedCall', [own('Inputs'), own('Parameters'), own('States')]);
  const result = [own('Outputs'), own('FinalStates'), own('Shapes')];
  const promise = (of: ts.TypeNode): ts.TypeNode => syntax.reference('Promise', [of]);
  const run = syntax.method('call', call, promise(syntax.reference('TypedResult', result)));
  const members: Member[] = [
    { name: 'artifact', type: syntax.reference('Artifact') },
    {
      name: 'setParameters', comment: 'Uploads parameters, which stay until they are set again.',
      type: syntax.method('values', syntax.reference('Partial', [own('Parameters')]), syntax.reference('void')),
    },
    { name: 'forward', type: run, comment: 'All tokens of some sequences.' },
  ];
  if (has(manifest, 'step')) members.push({ name: 'step', type: run, comment: 'One token of each sequence.' });
  if (has(manifest, 'backward')) {
    const gradientCall = syntax.reference('TypedGradientCall', [own('Inputs'), own('Parameters'), own('States'), own('Cotangents')]);
    members.push({
      name: 'gradients', comment: 'Forward, then backward.',
      type: syntax.method('call', gradientCall, promise(syntax.reference('TypedGradientResult', [...result, own('Gradients')]))),
    });
  }
  members.push({
    name: 'createState', comment: 'A state of zeros, to be disposed of by the caller.',
    type: syntax.method('batch', syntax.reference('number'), syntax.reference('LayerState')),
  });
  return syntax.record(members);
}
