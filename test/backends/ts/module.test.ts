/** The module that carries a layer: strict TypeScript, typed by name and shape, and the same numbers as the compiler's own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModuleLayer, type CompileModuleOptions } from '../../../backends/ts/compile-module.ts';
import { emitModule, type ModuleTexts } from '../../../backends/ts/index.ts';
import { base64Of } from '../../../backends/ts/base64.ts';
import { loadLayer as readLayer } from '../../../dsl/index.ts';
import { compileSpec, loadLayer } from '../../../index.ts';
import type { ExecutionDevice, LayerModule, LayerRecord, LayerResult } from '../../../runtime/index.ts';
import { openWasm } from '../../../runtime/wasm/index.ts';
import { fromDevice } from '../../../runtime/webgpu/index.ts';
import { openTestDevice, skipReason } from '../../support/webgpu.ts';
import { checkProject } from './typescript-project.ts';

const both: CompileModuleOptions = { targets: ['wasm', 'wgsl'], seed: 1 };

function specOf(text: string, layer: string | null = null, sizes: Readonly<Record<string, number>> = {}) {
  const { spec, diagnostics } = readLayer({ name: 'layer.ssm', text }, layer, { sizes: new Map(Object.entries(sizes)) });
  expect(diagnostics.filter((each) => each.severity === 'error')).toEqual([]);
  return spec!;
}

function emit(texts: readonly (readonly [text: string, layer: string | null])[], options: CompileModuleOptions = both): ModuleTexts {
  const layers = texts.map(([text, layer]) => compileModuleLayer(specOf(text, layer), options));
  return emitModule(ts, layers, { runtime: 'statefuse/runtime' });
}

const example = (name: string): string => readFileSync(`examples/${name}.ssm`, 'utf8');

const small = `
layer Inner(N = 3) { input u[N] param a[N] = -1 state x[N]: complex { next x = exp(a) * x + u } output y[N] = real(x) }
layer Small(D = 4) {
  input u[D], starts: flag, label: index(3) per sequence
  param w[D]: complex = normal(), given[D], table[K, D] = normal()
  axis K = 3
  let inner = Inner(u = u, N = D)
  output y[D] = inner * real(w) + given, loss per sequence = mean[time](sum[D](delay(u, 2) * gather[K](table, label) * (if starts then 1 else 2)))
}`.replace('  axis K = 3\n', '').replace('(D = 4) {', '(D = 4) {\n  axis K = 3');

describe('a module', () => {
  it('passes tsc --strict, as declarations too, for every kind of tensor', () => {
    const texts = Object.entries({
      small: emit([[small, 'Inner'], [small, null]]), bidirectional: emit([[example('s5-bidirectional'), null]]),
      block: emit([[example('mamba-block'), null]], { ...both, seed: null }), forward: emit([[example('s4d'), null]], { ...both, entries: 'forward-only' }),
    });
    const files = texts.flatMap(([name, { typescript, declarations }]) => [[`${name}.ts`, typescript], [`${name}-declared.d.ts`, declarations]]);
    expect(checkProject(Object.fromEntries(files) as Record<string, string>, { options: { skipLibCheck: false } })).toEqual([]);
    expect(checkProject(Object.fromEntries(files) as Record<string, string>, { resolution: 'nodenext' })).toEqual([]);
  });

  it('makes wrong names and wrong shapes type errors', () => {
    const use = `
import { Small, load } from './small.ts';
import type { ExecutionDevice } from 'statefuse/runtime';
export async function use(device: ExecutionDevice, numbers: Float32Array): Promise<Float32Array> {
  using layer = await load(device);
  const size: 4 = 4 satisfies Small.Axes['D'];
  const label = { shape: [2] as const, data: [0, 1] };
  layer.setParameters(Small.initialParameters());
  const w: Float32Array = Small.initialParameters().w;
  const { outputs, shapes, final } = await layer.forward({ inputs: { u: { shape: [2, 5, 4], data: numbers }, starts: [1], label }, batch: 2 });
  const y: Float32Array = await outputs.y.read();
  const [batch, time, channels]: readonly [number, number, 4] = shapes.y;
  const inner: Float32Array = await final['inner.x'].read();
  const { gradients } = await layer.gradients({ inputs: { u: numbers, starts: numbers, label }, batch: 2, outputCotangents: { loss: [1, 1] } });
  // @ts-expect-error 5 channels
  await layer.forward({ inputs: { u: { shape: [2, 5, 5], data: numbers }, starts: [1], label }, batch: 2 });
  // @ts-expect-error a missing axis
  await layer.forward({ inputs: { u: { shape: [2, 4], data: numbers }, starts: [1], label }, batch: 2 });
  // @ts-expect-error a missing input
  await layer.forward({ inputs: { u: numbers, label }, batch: 2 });
  // @ts-expect-error an unknown input
  await layer.forward({ inputs: { u: numbers, starts: numbers, label, v: numbers }, batch: 2 });
  // @ts-expect-error an unknown parameter
  layer.setParameters({ W: numbers });
  // @ts-expect-error no initialiser
  Small.initialParameters().given;
  // @ts-expect-error an unknown output
  outputs.z;
  // @ts-expect-error of the wrong type
  const wrong: Int32Array = await outputs.y.read();
  return gradients.w.read().then(() => [w, y, inner, size, batch, time, channels, wrong].length > 0 ? y : w);
}
`;
    const none = 'import { A } from "./none.ts";\nexport const step = async (layer: A) => {\n  // @ts-expect-error reversed layers have no step\n  layer.step;\n};\n// @ts-expect-error it carries no parameters\nA.initialParameters;\n';
    const reverse = 'layer A(D = 2) { input u[D] state x[D] { next x = 0.5 * x + u order reverse } output y[D] = x }';
    expect(checkProject({
      'small.ts': emit([[small, 'Inner'], [small, null]]).typescript, 'use.ts': use,
      'none.ts': emit([[reverse, null]], { targets: ['wasm'], seed: null }).typescript, 'use-none.ts': none,
    }, { options: { isolatedDeclarations: false } })).toEqual([]);
  });

  it('takes layers of any name', () => {
    const names = ['class', 'load', 'Inputs', 'Partial', 'LayerModule', 'S6', 'type', 'TensorInput'];
    const texts = names.map((name) => [`// */ \${evil} \`\nlayer ${name}(D = 2) { input u[D] output y[D] = u }`, null] as const);
    const { typescript, javascript, declarations } = emit(texts, { targets: ['wasm'], seed: null });
    expect(checkProject({ 'names.ts': typescript })).toEqual([]);
    for (const text of [typescript, javascript, declarations]) expect(text).not.toContain('evil');
    for (const name of names) expect(typescript).toMatch(new RegExp(`export (declare namespace|\\{.*) ?\\b${name}\\b`));
  });

  it('is the same text each time, and escapes what it carries', () => {
    const [one, two] = [emit([[example('s6'), null]]), emit([[example('s6'), null]])];
    expect(one).toEqual(two);
    expect(one.declarations).not.toContain('AGFzb');
    expect(one.javascript).toContain('/* @__PURE__ */ defineLayer({');
    expect(one.javascript).not.toContain('namespace');
  });

  it('writes base64 as others do', () => {
    for (let length = 0; length < 9; length++) {
      const bytes = Uint8Array.from({ length }, (_, at) => 251 * (at + 1));
      expect(base64Of(bytes)).toBe(Buffer.from(bytes).toString('base64'));
    }
  });
});

type Loaded = Disposable & {
  readonly setParameters: (values: LayerRecord) => void;
  readonly forward: (call: object) => Promise<LayerResult & { readonly shapes: Record<string, readonly number[]> }>;
  readonly step: (call: object) => Promise<LayerResult & { readonly shapes: Record<string, readonly number[]> }>;
  readonly gradients: (call: object) => Promise<LayerResult & { readonly gradients: LayerResult['outputs'] }>;
};
type Module = { readonly Small: LayerModule<Loaded> & { initialParameters(): LayerRecord }; readonly load: (device: ExecutionDevice) => Promise<Loaded> };

describe('a module at work', async () => {
  const gpu = await openTestDevice();
  let directory = '';
  let module: Module;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'statefuse-module-'));
    writeFileSync(join(directory, 'small.js'), emit([[small, null]]).javascript);
    const { metafile } = await build({
      entryPoints: [join(directory, 'small.js')], bundle: true, format: 'esm', outfile: join(directory, 'bundle.mjs'), metafile: true,
      alias: { 'statefuse/runtime': resolve('runtime/index.ts') }, logLevel: 'error',
    });
    expect(Object.keys(metafile.inputs).filter((each) => /^(dsl|ir|cli|backends)\//.test(each))).toEqual([]);
    module = await import(pathToFileURL(join(directory, 'bundle.mjs')).href) as Module;
  });
  afterAll(() => {
    gpu?.destroy();
    rmSync(directory, { recursive: true, force: true });
  });

  const inputs = {
    u: { shape: [2, 5, 4], data: Float32Array.from({ length: 40 }, (_, at) => Math.sin(at)) },
    starts: Int32Array.from({ length: 10 }, (_, at) => at % 2), label: [2, 0],
  };
  const given = [1, 2, 3, 4];

  async function agrees(device: ExecutionDevice, target: 'wasm' | 'wgsl'): Promise<void> {
    using layer = await module.load(device);
    using twin = await loadLayer(device, compileSpec(specOf(small), { target }).artifact);
    const params = { ...module.Small.initialParameters(), given };
    layer.setParameters(params);
    const call = { inputs, batch: 2, outputCotangents: { loss: [1, 2] } };
    const [mine, its] = [await layer.gradients(call), await twin.gradients({ ...call, params })];
    for (const role of ['outputs', 'final', 'gradients'] as const) {
      expect(Object.keys(mine[role])).toEqual(Object.keys(its[role]));
      for (const [name, tensor] of Object.entries(mine[role])) {
        const numbers = await tensor.read();
        expect(numbers.length, name).toBeGreaterThan(0);
        expect(numbers, name).toEqual(await its[role][name]!.read());
      }
    }
    expect(Object.keys(its.outputs)).toEqual(['y', 'loss']);
    expect((await layer.forward({ inputs, batch: 2 })).shapes).toEqual({ y: [2, 5, 4], loss: [2] });
  }

  it('gives the numbers of the layer it was made from, on WASM', async () => {
    await using device = await openWasm({ workers: 0 });
    await agrees(device, 'wasm');
  });

  it.skipIf(gpu === null)(`gives them on WebGPU ${gpu === null ? skipReason : ''}`, async () => {
    await using device = fromDevice(gpu!);
    await agrees(device, 'wgsl');
  });

  it('refuses a device for which it carries nothing', async () => {
    await using device = await openWasm({ workers: 0 });
    const foreign = { ...device, info: { ...device.info, target: 'cuda' } } as ExecutionDevice;
    await expect(module.load(foreign)).rejects.toThrow(/SSM6004.*carries no kernels for cuda/);
    expect(module.Small.targets).toEqual(['wasm', 'wgsl']);
  });
});
