/**
 * The affine form of right-hand sides: coefficient · x + drive must equal the right-hand side as a
 * polynomial, which random numbers for all names decide.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import type { SpecExpression } from '../../dsl/spec.ts';
import { show } from './show.ts';

type Form = { readonly coefficient: SpecExpression; readonly drive: SpecExpression };

function formOf(rhs: string): Form | null {
  const text = `layer A { input u, p: flag param a, b state x { next x = ${rhs} } output y = x }`;
  const { spec } = loadLayer({ name: 'a.ssm', text }, null, { sizes: new Map() });
  const state = spec?.body[0];
  return state?.kind === 'state' ? state : null;
}

describe('affine form', () => {
  it.each([
    ['a * x + u', 'param:a', 'input:u'],
    ['x', '1', '0'],
    ['u', '0', 'input:u'],
    ['u - x', '-1', 'input:u'],
    ['a * (x - u)', 'param:a', '(param:a * (- input:u))'],
    ['x / b + a * x', '((1 / param:b) + param:a)', '0'],
    ['if p then a * x else u', '(if input:p then param:a else 0)', '(if input:p then 0 else input:u)'],
    ['(1 - a) * x + a * u', '(1 - param:a)', '(param:a * input:u)'],
  ])('%s', (rhs, coefficient, drive) => {
    const form = formOf(rhs)!;
    expect([show(form.coefficient), show(form.drive)]).toEqual([coefficient, drive]);
  });

  const values = new Map([['u', 0.7], ['a', -1.3], ['b', 2.1], ['x', 0.37]]);

  function evaluate(node: SpecExpression): number {
    switch (node.kind) {
      case 'number':
        return node.value;
      case 'reference':
        return values.get(node.name)!;
      case 'negate':
        return -evaluate(node.operand);
      case 'binary': {
        const left = evaluate(node.left);
        const right = evaluate(node.right);
        if (node.operator === 'add') return left + right;
        if (node.operator === 'subtract') return left - right;
        return node.operator === 'multiply' ? left * right : left / right;
      }
      default:
        throw new Error(node.kind);
    }
  }

  const free = fc.letrec<{ tree: { text: string; value: number } }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(...['u', 'a', 'b'].map((name) => ({ text: name, value: values.get(name)! }))),
      fc.tuple(tie('tree'), fc.constantFrom('+', '-', '*'), tie('tree')).map(([left, operator, right]) => ({
        text: `(${left.text} ${operator} ${right.text})`,
        value: operator === '+'
          ? left.value + right.value
          : operator === '-'
          ? left.value - right.value
          : left.value * right.value,
      })),
    ),
  })).tree;

  const affine = fc.letrec<{ tree: { text: string; value: number } }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.constant({ text: 'x', value: values.get('x')! }),
      free,
      fc.tuple(tie('tree'), fc.constantFrom('+', '-'), tie('tree')).map(([left, operator, right]) => ({
        text: `(${left.text} ${operator} ${right.text})`,
        value: operator === '+' ? left.value + right.value : left.value - right.value,
      })),
      fc.tuple(free, tie('tree')).map(([left, right]) => ({
        text: `${left.text} * (${right.text})`, value: left.value * right.value,
      })),
      fc.tuple(tie('tree'), free).map(([left, right]) => ({
        text: `(${left.text}) * ${right.text}`, value: left.value * right.value,
      })),
      tie('tree').map((each) => ({ text: `(${each.text}) / b`, value: each.value / values.get('b')! })),
      tie('tree').map((each) => ({ text: `-(${each.text})`, value: -each.value })),
    ),
  })).tree;

  it('equals the right-hand side', () => {
    fc.assert(
      fc.property(affine, ({ text, value }) => {
        const form = formOf(text);
        if (form === null) throw new Error(`refused: ${text}`);
        expect(show(form.coefficient) + show(form.drive)).not.toContain('previous');
        const found = evaluate(form.coefficient) * values.get('x')! + evaluate(form.drive);
        expect(Math.abs(found - value)).toBeLessThanOrEqual(
          1e-9 * (1 + Math.abs(value) + Math.abs(found)) * 1e3
        );
      }),
      { seed: 20230612, numRuns: 300 },
    );
  });
});
