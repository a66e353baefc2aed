/** Runs of compiled layers on random numbers, mode against mode: for lengths that no interpreter takes. */
import { compileSpec, type CompileOptions } from '../../backends/compile.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import type { DeviceTensor, ExecutionDevice, PreparedLayer, TensorData } from '../../runtime/device.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { required } from '../../support/invariant.ts';
import { seededNumbers } from '../ir/tensor/seeded.ts';

const given: ReadonlySet<string> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);

/** A layer compiled once for runs of several lengths. */
export async function prepareLayer(device: ExecutionDevice, spec: LayerSpec, options: CompileOptions): Promise<PreparedLayer> {
  return device.prepare(compileSpec(spec, options).artifact);
}

/** Every result of forward and, where asked for, of backward with cotangents of the final states, by name. */
export async function runLayer(layer: PreparedLayer, spec: LayerSpec, sizes: RunSizes, withGradients: boolean): Promise<ReadonlyMap<string, Float32Array>> {
  const { artifact } = layer;
  const parameters = initialParameters(spec, 3);
  const results = new Map<string, Float32Array>();
  const kept = new Map<string, DeviceTensor>();
  for (const name of withGradients ? (['forwardSaved', 'backwardFinal'] as const) : (['forward'] as const)) {
    const entry = required(artifact.manifest.entries.find((each) => each.name === name), name);
    const tensors = new Map<string, TensorData | DeviceTensor>(entry.tensors.filter((each) => given.has(each.role)).map((each) => {
      const count = each.dims.reduce<number>((product, dim) => product * evaluateSize(dim, sizes), 1);
      const next = seededNumbers([...each.name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 65521);
      const known = parameters.get(each.subject ?? '');
      return [each.name, each.role === 'param' && known !== undefined ? Float32Array.from(known) : Float32Array.from({ length: count }, () => next())];
    }));
    for (const each of entry.tensors) {
      const saved = kept.get(each.name);
      if (each.role === 'saved' && saved !== undefined) tensors.set(each.name, saved);
    }
    const run = await layer.run({ entry: name, sizes, tensors });
    for (const [tensor, value] of run.tensors) {
      kept.set(tensor, value);
      const { role } = required(entry.tensors.find((each) => each.name === tensor), tensor);
      if (role !== 'saved') results.set(tensor, (await value.read()) as Float32Array);
    }
  }
  kept.forEach((each) => each[Symbol.dispose]());
  return results;
}
