/** Compares what one layer computes in two ways, tensor by tensor: loss, scores and every gradient of a batch. */
import type { Layer } from '../../runtime/index.ts';
import type { Digits } from './data.ts';

/** Host numbers by `output …` and `gradient …`. */
export type BatchNumbers = ReadonlyMap<string, ArrayLike<number>>;

/** Forward and backward of a batch, read back. */
export async function runBatch(layer: Layer, parameters: ReadonlyMap<string, Float64Array>, rows: Digits): Promise<BatchNumbers> {
  layer.setParameters(Object.fromEntries(parameters));
  const { outputs, gradients } = await layer.gradients({
    inputs: { pixel: rows.pixels, label: rows.labels }, batch: rows.count,
    outputCotangents: { loss: new Float32Array(rows.count).fill(1 / rows.count) },
  });
  const numbers = new Map<string, ArrayLike<number>>();
  for (const [name, tensor] of Object.entries(outputs)) numbers.set(`output ${name}`, await tensor.read());
  for (const [name, tensor] of Object.entries(gradients)) numbers.set(`gradient ${name}`, await tensor.read());
  return numbers;
}

export type Difference = { readonly tensor: string; readonly error: number };

/** The tensor with the largest relative error in L2; infinite where one is missing or not finite. */
export function largestDifference(expected: BatchNumbers, found: BatchNumbers): Difference {
  let worst: Difference = { tensor: '', error: -1 };
  for (const [tensor, wanted] of expected) {
    const error = relativeError(wanted, found.get(tensor));
    if (error > worst.error) worst = { tensor, error };
  }
  return worst;
}

function relativeError(expected: ArrayLike<number>, found: ArrayLike<number> | undefined): number {
  if (found === undefined || found.length !== expected.length) return Infinity;
  let [difference, norm] = [0, 0];
  for (let at = 0; at < expected.length; at++) {
    difference += ((found[at] ?? NaN) - (expected[at] ?? NaN)) ** 2;
    norm += (expected[at] ?? NaN) ** 2;
  }
  const error = norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
  return Number.isFinite(error) ? error : Infinity;
}
