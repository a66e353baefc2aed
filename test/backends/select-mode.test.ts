/**
 * Mode `auto` with expected sizes: what is weighed, when convolution is taken, and that the counts
 * behind the choice are those of the algorithms.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileSpec, explainMode } from '../../backends/compile.ts';
import { machines } from '../../backends/machines.ts';
import type { Way } from '../../backends/mode-costs.ts';
import { selectMode } from '../../backends/select-mode.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { Plan } from '../../ir/plan.ts';
import { required } from '../../support/invariant.ts';
import { specOfText } from '../support/conv-layers.ts';

const example = (name: string, sizes: Readonly<Record<string, number>>): LayerSpec => specOfText(name, readFileSync(`examples/${name}.ssm`, 'utf8'), sizes);
const few = example('s4d', { D: 16, N: 8 });
const many = example('s4d', { D: 16, N: 512 });
const selective = example('s6', { D: 16 });

describe('mode auto', () => {
  it('takes the recurrence where no sizes are expected, and says so', () => {
    const { chosen, costs, reason } = explainMode(many, { target: 'wasm' });
    expect(chosen).toEqual({ mode: 'recurrent' });
    expect(costs).toEqual([]);
    expect(reason).toMatch(/batch and length are not known/);
    expect(explainMode(many, { target: 'wasm', expected: { batch: 8 } }).reason).toMatch(/the length is not known/);
  });

  it.each(['wasm', 'wgsl', 'cuda'] as const)('weighs every way and keeps the recurrence of S4D, as measured, for %s', (target) => {
    const { artifact } = compileSpec(few, { target, expected: { batch: 8, length: 4096 }, entries: 'forward-only' });
    // sixteen channels leave a GPU empty, so time is cut there
    const recurrence = target === 'wasm' ? 'recurrent' : 'scan';
    expect(artifact.manifest.mode).toBe(recurrence);
    const [decision] = artifact.manifest.decisions;
    expect(decision).toMatchObject({ subject: 'mode', chosen: recurrence });
    const others = ['recurrent', 'scan', 'conv, direct', 'conv, FFT'].filter((each) => each !== recurrence);
    expect(decision?.alternatives.map((each) => each.split(' (')[0])).toEqual(others);
  });

  it('takes the convolution that is clearly cheaper', () => {
    // recurrences cost what 512 modes cost, convolutions what 8 do
    const planForward = (way: Way): Plan =>
      required(compileSpec(way.mode === 'conv' ? few : many, { target: 'wasm', ...way, entries: 'forward-only' }).plans.find((each) => each.entry === 'forward'), 'forward');
    const question = { target: 'wasm', machine: machines.wasm, nominal: null, obstacle: null, rule: 'recurrent', planForward } as const;
    expect(selectMode({ ...question, expected: { batch: 8, length: 4096 } })).toMatchObject({ chosen: { mode: 'conv', convolution: 'fft' }, reason: expect.stringMatching(/^conv, FFT is estimated/) as string });
    expect(selectMode({ ...question, expected: { batch: 8, length: 64 } }).chosen).toEqual({ mode: 'conv', convolution: 'direct' });
  });

  it('does not weigh what is not legal', () => {
    const { chosen, costs, reason } = explainMode(selective, { target: 'wasm', expected: { batch: 8, length: 2048 } });
    expect(chosen).toEqual({ mode: 'recurrent' });
    expect(costs.map((each) => each.name)).toEqual(['recurrent', 'scan']);
    expect(reason).toBe('no convolution: x: its transition varies from token to token');
  });

  it('cuts time where a batch leaves the machine empty', () => {
    expect(explainMode(selective, { target: 'cuda', expected: { batch: 1, length: 65_536 } }).chosen).toEqual({ mode: 'scan' });
  });

  it('leaves pinned modes and given schedules alone', () => {
    const expected = { batch: 8, length: 4096 };
    const pinned = compileSpec(many, { target: 'wasm', mode: 'recurrent', expected, entries: 'forward-only' }).artifact.manifest;
    expect(pinned.mode).toBe('recurrent');
    expect(pinned.decisions.every((each) => each.subject !== 'mode')).toBe(true);
  });
});

describe('counts', () => {
  const costAt = (length: number, name: string): number => {
    const { costs } = explainMode(few, { target: 'wasm', expected: { batch: 64, length } });
    return required(costs.find((each) => each.name === name), name).flops / 16;
  };

  it('has half of all pairs of tokens in a direct convolution', () => {
    // a multiplication and an addition for each pair, from whole tiles of 8
    const more = costAt(4096, 'conv, direct') - costAt(2048, 'conv, direct');
    expect(more).toBeGreaterThan(0.8 * 2048);
    expect(more).toBeLessThan(1.2 * 2048);
  });

  it('grows with the logarithm of the length in a transform', () => {
    // two transforms a sequence, 10 real operations per butterfly and half as many butterflies as points
    const more = costAt(8192, 'conv, FFT') - costAt(4096, 'conv, FFT');
    expect(more).toBeGreaterThan(5);
    expect(more).toBeLessThan(40);
  });
});
