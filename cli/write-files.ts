/**
 * Writes the files of one result into a folder: all of them or none. Everything is written under
 * temporary names first and renamed at the end; names are made safe here, so that nothing a text
 * says can lead outside the folder.
 */
import { lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ssmError, SsmError } from '../support/diagnostic.ts';
import { contentHash } from '../support/hash.ts';

const longestName = 120;
const reservedNames = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])$/i;

/**
 * A file name for each of some names, in order: letters, digits, `_` and `-`, distinct also where
 * the file system ignores case, of bounded length, never a name that Windows reserves.
 */
export function fileNames(names: readonly string[], extension: string): readonly string[] {
  const used = new Set<string>();
  return names.map((name) => {
    const letters = name.replace(/[^A-Za-z0-9_-]+/g, '_').replace(/^[-_]+/, '');
    const isPlain = letters === name && letters.length <= longestName && !reservedNames.test(letters) && letters !== '';
    let stem = isPlain ? letters : `${letters.slice(0, longestName)}_${contentHash(name).slice(0, 8)}`;
    for (let number = 2; used.has(stem.toLowerCase()); number++) stem = `${letters.slice(0, longestName)}_${number}`;
    used.add(stem.toLowerCase());
    return `${stem}.${extension}`;
  });
}

/** The name may lead through folders below the one that is written to (`package/module.py`). */
export type OutputFile = { readonly name: string; readonly content: string | Uint8Array };

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? error);
}

function refuseFolders(folder: string, files: readonly OutputFile[], option: string): void {
  for (const { name } of files) {
    const found = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (found?.isDirectory() === true) throw ssmError('SSM7001', `\`${name}\` is a folder`, `choose another \`${option}\``);
  }
}

/** Folders below the one that is written to: made where they are missing, never reached through a link. */
function makeFolders(folder: string, files: readonly OutputFile[], option: string): void {
  const names = new Set(files.map((each) => dirname(each.name)).filter((each) => each !== '.'));
  for (const name of names) {
    const parts = name.split('/');
    for (let depth = 1; depth <= parts.length; depth++) {
      const path = parts.slice(0, depth).join('/');
      const found = lstatSync(join(folder, path), { throwIfNoEntry: false });
      if (found !== undefined && !found.isDirectory()) throw ssmError('SSM7001', `\`${path}\` is not a folder`, `choose another \`${option}\``);
    }
    mkdirSync(join(folder, name), { recursive: true });
  }
}

/** Writes all files or none; throws SSM7001, which names the option to change. Links are replaced, not followed. */
export function writeFiles(folder: string, shownFolder: string, files: readonly OutputFile[], option: string = '--out-dir'): void {
  const temporary: { from: string; to: string }[] = [];
  try {
    mkdirSync(folder, { recursive: true });
    refuseFolders(folder, files, option);
    makeFolders(folder, files, option);
    for (const { name, content } of files) {
      const from = join(folder, dirname(name), `.${basename(name)}.${process.pid}.partial`);
      temporary.push({ from, to: join(folder, name) });
      writeFileSync(from, content, { flag: 'wx' });
    }
    for (const { from, to } of temporary) renameSync(from, to);
  } catch (error) {
    for (const { from } of temporary) rmSync(from, { force: true });
    if (error instanceof SsmError) throw error;
    throw ssmError('SSM7001', `cannot write into \`${shownFolder}\` (${codeOf(error)})`, `choose another \`${option}\``);
  }
}
