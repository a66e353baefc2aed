/**
 * Expressions of a checked layer as a reader of papers writes them: the language's own operators,
 * and a time index on everything that varies along the sequence (`B_t * u_t`), so that one sees at
 * once what is selective.
 */
import type { SpecBinaryOperator, SpecExpression } from '../../dsl/spec.ts';
import { assertNever } from '../../support/invariant.ts';

/** How tightly an expression binds, as the language has it. */
const strengths: Readonly<Record<SpecBinaryOperator, number>> = {
  or: 1, and: 2, less: 3, 'less-equal': 3, equal: 3, 'not-equal': 3, add: 4, subtract: 4, multiply: 5, divide: 5, power: 7,
};

const signs: Readonly<Record<SpecBinaryOperator, string>> = {
  or: ' or ', and: ' and ', less: ' < ', 'less-equal': ' <= ', equal: ' == ', 'not-equal': ' != ',
  add: ' + ', subtract: ' - ', multiply: ' * ', divide: ' / ', power: '^',
};

const unaryStrength = 6;
const atomStrength = 8;

type Piece = { readonly text: string; readonly strength: number };

/** The value before the update, as seen from token t. */
export type PreviousIndex = '(t-1)' | '(t+1)';

/** A name with its time index: `dt_t`, `A_log`. */
export function indexedName(name: string, variesWithTime: boolean): string {
  return variesWithTime ? `${name}_t` : name;
}

/** One expression on one line. */
export function printFormula(expression: SpecExpression, previous: PreviousIndex = '(t-1)'): string {
  return piece(expression, previous).text;
}

function atom(text: string): Piece {
  return { text, strength: atomStrength };
}

function inside(expression: SpecExpression, strength: number, previous: PreviousIndex): string {
  const made = piece(expression, previous);
  return made.strength < strength ? `(${made.text})` : made.text;
}

function piece(expression: SpecExpression, previous: PreviousIndex): Piece {
  const show = (operand: SpecExpression): string => piece(operand, previous).text;
  switch (expression.kind) {
    case 'number':
      return atom(formatNumber(expression.value));
    case 'time-scalar':
      return atom(expression.scalar === 'position' ? 't' : 'length');
    case 'iota':
      return atom(`iota(${expression.axis})`);
    case 'reference':
      if (expression.target === 'previous') return atom(`${expression.name}_${previous}`);
      return atom(indexedName(expression.name, expression.variance.time));
    case 'negate':
      return { text: `-${inside(expression.operand, unaryStrength, previous)}`, strength: unaryStrength };
    case 'not':
      return { text: `not ${inside(expression.operand, unaryStrength, previous)}`, strength: unaryStrength };
    case 'binary':
      return binaryPiece(expression, previous);
    case 'elementwise':
      return atom(`${expression.function}(${expression.operands.map(show).join(', ')})`);
    case 'select':
      return { text: `if ${show(expression.condition)} then ${show(expression.whenTrue)} else ${show(expression.whenFalse)}`, strength: 0 };
    case 'reduce':
      return atom(`${expression.operator}[${expression.over.join(', ')}](${show(expression.operand)})`);
    case 'reduce-time':
      return atom(`${expression.operator}[time](${show(expression.operand)})`);
    case 'delay':
      return atom(`delay(${show(expression.operand)}, ${expression.steps})`);
    case 'gather':
      return atom(`gather[${expression.axis}](${show(expression.table)}, ${show(expression.index)})`);
    case 'rename':
      return atom(`rename(${show(expression.operand)}, ${expression.from}, ${expression.to})`);
    default:
      return assertNever(expression, 'printFormula');
  }
}

function binaryPiece(expression: Extract<SpecExpression, { kind: 'binary' }>, previous: PreviousIndex): Piece {
  const strength = strengths[expression.operator];
  const left = inside(expression.left, expression.operator === 'power' ? strength + 1 : strength, previous);
  const right = inside(expression.right, expression.operator === 'power' ? strength : strength + 1, previous);
  return { text: left + signs[expression.operator] + right, strength };
}

/** Known irrational factors by name, others with at most six digits. */
function formatNumber(value: number): string {
  if (value === Math.PI) return 'pi';
  const short = Number(value.toPrecision(6));
  return value < 0 ? `(${String(short)})` : String(short);
}
