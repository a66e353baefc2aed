/**
 * A second artifact for calls with few sequences. A host such as PyTorch learns batch and length with
 * each call, and one schedule is not good for all: where few sequences leave the machine empty, time is
 * cut into pieces. So the host gets both artifacts and the sizes from which on the second is the better.
 */
import { leastPieces } from '../ir/schedule/select-schedule.ts';
import type { Artifact, ManifestEntry } from './artifact.ts';
import type { CompileOptions, CompileResult } from './compile.ts';

export type FewSequences = {
  /** for calls of at most `sequences` sequences of at least `tokens` tokens; only entries that differ */
  readonly artifact: Artifact;
  readonly sequences: number;
  readonly tokens: number;
};

/** Largest batch that is asked about: beyond it channels alone fill any machine we know. */
const mostSequences = 64;

type Compile = (options: Pick<CompileOptions, 'expected' | 'decide' | 'entries'>) => CompileResult;

/** A layer compiled for a batch, and the longest piece of time in it, or null where time is not cut. */
function compileFor(compile: Compile, batch: number, entries: 'forward-only' | 'all'): { readonly artifact: Artifact; readonly piece: number | null } {
  const pieces: number[] = [];
  const { artifact } = compile({
    entries, expected: { batch },
    decide: (_plan, rule) => {
      if (rule.schedule.split !== null) pieces.push(rule.schedule.split.size);
      return rule;
    },
  });
  return { artifact, piece: pieces.length === 0 ? null : Math.max(...pieces) };
}

function kernelsOf({ manifest, code }: Artifact, name: string): string {
  const entry = manifest.entries.find((each) => each.name === name);
  const texts = code.kind === 'text' ? code.kernels : new Map<string, string>();
  return JSON.stringify([entry?.dispatches, entry?.dispatches.map((each) => texts.get(each.kernel))]);
}

/** Whether callers see the same tensors: what an entry saves in one artifact is read by another. */
function hasSameTensors(one: ManifestEntry, other: ManifestEntry | undefined): boolean {
  const seen = (entry: ManifestEntry | undefined): string => JSON.stringify(entry?.tensors.filter((each) => each.role !== 'scratch'));
  return seen(one) === seen(other);
}

/**
 * The artifact for few sequences beside the ordinary one, or null where time need not be cut. `compile` compiles the
 * layer as the ordinary artifact was, with the given options besides.
 */
export function compileForFew(ordinary: Artifact, compile: Compile): FewSequences | null {
  const { artifact, piece } = compileFor(compile, 1, 'all');
  if (piece === null) return null;
  const isOfUse = (entry: ManifestEntry): boolean => kernelsOf(artifact, entry.name) !== kernelsOf(ordinary, entry.name);
  const others = new Map(ordinary.manifest.entries.map((each) => [each.name, each]));
  const entries = artifact.manifest.entries.filter(isOfUse);
  if (entries.length === 0 || !artifact.manifest.entries.every((each) => hasSameTensors(each, others.get(each.name)))) return null;
  let sequences = 1;
  while (sequences < mostSequences && compileFor(compile, 2 * sequences, 'forward-only').piece !== null) sequences *= 2;
  return { artifact: { ...artifact, manifest: { ...artifact.manifest, entries } }, sequences, tokens: leastPieces * piece };
}
