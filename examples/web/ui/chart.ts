/** Charts as SVG: lines over a number axis and points in the complex plane, drawn anew for the width there is. */
import { make, makeSvg, type Child } from './dom.ts';

export type Series = {
  readonly name: string;
  /** x, y pairs; breaks where y is no number */
  readonly points: readonly (readonly [number, number])[];
  readonly look?: 'line' | 'faint' | 'dots';
};

export type LineChart = {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** bounds that are shown whatever the numbers are */
  readonly x?: readonly [number, number];
  readonly y?: readonly [number, number];
};

type Scale = { readonly at: (value: number) => number; readonly ticks: readonly number[] };

const [left, right, top, bottom] = [52, 12, 10, 38];
const lineHeight = 240;

/** Round numbers between bounds, about `wanted` of them. */
function ticksBetween(least: number, largest: number, wanted: number): readonly number[] {
  const rough = (largest - least) / Math.max(1, wanted);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10);
  const first = Math.ceil(least / step - 1e-9);
  const last = Math.floor(largest / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

function boundsOf(
  values: readonly number[],
  given: readonly [number, number] | undefined,
): readonly [number, number] {
  let [least, largest] = given ?? [Infinity, -Infinity];
  for (const each of values) {
    if (!Number.isFinite(each)) continue;
    least = Math.min(least, each);
    largest = Math.max(largest, each);
  }
  if (least > largest) return [0, 1];
  if (least === largest) return [least - 1, largest + 1];
  return [least, largest];
}

function scaleOf(
  [least, largest]: readonly [number, number],
  [from, to]: readonly [number, number],
  wanted: number,
): Scale {
  return {
    at: (value) => from + ((value - least) / (largest - least)) * (to - from),
    ticks: ticksBetween(least, largest, wanted),
  };
}

const short = (value: number): string =>
  value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(0) : String(value);

function ruleLine(look: string, from: readonly [number, number], to: readonly [number, number]): SVGElement {
  return makeSvg('line', { class: look, x1: from[0], y1: from[1], x2: to[0], y2: to[1] });
}

type Anchor = 'middle' | 'end';

function words(
  look: string,
  text: string,
  [x, y]: readonly [number, number],
  anchor: Anchor,
): SVGTextElement {
  return makeSvg('text', { class: look, x, y, 'text-anchor': anchor }, text);
}

function axesOf(
  x: Scale,
  y: Scale,
  frame: { readonly width: number; readonly height: number },
  labels: { readonly x: string; readonly y: string },
): readonly SVGElement[] {
  const [end, floor] = [frame.width - right, frame.height - bottom];
  const centre = (top + floor) / 2;
  const isPlane = [x, y].every((scale) => scale.ticks.some((each) => each < 0));
  const lookOf = (tick: number): string => (tick === 0 ? 'axis' : 'grid');
  const across = y.ticks.flatMap((each) => [
    ruleLine(lookOf(each), [left, y.at(each)], [end, y.at(each)]),
    words('tick', short(each), [left - 6, y.at(each) + 4], 'end'),
  ]);
  const upright = x.ticks.flatMap((each) => [
    ruleLine(isPlane ? lookOf(each) : 'grid', [x.at(each), top], [x.at(each), floor]),
    words('tick', short(each), [x.at(each), floor + 16], 'middle'),
  ]);
  const yLabel = words('axis-label', labels.y, [12, centre], 'middle');
  yLabel.setAttribute('transform', `rotate(-90 12 ${centre})`);
  const xLabel = words('axis-label', labels.x, [(left + end) / 2, frame.height - 4], 'middle');
  return [...across, ...upright, xLabel, yLabel];
}

function pathOf(points: Series['points'], x: Scale, y: Scale): string {
  let isDrawing = false;
  return points
    .map(([at, value]) => {
      if (!Number.isFinite(value)) {
        isDrawing = false;
        return '';
      }
      const command = isDrawing ? 'L' : 'M';
      isDrawing = true;
      return `${command}${x.at(at).toFixed(1)} ${y.at(value).toFixed(1)}`;
    })
    .join('');
}

function seriesMark({ points, look = 'line' }: Series, number: number, x: Scale, y: Scale): SVGElement {
  const line = makeSvg('path', { class: look === 'faint' ? 'line faint' : 'line', d: pathOf(points, x, y) });
  const dots =
    look === 'dots'
      ? points.map(([at, value]) => makeSvg('circle', { class: 'dot', cx: x.at(at), cy: y.at(value), r: 3 }))
      : [];
  return makeSvg('g', { class: `series series-${number % 6}` }, line, ...dots);
}

function drawLines(chart: LineChart, width: number): SVGSVGElement {
  const height = lineHeight;
  const all = chart.series.flatMap((each) => each.points);
  const x = scaleOf(
    boundsOf(
      all.map(([at]) => at),
      chart.x,
    ),
    [left, width - right],
    width / 90,
  );
  const y = scaleOf(
    boundsOf(
      all.map(([, value]) => value),
      chart.y,
    ),
    [height - bottom, top],
    5,
  );
  return makeSvg(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': chart.title },
    ...axesOf(x, y, { width, height }, { x: chart.xLabel, y: chart.yLabel }),
    ...chart.series.map((each, number) => seriesMark(each, number, x, y)),
  );
}

function legendOf(names: readonly string[]): Child {
  if (names.length < 2) return null;
  return make(
    'ul',
    { class: 'legend' },
    ...names.map((name, number) =>
      make('li', { class: `series-${number % 6}` }, make('span', { class: 'swatch' }), name),
    ),
  );
}

/** A figure that draws itself anew when its width changes. */
function figureOf(title: string, legend: Child, draw: (width: number) => SVGSVGElement): HTMLElement {
  const place = make('div', { class: 'plot' });
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (width === 0 || width === drawn) return;
    drawn = width;
    place.replaceChildren(draw(width));
  }).observe(place);
  return make('figure', {}, make('figcaption', {}, title), place, legend);
}

/** Lines over a number axis. */
export function lineChart(chart: LineChart): HTMLElement {
  return figureOf(chart.title, legendOf(chart.series.map((each) => each.name)), (width) =>
    drawLines(chart, Math.max(width, 200)),
  );
}

export type PlaneChart = {
  readonly title: string;
  readonly groups: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
  }[];
};

const mostPlaneWidth = 420;

function drawPlane(chart: PlaneChart, wide: number): SVGSVGElement {
  const width = Math.min(wide, mostPlaneWidth);
  const height = width - left - right + top + bottom;
  const reach =
    chart.groups
      .flatMap((each) => each.points)
      .reduce((most, [re, im]) => Math.max(most, Math.abs(re), Math.abs(im)), 1) * 1.08;
  const x = scaleOf([-reach, reach], [left, width - right], 4);
  const y = scaleOf([-reach, reach], [height - bottom, top], 4);
  return makeSvg(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': chart.title },
    ...axesOf(x, y, { width, height }, { x: 'real part', y: 'imaginary part' }),
    makeSvg('circle', { class: 'unit-circle', cx: x.at(0), cy: y.at(0), r: x.at(1) - x.at(0) }),
    ...chart.groups.map(({ points }, number) =>
      makeSvg(
        'g',
        { class: `series series-${number % 6}` },
        ...points.map(([re, im]) =>
          makeSvg('circle', { class: 'pole', cx: x.at(re).toFixed(1), cy: y.at(im).toFixed(1), r: 2.5 }),
        ),
      ),
    ),
  );
}

/** Points in the complex plane with the unit circle. */
export function planeChart(chart: PlaneChart): HTMLElement {
  return figureOf(chart.title, legendOf(chart.groups.map((each) => each.name)), (width) =>
    drawPlane(chart, Math.max(width, 200)),
  );
}
