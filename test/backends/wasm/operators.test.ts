/** Every operator, conversion and storage type: one kernel each, against the Kernel IR interpreter. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  add,
  binary,
  bitcast,
  compose,
  convert,
  extract,
  horizontalAdd,
  integer,
  KernelBuilder,
  less,
  literal,
  load,
  select,
  splat,
  unary,
} from '../../../ir/kernel/builder.ts';
import { interpretPlan } from '../../../ir/kernel/interpret.ts';
import {
  f32,
  i32,
  u32,
  withWidth,
  type BinaryOperator,
  type KernelExpression,
  type StorageType,
  type UnaryOperator,
  type VectorWidth,
} from '../../../ir/kernel/nodes.ts';
import { emitWasm } from '../../../backends/wasm/index.ts';
import type { TensorData } from '../../../runtime/device.ts';
import { openWasm, type WasmDevice } from '../../../runtime/wasm/index.ts';
import { bitsOfF16, bitsOfBf16, f16OfBits, bf16OfBits } from './narrow.ts';
import { header, planOf, tensor } from './kernels.ts';

let device: WasmDevice;
beforeAll(async () => {
  device = await openWasm({ workers: 0, checks: 'canaries' });
});
afterAll(async () => device[Symbol.asyncDispose]());

type Case = {
  readonly name: string;
  readonly from: StorageType;
  readonly to: StorageType;
  readonly width: VectorWidth;
  readonly build: (a: KernelExpression, b: KernelExpression) => KernelExpression;
  /** elements of output per step of `width` inputs; the same number if absent */
  readonly outputs?: 1;
  readonly relative?: number;
};

const count = 32;
const numbers: Readonly<Record<StorageType, readonly [(at: number) => number, (at: number) => number]>> = {
  f32: [
    (at) => Math.fround((at - 13.5) * 0.37),
    (at) => Math.fround(at % 5 === 0 ? (at - 13.5) * 0.37 : 3.1 - at * 0.23),
  ],
  f64: [(at) => (at - 13.5) * 0.37, (at) => (at % 5 === 0 ? (at - 13.5) * 0.37 : 3.1 - at * 0.23)],
  i32: [(at) => at * 7, (at) => (at % 6) + 1],
  u32: [(at) => 4294967295 - at * 7, (at) => (at % 6) + 1],
  f16: [(at) => (at - 13.5) * 0.37, (at) => at * 1e-6],
  bf16: [(at) => (at - 13.5) * 0.37, (at) => at * 1e-6],
  i8: [(at) => at * 7 - 128, (at) => at],
  u8: [(at) => at * 7, (at) => at],
};

const cases: Case[] = [];
const widths: readonly VectorWidth[] = [1, 2, 4];

function addBinary(element: 'f32' | 'f64' | 'i32' | 'u32', operators: readonly BinaryOperator[]): void {
  const isComparison = (operator: BinaryOperator): boolean =>
    ['less', 'less-equal', 'equal', 'not-equal'].includes(operator);
  for (const operator of operators)
    for (const width of element === 'f64' ? ([1] as const) : widths) {
      cases.push({
        name: `${operator} of ${element} x ${width}`,
        from: element,
        to: isComparison(operator) ? 'i32' : element,
        width,
        build: (a, b) => {
          const value = binary(operator, a, b);
          return value.type.element === 'bool' ? convert(value, withWidth(i32, width)) : value;
        },
      });
    }
}
addBinary('f32', [
  'add',
  'subtract',
  'multiply',
  'divide',
  'minimum',
  'maximum',
  'less',
  'less-equal',
  'equal',
  'not-equal',
]);
addBinary('f64', [
  'add',
  'subtract',
  'multiply',
  'divide',
  'minimum',
  'maximum',
  'less',
  'less-equal',
  'equal',
  'not-equal',
]);
addBinary('i32', [
  'add',
  'subtract',
  'multiply',
  'divide',
  'remainder',
  'minimum',
  'maximum',
  'shift-left',
  'shift-right',
  'bit-and',
  'bit-or',
  'less',
  'less-equal',
  'equal',
  'not-equal',
]);
addBinary('u32', [
  'add',
  'subtract',
  'divide',
  'remainder',
  'minimum',
  'maximum',
  'shift-right',
  'bit-and',
  'bit-or',
  'less',
  'less-equal',
  'equal',
  'not-equal',
]);

function addUnary(element: 'f32' | 'f64' | 'i32', operators: readonly UnaryOperator[]): void {
  for (const operator of operators)
    for (const width of element === 'f64' ? ([1] as const) : widths) {
      const isRoot = operator === 'square-root' || operator === 'log2';
      cases.push({
        name: `${operator} of ${element} x ${width}`,
        from: element,
        to: element,
        width,
        build: (a) => unary(operator, isRoot ? unary('absolute', a) : a),
        ...(['exp2', 'log2', 'sine', 'cosine'].includes(operator) ? { relative: 5e-7 } : {}),
      });
    }
}
addUnary('f32', ['negate', 'absolute', 'floor', 'square-root', 'exp2', 'log2', 'sine', 'cosine']);
addUnary('f64', ['negate', 'absolute', 'floor', 'square-root']);
addUnary('i32', ['negate', 'absolute']);

for (const width of widths) {
  const [wideF32, wideI32, wideU32] = [f32, i32, u32].map((type) => withWidth(type, width));
  cases.push(
    {
      name: `select x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a, b) => select(less(a, b), binary('multiply', a, b), a),
    },
    {
      name: `select as minimum x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a) => select(less(a, literal(1, wideF32)), a, literal(1, wideF32)),
    },
    {
      name: `select as maximum x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a) => select(less(a, literal(1, wideF32)), literal(1, wideF32), a),
    },
    {
      name: `and, or, not x ${width}`,
      from: 'f32',
      to: 'i32',
      width,
      build: (a, b) =>
        convert(
          binary(
            'or',
            binary('and', less(a, b), unary('not', less(b, literal(0, wideF32)))),
            binary('equal', a, b),
          ),
          wideI32!,
        ),
    },
    { name: `f32 to i32 x ${width}`, from: 'f32', to: 'i32', width, build: (a) => convert(a, wideI32!) },
    {
      name: `f32 to u32 x ${width}`,
      from: 'f32',
      to: 'u32',
      width,
      build: (a) => convert(unary('absolute', a), wideU32!),
    },
    { name: `i32 to f32 x ${width}`, from: 'i32', to: 'f32', width, build: (a) => convert(a, wideF32!) },
    { name: `u32 to f32 x ${width}`, from: 'u32', to: 'f32', width, build: (a) => convert(a, wideF32!) },
    {
      name: `bool to f32 x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a, b) => convert(less(a, b), wideF32!),
    },
    {
      name: `bits x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a) => bitcast(binary('bit-and', bitcast(a, wideI32!), literal(-65536, wideI32)), wideF32!),
    },
    {
      name: `horizontal add x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      outputs: 1,
      build: (a) => horizontalAdd(a),
    },
    {
      name: `integer horizontal add x ${width}`,
      from: 'i32',
      to: 'i32',
      width,
      outputs: 1,
      build: (a) => horizontalAdd(a),
    },
    {
      name: `splat of a lane x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a, b) => (width === 1 ? a : binary('multiply', splat(extract(a, width - 1), width), b)),
    },
    {
      name: `splat of a bool x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a, b) => (width === 1 ? a : select(splat(less(extract(a, 1), extract(b, 1)), width), a, b)),
    },
  );
}
for (const width of [2, 4] as const) {
  const lanes = Array.from({ length: width }, (_, at) => at);
  cases.push(
    {
      name: `compose x ${width}`,
      from: 'f32',
      to: 'f32',
      width,
      build: (a, b) => compose(lanes.map((lane) => extract(lane % 2 === 0 ? a : b, width - 1 - lane))),
    },
    {
      name: `lanes of bool x ${width}`,
      from: 'f32',
      to: 'i32',
      width,
      build: (a, b) =>
        convert(compose(lanes.map((lane) => extract(less(a, b), width - 1 - lane))), withWidth(i32, width)),
    },
    {
      name: `shift by lanes x ${width}`,
      from: 'i32',
      to: 'i32',
      width,
      build: (a, b) => binary('shift-left', binary('bit-and', a, literal(255, withWidth(i32, width))), b),
    },
  );
}
cases.push(
  {
    name: 'f32 to f64',
    from: 'f32',
    to: 'f64',
    width: 1,
    build: (a) => convert(a, { element: 'f64', width: 1 }),
  },
  { name: 'f64 to f32', from: 'f64', to: 'f32', width: 1, build: (a) => convert(a, f32) },
  { name: 'f64 to i32', from: 'f64', to: 'i32', width: 1, build: (a) => convert(a, i32) },
  {
    name: 'i32 to f64',
    from: 'i32',
    to: 'f64',
    width: 1,
    build: (a) => convert(a, { element: 'f64', width: 1 }),
  },
);
for (const storage of ['f16', 'bf16'] as const) {
  for (const width of widths)
    cases.push({
      name: `${storage} x ${width}`,
      from: storage,
      to: storage,
      width,
      build: (a, b) => add(a, b),
    });
}
for (const storage of ['i8', 'u8'] as const) {
  for (const width of [1, 4] as const)
    cases.push({
      name: `${storage} x ${width}`,
      from: storage,
      to: storage,
      width,
      build: (a, b) => add(a, b),
    });
}

function planOfCase({ from, to, width, build, outputs }: Case): ReturnType<typeof planOf> {
  const builder = new KernelBuilder();
  const steps = count / width;
  const resultLength = outputs === undefined ? count : steps;
  const a = builder.buffer('a', from, 'read', count);
  const b = builder.buffer('b', from, 'read', count);
  const c = builder.buffer('c', to, 'write', resultLength);
  builder.for('i', { start: integer(0), end: integer(steps) }, (i) => {
    const at = builder.let('at', binary('multiply', i, integer(width)));
    const value = build(
      builder.let('left', load(a, at, width, true)),
      builder.let('right', load(b, at, width)),
    );
    builder.store(c, outputs === undefined ? at : i, value);
  });
  const kernel = builder.finish({ name: 'case', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
  return planOf(
    [
      tensor('a', 'input', [count], from),
      tensor('b', 'input', [count], from),
      tensor('c', 'output', [resultLength], to),
    ],
    [kernel],
  );
}

function encode(storage: StorageType, values: readonly number[]): TensorData {
  switch (storage) {
    case 'f32':
      return Float32Array.from(values);
    case 'f64':
      return Float64Array.from(values);
    case 'i32':
      return Int32Array.from(values);
    case 'u32':
      return Uint32Array.from(values);
    case 'i8':
      return Int8Array.from(values);
    case 'u8':
      return Uint8Array.from(values);
    case 'f16':
      return Uint16Array.from(values, bitsOfF16);
    case 'bf16':
      return Uint16Array.from(values, bitsOfBf16);
  }
}
function decode(storage: StorageType, data: TensorData): number[] {
  return Array.from(data, (each) =>
    storage === 'f16' ? f16OfBits(each) : storage === 'bf16' ? bf16OfBits(each) : each,
  );
}

test.each(cases.map((each) => [each.name, each] as const))('%s', async (_, one) => {
  const plan = planOfCase(one);
  const [left, right] = numbers[one.from].map((of) =>
    encode(
      one.from,
      Array.from({ length: count }, (__, at) => of(at)),
    ),
  );
  const given = new Map([
    ['a', Float64Array.from(decode(one.from, left!))],
    ['b', Float64Array.from(decode(one.from, right!))],
  ]);
  const expected = interpretPlan(plan, { batch: 1, length: 1 }, given, { rounding: 'f32' }).tensors.get(
    'c',
  )!;
  using layer = await device.prepare(emitWasm([plan], header));
  const result = await layer.run({
    entry: 'forward',
    sizes: { batch: 1, length: 1 },
    tensors: new Map([
      ['a', left!],
      ['b', right!],
    ]),
  });
  const found = decode(one.to, await result.tensors.get('c')!.read());
  if (one.relative === undefined)
    expect(found.map((each) => each + 0)).toEqual(Array.from(expected, (each) => each + 0));
  else
    found.forEach((each, at) =>
      expect(Math.abs(each - expected[at]!)).toBeLessThanOrEqual(
        one.relative! * Math.max(1, Math.abs(expected[at]!)),
      ),
    );
});

test('every f16 and bf16 survives a round trip, and narrowing rounds to nearest even', async () => {
  for (const [storage, bitsOf] of [
    ['f16', bitsOfF16],
    ['bf16', bitsOfBf16],
  ] as const)
    for (const width of widths) {
      const builder = new KernelBuilder();
      const wide = builder.buffer('wide', 'f32', 'read', 65_536);
      const bits = builder.buffer('bits', storage, 'read', 65_536);
      const back = builder.buffer('back', storage, 'write', 65_536);
      const narrow = builder.buffer('narrow', storage, 'write', 65_536);
      builder.for('i', { start: integer(0), end: integer(65_536), step: width }, (i) => {
        builder.store(back, i, load(bits, i, width));
        builder.store(narrow, i, load(wide, i, width));
      });
      const kernel = builder.finish({ name: 'round', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
      const plan = planOf(
        [
          tensor('wide', 'input', [65_536]),
          tensor('bits', 'input', [65_536], storage),
          tensor('back', 'output', [65_536], storage),
          tensor('narrow', 'output', [65_536], storage),
        ],
        [kernel],
      );
      using layer = await device.prepare(emitWasm([plan], header));
      const all = Uint16Array.from({ length: 65_536 }, (_, at) => at);
      const floats = new Float32Array(
        Uint32Array.from({ length: 65_536 }, (_, at) => Math.imul(at, 65_537 * 3 + 4099) >>> 0).buffer,
      );
      const { tensors } = await layer.run({
        entry: 'forward',
        sizes: { batch: 1, length: 1 },
        tensors: new Map<string, TensorData>([
          ['wide', floats],
          ['bits', all],
        ]),
      });
      const isNan = (value: number): boolean =>
        Number.isNaN(storage === 'f16' ? f16OfBits(value) : bf16OfBits(value));
      const [roundTrip, narrowed] = [
        await tensors.get('back')!.read(),
        await tensors.get('narrow')!.read(),
      ];
      expect(
        all.filter((each, at) =>
          isNan(each) ? !isNan(Number(roundTrip[at])) : Number(roundTrip[at]) !== each,
        ),
      ).toHaveLength(0);
      expect(
        Array.from(floats).filter((each, at) =>
          Number.isNaN(each) ? !isNan(Number(narrowed[at])) : Number(narrowed[at]) !== bitsOf(each),
        ),
      ).toHaveLength(0);
    }
});
