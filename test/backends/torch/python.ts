/** Python for the tests of emitted packages: which interpreter there is, whether it has PyTorch, and packages made from texts. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compileSpec, type CompileOptions } from '../../../backends/compile.ts';
import { compileForFew } from '../../../backends/few-sequences.ts';
import { emitTorchPackage, type TorchPackage } from '../../../backends/torch/index.ts';
import { loadLayer } from '../../../dsl/index.ts';
import type { LayerSpec } from '../../../dsl/spec.ts';

export type Storage = 'f32' | 'f16' | 'bf16';

function answers(interpreter: string, code: string): boolean {
  return spawnSync(interpreter, ['-W', 'ignore', '-c', code], { stdio: 'ignore' }).status === 0;
}

/** STATEFUSE_PYTHON names an interpreter, as one of a virtual environment with PyTorch. */
const candidates = [process.env['STATEFUSE_PYTHON'], 'python3', 'python'].filter((each) => each !== undefined);

/** An interpreter that can compile Python, or null. */
export const python: string | null = candidates.find((each) => answers(each, 'import ast')) ?? null;

/** An interpreter that has PyTorch, or null. */
export const pythonWithTorch: string | null = candidates.find((each) => answers(each, 'import torch')) ?? null;

export function specOf(text: string, sizes: ReadonlyMap<string, number> = new Map(), layer: string | null = null): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: 'test.ssm', text }, layer, { sizes });
  if (spec === null) throw new Error(diagnostics.map((each) => `${each.code} ${each.message}`).join('\n'));
  return spec;
}

export function packageOf(spec: LayerSpec, storages: readonly Storage[] = ['f32']): TorchPackage {
  return emitTorchPackage(spec, storages.map((storage) => {
    const options: CompileOptions = { target: 'cuda', storage };
    const { artifact } = compileSpec(spec, options);
    return { storage, artifact, few: compileForFew(artifact, (more) => compileSpec(spec, { ...options, ...more })) };
  }));
}

export function writePackage({ files }: TorchPackage, folder: string): void {
  for (const { name, content } of files) {
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** Syntax errors of every Python file of a folder; empty when all compile. */
export function syntaxErrors(interpreter: string, folder: string): string {
  const code = [
    'import ast, pathlib, sys',
    'for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):',
    '    try: ast.parse(path.read_text(encoding="utf-8"), str(path))',
    '    except SyntaxError as error: print(path, error)',
  ].join('\n');
  const result = spawnSync(interpreter, ['-W', 'error', '-c', code, folder], { encoding: 'utf8' });
  return result.stdout + result.stderr;
}
