/**
 * Trains a digit classifier in the page: the loop of the example on the CPU, with losses told as they
 * come, accuracy on held-out scans after every epoch, and breaks in which the worker hears `stop`.
 */
import { parseDigits, splitDigits, type Digits } from '../../digits/data.ts';
import { predictDigits, trainDigits, type Progress } from '../../digits/training.ts';
import type { Layer } from '../../../runtime/index.ts';
import type { Guess, TrainEnd, TrainEvent, TrainJob } from '../services/protocol.ts';

export type TrainingData = { readonly train: Digits; readonly test: Digits };

let data: Promise<TrainingData> | null = null;

/** The digits, downloaded with the page's own files when they are first needed. */
export function loadDigits(): Promise<TrainingData> {
  data ??= fetch(new URL('../../digits/digits.csv', import.meta.url)).then(async (response) => {
    if (!response.ok)
      throw new Error(`the digits cannot be loaded: ${response.status} ${response.statusText}`);
    return splitDigits(parseDigits(await response.text()));
  });
  data.catch(() => (data = null));
  return data;
}

const testBatch = 60;
const shownGuesses = 24;
/** between two breaks of a loop that else never lets messages in */
const breakMilliseconds = 60;

const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 0));

export type TrainingRequest = {
  readonly layer: Layer;
  readonly job: TrainJob;
  readonly digits: TrainingData;
  readonly signal: AbortSignal;
  readonly tell: (event: TrainEvent) => void;
};

/** Trains until the epochs are over or the signal is raised. */
export async function trainInPage({ layer, job, digits, signal, tell }: TrainingRequest): Promise<TrainEnd> {
  const started = performance.now();
  let lastBreak = started;
  let untold: number[] = [];
  let told = 0;
  const flush = (steps: number): void => {
    if (untold.length === 0) return;
    tell({
      kind: 'steps',
      first: told + 1,
      losses: untold,
      steps,
      milliseconds: performance.now() - started,
    });
    told += untold.length;
    untold = [];
  };
  const onProgress = async ({ epoch, epochs, step, steps, loss }: Progress): Promise<void> => {
    untold.push(loss);
    if (performance.now() - lastBreak > breakMilliseconds) {
      flush(steps);
      await pause();
      lastBreak = performance.now();
    }
    if (step % (steps / epochs) !== 0) return;
    flush(steps);
    tell({ kind: 'epoch', step, epoch, epochs, ...(await examine(layer, digits.test)) });
  };
  const losses = await trainDigits(layer, job.prepared.spec, new Map(job.prepared.parameters), digits.train, {
    epochs: job.epochs,
    batch: job.batch,
    rate: job.rate,
    seed: job.seed,
    signal,
    onProgress,
  });
  flush(losses.length);
  return { steps: losses.length, stopped: signal.aborted, milliseconds: performance.now() - started };
}

async function examine(
  layer: Layer,
  test: Digits,
): Promise<{ readonly accuracy: number; readonly guesses: readonly Guess[] }> {
  const predicted = await predictDigits(layer, test, testBatch);
  const hits = predicted.filter((guess, row) => guess === test.labels[row]).length;
  const tokens = test.pixels.length / test.count;
  const guesses = predicted.slice(0, shownGuesses).map((guess, row): Guess => ({
    pixels: test.pixels.slice(row * tokens, (row + 1) * tokens),
    label: test.labels[row] ?? -1,
    guess,
  }));
  return { accuracy: hits / test.count, guesses };
}
