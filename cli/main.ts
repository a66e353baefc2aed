#!/usr/bin/env node
/** The program `statefuse`: connects the command line to this process. */
import { exitCodes, type CommandEnvironment } from './environment.ts';
import { runCommandLine } from './program.ts';

async function readAllInput(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

/** Commands that keep what they have when they are interrupted; a second interrupt ends the process. */
const interruptHandlers = new Set<() => void>();

const environment: CommandEnvironment = {
  writeOutput: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
  readInput: readAllInput,
  variables: process.env,
  directory: process.cwd(),
  isTerminal: { output: process.stdout.isTTY === true, error: process.stderr.isTTY === true },
  onInterrupt: (handler) => {
    interruptHandlers.add(handler);
    return () => void interruptHandlers.delete(handler);
  },
};

// a reader that has seen enough (`| head`) is no error
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.on('SIGINT', () => {
  if (interruptHandlers.size === 0) process.exit(exitCodes.interrupted);
  interruptHandlers.forEach((handler) => handler());
  interruptHandlers.clear();
});
process.exitCode = await runCommandLine(process.argv.slice(2), environment);
