/** The formatter: one layout, the same tree, every comment in order, and nothing left to do the second time. */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clauseWords, statementWords } from '../../dsl/format/structure.ts';
import { format, parse } from '../../dsl/index.ts';
import { tokensOf } from '../../dsl/parse.ts';
import { keywords, layerWord, semicolon } from '../../dsl/tokens.ts';
import { concat, freshLine, group, hardLine, indent, line, renderDoc } from '../../support/doc.ts';
import { codeBlocks } from '../docs/code-blocks.ts';

const texts = readdirSync('examples', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ssm')).sort()
  .map((name) => ({ name: `examples/${name}`, text: readFileSync(`examples/${name}`, 'utf8') }));
const blocks = ['README.md', 'docs/language.md', 'docs/hacking.md', 'docs/design.md'].flatMap((page) =>
  codeBlocks(readFileSync(page, 'utf8')).filter((each) => each.language === 'ssm')
    .map((each) => ({ name: `${page}:${each.line}`, text: each.text })));

function formatted(text: string): string {
  const outcome = format({ name: 'a.ssm', text });
  expect(outcome.diagnostics).toEqual([]);
  return outcome.text!;
}

/** The tree without places. */
function treeOf(text: string): unknown {
  const { tree, diagnostics } = parse({ name: 'a.ssm', text });
  expect(diagnostics).toEqual([]);
  return JSON.parse(JSON.stringify(tree.layers, (key, value: unknown) => (key === 'span' ? undefined : value)));
}

function commentsOf(text: string): readonly string[] {
  return [...text.matchAll(/\/\/[^\n\r]*/g)].map((each) => each[0].trim());
}

function holdsTheRules(text: string): void {
  const once = formatted(text);
  expect(treeOf(once)).toEqual(treeOf(text));
  expect(commentsOf(once)).toEqual(commentsOf(text));
  expect(formatted(once)).toBe(once);
  expect(once).not.toMatch(/[ \t]\n|\n\n\n|\n\n$|^\n|\{\n\n|\n\n *\}|\r/);
}

describe('the layout', () => {
  it.each(texts.map((each) => [each.name, each.text] as const))('%s has it', (_, text) => {
    expect(formatted(text)).toBe(text);
  });

  it.each(blocks.map((each) => [each.name, each.text] as const))('%s has it', (_, text) => {
    expect(formatted(text)).toBe(text);
  });

  it('puts statements on lines, comments where they were, and keeps single blank lines', () => {
    const text = [
      '// head', '', '', '/// about A', 'layer A ( D=4,N =2 ) { // opening', '', '  // first', 'input u[ D ] ,   // the input',
      '  z[D]; // the gate', '', '', 'let v= if u>1 and not ( z>2 ) then -u else u^2 ;let w[D,N]=v',
      'state x[D] { next x = 0.9*x+w }', 'state y[D]:complex{dx / dt=-x discretize zoh( 0.1 ),input euler;order reverse // late',
      '// own', '}', '  output y[D]=x,loss per   sequence=1', '', '// last', '}', 'layer B{}', '// end',
    ].join('\r\n');
    expect(formatted(text)).toBe([
      '// head', '', '/// about A', 'layer A(D = 4, N = 2) { // opening', '  // first', '  input u[D], // the input',
      '    z[D] // the gate', '', '  let v = if u > 1 and not (z > 2) then -u else u ^ 2', '  let w[D, N] = v',
      '  state x[D] { next x = 0.9 * x + w }', '  state y[D]: complex {', '    dx/dt = -x', '    discretize zoh(0.1), input euler',
      '    order reverse // late', '    // own', '  }', '  output y[D] = x, loss per sequence = 1', '', '  // last', '}', '',
      'layer B {}', '// end', '',
    ].join('\n'));
  });

  it('breaks long lines before the loosest operator, then inside brackets', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(30));
    expect(formatted(`layer A { let v = ${a} * ${b} + ${c} + if ${a} then ${b} else ${c} let w = f(${a}, k = ${b}, ${c}) }`)).toBe([
      'layer A {', `  let v = ${a} * ${b}`, `    + ${c}`, `    + if ${a}`, `      then ${b}`, `      else ${c}`,
      '  let w = f(', `      ${a},`, `      k = ${b},`, `      ${c}`, '    )', '}', '',
    ].join('\n'));
  });

  it('moves comments out of the middle of a line', () => {
    expect(formatted('layer A { let v = a + // why\n b * ( // how\n c\n // so\n ) }')).toBe([
      'layer A {', '  let v = a', '    + // why', '    b', '      * ( // how', '        c', '        // so', '      )', '}', '',
    ].join('\n'));
  });

  it.each([['', ''], ['\n\n', ''], ['// only\n\n\n// comments ', '// only\n\n// comments\n'], ['layer A{// a\n}', 'layer A { // a\n}\n']])(
    'of %j', (text, expected) => expect(formatted(text)).toBe(expected),
  );

  it('is not given to a text that the grammar refuses', () => {
    const { text, diagnostics } = format({ name: 'a.ssm', text: 'layer A(D = 2) { input u[D' });
    expect([text, diagnostics.map((each) => each.code)]).toEqual([null, ['SSM1002']]);
  });

  it('knows where each reserved word may stand', () => {
    const inner = ['when', 'per', 'if', 'then', 'else', 'and', 'or', 'not'];
    const known = new Set([...statementWords, ...clauseWords, layerWord].map((each) => String(each.PATTERN)));
    expect(keywords.map((each) => String(each.PATTERN)).filter((each) => !known.has(each))).toEqual(inner);
  });
});

/** Expressions as their words. */
const expression = fc.letrec<{ expression: string[]; atom: string[] }>((tie) => ({
  atom: fc.oneof(
    fc.constantFrom<string[][]>(['u'], ['x'], ['1'], ['1e-3'], ['pi'], ['block', '.', 'y'], ['a_rather_long_name_of_a_value']),
    tie('expression').map((each) => ['(', ...each, ')']),
    fc.tuple(tie('expression'), tie('expression')).map(([one, other]) => ['f', '[', 'D', ',', 'N', ']', '(', ...one, ',', 'std', '=', ...other, ')']),
  ),
  expression: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('atom'),
    tie('atom').map((each) => ['-', ...each]),
    tie('atom').map((each) => ['not', ...each]),
    fc.tuple(tie('expression'), fc.constantFrom('+', '-', '*', '/', '^', '<', '==', 'and', 'or'), tie('expression'))
      .map(([left, operator, right]) => [...left, operator, ...right]),
    fc.tuple(tie('expression'), tie('expression'), tie('expression'))
      .map(([p, a, b]) => ['if', ...p, 'then', ...a, 'else', ...b]),
  ),
})).expression;

const tensor = fc.tuple(
  fc.constantFrom('u', 'log_dt', 'W'), fc.constantFrom([], ['[', 'D', ']'], ['[', 'D', ',', 'N', ']']),
  fc.constantFrom([], [':', 'complex'], [':', 'index', '(', '2', '*', 'K', ')']), fc.constantFrom([], ['per', 'sequence']),
).map(([name, ...rest]) => [name, ...rest.flat()]);

const declaration = fc.tuple(tensor, expression).map(([head, value]) => [...head, '=', ...value]);

function listOf(part: fc.Arbitrary<string[]>): fc.Arbitrary<string[]> {
  return fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.flatMap((each, at) => (at === 0 ? each : [',', ...each])));
}

const clause = fc.oneof(
  expression.map((value) => ['dx', '/', 'dt', '=', ...value]),
  expression.map((value) => ['next', 'x', '=', ...value]),
  expression.map((value) => ['discretize', 'gbt', '(', '0.5', ',', ...value, ')', ',', 'input', 'euler']),
  expression.map((value) => ['restart', 'initial', 'when', ...value]),
  fc.constantFrom(['order', 'bidirectional', '(', 'shared', ',', 'twice', ')'], ['structure', 'diagonal'], ['reset', 'when', 'p']),
);

const item = fc.oneof(
  listOf(tensor).map((each) => ['input', ...each]),
  listOf(declaration).map((each) => ['param', ...each]),
  fc.tuple(fc.constantFrom('let', 'output'), listOf(expression.map((value) => ['v', '[', 'D', ']', '=', ...value])))
    .map(([word, parts]) => [word, ...parts]),
  fc.constantFrom(['axis', 'E', '=', '2', '*', 'D'], ['selective', 'a', ',', 'b'], ['time_invariant', 'c']),
  fc.tuple(tensor, fc.array(clause, { maxLength: 3 })).map(([head, clauses]) => ['state', ...head, '{', ...clauses.flat(), '}']),
);

const file = fc.array(
  fc.tuple(fc.constantFrom([], ['(', 'D', '=', '4', ',', 'N', ')'], ['(', ')']), fc.array(item, { maxLength: 4 })),
  { minLength: 1, maxLength: 3 },
).map((layers) => layers.flatMap(([axes, items], at) => ['layer', `L${at}`, ...axes, '{', ...items.flat(), '}']));

/** What may stand between two words. */
const gap = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(' ', '\n', '  ', '\r\n', '\n\n\n') },
  { weight: 1, arbitrary: fc.constantFrom(' // c\n', ' // d \n', '\n// e\n', '\n\n\n/// f\n\n', ' //g\n//h\n', ' //\r\n') },
);

describe('any text', () => {
  const spacedFile = file.chain((words) => fc.array(gap, { minLength: words.length + 1, maxLength: words.length + 1 })
    .map((gaps) => words.map((word, at) => `${gaps[at] ?? ' '}${word}`).join('') + (gaps.at(-1) ?? '')));

  it('that the grammar makes keeps its tree and its comments and is formatted once', () => {
    fc.assert(fc.property(spacedFile, holdsTheRules), { seed: 7, numRuns: 1500 });
  });

  it('made of an example by putting blanks, lines, comments and semicolons between its words does too', () => {
    const example = fc.constantFrom(...texts.map((each) => each.text), ...blocks.map((each) => each.text));
    fc.assert(fc.property(example, fc.infiniteStream(gap), fc.infiniteStream(fc.nat(9)), (text, gaps, choices) => {
      const tokens = tokensOf(text).filter((token) => token.tokenType !== semicolon);
      let changed = '';
      for (const { image } of tokens) changed += (choices.next().value === 0 ? gaps.next().value : ' ') + image;
      changed += gaps.next().value;
      holdsTheRules(changed);
      holdsTheRules(text.replace(/(?<!\{|,)\n(?= +(?:let|param|input|output) )/g, () => (choices.next().value! < 3 ? ' ; // s\n' : '\n')));
    }), { seed: 11, numRuns: 150 });
  });

  it('of eighty thousand words is formatted in seconds', () => {
    const text = `layer A { ${'let v = a + b * (c - d) // e\n'.repeat(8_000)} }`;
    const start = performance.now();
    expect(formatted(text).split('\n').length).toBe(8_003);
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe('fresh lines', () => {
  it('end a line that has text, once, and swallow blanks', () => {
    expect(renderDoc(concat('a', freshLine, freshLine, ' ', indent(concat(line, 'b', freshLine)), 'c'))).toBe('a\n  b\nc');
    expect(renderDoc(concat(freshLine, 'a', freshLine, hardLine, hardLine, 'b', freshLine))).toBe('a\n\nb');
  });

  it('break their group', () => {
    expect(renderDoc(group(concat('a', line, 'b', freshLine, line, 'c')))).toBe('a\nb\nc');
  });
});
