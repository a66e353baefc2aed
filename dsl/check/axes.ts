/** Axes: their sizes (whole-number expressions over earlier axes), and lists of axis names. */
import type { ExpressionSyntax, Name } from '../ast.ts';
import { checkFree, complain, didYouMean } from './elaboration.ts';
import type { AxisEntry, Place } from './elaboration.ts';
import type { Span } from '../../support/source.ts';

/** Entries along one axis, at most. */
export const sizeLimit: number = 2 ** 24;

/** Value of a size expression, not yet checked to be a whole number; null after a complaint. */
export function sizeValue(place: Place, syntax: ExpressionSyntax): number | null {
  switch (syntax.kind) {
    case 'number':
      return syntax.value;
    case 'name': {
      const axis = findAxis(place, { text: syntax.name, span: syntax.span });
      return axis?.size ?? null;
    }
    case 'unary': {
      const value = syntax.operator === '-' ? sizeValue(place, syntax.operand) : badSize(place, syntax.span);
      return value === null ? null : -value;
    }
    case 'binary': {
      const left = sizeValue(place, syntax.left);
      const right = sizeValue(place, syntax.right);
      if (left === null || right === null) return null;
      if (syntax.operator === '+') return left + right;
      if (syntax.operator === '-') return left - right;
      if (syntax.operator === '*') return left * right;
      if (syntax.operator === '/') return left / right;
      return badSize(place, syntax.span);
    }
    case 'call':
      return sizeOfCall(place, syntax);
    default:
      return badSize(place, syntax.span);
  }
}

function sizeOfCall(place: Place, call: ExpressionSyntax & { kind: 'call' }): number | null {
  const values = call.arguments.map((each) => sizeValue(place, each.value));
  const numbers = values.flatMap((each) => each ?? []);
  if (numbers.length < values.length) return null;
  const [first, second] = numbers;
  if (first !== undefined && numbers.length === 1) {
    if (call.callee.text === 'ceil') return Math.ceil(first);
    if (call.callee.text === 'floor') return Math.floor(first);
  }
  if (first !== undefined && second !== undefined && numbers.length === 2) {
    if (call.callee.text === 'max') return Math.max(first, second);
    if (call.callee.text === 'min') return Math.min(first, second);
  }
  return badSize(place, call.span);
}

function badSize(place: Place, span: Span): null {
  return complain(place, {
    code: 'SSM2009', span,
    message: 'a size is made of numbers, earlier axes, `+ - * /`, `ceil`, `floor`, `max` and `min`',
    label: 'not part of a size', help: 'write a whole number, or an expression such as `2 * D`',
  });
}

/** Checks that a size is a whole number in range. */
export function checkSize(place: Place, name: string, size: number, span: Span): number | null {
  if (Number.isInteger(size) && size >= 1 && size <= sizeLimit) return size;
  return complain(place, {
    code: 'SSM2009', span, message: `the size of \`${name}\` would be ${size}`, label: 'bad size',
    notes: [`sizes are whole numbers from 1 to ${sizeLimit}`],
    help: `give \`${name}\` a whole number from 1 to ${sizeLimit}`,
  });
}

/** Declares an axis of this layer under its own path. */
export function declareAxis(place: Place, name: Name, size: number): AxisEntry | null {
  if (!checkFree(place, name)) return null;
  const path = place.scope.prefix + name.text;
  const entry: AxisEntry = { path, size, span: name.span };
  place.scope.axes.set(name.text, entry);
  place.run.axes.set(path, { name: path, size });
  return entry;
}

/** The axis of a name; complains if there is none. */
export function findAxis(place: Place, name: Name): AxisEntry | null {
  const entry = place.scope.axes.get(name.text);
  if (entry !== undefined) return entry;
  if (name.text === 'time' || name.text === 'batch') {
    return complain(place, {
      code: 'SSM2003', span: name.span, message: `\`${name.text}\` is not a declared axis`, label: 'implicit',
      notes: ['batch and time are implicit; only `sum[time]`, `mean[time]` and `last` name time, and a batch cannot be reduced'],
      help: `leave \`${name.text}\` out`,
    });
  }
  const known = [...place.scope.axes.keys()];
  const list = known.length === 0
    ? 'this layer has no axes'
    : `axes here: ${known.slice(0, 12).map((each) => `\`${each}\``).join(', ')}`;
  return complain(place, {
    code: 'SSM2003', span: name.span, message: `there is no axis \`${name.text}\``, label: 'unknown axis',
    notes: [list],
    help: didYouMean(place, name.text, known, `declare it: \`axis ${name.text} = 16\``),
  });
}

/** Axes of one tensor, at most. */
export const rankLimit = 16;

/** Paths of a list of axis names; null after a complaint about an unknown or repeated one. */
export function axisPaths(place: Place, names: readonly Name[]): readonly string[] | null {
  const paths: string[] = [];
  const excess = names[rankLimit];
  if (excess !== undefined) {
    return complain(place, {
      code: 'SSM2009', span: excess.span,
      message: `${names.length} axes in one list; the limit is ${rankLimit}`, label: 'one too many',
      help: `use at most ${rankLimit} axes`,
    });
  }
  let isComplete = true;
  for (const name of names) {
    const entry = findAxis(place, name);
    if (entry === null) {
      isComplete = false;
    } else if (paths.includes(entry.path)) {
      isComplete = false;
      complain(place, {
        code: 'SSM2004', span: name.span, message: `the axis \`${name.text}\` occurs twice in one tensor`,
        label: 'second time',
        notes: ['an axis is its name: entries along the same axis are matched, never paired'],
        help: `declare a copy of the same size, \`axis ${name.text}2 = ${name.text}\`, and use it here`,
      });
    } else {
      paths.push(entry.path);
    }
  }
  return isComplete ? paths : null;
}

/** `[D, N]` for messages. */
export function showAxes(axes: readonly string[]): string {
  return `[${axes.join(', ')}]`;
}
