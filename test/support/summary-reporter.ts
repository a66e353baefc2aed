/**
 * The last line of a full test run: `N passed, N failed, N skipped`, alone on its line, for people and
 * scripts. Files that do not load and errors outside of tests count as failures.
 */
import type { Reporter, TestModule } from 'vitest/node';

/** Vitest calls a reporter's default export with `new`; a function that returns an object serves. */
export function createSummaryReporter(): Reporter {
  return { onTestRunEnd: writeCounts };
}

function writeCounts(modules: readonly TestModule[], errors: readonly unknown[]): void {
  const counts = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
  for (const module of modules) {
    counts.failed += module.errors().length;
    for (const test of module.children.allTests()) counts[test.result().state]++;
  }
  process.stdout.write(`\n${counts.passed} passed, ${counts.failed + counts.pending} failed, ${counts.skipped} skipped\n`);
}

export { createSummaryReporter as default };
