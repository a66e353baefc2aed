/** What a page downloads: the runtime with one device, without the compiler, minified and gzipped. */
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';

type Bundle = { readonly bytes: number; readonly files: readonly string[] };

async function bundle(...entries: readonly string[]): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: entries.map((each) => `export * from './${each}';`).join('\n'), resolveDir: process.cwd(), loader: 'ts' },
    bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022', external: ['node:*'], metafile: true, write: false, logLevel: 'error',
  });
  return { bytes: gzipSync(outputFiles[0]!.contents, { level: 9 }).length, files: Object.keys(metafile.inputs) };
}

describe('the runtime', () => {
  it.each([['WebGPU', 'runtime/webgpu/index.ts'], ['WebAssembly', 'runtime/wasm/index.ts']])('with %s has less than 30 kB gzipped, and nothing of the compiler', async (_, device) => {
    const { bytes, files } = await bundle('runtime/index.ts', device);
    console.info(`runtime and ${device}: ${bytes} bytes gzipped`);
    expect(bytes).toBeGreaterThan(5_000);
    expect(bytes).toBeLessThan(30_000);
    expect(files.filter((each) => !/^(runtime|support)\/|^<stdin>$/.test(each))).toEqual([]);
  });

  it('loads one device without the other', async () => {
    expect((await bundle('runtime/webgpu/index.ts')).files.filter((each) => each.startsWith('runtime/wasm/'))).toEqual([]);
    expect((await bundle('runtime/wasm/index.ts')).files.filter((each) => each.startsWith('runtime/webgpu/'))).toEqual([]);
  });
});
