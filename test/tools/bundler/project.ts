/**
 * A folder as a user of the package has it: a text, a program that imports it, and the package itself,
 * of which only the runtime is there (made of the sources by esbuild, so that no build must have run).
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export type UserProject = {
  readonly folder: string;
  readonly path: (name: string) => string;
  readonly read: (name: string) => string;
  readonly write: (name: string, text: string) => void;
  readonly has: (name: string) => boolean;
  /** runs the program of a bundle, which must export `run` */
  readonly run: (bundle: string) => Promise<readonly number[]>;
  readonly remove: () => void;
};

/** 2 tokens of 2 channels; `factor` is what the text multiplies by. */
export const textOf = (factor: string): string => `layer Scale(D = 2) {\n  input u[D]\n  param gain[D] = 1\n  output y[D] = ${factor} * gain * u\n}\n`;

const program = `import { Scale, load } from './scale.ssm';
import { openWasm } from 'statefuse/runtime/wasm';

export async function run() {
  const device = await openWasm({ workers: 0 });
  const layer = await load(device);
  layer.setParameters(Scale.initialParameters());
  const { outputs, shapes } = await layer.forward({ inputs: { u: [1, 2, 3, 4] }, batch: 1 });
  const numbers = [...shapes.y, ...await outputs.y.read()];
  layer[Symbol.dispose]();
  await device[Symbol.asyncDispose]();
  return numbers;
}
`;

let runtime: Promise<string> | null = null;

/** The runtime as JavaScript, once per test process. */
function builtRuntime(): Promise<string> {
  runtime ??= (async () => {
    const folder = mkdtempSync(join(tmpdir(), 'statefuse-runtime-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    await build({
      entryPoints: { runtime: 'runtime/index.ts', wasm: 'runtime/wasm/index.ts' }, outdir: folder, bundle: true, splitting: true,
      format: 'esm', platform: 'node', logLevel: 'error',
    });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({
      name: 'statefuse', type: 'module', sideEffects: false, exports: { './runtime': './runtime.js', './runtime/wasm': './wasm.js' },
    }));
    return folder;
  })();
  return runtime;
}

let runs = 0;

export async function createProject(): Promise<UserProject> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'statefuse-bundler-')));
  const path = (name: string): string => join(folder, name);
  const write = (name: string, text: string): void => writeFileSync(path(name), text);
  mkdirSync(path('node_modules/statefuse'), { recursive: true });
  cpSync(await builtRuntime(), path('node_modules/statefuse'), { recursive: true });
  write('package.json', JSON.stringify({ type: 'module', private: true }));
  write('scale.ssm', textOf('2'));
  write('main.js', program);
  return {
    folder, path, write,
    read: (name) => readFileSync(path(name), 'utf8'),
    has: (name) => readdirSync(folder).includes(name),
    run: async (bundle) => {
      const module = await import(`${pathToFileURL(path(bundle)).href}?run=${runs++}`) as { run(): Promise<readonly number[]> };
      return module.run();
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
