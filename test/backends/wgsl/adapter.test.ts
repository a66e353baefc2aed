/** Artifacts for one device: what its limits allow is used and asked for, and residency chooses smaller tables. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileSpec, type CompileResult } from '../../../backends/compile.ts';
import type { Manifest } from '../../../backends/artifact.ts';
import { wgslOptionsFor } from '../../../backends/wgsl/adapter.ts';
import { raiseKernel } from '../../../backends/wgsl/raise.ts';
import { defaultWgslTarget } from '../../../backends/wgsl/target.ts';
import { loadLayer } from '../../../dsl/index.ts';
import { interpretPlan } from '../../../ir/kernel/interpret.ts';
import { required } from '../../../support/invariant.ts';
import { evaluateSize } from '../../../support/size.ts';
import { relativeError } from '../../support/compiled-case.ts';

const narrow = { maxStorageBuffersPerShaderStage: 10, maxComputeWorkgroupStorageSize: 32768, maxComputeInvocationsPerWorkgroup: 1024, subgroupMinSize: 4 };
const wide = { ...narrow, maxStorageBuffersPerShaderStage: 16, maxComputeWorkgroupStorageSize: 49152, subgroupMinSize: 32 };

function compileAll(file: string, sizes: Readonly<Record<string, number>>, details: Readonly<Record<string, string | number>>): CompileResult {
  const text = readFileSync(new URL(`../../../examples/${file}`, import.meta.url), 'utf8');
  const { spec } = loadLayer({ name: file, text }, null, { sizes: new Map(Object.entries(sizes)) });
  return compileSpec(required(spec, file), { target: 'wgsl', ...wgslOptionsFor(details) });
}

function compile(file: string, sizes: Readonly<Record<string, number>>, details: Readonly<Record<string, string | number>>): Manifest {
  return compileAll(file, sizes, details).artifact.manifest;
}

function chosen(manifest: Manifest, entry: string): string {
  return required(manifest.decisions.find((each) => each.subject.startsWith(`${entry}: `)), entry).chosen;
}

describe('an artifact for a device', () => {
  it('asks for the limits and the subgroups that it uses', () => {
    const { requiredFeatures, requiredLimits } = compile('s6.ssm', { D: 128, N: 16 }, wide);
    expect(requiredFeatures).toEqual(['subgroups']);
    expect(requiredLimits).toMatchObject({ subgroupMinSize: 32, maxComputeWorkgroupStorageSize: expect.any(Number) });
    expect(requiredLimits['maxComputeWorkgroupStorageSize']).toBeLessThanOrEqual(wide.maxComputeWorkgroupStorageSize);
  });

  it('exchanges nothing between narrow subgroups', () => {
    const { wgsl, machine } = wgslOptionsFor(narrow);
    expect(wgsl).toEqual({ ...defaultWgslTarget, storageBuffers: 10, sharedBytes: 32768, invocations: 1024 });
    expect(machine).toMatchObject({ shuffleWidth: 1, sharedBytes: 32768 });
    expect(compile('s6.ssm', { D: 128, N: 16 }, narrow).requiredFeatures).toEqual([]);
  });

  it('takes what WebGPU guarantees where a device says nothing', () => {
    expect(wgslOptionsFor({}).wgsl).toEqual(defaultWgslTarget);
  });

  it('takes time-invariant layers in blocks whose tables let processors hold enough threads', () => {
    const manifest = compile('s4d.ssm', { D: 1024, N: 32 }, wide);
    expect(chosen(manifest, 'forward')).toBe('blocks(workgroupSize 64, lanes 4, block 4)');
    expect(chosen(manifest, 'backward')).toBe('blocks(workgroupSize 64, lanes 8, block 4)');
    const threads = manifest.entries.filter((each) => each.name !== 'step').flatMap((each) => each.dispatches)
      .filter((each) => each.sharedBytes > 0).map((each) => Math.floor(wide.maxComputeWorkgroupStorageSize / each.sharedBytes) * each.workgroupSize);
    expect(Math.min(...threads)).toBeGreaterThanOrEqual(256);
    // 64 states: tables of every choice leave a processor too few threads
    expect(chosen(compile('dss.ssm', { D: 256, N: 64 }, wide), 'forward')).toMatch(/^lanes\(/);
  });

  it('stages what all channels share in vectors beside helpers, as it is read', () => {
    const manifest = compile('s6.ssm', { D: 2048, N: 16 }, wide);
    expect(chosen(manifest, 'forward')).toContain('staged 4');
  });

  it('gives threads one channel where tables for two would leave a processor with one workgroup', () => {
    expect(chosen(compile('s6.ssm', { D: 2048, N: 16 }, wide), 'backward')).toContain('channels 1');
    expect(chosen(compile('s6.ssm', { D: 2048, N: 16 }, { ...wide, maxComputeWorkgroupStorageSize: 98304 }), 'backward')).toContain('channels 2');
  });

  it.each([['s6.ssm', { D: 64, N: 16 }], ['s4d.ssm', { D: 16, N: 32 }]] as const)('computes the same after the rewrites for WGSL (%s)', (file, axes) => {
    const { plans } = compileAll(file, axes, wide);
    const { wgsl } = wgslOptionsFor(wide);
    const plan = required(plans.find((each) => each.entry === 'forwardSaved'), 'forwardSaved');
    const sizes = { batch: 1, length: 43 };
    const given = new Map(plan.tensors.filter((each) => ['input', 'param', 'initial'].includes(each.role)).map(({ name, dims }, tensor) => {
      const count = dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
      return [name, Float64Array.from({ length: count }, (_, at) => Math.sin(at * 0.37 + tensor))] as const;
    }));
    const before = interpretPlan(plan, sizes, given, { rounding: 'f64' }).tensors;
    const raised = { ...plan, kernels: plan.kernels.map((each) => raiseKernel(each, wgsl)) };
    const after = interpretPlan(raised, sizes, given, { rounding: 'f64', order: 'shuffled' }).tensors;
    for (const { name, role } of plan.tensors) {
      if (role === 'scratch') continue;
      expect(relativeError(required(after.get(name), name), required(before.get(name), name)), name).toBeLessThan(1e-6);
    }
  });
});
