/**
 * Tensors of 16-bit floats in WGSL, which has no such storage everywhere (bf16 nowhere): a buffer is
 * words of two elements, read and written by two functions per buffer. Two invocations may store the
 * halves of one word at a time, so a store clears and sets its half atomically; whatever the order, each
 * half ends up with its own bits. Rounding is to nearest even in integers, since WGSL leaves the rounding
 * of its own conversions open.
 */
import type { Kernel, Buffer } from '../../ir/kernel/nodes.ts';
import { required } from '../../support/invariant.ts';
import type { KernelNames } from '../print/names.ts';

/** Names of the functions that read and write one buffer. */
export type HalfNames = { readonly load: string; readonly store: string };

/** True for buffers whose elements are 16-bit floats. */
export function isHalf(buffer: Buffer): boolean {
  return buffer.storage === 'f16' || buffer.storage === 'bf16';
}

/** Names for the functions of all buffers of 16-bit floats. */
export function nameHalves(kernel: Kernel, names: KernelNames): (buffer: Buffer) => HalfNames {
  const made = new Map(kernel.buffers.filter(isHalf).map((each): readonly [number, HalfNames] =>
    [each.id, { load: names.namer.fresh(`load_${each.name}`), store: names.namer.fresh(`store_${each.name}`) }]));
  return (buffer) => required(made.get(buffer.id), `functions of ${buffer.name}`);
}

const toFloat: Readonly<Record<'f16' | 'bf16', string>> = {
  f16: 'unpack2x16float(half).x',
  bf16: 'bitcast<f32>(half << 16u)',
};

/** Statements that end with the low 16 bits of `half` set from `value`. */
const fromFloat: Readonly<Record<'f16' | 'bf16', readonly string[]>> = {
  bf16: [
    '  let bits = bitcast<u32>(value);',
    '  let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;',
    '  let half = select(rounded, 0x7fc0u, (bits & 0x7fffffffu) > 0x7f800000u);',
  ],
  f16: [
    '  let bits = bitcast<u32>(value);',
    '  let size = bits & 0x7fffffffu;',
    '  let normal = (size - 0x38000000u + 0xfffu + ((size >> 13u) & 1u)) >> 13u;',
    '  // below the normal numbers: the unit in the last place of 1/2 + x is the least half',
    '  let small = bitcast<u32>(0.5f + bitcast<f32>(min(size, 0x38800000u))) - 0x3f000000u;',
    '  let finite = select(normal, small, size < 0x38800000u);',
    '  let limited = select(finite, 0x7c00u, size >= 0x477ff000u);',
    '  let half = select(limited, 0x7e00u, size > 0x7f800000u) | ((bits >> 16u) & 0x8000u);',
  ],
};

function functionsOf(buffer: Buffer, name: string, { load, store }: HalfNames): readonly string[] {
  const storage = buffer.storage === 'f16' ? 'f16' : 'bf16';
  const isRead = buffer.access !== 'write';
  const word = buffer.access === 'read' ? `${name}[place / 2u]` : `atomicLoad(&${name}[place / 2u])`;
  const reading = [
    `fn ${load}(index: i32) -> f32 {`,
    '  let place = u32(index);',
    `  let half = (${word} >> (16u * (place % 2u))) & 0xffffu;`,
    `  return ${toFloat[storage]};`,
    '}',
  ];
  const writing = [
    `fn ${store}(index: i32, value: f32) {`,
    '  let place = u32(index);',
    ...fromFloat[storage],
    '  let shift = 16u * (place % 2u);',
    `  atomicAnd(&${name}[place / 2u], ~(0xffffu << shift));`,
    `  atomicOr(&${name}[place / 2u], half << shift);`,
    '}',
  ];
  return ['', ...(isRead ? reading : []), ...(buffer.access === 'read' ? [] : writing)];
}

/** The functions of all buffers of 16-bit floats, as lines of the module. */
export function halfLines(kernel: Kernel, names: KernelNames, halves: (buffer: Buffer) => HalfNames): readonly string[] {
  return kernel.buffers.filter(isHalf).flatMap((each) => functionsOf(each, names.of(each.id), halves(each)));
}
