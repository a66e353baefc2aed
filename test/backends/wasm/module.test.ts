import { expect, test } from 'vitest';
import wabt from 'wabt';
import { emitWasm } from '../../../backends/wasm/index.ts';
import { webAssembly } from '../../../runtime/wasm/webassembly.ts';
import type { Artifact } from '../../../backends/artifact.ts';
import { affineScanPlan, header, histogramPlan, vectorAddPlan } from './kernels.ts';

function moduleOf(artifact: Artifact): { module: Uint8Array; text: string } {
  if (artifact.code.kind !== 'wasm') throw new Error('not a WASM artifact');
  return artifact.code;
}

test.each([
  ['vector add', vectorAddPlan()],
  ['affine scan', affineScanPlan(4)],
  ['histogram', histogramPlan()],
])('%s: wabt accepts the module, and its text assembles to the same instructions', async (_, plan) => {
  const tools = await wabt();
  const { module, text } = moduleOf(emitWasm([plan], header));
  const features = { threads: true, simd: true, sat_float_to_int: true };
  // the package's types leave out that validate takes the features, too
  const validate = (one: { validate(): void }): void =>
    (one as { validate(enabled: object): void }).validate(features);
  const read = tools.readWasm(module, { ...features, readDebugNames: false });
  validate(read);
  const parsed = tools.parseWat('module.wat', text, features);
  validate(parsed);
  const strip = (wat: string): string => wat.replace(/\(;.*?;\)/gs, '');
  read.generateNames();
  expect(webAssembly().validate(module)).toBe(true);
  const fromText = tools.readWasm(parsed.toBinary({}).buffer, { ...features, readDebugNames: false });
  fromText.generateNames();
  expect(strip(fromText.toText({}))).toBe(strip(read.toText({})));
});
