/** Trains the digit classifiers in the page: loss and accuracy as they come, and guesses on held-out scans. */
import type { Guess, PageTarget, TrainEnd, TrainEvent } from '../services/protocol.ts';
import { lineChart } from './chart.ts';
import { targetNames, type Devices } from './device-choice.ts';
import { labelled, make, makeNumberField, makeSelect } from './dom.ts';
import { compileLimit, type Panel } from './panel.ts';
import { failureNotice } from './problems.ts';
import type { Services } from './run-panel.ts';

/** The texts of the models by name. */
export type Models = Readonly<Record<'s4d' | 'mamba', string>>;

type Curve = {
  readonly losses: (readonly [number, number])[];
  readonly accuracies: (readonly [number, number])[];
  steps: number;
};

const [batch, rate, seed] = [32, 1e-2, 1];
const smoothing = 0.9;

/** The panel; it does not depend on the text in the editor. `services.devices` is its own worker. */
export function createTrainingPanel(services: Services, devices: Devices, models: Models): Panel {
  const model = makeSelect(
    [
      ['s4d', 'S4D, two blocks'],
      ['mamba', 'Mamba, two blocks'],
    ],
    's4d',
  );
  const device = makeSelect(
    [
      ['wasm', targetNames.wasm],
      ['wgsl', targetNames.wgsl],
    ],
    'wasm',
  );
  const epochs = makeNumberField(12, 1, 100);
  const start = make('button', { type: 'button', class: 'primary' }, 'Train');
  const stop = make('button', { type: 'button', disabled: true }, 'Stop');
  const status = make(
    'p',
    { class: 'training-status', role: 'status' },
    '1,437 scans of handwritten digits to train on, 360 held out; each is read as 64 numbers, one after the other.',
  );
  const charts = make('div', { class: 'figures' });
  const guesses = make('div', { class: 'guesses' });
  devices.onChange(() => {
    for (const option of device.options)
      option.disabled = devices.state(option.value as PageTarget).kind === 'absent';
  });
  const train = async (): Promise<void> => {
    const curve: Curve = { losses: [], accuracies: [], steps: 0 };
    start.disabled = true;
    stop.disabled = false;
    guesses.replaceChildren();
    status.textContent = 'Compiling forward and backward kernels …';
    try {
      const target = device.value as PageTarget;
      const choice = { text: models[model.value as keyof Models], layer: null, sizes: {} };
      const prepared = await services.compiler.call(
        'prepare',
        { ...choice, mode: 'auto', target, use: 'training', seed },
        { milliseconds: compileLimit },
      );
      status.textContent = `Loading ${prepared.artifact.manifest.layer} on ${targetNames[target]} …`;
      const job = { target, prepared, epochs: epochs.value() ?? 1, batch, rate, seed };
      const end = await services.devices.call('train', job, {
        onEvent: (event) => {
          record(curve, event);
          status.textContent = describe(curve, event, status.textContent ?? '');
          charts.replaceChildren(...curveCharts(curve));
          if (event.kind === 'epoch') guesses.replaceChildren(...guessParts(event.guesses));
        },
      });
      status.textContent = describeEnd(curve, end);
    } catch (error) {
      status.replaceChildren(failureNotice(error));
    }
    start.disabled = false;
    stop.disabled = true;
  };
  start.addEventListener('click', () => void train());
  stop.addEventListener('click', () => void services.devices.call('stop', null));
  const toolbar = make(
    'div',
    { class: 'toolbar' },
    labelled('Model', model),
    labelled('Device', device),
    labelled('Epochs', epochs.element),
    start,
    stop,
  );
  return {
    id: 'train',
    title: 'Train',
    element: make('div', {}, toolbar, status, charts, guesses),
    show: () => {},
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function record(curve: Curve, event: TrainEvent): void {
  if (event.kind === 'epoch') curve.accuracies.push([event.step, event.accuracy]);
  else {
    curve.steps = event.steps;
    event.losses.forEach((loss, at) => curve.losses.push([event.first + at, loss]));
  }
}

function describe(curve: Curve, event: TrainEvent, before: string): string {
  if (event.kind === 'epoch') return before;
  const step = event.first + event.losses.length - 1;
  const accuracy = curve.accuracies.at(-1);
  const told = accuracy === undefined ? '' : `, ${percent(accuracy[1])} of the held-out scans right`;
  return `Step ${step} of ${event.steps}, ${(event.milliseconds / step).toFixed(0)} ms a step, loss ${(event.losses.at(-1) ?? NaN).toFixed(3)}${told}`;
}

function describeEnd(curve: Curve, { steps, stopped, milliseconds }: TrainEnd): string {
  const reached = curve.accuracies.at(-1)?.[1];
  const means = smoothed(curve.losses);
  const losses =
    means.length === 0
      ? ''
      : `; loss ${(means[0]?.[1] ?? NaN).toFixed(3)} at first, ${(means.at(-1)?.[1] ?? NaN).toFixed(3)} at last`;
  return `${stopped ? 'Stopped' : 'Done'} after ${steps} steps, ${(milliseconds / 1000).toFixed(1)} s${losses}${reached === undefined ? '' : `; ${percent(reached)} of the held-out scans right`}.`;
}

function smoothed(points: Curve['losses']): Curve['losses'] {
  let average = NaN;
  return points.map(([step, loss]) => {
    average = Number.isNaN(average) ? loss : smoothing * average + (1 - smoothing) * loss;
    return [step, average] as const;
  });
}

function curveCharts(curve: Curve): readonly HTMLElement[] {
  const x = [0, curve.steps] as const;
  return [
    lineChart({
      title: 'Loss on the training batches',
      xLabel: 'step',
      yLabel: 'loss',
      x,
      y: [0, 2.5],
      series: [
        { name: 'smoothed', points: smoothed(curve.losses) },
        { name: 'each step', points: curve.losses, look: 'faint' },
      ],
    }),
    lineChart({
      title: 'Accuracy on held-out scans',
      xLabel: 'step',
      yLabel: 'share right',
      x,
      y: [0, 1],
      series: [{ name: 'accuracy', points: curve.accuracies, look: 'dots' }],
    }),
  ];
}

const [side, scale] = [8, 5];

function guessParts(guesses: readonly Guess[]): readonly HTMLElement[] {
  return [
    make('h3', {}, 'Held-out scans and what the model says'),
    make('ul', { class: 'scans' }, ...guesses.map(scanItem)),
  ];
}

function scanItem({ pixels, label, guess }: Guess): HTMLElement {
  const canvas = make('canvas', { width: side, height: side, 'aria-hidden': 'true' });
  canvas.style.width = `${side * scale}px`;
  const image = new ImageData(side, side);
  pixels.forEach((value, at) => image.data.set([0, 0, 0, Math.round(255 * value)], 4 * at));
  canvas.getContext('2d')?.putImageData(image, 0, 0);
  const isRight = label === guess;
  return make(
    'li',
    {
      class: isRight ? 'right' : 'wrong',
      title: isRight ? `a ${label}` : `a ${label}, taken for a ${guess}`,
    },
    canvas,
    make('span', {}, isRight ? String(guess) : `${guess} ≠ ${label}`),
  );
}
