/** Texts imported as modules, by the bundlers themselves: what comes out runs, and mistakes are shown with their place. */
import * as esbuild from 'esbuild';
import * as rollup from 'rollup';
import * as vite from 'vite';
import webpack from 'webpack';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { statefuse as forEsbuild } from '../../../tools/bundler/esbuild.ts';
import type { StatefuseOptions } from '../../../tools/bundler/plugin.ts';
import { statefuse as forRollup } from '../../../tools/bundler/rollup.ts';
import { statefuse as forVite } from '../../../tools/bundler/vite.ts';
import { statefuse as forWebpack } from '../../../tools/bundler/webpack.ts';
import { checkProject } from '../../backends/ts/typescript-project.ts';
import { createProject, textOf, type UserProject } from './project.ts';

/** Bundles `main.js` into a file and gives its name; rejects with all messages. Warnings are collected. */
type Bundler = (project: UserProject, options: StatefuseOptions, warnings: string[]) => Promise<string>;

const withVite: Bundler = async ({ folder, path }, options, warnings) => {
  const logger = vite.createLogger('silent');
  logger.warn = (message) => void warnings.push(message);
  await vite.build({
    configFile: false, root: folder, customLogger: logger, logLevel: 'silent', plugins: [forVite(options)],
    build: { outDir: path('out-vite'), minify: true, lib: { entry: path('main.js'), formats: ['es'], fileName: () => 'main.mjs' }, rolldownOptions: { external: /^node:/, output: { codeSplitting: false } } },
  });
  return 'out-vite/main.mjs';
};

const withRollup: Bundler = async ({ path }, options, warnings) => {
  const resolvePackage: rollup.Plugin = {
    name: 'package', resolveId: (id) => ({ 'statefuse/runtime': path('node_modules/statefuse/runtime.js'), 'statefuse/runtime/wasm': path('node_modules/statefuse/wasm.js') })[id] ?? null,
  };
  const bundle = await rollup.rollup({
    input: path('main.js'), external: /^node:/, plugins: [resolvePackage, forRollup(options)], onwarn: ({ message }) => void warnings.push(message),
  });
  expect(bundle.watchFiles).toContain(path('scale.ssm'));
  await bundle.write({ file: path('out-rollup.mjs'), format: 'es', inlineDynamicImports: true });
  await bundle.close();
  return 'out-rollup.mjs';
};

const withEsbuild: Bundler = async ({ folder, path }, options, warnings) => {
  const result = await esbuild.build({
    entryPoints: [path('main.js')], bundle: true, minify: true, format: 'esm', platform: 'node', outfile: path('out-esbuild.mjs'),
    absWorkingDir: folder, plugins: [forEsbuild(options)], logLevel: 'silent',
  }).catch((error: esbuild.BuildFailure) => {
    throw new Error(error.errors.map((each) => `${each.text}\n${JSON.stringify(each.location)}`).join('\n'));
  });
  warnings.push(...result.warnings.map((each) => each.text));
  return 'out-esbuild.mjs';
};

const withWebpack: Bundler = async ({ folder, path }, options, warnings) => {
  const compiler = webpack({
    mode: 'production', context: folder, entry: path('main.js'), target: 'node20', devtool: false, experiments: { outputModule: true }, plugins: [forWebpack(options)],
    output: { path: folder, filename: 'out-webpack.mjs', library: { type: 'module' }, module: true, chunkFormat: 'module' }, optimization: { splitChunks: false },
    performance: false, cache: false,
  })!;
  const stats = await new Promise<webpack.Stats>((resolve, reject) => compiler.run((error, result) => (error ? reject(error) : resolve(result!))));
  expect([...stats.compilation.fileDependencies]).toContain(path('scale.ssm'));
  warnings.push(...stats.compilation.warnings.map((each) => each.message));
  await new Promise<void>((done) => compiler.close(() => done()));
  if (stats.hasErrors()) throw new Error(stats.compilation.errors.map((each) => each.message).join('\n'));
  return 'out-webpack.mjs';
};

describe.each([['Vite', withVite], ['Rollup', withRollup], ['esbuild', withEsbuild], ['webpack', withWebpack]] as const)('%s', (_, bundle) => {
  let project: UserProject;
  beforeEach(async () => void (project = await createProject()));
  afterEach(() => project.remove());

  it('imports a text, whose bundle runs, and declares it', async () => {
    const warnings: string[] = [];
    expect(await project.run(await bundle(project, {}, warnings))).toEqual([1, 2, 2, 2, 4, 6, 8]);
    expect(warnings).toEqual([]);
    // the expected error is the test: the check reports a line of this kind where there is none
    const use = "import { Scale } from './scale.ssm';\nexport type Two = Scale.Axes['D'];\nexport const two: Two = 2;\n// @ts-expect-error a name is a string\nScale.name satisfies number;\n";
    expect(checkProject({ 'scale.ssm.d.ts': project.read('scale.ssm.d.ts'), 'use.ts': use })).toEqual([]);
  }, 60_000);

  it('takes options', async () => {
    const options: StatefuseOptions = { types: 'none', targets: ['wasm'], sizes: (file, layer) => (file.endsWith('scale.ssm') && layer === 'Scale' ? { D: 4 } : {}) };
    const bundled = await bundle(project, options, []);
    expect(await project.run(bundled)).toEqual([1, 1, 4, 2, 4, 6, 8]);
    expect(project.read(bundled)).not.toContain('workgroup_size');
    expect(project.has('scale.ssm.d.ts')).toBe(false);
  }, 60_000);

  it('shows every mistake of a text, with its place and an excerpt', async () => {
    project.write('scale.ssm', textOf('2').replace('* u', '* uu').replace('gain[D]', 'gain[E]'));
    const failure = await bundle(project, {}, []).then(() => '', (error: unknown) => String((error as Error).message));
    expect(failure).toContain('SSM2001');
    expect(failure).toContain('there is no value `uu`');
    expect(failure).toContain('SSM2003');
    expect(failure).toMatch(/4 \|\s+output y\[D\] = 2 \* gain \* uu/);
    expect(failure).toContain('docs/errors.md#ssm2001-unknown-name');
    expect(project.has('scale.ssm.d.ts')).toBe(false);
  }, 60_000);

  it('passes warnings on', async () => {
    project.write('scale.ssm', textOf('2').replace('  output', '  let unused = u\n  output'));
    const warnings: string[] = [];
    expect(await project.run(await bundle(project, {}, warnings))).toEqual([1, 2, 2, 2, 4, 6, 8]);
    expect(warnings.join('\n')).toMatch(/SSM2014.*`unused` is never used/);
  }, 60_000);
});

it('a text whose initial parameters are heavy is named, and becomes light without them', async () => {
  const project = await createProject();
  try {
    const sizes = (): Record<string, number> => ({ D: 300_000 });
    const [heavy, light]: [string[], string[]] = [[], []];
    await withEsbuild(project, { sizes }, heavy);
    expect(heavy).toEqual(['`scale.ssm` carries 1.5 MiB of initial parameters; the option `seed: null` leaves them out']);
    await withEsbuild(project, { sizes, seed: null }, light);
    expect(light.filter((each) => each.includes('parameters'))).toEqual([]);
  } finally {
    project.remove();
  }
});

describe('a change of a text', () => {
  let project: UserProject;
  beforeEach(async () => void (project = await createProject()));
  afterEach(() => project.remove());

  it('reaches a page of Vite, and a mistake its overlay', async () => {
    const server = await vite.createServer({
      configFile: false, root: project.folder, logLevel: 'silent', appType: 'custom', plugins: [forVite()],
      server: { middlewareMode: true, hmr: false, ws: false }, optimizeDeps: { noDiscovery: true },
    });
    try {
      const load = async (): Promise<string> => (await server.transformRequest('/scale.ssm'))?.code ?? '';
      const first = await load();
      expect(first).toContain('defineLayer');
      project.write('scale.ssm', textOf('3'));
      await vi.waitFor(async () => expect(await load()).not.toBe(first), { timeout: 20_000 });
      expect(await load()).toContain('defineLayer');
      project.write('scale.ssm', 'layer Scale {');
      const refused = { loc: { line: 1 }, frame: expect.stringContaining('layer Scale {') as string };
      await vi.waitFor(() => expect(load()).rejects.toMatchObject(refused), { timeout: 20_000 });
      project.write('scale.ssm', textOf('2'));
      await vi.waitFor(async () => expect(await load()).toBe(first), { timeout: 20_000 });
    } finally {
      await server.close();
    }
  }, 60_000);

  it('reaches the next build of esbuild', async () => {
    const context = await esbuild.context({
      entryPoints: [project.path('main.js')], bundle: true, format: 'esm', platform: 'node', outfile: project.path('out.mjs'), plugins: [forEsbuild()], logLevel: 'silent',
    });
    try {
      await context.rebuild();
      expect((await project.run('out.mjs')).slice(3)).toEqual([2, 4, 6, 8]);
      project.write('scale.ssm', textOf('5'));
      await context.rebuild();
      expect((await project.run('out.mjs')).slice(3)).toEqual([5, 10, 15, 20]);
    } finally {
      await context.dispose();
    }
  }, 60_000);
});
