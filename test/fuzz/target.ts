/**
 * What every fuzzer checks of everything it runs: that it ends soon, that failures are diagnostics which
 * say where and what to do, and that nothing of the process was changed on the way.
 */
import fc from 'fast-check';
import { diagnosticCodes } from '../../support/diagnostic-codes.ts';
import { SsmError, type Diagnostic } from '../../support/diagnostic.ts';
import { diagnosticToJson, renderDiagnostics } from '../../support/render-diagnostic.ts';

/** One fuzzer: its inputs and what must hold for each. `check` throws where it does not. */
export type FuzzTarget = {
  readonly name: string;
  /** inputs of the run in CI; a campaign takes as many as there is time for */
  readonly runs: number;
  /** time that one input may take; absent: a second */
  readonly milliseconds?: number;
  /** runs `count` inputs, or until the time is over; throws with seed and smallest input */
  readonly fuzz: (limits: FuzzLimits) => Promise<FuzzOutcome>;
};

export type FuzzLimits = { readonly seed: number; readonly runs: number; readonly milliseconds?: number; readonly onInput?: () => void };

export type FuzzOutcome = { readonly runs: number; readonly failure: string | null };

export type FuzzParts<Input> = {
  readonly name: string;
  readonly runs: number;
  readonly milliseconds?: number;
  readonly inputs: () => fc.Arbitrary<Input>;
  readonly check: (input: Input) => unknown;
};

const mostMessages = 20;

/** Names of what all objects inherit, and of what the global object has. */
function globalNames(): string {
  return [Object.prototype, Array.prototype, Function.prototype, globalThis].map((each) => Reflect.ownKeys(each).map(String).sort().join()).join('\n');
}

/** A fuzzer over the inputs of an arbitrary. */
export function fuzzTarget<Input>({ name, runs, milliseconds = 1000, inputs, check }: FuzzParts<Input>): FuzzTarget {
  let arbitrary: fc.Arbitrary<Input> | null = null;
  const fuzz = async (limits: FuzzLimits): Promise<FuzzOutcome> => {
    arbitrary ??= inputs();
    const before = globalNames();
    const property = fc.asyncProperty(arbitrary, async (input) => {
      limits.onInput?.();
      const start = process.cpuUsage();
      await check(input);
      const { user, system } = process.cpuUsage(start);
      if ((user + system) / 1000 > milliseconds) throw new Error(`took ${(user + system) / 1000} ms, may take ${milliseconds}`);
    });
    const details = await fc.check(property, {
      seed: limits.seed, numRuns: limits.runs, ...(limits.milliseconds === undefined ? {} : { interruptAfterTimeLimit: limits.milliseconds }),
    });
    if (globalNames() !== before) return { runs: details.numRuns, failure: `${name}: what all objects inherit was changed (seed ${limits.seed})` };
    return { runs: details.numRuns, failure: details.failed && !isInterrupted(details) ? describe(name, details) : null };
  };
  return { name, runs, milliseconds, fuzz };
}

function isInterrupted<Input>(details: fc.RunDetails<[Input]>): boolean {
  return details.interrupted && details.counterexample === null;
}

function describe<Input>(name: string, details: fc.RunDetails<[Input]>): string {
  const error = details.errorInstance;
  const shown = fc.stringify(details.counterexample?.[0]);
  return [
    `${name}: seed ${details.seed}, path ${details.counterexamplePath ?? ''}, after ${details.numRuns} inputs`,
    `input: ${shown.length > 3000 ? `${shown.slice(0, 3000)}…` : shown}`,
    error instanceof Error ? String(error.stack) : String(error),
  ].join('\n');
}

/** Throws unless the message is one that a user can act on. */
export function checkDiagnostic(diagnostic: Diagnostic, textLength: number | null): void {
  const { code, message, primary, severity, help } = diagnostic;
  const problem = (what: string): Error => new Error(`${code}: ${message}\n${what}`);
  if (!Object.hasOwn(diagnosticCodes, code)) throw problem('has a code that is not registered');
  if (code === 'SSM9001') throw problem('is an internal error');
  if (message.trim() === '' || /undefined|\[object|function \(|\bat .*:\d+:\d+/.test(message)) throw problem('has no message for people');
  if (textLength === null) return;
  if (primary === null) throw problem('has no place');
  const { start, end } = primary.span;
  if (!(start >= 0 && start <= end && end <= Math.max(1, textLength))) throw problem(`its place ${start}..${end} is not in the text of ${textLength}`);
  if (severity === 'error' && (help === null || help === '')) throw problem('has no help');
}

/** The diagnostics of one run over one text. */
export function checkDiagnostics(diagnostics: readonly Diagnostic[], textLength: number | null): void {
  if (diagnostics.length > mostMessages) throw new Error(`${diagnostics.length} messages`);
  for (const each of diagnostics) {
    checkDiagnostic(each, textLength);
    JSON.stringify(diagnosticToJson(each));
  }
  const rendered = renderDiagnostics(diagnostics, { color: false });
  if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/.test(rendered)) throw new Error(`a message steers the terminal: ${JSON.stringify(rendered)}`);
}

/** Runs something that may refuse its input; false where it did, with diagnostics that are sound. */
export async function accepts(run: () => unknown, textLength: number | null = null): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (!(error instanceof SsmError)) throw error;
    if (error.diagnostics.length === 0) throw new Error('refused without a diagnostic', { cause: error });
    checkDiagnostics(error.diagnostics, textLength);
    return false;
  }
}
