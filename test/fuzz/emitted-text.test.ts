/** Emitted text of random programs is accepted without a warning by who reads it, and names and comments change no token of it. */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { hasNvcc, compileCuda } from '../backends/cuda/nvcc.ts';
import { checkProject } from '../backends/ts/typescript-project.ts';
import { buildLayer } from '../generate/build-layer.ts';
import { recipes } from '../generate/recipe.ts';
import { webAssembly } from '../../runtime/wasm/webassembly.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';
import { layerOf, smallLayers } from './corpus.ts';
import {
  differenceOf, disguised, disguises, emitKernels, emitPython, emitTypescript, harmless, hasPython, hostileComments, hostileNames, isOneScope, pythonShapes, shapeOf, typescriptShape, type Emitted,
} from './emitted-text.ts';

const present = (await openTestGpu()) !== null;
const gpu = await openTestDevice();
afterAll(() => gpu?.destroy());

/** One random program; `STATEFUSE_PROGRAMS` asks for more. */
const count = Number(process.env['STATEFUSE_PROGRAMS'] ?? 1);
const random = fc.sample(recipes, { seed: 5, numRuns: count }).map((recipe) => buildLayer(recipe).text);
const programs: readonly (readonly [string, string])[] = [...smallLayers, ...random].map((text, at) => [at < smallLayers.length ? `small ${at}` : `random ${at - smallLayers.length}`, text]);

/** Different names and comments for each program, all of them over some programs. */
function disguiseFor(text: string, at: number): string {
  const [drawn] = fc.sample(disguises, { seed: at, numRuns: 1 });
  return disguised(text, { names: drawn?.names ?? hostileNames, comment: hostileComments[at % hostileComments.length] ?? '' });
}

/** Warnings and errors of Dawn about a text. */
async function complaintsOfDawn(text: string): Promise<readonly string[]> {
  const { messages } = await gpu!.createShaderModule({ code: text }).getCompilationInfo();
  return messages.map((each) => `${each.lineNum}: ${each.message}`);
}

describe.each(programs)('emitted text of %s', (name, plain) => {
  const at = programs.findIndex((each) => each[0] === name);
  const innocent = disguised(plain, harmless);
  const hostile = disguiseFor(plain, at);

  it.each(['wgsl', 'cuda', 'wasm'] as const)('%s: names and comments change nothing', (target) => {
    const expected = emitKernels(innocent, target);
    const found = emitKernels(hostile, target);
    const shapesOf = (files: readonly Emitted[]): readonly string[] => files.filter(isOneScope).map(({ text }) => shapeOf(text, target));
    expect(differenceOf(shapesOf(found), shapesOf(expected))).toBe('');
    expect(found.every(({ text }) => !/evil/.test(text))).toBe(true);
    expect(found.every((file) => /^[A-Za-z0-9_-]{1,140}\.[a-z]+$/.test(file.name))).toBe(true);
  });

  it.skipIf(!present)(`wgsl: Dawn accepts every kernel without a word ${present ? '' : skipReason}`, async () => {
    for (const { name: file, text } of emitKernels(hostile, 'wgsl')) expect([file, await complaintsOfDawn(text)]).toEqual([file, []]);
  });

  it('wasm: the module is valid', () => {
    const { code } = compileSpec(layerOf(hostile), { target: 'wasm' }).artifact;
    expect(code.kind === 'wasm' && webAssembly().validate(code.module)).toBe(true);
  });

  it.skipIf(!hasNvcc)(`cuda: nvcc accepts all without a warning ${hasNvcc ? '' : '(skipped: no nvcc)'}`, () => {
    const files = emitKernels(hostile, 'cuda');
    const unit = files.find((each) => each.name.startsWith('statefuse_') && each.name.endsWith('.cu'))!;
    expect(compileCuda(Object.fromEntries(files.map((each) => [each.name, each.text])), unit.name).length).toBeGreaterThan(0);
  });

  it('typescript: strict checks pass, and names and comments change nothing', () => {
    const text = emitTypescript(hostile);
    expect(checkProject({ 'module.ts': text })).toEqual([]);
    expect(differenceOf([typescriptShape(text)], [typescriptShape(emitTypescript(innocent))])).toBe('');
    expect(text).not.toMatch(/evil/);
  });

  it.skipIf(!hasPython)(`python: every file compiles without a warning, and names and comments change nothing ${hasPython ? '' : '(skipped: no python3)'}`, () => {
    expect(differenceOf(pythonShapes(emitPython(hostile)), pythonShapes(emitPython(innocent)))).toBe('');
  });
});

describe('the oracle of emitted text', () => {
  it('sees comments that end early', () => {
    const texts = ['// a\nlet x = 1;', '// a\u2028evil();\nlet x = 1;', '// a\\\nlet x = 1;'];
    expect(shapeOf(texts[1]!, 'wgsl')).not.toBe(shapeOf(texts[0]!, 'wgsl'));
    expect(shapeOf(texts[2]!, 'cuda')).not.toBe(shapeOf(texts[0]!, 'cuda'));
    expect(shapeOf('let y = z;', 'wgsl')).toBe(shapeOf('let a = b;', 'wgsl'));
    expect(shapeOf('let y = y;', 'wgsl')).not.toBe(shapeOf('let a = b;', 'wgsl'));
  });

  it('gives programs their hostile names', () => {
    const text = disguised(smallLayers[0]!, { names: hostileNames, comment: hostileComments[0]! });
    expect(layerOf(text).name).toBe('asm');
    expect(text).toContain('*/ evil(); /*');
  });
});
