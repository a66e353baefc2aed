/**
 * CUDA text for NVRTC, which is given no header: nothing is included where it compiles, for every
 * example, mode and storage type. With STATEFUSE_TEST_NVRTC (file of the library) it compiles them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../../backends/compile.ts';
import { loadLayer } from '../../../dsl/index.ts';
import { loadAddon } from '../../../runtime/cuda/loader.ts';
import { required } from '../../../support/invariant.ts';
import './mock.ts';

const library = process.env['STATEFUSE_TEST_NVRTC'];
const examples = readdirSync('examples').filter((each) => each.endsWith('.ssm')).map((each) => each.replace('.ssm', ''));

function textsOf(example: string, storage: 'f32' | 'bf16' | 'f16', mode: 'recurrent' | 'scan'): ReadonlyMap<string, string> {
  const file = { name: `${example}.ssm`, text: readFileSync(`examples/${example}.ssm`, 'utf8') };
  const spec = required(loadLayer(file, null, { sizes: new Map() }).spec, example);
  const { code } = compileSpec(spec, { target: 'cuda', storage, mode }).artifact;
  return required(code.kind === 'text' ? code.kernels : null, 'text');
}

/** What a preprocessor without a toolkit sees of conditions on NVRTC. */
function seenByNvrtc(text: string): readonly string[] {
  const seen: string[] = [];
  const hidden: boolean[] = [];
  for (const line of text.split('\n')) {
    if (/^#if/.test(line)) hidden.push(/^#ifndef __CUDACC_RTC__$/.test(line));
    else if (/^#endif/.test(line)) hidden.pop();
    else if (!hidden.includes(true)) seen.push(line);
  }
  return seen;
}

const cases = examples.flatMap((example) => (['f32', 'bf16', 'f16'] as const).map((storage) => [example, storage] as const));

describe('CUDA text needs no header where NVRTC compiles it', () => {
  it.each(cases.filter(([example, storage]) => storage === 'bf16' || example === 's6'))('%s in %s', (example, storage) => {
    for (const [kernel, text] of textsOf(example, storage, 'scan')) {
      const seen = seenByNvrtc(text);
      expect(seen.filter((each) => each.includes('#include')), kernel).toEqual([]);
      const half = { f32: null, bf16: '__nv_bfloat16', f16: '__half' }[storage];
      if (half !== null && text.includes(`${half}*`)) expect(seen.some((each) => each === `struct alignas(2) ${half} {`), kernel).toBe(true);
    }
  });

  it.skipIf(library === undefined).each(cases)(`%s in %s compiles${library === undefined ? ' (skipped: STATEFUSE_TEST_NVRTC names no library)' : ''}`, async (example, storage) => {
    const native = loadAddon();
    for (const mode of ['recurrent', 'scan'] as const) {
      for (const [kernel, text] of textsOf(example, storage, mode)) {
        const compiled = await native.compile([required(library, 'library')], text, `${kernel}.cu`, ['--gpu-architecture=sm_90', '--std=c++17']);
        expect(compiled.isAccepted, `${kernel}: ${compiled.log}`).toBe(true);
        expect(compiled.log, kernel).toBe('');
      }
    }
  });
});
