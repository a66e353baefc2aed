/** Texts as large as they may be, of the shapes that readers are slow at or too deep for: all are answered soon. */
import { describe, expect, it } from 'vitest';
import { format, loadLayer } from '../../dsl/index.ts';
import { textLimit } from '../../dsl/parse.ts';
import { checkDiagnostics } from './target.ts';

const filled = (unit: string, end = ''): string => unit.repeat(Math.floor((textLimit - end.length) / unit.length)) + end;
const inLayer = (unit: string, end = ''): string => `layer A(D = 2) { input u[D] ${filled(unit, end).slice(0, textLimit - 100 - end.length)}${end} }`;
const numbered = (count: number, of: (at: number) => string): string => Array.from({ length: count }, (_, at) => of(at)).join('\n');

const texts: readonly (readonly [string, string])[] = [
  ['parentheses', filled('(')], ['unfinished layers', filled('layer A {')], ['minus signs', inLayer('-')], ['a long sum', inLayer('u+')],
  ['letters of no language', filled('é')], ['zero bytes', filled('\0')], ['line ends', filled('\n')], ['comments', filled('/// a\n')], ['one comment', `//${filled('x').slice(2)}`],
  ['one name', `layer A { let a = ${filled('q').slice(0, textLimit - 40)} }`], ['many arguments', `layer A(D = 2) { input u[D] let a = exp(${filled('u,').slice(0, textLimit - 100)}u) output y[D] = a }`],
  ['many axes', `layer A(${numbered(20_000, (at) => `A${at}=2,`)}B=2) {}`], ['unknown names', `layer A(D = 2) { input u[D] ${numbered(10_000, (at) => `let b${at} = zz${at}`)} output y[D] = u }`],
  ['lets of lets', `layer A(D = 2) { input u[D] let a0 = u ${numbered(9000, (at) => `let a${at + 1} = a${at} + a${at}`)} output y[D] = a9000 }`],
  ['outputs', `layer A(D = 2) { input u[D] ${numbered(9000, (at) => `output y${at}[D] = u`)} }`],
  ['states', `layer A(D = 2) { input u[D] ${numbered(3000, (at) => `state x${at}[D] { next x${at} = 0.5 * x${at} + u }`)} output y[D] = x1 }`],
  ['layers that double', `layer L0(D = 2) { input u[D] output y[D] = u }\n${numbered(40, (at) => `layer L${at + 1}(D = 2) { input u[D] let p = L${at}(u) let q = L${at}(p) output y[D] = q }`)}`],
];

describe('large texts', () => {
  it.each(texts)('%s', (_, text) => {
    expect(text.length).toBeLessThanOrEqual(textLimit);
    const start = process.cpuUsage();
    checkDiagnostics(loadLayer({ name: 'large.ssm', text }, null, { sizes: new Map() }).diagnostics, text.length);
    checkDiagnostics(format({ name: 'large.ssm', text }).diagnostics, text.length);
    const { user, system } = process.cpuUsage(start);
    // two seconds for two readers; about half of one on a machine that does nothing else
    expect((user + system) / 1000).toBeLessThan(4000);
  });
});
