/** `run`: files in, files out, against the float64 interpreter; and everything that can be wrong with the files. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { relativeError } from '../../cli/verify/compare.ts';
import { makeReference, type Tensors } from '../../cli/verify/reference.ts';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import type { Tensor } from '../../ir/tensor/interpret.ts';
import { readNpy, writeNpy, type NpyArray } from '../../runtime/io/npy.ts';
import { readSafetensors, writeSafetensors, type SafetensorsTensor } from '../../runtime/io/safetensors.ts';
import { encodeBf16, encodeF16 } from '../../support/float-bits.ts';
import { openTestGpu, skipReason } from '../support/webgpu.ts';
import { runCommand, type CommandRun } from './run-command.ts';

const hasGpu = (await openTestGpu()) !== null;

let folder = '';
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'statefuse-run-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const s4d = join(process.cwd(), 'examples/s4d.ssm');
const small = ['--size', 'D=3', '--size', 'N=2'];
const cell = 'layer Cell(D = 2) { input u[D], starts: flag param a[D] state x[D] { next x = sigmoid(a) * x + u reset when starts } output y[D] = x }';

function run(parameters: readonly string[], input?: string): Promise<CommandRun> {
  return runCommand(['run', ...parameters], { directory: folder, ...(input === undefined ? {} : { input }) });
}

type Arrays = Readonly<Record<string, SafetensorsTensor>>;

function save(name: string, tensors: Arrays): void {
  writeFileSync(join(folder, name), writeSafetensors({ metadata: new Map(), tensors: new Map(Object.entries(tensors)) }));
}

function load(name: string): ReturnType<typeof readSafetensors> {
  return readSafetensors(readFileSync(join(folder, name)));
}

function numbers(name: string, tensor: string): number[] {
  return Array.from(load(name).tensors.get(tensor)!.data as Float32Array);
}

function f32(shape: readonly number[], numbersOf: (at: number) => number = (at) => Math.sin(at)): SafetensorsTensor {
  return { dtype: 'F32', shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => numbersOf(at)) };
}

function ones(shape: readonly number[]): SafetensorsTensor {
  return f32(shape, () => 1);
}

function specOf(text: string, sizes: ReadonlyMap<string, number> = new Map()): LayerSpec {
  return loadLayer({ name: 'test.ssm', text }, null, { sizes }).spec!;
}

/** A tensor of the interpreter with its axes in the order of files, complex numbers as pairs. */
function inOrder({ axes, shape, re, im }: Tensor, order: readonly string[]): SafetensorsTensor {
  const data: number[] = [];
  const walk = (rest: readonly string[], place: ReadonlyMap<string, number>): void => {
    const [axis, ...more] = rest;
    if (axis !== undefined) {
      for (let at = 0; at < shape[axes.indexOf(axis)]!; at++) walk(more, new Map([...place, [axis, at]]));
      return;
    }
    const from = axes.reduce((total, each, at) => total * shape[at]! + place.get(each)!, 0);
    data.push(re[from]!, ...(im === null ? [] : [im[from]!]));
  };
  walk(order, new Map());
  const sizes = order.map((axis) => shape[axes.indexOf(axis)]!);
  return { dtype: 'F64', shape: im === null ? sizes : [...sizes, 2], data: Float64Array.from(data) };
}

/** Axes of files: batch, time, then D before N, as S4D declares them. */
function packed(tensor: Tensor): SafetensorsTensor {
  return inOrder(tensor, ['batch', 'time', 'D', 'N'].filter((each) => tensor.axes.includes(each)));
}

function s4dReference(): { readonly given: Tensors; readonly expected: Tensors } {
  const spec = specOf(readFileSync(s4d, 'utf8'), new Map([['D', 3], ['N', 2]]));
  return makeReference(spec, compileSpec(spec, { target: 'wasm' }).module, { batch: 2, length: 5 }, 1);
}

const fileNames: Readonly<Record<string, (subject: string) => string>> = {
  'input': (name) => name, 'param': (name) => name, 'initial': (name) => name,
  'output-cotangent': (name) => `d.${name}`, 'final-cotangent': (name) => `d.${name}.final`,
  'output': (name) => name, 'final': (name) => `${name}.final`, 'gradient': (name) => `grad.${name}`,
};

function filed(tensors: Tensors): Record<string, SafetensorsTensor> {
  return Object.fromEntries([...tensors].map(([key, tensor]) => {
    const [role, subject] = key.split(':') as [string, string];
    return [fileNames[role]!(subject), packed(tensor)];
  }));
}

function expectAgreement(file: string, expected: Arrays): void {
  const { tensors } = load(file);
  expect([...tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [name, wanted] of Object.entries(expected)) {
    const actual = tensors.get(name)!;
    expect(actual.shape, name).toEqual(wanted.shape);
    expect(relativeError(actual.data as Float32Array, wanted.data as Float64Array), name).toBeLessThan(2e-6);
  }
}

describe('run', () => {
  it('gives what the float64 interpreter gives: outputs, finals and gradients, parameters from the seed', async () => {
    const { given, expected } = s4dReference();
    save('in.safetensors', filed(new Map([...given].filter(([key]) => !key.startsWith('param')))));
    const { code, output, error } = await run([s4d, '--inputs', 'in.safetensors', '--out', 'out.safetensors', '--gradients', ...small]);
    expect(error).toBe('');
    expect(code).toBe(0);
    expectAgreement('out.safetensors', filed(expected));
    expect(output).toMatch(/layer S4D, D = 3, N = 2; batch 2, length 5, seed 1/);
    expect(output).toMatch(/C +parameter +\[3, 2, 2\] \(D, N, complex\) +f32 +initialiser, seed 1/);
    expect(output).toMatch(/grad\.log_dt +gradient +\[3\] \(D\) +f32 +out\.safetensors/);
    const { metadata } = load('out.safetensors');
    expect(Object.fromEntries(metadata)).toMatchObject({ layer: 'S4D', seed: '1', device: 'wasm', initialised: 'log_dt,a_re,a_im,C,skip' });
    expect(metadata.get('content_hash')).toMatch(/^[0-9a-f]{16}$/);
    expect(readdirSync(folder).sort()).toEqual(['in.safetensors', 'out.safetensors']);
  });

  it.each(['recurrent', 'scan'])('takes parameters and states of their own files, mode %s', async (mode) => {
    const { given, expected } = s4dReference();
    const of = (role: string): Arrays => filed(new Map([...given].filter(([key]) => key.startsWith(`${role}:`))));
    save('in.safetensors', of('input'));
    save('state.safetensors', of('initial'));
    const { C, ...weights } = of('param');
    const part = (offset: number): SafetensorsTensor => ({
      dtype: 'F64', shape: [3, 2], data: (C!.data as Float64Array).filter((_, at) => at % 2 === offset),
    });
    save('weights.safetensors', { ...weights, 'C.re': part(0), 'C.im': part(1) });
    const { code, error, output } = await run([
      s4d, '--inputs', 'in.safetensors', '--params', 'weights.safetensors', '--initial', 'state.safetensors', '--out', 'out.safetensors',
      '--seed', '9', '--mode', mode, '--json', ...small,
    ]);
    expect([code, error]).toEqual([0, '']);
    expectAgreement('out.safetensors', filed(new Map([...expected].filter(([key]) => !key.startsWith('gradient')))));
    const document = JSON.parse(output) as { tensors: { name: string; shape: number[] }[] };
    expect(document).toMatchObject({ schema: 'statefuse-run', ok: true, batch: 2, length: 5, mode, initialised: [], files: ['out.safetensors'] });
    expect(document.tensors.find((each) => each.name === 'x.final')).toMatchObject({ role: 'final state', shape: [2, 3, 2, 2], place: 'out.safetensors' });
  });

  it('goes on from what a run wrote, and writes the same bytes again', async () => {
    const u = f32([1, 8, 3]);
    const half = (from: number): SafetensorsTensor => ({ dtype: 'F32', shape: [1, 4, 3], data: (u.data as Float32Array).slice(from * 12, from * 12 + 12) });
    save('all.safetensors', { u });
    save('first.safetensors', { u: half(0) });
    save('second.safetensors', { u: half(1) });
    const step = async (inputs: string, out: string, ...more: string[]): Promise<void> => {
      expect(await run([s4d, '--inputs', inputs, '--out', out, ...small, ...more])).toMatchObject({ code: 0, error: '' });
    };
    await step('all.safetensors', 'whole.safetensors');
    await step('all.safetensors', 'again.safetensors');
    await step('first.safetensors', 'a.safetensors');
    await step('second.safetensors', 'b.safetensors', '--initial', 'a.safetensors');
    expect(readFileSync(join(folder, 'again.safetensors'))).toEqual(readFileSync(join(folder, 'whole.safetensors')));
    expect(relativeError([...numbers('a.safetensors', 'y'), ...numbers('b.safetensors', 'y')], numbers('whole.safetensors', 'y'))).toBeLessThan(2e-6);
    expect(relativeError(numbers('b.safetensors', 'x.final'), numbers('whole.safetensors', 'x.final'))).toBeLessThan(2e-6);
  });

  it('carries delays, and takes an index per sequence', async () => {
    const text = `layer T(K = 3) {
      input u, label: index(K) per sequence, table[K] per sequence
      output y = delay(u, 2)
      output z per sequence = gather[K](table, label)
    }`;
    const rest = { label: { dtype: 'I64', shape: [1], data: BigInt64Array.of(2n) }, table: f32([1, 3], (at) => at * 10) } as const;
    save('first.safetensors', { u: f32([1, 3], (at) => at + 1), ...rest });
    save('second.safetensors', { u: f32([1, 3], (at) => at + 4), ...rest });
    expect(await run(['-', '--inputs', 'first.safetensors', '--out', 'a.safetensors'], text)).toMatchObject({ code: 0, error: '' });
    expect(await run(['-', '--inputs', 'second.safetensors', '--initial', 'a.safetensors', '--out', 'b.safetensors'], text)).toMatchObject({ code: 0, error: '' });
    expect(numbers('a.safetensors', 'y')).toEqual([0, 0, 1]);
    expect(numbers('b.safetensors', 'y')).toEqual([2, 3, 4]);
    expect(numbers('b.safetensors', 'z')).toEqual([20]);
    save('first.safetensors', { u: ones([1, 3]), ...rest, label: { dtype: 'I64', shape: [1], data: BigInt64Array.of(3n) } });
    const beyond = await run(['-', '--inputs', 'first.safetensors', '--out', 'c.safetensors'], text);
    expect(beyond.code).toBe(1);
    expect(beyond.error).toMatch(/SSM6004\]: `label` has 3 at 0/);
  });

  it('draws other parameters from another seed', async () => {
    save('in.safetensors', { u: f32([1, 2, 3]) });
    for (const seed of ['1', '2']) await run([s4d, '--inputs', 'in.safetensors', '--out', `${seed}.safetensors`, '--seed', seed, ...small]);
    expect(relativeError(numbers('1.safetensors', 'y'), numbers('2.safetensors', 'y'))).toBeGreaterThan(0.01);
  });

  it('takes the gradients of final states as zero when they are absent', async () => {
    const given = { u: f32([2, 4, 3]), 'd.y': f32([2, 4, 3], Math.cos) };
    save('without.safetensors', given);
    save('with.safetensors', { ...given, 'd.x.final': f32([2, 3, 2, 2], () => 0) });
    for (const name of ['without', 'with']) {
      expect((await run([s4d, '--inputs', `${name}.safetensors`, '--out', `${name}-out.safetensors`, '--gradients', ...small])).error).toBe('');
    }
    const expected = load('with-out.safetensors').tensors;
    expect(load('without-out.safetensors').tensors.size).toBe(expected.size);
    for (const name of expected.keys()) {
      expect(relativeError(numbers('without-out.safetensors', name), numbers('with-out.safetensors', name)), name).toBeLessThan(1e-6);
    }
  });

  it('reads and writes npy files', async () => {
    const arrays: Record<string, NpyArray> = {
      u: { dtype: '<f8', shape: [1, 3, 2], data: Float64Array.of(1, 2, 3, 4, 5, 6) },
      starts: { dtype: '|u1', shape: [1, 3], data: Uint8Array.of(0, 0, 1) },
      a: { dtype: '<i8', shape: [2], data: BigInt64Array.of(0n, 0n) },
      x: { dtype: '<f4', shape: [1, 2], data: Float32Array.of(8, 16) },
    };
    for (const [name, array] of Object.entries(arrays)) writeFileSync(join(folder, `${name}.npy`), writeNpy(array));
    const { code, error, output } = await run(
      ['-', '--input', 'u=u.npy', '--input', 'starts=starts.npy', '--param', 'a=a.npy', '--state', 'x=x.npy', '--out', 'out'], cell,
    );
    expect([code, error]).toEqual([0, '']);
    expect(output).toContain('wrote 3 files into out');
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(['run.json', 'x.final.npy', 'y.npy']);
    const y = readNpy(readFileSync(join(folder, 'out/y.npy')));
    expect(y).toMatchObject({ dtype: '<f4', shape: [1, 3, 2] });
    expect([...y.data]).toEqual([5, 10, 5.5, 9, 5, 6]);
    expect([...readNpy(readFileSync(join(folder, 'out/x.final.npy'))).data]).toEqual([5, 6]);
    const document = JSON.parse(readFileSync(join(folder, 'out/run.json'), 'utf8')) as { metadata: Record<string, string> };
    expect(document).toMatchObject({ metadata: { layer: 'Cell', seed: '1' }, files: { y: 'y.npy', 'x.final': 'x.final.npy' } });
  });

  it.each([
    ['F64', Float64Array.of(0.5, -2)], ['F16', Uint16Array.of(encodeF16(0.5), encodeF16(-2))],
    ['BF16', Uint16Array.of(encodeBf16(0.5), encodeBf16(-2))], ['I32', Int32Array.of(3, -2)], ['I64', BigInt64Array.of(3n, -2n)],
    ['U8', Uint8Array.of(3, 200)],
  ] as const)('converts %s', async (dtype, data) => {
    save('in.safetensors', { u: { dtype, shape: [1, 2], data } });
    expect(await run(['-', '--inputs', 'in.safetensors', '--out', 'o.safetensors'], 'layer A { input u output y = 2 * u }')).toMatchObject({ code: 0, error: '' });
    const values = dtype.startsWith('I') ? [6, -4] : dtype === 'U8' ? [6, 400] : [1, -4];
    expect(numbers('o.safetensors', 'y')).toEqual(values);
  });

  it('takes what a layer declares and never uses, and sizes that no tensor tells', async () => {
    save('in.safetensors', { u: ones([1, 2]), v: ones([1, 2]) });
    expect(await run(['-', '--inputs', 'in.safetensors', '--out', 'a.safetensors'], 'layer A { input u, v output y = u }')).toMatchObject({ code: 0 });
    const alone = 'layer A { state x { next x = 0.5 * x + 1 } output y = x }';
    const without = await run(['-', '--out', 'b.safetensors'], alone);
    expect(without.code).toBe(1);
    expect(without.error).toMatch(/SSM7003.*no tensor tells the batch and length/);
    expect(await run(['-', '--out', 'b.safetensors', '--batch', '1', '--length', '3'], alone)).toMatchObject({ code: 0, error: '' });
    expect(numbers('b.safetensors', 'y')).toEqual([1, 1.5, 1.75]);
  });

  it('runs a sequence without tokens', async () => {
    save('in.safetensors', { u: ones([2, 0, 3]) });
    expect(await run([s4d, '--inputs', 'in.safetensors', '--out', 'o.safetensors', ...small])).toMatchObject({ code: 0, error: '' });
    expect(load('o.safetensors').tensors.get('y')!.shape).toEqual([2, 0, 3]);
    expect(numbers('o.safetensors', 'x.final')).toEqual(new Array<number>(24).fill(0));
  });

  it.skipIf(!hasGpu)(`agrees with itself on WebGPU ${hasGpu ? '' : skipReason}`, async () => {
    save('in.safetensors', { u: f32([2, 5, 3]), 'd.y': f32([2, 5, 3], Math.cos) });
    for (const device of ['wasm', 'webgpu']) {
      const parameters = [s4d, '--inputs', 'in.safetensors', '--out', `${device}.safetensors`, '--gradients', '--device', device, ...small];
      expect(await run(parameters)).toMatchObject({ code: 0, error: '' });
    }
    for (const name of load('wasm.safetensors').tensors.keys()) {
      expect(relativeError(numbers('webgpu.safetensors', name), numbers('wasm.safetensors', name)), name).toBeLessThan(2e-5);
    }
  });
});

describe('run refuses', () => {
  const into = ['--out', 'out.safetensors'];
  const refuse = async (parameters: readonly string[], ...patterns: readonly RegExp[]): Promise<void> => {
    const { code, output, error } = await run([...parameters, ...into], cell);
    expect([code, output]).toEqual([1, '']);
    for (const pattern of patterns) expect(error).toMatch(pattern);
    expect(error).not.toMatch(/^ +at /m);
    expect(readdirSync(folder)).not.toContain('out.safetensors');
  };
  const good = { u: ones([1, 3, 2]), starts: ones([1, 3]), a: ones([2]) };

  it.each<readonly [string, Arrays, RegExp]>([
    ['other sizes', { ...good, u: ones([1, 3, 5]) }, /SSM7003\]: `u` of in\.safetensors has shape \[1, 3, 5\], expected \[1, 3, 2\] \(batch, time, D\)[^]*`--size D=5`/],
    ['other ranks', { ...good, u: ones([3, 2]) }, /`u` of in\.safetensors has shape \[3, 2\], expected \[1, 3, 2\]/],
    ['lengths that differ', { ...good, starts: ones([1, 4]) }, /`starts` of in\.safetensors has shape \[1, 4\], expected \[1, 3\] \(batch, time\)/],
    ['no input', { starts: good.starts, a: good.a }, /SSM7003\]: layer `Cell` needs `u`[^]*`u` \(batch, time, D\): an input/],
    ['no parameter where none is initialised', { u: good.u, starts: good.starts }, /layer `Cell` needs `a`[^]*a parameter without initialiser/],
    ['unknown names', { ...good, strats: ones([1, 3]), 'd.y': ones([1]) }, /layer `Cell` takes no `d\.y`, `strats` \(in\.safetensors\)[^]*inputs: u, starts[^]*did you mean `starts`/],
    ['gradients without being asked', { ...good, 'd.y': ones([1, 3, 2]) }, /takes no `d\.y`[^]*--gradients/],
    ['flags that are none', { ...good, starts: f32([1, 3], (at) => at) }, /SSM6004\]: `starts` of in\.safetensors has 2 at 2, a flag is 0 or 1/],
    ['numbers beyond f32', { ...good, a: { dtype: 'F64', shape: [2], data: Float64Array.of(0, 1e300) } }, /SSM6004\]: `a` of in\.safetensors has 1e\+300 at 1, more than f32/],
  ])('%s', async (_, tensors, pattern) => {
    save('in.safetensors', tensors);
    await refuse(['-', '--inputs', 'in.safetensors'], pattern);
  });

  it('everything at once', async () => {
    save('in.safetensors', { u: ones([1, 3, 5]), extra: ones([1]), a: ones([3]) });
    await refuse(['-', '--inputs', 'in.safetensors'], /takes no `extra`/, /needs `starts`/, /`u` of/, /`a` of/, /4 errors/);
  });

  it('gradients of outputs that are not given, by name', async () => {
    save('in.safetensors', good);
    await refuse(['-', '--inputs', 'in.safetensors', '--gradients'], /SSM7003\]: layer `Cell` needs `d\.y`[^]*nothing is assumed/);
  });

  it('a tensor that is given twice, and half of a complex one', async () => {
    save('in.safetensors', good);
    save('more.safetensors', { a: ones([2]) });
    await refuse(['-', '--inputs', 'in.safetensors', '--params', 'more.safetensors'], /`a` is given twice, as `a` in in\.safetensors and as `a` in more\.safetensors/);
    save('in.safetensors', { u: ones([1, 2, 3]), 'C.re': ones([3, 2]) });
    await refuse([s4d, '--inputs', 'in.safetensors', ...small], /layer `S4D` needs `C\.im`/);
    save('in.safetensors', { u: ones([1, 2, 3]), C: ones([3, 2]) });
    await refuse([s4d, '--inputs', 'in.safetensors', ...small], /`C` of in\.safetensors has shape \[3, 2\], expected \[3, 2, 2\] \(D, N, re\/im\)/);
  });

  it('an input in a file of parameters', async () => {
    save('in.safetensors', good);
    save('weights.safetensors', { starts: ones([1, 3]) });
    await refuse(['-', '--inputs', 'in.safetensors', '--params', 'weights.safetensors'], /takes no `starts` \(weights\.safetensors\)/);
  });

  it('files that are damaged, absent, folders or of another kind', async () => {
    save('good.safetensors', good);
    const bytes = readFileSync(join(folder, 'good.safetensors'));
    writeFileSync(join(folder, 'cut.safetensors'), bytes.subarray(0, bytes.length - 5));
    writeFileSync(join(folder, 'u.npy'), writeNpy({ dtype: '<f4', shape: [1], data: Float32Array.of(1) }));
    writeFileSync(join(folder, 'bad.npy'), 'no array');
    mkdirSync(join(folder, 'folder'));
    await refuse(['-', '--inputs', 'cut.safetensors'], /SSM7002\]: `cut\.safetensors`: safetensors: the tensors cover/);
    await refuse(['-', '--inputs', 'u.npy'], /SSM7002\]: `u\.npy`[^]*--input u=u\.npy/);
    await refuse(['-', '--input', 'u=bad.npy'], /SSM7002\]: `bad\.npy`: npy: the magic bytes are missing/);
    await refuse(['-', '--inputs', 'nowhere.safetensors'], /SSM7001\]: `nowhere\.safetensors`: there is no such file/);
    await refuse(['-', '--inputs', 'folder'], /SSM7001\]: `folder` is a folder/);
  });

  it('places that cannot be written, leaving nothing behind', async () => {
    save('in.safetensors', good);
    writeFileSync(join(folder, 'taken'), 'kept');
    mkdirSync(join(folder, 'out.safetensors'));
    for (const out of ['taken', 'taken/out.safetensors', 'out.safetensors']) {
      const { code, error } = await run(['-', '--inputs', 'in.safetensors', '--out', out], cell);
      expect(code, out).toBe(1);
      expect(error).toMatch(/SSM7001[^]*`--out`/);
    }
    expect(readdirSync(folder).sort()).toEqual(['in.safetensors', 'out.safetensors', 'taken']);
    expect(readFileSync(join(folder, 'taken'), 'utf8')).toBe('kept');
  });

  it('wrong command lines with code 2', async () => {
    for (const parameters of [['-'], ['-', '--out', 'y.npy'], ['-', '--out', ''], ['-', '--out', 'o', '--input', 'u'], ['-', '--out', 'o', '--device', 'tpu']]) {
      const { code, error } = await run(parameters, cell);
      expect(code, parameters.join(' ')).toBe(2);
      expect(error).toMatch(/error: /);
    }
  });

  it('as one JSON document when asked to', async () => {
    save('in.safetensors', { ...good, extra: ones([1]) });
    const { code, output, error } = await run(['-', '--inputs', 'in.safetensors', '--json', ...into], cell);
    expect([code, error]).toEqual([1, '']);
    expect(JSON.parse(output)).toMatchObject({ schema: 'statefuse-run', ok: false, diagnostics: [{ code: 'SSM7003' }] });
  });
});

describe('parameters that are not given', () => {
  it('are those of the library for the seed', async () => {
    save('in.safetensors', { u: ones([1, 1]) });
    const text = 'layer A { input u param w = normal() output y = w * u }';
    await run(['-', '--inputs', 'in.safetensors', '--out', 'o.safetensors', '--seed', '5'], text);
    expect(numbers('o.safetensors', 'y')[0]).toBe(Math.fround(initialParameters(specOf(text), 5).get('w')![0]!));
  });
});
