/** Runs the layer on the page's devices: times, outputs as a plot, and how far two devices differ. */
import { largestDifference } from '../../digits/check.ts';
import type { Remote } from '../services/remote.ts';
import type {
  CompilerService,
  DeviceService,
  OutputNumbers,
  PageTarget,
  RunReport,
  SignalKind,
} from '../services/protocol.ts';
import { spreadEvenly } from '../devices/analyse.ts';
import { lineChart } from './chart.ts';
import { missingNotices, targetNames, type Devices } from './device-choice.ts';
import { labelled, make, makeNumberField, makeSelect, makeTable } from './dom.ts';
import { compileLimit, type Panel, type Subject } from './panel.ts';
import { failureNotice } from './problems.ts';

export type Services = {
  readonly compiler: Remote<CompilerService>;
  readonly devices: Remote<DeviceService>;
};

type Ran = { readonly target: PageTarget; readonly report: RunReport; readonly compileMilliseconds: number };

const shownChannels = 6;
const runLimit = 120_000;

/** The panel; runs happen on the button only. */
export function createRunPanel(services: Services, devices: Devices): Panel {
  const choice = makeSelect(
    [
      ['wasm', 'WebAssembly'],
      ['wgsl', 'WebGPU'],
      ['both', 'both, compared'],
    ],
    'wasm',
  );
  const signal = makeSelect(
    [
      ['noise', 'noise'],
      ['sine', 'sine'],
      ['impulse', 'impulse'],
      ['step', 'step'],
    ],
    'sine',
  );
  const repeats = makeNumberField(7, 1, 99);
  const button = make('button', { type: 'button', class: 'primary', disabled: true }, 'Run');
  const status = make('p', { class: 'quiet', role: 'status' });
  const results = make('div', { class: 'results' });
  const notices = make('div');
  let subject: Subject | null = null;
  devices.onChange(() => {
    notices.replaceChildren(...missingNotices(devices));
    for (const option of choice.options)
      option.disabled = targetsOf(option.value).some((each) => devices.state(each).kind === 'absent');
  });
  const run = async (): Promise<void> => {
    const mine = subject;
    if (mine === null) return;
    button.disabled = true;
    results.classList.add('waiting');
    try {
      const ran: Ran[] = [];
      for (const target of targetsOf(choice.value)) {
        status.textContent = `Compiling and running on ${targetNames[target]} …`;
        ran.push(
          await runOn(services, mine, {
            target,
            signal: signal.value as SignalKind,
            repeats: repeats.value() ?? 1,
          }),
        );
      }
      const isCurrent = mine === subject;
      status.textContent = isCurrent ? '' : 'The layer or its sizes changed meanwhile: run again.';
      if (isCurrent) results.replaceChildren(...resultParts(ran, mine));
    } catch (error) {
      status.textContent = '';
      results.replaceChildren(failureNotice(error));
    }
    results.classList.remove('waiting');
    button.disabled = false;
  };
  button.addEventListener('click', () => void run());
  const toolbar = make(
    'div',
    { class: 'toolbar' },
    labelled('Device', choice),
    labelled('Input', signal),
    labelled('Timed runs', repeats.element),
    button,
  );
  const help = make(
    'p',
    { class: 'quiet' },
    'Sizes, batch, length and mode are those beside the text. Parameters come from their initialisers.',
  );
  return {
    id: 'run',
    title: 'Run',
    element: make('div', {}, notices, toolbar, help, status, results),
    show: (given) => {
      if (subject === null) button.disabled = false;
      else if (subject !== given) results.replaceChildren();
      subject = given;
    },
  };
}

function targetsOf(choice: string): readonly PageTarget[] {
  return choice === 'both' ? ['wasm', 'wgsl'] : [choice as PageTarget];
}

type RunChoice = { readonly target: PageTarget; readonly signal: SignalKind; readonly repeats: number };

async function runOn(
  { compiler, devices }: Services,
  { choice, mode, batch, length }: Subject,
  { target, signal, repeats }: RunChoice,
): Promise<Ran> {
  const prepared = await compiler.call(
    'prepare',
    { ...choice, mode, target, use: 'inference', seed: 1 },
    { milliseconds: compileLimit },
  );
  const report = await devices.call(
    'run',
    { target, prepared, signal, batch, length, repeats },
    { milliseconds: runLimit },
  );
  return { target, report, compileMilliseconds: prepared.milliseconds };
}

const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(3) : value.toFixed(1)} ms`;

function resultParts(ran: readonly Ran[], { batch, length }: Subject): readonly HTMLElement[] {
  const rows = ran.map(({ target, report, compileMilliseconds }) => {
    const { median, least, runs, source } = report.milliseconds;
    return [
      targetNames[target],
      milliseconds(median),
      milliseconds(least),
      String(runs),
      source,
      `${Math.round((batch * length) / median)} /ms`,
      milliseconds(compileMilliseconds),
      milliseconds(report.readyMilliseconds),
    ];
  });
  const [first, second] = ran;
  return [
    makeTable(['device', 'median', 'least', 'runs', 'clock', 'tokens', 'compiled in', 'ready in'], rows),
    ...(first === undefined || second === undefined ? [] : [agreement(first.report, second.report)]),
    ...Object.entries(first?.report.outputs ?? {}).map(([name, output]) => outputPart(name, output)),
  ];
}

function agreement(first: RunReport, second: RunReport): HTMLElement {
  const numbers = (report: RunReport): ReadonlyMap<string, Float32Array> =>
    new Map(Object.entries(report.outputs).map(([name, each]) => [name, each.data]));
  const { tensor, error } = largestDifference(numbers(first), numbers(second));
  const isClose = error < 1e-3;
  return make(
    'p',
    { class: isClose ? 'notice notice-good' : 'notice notice-bad', 'data-difference': error },
    `Largest relative difference between the devices: ${error.toExponential(1)} (${tensor})${isClose ? '' : ': too large'}.`,
  );
}

/** The first sequence of an output: over time where it has time, else as numbers. */
function outputPart(name: string, { axes, shape, data }: OutputNumbers): HTMLElement {
  const label = `${name} [${axes.map((axis, at) => `${axis} ${shape[at] ?? '?'}`).join(', ')}]`;
  const perSequence = data.length / (shape[0] ?? 1);
  if (axes[1] !== 'time') {
    const numbers = Array.from(data.subarray(0, Math.min(perSequence, 32)), (each) => each.toPrecision(4));
    return make('div', {}, make('h3', {}, label), make('p', { class: 'numbers' }, numbers.join('  ')));
  }
  const tokens = shape[1] ?? 0;
  const width = perSequence / Math.max(1, tokens);
  const series = spreadEvenly(width, shownChannels).map((channel) => ({
    name: width === 1 ? name : `${name}[${channel}]`,
    points: Array.from(
      { length: tokens },
      (_, token) => [token, data[token * width + channel] ?? NaN] as const,
    ),
  }));
  return lineChart({
    title: `${label}, first sequence${width > shownChannels ? `, ${shownChannels} of ${width} channels` : ''}`,
    xLabel: 'token',
    yLabel: name,
    series,
  });
}
