/** Runs a layer forward and backward again and again, as a training loop would, and compares or counts. */
import { readFileSync } from 'node:fs';
import type { ExecutionDevice, PreparedLayer } from '../../runtime/device.ts';
import type { RunResults } from '../generate/judge.ts';
import { compileCase, onDevice, runDevice } from '../generate/targets.ts';
import { subjectOf, type Mode, type Subject } from '../metamorphic/subjects.ts';

/** Examples with every kind of sum: over states, channels, batch and time. */
export function repeatedSubjects(): readonly Subject[] {
  const text = (name: string): string => readFileSync(new URL(`../../examples/${name}.ssm`, import.meta.url), 'utf8');
  return ['s6', 's5-reset', 's4d', 'mamba-block'].map((name) => subjectOf(name, text(name)));
}

/** Names of results whose bits differ. */
export function differences(left: RunResults, right: RunResults): readonly string[] {
  return [...left].flatMap(([key, { numbers }]) => (numbers.every((value, at) => Object.is(value, right.get(key)?.numbers[at])) ? [] : [key]));
}

/** Prepares a subject on a device and hands it over. */
export function withLayer<T>(device: ExecutionDevice, { made }: Subject, mode: Mode, use: (layer: PreparedLayer, run: () => Promise<RunResults>) => Promise<T>): Promise<T> {
  const compiled = compileCase(made, { target: device.info.target, mode });
  return onDevice(device, compiled, (layer) => use(layer, () => runDevice(made, layer)));
}
