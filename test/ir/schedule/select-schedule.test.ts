/** The rule that chooses schedules: time is cut for sizes that leave a GPU empty, if the caller names them. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileSpec, type CompileOptions } from '../../../backends/compile.ts';
import { loadLayer } from '../../../dsl/index.ts';
import { required } from '../../../support/invariant.ts';

function chosen(file: string, options: Omit<CompileOptions, 'target'>, size: number): string {
  const text = readFileSync(new URL(`../../../examples/${file}`, import.meta.url), 'utf8');
  const { spec, diagnostics } = loadLayer({ name: file, text }, null, { sizes: new Map([['D', size]]) });
  const { artifact } = compileSpec(required(spec, diagnostics[0]?.message ?? 'layer'), { target: 'cuda', entries: 'forward-only', ...options });
  return required(artifact.manifest.decisions.find((each) => each.subject.startsWith('forward: ')), 'decision').chosen;
}

describe('sizes that the caller expects', () => {
  it('cut time where channels and batch leave the machine empty', () => {
    expect(chosen('s6.ssm', {}, 1536)).toMatch(/^lanes\(/);
    expect(chosen('s6.ssm', { expected: { batch: 1, length: 65536 } }, 1536)).toMatch(/^three-pass of \d+ tokens over lanes\(/);
    expect(chosen('s6.ssm', { expected: { batch: 1 } }, 1536)).toMatch(/^three-pass/);
  });

  it('leave time whole where each processor gets a group of channels worth taking', () => {
    expect(chosen('s6.ssm', { expected: { batch: 2, length: 2048 } }, 1536)).toMatch(/^lanes\(workgroupSize 96, .*tile 32,.*helpers 96\)/);
    expect(chosen('s6.ssm', { expected: { batch: 1, length: 8192 } }, 5120)).toMatch(/^lanes\(workgroupSize 160, .*tile 32,.*helpers 160\)/);
    expect(chosen('s6.ssm', { expected: { batch: 1, length: 65536 } }, 2048)).toMatch(/^three-pass of 1024 tokens/);
    expect(chosen('s6.ssm', { expected: { batch: 1 } }, 5120)).toMatch(/^three-pass/);
  });

  it('leave time whole where the batch fills the machine, or the sequence is short', () => {
    expect(chosen('s6.ssm', { expected: { batch: 8, length: 2048 } }, 2048)).toMatch(/^lanes\(/);
    expect(chosen('s6.ssm', { expected: { batch: 1, length: 128 } }, 1536)).toMatch(/^lanes\(/);
  });

  it('change nothing in mode recurrent', () => {
    expect(chosen('s6.ssm', { mode: 'recurrent', expected: { batch: 1, length: 65536 } }, 1536)).toMatch(/^lanes\(/);
  });

  it('give blocks of tokens to time-invariant layers, unless they are shorter than a tile', () => {
    expect(chosen('s4d.ssm', {}, 256)).toMatch(/^blocks\(/);
    expect(chosen('s4d.ssm', { expected: { batch: 1, length: 65536 } }, 256)).toMatch(/^three-pass of \d+ tokens over blocks\(/);
    expect(chosen('s4d.ssm', { expected: { batch: 1, length: 16 } }, 256)).toMatch(/^lanes\(/);
  });

  it('give more segments to fewer channels', () => {
    expect(chosen('hgrn.ssm', {}, 256)).toMatch(/^segments\(.*segments 8,/);
    expect(chosen('hgrn.ssm', { expected: { batch: 1, length: 65536 } }, 256)).toMatch(/^segments\(.*segments 32,/);
  });
});
