/**
 * Runs a task again whenever one of some files changes. Folders are watched, not files: editors save
 * by putting a new file in the place of the old one.
 */
import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { ssmError } from '../support/diagnostic.ts';

/** Editors write more than once per save. */
const quietMilliseconds = 40;

/** Runs `task` at once and after each change, never twice at a time, until the signal; rejects when `task` does. */
export async function watchFiles(paths: readonly string[], task: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const folders = new Map<string, Set<string>>();
  for (const path of paths) folders.set(dirname(resolve(path)), (folders.get(dirname(resolve(path))) ?? new Set()).add(basename(path)));
  let wake = (): void => undefined;
  let hasChanged = false;
  const changed = (): void => {
    hasChanged = true;
    wake();
  };
  const watchers: FSWatcher[] = [];
  try {
    for (const [folder, names] of folders) watchers.push(watchFolder(folder, (name) => void (name === null || names.has(name) ? changed() : null)));
    signal?.addEventListener('abort', () => wake(), { once: true });
    const isOver = (): boolean => signal?.aborted === true;
    while (!isOver()) {
      hasChanged = false;
      await task();
      while (!hasChanged && !isOver()) await new Promise<void>((done) => void (wake = done));
      await new Promise((done) => setTimeout(done, quietMilliseconds));
    }
  } finally {
    for (const each of watchers) each.close();
  }
}

function watchFolder(folder: string, changed: (name: string | null) => void): FSWatcher {
  try {
    return watch(folder, (_, name) => changed(name));
  } catch (error) {
    throw ssmError('SSM7001', `\`${folder}\` cannot be watched (${String((error as { code?: unknown }).code)})`, 'run the command without `--watch`');
  }
}
