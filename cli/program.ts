/** The command line as a table of commands with their options and one example each. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { compilerVersion } from '../backends/compile.ts';
import { runCheck, type CheckOptions } from './commands/check.ts';
import { runCompile, type CompileCommandOptions } from './commands/compile.ts';
import { runCompileTorch, type TorchOptions } from './commands/compile-torch.ts';
import { runCompileTypescript, type TypescriptOptions } from './commands/compile-typescript.ts';
import { runDevices, type DevicesOptions } from './commands/devices.ts';
import { runExplain, type ExplainOptions } from './commands/explain.ts';
import { runFormat, type FormatOptions } from './commands/format.ts';
import { runReduce, type ReduceOptions } from './commands/reduce.ts';
import { runRun, type RunOptions } from './commands/run.ts';
import { runVerify, type VerifyOptions } from './commands/verify.ts';
import { passNames, type Progress } from './compile-layer.ts';
import { exitCodes, usesColor, type CommandEnvironment, type ExitCode } from './environment.ts';
import { reportFailure } from './output.ts';
import { addMeasureCommands, withTuning } from './program-measure.ts';

function positiveInteger(text: string): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw new InvalidArgumentError('write a positive whole number.');
  return value;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function withLayer(command: Command): Command {
  return command
    .option('--layer <name>', 'the layer to take (default: the last one of the file)')
    .option('--size <axis=number>', 'size of an axis instead of its default, e.g. D=64; may be repeated', collect, [])
    .option('--json', 'one JSON document on the output');
}

function withCompiler(command: Command, hosts: readonly string[] = []): Command {
  return command
    .addOption(new Option('--target <target>', 'what the kernels are for').choices(['wasm', 'wgsl', 'cuda', ...hosts]).default('wasm'))
    .addOption(new Option('--mode <mode>', 'how recurrences are evaluated').choices(['auto', 'recurrent', 'scan', 'conv']).default('auto'))
    .addOption(new Option('--dtype <dtype>', 'storage of inputs and outputs; states and parameters stay f32').choices(['f32', 'f16', 'bf16']).default('f32'))
    .option('--dump-after <pass>', `print the IR after a pass, or \`all\` (${passNames.join(', ')})`)
    .option('--dump-dir <folder>', 'write dumps there instead of the error stream')
    .option('--stop-after <pass>', 'run no further than this pass');
}

function withTensors(command: Command): Command {
  return command
    .option('--inputs <file>', 'safetensors with inputs, and parameters, states (`x`) and gradients (`d.y`, `d.x.final`) if you like')
    .option('--params <file>', 'safetensors with parameters; those not given come from their initialisers')
    .option('--initial <file>', 'safetensors with initial states, or what a run wrote; those not given are zero')
    .option('--input <name=file.npy>', 'one tensor, as in `--inputs`; may be repeated', collect, [])
    .option('--param <name=file.npy>', 'one parameter; may be repeated', collect, [])
    .option('--state <name=file.npy>', 'one initial state; may be repeated', collect, [])
    .requiredOption('--out <path>', 'a .safetensors file, or a folder for .npy files')
    .option('--gradients', 'gradients too, from the `d.<output>` that are given')
    .addOption(new Option('--batch <number>', 'sequences, where no tensor tells').argParser(positiveInteger))
    .addOption(new Option('--length <number>', 'tokens, where no tensor tells').argParser(positiveInteger))
    .addOption(new Option('--seed <number>', 'of the initialisers').argParser(positiveInteger).default(1))
    .addOption(new Option('--device <device>', 'which device').choices(['wasm', 'webgpu', 'cuda']).default('wasm'))
    .addOption(new Option('--mode <mode>', 'how recurrences are evaluated').choices(['auto', 'recurrent', 'scan', 'conv']).default('auto'));
}

function example(text: string): string {
  return `\nExample:\n  ${text}\n`;
}

type Run = { code: ExitCode; json: boolean; command: string; readonly progress: Progress };

function addCommands(program: Command, environment: CommandEnvironment, run: Run): void {
  const act = <Options extends { json?: boolean }>(name: string, options: Options, action: () => Promise<ExitCode>): Promise<void> => {
    run.command = name;
    run.json = options.json === true;
    return action().then((code) => void (run.code = code));
  };
  withLayer(program.command('check').description('check layers and report every mistake').argument('<file...>', 'texts; `-` is the standard input'))
    .option('--watch', 'check again after each change, until interrupted')
    .addHelpText('after', example('statefuse check examples/*.ssm'))
    .action((files: string[], options: CheckOptions) => act('check', options, () => runCheck(environment, files, options)));
  program.command('format').description('give texts their one layout, in place').argument('<file...>', 'texts; `-` takes the standard input to the output')
    .option('--check', 'write nothing; name the texts that would change and end with 1')
    .option('--json', 'one JSON document on the output')
    .addHelpText('after', example('statefuse format examples/*.ssm --check'))
    .action((files: string[], options: FormatOptions) => act('format', options, () => runFormat(environment, files, options)));
  withTuning(withCompiler(withLayer(program.command('compile').description('write kernels and their manifest, or a module that carries them').argument('<file>', 'text; `-` is the standard input')), ['ts', 'torch']))
    .option('--out-dir <folder>', 'where the files go')
    .addOption(new Option('--batch <number>', 'sequences to expect: time is cut where so few leave a GPU empty; other sizes run too').argParser(positiveInteger))
    .addOption(new Option('--length <number>', 'tokens to expect, with --batch').argParser(positiveInteger))
    .addOption(new Option('--emit <form>', 'form of the module of `--target ts`; `types` declares what a bundler plugin imports').choices(['ts', 'js', 'types']).default('ts'))
    .addOption(new Option('--carry <target...>', 'for which devices that module has kernels (default: wasm and wgsl)').choices(['wasm', 'wgsl', 'cuda']).default([]))
    .addOption(new Option('--dtypes <dtype...>', 'input types that a package of `--target torch` has kernels for (default: all)').choices(['f32', 'bf16', 'f16']).default([]))
    .option('--name <name>', 'call a package of `--target torch` after this, not after the layer')
    .addOption(new Option('--seed <number>', 'let that module carry initial parameters of this seed').argParser(positiveInteger))
    .addHelpText('after', example('statefuse compile examples/s6.ssm --target wgsl --size D=64 --out-dir build'))
    .action((file: string, options: CompileCommandOptions | (TypescriptOptions & { readonly target: 'ts' }) | (TorchOptions & { readonly target: 'torch' })) => act('compile', options, () => {
      if (options.target === 'ts') return runCompileTypescript(environment, file, options);
      if (options.target === 'torch') return runCompileTorch(environment, file, options, run.progress);
      return runCompile(environment, file, options, run.progress);
    }));
  withTuning(withCompiler(withLayer(program.command('explain').description('say what was read, what is legal, and what will run').argument('<file>', 'text; `-` is the standard input'))))
    .addOption(new Option('--batch <number>', 'sequences to expect (costs without them: for 8)').argParser(positiveInteger))
    .addOption(new Option('--length <number>', 'tokens to expect, with --batch (costs without them: for 2048)').argParser(positiveInteger))
    .addHelpText('after', example('statefuse explain examples/s6.ssm --target wgsl'))
    .action((file: string, options: ExplainOptions) => act('explain', options, () => runExplain(environment, file, options, run.progress)));
  withLayer(program.command('verify').description('compare devices and modes with a float64 reference').argument('<file>', 'text; `-` is the standard input'))
    .addOption(new Option('--device <device>', 'which device').choices(['wasm', 'webgpu', 'cuda', 'all']).default('all'))
    .addOption(new Option('--mode <mode>', 'which mode').choices(['recurrent', 'scan', 'conv', 'all']).default('all'))
    .addOption(new Option('--batch <number>', 'sequences').argParser(positiveInteger).default(2))
    .addOption(new Option('--length <number>', 'tokens').argParser(positiveInteger).default(37))
    .addOption(new Option('--seed <number>', 'of the random numbers').argParser(positiveInteger).default(1))
    .option('--full', 'keep declared sizes; otherwise axes are cut to at most 12')
    .addHelpText('after', example('statefuse verify examples/s6.ssm --device wasm'))
    .action((file: string, options: VerifyOptions) => act('verify', options, () => runVerify(environment, file, options, run.progress)));
  withLayer(program.command('reduce').description('make a text that verify or the compiler fails on as small as it still fails').argument('<file>', 'text; `-` is the standard input'))
    .addOption(new Option('--device <device>', 'where it fails').choices(['wasm', 'webgpu', 'cuda']).default('wasm'))
    .addOption(new Option('--batch <number>', 'sequences').argParser(positiveInteger).default(2))
    .addOption(new Option('--length <number>', 'tokens').argParser(positiveInteger).default(37))
    .addOption(new Option('--seed <number>', 'of the random numbers').argParser(positiveInteger).default(1))
    .addOption(new Option('--tries <number>', 'most texts to try').argParser(positiveInteger).default(500))
    .addHelpText('after', example('statefuse reduce failing.ssm > smaller.ssm'))
    .action((file: string, options: ReduceOptions) => act('reduce', options, () => runReduce(environment, file, options)));
  withTuning(withTensors(withLayer(program.command('run').description('run a layer on tensors of files').argument('<file>', 'text; `-` is the standard input'))))
    .addHelpText('after', example('statefuse run examples/s4d.ssm --inputs in.safetensors --out out.safetensors --size D=64'))
    .action((file: string, options: RunOptions) => act('run', options, () => runRun(environment, file, options, run.progress)));
  addMeasureCommands(program, { environment, progress: run.progress, withLayer, positiveInteger, collect, example, act });
  program.command('devices').description('list what can run layers on this machine')
    .option('--json', 'one JSON document on the output')
    .addHelpText('after', example('statefuse devices --json'))
    .action((options: DevicesOptions) => act('devices', options, () => runDevices(environment, options)));
}

/** Runs one command line (without the program's own name) and gives the exit code; never throws. */
export async function runCommandLine(parameters: readonly string[], environment: CommandEnvironment): Promise<ExitCode> {
  const run: Run = { code: exitCodes.success, json: false, command: 'statefuse', progress: { pass: null } };
  const program = new Command('statefuse')
    .description('A compiler for state-space layers: kernels for WebGPU, CUDA and WebAssembly from one short text.')
    .version(compilerVersion, '--version')
    .showHelpAfterError('(add --help for the options)')
    .exitOverride()
    .configureOutput({
      writeOut: environment.writeOutput, writeErr: environment.writeError,
      getOutHasColors: () => usesColor(environment, 'output'), getErrHasColors: () => usesColor(environment, 'error'),
    })
    .addHelpText('after', '\nExample:\n  statefuse explain examples/s6.ssm\n\nExit codes: 0 success, 1 diagnostics, 2 usage, 3 no device or unsupported target, 4 internal error, 130 interrupted');
  addCommands(program, environment, run);
  try {
    await program.parseAsync(parameters, { from: 'user' });
    return run.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
    return reportFailure(environment, { error, command: run.command, pass: run.progress.pass, json: run.json });
  }
}
