/**
 * What `statefuse run` may be given for a layer: every tensor under the name that files use for it,
 * with its axes. Inputs, parameters and states are called as in the text, the gradient that comes from
 * an output `y` is `d.y`, the one from a final state `x` is `d.x.final`.
 */
import type { Artifact, ManifestTensor } from '../../backends/artifact.ts';
import type { LayerSpec, SpecType, Variance } from '../../dsl/spec.ts';

export type WantedRole = 'input' | 'param' | 'state' | 'output-cotangent' | 'final-cotangent';

export type Wanted = {
  /** in files */
  readonly name: string;
  readonly role: WantedRole;
  /** in the layer */
  readonly subject: string;
  /** batch, time, then the declared ones; without the pair of parts of a complex number */
  readonly axes: readonly string[];
  readonly type: SpecType;
  /** absent ones have another source: an initialiser, or zeros */
  readonly isRequired: boolean;
};

function leading(variance: Variance): readonly string[] {
  return [...(variance.batch ? ['batch'] : []), ...(variance.time ? ['time'] : [])];
}

function states(spec: LayerSpec): readonly Pick<Wanted, 'subject' | 'axes' | 'type'>[] {
  const declared = spec.body.flatMap((each) =>
    (each.kind === 'state' ? [{ subject: each.name, axes: ['batch', ...each.axes], type: each.type }] : []));
  return [...declared, ...spec.tails.map(({ name, axes, type }) => ({ subject: name, axes: ['batch', name, ...axes], type }))];
}

/** Outputs as the compiled layer has them. */
export function outputsOf(artifact: Artifact): readonly ManifestTensor[] {
  return artifact.manifest.entries.find((each) => each.name === 'forward')?.tensors.filter((each) => each.role === 'output') ?? [];
}

/** Everything a run may be given; gradients of outputs and final states only where they are asked for. */
export function wantedTensors(spec: LayerSpec, artifact: Artifact, withGradients: boolean): readonly Wanted[] {
  const inputs = spec.inputs.map((each): Wanted => ({
    name: each.name, role: 'input', subject: each.name, axes: [...leading(each.variance), ...each.axes], type: each.type, isRequired: true,
  }));
  const params = spec.params.map((each): Wanted => ({
    name: each.name, role: 'param', subject: each.name, axes: each.axes, type: each.type, isRequired: each.initial === null,
  }));
  const initial = states(spec).map((each): Wanted => ({ name: each.subject, role: 'state', ...each, isRequired: false }));
  if (!withGradients) return [...inputs, ...params, ...initial];
  const outputs = outputsOf(artifact).map((each): Wanted => {
    const subject = each.subject ?? each.name;
    const isComplex = each.axes.at(-1) === 'complex';
    return {
      name: `d.${subject}`, role: 'output-cotangent', subject, axes: isComplex ? each.axes.slice(0, -1) : each.axes,
      type: isComplex ? 'complex' : 'real', isRequired: true,
    };
  });
  const finals = states(spec).map((each): Wanted => ({ name: `d.${each.subject}.final`, role: 'final-cotangent', ...each, isRequired: false }));
  return [...inputs, ...params, ...initial, ...outputs, ...finals];
}
