/**
 * Device functions that the printed kernels call: the hardware's exp2, short vectors with operators,
 * and vector loads and stores of every storage type. Each is a fragment of its own behind an include
 * guard; a kernel's text carries only those it uses, and kernels can be joined in one file.
 *
 * Accuracy. `sf_exp2` is one ex2.approx.ftz.f32: at most 2 ulp over the full range, results below
 * 2^-126 become 0. `sf_divide` of floats is one reciprocal and a product (div.approx.ftz.f32): 2 ulp, 0 where
 * the divisor exceeds 2^126, as WGSL allows (2.5 ulp); the rounded division is a subroutine of some twenty
 * instructions, and without flushing subnormal numbers the quick one is scaled by four more. Base-2 logarithms are log2f (1 ulp): lg2.approx has an absolute error near 2^-22
 * around 1, which a softplus of a small step size would turn into a relative error of 10^-4.
 */
import { required } from '../../support/invariant.ts';
import type { BinaryOperator, StorageType, UnaryOperator } from '../../ir/kernel/nodes.ts';
import { storageHeaders, storageNames } from './types.ts';

/** Name of a fragment: a helper of its own, an operator on vectors, or access to one storage type. */
export type FragmentName =
  | 'exp2' | 'divide' | 'vector' | 'splat' | 'select' | 'convert' | 'shuffle' | 'bitcast' | 'horizontal-add' | 'shared neighbours'
  | `unary ${UnaryOperator}` | `binary ${BinaryOperator}`
  /** vector access to elements at an aligned index, and at any index */
  | `${'load' | 'store' | 'gather' | 'scatter'} ${StorageType}`;

const device = '__device__ __forceinline__';
const vectors = 'template <typename Element, int width>';
const vector = 'sf_vector<Element, width>';

const exp2 = `${device} float sf_exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
${device} double sf_exp2(double x) { return exp2(x); }`;

const divide = `template <typename Element>
${device} Element sf_divide(Element left, Element right) { return left / right; }
template <>
${device} float sf_divide(float left, float right) {
  float result;
  asm("div.approx.ftz.f32 %0, %1, %2;" : "=f"(result) : "f"(left), "f"(right));
  return result;
}`;

const vectorType = `${vectors}
struct alignas(width * sizeof(Element)) sf_vector {
  Element lane[width];
};
template <typename Element, typename... Others>
${device} sf_vector<Element, 1 + sizeof...(Others)> sf_compose(Element first, Others... others) {
  return {{first, others...}};
}`;

const splat = `template <int width, typename Element>
${device} ${vector} sf_splat(Element value) {
  ${vector} result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = value;
  return result;
}`;

const select = `${vectors}
${device} ${vector} sf_select(sf_vector<bool, width> condition, ${vector} yes, ${vector} no) {
  ${vector} result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = condition.lane[i] ? yes.lane[i] : no.lane[i];
  return result;
}`;

const convert = `template <typename To, typename Element, int width>
${device} sf_vector<To, width> sf_convert(${vector} value) {
  sf_vector<To, width> result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = static_cast<To>(value.lane[i]);
  return result;
}`;

const bitcast = `template <typename To, typename From>
${device} To sf_bitcast(From value) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To result;
  memcpy(&result, &value, sizeof(To));
  return result;
}`;

const shuffle = `${vectors}
${device} ${vector} sf_shuffle_xor(unsigned int lanes, ${vector} value, int mask) {
  ${vector} result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = __shfl_xor_sync(lanes, value.lane[i], mask);
  return result;
}`;

const horizontalAdd = `template <typename Element>
${device} Element sf_horizontal_add(sf_vector<Element, 2> value) { return value.lane[0] + value.lane[1]; }
template <typename Element>
${device} Element sf_horizontal_add(sf_vector<Element, 4> value) {
  return (value.lane[0] + value.lane[2]) + (value.lane[1] + value.lane[3]);
}`;

function lanewise(result: string, name: string, parameters: readonly string[], expression: string): string {
  const list = parameters.map((each) => `${vector} ${each}`).join(', ');
  return `${vectors}
${device} sf_vector<${result}, width> ${name}(${list}) {
  sf_vector<${result}, width> result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = ${expression};
  return result;
}`;
}

const unaryVectors: Readonly<Record<UnaryOperator, string>> = {
  negate: lanewise('Element', 'operator-', ['x'], '-x.lane[i]'),
  not: lanewise('bool', 'operator!', ['x'], '!x.lane[i]'),
  absolute: lanewise('Element', 'sf_absolute', ['x'], 'abs(x.lane[i])'),
  floor: lanewise('Element', 'sf_floor', ['x'], 'floor(x.lane[i])'),
  'square-root': lanewise('Element', 'sf_square_root', ['x'], 'sqrt(x.lane[i])'),
  exp2: lanewise('Element', 'sf_exp2', ['x'], 'sf_exp2(x.lane[i])'),
  log2: lanewise('Element', 'sf_log2', ['x'], 'log2(x.lane[i])'),
  sine: lanewise('Element', 'sf_sine', ['x'], 'sin(x.lane[i])'),
  cosine: lanewise('Element', 'sf_cosine', ['x'], 'cos(x.lane[i])'),
};

function infix(symbol: string, result = 'Element'): string {
  return lanewise(result, `operator${symbol}`, ['a', 'b'], `a.lane[i] ${symbol} b.lane[i]`);
}

const binaryVectors: Readonly<Record<BinaryOperator, string>> = {
  add: infix('+'), subtract: infix('-'), multiply: infix('*'), divide: lanewise('Element', 'operator/', ['a', 'b'], 'sf_divide(a.lane[i], b.lane[i])'), remainder: infix('%'),
  minimum: lanewise('Element', 'sf_minimum', ['a', 'b'], 'min(a.lane[i], b.lane[i])'),
  maximum: lanewise('Element', 'sf_maximum', ['a', 'b'], 'max(a.lane[i], b.lane[i])'),
  'shift-left': infix('<<'), 'shift-right': infix('>>'), 'bit-and': infix('&'), 'bit-or': infix('|'),
  less: infix('<', 'bool'), 'less-equal': infix('<=', 'bool'), equal: infix('==', 'bool'), 'not-equal': infix('!=', 'bool'),
  and: infix('&&', 'bool'), or: infix('||', 'bool'),
};

type Access = {
  /** element type in registers */
  readonly element: string;
  readonly read: string;
  readonly write: string;
  /** built-in vector types whose load is one access, by width, with the number of elements in each */
  readonly wide: Readonly<Record<2 | 4, string>>;
  readonly accesses: 1 | 2;
};

function plain(element: string, wide: Access['wide'], accesses: 1 | 2 = 1): Access {
  return { element, read: 'value', write: 'value', wide, accesses };
}

const accessOf: Readonly<Record<StorageType, Access>> = {
  f32: plain('float', { 2: 'float2', 4: 'float4' }),
  i32: plain('int', { 2: 'int2', 4: 'int4' }),
  u32: plain('unsigned int', { 2: 'uint2', 4: 'uint4' }),
  f64: plain('double', { 2: 'double2', 4: 'double2' }, 2),
  f16: { element: 'float', read: '__half2float(value)', write: '__float2half_rn(value)', wide: { 2: 'unsigned int', 4: 'uint2' }, accesses: 1 },
  bf16: { element: 'float', read: '__bfloat162float(value)', write: '__float2bfloat16_rn(value)', wide: { 2: 'unsigned int', 4: 'uint2' }, accesses: 1 },
  i8: { ...plain('int', { 2: 'char2', 4: 'char4' }), write: 'static_cast<signed char>(value)' },
  u8: { ...plain('int', { 2: 'uchar2', 4: 'uchar4' }), write: 'static_cast<unsigned char>(value)' },
};

function bodyForWidth(access: Access, storage: string, width: 2 | 4, direction: 'load' | 'store'): string {
  const wide = access.wide[width];
  const count = width === 4 ? access.accesses : 1;
  const move = Array.from({ length: count }, (_, at) =>
    (direction === 'load'
      ? `    wide[${at}] = reinterpret_cast<const ${wide}*>(from)[${at}];`
      : `    reinterpret_cast<${wide}*>(to)[${at}] = wide[${at}];`)).join('\n');
  return direction === 'load'
    ? `    ${wide} wide[${count}];\n${move}\n    memcpy(stored, wide, width * sizeof(${storage}));`
    : `    ${wide} wide[${count}];\n    memcpy(wide, stored, width * sizeof(${storage}));\n${move}`;
}

function loadOf(storage: StorageType): string {
  const access = accessOf[storage];
  const name = storageNames[storage];
  return `${device} ${access.element} sf_read(${name} value) { return ${access.read}; }
template <int width>
${device} sf_vector<${access.element}, width> sf_load_aligned(const ${name}* from) {
  ${name} stored[width];
  if constexpr (width == 2) {
${bodyForWidth(access, name, 2, 'load')}
  } else {
${bodyForWidth(access, name, 4, 'load')}
  }
  sf_vector<${access.element}, width> result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = sf_read(stored[i]);
  return result;
}`;
}

function storeOf(storage: StorageType): string {
  const access = accessOf[storage];
  const name = storageNames[storage];
  return `${device} void sf_write(${name}* to, ${access.element} value) { *to = ${access.write}; }
template <int width>
${device} void sf_store_aligned(${name}* to, sf_vector<${access.element}, width> value) {
  ${name} stored[width];
#pragma unroll
  for (int i = 0; i < width; ++i) sf_write(stored + i, value.lane[i]);
  if constexpr (width == 2) {
${bodyForWidth(access, name, 2, 'store')}
  } else {
${bodyForWidth(access, name, 4, 'store')}
  }
}`;
}

function gatherOf(storage: StorageType): string {
  const { element } = accessOf[storage];
  return `template <int width>
${device} sf_vector<${element}, width> sf_load(const ${storageNames[storage]}* from) {
  sf_vector<${element}, width> result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.lane[i] = sf_read(from[i]);
  return result;
}`;
}

function scatterOf(storage: StorageType): string {
  return `template <int width>
${device} void sf_store(${storageNames[storage]}* to, sf_vector<${accessOf[storage].element}, width> value) {
#pragma unroll
  for (int i = 0; i < width; ++i) sf_write(to + i, value.lane[i]);
}`;
}

const sharedNeighbours = `template <int width, typename Element>
${device} ${vector} sf_neighbours(const Element* first) {
  return *reinterpret_cast<const ${vector}*>(first);
}
${vectors}
${device} void sf_set_neighbours(Element* first, ${vector} value) {
  *reinterpret_cast<${vector}*>(first) = value;
}`;

const storages = Object.keys(accessOf) as readonly StorageType[];

/** All fragments; a later one may use earlier ones. */
const fragments: ReadonlyMap<FragmentName, string> = new Map<FragmentName, string>([
  ['exp2', exp2],
  ['divide', divide],
  ['vector', vectorType],
  ['splat', splat],
  ['select', select],
  ['convert', convert],
  ['bitcast', bitcast],
  ['shuffle', shuffle],
  ['horizontal-add', horizontalAdd],
  ['shared neighbours', sharedNeighbours],
  ...Object.entries(unaryVectors).map(([name, text]): [FragmentName, string] => [`unary ${name as UnaryOperator}`, text]),
  ...Object.entries(binaryVectors).map(([name, text]): [FragmentName, string] => [`binary ${name as BinaryOperator}`, text]),
  ...storages.map((each): [FragmentName, string] => [`load ${each}`, loadOf(each)]),
  ...storages.map((each): [FragmentName, string] => [`store ${each}`, storeOf(each)]),
  ...storages.map((each): [FragmentName, string] => [`gather ${each}`, gatherOf(each)]),
  ...storages.map((each): [FragmentName, string] => [`scatter ${each}`, scatterOf(each)]),
]);

function neededBy(name: FragmentName): readonly FragmentName[] {
  if (name === 'exp2' || name === 'divide' || name === 'bitcast') return [name];
  if (name === 'unary exp2') return ['exp2', 'vector', name];
  if (name === 'binary divide') return ['divide', 'vector', name];
  const storage = /^(gather|scatter) (.*)$/.exec(name);
  if (storage === null) return ['vector', name];
  return ['vector', `${storage[1] === 'gather' ? 'load' : 'store'} ${storage[2] as StorageType}`, name];
}

function guarded(name: FragmentName): string {
  const macro = `STATEFUSE_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
  return `#ifndef ${macro}\n#define ${macro}\n${required(fragments.get(name), `fragment ${name}`)}\n#endif\n`;
}

/**
 * 16-bit storage where NVRTC compiles, which knows no header of the toolkit: the toolkit's names for the
 * type and its two conversions, rounding to nearest even (cvt to bf16 needs compute capability 8.0).
 */
const halfFormats: Readonly<Record<'f16' | 'bf16', string>> = {
  f16: `struct alignas(2) __half {
  unsigned short bits;
};
${device} float __half2float(__half value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}
${device} __half __float2half_rn(float value) {
  __half result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}`,
  bf16: `struct alignas(2) __nv_bfloat16 {
  unsigned short bits;
};
${device} float __bfloat162float(__nv_bfloat16 value) {
  return __uint_as_float(static_cast<unsigned int>(value.bits) << 16);
}
${device} __nv_bfloat16 __float2bfloat16_rn(float value) {
  __nv_bfloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}`,
};

/** What the storage types of a kernel need before its first line: nvcc has headers, NVRTC gets the text. */
export function storageText(storages: Iterable<StorageType>): string {
  const all = new Set(storages);
  return (['f16', 'bf16'] as const).filter((each) => all.has(each)).map((each) => {
    const macro = `STATEFUSE_STORAGE_${each.toUpperCase()}`;
    const own = `#if defined(__CUDACC_RTC__) && !defined(${macro})\n#define ${macro}\n${halfFormats[each]}\n#endif`;
    return `#ifndef __CUDACC_RTC__\n${storageHeaders([each]).join('\n')}\n#endif\n${own}`;
  }).join('\n\n');
}

/** The text of these fragments and of all that they need, in a fixed order. */
export function preludeText(names: ReadonlySet<FragmentName>): string {
  const needed = new Set([...names].flatMap(neededBy));
  return [...fragments.keys()].filter((each) => needed.has(each)).map(guarded).join('\n');
}
