/** Texts that provoke each diagnostic of the language, and where and how it must answer. */
import type { DiagnosticCode } from '../../support/diagnostic-codes.ts';

export type Provocation = {
  readonly code: DiagnosticCode;
  readonly title: string;
  /** `«` marks where the diagnostic must stand; it is removed from the text */
  readonly text: string;
  readonly message: RegExp;
  readonly help: RegExp;
  readonly sizes?: readonly (readonly [string, number])[];
  readonly layer?: string;
};

/** A state block in a layer with all that one needs. */
function inState(header: string, clauses: string): string {
  return `layer A(D = 4, N = 2) {\n  input u[D], dt[D], f: flag\n  param a[D, N]\n  state ${header} {\n    ${clauses}\n  }\n  output y[D] = sum[N](x)\n}`;
}

function inLet(expression: string): string {
  return `layer A(D = 4, N = 2) {\n  input u[D], p: flag, k: index(4)\n  param c[D]: complex, w[N]\n  let v = ${expression}\n  output y per sequence = 1\n}`;
}

export const provocations: readonly Provocation[] = [
  // syntax
  { code: 'SSM1001', title: 'missing bracket', text: 'layer A(D = 2) {\n  input u[D «}\n  output y[D] = u }', message: /expected `\]`, found `}`/, help: /remove `}`/ },
  { code: 'SSM1001', title: 'keyword as a name', text: 'layer A { let «state = 1 }', message: /expected a name, found `state`/, help: /another name.*reserved word/ },
  { code: 'SSM1001', title: 'text after the layer', text: 'layer A { output y per sequence = 1 } «}', message: /expected `layer`, found `}`/, help: /remove/ },
  { code: 'SSM1001', title: 'axes written at a use', text: inLet('«u[D] + 1'), message: /axes written out/, help: /write `u`/ },
  { code: 'SSM1001', title: 'not a derivative', text: inState('x[D, N]', '«dx/ds = u discretize zoh(dt)'), message: /expected a derivative/, help: /`\/dt`/ },
  { code: 'SSM1001', title: 'per something', text: 'layer A { input u per «batch output y = u }', message: /expected `sequence`/, help: /per sequence/ },
  { code: 'SSM1001', title: 'restart without initial', text: inState('x[D, N]', 'next x = u restart «now when f'), message: /expected `initial`/, help: /restart initial when/ },
  { code: 'SSM1002', title: 'open layer', text: 'layer A { input u«', message: /found the end of the file/, help: /close every/ },
  { code: 'SSM1003', title: 'infinite number', text: inLet('«1e400'), message: /not finite/, help: /1\.8e308/ },
  { code: 'SSM1003', title: 'hexadecimal', text: inLet('«0x1F'), message: /not a number/, help: /decimal/ },
  { code: 'SSM1004', title: 'brackets', text: `layer A { let a = ${'('.repeat(128)}«1${')'.repeat(128)} output y per sequence = a }`, message: /nested too deeply/, help: /128 levels/ },
  { code: 'SSM1004', title: 'long sum', text: `layer A { let a = «1${' + 1'.repeat(1001)} output y per sequence = a }`, message: /nested too deeply/, help: /1000 operators/ },
  { code: 'SSM1005', title: 'large file', text: `«layer A { output y per sequence = 1 }${' '.repeat(1 << 18)}`, message: /limit is 262144/, help: /split/ },
  { code: 'SSM1006', title: 'Greek letter', text: inLet('«α'), message: /U\+03B1/, help: /ASCII/ },
  { code: 'SSM1006', title: 'direction control in a comment', text: '// hello «\u202E\nlayer A { output y per sequence = 1 }', message: /U\+202E/, help: /delete/ },
  // names and shapes
  { code: 'SSM2001', title: 'unknown value', text: inLet('«uu'), message: /no value `uu`/, help: /./ },
  { code: 'SSM2001', title: 'misspelt function', text: inLet('«sigmiod(u)'), message: /no function `sigmiod`/, help: /write `sigmoid`/ },
  { code: 'SSM2001', title: 'another state in the block', text: inState('x[D, N]', 'next «z = u'), message: /declares `x`, not `z`/, help: /next x/ },
  { code: 'SSM2001', title: 'unknown order', text: inState('x[D, N]', 'next x = u order «forwrad'), message: /no scan order/, help: /write `forward`/ },
  { code: 'SSM2001', title: 'initialiser in an expression', text: inLet('«normal()'), message: /initial values/, help: /param p = normal/ },
  { code: 'SSM2001', title: 'unknown initialiser', text: 'layer A { param p = «nromal() output y per sequence = p }', message: /no initialiser `nromal`/, help: /write `normal`/ },
  { code: 'SSM2002', title: 'twice', text: 'layer A { param p param «p output y per sequence = p }', message: /declared twice/, help: /another name/ },
  { code: 'SSM2002', title: 'axis and value', text: 'layer A(D = 2) { param «D[D] output y[D] per sequence = D }', message: /declared twice/, help: /another name/ },
  { code: 'SSM2002', title: 'name of the language', text: 'layer A { param «pi output y per sequence = 1 }', message: /name of the language/, help: /another name/ },
  { code: 'SSM2002', title: 'output twice', text: 'layer A { output y per sequence = 1 output «y per sequence = 2 }', message: /output `y` is declared twice/, help: /another name/ },
  { code: 'SSM2003', title: 'unknown axis', text: 'layer A(Dim = 2) { input u[«Din] output y = 1 }', message: /no axis `Din`/, help: /write `Dim`/ },
  { code: 'SSM2003', title: 'batch', text: inLet('sum[«batch](u)'), message: /not a declared axis/, help: /leave `batch` out/ },
  { code: 'SSM2003', title: 'size for no axis', text: 'layer «A(D = 2) { input u[D] output y[D] = u }', message: /no such axis/, help: /`D`/, sizes: [['Q', 3]] },
  { code: 'SSM2004', title: 'square matrix', text: 'layer A(D = 2) { param w[D, «D] output y[D] per sequence = w }', message: /twice in one tensor/, help: /axis D2 = D/ },
  { code: 'SSM2005', title: 'absent axis', text: inLet('sum[«N](u)'), message: /without the axis `N`/, help: /remove `N`/ },
  { code: 'SSM2005', title: 'mean over time of a parameter', text: inLet('mean[time](«w)'), message: /does not vary with time/, help: /leave/ },
  { code: 'SSM2005', title: 'delay of a parameter', text: inLet('delay(«w, 1)'), message: /does not vary with time/, help: /leave the delay out/ },
  { code: 'SSM2006', title: 'extra axis of an output', text: 'layer A(D = 2, N = 3) { input u[D, N] output y[D] = «u }', message: /also has the axis `N`/, help: /sum\[N\]/ },
  { code: 'SSM2006', title: 'time in a per-sequence output', text: 'layer A(D = 2) { input u[D] output «y[D] per sequence = u }', message: /per sequence/, help: /mean\[time\]/ },
  { code: 'SSM2006', title: 'step size over a foreign axis', text: 'layer A(D = 2, N = 3) { input u[D], dt[N] state x[D] { dx/dt = -x + u discretize zoh(«dt) } output y[D] = x }', message: /step size has the axis `N`/, help: /add `N`/ },
  { code: 'SSM2006', title: 'right-hand side over a foreign axis', text: 'layer A(D = 2, N = 3) { input u[D, N] state x[D] { next x = «u } output y[D] = x }', message: /has the axis `N`/, help: /sum over it/ },
  { code: 'SSM2007', title: 'two arguments for one', text: inLet('«exp(u, u)'), message: /takes 1 argument, not 2/, help: /exp\(value\)/ },
  { code: 'SSM2007', title: 'sum without axes', text: inLet('«sum(u)'), message: /needs the axes/, help: /sum\[N\]/ },
  { code: 'SSM2007', title: 'previous of an input', text: inLet('«prev(u)'), message: /name of a state/, help: /delay\(u, 1\)/ },
  { code: 'SSM2007', title: 'missing input of a layer', text: 'layer B { input u output y = u }\nlayer A { input v let b = «B() output y = b }', message: /lacks `u`/, help: /B\(u = …\)/ },
  { code: 'SSM2007', title: 'layer inside an expression', text: 'layer B { input u output y = u }\nlayer A { input v output y = 1 + «B(v) }', message: /inside an expression/, help: /let block = B/ },
  { code: 'SSM2008', title: 'complex output', text: 'layer A(D = 2) { input u[D] param c[D]: complex output y[D] = «c * u }', message: /output `y` is real/, help: /real\(…\)/ },
  { code: 'SSM2008', title: 'flag in arithmetic', text: inLet('1 - «p'), message: /not a flag/, help: /to_real/ },
  { code: 'SSM2008', title: 'index in arithmetic', text: inLet('1 + «k'), message: /not an index/, help: /to_real/ },
  { code: 'SSM2008', title: 'comparison of complexes', text: inLet('«c < 1'), message: /not a complex value/, help: /abs/ },
  { code: 'SSM2008', title: 'variable exponent', text: inLet('u ^ «u'), message: /known at compile time/, help: /exp\(exponent \* log\(base\)\)/ },
  { code: 'SSM2008', title: 'complex drive of a real state', text: 'layer A { input u param c: complex state x { next x = «c * u } output y = x }', message: /real state is complex/, help: /: complex/ },
  { code: 'SSM2009', title: 'zero', text: 'layer A(D = «0) { input u[D] output y[D] = u }', message: /would be 0/, help: /whole number/ },
  { code: 'SSM2009', title: 'fraction', text: 'layer A(D = 3) { axis E = «D / 2 input u[E] output y[E] = u }', message: /would be 1\.5/, help: /whole number/ },
  { code: 'SSM2009', title: 'no size', text: 'layer A(«D) { input u[D] output y[D] = u }', message: /no size/, help: /D = 16/ },
  { code: 'SSM2009', title: 'future', text: inLet('delay(u, «0)'), message: /0 tokens/, help: /`1`/ },
  { code: 'SSM2009', title: 'index past the table', text: 'layer A(V = 3) { input k: index(4) param t[V] output y = gather[V](t, «k) }', message: /4 values.*3 entries/, help: /index\(V\)/ },
  { code: 'SSM2010', title: 'unknown layer', text: inLet('«Block(u)'), message: /no layer `Block`/, help: /declare `layer Block`/ },
  { code: 'SSM2010', title: 'chosen layer', text: '«layer Model { output y per sequence = 1 }', message: /no layer `Modle`/, help: /choose `Model`/, layer: 'Modle' },
  { code: 'SSM2011', title: 'recursion', text: 'layer A { input u let b = «A(u) output y = b }', message: /applies itself/, help: /remove/ },
  { code: 'SSM2012', title: 'no right-hand side', text: inState('«x[D, N]', ''), message: /no right-hand side/, help: /dx\/dt/ },
  { code: 'SSM2012', title: 'no discretization', text: inState('x[D, N]', '«dx/dt = u'), message: /needs a discretization/, help: /zoh/ },
  { code: 'SSM2012', title: 'no output', text: 'layer «A { input u }', message: /no output/, help: /output y/ },
  { code: 'SSM2013', title: 'two updates', text: inState('x[D, N]', 'next x = u «next x = x'), message: /two right-hand sides/, help: /keep one/ },
  { code: 'SSM2014', title: 'unused let', text: 'layer A { input u let «v = u output y = u }', message: /`v` is never used/, help: /remove/ },
  { code: 'SSM2015', title: 'later', text: 'layer A { let a = «b let b = 1 output y per sequence = a + b }', message: /before its declaration/, help: /move/ },
  { code: 'SSM2015', title: 'cycle of states', text: 'layer A { input u state x { next x = «z } state z { next z = x + u } output y = z }', message: /before its declaration/, help: /move/ },
  // mathematics
  { code: 'SSM3001', title: 'tanh of the state', text: inState('x[D, N]', 'next x = a * «tanh(x) + u'), message: /inside `tanh`/, help: /linear/ },
  { code: 'SSM3001', title: 'state in a denominator', text: inState('x[D, N]', 'next x = «u / x'), message: /denominator/, help: /linear/ },
  { code: 'SSM3001', title: 'real part of a complex state', text: inState('x[D, N]: complex', 'next x = «real(x) + u'), message: /not complex-linear/, help: /linear/ },
  { code: 'SSM3001', title: 'state in a condition', text: inState('x[D, N]', 'next x = «if x > 1 then u else 0'), message: /condition/, help: /linear/ },
  { code: 'SSM3001', title: 'softmax of the state', text: inState('x[D, N]', 'next x = softmax[N](2 * «x) + u'), message: /inside `softmax`/, help: /move/ },
  { code: 'SSM3002', title: 'sum over the state', text: inState('x[D, N]', 'next x = «sum[N](a * x) + u'), message: /structure that is not supported/, help: /element by element/ },
  { code: 'SSM3002', title: 'delayed state', text: inState('x[D, N]', 'next x = x + «delay(x, 2)'), message: /structure that is not supported/, help: /element by element/ },
  { code: 'SSM3002', title: 'asserted structure', text: inState('x[D, N]', 'next x = a * x + u structure «dense'), message: /diagonal, not `dense`/, help: /structure diagonal/ },
  { code: 'SSM3003', title: 'discretized update', text: inState('x[D, N]', 'next x = u «discretize zoh(dt)'), message: /already discrete/, help: /remove/ },
  { code: 'SSM3003', title: 'unknown rule', text: inState('x[D, N]', 'dx/dt = u discretize «bilnear(dt)'), message: /no discretization `bilnear`/, help: /write `bilinear`/ },
  { code: 'SSM3003', title: 'weight of gbt', text: inState('x[D, N]', 'dx/dt = u discretize gbt(«2, dt)'), message: /weight of `gbt` is 2/, help: /0 to 1/ },
  { code: 'SSM3004', title: 'square', text: inState('x[D, N]', 'next x = «x * x + u'), message: /both factors/, help: /input instead/ },
  { code: 'SSM3004', title: 'gate of the state', text: inState('x[D, N]', 'next x = «sigmoid(a * x) * x + u'), message: /both factors/, help: /input instead/ },
  { code: 'SSM3004', title: 'state in its step size', text: inState('x[D, N]', 'dx/dt = -x discretize zoh(exp(«x))'), message: /in its step size/, help: /input instead/ },
  { code: 'SSM3004', title: 'state in its reset', text: inState('x[D, N]', 'next x = u reset when «x > 1'), message: /condition of its reset/, help: /input instead/ },
  { code: 'SSM2002', title: 'name of the reverse state', text: 'layer A { input u state x { next x = u order bidirectional } let «x_reverse = u output y = x + x_reverse }', message: /declared twice/, help: /another name/ },
  { code: 'SSM2009', title: 'rank', text: 'layer A(D = 1) { input u[D,D,D,D,D,D,D,D,D,D,D,D,D,D,D,D,«D] output y = 1 }', message: /17 axes/, help: /at most 16/ },
  { code: 'SSM3005', title: 'time-invariant input', text: 'layer A { input u let a = exp(u) let b = a + 1 time_invariant «b output y = b }', message: /varies with time/, help: /remove `b`/ },
  { code: 'SSM3005', title: 'selective parameter', text: 'layer A { param p let a = exp(p) selective «a output y per sequence = a }', message: /does not vary with time/, help: /remove `a`/ },
  { code: 'SSM3006', title: 'initialiser reads an input', text: 'layer A { input u param p = «u output y = p * u }', message: /cannot use `u`/, help: /earlier parameters/ },
  { code: 'SSM3007', title: 'growing state', text: inState('x[D, N]', 'dx/dt = «exp(a) * x + u discretize zoh(dt)'), message: /grows without bound/, help: /-exp\(a\)/ },
  { code: 'SSM4003', title: 'cross scan', text: inState('x[D, N]', 'next x = u order «cross'), message: /not implemented/, help: /`forward`/ },
  {
    code: 'SSM3009', title: 'delay across resets',
    text: 'layer A { input u, f: flag let c = u + «delay(u, 1) state x { next x = 0.5 * x + c; reset when f } output y = x }',
    message: /looks across its resets/, help: /boundary = f/,
  },
  { code: 'SSM2007', title: 'boundary that is no name', text: inLet('delay(u, 1, boundary = «not p)'), message: /name of one flag per token/, help: /`let f = …`/ },
  { code: 'SSM2008', title: 'boundary that is no flag', text: inLet('delay(u, 1, boundary = «u)'), message: /the flag of a delay/, help: /compare it/ },
  { code: 'SSM4003', title: 'long delay across resets', text: inLet('«delay(u, 65, boundary = p)'), message: /65 tokens across resets/, help: /at most 64/ },
];
