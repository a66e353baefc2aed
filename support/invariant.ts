/**
 * Internal errors. An invariant that fails is a bug of the compiler, never of the user's text:
 * it stops at once with the place and what was found (diagnostics are recorded, invariants thrown).
 */

export class InternalError extends Error {
  override readonly name = 'InternalError';
}

/** Throws an InternalError when `condition` is false. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}

/** Marks a branch that the type checker proves unreachable. */
export function assertNever(value: never, where: string): never {
  throw new InternalError(`unreachable case in ${where}: ${JSON.stringify(value)}`);
}

/** The value, or an InternalError that names what was missing. */
export function required<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new InternalError(`missing ${what}`);
  return value;
}
