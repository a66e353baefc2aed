/** What the page's panels share: the layer they are about, and how they are told of it. */
import type { TargetName } from '../../../backends/artifact.ts';
import type { LayerSpec } from '../../../dsl/spec.ts';
import type { LayerChoice, Mode } from '../services/protocol.ts';
import { makeSelect } from './dom.ts';

/** A layer without mistakes and the settings around it. */
export type Subject = {
  readonly choice: LayerChoice;
  readonly spec: LayerSpec;
  readonly mode: Mode;
  readonly batch: number;
  readonly length: number;
};

export type Panel = {
  readonly id: string;
  readonly title: string;
  readonly element: HTMLElement;
  /** called when the panel becomes visible, and when the subject changes while it is */
  readonly show: (subject: Subject) => void;
};

/** A choice among the targets that code is made for. */
export function makeTargetChoice(): {
  readonly element: HTMLSelectElement;
  readonly value: () => TargetName;
} {
  const names: readonly (readonly [TargetName, string])[] = [
    ['wgsl', 'WebGPU'],
    ['wasm', 'WebAssembly'],
    ['cuda', 'CUDA'],
  ];
  const element = makeSelect(names, 'wgsl');
  return { element, value: () => element.value as TargetName };
}

/**
 * Milliseconds that one answer of the compiler may take before its worker is started anew; millions of
 * parameters are drawn within.
 */
export const compileLimit = 45_000;
