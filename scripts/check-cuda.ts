/**
 * Every kernel of the examples, in every mode, through nvcc for sm_80 and sm_90: no warning, no spill; and the functions
 * that launch them, with their C header. Kernels of different modes are often the same text, so each distinct text is
 * compiled once, a few in one file, and ptxas' report is kept under the text's hash: after a change only the kernels that
 * changed are compiled.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Artifact } from '../backends/artifact.ts';
import { compileSpec } from '../backends/compile.ts';
import { cudaPrefix, renderCudaHeader, renderCudaLaunchers } from '../backends/cuda/index.ts';
import { loadLayer } from '../dsl/index.ts';
import type { ModeRequest } from '../ir/schedule/select-schedule.ts';
import { SsmError } from '../support/diagnostic.ts';
import { required } from '../support/invariant.ts';
import { compileCuda, compileHost, nvccFlags, parseReport, type KernelReport } from '../test/backends/cuda/nvcc.ts';

const architectures = [80, 90] as const;
const cache = 'out/check-cuda';
/** Kernels in one file: nvcc's start and CUDA's headers cost a second per file. */
const kernelsPerFile = 12;

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: {
  jobs: { type: 'string', default: '2' }, dtype: { type: 'string', default: 'f32' },
  /** expected sizes, for which mode auto may choose other schedules */
  batch: { type: 'string' }, length: { type: 'string' },
} });
const storage = (['f32', 'f16', 'bf16'] as const).find((each) => each === options.dtype) ?? 'f32';
const expected = options.batch === undefined || options.length === undefined ? {} : { expected: { batch: Number(options.batch), length: Number(options.length) } };
const modes: readonly ModeRequest[] = expected.expected === undefined ? ['recurrent', 'scan', 'conv'] : ['auto'];

/** A text to compile, and the kernels of layers that are this text. */
type Work = { readonly hash: string; readonly text: string; readonly users: string[] };

function compileFile(file: string, mode: ModeRequest): Artifact | null {
  const { spec, diagnostics } = loadLayer({ name: basename(file), text: readFileSync(file, 'utf8') }, null, { sizes: new Map() });
  if (spec === null) throw new SsmError(diagnostics);
  try {
    return compileSpec(spec, { target: 'cuda', mode, storage, ...expected }).artifact;
  } catch (error) {
    if (error instanceof SsmError && error.diagnostics.some((each) => each.code === 'SSM4001')) return null;
    throw error;
  }
}

const compiler: string = spawnSync('nvcc', ['--version'], { encoding: 'utf8' }).stdout;

function hashOf(...texts: readonly string[]): string {
  return createHash('sha256').update([compiler, ...nvccFlags, ...texts].join('\n')).digest('hex').slice(0, 20);
}

/** The kernel without its head comment and under a name made of its text, so that equal kernels are equal texts. */
function normalized(name: string, text: string): { readonly hash: string; readonly text: string } {
  const body = text.replace(/^(\/\/.*\n)+/, '').replace(` ${name}(`, ' KERNEL(');
  const hash = hashOf(body);
  return { hash, text: body.replace(' KERNEL(', ` kernel_${hash}(`) };
}

/** A layer in one mode. */
type Compiled = { readonly name: string; readonly artifact: Artifact };

function compileFiles(files: readonly string[]): readonly Compiled[] {
  return files.flatMap((file) => {
    const compiled = modes.flatMap((mode): readonly Compiled[] => {
      const artifact = compileFile(file, mode);
      return artifact === null ? [] : [{ name: `${file} ${mode}`, artifact }];
    });
    console.log(`${file}: ${compiled.map(({ artifact }) => `${kernelsOf(artifact).length} kernels ${artifact.manifest.mode}`).join(', ')}`);
    return compiled;
  });
}

function kernelsOf({ code }: Artifact): readonly (readonly [name: string, text: string])[] {
  return code.kind === 'text' ? [...code.kernels] : [];
}

function distinctKernels(compiled: readonly Compiled[]): readonly Work[] {
  const all = new Map<string, Work>();
  for (const { name: user, artifact } of compiled) {
    for (const [name, text] of kernelsOf(artifact)) {
      const { hash, text: body } = normalized(name, text);
      const known = all.get(hash) ?? { hash, text: body, users: [] };
      known.users.push(`${user} ${name}`);
      all.set(hash, known);
    }
  }
  return [...all.values()];
}

function reportFile(hash: string): string {
  return join(cache, `${hash}.json`);
}

type Outcome = { readonly log: string; readonly isRight: boolean };

function runCompiler(folder: string): Promise<Outcome> {
  const targets = architectures.map((each) => `-gencode=arch=compute_${each},code=sm_${each}`);
  return new Promise((resolve) => {
    const child = spawn('nvcc', [...nvccFlags, ...targets, 'kernels.cu', '-o', 'kernels.o'], { cwd: folder });
    const pieces: string[] = [];
    child.stderr.on('data', (piece: Buffer) => pieces.push(piece.toString()));
    child.on('close', (code) => resolve({ log: pieces.join(''), isRight: code === 0 }));
  });
}

/** Compiles the texts as one file and keeps their reports; where that fails, one by one. Gives the number of failures. */
async function compileTogether(batch: readonly Work[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'statefuse-check-'));
  try {
    writeFileSync(join(folder, 'kernels.cu'), batch.map((each) => each.text).join('\n'));
    const { log, isRight } = await runCompiler(folder);
    if (!isRight && batch.length > 1) return await compileEach(batch);
    if (!isRight) console.log(`nvcc failed: ${batch.map((each) => each.users.join('; ')).join()}\n${log.slice(0, 2000)}`);
    const reports = parseReport(log);
    for (const { hash } of isRight ? batch : []) {
      const own = reports.filter((each) => each.kernel === `kernel_${hash}`);
      if (own.length !== architectures.length) throw new Error(`${own.length} reports of kernel_${hash}`);
      writeFileSync(reportFile(hash), JSON.stringify(own));
    }
    return isRight ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compileEach(batch: readonly Work[]): Promise<number> {
  let failures = 0;
  for (const each of batch) failures += await compileTogether([each]);
  return failures;
}

/** Long texts first, so that no job is left alone with them at the end. */
async function compileMissing(missing: readonly Work[], jobs: number): Promise<number> {
  const sorted = missing.toSorted((left, right) => right.text.length - left.text.length);
  const batches = Array.from({ length: Math.ceil(sorted.length / kernelsPerFile) }, (_, at) =>
    sorted.slice(at * kernelsPerFile, (at + 1) * kernelsPerFile));
  let done = 0;
  let failures = 0;
  const work = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      failures += await compileTogether(batch);
      done += batch.length;
      console.log(`${done} of ${missing.length} compiled`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return failures;
}

function describeSpills({ hash, users }: Work): readonly string[] {
  const reports = JSON.parse(readFileSync(reportFile(hash), 'utf8')) as readonly KernelReport[];
  return reports.filter((each) => each.spillStores + each.spillLoads > 0).map((each) =>
    `${each.spillStores} bytes stored, ${each.spillLoads} loaded, ${each.registers} registers on ${each.architecture}: ${users.join('; ')} (${hash})`);
}

/** Whether the launch functions compile without a warning, and their header as C11 too. Kept like the kernels' reports. */
function launchersCompile({ name, artifact: { manifest } }: Compiled): boolean {
  const header = { [`${cudaPrefix(manifest)}.h`]: renderCudaHeader({ ...manifest, contentHash: '' }) };
  const files = { ...header, 'launchers.cu': renderCudaLaunchers(manifest) };
  const kept = reportFile(hashOf(...Object.values(files)));
  if (existsSync(kept)) return true;
  try {
    compileCuda(files, 'launchers.cu', architectures);
    const said = compileHost(['gcc', '-std=c11'], { ...header, 'user.c': `#include "${cudaPrefix(manifest)}.h"\nint main(void) { return 0; }\n` }, 'user.c');
    if (said !== '') throw new Error(said);
    writeFileSync(kept, '[]');
    return true;
  } catch (error) {
    console.log(`launch functions failed: ${name}\n${String(error).slice(0, 2000)}`);
    return false;
  }
}

if (compiler === '') {
  console.error('nvcc is not installed: nothing can be checked');
  process.exit(1);
}
mkdirSync(cache, { recursive: true });
const examples = readdirSync('examples').filter((each) => each.endsWith('.ssm')).map((each) => join('examples', each));
const compiled = compileFiles(positionals.length === 0 ? examples : positionals);
const all = distinctKernels(compiled);
const missing = all.filter((each) => !existsSync(reportFile(each.hash)));
console.log(`${all.length} distinct kernels, ${missing.length} to compile`);
const failures = await compileMissing(missing, Number(required(options.jobs, 'jobs')));
const wrong = compiled.filter((each) => !launchersCompile(each)).length;
const spills = all.filter((each) => existsSync(reportFile(each.hash))).flatMap(describeSpills);
spills.forEach((each) => console.log(each));
console.log(`${failures} kernels failed, ${spills.length} spills in ${all.length} kernels for ${architectures.length} architectures; `
  + `launch functions of ${compiled.length} artifacts, ${wrong} failed`);
process.exit(failures + wrong + spills.length === 0 ? 0 : 1);
