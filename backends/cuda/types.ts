/** CUDA C++ names of the element and storage types; the launch header and the printer share them. */
import type { KernelType, StorageType } from '../../ir/kernel/nodes.ts';

/** Element types in registers. */
export const elementNames: Readonly<Record<KernelType['element'], string>> = {
  f32: 'float', f64: 'double', i32: 'int', u32: 'unsigned int', bool: 'bool',
};

/** Element types in memory. */
export const storageNames: Readonly<Record<StorageType, string>> = {
  f32: 'float', f64: 'double', f16: '__half', bf16: '__nv_bfloat16',
  i32: 'int', u32: 'unsigned int', i8: 'signed char', u8: 'unsigned char',
};

/** Element types in memory as the C header names them; C has no 16-bit floats, it passes their bits. */
export const headerTypes: Readonly<Record<StorageType, string>> = { ...storageNames, f16: 'uint16_t', bf16: 'uint16_t' };

/** Headers that a storage type needs; CUDA has the other types built in. */
export function storageHeaders(storages: Iterable<StorageType>): readonly string[] {
  const all = new Set(storages);
  return [
    ...(all.has('f16') ? ['#include <cuda_fp16.h>'] : []),
    ...(all.has('bf16') ? ['#include <cuda_bf16.h>'] : []),
  ];
}

/** `float` or `sf_vector<float, 4>`. */
export function typeName(type: KernelType): string {
  const element = elementNames[type.element];
  return type.width === 1 ? element : `sf_vector<${element}, ${type.width}>`;
}
