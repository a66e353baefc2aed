/** Emitted PyTorch packages: what is in them, names, that no text of a source reaches Python, and one package as a whole. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../../../backends/artifact.ts';
import { layerNames } from '../../../backends/torch/index.ts';
import { createPythonNamer } from '../../../backends/torch/names.ts';
import { pythonCall, pythonNumber, pythonString, pythonTuple } from '../../../backends/torch/python-text.ts';
import { packageOf, python, specOf, syntaxErrors, writePackage } from './python.ts';

if (python === null) console.warn('python3 is not installed: the syntax of emitted packages is not checked');

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'statefuse-torch-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const s6 = readFileSync('examples/s6.ssm', 'utf8');
const small = new Map([['D', 8], ['N', 4]]);

/** Every name that Python, PyTorch or the package itself has a use for. */
const hostile = `layer lambda(D = 5, N = 3) {
  input class[D], in[N], None: flag, print: index(N) per sequence, results[D], number[D]: complex
  param self[D, N] = log(1 + iota(N)), forward[D], train[D]: complex = normal(), tools[N, D] = uniform(), RANK[D] = 1, step[D] = 0.5
  let   def = 0.5 * class + 0.25 * delay(class, 2, boundary = None) + forward + step
  let   _decay = def + results * RANK
  state torch[D, N]: complex {
    dtorch/dt = complex(-exp(self), iota(N)) * torch + in * _decay
    discretize bilinear(0.1)
    reset when None
  }
  state x_initial[D] { next x_initial = sigmoid(class) * x_initial + real(sum[N](torch)) }
  state x[D] { next x = 0.5 * x + 1 }
  output return[D] = real(sum[N](torch)) * gather[N](tools, print) + real(train * number) + x + x_initial
  output yield[N]: complex = sum[D](torch * train)
}`;

describe('files of a package', () => {
  const made = packageOf(specOf(s6, small), ['f32', 'bf16', 'f16']);
  const fileOf = (name: string): string => made.files.find((each) => each.name === name)?.content ?? '';

  it('are the package, its tests, its project and a text per entry point and storage', () => {
    const names = made.files.map((each) => each.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of ['pyproject.toml', 'README.md', 'build_package.py', 'tests/test_ops.py']) expect(names).toContain(name);
    for (const name of ['__init__', 'ops', 'module', 'reference', 'launch']) expect(names).toContain(`statefuse_s6/${name}.py`);
    const kernels = names.filter((each) => each.endsWith('.cu')).sort();
    const entries = ['backward', 'backwardFinal', 'forward', 'forwardSaved'];
    const inFolder = (folder: string, which: readonly string[]): string[] => which.map((entry) => `statefuse_s6/kernels/${folder}/${entry}.cu`);
    expect(kernels).toEqual(['bf16', 'f16', 'f32'].flatMap((storage) => [...inFolder(`${storage}-few`, entries), ...inFolder(storage, [...entries, 'step'])]));
  });

  it.each(['f32', 'bf16', 'f16'])('hold the kernels that the manifest for %s launches', (storage) => {
    const manifest = JSON.parse(fileOf(`statefuse_s6/kernels/${storage}/manifest.json`)) as Manifest;
    expect(manifest).toMatchObject({ schema: 'statefuse-manifest', version: 1, layer: 'S6', target: 'cuda' });
    const u = manifest.entries[0]?.tensors.find((each) => each.name === 'u');
    expect(u?.storage).toBe(storage);
    for (const entry of manifest.entries) {
      const text = fileOf(`statefuse_s6/kernels/${storage}/${entry.name}.cu`);
      expect(entry.dispatches.length).toBeGreaterThan(0);
      for (const { kernel } of entry.dispatches) {
        expect(text.split(new RegExp(`extern "C" __global__ void __launch_bounds__\\(\\d+(?:, \\d+)?\\) ${kernel}\\(`)).length, kernel).toBe(2);
      }
    }
  });

  it('have the documented signatures', () => {
    const ops = fileOf('statefuse_s6/ops.py').replace(/\s+/g, ' ');
    expect(ops).toMatch(/def s6\( ?u, delta, B, C, z, \*, A_log, delta_bias, skip, x_initial=None, return_final=False, implementation="kernels",? ?\):/);
    expect(ops).toMatch(/def s6_step\(u, delta, B, C, z, \*, A_log, delta_bias, skip, x, implementation="kernels"\):/);
    expect(fileOf('statefuse_s6/__init__.py')).toContain('from .module import S6');
    expect(fileOf('statefuse_s6/module.py')).toContain('self.delta_bias = torch.nn.Parameter(torch.empty((8,), device=device))');
    expect(fileOf('statefuse_s6/module.py')).toContain('initialise.inverse_softplus(initialise.log_uniform((8,), 0.001, 0.1))');
    expect(fileOf('pyproject.toml')).toContain('dependencies = ["torch>=2.4"]');
  });

  it('are the same bytes twice, without a tab, a trailing blank or a word of the comments of the text', () => {
    expect(packageOf(specOf(s6, small), ['f32', 'bf16', 'f16'])).toEqual(made);
    for (const { name, content } of made.files) {
      expect(content.endsWith('\n'), name).toBe(true);
      if (name.endsWith('.cu') || name.endsWith('.json')) continue;
      expect(content, name).not.toMatch(/[ \t]+$|\t|selective scan of Mamba|Gu, Dao 2023, alg/m);
    }
  });

  it('leave out the step where the layer has none', () => {
    const text = 'layer R(D = 2) { input u[D] state x[D] { next x = 0.5 * x + u order reverse } output y[D] = x }';
    const { files } = packageOf(specOf(text));
    expect(files.some((each) => each.name.endsWith('step.cu'))).toBe(false);
    expect(files.find((each) => each.name.endsWith('/ops.py'))?.content).not.toContain('_step');
    expect(files.find((each) => each.name.endsWith('/module.py'))?.content).not.toContain('def step');
  });

  it('are not made for a layer whose inputs have no time', () => {
    const text = 'layer T(D = 2) { input c[D] per sequence state x[D] { next x = 0.5 * x + c } output y[D] = x }';
    expect(() => packageOf(specOf(text))).toThrow(/no input that varies with time/);
  });
});

describe('golden package', () => {
  it.each(['description', 'module', 'ops', 'reference'])('%s.py of S6', async (stem) => {
    const { files } = packageOf(specOf(s6, small));
    const content = files.find((each) => each.name === `statefuse_s6/${stem}.py`)?.content ?? '';
    await expect(content).toMatchFileSnapshot(`golden/s6-${stem}.py.txt`);
  });
});

describe('names', () => {
  it('of layers are those of packages, functions and classes', () => {
    expect(layerNames('S6')).toEqual({ packageName: 'statefuse_s6', functionName: 's6', className: 'S6' });
    expect(layerNames('lambda')).toEqual({ packageName: 'statefuse_lambda', functionName: 'lambda_', className: 'Lambda' });
    expect(layerNames('Ops').functionName).toBe('ops_');
    expect(layerNames('None').className).toBe('NoneLayer');
    expect(layerNames('__x')).toEqual({ packageName: 'statefuse_x', functionName: 'x', className: 'X' });
  });

  it('of tensors are identifiers, distinct, and nobody else\'s', () => {
    const namer = createPythonNamer(['taken']);
    const given = ['A', 'a', 'block.ssm.A', 'block_ssm_A', 'in', 'in_', 'self', 'train', 'taken', '__class__', '_', '9', 'x', 'x', 'T_destination'];
    const names = given.map(namer.fresh);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[A-Za-z][A-Za-z0-9_]*$/);
    expect(names.slice(0, 5)).toEqual(['A', 'a', 'block_ssm_A', 'block_ssm_A_', 'in_']);
    expect(names).not.toContain('self');
  });

  it.skipIf(python === null)('that Python reserves make a package that compiles', () => {
    const made = packageOf(specOf(hostile));
    writePackage(made, folder);
    expect(syntaxErrors(python!, folder)).toBe('');
    const module = made.files.find((each) => each.name === 'statefuse_lambda/module.py')?.content ?? '';
    expect(module).toContain('class Lambda(torch.nn.Module):');
    expect(module).toContain('def __init__(self, *, forward_, device=None');
    expect(module).not.toMatch(/self\.(forward|train|self|step) =/);
  });
});

describe('text', () => {
  it('of numbers, strings, tuples and calls', () => {
    expect([1, -2, 0.5, 1e-7, 1e21].map(pythonNumber)).toEqual(['1.0', '-2.0', '0.5', '1e-7', '1e+21']);
    expect(pythonString('a"b\\\n\u2028é')).toBe('"a\\"b\\\\\\n\\u2028\\u00e9"');
    expect([[], ['a'], ['a', 'b']].map(pythonTuple)).toEqual(['()', '(a,)', '(a, b)']);
    const long = pythonCall('f', Array.from({ length: 30 }, (_, at) => `argument_${at}`), ':', '  ');
    for (const line of long.split('\n')) expect(line.length).toBeLessThanOrEqual(118);
    expect(long.endsWith('\n  ):')).toBe(true);
  });
});

const examples = readdirSync('examples').filter((each) => each.endsWith('.ssm'));

describe.skipIf(python === null)('examples as packages', () => {
  it.each(examples)('%s compiles as Python', (name) => {
    const text = readFileSync(join('examples', name), 'utf8');
    writePackage(packageOf(specOf(text)), folder);
    expect(syntaxErrors(python!, folder)).toBe('');
  });
});
