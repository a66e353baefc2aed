/**
 * Machine code on disk, so that a kernel is compiled once per machine. A file holds a mark, a checksum
 * and the code; what does not match is as good as absent. Files appear under their name only when they
 * are complete, so that processes may write the same one at the same time. No failure here is an error:
 * the worst that happens is that a kernel is compiled again.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const mark = Buffer.from('statefuse cubin 1\n');
const checksumBytes = 32;
const largestFile = 256 * 2 ** 20;

export type CubinCache = {
  /** null when it is not there or damaged */
  readonly read: (key: string) => Promise<Uint8Array | null>;
  readonly write: (key: string, cubin: Uint8Array) => Promise<void>;
};

/** A name for all that the machine code depends on. */
export function cacheKey(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** `$XDG_CACHE_HOME/statefuse/cuda`, or the same below `~/.cache`. */
export function defaultCacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'statefuse', 'cuda');
}

function checksum(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

async function readCubin(path: string): Promise<Uint8Array | null> {
  const { size } = await stat(path);
  if (size > largestFile) return null;
  const file = await readFile(path);
  const start = mark.length + checksumBytes;
  const cubin = file.subarray(start);
  const isWhole = file.length > start && file.subarray(0, mark.length).equals(mark)
    && file.subarray(mark.length, start).equals(checksum(cubin));
  return isWhole ? cubin : null;
}

async function writeCubin(directory: string, path: string, cubin: Uint8Array): Promise<void> {
  await mkdir(directory, { recursive: true });
  const part = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.part`;
  try {
    const file = await open(part, 'wx');
    try {
      await file.writev([mark, checksum(cubin), cubin]);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** A cache in a folder that need not exist; null keeps nothing. */
export function createCubinCache(directory: string | null): CubinCache {
  if (directory === null) return { read: async () => null, write: async () => undefined };
  const pathOf = (key: string): string => join(directory, `${key}.cubin`);
  return {
    read: (key) => readCubin(pathOf(key)).catch(() => null),
    write: (key, cubin) => writeCubin(directory, pathOf(key), cubin).catch(() => undefined),
  };
}
