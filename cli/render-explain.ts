/** The page of `explain`: the pure document as text for a terminal, in the order a reader asks. */
import type { Explanation, ExplainedChoice, ExplainedEntry, ExplainedTensor } from '../ir/explain/explain.ts';
import type { Quantity, StateFacts } from '../ir/explain/layer-facts.ts';
import { renderTable } from './output.ts';

const purposes: Readonly<Record<string, string>> = {
  forward: 'outputs and final states',
  forwardSaved: 'as forward, and keeps what backward needs',
  backward: 'gradients from the cotangents of the outputs; forwardSaved runs before it',
  backwardFinal: 'as backward, with cotangents of the final states too',
  step: 'one token with the state handed over (decoding)',
};

/** The whole page, ending with a line end. */
export function renderExplanation(page: Explanation, target: string, mode: string): string {
  return [
    renderHeader(page),
    renderEquations(page),
    renderSelectivity(page),
    renderModes(page, mode),
    ...(page.choice === null ? [] : [renderChoice(page.choice, page)]),
    renderDecisions(page, target),
    ...(page.entries.length === 0 ? [] : [renderEntries(page, target)]),
  ].join('\n\n') + '\n';
}

function shape(axes: readonly string[], leading: string): string {
  return `[${[leading, ...axes].filter((each) => each !== '').join(', ')}]`;
}

function tensorRows(tensors: readonly ExplainedTensor[], leading: (note: string) => string): readonly (readonly string[])[] {
  return tensors.map((each) => [each.name, shape(each.axes, leading(each.note)), each.type, each.note]);
}

function leadingAxes(note: string): string {
  return note === 'per token' ? 'batch, time' : 'batch';
}

function renderHeader(page: Explanation): string {
  const sizes = page.axes.map(({ name, size }) => `${name} = ${size}`).join(', ');
  const rows = [
    ...tensorRows(page.inputs, leadingAxes).map((row) => ['input', ...row]),
    ...tensorRows(page.parameters, () => '').map((row) => ['param', ...row]),
    ...tensorRows(page.tails, () => 'batch').map((row) => ['tail', ...row]),
    ...page.outputs.map((each) => ['output', each.name, shape(each.axes, leadingAxes(each.note)), 'real', each.note]),
  ];
  return [`layer ${page.layer}${sizes === '' ? '' : `, ${sizes}`}`, '', renderTable(['', 'name', 'axes', 'type', ''], rows, '  ')].join('\n');
}

function alignEquations(equations: readonly { readonly left: string; readonly right: string }[]): readonly string[] {
  const width = Math.max(0, ...equations.map((each) => [...each.left.normalize('NFD').replace(/\p{M}/gu, '')].length));
  return equations.map(({ left, right }) => {
    const shown = [...left.normalize('NFD').replace(/\p{M}/gu, '')].length;
    return `  ${left}${' '.repeat(width - shown)} = ${right}`;
  });
}

function renderEquations(page: Explanation): string {
  const lets = page.lets.map((each) => ({ left: each.varies ? `${each.name}_t` : each.name, right: each.formula }));
  const lines = ['The layer as it was read', '  (names with _t change from token to token; sum[N](…) sums over the axis N)'];
  if (lets.length > 0) lines.push('', ...alignEquations(lets));
  for (const state of page.states) lines.push('', ...renderState(state, page));
  lines.push('', ...alignEquations(page.outputs.map((each) => ({ left: each.name, right: each.formula }))));
  return lines.join('\n');
}

function renderState(state: StateFacts, page: Explanation): readonly string[] {
  const form = page.transitionForms.find((each) => each.state === state.name)?.form;
  const note = form === 'exponent' ? 'kept as an exponent, so the decay of many tokens is one exponential of a sum' : 'kept as a number; the decay of many tokens is a product';
  return [
    `  state ${state.name}`,
    `    structure       ${state.structure}`,
    `    discretization  ${state.discretization}`,
    `    transition      ${note}`,
    `    scan order      ${state.order}`,
    ...(state.reset === null ? [] : [`    reset           ${state.reset}`]),
    '',
    ...alignEquations(state.equations),
  ];
}

function renderSelectivity(page: Explanation): string {
  const quantities: readonly Quantity[] = [...page.states.flatMap((state) => state.quantities.map((each) => (page.states.length > 1 ? { ...each, role: `${each.role} of ${state.name}` } : each))), ...page.readOuts];
  const rows = quantities.map((each) => [each.role, each.isSelective ? 'selective' : 'fixed', each.reason]);
  return ['What is selective', renderTable(['', '', ''], rows, '  ').split('\n').slice(1).join('\n')].join('\n');
}

function renderModes(page: Explanation, chosen: string): string {
  const rows = page.modes.map((each) => [
    each.mode, !each.isLegal ? 'not legal' : !each.isGenerated ? 'legal, not made' : each.mode === chosen ? 'chosen' : 'legal', each.reason,
  ]);
  return ['Modes', renderTable(['', '', ''], rows, '  ').split('\n').slice(1).join('\n')].join('\n');
}

/** The modes' costs side by side, and what `auto` makes of them. */
function renderChoice({ chosen, reason, machine, costs }: ExplainedChoice, { sizes }: Explanation): string {
  const rows = costs.map((each) => [
    each.name, String(each.launches), ...[each.bytes, each.flops, each.exponentials, each.functions].map(short), each.nanoseconds >= 1e3 ? `${short(each.nanoseconds / 1e3)} µs` : `${short(each.nanoseconds)} ns`, each.name === chosen ? 'chosen by auto' : '',
  ]);
  return [
    `What the modes cost per token of all channels, at batch ${sizes.batch}, length ${sizes.length}: forward, from initial states of zero`,
    renderTable(['', 'launches', 'bytes', 'flops', 'exp', 'other', 'time', ''], rows, '  '),
    `  Times are estimated for ${machine}.`,
    `  auto takes ${chosen}: ${reason}`,
  ].join('\n');
}

/** Entry points for which the same was decided stand in one paragraph. */
function mergeDecisions(decisions: Explanation['decisions']): Explanation['decisions'] {
  const merged = new Map<string, Explanation['decisions'][number]>();
  for (const each of decisions) {
    const [entry, state] = each.subject.split(': ');
    if (state === undefined) continue;
    const key = JSON.stringify([state, each.chosen, each.alternatives, each.reason]);
    const before = merged.get(key);
    const subject = before === undefined ? `state ${state} in ${entry ?? ''}` : `${before.subject}, ${entry ?? ''}`;
    merged.set(key, { ...each, subject });
  }
  return [...merged.values()];
}

function renderDecisions(page: Explanation, target: string): string {
  const lines = mergeDecisions(page.decisions).map((each) => [
    `  ${each.subject}`,
    `    chosen   ${each.chosen}`,
    `    instead  ${each.alternatives.join(', ') || 'nothing else fits'}`,
    `    because  ${each.reason}`,
  ].join('\n'));
  return [`Schedule decisions for ${target}`, ...(lines.length === 0 ? ['  none: the layer has no recurrence'] : lines)].join('\n');
}

function renderEntries(page: Explanation, target: string): string {
  const { batch, length } = page.sizes;
  const head = [
    `Entry points for ${target}: launches, with costs per token at batch ${batch}, length ${length}`,
    '  bytes: every tensor once (a floor). exp: exponentials; other: logarithms, roots, divisions, sines;',
    '  flops: additions and multiplications. All but bytes are those of the kernel as it is scheduled.',
  ];
  if (page.floor !== null) {
    const { bytes, exponentials, flops } = page.floor;
    const why = exponentials === 0 ? '' : `, ${exponentials} exp (a new transition for each token)`;
    head.push(`  No forward pass can do with less than ${short(bytes)} bytes (inputs and outputs once)${why}, ${flops} flops (the update).`);
  }
  return [head.join('\n'), ...page.entries.map(renderEntry)].join('\n\n');
}

function renderEntry(entry: ExplainedEntry): string {
  const columns = ['bytesPerToken', 'exponentialsPerToken', 'functionsPerToken', 'flopsPerToken'] as const;
  const rows = entry.launches.map((each) => [
    each.kernel, each.workgroups, String(each.workgroupSize), ...columns.map((column) => short(each[column])),
  ]);
  const totals = columns.map((column) => short(entry.launches.reduce((sum, each) => sum + each[column], 0)));
  const table = renderTable(['launch', 'workgroups', 'threads', 'bytes', 'exp', 'other', 'flops'], entry.launches.length > 1 ? [...rows, ['total', '', '', ...totals]] : rows, '    ');
  const lines = [`  ${entry.entry}: ${purposes[entry.entry] ?? ''}`, table];
  for (const each of entry.saved) lines.push(`    saved ${each.name} [${each.axes.join(', ')}] = ${each.shape}: ${byteText(each.bytes)}`);
  if (entry.scratchBytes > 0) lines.push(`    scratch between launches: ${byteText(entry.scratchBytes)}`);
  return lines.join('\n');
}

/** Three digits with a unit: `0`, `98.3k`. */
function short(value: number): string {
  if (value === 0) return '0';
  for (const [limit, unit] of [[1e9, 'G'], [1e6, 'M'], [1e4, 'k']] as const) {
    if (value >= limit) return `${Number((value / (unit === 'k' ? 1e3 : limit)).toPrecision(3))}${unit}`;
  }
  return String(Number(value.toPrecision(3)));
}

function byteText(bytes: number): string {
  for (const [limit, unit] of [[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']] as const) {
    if (bytes >= limit) return `${Number((bytes / limit).toPrecision(3))} ${unit}`;
  }
  return `${bytes} B`;
}
