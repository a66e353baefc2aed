/** The page of `explain` as HTML: equations, what is selective, legal modes, decisions, costs of launches. */
import type { ExplainedChoice, Explanation, ExplainedEntry, ExplainedTensor } from '../../../ir/explain/explain.ts';
import type { Quantity } from '../../../ir/explain/layer-facts.ts';
import type { Remote } from '../services/remote.ts';
import type { CompilerService, ExplainedLayer } from '../services/protocol.ts';
import { keepLatest, labelled, make, makeTable, type Child } from './dom.ts';
import { compileLimit, makeTargetChoice, type Panel, type Subject } from './panel.ts';
import { failureNotice, problemItem } from './problems.ts';

/** The panel, with its own choice of target. */
export function createExplanation(compiler: Remote<CompilerService>): Panel {
  const target = makeTargetChoice();
  const body = make('div', { class: 'explanation' });
  const latest = keepLatest();
  let subject: Subject | null = null;
  const draw = async (): Promise<void> => {
    if (subject === null) return;
    const { choice, mode, batch, length } = subject;
    body.classList.add('waiting');
    try {
      const answer = await latest(
        compiler.call(
          'explain',
          { ...choice, mode, batch, length, target: target.value() },
          { milliseconds: compileLimit },
        ),
      );
      if (answer !== null) body.replaceChildren(...explanationParts(answer));
    } catch (error) {
      body.replaceChildren(failureNotice(error));
    }
    body.classList.remove('waiting');
  };
  target.element.addEventListener('change', () => void draw());
  return {
    id: 'explain',
    title: 'Explain',
    element: make('div', {}, make('div', { class: 'toolbar' }, labelled('Target', target.element)), body),
    show: (given) => {
      subject = given;
      void draw();
    },
  };
}

function part(title: string, ...children: readonly Child[]): HTMLElement {
  return make('section', { class: 'part' }, make('h3', {}, title), ...children);
}

/** What each mode is estimated to cost, and which one `auto` takes. */
function costPart({ chosen, reason, machine, costs }: ExplainedChoice): HTMLElement {
  const rounded = (value: number): string => String(Number(value.toPrecision(3)));
  const table = makeTable(
    ['mode', 'launches', 'bytes', 'operations', 'exponentials', 'other functions', 'ns (estimated)'],
    costs.map((each) => [
      each.name,
      String(each.launches),
      ...[each.bytes, each.flops, each.exponentials, each.functions, each.nanoseconds].map(rounded),
    ]),
  );
  return part(
    `Costs of modes per token on ${machine}`,
    ...(costs.length === 0 ? [] : [table]),
    make('p', {}, `auto takes ${chosen}: ${reason}`),
  );
}

function explanationParts({ explanation, mode, refusals }: ExplainedLayer): readonly HTMLElement[] {
  return [
    ...(refusals.length === 0
      ? []
      : [
          part(
            'Refused',
            make('ul', { class: 'problems' }, ...refusals.map((each) => problemItem(each, () => {}))),
          ),
        ]),
    part('The layer as it was read', equationList(explanation)),
    part('What is selective', quantityTable(explanation)),
    part(
      'Modes',
      makeTable(
        ['mode', '', 'because'],
        explanation.modes.map((each) => [each.mode, verdict(each, mode), each.reason]),
      ),
    ),
    ...(explanation.choice === null ? [] : [costPart(explanation.choice)]),
    part('Tensors', tensorTable(explanation)),
    ...(explanation.decisions.length === 0 ? [] : [part('Schedule decisions', decisionList(explanation))]),
    ...(explanation.entries.length === 0
      ? []
      : [
          part(
            'Entry points and what they cost',
            ...explanation.entries.flatMap(entryParts),
            costNote(explanation),
          ),
        ]),
  ];
}

function verdict({ mode, isLegal, isGenerated }: Explanation['modes'][number], chosen: string): string {
  if (!isLegal) return 'not legal';
  return !isGenerated ? 'legal, not made' : mode === chosen ? 'chosen' : 'legal';
}

function equationList(page: Explanation): HTMLElement {
  const lets = page.lets.map((each) => ({
    left: each.varies ? `${each.name}_t` : each.name,
    right: each.formula,
  }));
  const outputs = page.outputs.map((each) => ({ left: each.name, right: each.formula }));
  const rows = [...lets, ...page.states.flatMap((each) => each.equations), ...outputs];
  return make(
    'div',
    {},
    make(
      'dl',
      { class: 'equations' },
      ...rows.map(({ left, right }) => make('div', {}, make('dt', {}, left), make('dd', {}, `= ${right}`))),
    ),
    ...page.states.map((each) =>
      make(
        'p',
        { class: 'quiet' },
        `State ${each.name}: ${each.structure}; discretization ${each.discretization}; scan order ${each.order}${each.reset === null ? '' : `; reset ${each.reset}`}.`,
      ),
    ),
  );
}

function quantityTable(page: Explanation): HTMLElement {
  const ofStates = page.states.flatMap((state) =>
    state.quantities.map((each): readonly [string, Quantity] => [
      page.states.length > 1 ? `${each.role} of ${state.name}` : each.role,
      each,
    ]),
  );
  const rows = [...ofStates, ...page.readOuts.map((each): readonly [string, Quantity] => [each.role, each])];
  return makeTable(
    ['', '', 'because'],
    rows.map(([role, each]) => [role, each.isSelective ? 'selective' : 'fixed', each.reason]),
  );
}

function tensorTable(page: Explanation): HTMLElement {
  const row =
    (role: string) =>
    (each: ExplainedTensor): readonly Child[] => [
      role,
      each.name,
      `[${each.axes.join(', ')}]`,
      each.type,
      each.note,
    ];
  const outputs = page.outputs.map((each) => ({ ...each, type: 'real' }));
  return makeTable(
    ['', 'name', 'axes', 'type', ''],
    [
      ...page.inputs.map(row('input')),
      ...page.parameters.map(row('param')),
      ...page.tails.map(row('tail')),
      ...outputs.map(row('output')),
    ],
  );
}

function decisionList(page: Explanation): HTMLElement {
  return make(
    'ul',
    { class: 'decisions' },
    ...page.decisions.map((each) =>
      make(
        'li',
        {},
        make('strong', {}, each.subject),
        `: ${each.chosen}`,
        make(
          'p',
          { class: 'quiet' },
          `because ${each.reason}${each.alternatives.length === 0 ? '' : `; instead of ${each.alternatives.join(', ')}`}`,
        ),
      ),
    ),
  );
}

const threeDigits = (value: number): string => String(Number(value.toPrecision(3)));

function entryParts(entry: ExplainedEntry): readonly HTMLElement[] {
  const rows = entry.launches.map((each) => [
    each.kernel,
    each.workgroups,
    String(each.workgroupSize),
    threeDigits(each.bytesPerToken),
    threeDigits(each.exponentialsPerToken),
    threeDigits(each.flopsPerToken),
  ]);
  return [
    make('h4', {}, entry.entry),
    makeTable(['launch', 'workgroups', 'threads', 'bytes/token', 'exp/token', 'flops/token'], rows),
  ];
}

function costNote({ sizes }: Explanation): HTMLElement {
  return make(
    'p',
    { class: 'quiet' },
    `Costs at batch ${sizes.batch}, length ${sizes.length}. Bytes count every tensor once; all else is what the kernel as scheduled executes.`,
  );
}
