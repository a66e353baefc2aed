/**
 * What a command may touch of the process, as one value, so that tests run commands in the same
 * process and look at what they wrote.
 */

export type CommandEnvironment = {
  /** results */
  readonly writeOutput: (text: string) => void;
  /** diagnostics and talk */
  readonly writeError: (text: string) => void;
  readonly readInput: () => Promise<Uint8Array>;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** relative paths start here */
  readonly directory: string;
  /** ends commands that would go on until interrupted */
  readonly signal?: AbortSignal;
  readonly isTerminal: { readonly output: boolean; readonly error: boolean };
  /** calls `handler` instead of ending the process when the user interrupts; returns how to undo that */
  readonly onInterrupt?: (handler: () => void) => () => void;
};

/** Exit codes, the same for every command. */
export const exitCodes = {
  success: 0,
  diagnostics: 1,
  usage: 2,
  /** no such device, or a target that cannot hold the layer */
  unsupported: 3,
  internal: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Colour for one of the streams: NO_COLOR forbids it, FORCE_COLOR asks for it, else terminals have it. */
export function usesColor(environment: CommandEnvironment, stream: 'output' | 'error'): boolean {
  const { NO_COLOR: forbidden, FORCE_COLOR: forced } = environment.variables as { NO_COLOR?: string; FORCE_COLOR?: string };
  if (forbidden !== undefined && forbidden !== '') return false;
  if (forced !== undefined && forced !== '' && forced !== '0') return true;
  return environment.isTerminal[stream];
}

/** Level of STATEFUSE_DEBUG: 0 when unset. 1 decisions, 4 generated source, 5 Tensor IR and Kernel IR. */
export function debugLevel(environment: CommandEnvironment): number {
  const level = Number(environment.variables['STATEFUSE_DEBUG'] ?? '0');
  return Number.isInteger(level) && level > 0 ? level : 0;
}

/** A wrong command line: a message for people, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
