/**
 * The peer of the selective scan: `native/selective-scan.c`, compiled here with gcc, or cc. Where
 * there is no compiler the table says so; a missing peer is never a silent success.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type PeerEntry = 'forward' | 'forwardSaved' | 'backward';

export type Peer = {
  readonly name: string;
  /** nanoseconds per token, channel and state, one run of all entries */
  readonly run: (shape: { batch: number; length: number; channels: number; states: number }) => Readonly<Record<PeerEntry, number>>;
};

const flags = ['-O3', '-march=native'];

/** Compiles the peer; a sentence that says why not where that fails. */
export function compilePeer(source: string): Peer | { readonly absent: string } {
  const program = join(mkdtempSync(join(tmpdir(), 'statefuse-bench-')), 'selective-scan');
  for (const compiler of ['gcc', 'cc']) {
    try {
      execFileSync(compiler, [...flags, '-o', program, source, '-lm'], { stdio: 'pipe' });
      return {
        name: `C loop with expf, ${compiler} ${flags.join(' ')}`,
        run: ({ batch, length, channels, states }) => {
          const text = execFileSync(program, [batch, length, channels, states, 1].map(String), { encoding: 'utf8' });
          return (JSON.parse(text) as { nsPerElement: Record<PeerEntry, number> }).nsPerElement;
        },
      };
    } catch {
      continue;
    }
  }
  return { absent: 'no C compiler (gcc, cc) here, so no peer' };
}
