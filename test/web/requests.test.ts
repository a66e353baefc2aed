/** What the page asks of the compiler: checked texts, listings in parts, explanations, kernels for a device. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  checkText,
  explainText,
  formatText,
  listCode,
  prepareText,
} from '../../examples/web/compiler/requests.ts';
import { splitModuleText } from '../../examples/web/compiler/split-module-text.ts';
import { makeInputs } from '../../examples/web/devices/signals.ts';
import type { LayerChoice } from '../../examples/web/services/protocol.ts';
import { SsmError } from '../../support/diagnostic.ts';

const examples = readdirSync('examples').filter((each) => each.endsWith('.ssm'));
const choiceOf = (
  text: string,
  sizes: Readonly<Record<string, number>> = {},
  layer: string | null = null,
): LayerChoice => ({ text, layer, sizes });
const readExample = (name: string): string => readFileSync(`examples/${name}`, 'utf8');
const two =
  'layer One(D = 4) {\n  input u[D]\n  output y[D] = u\n}\nlayer Two(E = 4, F = 2 * E) {\n  input u[E], v[F]\n  output y = sum[E](u) + sum[F](v)\n}\n';

describe('checking a text', () => {
  it('gives every example its layer, its sizes and nothing to complain about', () => {
    expect(examples.length).toBeGreaterThan(10);
    for (const name of examples) {
      const { diagnostics, layer, layers } = checkText(choiceOf(readExample(name)));
      expect(diagnostics, name).toEqual([]);
      expect(layers.at(-1), name).toBe(layer!.name);
      expect(layer!.sizes.length, name).toBeGreaterThan(0);
      expect(structuredClone(layer)).toEqual(layer);
    }
  });

  it('takes sizes of the chosen layer only, and says what the text has', () => {
    expect(checkText(choiceOf(two, { D: 8, E: 3 })).layer!.sizes).toEqual([
      { name: 'E', size: 3, declared: 4 },
      { name: 'F', size: 6, declared: null },
    ]);
    expect(checkText(choiceOf(two, { D: 8, E: 3 }, 'One')).layer!.sizes).toEqual([
      { name: 'D', size: 8, declared: 4 },
    ]);
    expect(checkText(choiceOf(two, {}, 'Gone')).layer!.name).toBe('Two');
  });

  it('puts diagnostics at their places', () => {
    const text = 'layer Bad(D = 4) {\n  input u[D]\n  output y[D] = u * w\n}\n';
    const {
      diagnostics: [first],
      layer,
    } = checkText(choiceOf(text));
    expect(layer).toBeNull();
    expect(first!.code).toBe('SSM2001');
    expect(text.slice(first!.span!.start, first!.span!.end)).toBe('w');
    expect(checkText(choiceOf('')).layer).toBeNull();
  });
});

describe('listing code', () => {
  const base = {
    ...choiceOf(readExample('hgrn.ssm'), { D: 4 }),
    mode: 'auto',
    kernelTarget: 'wgsl',
  } as const;

  it('shows the tensor IR after each pass', () => {
    const { sections } = listCode({ ...base, view: 'tensor-ir' });
    expect(sections.map((each) => each.title)).toEqual(
      expect.arrayContaining(['lower-spec', 'differentiate', 'eliminate-dead']),
    );
    expect(new Set(sections.map((each) => each.text)).size).toBeGreaterThan(3);
  });

  it('cuts a module between its functions and loses nothing', () => {
    const { artifact } = prepareText({ ...base, target: 'wasm', use: 'training', seed: 1 });
    if (artifact.code.kind !== 'wasm') throw new Error('no module');
    const { text } = artifact.code;
    const parts = splitModuleText(text);
    const titles = parts.slice(1).map((each) => each.title);
    expect(titles).toHaveLength(text.match(/\(func /g)!.length);
    expect(titles).toEqual(
      expect.arrayContaining(
        artifact.manifest.entries.flatMap((each) => each.dispatches.map(({ kernel }) => kernel)),
      ),
    );
    expect(parts.map((each) => each.text).join('\n')).toBe(text);
  });

  it('refuses texts with mistakes', () => {
    expect(() => listCode({ ...base, text: 'layer', view: 'wgsl' })).toThrow(SsmError);
  });
});

describe('explaining and preparing', () => {
  it('explains a layer that a mode forbids, with the refusal', () => {
    const request = {
      ...choiceOf(readExample('s6.ssm'), { D: 4, N: 2 }),
      target: 'wgsl',
      batch: 1,
      length: 8,
    } as const;
    expect(explainText({ ...request, mode: 'auto' }).refusals).toEqual([]);
    const refused = explainText({ ...request, mode: 'conv' });
    expect(refused.refusals.map((each) => each.code)).toEqual([expect.stringMatching(/^SSM4/)]);
    expect(refused.explanation.modes.find((each) => each.mode === 'conv')!.isLegal).toBe(false);
  });

  it('keeps the entry points that are needed', () => {
    const request = {
      ...choiceOf(readExample('s7.ssm'), { H: 4, N: 2 }),
      target: 'wgsl',
      mode: 'auto',
      seed: 1,
    } as const;
    const entriesOf = (use: 'inference' | 'training'): readonly string[] =>
      prepareText({ ...request, use }).artifact.manifest.entries.map((each) => each.name);
    expect(entriesOf('inference')).toEqual(['forward']);
    expect(entriesOf('training')).toEqual(['forward', 'forwardSaved', 'backward']);
  });

  it('makes inputs of the right size and kind, the same each time', () => {
    const { spec } = prepareText({
      ...choiceOf(readFileSync('examples/digits/s4d-digits.ssm', 'utf8'), { D: 2, N: 2 }),
      target: 'wasm',
      mode: 'auto',
      use: 'inference',
      seed: 1,
    });
    const sizes = { batch: 3, length: 5 };
    const inputs = makeInputs(spec, 'noise', sizes);
    expect(Object.values(inputs).map((each) => each.length)).toEqual([15, 3]);
    expect(inputs['label']!.every((each) => Number.isInteger(each) && each >= 0 && each < 10)).toBe(true);
    expect(makeInputs(spec, 'noise', sizes)).toEqual(inputs);
    expect(() => makeInputs(spec, 'noise', { batch: 256, length: 2 ** 20 })).toThrow(/SSM6004.*at most/);
    expect([...makeInputs(spec, 'impulse', sizes)['pixel']!].filter((each) => each !== 0)).toEqual([1, 1, 1]);
  });

  it('formats a text, or nothing where it cannot be read', () => {
    expect(formatText('layer A(D=1){input u[D] output y[D]=u}')).toContain('  input u[D]\n');
    expect(formatText('layer {')).toBeNull();
  });
});
