/** Reads files that a command line names: never more than a limit, whatever the file claims to be, and failures in words. */
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { DiagnosticCode } from '../support/diagnostic-codes.ts';
import { SsmError, ssmError } from '../support/diagnostic.ts';
import type { CommandEnvironment } from './environment.ts';

export type FileLimit = {
  readonly bytes: number;
  /** what a larger file is refused with */
  readonly code: DiagnosticCode;
  readonly help: string | null;
};

const chunkBytes = 1 << 20;

/** The bytes of a pipe or a device, which do not tell how many they have; null where there are more than allowed. */
function readStream(full: string, most: number): Uint8Array | null {
  const file = openSync(full, 'r');
  try {
    const parts: Buffer[] = [];
    let total = 0;
    for (;;) {
      const part = Buffer.allocUnsafe(chunkBytes);
      const count = readSync(file, part);
      if (count === 0) return Buffer.concat(parts, total);
      parts.push(part.subarray(0, count));
      total += count;
      if (total > most) return null;
    }
  } finally {
    closeSync(file);
  }
}

/** The bytes of a file; `help` is what to do about a wrong path. Throws SSM7001, or the limit's code. */
export function readFile(environment: CommandEnvironment, path: string, limit: FileLimit, help: string): Uint8Array {
  const tooLarge = (size: string): SsmError => ssmError(limit.code, `\`${path}\` has ${size} bytes, at most ${limit.bytes} can be read`, limit.help);
  try {
    const full = resolve(environment.directory, path);
    const stat = statSync(full);
    if (stat.isDirectory()) throw ssmError('SSM7001', `\`${path}\` is a folder`, 'name a file');
    if (stat.size > limit.bytes) throw tooLarge(String(stat.size));
    const bytes = stat.isFile() ? readFileSync(full) : readStream(full, limit.bytes);
    if (bytes === null) throw tooLarge('too many');
    return bytes;
  } catch (error) {
    if (error instanceof SsmError) throw error;
    const code = String((error as { code?: unknown } | null)?.code ?? error);
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'access is denied' : `cannot be read (${code})`;
    throw ssmError('SSM7001', `\`${path}\`: ${why}`, help);
  }
}
