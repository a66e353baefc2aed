/** Impulse response and eigenvalues of the layer, found by running it on a device of the page. */
import { describeState } from '../../../ir/explain/layer-facts.ts';
import type { Analysis, Eigenvalues, Response } from '../services/protocol.ts';
import { spreadEvenly } from '../devices/analyse.ts';
import { lineChart, planeChart } from './chart.ts';
import { targetNames, type Devices } from './device-choice.ts';
import { keepLatest, labelled, make, makeSelect } from './dom.ts';
import { compileLimit, type Panel, type Subject } from './panel.ts';
import { failureNotice } from './problems.ts';
import type { Services } from './run-panel.ts';

const shownPoles = 1500;
const analysisLimit = 60_000;
const levels = ['-2', '-1', '0', '0.5', '1', '2'] as const;

/** The panel; it computes as soon as it is shown. */
export function createAnalysisPanel(services: Services, devices: Devices): Panel {
  const level = makeSelect(
    levels.map((each) => [each, each]),
    '1',
  );
  const body = make('div', { class: 'results' });
  const latest = keepLatest();
  let subject: Subject | null = null;
  const draw = async (): Promise<void> => {
    if (subject === null) return;
    body.classList.add('waiting');
    try {
      const analysis = await latest(analyse(services, devices, subject, Number(level.value)));
      if (analysis !== null) body.replaceChildren(...analysisParts(analysis, subject, level.value));
    } catch (error) {
      body.replaceChildren(failureNotice(error));
    }
    body.classList.remove('waiting');
  };
  level.addEventListener('change', () => void draw());
  return {
    id: 'analysis',
    title: 'Response',
    element: make('div', {}, make('div', { class: 'toolbar' }, labelled('Inputs held at', level)), body),
    show: (given) => {
      subject = given;
      void draw();
    },
  };
}

async function analyse(
  { compiler, devices }: Services,
  known: Devices,
  { choice, length }: Subject,
  level: number,
): Promise<Analysis> {
  const target = known.state('wasm').kind === 'absent' ? 'wgsl' : 'wasm';
  const prepared = await compiler.call(
    'prepare',
    { ...choice, mode: 'auto', target, use: 'inference', seed: 1 },
    { milliseconds: compileLimit },
  );
  return devices.call('analyse', { target, prepared, level, length }, { milliseconds: analysisLimit });
}

function analysisParts(analysis: Analysis, { spec }: Subject, level: string): readonly HTMLElement[] {
  const selective = spec.body.flatMap((item) =>
    item.kind === 'state'
      ? describeState(spec, item)
          .quantities.filter((each) => each.isSelective && each.role !== 'input map')
          .map((each) => `The ${each.role} of ${item.name} ${each.reason}`)
      : [],
  );
  const note =
    selective.length === 0
      ? 'No transition depends on the input: the eigenvalues hold at every token, whatever the input.'
      : `${selective.join('. ')}. So there is no one set of eigenvalues; these belong to every real input held at ${level}.`;
  return [
    ...(analysis.eigenvalues.length === 0 ? [] : [make('p', { class: 'notice' }, note)]),
    ...analysis.notes.map((each) => make('p', { class: 'notice' }, each)),
    make(
      'div',
      { class: 'figures' },
      ...(analysis.eigenvalues.length === 0 ? [] : [eigenvaluePart(analysis.eigenvalues)]),
      ...analysis.responses.map((each) => responsePart(each, level)),
    ),
  ];
}

function eigenvaluePart(all: readonly Eigenvalues[]): HTMLElement {
  const groups = all.map(({ state, values }) => ({
    name: state,
    points: spreadEvenly(values.length / 2, shownPoles).map(
      (at) => [values[2 * at] ?? 0, values[2 * at + 1] ?? 0] as const,
    ),
  }));
  const words = all.map(
    ({ state, values, radius }) =>
      `${state}: ${values.length / 2} eigenvalues, largest modulus ${radius.toFixed(4)}${values.length / 2 > shownPoles ? `, ${shownPoles} shown` : ''}`,
  );
  return make(
    'div',
    { class: 'eigenvalues' },
    planeChart({ title: 'Eigenvalues of the transition of one token', groups }),
    make('p', { class: 'quiet' }, `${words.join('; ')}. Inside the circle the state fades.`),
  );
}

function responsePart({ input, output, channels, names, start }: Response, level: string): HTMLElement {
  const series = channels.map((numbers, at) => ({
    name: names[at] ?? '',
    points: Array.from(numbers, (each, token) => [token - start, each] as const),
  }));
  return make(
    'div',
    { class: 'response' },
    lineChart({
      title: `What one unit more of ${input} at token 0 adds to ${output}`,
      xLabel: 'tokens since the impulse',
      yLabel: `Δ ${output}`,
      series,
    }),
    make(
      'p',
      { class: 'quiet' },
      `The impulse is in all channels of ${input} at once; every real input is held at ${level}. Computed by running the layer on ${targetNames.wasm} or, without it, ${targetNames.wgsl}.`,
    ),
  );
}
