/**
 * `compileSpec` with the developer's switches around it: dumps after passes, stopping early, what
 * STATEFUSE_DEBUG prints, and which pass was running when something failed.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compileSpec, type CompileOptions, type CompileResult } from '../backends/compile.ts';
import type { LayerSpec } from '../dsl/spec.ts';
import { printKernel } from '../ir/kernel/print.ts';
import type { Plan } from '../ir/plan.ts';
import { tensorPasses } from '../ir/pipeline.ts';
import { printModule } from '../ir/tensor/print.ts';
import { ssmError } from '../support/diagnostic.ts';
import { debugLevel, UsageError, type CommandEnvironment } from './environment.ts';
import { writeDiagnostics } from './output.ts';
import { applyTuningFile, type TunedFor } from './tune/apply.ts';

export type DumpOptions = {
  readonly dumpAfter?: string;
  readonly dumpDir?: string;
  readonly stopAfter?: string;
  /** file of `statefuse tune` whose schedules are taken, and for whom */
  readonly tuning?: string;
  readonly tunedFor?: TunedFor;
};

/** Which pass is running, for reports of internal errors. */
export type Progress = { pass: string | null };

/** Tensor passes in order; `kernels` stands for the plans after scheduling. */
export const passNames: readonly string[] = ['lower-spec', ...tensorPasses.map((each) => each.name), 'kernels'];

class Stopped extends Error {
  override readonly name = 'Stopped';
}

function checkPass(option: string, name: string | undefined): void {
  if (name === undefined || name === 'all' && option === '--dump-after' || passNames.includes(name)) return;
  throw new UsageError(`\`${option} ${name}\`: there is no such pass; passes are ${passNames.join(', ')}`);
}

type Dump = (pass: string, extension: 'tir' | 'kir', text: string) => void;

function openDump(environment: CommandEnvironment, options: DumpOptions): Dump {
  const { dumpAfter, dumpDir } = options;
  return (pass, extension, text) => {
    if (dumpAfter !== 'all' && dumpAfter !== pass) return;
    if (dumpDir === undefined) {
      environment.writeError(`// after ${pass}\n${text}\n`);
      return;
    }
    const folder = resolve(environment.directory, dumpDir);
    const number = String(passNames.indexOf(pass)).padStart(2, '0');
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${number}-${pass}.${extension}`), `${text}\n`);
    } catch (error) {
      throw ssmError('SSM7001', `cannot write dumps into \`${dumpDir}\` (${String((error as { code?: unknown }).code)})`, 'choose another `--dump-dir`');
    }
  };
}

/** All kernels of all plans as Kernel IR text. */
export function printPlans(plans: readonly Plan[]): string {
  return plans.map((plan) => [`// entry ${plan.entry}`, ...plan.kernels.map(printKernel)].join('\n\n')).join('\n\n');
}

function withTuning(environment: CommandEnvironment, spec: LayerSpec, options: CompileOptions, { tuning, tunedFor }: DumpOptions): CompileOptions {
  if (tuning === undefined) return options;
  const tuned = applyTuningFile(environment, tuning, spec, options, tunedFor);
  writeDiagnostics(environment, tuned.warnings);
  return tuned.options;
}

/** Null when `--stop-after` ended the run. */
export function compileLayer(
  environment: CommandEnvironment, spec: LayerSpec, options: CompileOptions, dumps: DumpOptions, progress: Progress,
): CompileResult | null {
  checkPass('--dump-after', dumps.dumpAfter);
  checkPass('--stop-after', dumps.stopAfter);
  const level = debugLevel(environment);
  const dump = openDump(environment, dumps);
  progress.pass = passNames[0] ?? null;
  const onPass: CompileOptions['onPass'] = (name, module) => {
    progress.pass = passNames[passNames.indexOf(name) + 1] ?? null;
    if (dumps.dumpAfter !== undefined) dump(name, 'tir', printModule(module));
    if (level >= 5) environment.writeError(`// Tensor IR after ${name}\n${printModule(module)}\n`);
    if (dumps.stopAfter === name) throw new Stopped();
  };
  try {
    const result = compileSpec(spec, { ...withTuning(environment, spec, options, dumps), onPass });
    if (dumps.dumpAfter !== undefined) dump('kernels', 'kir', printPlans(result.plans));
    if (level >= 1) writeDecisions(environment, result);
    if (level >= 4) writeSource(environment, result);
    if (level >= 5) environment.writeError(`// Kernel IR\n${printPlans(result.plans)}\n`);
    progress.pass = null;
    return dumps.stopAfter === 'kernels' ? null : result;
  } catch (error) {
    if (error instanceof Stopped) return null;
    throw error;
  }
}

function writeDecisions(environment: CommandEnvironment, { artifact }: CompileResult): void {
  for (const { subject, chosen, reason } of artifact.manifest.decisions) environment.writeError(`[decision] ${subject}: ${chosen} (${reason})\n`);
}

function writeSource(environment: CommandEnvironment, { artifact }: CompileResult): void {
  const { code } = artifact;
  if (code.kind === 'wasm') environment.writeError(`${code.text}\n`);
  else for (const [name, text] of code.kernels) environment.writeError(`// ${name}\n${text}\n`);
}
