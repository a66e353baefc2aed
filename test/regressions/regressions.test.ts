/**
 * Layers that were once computed wrong or not at all, found by random layers and made as small as they
 * would still fail: each in every mode, on the CPU and with the schedules of every machine. The first line
 * of a text says what was wrong; sizes, storage and intervals stand in the table.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { openWasm } from '../../runtime/wasm/index.ts';
import { required } from '../../support/invariant.ts';
import { caseOf } from '../generate/case.ts';
import { examineCase } from '../generate/checks.ts';
import { choices, type LayerRecipe } from '../generate/recipe.ts';

const folder = new URL('.', import.meta.url);
const names = readdirSync(folder).filter((each) => each.endsWith('.ssm'));
const wasm = await openWasm({ workers: 0, checks: 'canaries' });
afterAll(() => wasm[Symbol.asyncDispose]());

const simplest = { ...Object.fromEntries(Object.entries(choices).map(([field, values]) => [field, values[0]])), seed: 5 } as unknown as LayerRecipe;

/** What a failure needs beside its text. */
const settings: Readonly<Record<string, Partial<LayerRecipe>>> = {
  'channel-sums-of-long-tiles.ssm': { interval: 64, length: 40 },
  'half-output-read-again.ssm': { storage: 'bf16' },
  'half-output-read-at-its-end.ssm': { storage: 'f16' },
  'half-sum-over-channels.ssm': { storage: 'bf16' },
  'tables-of-channel-sums.ssm': { interval: 16 },
};

it.each(names)('%s', async (name) => {
  const recipe: LayerRecipe = { ...simplest, batch: 2, length: 17, initial: 'random', interval: 4, ...settings[name] };
  const text = readFileSync(new URL(name, folder), 'utf8');
  const numbers = new Map([['starts', { kind: 'flags' } as const]]);
  const made = required(caseOf({ recipe, text, numbers }), 'numbers in range');
  const { findings, right, checks } = await examineCase(made, { wasm, webgpu: null, cuda: null }, { webgpu: false, thorough: true });
  expect(findings.map((each) => `${each.check}: ${each.detail}`)).toEqual([]);
  expect(right).toBeGreaterThan(checks.length);
});
