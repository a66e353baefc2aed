/**
 * Oracle and language agree on what a layer is: the golden texts elaborate without a complaint, and
 * the oracle finds the inputs, parameters, states and axes of outputs that the checked layer declares.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadLayer, parse } from '../../dsl/index.ts';
import { randomRequest, stateRecordOf } from '../support/oracle-requests.ts';
import { evaluateLayer } from './evaluate.ts';
import { goldenCases } from './golden.ts';

const examples = new URL('../../examples/', import.meta.url);
const texts: [string, string, ReadonlyMap<string, number>][] = [
  ...goldenCases.map(({ name, load }): [string, string, ReadonlyMap<string, number>] => [name, load().text, new Map()]),
  ...readdirSync(examples).filter((name) => name.endsWith('.ssm')).map((name): [string, string, ReadonlyMap<string, number>] => {
    const text = readFileSync(new URL(name, examples), 'utf8');
    return [name, text, smallSizes(text)];
  }),
];

/** The examples have sizes for use; here every axis that is larger becomes 3. */
function smallSizes(text: string): ReadonlyMap<string, number> {
  const layer = parse({ name: 'example.ssm', text }).tree.layers.at(-1);
  return new Map(layer?.axes.flatMap(({ name, size }) => (size?.kind === 'number' && size.value > 3 ? [[name.text, 3] as const] : [])));
}

describe.each(texts)('%s', (name, text, sizes) => {
  const file = { name: `${name}.ssm`, text };
  const { spec, diagnostics } = loadLayer(file, null, { sizes });

  it('elaborates without errors', () => {
    expect(diagnostics.filter((each) => each.severity === 'error').map((each) => each.message)).toEqual([]);
  });

  it('has the states and outputs that the oracle computes', () => {
    const request = { ...randomRequest(parse(file).tree, spec!, { batch: 2, length: 3, seed: 1 }), sizes };
    const { outputs, final } = evaluateLayer(request);
    const sizeOf = new Map([...spec!.axes.map((axis) => [axis.name, axis.size] as const), ['batch', 2] as const, ['time', 3] as const]);
    expect([...outputs.keys()]).toEqual(spec!.outputs.map((each) => each.name));
    for (const output of spec!.outputs) {
      const found = outputs.get(output.name)!;
      const leading = [...(output.value.variance.batch ? ['batch'] : []), ...(output.value.variance.time ? ['time'] : [])];
      expect(found.axes).toEqual([...leading, ...output.axes]);
      expect(found.shape).toEqual(found.axes.map((axis) => sizeOf.get(axis)));
      expect(found.im !== null).toBe(output.value.type === 'complex');
    }
    const states = stateRecordOf(spec!);
    expect([...final.keys()].sort()).toEqual(states.map((each) => each.name).sort());
    for (const state of states) expect(final.get(state.name)!.axes).toEqual(['batch', ...state.axes]);
    for (const state of states) expect(final.get(state.name)!.shape).toEqual([2, ...state.shape]);
  });
});
