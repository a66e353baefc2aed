/**
 * Every kernel that any example emits, in every mode and on every machine's schedules, forward,
 * backward and step: run with shuffled invocations and workgroups by the sanitizing interpreter (no
 * race, nothing out of bounds, no unwritten read, no divergent barrier, no incomplete result), and
 * equal to the independent oracle, at lengths around intervals, pieces and tiles.
 */
import { describe, expect, it } from 'vitest';
import { kernelCases, kernelConfigurations, lengthsOf, plansOf, runCase } from '../support/kernel-cases.ts';

describe.each([...new Set(kernelConfigurations.map((each) => each.name))])('%s', (configuration) => {
  const cases = kernelCases.filter((each) => each.configuration.name === configuration);

  it.each(cases.map((each) => [each.layer.name, each] as const))('%s', (_name, each) => {
    const plans = plansOf(each);
    for (const length of lengthsOf(each)) {
      const entries = runCase(each, plans, length);
      expect(entries.slice(0, 4)).toEqual(['forward', 'forwardSaved', 'backward', 'backwardFinal']);
    }
  });
});
