/** Text to syntax tree: precedence, spans, statements without line ends, recovery, limits. */
import { describe, expect, it } from 'vitest';
import type { ExpressionSyntax, SourceTree } from '../../dsl/ast.ts';
import { parse } from '../../dsl/index.ts';
import type { Diagnostic } from '../../support/diagnostic.ts';

function read(text: string): { tree: SourceTree; diagnostics: readonly Diagnostic[] } {
  return parse({ name: 'a.ssm', text });
}

function show(node: ExpressionSyntax): string {
  switch (node.kind) {
    case 'number':
      return String(node.value);
    case 'name':
      return node.name;
    case 'member':
      return `${show(node.object)}.${node.member.text}`;
    case 'unary':
      return `(${node.operator} ${show(node.operand)})`;
    case 'binary':
      return `(${show(node.left)} ${node.operator} ${show(node.right)})`;
    case 'conditional':
      return `(if ${show(node.condition)} ${show(node.whenTrue)} ${show(node.whenFalse)})`;
    case 'call': {
      const list = node.arguments.map((each) => (each.name === null ? '' : `${each.name.text}=`) + show(each.value));
      return `${node.callee.text}[${node.axes.map((each) => each.text).join(' ')}](${list.join(' ')})`;
    }
  }
}

function expression(text: string): string {
  const { tree, diagnostics } = read(`layer A { let v = ${text} }`);
  expect(diagnostics).toEqual([]);
  const item = tree.layers[0]!.items[0]!;
  return item.kind === 'let' ? show(item.value) : item.kind;
}

describe('expressions', () => {
  it.each([
    ['a + b * c', '(a + (b * c))'],
    ['a - b - c', '((a - b) - c)'],
    ['a / b * c', '((a / b) * c)'],
    ['-a ^ 2', '(- (a ^ 2))'],
    ['a ^ b ^ c', '(a ^ (b ^ c))'],
    ['a ^ -b', '(a ^ (- b))'],
    ['-exp(a) * x', '((- exp[](a)) * x)'],
    ['a * -b + c', '((a * (- b)) + c)'],
    ['not a == b and c', '((not (a == b)) and c)'],
    ['a or b and c', '(a or (b and c))'],
    ['a < b + 1', '(a < (b + 1))'],
    ['if p then a else b + 1', '(if p a (b + 1))'],
    ['1 + if p then a else b', '(1 + (if p a b))'],
    ['sum[H, P](C * x)', 'sum[H P]((C * x))'],
    ['normal(0, std = sqrt(0.5))', 'normal[](0 std=sqrt[](0.5))'],
    ['b.y + .5e-3', '(b.y + 0.0005)'],
    ['(a + b) * c', '((a + b) * c)'],
  ])('%s', (text, expected) => {
    expect(expression(text)).toBe(expected);
  });
});

describe('statements', () => {
  it('need no line ends and no semicolons', () => {
    const text = 'layer A(D=4,N){axis M=N input u[D],z:flag per sequence param p[D]:complex=1,q let a=u-1 selective a,u state x[D,M]{discretize zoh(a),input euler order reverse dx/dt=-x+u reset when z structure diagonal}output y[D]=x}';
    const { tree, diagnostics } = read(text);
    expect(diagnostics).toEqual([]);
    const [layer] = tree.layers;
    expect(layer!.axes.map((axis) => axis.name.text)).toEqual(['D', 'N']);
    expect(layer!.items.map((item) => item.kind)).toEqual(
      ['axis', 'input', 'input', 'param', 'param', 'let', 'assertion', 'state', 'output'],
    );
    const state = layer!.items[7]!;
    expect(state.kind === 'state' && state.clauses.map((clause) => clause.kind)).toEqual(
      ['discretize', 'order', 'derivative', 'reset', 'structure'],
    );
    expect(read(text.replaceAll('}output', '};output').replaceAll('let', ';let')).diagnostics).toEqual([]);
  });

  it('have exact spans', () => {
    const text = 'layer A {\n  let v = (a + b) * sum[N](c)\n}';
    const item = read(text).tree.layers[0]!.items[0]!;
    if (item.kind !== 'let' || item.value.kind !== 'binary') throw new Error('not a product');
    const at = (span: { start: number; end: number }): string => text.slice(span.start, span.end);
    expect(at(item.span)).toBe('v = (a + b) * sum[N](c)');
    expect(at(item.value.left.span)).toBe('(a + b)');
    expect(at(item.value.right.span)).toBe('sum[N](c)');
    expect(at(read(text).tree.layers[0]!.span)).toBe(text);
  });

  it('take the documentation before a layer, and no other comment', () => {
    const { tree } = read(
      '/// first\n/// Gu, Ré\nlayer A { /// inside\n output y = 1 }\n// plain\n/// second\nlayer B { output y = 1 }',
    );
    expect(tree.layers.map((layer) => layer.documentation)).toEqual(['first\nGu, Ré', 'second']);
  });

  it('recover at the next statement, so that several mistakes show', () => {
    const { tree, diagnostics } = read(
      'layer A {\n  let a = 1 +\n  param 3\n  let c = sum[N(x)\n  state x { next = 1\n next x = 2 }\n  output y = 1\n}\nlayer B { output y = 1 }'
    );
    const lines = diagnostics.map((each) => `${each.code} ${each.primary!.span.start}`);
    expect(lines).toEqual(['SSM1001 26', 'SSM1001 32', 'SSM1001 49', 'SSM1001 70']);
    expect(tree.layers.map((layer) => layer.name.text)).toEqual(['A', 'B']);
  });
});

describe('limits', () => {
  const hostile: readonly (readonly [string, string])[] = [
    ['brackets', `layer A { let a = ${'('.repeat(200_000)}`],
    ['negations', `layer A { let a = ${'- '.repeat(300_000)}1 }`],
    ['sums', `layer A { let a = 1${' + 1'.repeat(200_000)} }`],
    ['powers', `layer A { let a = 2${'^2'.repeat(300_000)} }`],
    ['conditionals', `layer A { let a = ${'if p then 1 else '.repeat(50_000)} 1 }`],
    ['keywords', 'layer '.repeat(150_000)],
    ['junk', '#€'.repeat(300_000)],
    ['mistakes', `layer A { ${'let a = b c '.repeat(80_000)}`],
    ['calls', `layer A { let a = ${'f('.repeat(100_000)}`],
    ['braces', '{'.repeat(500_000)],
    ['slashes', '/'.repeat(1_000_000)],
  ];
  it.each(hostile)('%s neither throw nor take long', (_, text) => {
    const start = performance.now();
    const { diagnostics } = read(text);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(diagnostics.length).toBeLessThanOrEqual(20);
  });

  it('takes as much sound text as it may in linear time', () => {
    const statement = 'let abc = b * c + exp(d) ';
    const text = `layer A { ${statement.repeat(Math.floor((2 ** 18 - 100) / statement.length))} output y = 1 }`;
    const { tree, diagnostics } = read(text);
    expect(diagnostics).toEqual([]);
    expect(tree.layers[0]!.items.length).toBeGreaterThan(10_000);
  });
});
