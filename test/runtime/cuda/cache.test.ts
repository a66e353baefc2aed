/** Machine code on disk: compiled once, never trusted, never in the way. */
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createCubinCache } from '../../../runtime/cuda/cache.ts';
import { doublingArtifact, mock, open, reasonAgainst, temporaryFolder, titleNote } from './mock.ts';

async function prepareOnce(cacheDirectory: string | null): Promise<number> {
  const before = mock.state().compilations;
  await using device = await open({ cacheDirectory });
  using layer = await device.prepare(doublingArtifact());
  const { tensors } = await layer.run({ entry: 'step', sizes: { batch: 1, length: 1 }, tensors: new Map([['x_initial', Float32Array.of(4)]]) });
  expect(await tensors.get('x_final')!.read()).toEqual(Float32Array.of(8));
  return mock.state().compilations - before;
}

describe.skipIf(reasonAgainst !== null)(`machine code on disk${titleNote}`, () => {
  beforeEach(() => mock.reset());

  it('is made once for each driver and NVRTC', async () => {
    const folder = join(temporaryFolder(), 'deep', 'er');
    expect(await prepareOnce(folder)).toBe(3);
    expect(await prepareOnce(folder)).toBe(0);
    mock.set('driverVersion', 13010);
    expect(await prepareOnce(folder)).toBe(3);
    mock.set('nvrtcMajor', 12);
    expect(await prepareOnce(folder)).toBe(3);
    expect(await prepareOnce(folder)).toBe(0);
    expect(readdirSync(folder).filter((each) => !each.endsWith('.cubin'))).toEqual([]);
  });

  it('is made again where it is damaged in any way', async () => {
    const folder = temporaryFolder();
    await prepareOnce(folder);
    const [name] = readdirSync(folder);
    const path = join(folder, name ?? '');
    const whole = readFileSync(path);
    for (const damage of [0, 1, 10, 18, 40, 50, whole.length - 1]) {
      truncateSync(path, damage);
      expect(await prepareOnce(folder), `cut to ${damage}`).toBe(1);
      expect(readFileSync(path)).toEqual(whole);
    }
    for (let at = 0; at < whole.length; at += 3) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      writeFileSync(path, flipped);
      expect(await createCubinCache(folder).read((name ?? '').replace('.cubin', '')), `bit flipped at ${at}`).toBeNull();
    }
    expect(await prepareOnce(folder)).toBe(1);
  });

  it('is made again where the driver does not take it', async () => {
    const folder = temporaryFolder();
    mock.set('makesWrongCode', 1);
    await expect(prepareOnce(folder)).rejects.toThrow(/SSM6006/);
    const cache = createCubinCache(folder);
    mock.reset();
    await prepareOnce(folder);
    for (const name of readdirSync(folder)) await cache.write(name.replace('.cubin', ''), Buffer.from('machine code of another kind'));
    expect(await prepareOnce(folder)).toBe(3);
    expect(await prepareOnce(folder)).toBe(0);
  });

  it('is left alone where the folder cannot be written or read', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    expect(await prepareOnce(join(folder, 'file', 'below'))).toBe(3);
    expect(await prepareOnce(null)).toBe(3);
    await prepareOnce(folder);
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.cubin'))) {
      const other = join(folder, 'folders');
      mkdirSync(join(other, name), { recursive: true });
    }
    expect(await prepareOnce(join(folder, 'folders'))).toBe(3);
  });

  it('may be made by many at once', async () => {
    const folder = temporaryFolder();
    await Promise.all(Array.from({ length: 8 }, () => prepareOnce(folder)));
    expect(readdirSync(folder).length).toBe(3);
    expect(await prepareOnce(folder)).toBe(0);
  });
});
