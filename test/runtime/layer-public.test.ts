/** The package's front door: text in, numbers out, mistakes as diagnostics. */
import { expect, it } from 'vitest';
import { compileText, loadLayer, SsmError } from '../../index.ts';
import { openWasm } from '../../runtime/wasm/index.ts';

const text = `layer Decay(D = 4) { input u[D] param a[D] = 1 / (2 + iota(D))
  state x[D] { next x = a * x + u } output y[D] = x }`;

it('compiles a text, initialises it and runs it', async () => {
  const device = await openWasm({ workers: 0 });
  const compiled = compileText(text, { target: 'wasm', sizes: { D: 2 } });
  expect(compiled.artifact.manifest.axes).toEqual([{ name: 'D', size: 2 }]);
  const layer = await loadLayer(device, compiled.artifact);
  layer.setParameters(compiled.initialParameters(1));
  const { outputs } = await layer.forward({ inputs: { u: [1, 1, 0, 0, 0, 0] }, batch: 1 });
  const found = Array.from(await outputs['y']!.read());
  [1, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 9].forEach((each, at) => expect(found[at]).toBeCloseTo(each, 6));
  layer[Symbol.dispose]();
  await device[Symbol.asyncDispose]();
});

it('throws every mistake of a text at once', () => {
  const wrong = () => compileText('layer A(D = 4) { input u[D] output y[D] = v + w }', { target: 'wasm' });
  expect(wrong).toThrow(SsmError);
  try {
    wrong();
  } catch (error) {
    expect((error as SsmError).diagnostics.filter((each) => each.severity === 'error').length).toBe(2);
  }
});
