/** Fuzzers of what turns programs into files: the compiler behind the language, layers in TypeScript, the plugin of bundlers. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { compileSpec } from '../../../backends/compile.ts';
import type { TargetName } from '../../../backends/artifact.ts';
import { loadTypescript } from '../../../cli/typescript/host.ts';
import { readTypescriptLayers } from '../../../cli/typescript/read-layers.ts';
import { elaborate, loadLayer } from '../../../dsl/index.ts';
import { statefusePlugin } from '../../../tools/bundler/plugin.ts';
import { hostileStrings, mutatedText, wordsOf } from '../mutations.ts';
import { exampleTexts, smallLayers } from '../corpus.ts';
import { accepts, checkDiagnostics, fuzzTarget, type FuzzTarget } from '../target.ts';

type Program = { readonly text: string; readonly target: TargetName; readonly mode: 'auto' | 'recurrent' | 'scan' | 'conv'; readonly storage: 'f32' | 'f16' | 'bf16' };

/** Puts words of a text where other words of the same kind stand, so that many results stay sound. */
function exchanged(text: string, pairs: readonly (readonly [number, number])[]): string {
  const pieces = text.split(/(\b[A-Za-z_]\w*\b|[-+*/]|\d+(?:\.\d+)?)/);
  const kindOf = (piece: string): string => (/^\d/.test(piece) ? 'number' : /^\w/.test(piece) ? 'name' : 'sign');
  const places = pieces.flatMap((_, at) => (at % 2 === 1 ? [at] : []));
  for (const [to, from] of pairs) {
    const target = places[to % places.length] ?? 0;
    const like = places.filter((each) => kindOf(pieces[each] ?? '') === kindOf(pieces[target] ?? ''));
    pieces[target] = pieces[like[from % like.length] ?? target] ?? '';
  }
  return pieces.join('');
}

function programs(): fc.Arbitrary<Program> {
  const pairs = fc.array(fc.tuple(fc.nat(500), fc.nat(500)), { minLength: 1, maxLength: 3 });
  return fc.record({
    text: fc.tuple(fc.constantFrom(...smallLayers, ...exampleTexts().values()), pairs).map(([text, changes]) => exchanged(text, changes)),
    target: fc.constantFrom('wasm', 'wgsl', 'cuda'), mode: fc.constantFrom('auto', 'recurrent', 'scan', 'conv'), storage: fc.constantFrom('f32', 'f32', 'f16', 'bf16'),
  });
}

/** Small sizes keep the time of compiling down; whatever the checker takes, the compiler compiles or refuses in words. */
async function checkProgram({ text, ...options }: Program): Promise<void> {
  const { spec } = loadLayer({ name: 'fuzz.ssm', text }, null, { sizes: new Map([['D', 4]]) });
  const sound = spec ?? loadLayer({ name: 'fuzz.ssm', text }, null, { sizes: new Map() }).spec;
  if (sound === null) return;
  await accepts(() => compileSpec(sound, { ...options, entries: 'all' }));
}

const typescriptTexts: readonly string[] = [
  `import { input, layer, param, ssm, state, sum, exp } from 'statefuse/builder';
const N = 4, sizes = { D: 8, list: [1, 2, 3] };
const half = (n: number): number => n / 2;
export const A = ssm\`
layer A(D = \${sizes.D}, N = \${half(N) + Math.max(...sizes.list)}) {
  input u[D]
  param a[D, N]
  state x[D, N] { dx/dt = -exp(a) * x + u discretize zoh(0.1) }
  output y[D] = sum[N](x)
}\`;
export function make(n: number) { return ssm\`layer B(D = 2) { input u[D] output y[D] = u * 2 }\`; }
`,
  `import * as b from 'statefuse/builder';
const size = { D: 4 } as const;
function scale(factor: number) {
  const D = b.axis('D', size.D);
  return b.layer('Scale', ({ input, param, output }: any) => { const u = input('u', [D]); output('y', [D], b.mul(u, factor)); });
}
export const S = scale(2 ** 3);
class K { static s = b.ssm\`layer C(D = 2) { input u[D] output y[D] = u }\`; }
`,
];

const typescriptWords = [
  ...wordsOf(typescriptTexts), 'Object', 'Array', 'eval', 'Function', 'globalThis', 'require', 'process', 'import', 'await', 'yield', 'new', 'this', 'super',
  "['constructor']", '.constructor', '.__proto__', '.prototype', '=>', '...', '?.', '??', '`', '${', 'ssm`', '1n', '1e999', '-', 'make(', 'half(', 'scale(scale)', 'enum', 'class',
];

function checkTypescript(text: string): void {
  const file = { name: 'fuzz.ts', text };
  const { tree, diagnostics } = readTypescriptLayers(loadTypescript(), file);
  checkDiagnostics(diagnostics.slice(0, 20), text.length);
  if (diagnostics.length > 20) throw new Error(`${diagnostics.length} messages`);
  if (tree.layers.length > 0) checkDiagnostics(elaborate(tree, null, { sizes: new Map() }).diagnostics, text.length);
}

type Loaded = { readonly errors: readonly string[]; readonly code: string; readonly files: readonly string[] };

/** What the plugin makes of a text in a folder, as a bundler would call it. */
function loadWithPlugin(folder: string, text: string): Loaded {
  const errors: string[] = [];
  const path = join(folder, 'fuzz.ssm');
  writeFileSync(path, text);
  const plugin = statefusePlugin({ entries: 'forward-only', targets: ['wasm'] }, { framework: 'rollup' } as never);
  const { handler } = (plugin as unknown as { readonly load: { readonly handler: (this: unknown, id: string) => { readonly code: string } } }).load;
  const context = { addWatchFile: () => undefined, warn: () => undefined, error: (each: { readonly message: string }) => void errors.push(each.message) };
  const { code } = handler.call(context, path);
  return { errors, code, files: readdirSync(folder) };
}

function checkPlugin(text: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-plugin-'));
  try {
    const { errors, code, files } = loadWithPlugin(folder, text);
    const expected = errors.length === 0 ? ['fuzz.ssm', 'fuzz.ssm.d.ts'] : ['fuzz.ssm'];
    if (files.join() !== expected.join()) throw new Error(`left ${files.join()} behind`);
    if (errors.some((each) => !/error\[SSM[1-7]\d{3}\]/.test(each))) throw new Error(`a message that is no diagnostic: ${errors[0] ?? ''}`);
    if (code.trim() === '') throw new Error('no module');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Fuzzers over whole programs. */
export const programTargets: readonly FuzzTarget[] = [
  fuzzTarget({ name: 'compiler', runs: 25, milliseconds: 20_000, inputs: programs, check: checkProgram }),
  fuzzTarget({ name: 'typescript', runs: 150, milliseconds: 2000, inputs: () => mutatedText(typescriptTexts, [...typescriptWords, ...hostileStrings]), check: checkTypescript }),
  fuzzTarget({ name: 'bundler', runs: 30, milliseconds: 20_000, inputs: () => mutatedText(smallLayers), check: checkPlugin }),
];
