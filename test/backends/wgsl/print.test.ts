import { describe, expect, it } from 'vitest';
import type { ManifestHeader } from '../../../backends/manifest.ts';
import { defaultWgslTarget, emitWgsl, type WgslTarget } from '../../../backends/wgsl/index.ts';
import { add, builtin, integer, KernelBuilder, literal, load, loadShared, multiply, unary } from '../../../ir/kernel/builder.ts';
import { f32 } from '../../../ir/kernel/nodes.ts';
import type { Plan } from '../../../ir/plan.ts';
import type { Artifact } from '../../../backends/artifact.ts';
import { forwardPlan, manyBuffers, shuffleReduction, vectorAdd } from '../../support/kernels.ts';

const header: ManifestHeader = {
  layer: 'Test', compiler: 'statefuse test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [],
};

function textsOf(artifact: Artifact): readonly string[] {
  if (artifact.code.kind !== 'text') throw new Error('text expected');
  return [...artifact.code.kernels.values()];
}

function emitText(plan: Plan, target: WgslTarget = defaultWgslTarget): string {
  return textsOf(emitWgsl([plan], header, target)).join('\n');
}

/** Tokens without comments, with every declared name replaced by its number in order of appearance. */
function shape(text: string): string {
  const names = new Map<string, string>();
  const tokens = text.replace(/\/\/.*$/gm, '').match(/[A-Za-z]\w*|[0-9][\w.]*|[^\s\w]/g) ?? [];
  return tokens.map((token) => {
    if (!/^[A-Za-z]\w*_\d+$/.test(token) || ['read_write', 'workgroup_id'].includes(token)) return token;
    if (!names.has(token)) names.set(token, `name${names.size}`);
    return names.get(token);
  }).join(' ');
}

describe('WGSL text', () => {
  it('reads like the kernel', () => {
    expect(emitText(vectorAdd())).toMatchInlineSnapshot(`
      "// layer Test, mode recurrent, made by statefuse test
      // content 0
      // vector_add_0: 64 invocations in each of (ceil(batch * length / 64), 1, 1) workgroups

      @group(0) @binding(0) var<storage, read> u_0: array<f32>;
      @group(0) @binding(1) var<storage, read> scale_0: array<f32>;
      @group(0) @binding(2) var<storage, read_write> y_0: array<f32>;
      struct Uniforms_0 {
        tokens_0: i32,
        first_x_0: i32,
      }
      @group(0) @binding(3) var<uniform> uniforms_0: Uniforms_0;

      @compute @workgroup_size(64)
      fn vector_add_0(
        @builtin(workgroup_id) workgroup_0: vec3<u32>,
        @builtin(local_invocation_index) invocation_0: u32,
      ) {
        let at_0 = (uniforms_0.first_x_0 + i32(workgroup_0.x)) * 64i + i32(invocation_0);
        if (at_0 < uniforms_0.tokens_0) {
          let at_1 = u_0[at_0];
          // y = u + scale u
          y_0[at_0] = at_1 + scale_0[0i] * at_1;
        }
      }
      "
    `);
  });

  it('keeps the same tokens under hostile names, up to renaming', () => {
    const plain = shape(emitText(vectorAdd()));
    const hostile = ['fn', 'exp', '__proto__', 'f32', 'constructor', 'u_0', 'array<f32>', '*/ \n fn', 'Δ', '', '0', 'x'.repeat(100_000)];
    hostile.forEach((name, at) => {
      const other = (step: number): string => `${hostile[(at + step) % hostile.length]}`;
      const text = emitText(vectorAdd({ kernel: name, u: other(1), scale: other(2), y: other(3), local: other(4) }));
      expect(shape(text)).toBe(plain);
    });
  });

  it('gives equal kernels one text and different kernels of one name a text each', () => {
    const entries = (second: Plan): { texts: number; names: readonly (string | undefined)[] } => {
      const artifact = emitWgsl([vectorAdd(), { ...second, entry: 'step' }], header);
      return { texts: textsOf(artifact).length, names: artifact.manifest.entries.map((each) => each.dispatches[0]?.kernel) };
    };
    expect(entries(vectorAdd())).toEqual({ texts: 1, names: ['vector_add_0', 'vector_add_0'] });
    const wider = vectorAdd();
    const other = { ...wider, kernels: wider.kernels.map((kernel) => ({ ...kernel, notes: ['another'] })) };
    expect(entries(other)).toEqual({ texts: 2, names: ['vector_add_0', 'vector_add_1'] });
  });

  it('exchanges by subgroups only where the target has them', () => {
    const artifact = emitWgsl([shuffleReduction(1)], header, { ...defaultWgslTarget, subgroups: 'at-least-32' });
    expect(textsOf(artifact)[0]).toContain('enable subgroups;');
    expect(textsOf(artifact)[0]).toContain('subgroupShuffleXor(sum_0, 16u)');
    expect(artifact.manifest.requiredFeatures).toEqual(['subgroups']);
    expect(artifact.manifest.requiredLimits).toEqual({ subgroupMinSize: 32 });
    expect(emitText(shuffleReduction(1))).not.toContain('subgroup');
  });

  it('packs tensors only beyond the limit of storage buffers', () => {
    const packed = emitWgsl([manyBuffers(12)], header).manifest.entries[0]!;
    expect(packed.dispatches.map((each) => each.bindings.length <= 8)).toEqual([true, true]);
    expect(packed.arenas?.map((each) => each.name)).toEqual(['arena.read', 'arena.written']);
    const wide = emitWgsl([manyBuffers(12)], header, { ...defaultWgslTarget, storageBuffers: 30 });
    expect(wide.manifest.entries[0]!.arenas).toBeUndefined();
    expect(wide.manifest.requiredLimits).toEqual({ maxStorageBuffersPerShaderStage: 26 });
  });

  it('cuts sums of 2000 terms into shallow expressions', () => {
    const build = new KernelBuilder();
    const u = build.buffer('u', 'f32', 'read', 2000);
    const y = build.buffer('y', 'f32', 'write', 1);
    const terms = Array.from({ length: 2000 }, (_, k) => multiply(literal(k), load(u, integer(k))));
    build.store(y, integer(0), terms.reduce((sum, each) => add(sum, each)));
    const kernel = build.finish({ name: 'sum', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
    const text = emitText(forwardPlan([{ name: 'u', role: 'input', dims: [2000] }, { name: 'y', role: 'output', dims: [1] }], [kernel]));
    const longest = Math.max(...text.split(';').map((statement) => statement.split('+').length));
    expect(longest).toBeLessThan(40);
    expect(text.match(/u_0\[/g)).toHaveLength(2000);
  });

  it('orders buffers at barriers only where a tensor is read back', () => {
    const text = (access: 'write' | 'read-write'): string => {
      const build = new KernelBuilder();
      const u = build.buffer('u', 'f32', 'read', 64);
      const results = Array.from({ length: 9 }, (_, at) => build.buffer(`y${at}`, 'f32', at === 0 ? access : 'write', 64));
      const shared = build.shared('row', f32, 64);
      const own = builtin('invocation');
      build.storeShared(shared, own, load(u, own));
      build.barrier();
      for (const each of results) build.store(each, own, loadShared(shared, own));
      const tensors = [u, ...results].map((each) => ({ name: each.name, role: each.access === 'read' ? 'input' : 'output', dims: [64] }) as const);
      return emitText(forwardPlan(tensors, [build.finish({ name: 'rows', notes: [], workgroupSize: 64, grid: [1, 1, 1] })]));
    };
    expect(text('write')).toContain('workgroupBarrier();');
    expect(text('write')).not.toContain('storageBarrier();');
    expect(text('read-write')).toContain('storageBarrier();');
  });

  it('refuses what WGSL cannot hold, with the numbers', () => {
    const kernelWith = (storage: 'f64' | 'f32', length: number): Plan => {
      const build = new KernelBuilder();
      const y = build.buffer('y', storage, 'write', 1);
      const shared = build.shared('tile', f32, length);
      build.storeShared(shared, integer(0), literal(1));
      build.store(y, integer(0), literal(1, storage === 'f64' ? { element: 'f64', width: 1 } : f32));
      return forwardPlan([{ name: 'y', role: 'output', dims: [1], storage }], [build.finish({ name: 'k', notes: [], workgroupSize: 1, grid: [1, 1, 1] })]);
    };
    expect(() => emitText(kernelWith('f64', 1))).toThrow(/SSM5003.*f64/);
    expect(() => emitText(kernelWith('f32', 5000))).toThrow(/SSM5001.*20000 B.*16384/);
  });

  it('has no built-in sine, cosine or logarithm', () => {
    const build = new KernelBuilder();
    const u = build.buffer('u', 'f32', 'read', 4);
    const y = build.buffer('y', 'f32', 'write', 4);
    const at = builtin('invocation');
    build.store(y, at, add(unary('sine', load(u, at)), add(unary('cosine', load(u, at)), unary('log2', load(u, at)))));
    const kernel = build.finish({ name: 'k', notes: [], workgroupSize: 4, grid: [1, 1, 1] });
    const text = emitText(forwardPlan([{ name: 'u', role: 'input', dims: [4] }, { name: 'y', role: 'output', dims: [4] }], [kernel]));
    expect(text).not.toMatch(/\b(sin|cos|log|log2)\(/);
  });

  it('has arrays of vectors where all accesses are aligned vectors, and only there', () => {
    const build = new KernelBuilder();
    const wide = build.buffer('wide', 'f32', 'read', 64);
    const mixed = build.buffer('mixed', 'f32', 'read', 64);
    const packed = build.buffer('packed', 'bf16', 'read', 64);
    const y = build.buffer('y', 'f32', 'write', 64);
    const at = multiply(builtin('invocation'), integer(4));
    const vectors = add(add(load(wide, at, 4, true), load(mixed, at, 4, true)), add(load(mixed, add(at, integer(1)), 4, false), load(packed, at, 4, true)));
    build.store(y, at, vectors, true);
    const tensors = (['wide', 'mixed', 'packed'] as const).map((name) => ({ name, role: 'input' as const, dims: [64], storage: name === 'packed' ? 'bf16' as const : 'f32' as const }));
    const kernel = build.finish({ name: 'k', notes: [], workgroupSize: 15, grid: [1, 1, 1] });
    const text = emitText(forwardPlan([...tensors, { name: 'y', role: 'output', dims: [64] }], [kernel]));
    expect(text.match(/var<storage.*/g)?.map((each) => /(\w+)_0: (.*);/.exec(each)?.slice(1))).toEqual([
      ['wide', 'array<vec4<f32>>'], ['mixed', 'array<f32>'], ['packed', 'array<u32>'], ['y', 'array<vec4<f32>>'],
    ]);
    expect(text).toMatch(/wide_0\[.* >> 2u\]/);
    expect(text).toMatch(/y_0\[.* >> 2u\] =/);
  });
});
