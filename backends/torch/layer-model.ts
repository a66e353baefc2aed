/**
 * What the texts of a package agree on: the Python names of a layer's tensors, their axes and sizes, in
 * the order in which operators take them.
 */
import type { LayerSpec, ParamSpec, SpecType } from '../../dsl/spec.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import type { Manifest, StorageName } from '../artifact.ts';
import type { FewSequences } from '../few-sequences.ts';
import { createPythonNamer, layerNames, type LayerNames } from './names.ts';

/** A tensor as callers in Python see it. */
export type ModelValue = {
  /** of the argument */
  readonly name: string;
  /** path in the layer's text */
  readonly subject: string;
  readonly type: SpecType;
  /** `batch`, `time`, then declared axes */
  readonly axes: readonly string[];
  /** number of values of an index */
  readonly values: number | null;
};

export type ModelState = ModelValue & {
  /** of the argument that brings the initial state */
  readonly initialName: string;
  /** what a delay carries: its second axis holds the last tokens */
  readonly isTail: boolean;
};

export type ModelParameter = ModelValue & { readonly spec: ParamSpec };

/** A storage type with the sizes of calls that take the kernels for few sequences, or null where there are none. */
export type StoredSizes = { readonly storage: StorageName; readonly few: Pick<FewSequences, 'sequences' | 'tokens'> | null };

export type LayerModel = LayerNames & {
  readonly spec: LayerSpec;
  readonly storages: readonly StoredSizes[];
  readonly inputs: readonly ModelValue[];
  readonly parameters: readonly ModelParameter[];
  readonly states: readonly ModelState[];
  readonly outputs: readonly ModelValue[];
  readonly hasStep: boolean;
  readonly sizeOf: (axis: string) => number;
};

function implicitAxes(variance: { readonly batch: boolean; readonly time: boolean }): readonly string[] {
  return [...(variance.batch ? ['batch'] : []), ...(variance.time ? ['time'] : [])];
}

/** The tensors of a layer with Python names; `name` is what package, function and class are called after. */
export function modelLayer(spec: LayerSpec, name: string, storages: readonly StoredSizes[], manifest: Manifest): LayerModel {
  const names = layerNames(name);
  const namer = createPythonNamer([names.functionName, names.className]);
  const outputNamer = createPythonNamer();
  const value = (name: string, type: SpecType, axes: readonly string[], values: number | null = null): ModelValue =>
    ({ name: namer.fresh(name), subject: name, type, axes, values });
  const inputs = spec.inputs.map((each) => value(each.name, each.type, [...implicitAxes(each.variance), ...each.axes], each.values));
  if (!inputs.some((each) => each.axes.includes('batch') && each.axes.includes('time'))) {
    throw ssmError('SSM4003', `layer \`${spec.name}\` has no input that varies with time`, 'a PyTorch operator reads batch and length from its inputs; declare one that is not `per sequence`');
  }
  const parameters = spec.params.map((each) => ({ ...value(each.name, each.type, each.axes), spec: each }));
  const state = (name: string, type: SpecType, axes: readonly string[], isTail: boolean): ModelState => {
    const made = value(name, type, ['batch', ...axes]);
    return { ...made, isTail, initialName: namer.fresh(`${made.name}_initial`) };
  };
  const states = [
    ...spec.body.flatMap((each) => (each.kind === 'state' ? [state(each.name, each.type, each.axes, false)] : [])),
    ...spec.tails.map((each) => state(each.name, each.type, [each.name, ...each.axes], true)),
  ];
  const outputs = spec.outputs.map((each): ModelValue => ({
    name: outputNamer.fresh(each.name), subject: each.name, type: each.value.type, values: null,
    axes: [...implicitAxes(each.value.variance), ...each.axes],
  }));
  const sizes = new Map([...spec.axes.map((each) => [each.name, each.size] as const), ...spec.tails.map((each) => [each.name, each.count] as const)]);
  return {
    ...names, spec, storages, inputs, parameters, states, outputs,
    hasStep: manifest.entries.some((each) => each.name === 'step'),
    sizeOf: (axis) => required(sizes.get(axis), `axis ${axis}`),
  };
}
