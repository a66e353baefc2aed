/**
 * The plugin behind `statefuse/vite`, `/rollup`, `/webpack` and `/esbuild`: texts of layers are imported
 * like modules. Bundlers watch the text themselves, since it is a file; the declarations that give the
 * import its types are written beside it.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';
import type { UnpluginContext, UnpluginFactory, UnpluginMessage } from 'unplugin';
import { loadTypescript } from '../../cli/typescript/host.ts';
import { writeFiles } from '../../cli/write-files.ts';
import { makeDiagnostic, SsmError, ssmError, type Diagnostic } from '../../support/diagnostic.ts';
import { renderDiagnostic } from '../../support/render-diagnostic.ts';
import { positionOf, type SourceFile } from '../../support/source.ts';
import { compileFile, type CompiledFile, type LayerOptions } from './compile-file.ts';

export type StatefuseOptions = LayerOptions & {
  /** `beside` (unless told) writes `s6.ssm.d.ts` next to `s6.ssm`, which gives the import its types */
  readonly types?: 'beside' | 'none';
};

/** The message as bundlers show it, with the place for those that can jump there. */
function messageOf(diagnostic: Diagnostic, id: string): UnpluginMessage & { readonly frame?: string } {
  const [title = '', ...excerpt] = renderDiagnostic(diagnostic, { color: false }).split('\n');
  const { primary, code } = diagnostic;
  if (primary === null) return { message: [title, ...excerpt].join('\n'), id, pluginCode: code };
  const { line, column } = positionOf(primary.file, primary.span.start);
  return { message: [title, ...excerpt].join('\n'), id, pluginCode: code, loc: { file: id, line, column: column - 1 }, frame: excerpt.join('\n') };
}

/** One message with everything that is wrong: bundlers stop at the first. */
function refuse(context: UnpluginContext, diagnostics: readonly Diagnostic[], id: string): void {
  const errors = diagnostics.filter((each) => each.severity === 'error');
  const [first] = errors;
  if (first === undefined) return;
  const message = errors.map((each) => renderDiagnostic(each, { color: false })).join('\n\n');
  context.error({ ...messageOf(first, id), message });
}

function asDiagnostics(error: unknown): readonly Diagnostic[] {
  if (error instanceof SsmError) return error.diagnostics;
  const text = error instanceof Error ? error.message : String(error);
  return [makeDiagnostic({ code: 'SSM9001', message: `internal error: ${text}`, help: 'this is a bug, please report it with the text' })];
}

/** Writes only what changes, in one step: watchers of declarations wake up for every write. */
function writeDeclarations(path: string, text: string): void {
  try {
    if (readFileSync(path, 'utf8') === text) return;
  } catch {
    // not there yet
  }
  writeFiles(dirname(path), dirname(path), [{ name: basename(path), content: text }], 'types');
}

function readText(id: string): SourceFile {
  const name = relative(process.cwd(), id);
  try {
    return { name: name.startsWith('..') ? basename(id) : name, text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(id)) };
  } catch (error) {
    const code = (error as { readonly code?: unknown } | null)?.code;
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') throw ssmError('SSM7002', `\`${name}\` is not UTF-8 text`, 'save the file as UTF-8');
    throw ssmError('SSM7001', `\`${name}\` cannot be read (${String(code)})`, 'check the path of the import');
  }
}

/** More than this is worth a word: base64 has 4 letters for 3 bytes. */
const quietParameterBytes = 2 ** 20;

function parameterWarning(name: string, count: number): string | null {
  const bytes = Math.ceil((4 * count * 4) / 3);
  if (bytes <= quietParameterBytes) return null;
  return `\`${name}\` carries ${(bytes / 2 ** 20).toFixed(1)} MiB of initial parameters; the option \`seed: null\` leaves them out`;
}

/** What a text with mistakes is to bundlers that go on after an error. */
const emptyModule = 'export {};\n';

/** The plugin for every bundler; compiled texts are kept until they change. */
export const statefusePlugin: UnpluginFactory<StatefuseOptions | undefined, false> = (options = {}) => {
  const { types = 'beside', ...layerOptions } = options;
  const known = new Map<string, { readonly text: string; readonly compiled: CompiledFile }>();
  const compile = (id: string): CompiledFile => {
    const file = readText(id);
    const earlier = known.get(id);
    if (earlier?.text === file.text) return earlier.compiled;
    const compiled = compileFile(loadTypescript(), file, layerOptions);
    known.set(id, { text: file.text, compiled });
    return compiled;
  };
  return {
    name: 'statefuse',
    load: {
      filter: { id: /\.ssm$/ },
      handler(id) {
        this.addWatchFile(id);
        try {
          const { texts, warnings, parameterCount } = compile(id);
          for (const each of warnings) this.warn(messageOf(each, id));
          const heavy = parameterWarning(basename(id), parameterCount);
          if (heavy !== null) this.warn(heavy);
          if (types === 'beside') writeDeclarations(`${id}.d.ts`, texts.declarations);
          return { code: texts.javascript, map: { mappings: '' } as never };
        } catch (error) {
          refuse(this, asDiagnostics(error), id);
          return { code: emptyModule };
        }
      },
    },
    esbuild: { onLoadFilter: /\.ssm$/, loader: 'js' },
  };
};
