/** Runs a command line in this process and keeps what it wrote. */
import { runCommandLine } from '../../cli/program.ts';
import type { CommandEnvironment, ExitCode } from '../../cli/environment.ts';

export type CommandRun = { readonly code: ExitCode; readonly output: string; readonly error: string };

export type CommandSetting = { readonly directory?: string; readonly input?: string; readonly variables?: CommandEnvironment['variables'] };

export async function runCommand(parameters: readonly string[], setting: CommandSetting = {}): Promise<CommandRun> {
  const written = { output: '', error: '' };
  const code = await runCommandLine(parameters, {
    writeOutput: (text) => void (written.output += text),
    writeError: (text) => void (written.error += text),
    readInput: () => Promise.resolve(new TextEncoder().encode(setting.input ?? '')),
    variables: setting.variables ?? {},
    directory: setting.directory ?? process.cwd(),
    isTerminal: { output: false, error: false },
  });
  return { code, ...written };
}
