/**
 * Kernels of random expressions whose results are exact in f32 and i32, so that every device must
 * agree bit for bit: what differs is a wrong parenthesis, operator or conversion in the printed text.
 * Products and quotients are kept exact by rounding and clamping their operands first.
 */
import {
  add, binary, builtin, compose, convert, extract, horizontalAdd, integer, KernelBuilder, literal, load, multiply, select, subtract, unary,
} from '../../ir/kernel/builder.ts';
import { f32, i32, withWidth, type KernelExpression, type VectorWidth } from '../../ir/kernel/nodes.ts';
import type { Plan } from '../../ir/plan.ts';
import { forwardPlan } from './kernels.ts';

type Random = { readonly below: (count: number) => number };

function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return {
    below(count) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % count;
    },
  };
}

type Leaves = { readonly float: (width: VectorWidth) => KernelExpression; readonly whole: () => KernelExpression };

function makeGenerator(random: Random, leaves: Leaves): {
  readonly float: (depth: number, width: VectorWidth) => KernelExpression;
  readonly whole: (depth: number) => KernelExpression;
} {
  const constant = (value: number, width: VectorWidth): KernelExpression => literal(value, withWidth(f32, width));
  const rounded = (value: KernelExpression): KernelExpression =>
    unary('floor', binary('maximum', constant(-16, value.type.width), binary('minimum', value, constant(16, value.type.width))));
  const masked = (value: KernelExpression, mask: number): KernelExpression => binary('bit-and', value, integer(mask));

  const flag = (depth: number, width: VectorWidth): KernelExpression => {
    const operators = ['less', 'less-equal', 'equal', 'not-equal'] as const;
    if (depth > 0 && random.below(3) === 0) {
      const joined = binary(random.below(2) === 0 ? 'and' : 'or', flag(depth - 1, width), flag(depth - 1, width));
      return random.below(4) === 0 ? unary('not', joined) : joined;
    }
    const operator = operators[random.below(4)]!;
    if (width === 1 && random.below(2) === 0) return binary(operator, whole(depth - 1), whole(depth - 1));
    return binary(operator, float(depth - 1, width), float(depth - 1, width));
  };

  const float = (depth: number, width: VectorWidth): KernelExpression => {
    if (depth <= 0) return random.below(4) === 0 ? constant(random.below(64) / 8 - 4, width) : leaves.float(width);
    const inner = (): KernelExpression => float(depth - 1, width);
    switch (random.below(width === 1 ? 14 : 11)) {
      case 0: case 1: return add(inner(), inner());
      case 2: case 3: return subtract(inner(), inner());
      case 4: return random.below(2) === 0 ? multiply(rounded(inner()), rounded(inner())) : multiply(inner(), constant(2, width));
      case 5: return binary('divide', inner(), constant(2, width));
      case 6: return unary('negate', inner());
      case 7: return unary('absolute', inner());
      case 8: return binary(random.below(2) === 0 ? 'minimum' : 'maximum', inner(), inner());
      case 9: return select(flag(depth - 1, width), inner(), inner());
      case 10: return unary('floor', inner());
      case 11: return convert(masked(whole(depth - 1), 1023), f32);
      case 12: return extract(float(depth - 1, 4), random.below(4));
      default: return random.below(2) === 0
        ? horizontalAdd(float(depth - 1, 4))
        : extract(compose([inner(), inner(), inner(), inner()]), random.below(4));
    }
  };

  const whole = (depth: number): KernelExpression => {
    if (depth <= 0) return random.below(3) === 0 ? integer(random.below(64) - 32) : leaves.whole();
    const inner = (): KernelExpression => whole(depth - 1);
    switch (random.below(10)) {
      case 0: case 1: return add(inner(), inner());
      case 2: return subtract(inner(), inner());
      case 3: return multiply(masked(inner(), 255), masked(inner(), 15));
      case 4: return binary('divide', masked(inner(), 1023), add(masked(inner(), 15), integer(1)));
      case 5: return binary('remainder', masked(inner(), 1023), add(masked(inner(), 15), integer(1)));
      case 6: return binary(random.below(2) === 0 ? 'bit-and' : 'bit-or', inner(), inner());
      case 7: return binary('shift-left', masked(inner(), 255), masked(inner(), 7));
      case 8: return binary('shift-right', inner(), masked(inner(), 7));
      default: return select(flag(depth - 1, 1), inner(), convert(rounded(float(depth - 1, 1)), i32));
    }
  };
  return { float, whole };
}

/** `expressions` random results for each of 32 invocations, from 128 inputs. */
export function randomKernel(seed: number, expressions: number): Plan {
  const random = randomFrom(seed);
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', 128);
  const y = build.buffer('y', 'f32', 'write', expressions * 32);
  const z = build.buffer('z', 'i32', 'write', expressions * 32);
  const lane = build.let('lane', builtin('invocation'));
  const place = (): KernelExpression => multiply(binary('remainder', add(lane, integer(random.below(32))), integer(32)), integer(4));
  const generator = makeGenerator(random, {
    float: (width) => load(u, width === 1 ? add(place(), integer(random.below(4))) : place(), width, width > 1),
    whole: () => (random.below(2) === 0 ? lane : subtract(lane, integer(random.below(40)))),
  });
  for (let at = 0; at < expressions; at++) {
    const index = add(multiply(lane, integer(expressions)), integer(at));
    build.store(y, index, generator.float(1 + random.below(6), 1));
    build.store(z, index, generator.whole(1 + random.below(6)));
  }
  const kernel = build.finish({ name: 'random', notes: [], workgroupSize: 32, grid: [1, 1, 1] });
  return forwardPlan([
    { name: 'u', role: 'input', dims: [128] }, { name: 'y', role: 'output', dims: [32, expressions] },
    { name: 'z', role: 'output', dims: [32, expressions], storage: 'i32' },
  ], [kernel]);
}
