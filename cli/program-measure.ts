/** The commands that measure, `bench` and `tune`, with their options; and `--tuning` of those that use what was found. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { runBench, type BenchOptions } from './commands/bench.ts';
import { runTune, type TuneOptions } from './commands/tune.ts';
import type { Progress } from './compile-layer.ts';
import type { CommandEnvironment, ExitCode } from './environment.ts';

/** What the table of commands lends: options that several share, and how an action is run. */
export type CommandTools = {
  readonly environment: CommandEnvironment;
  readonly progress: Progress;
  readonly withLayer: (command: Command) => Command;
  readonly positiveInteger: (text: string) => number;
  readonly collect: (value: string, before: readonly string[]) => readonly string[];
  readonly example: (text: string) => string;
  readonly act: <Options extends { json?: boolean }>(name: string, options: Options, action: () => Promise<ExitCode>) => Promise<void>;
};

function seconds(text: string): number {
  const value = /^[0-9]{1,6}(\.[0-9]{1,3})?$/.test(text) ? Number(text) : 0;
  if (value <= 0) throw new InvalidArgumentError('write a positive number of seconds.');
  return value;
}

/** `--tuning FILE`: schedules that `tune` found. */
export function withTuning(command: Command): Command {
  return command.option('--tuning <file>', 'take the schedules that `statefuse tune` found');
}

function withShape(command: Command, { positiveInteger }: CommandTools): Command {
  return command
    .addOption(new Option('--device <device>', 'which device').choices(['wasm', 'webgpu', 'cuda']).default('wasm'))
    .addOption(new Option('--batch <number>', 'sequences').argParser(positiveInteger).default(1))
    .addOption(new Option('--length <number>', 'tokens').argParser(positiveInteger).default(1024))
    .addOption(new Option('--dtype <dtype>', 'storage of inputs and outputs').choices(['f32', 'f16', 'bf16']).default('f32'))
    .addOption(new Option('--seed <number>', 'of the numbers').argParser(positiveInteger).default(1));
}

/** Adds `bench` and `tune`. */
export function addMeasureCommands(program: Command, tools: CommandTools): void {
  const { environment, withLayer, positiveInteger, collect, example, act } = tools;
  withTuning(withShape(withLayer(program.command('bench').description('time a layer beside what the device can do at best').argument('<file>', 'text; `-` is the standard input')), tools))
    .addOption(new Option('--mode <mode>', 'how recurrences are evaluated').choices(['auto', 'recurrent', 'scan', 'conv']).default('auto'))
    .option('--entry <name>', 'only this entry point; may be repeated', collect, [])
    .addOption(new Option('--samples <number>', 'timed runs of each entry point').argParser(positiveInteger).default(50))
    .addHelpText('after', example('statefuse bench examples/s6.ssm --length 512 --size D=256'))
    .action((file: string, options: BenchOptions) => act('bench', options, () => runBench(environment, file, options, tools.progress)));
  withShape(withLayer(program.command('tune').description('search for faster schedules and keep them in a file').argument('<file>', 'text; `-` is the standard input')), tools)
    .addOption(new Option('--objective <what>', 'what is made fast: outputs, forward and backward, or one token').choices(['forward', 'training', 'step']).default('forward'))
    .addOption(new Option('--budget <seconds>', 'time for the search').argParser(seconds).default(60))
    .option('--cache <file>', 'where results are kept', '.statefuse/tuning.json')
    .option('--again', 'measure although the file knows the answer')
    .addHelpText('after', example('statefuse tune examples/s6.ssm --device webgpu --batch 8 --length 2048 --budget 120'))
    .action((file: string, options: TuneOptions) => act('tune', options, () => runTune(environment, file, options)));
}
