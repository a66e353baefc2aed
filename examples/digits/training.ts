/** Trains a digit classifier on any device: mini-batches in a seeded order, gradients from the layer, AdamW. */
import type { LayerSpec } from '../../dsl/spec.ts';
import { randomStream } from '../../ir/initial/random.ts';
import type { Layer } from '../../runtime/index.ts';
import { createAdamW } from './adamw.ts';
import { selectDigits, type Digits } from './data.ts';

export type Progress = {
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
};

export type TrainingOptions = {
  readonly epochs: number;
  readonly batch: number;
  readonly rate: number;
  readonly seed: number;
  /** the run ends after so many steps, whatever the epochs */
  readonly stepLimit?: number;
  /** ends the run before the next step */
  readonly signal?: AbortSignal;
  /** waited for, so that a page can draw and listen between steps */
  readonly onProgress?: (progress: Progress) => void | Promise<void>;
};

const warmUp = 0.05;

/** Rises for a twentieth of the run, then falls along a cosine. */
function rateAt(fraction: number, peak: number): number {
  if (fraction < warmUp) return (peak * fraction) / warmUp;
  return (peak * (1 + Math.cos((Math.PI * (fraction - warmUp)) / (1 - warmUp)))) / 2;
}

function shuffled(count: number, seed: number, epoch: number): readonly number[] {
  const stream = randomStream(seed, 'order of the rows', epoch);
  return Array.from({ length: count }, (_, at) => ({ at, key: stream.uniform(at) }))
    .sort((left, right) => left.key - right.key)
    .map(({ at }) => at);
}

function toRecord(parameters: ReadonlyMap<string, Float64Array>): Record<string, Float64Array> {
  return Object.fromEntries(parameters);
}

/** Mean loss and gradients of the mean loss over some rows. */
async function lossGradients(
  layer: Layer, rows: Digits, names: Iterable<string>,
): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, ArrayLike<number>> }> {
  const share = new Float32Array(rows.count).fill(1 / rows.count);
  const { outputs, gradients } = await layer.gradients({
    inputs: { pixel: rows.pixels, label: rows.labels }, batch: rows.count, outputCotangents: { loss: share },
  });
  const losses = (await outputs['loss']?.read()) ?? [];
  const found = new Map<string, ArrayLike<number>>();
  for (const name of names) {
    const gradient = await gradients[name]?.read();
    if (gradient !== undefined) found.set(name, gradient);
  }
  return { loss: Array.from(losses).reduce((sum, each) => sum + each, 0) / rows.count, gradients: found };
}

/** Trains in place: `parameters` and the layer's own move together. Returns the loss of every step. */
export async function trainDigits(
  layer: Layer, spec: LayerSpec, parameters: ReadonlyMap<string, Float64Array>, train: Digits, options: TrainingOptions,
): Promise<readonly number[]> {
  const isMatrix = spec.params.filter((each) => each.axes.length > 1 && each.name.includes('W_'));
  const matrices = new Set(isMatrix.map((each) => each.name));
  const optimiser = createAdamW(parameters, { decay: 0.01, decayed: (name) => matrices.has(name), largestNorm: 1 });
  const perEpoch = Math.floor(train.count / options.batch);
  const steps = Math.min(options.stepLimit ?? Infinity, perEpoch * options.epochs);
  const losses: number[] = [];
  layer.setParameters(toRecord(parameters));
  const isOver = (): boolean => losses.length >= steps || options.signal?.aborted === true;
  for (let epoch = 0; !isOver(); epoch++) {
    const order = shuffled(train.count, options.seed, epoch);
    for (let first = 0; first + options.batch <= order.length && !isOver(); first += options.batch) {
      const rows = selectDigits(train, order.slice(first, first + options.batch));
      const { loss, gradients } = await lossGradients(layer, rows, parameters.keys());
      optimiser.step(gradients, rateAt((losses.length + 1) / steps, options.rate));
      layer.setParameters(toRecord(parameters));
      losses.push(loss);
      await options.onProgress?.({ epoch: epoch + 1, epochs: options.epochs, step: losses.length, steps, loss });
    }
  }
  return losses;
}

/** For each row the class with the largest score. */
export async function predictDigits(layer: Layer, rows: Digits, batch: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (let first = 0; first < rows.count; first += batch) {
    const some = selectDigits(rows, Array.from({ length: Math.min(batch, rows.count - first) }, (_, at) => first + at));
    const { outputs } = await layer.forward({ inputs: { pixel: some.pixels, label: some.labels }, batch: some.count });
    const scores = (await outputs['logits']?.read()) ?? [];
    const classes = scores.length / some.count;
    for (let row = 0; row < some.count; row++) {
      const mine = Array.from({ length: classes }, (_, at) => scores[row * classes + at] ?? -Infinity);
      found.push(mine.indexOf(Math.max(...mine)));
    }
  }
  return found;
}

/** Share of rows whose largest score is the label's. */
export async function accuracyOn(layer: Layer, rows: Digits, batch: number): Promise<number> {
  const predicted = await predictDigits(layer, rows, batch);
  return predicted.filter((guess, row) => guess === rows.labels[row]).length / rows.count;
}
