/** How many workgroups a processor runs at once, as far as their shared memory decides it. */
import type { Machine } from './parameters.ts';

/** Workgroups with so much shared memory that a processor runs at once; no limit where the machine names none. */
export function residentWorkgroups(machine: Machine, bytes: number): number {
  return machine.residentSharedBytes === undefined || bytes === 0 ? Infinity : Math.floor(machine.residentSharedBytes / bytes);
}
