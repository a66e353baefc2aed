/**
 * Eigenvalues and responses of a layer, found by running it: every state is affine in its previous value,
 * x' = a ⊙ x + b, so that two runs of one token from x = 0 and x = 1 differ by a; and what an impulse adds
 * to the outputs is the difference of a run with it and one without. Works for every layer on every device,
 * selective ones at the constant input they are held at.
 */
import type { LayerSpec, StateSpec } from '../../../dsl/spec.ts';
import type { DeviceRecord, HostNumbers, Layer, LayerRecord } from '../../../runtime/index.ts';
import type { Analysis, Eigenvalues, Response } from '../services/protocol.ts';
import { holdInputs, tokensOf, widthOf, type InputNumbers } from './signals.ts';

export type AnalysisOptions = {
  /** what real inputs are held at */
  readonly level: number;
  readonly length: number;
};

/** Tokens after which a held layer counts as settled: delays are filled, normalisers see what they will. */
const settlingTokens = 64;
const mostChannels = 6;

/** Everything at once; the layer must have its parameters. */
export async function analyseLayer(
  layer: Layer,
  spec: LayerSpec,
  options: AnalysisOptions,
): Promise<Analysis> {
  const states = spec.body.flatMap((each) => (each.kind === 'state' ? [each] : []));
  const eigenvalues: Eigenvalues[] = [];
  if (states.length > 0) {
    const settled = await settle(layer, spec, options.level);
    for (const state of states)
      eigenvalues.push(await eigenvaluesOf(layer, spec, { state, settled, level: options.level }));
  }
  const { responses, notes } = await respond(layer, spec, options);
  return {
    eigenvalues,
    responses,
    notes: states.length === 0 ? ['The layer has no state, so it has no eigenvalues.', ...notes] : notes,
  };
}

type HostRecord = Readonly<Record<string, HostNumbers>>;

async function readAll(tensors: DeviceRecord): Promise<HostRecord> {
  const found: Record<string, HostNumbers> = {};
  for (const [name, tensor] of Object.entries(tensors)) found[name] = await tensor.read();
  return found;
}

async function finalStates(
  layer: Layer,
  inputs: InputNumbers,
  length: number,
  initial: LayerRecord,
): Promise<HostRecord> {
  return readAll((await layer.forward({ inputs, batch: 1, length, initial })).final);
}

function settle(layer: Layer, spec: LayerSpec, level: number): Promise<HostRecord> {
  const sizes = { batch: 1, length: settlingTokens };
  return finalStates(layer, holdInputs(spec, level, sizes), sizes.length, {});
}

type Probe = { readonly state: StateSpec; readonly settled: HostRecord; readonly level: number };

async function eigenvaluesOf(
  layer: Layer,
  spec: LayerSpec,
  { state, settled, level }: Probe,
): Promise<Eigenvalues> {
  const inputs = holdInputs(spec, level, { batch: 1, length: 1 });
  const count = widthOf(spec, state);
  const isComplex = state.type === 'complex';
  const unit = Float32Array.from({ length: count }, (_, at) => (isComplex && at % 2 === 1 ? 0 : 1));
  const after = async (value: Float32Array): Promise<HostNumbers> =>
    (await finalStates(layer, inputs, 1, { ...settled, [state.name]: value }))[state.name] ?? [];
  const [one, zero] = [await after(unit), await after(new Float32Array(count))];
  const values = new Float64Array(isComplex ? count : 2 * count);
  let radius = 0;
  for (let at = 0; at < count; at++) values[isComplex ? at : 2 * at] = (one[at] ?? NaN) - (zero[at] ?? NaN);
  for (let at = 0; at < values.length; at += 2)
    radius = Math.max(radius, Math.hypot(values[at] ?? 0, values[at + 1] ?? 0));
  return { state: state.name, values, radius };
}

/** The first real input that is given per token. */
function drivenInput(spec: LayerSpec): LayerSpec['inputs'][number] | undefined {
  return spec.inputs.find((each) => each.type === 'real' && each.variance.time);
}

async function respond(
  layer: Layer,
  spec: LayerSpec,
  { level, length }: AnalysisOptions,
): Promise<Pick<Analysis, 'responses' | 'notes'>> {
  const input = drivenInput(spec);
  if (input === undefined)
    return { responses: [], notes: ['No real input is given per token, so there is nothing to disturb.'] };
  const outputs = spec.outputs.filter((each) => each.value.variance.time);
  if (outputs.length === 0)
    return { responses: [], notes: ['Every output is one per sequence, so there is no response over time.'] };
  const isReversed = spec.body.some((each) => each.kind === 'state' && each.order === 'reverse');
  const start = isReversed ? Math.floor(length / 2) : 0;
  const sizes = { batch: 1, length };
  const held = holdInputs(spec, level, sizes);
  const width = widthOf(spec, input);
  const disturbed = (held[input.name] ?? new Float32Array(tokensOf(input, sizes) * width)).slice();
  for (let channel = 0; channel < width; channel++) disturbed[start * width + channel] = level + 1;
  const run = async (inputs: InputNumbers): Promise<HostRecord> =>
    readAll((await layer.forward({ inputs, batch: 1, length })).outputs);
  const [without, with_] = [await run(held), await run({ ...held, [input.name]: disturbed })];
  const responses = outputs.map(({ name, axes }): Response => {
    const channels = widthOf(spec, { axes, type: 'real' });
    const shown = spreadEvenly(channels, mostChannels);
    const difference = (token: number, channel: number): number =>
      (with_[name]?.[token * channels + channel] ?? NaN) -
      (without[name]?.[token * channels + channel] ?? NaN);
    return {
      input: input.name,
      output: name,
      start,
      names: shown.map((channel) => (axes.length === 0 ? name : `${name}[${channel}]`)),
      channels: shown.map((channel) =>
        Float32Array.from({ length }, (_, token) => difference(token, channel)),
      ),
    };
  });
  return { responses, notes: [] };
}

/** At most `most` of `count` numbers from 0, evenly apart. */
export function spreadEvenly(count: number, most: number): readonly number[] {
  const shown = Math.min(count, most);
  return Array.from({ length: shown }, (_, at) =>
    shown === 1 ? 0 : Math.round((at * (count - 1)) / (shown - 1)),
  );
}
