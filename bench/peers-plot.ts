/**
 * The JSON of `bench/peers/run.py` as one page of plain HTML with SVG: a line per implementation over
 * length and over batch where rows differ in nothing else, and a bar per row for the rest. No script, no
 * network; every text of the file is escaped, and what is no number is left out.
 */

/** A time of one implementation in one row of the comparison. */
export type PlottedRow = {
  readonly workload: string;
  readonly family: string;
  readonly pass: string;
  readonly dtype: string;
  readonly shape: Readonly<Record<string, number>>;
  readonly implementation: string;
  readonly microseconds: number;
  readonly floor: number | null;
};

export type PeersDocument = { readonly device: string; readonly rows: readonly PlottedRow[] };

type Unknown = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function medianOf(times: unknown): number | null {
  if (!isRecord(times)) return null;
  // graph replay where there is one: host time is not the kernel's
  for (const clock of ['graph', 'host', 'eager']) {
    const taken = times[clock];
    const median = isRecord(taken) ? taken['median'] : undefined;
    if (typeof median === 'number' && Number.isFinite(median) && median > 0) return median;
  }
  return null;
}

function parseRow(value: unknown): readonly PlottedRow[] {
  if (!isRecord(value) || !isRecord(value['shape'])) return [];
  const microseconds = medianOf(value['times']);
  if (microseconds === null) return [];
  const text = (name: string): string => String(value[name] ?? '');
  const shape = Object.fromEntries(Object.entries(value['shape']).filter((each): each is [string, number] => typeof each[1] === 'number' && each[1] > 0));
  const floor = typeof value['floor'] === 'number' && value['floor'] > 0 ? value['floor'] : null;
  return [{
    workload: text('workload'), family: text('family'), pass: text('pass'), dtype: text('dtype'), shape, implementation: text('implementation'), microseconds, floor,
  }];
}

/** Rows with times; throws an Error with a sentence where the text is no such document. */
export function parsePeers(text: string): PeersDocument {
  const document: unknown = JSON.parse(text);
  if (!isRecord(document) || document['schema'] !== 'statefuse-peers' || !Array.isArray(document['rows'])) throw new Error('this is no JSON of bench/peers/run.py');
  return { device: String(document['device'] ?? ''), rows: document['rows'].flatMap(parseRow) };
}

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}

type Line = { readonly name: string; readonly points: readonly { readonly at: number; readonly value: number }[] };
type Chart = { readonly title: string; readonly axis: string; readonly lines: readonly Line[] };

const colors = ['#0b6e99', '#c2410c', '#15803d', '#7e22ce', '#a16207', '#be123c'];
const axisTitles: Readonly<Record<string, string>> = { L: 'length (tokens)', B: 'batch (sequences)' };

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): ReadonlyMap<string, readonly Item[]> {
  const groups = new Map<string, Item[]>();
  for (const each of items) groups.set(keyOf(each), [...(groups.get(keyOf(each)) ?? []), each]);
  return groups;
}

/** Charts over one size: groups of rows that differ in it alone and have at least three of it. */
function chartsOver(rows: readonly PlottedRow[], axis: string): readonly Chart[] {
  const fixed = (row: PlottedRow): string => [row.family, row.pass, row.dtype, ...Object.entries(row.shape).filter(([name]) => name !== axis).map(([name, size]) => `${name}${size}`)].join(' ');
  return [...groupBy(rows.filter((each) => each.shape[axis] !== undefined), fixed)].flatMap(([title, group]): readonly Chart[] => {
    const sizes = new Set(group.map((each) => each.shape[axis]));
    if (sizes.size < 3) return [];
    const at = (row: PlottedRow): number => row.shape[axis] ?? 1;
    const lines = [...groupBy(group, (each) => each.implementation)].map(([name, own]): Line =>
      ({ name, points: own.map((each) => ({ at: at(each), value: each.microseconds })).sort((one, other) => one.at - other.at) }));
    const floors = new Map(group.flatMap((each) => (each.floor === null ? [] : [[at(each), each.floor] as const])));
    const floor: Line = { name: 'floor', points: [...floors].map(([size, value]) => ({ at: size, value })).sort((one, other) => one.at - other.at) };
    return [{ title, axis, lines: floor.points.length === 0 ? lines : [...lines, floor] }];
  });
}

const [width, height] = [640, 360];
const frame = { left: 70, right: 180, top: 20, bottom: 50 };

/** A position on a logarithmic axis. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  return (value) => (high === low ? (from + to) / 2 : from + ((Math.log(value) - low) / (high - low)) * (to - from));
}

/** Powers of ten within a range, or its ends where there are fewer than two. */
function decades(values: readonly number[]): readonly number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const found: number[] = [];
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) found.push(10 ** power);
  return found.length >= 2 ? found : [low, high];
}

function renderChart({ title, axis, lines }: Chart): string {
  const points = lines.flatMap((each) => each.points);
  const x = scale(points.map((each) => each.at), frame.left, width - frame.right);
  const y = scale(points.map((each) => each.value), height - frame.bottom, frame.top);
  const number = (value: number): string => value.toFixed(1);
  const ticksX = [...new Set(points.map((each) => each.at))].map((at) =>
    `<text x="${number(x(at))}" y="${height - frame.bottom + 18}" text-anchor="middle">${at >= 1024 && at % 1024 === 0 ? `${at / 1024}K` : at}</text>`);
  const ticksY = decades(points.map((each) => each.value)).map((value) =>
    `<line class="grid" x1="${frame.left}" x2="${width - frame.right}" y1="${number(y(value))}" y2="${number(y(value))}"/><text x="${frame.left - 8}" y="${number(y(value) + 4)}" text-anchor="end">${Number(value.toPrecision(3))}</text>`);
  const drawn = lines.map(({ name, points: own }, index) => {
    const color = name === 'floor' ? '#6b7280' : (colors[index % colors.length] ?? '#000');
    const path = own.map((each) => `${number(x(each.at))},${number(y(each.value))}`).join(' ');
    const marks = own.map((each) => `<circle cx="${number(x(each.at))}" cy="${number(y(each.value))}" r="3" fill="${color}"><title>${escapeText(name)}: ${each.value.toFixed(1)} µs</title></circle>`);
    const place = frame.top + 14 + 18 * index;
    return `<polyline points="${path}" stroke="${color}"${name === 'floor' ? ' stroke-dasharray="5 4"' : ''}/>${marks.join('')}`
      + `<text x="${width - frame.right + 12}" y="${place}" fill="${color}">${escapeText(name)}</text>`;
  });
  return `<figure><figcaption>${escapeText(title)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}">`
    + `${ticksY.join('')}${ticksX.join('')}${drawn.join('')}<text x="${(frame.left + width - frame.right) / 2}" y="${height - 10}" text-anchor="middle">${axisTitles[axis] ?? escapeText(axis)}</text>`
    + `<text x="12" y="${frame.top - 6}">µs</text></svg></figure>`;
}

/** A bar per implementation, as long as its time, and the floor as a mark. */
function renderBars(workload: string, rows: readonly PlottedRow[]): string {
  const longest = Math.max(...rows.map((each) => each.microseconds));
  const [barWidth, rowHeight, start] = [360, 26, 190];
  const bars = rows.map(({ implementation, microseconds, floor }, at) => {
    const [y, length] = [8 + at * rowHeight, Math.max(1, (barWidth * microseconds) / longest)];
    const mark = floor === null ? '' : `<line class="floor" x1="${(start + (barWidth * floor) / longest).toFixed(1)}" x2="${(start + (barWidth * floor) / longest).toFixed(1)}" y1="${y - 2}" y2="${y + 20}"/>`;
    return `<text x="${start - 8}" y="${y + 14}" text-anchor="end">${escapeText(implementation)}</text><rect x="${start}" y="${y}" width="${length.toFixed(1)}" height="18" fill="${colors[at % colors.length] ?? '#000'}"/>${mark}`
      + `<text x="${(start + length + 6).toFixed(1)}" y="${y + 14}">${Number(microseconds.toPrecision(4))} µs</text>`;
  });
  return `<figure><figcaption>${escapeText(workload)}</figcaption><svg viewBox="0 0 ${width} ${16 + rows.length * rowHeight}" role="img" aria-label="${escapeText(workload)}">${bars.join('')}</svg></figure>`;
}

const style = 'body{font:15px system-ui,sans-serif;max-width:700px;margin:2rem auto;padding:0 1rem}figure{margin:2rem 0}figcaption{font-weight:600;margin-bottom:.4rem}'
  + 'svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}polyline{fill:none;stroke-width:2}.grid{stroke:#d4d4d8}.floor{stroke:#111;stroke-width:2}';

/** The whole page. */
export function renderPeersPage({ device, rows }: PeersDocument): string {
  const charts = [...chartsOver(rows, 'L'), ...chartsOver(rows, 'B')];
  const bars = [...groupBy(rows, (each) => each.workload)].map(([workload, own]) => renderBars(workload, own));
  return [
    '<!doctype html>', '<html lang="en"><head><meta charset="utf-8">', `<title>Statefuse and its peers on ${escapeText(device)}</title>`, `<style>${style}</style></head><body>`,
    `<h1>Statefuse and its peers</h1><p>${escapeText(device)}. Medians under CUDA graph replay (JAX: host clock); both axes of the lines are logarithmic; the dashed line and the black marks are floors.</p>`,
    ...(charts.length === 0 ? [] : ['<h2>Over length and batch</h2>', ...charts.map(renderChart)]), '<h2>Every row</h2>', ...bars, '</body></html>', '',
  ].join('\n');
}
