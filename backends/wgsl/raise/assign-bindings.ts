/**
 * The binding plan: which tensors of an entry share a buffer, so that no kernel binds more storage
 * buffers than the device allows. Packed are f32 tensors, in two arenas: one for tensors that no
 * kernel of the entry writes, one for the rest (WebGPU forbids a buffer to be read-only and writable
 * in one dispatch, so a kernel must be able to bind each arena once). Parameters, scratch and
 * gradients go first; tensors that users hold come last, since packing copies them. A member's
 * offset is a uniform of each kernel that uses it, or a constant where sizes are known.
 */
import { add, integer, uniform } from '../../../ir/kernel/builder.ts';
import type {
  Buffer, BufferId, Kernel, KernelExpression, KernelStatement, Uniform, UniformId,
} from '../../../ir/kernel/nodes.ts';
import { mapBodies, mapExpressions, rewriteExpression } from '../../../ir/kernel/walk.ts';
import type { Plan, PlanTensor, TensorRole } from '../../../ir/plan.ts';
import { ssmError } from '../../../support/diagnostic.ts';
import { required } from '../../../support/invariant.ts';
import {
  addSizes, ceilDivideSizes, multiplySizes, productOfSizes, type SizeExpression,
} from '../../../support/size.ts';
import type { ManifestArena } from '../../artifact.ts';
import { freshIds, type IdSource } from './hoist.ts';

export type BoundPlan = { readonly kernels: readonly Kernel[]; readonly arenas: readonly ManifestArena[] };

/** A tensor's place; `arena` is its index in the list of arenas. */
type Place = { readonly arena: number; readonly offset: SizeExpression };

/** Lower is packed earlier. */
const preference: Readonly<Record<TensorRole, number>> = {
  param: 0, scratch: 1, gradient: 2, saved: 3, initial: 4, final: 5,
  'final-cotangent': 6, 'output-cotangent': 7, output: 8, input: 9,
};

/** Members begin at multiples of this many elements, so that aligned vector loads stay aligned. */
const memberAlignment = 16;

const arenaNames: Readonly<Record<'read' | 'written', string>> = { read: 'arena.read', written: 'arena.written' };

type TensorClass = 'read' | 'written';

function classify(plan: Plan): (tensor: string) => TensorClass {
  const written = new Set(
    plan.kernels.flatMap((kernel) => kernel.buffers.filter((each) => each.access !== 'read').map((each) => each.name)),
  );
  return (tensor) => (written.has(tensor) ? 'written' : 'read');
}

function bindingsOf(
  kernel: Kernel, packed: ReadonlySet<string>, classOf: (tensor: string) => TensorClass,
): number {
  return new Set(kernel.buffers.map((each) => (packed.has(each.name) ? arenaNames[classOf(each.name)] : each.name))).size;
}

/** Packs by preference, kernel by kernel, until each fits. */
function choosePacked(
  plan: Plan, limit: number, classOf: (tensor: string) => TensorClass,
): ReadonlySet<string> {
  const packed = new Set<string>();
  const roles = new Map(plan.tensors.map((each) => [each.name, each.role]));
  for (const kernel of plan.kernels) {
    const candidates = kernel.buffers
      .filter((each) => each.storage === 'f32')
      .map((each) => ({ name: each.name, rank: preference[roles.get(each.name) ?? 'scratch'] }))
      .sort((a, b) => a.rank - b.rank);
    for (const { name } of candidates) {
      if (bindingsOf(kernel, packed, classOf) <= limit) break;
      packed.add(name);
    }
    const count = bindingsOf(kernel, packed, classOf);
    if (count > limit) {
      throw ssmError('SSM5001', `kernel \`${kernel.name}\` binds ${count} storage buffers; this device allows ${limit}`,
        'use fewer tensors that are not f32');
    }
  }
  return packed;
}

function arenaOf(name: string, tensors: readonly PlanTensor[]): ManifestArena {
  const sizes = tensors.map((each) => ({ tensor: each.name, size: productOfSizes(each.dims) }));
  const isConstant = (each: { readonly size: SizeExpression }): boolean => typeof each.size === 'number';
  const constantsFirst = [...sizes.filter(isConstant), ...sizes.filter((each) => !isConstant(each))];
  let length: SizeExpression = 0;
  const members = constantsFirst.map(({ tensor, size }) => {
    const offset = length;
    length = addSizes(length, multiplySizes(memberAlignment, ceilDivideSizes(size, memberAlignment)));
    return { tensor, offset };
  });
  return { name, storage: 'f32', length, members };
}

type Rebinding = { readonly buffer: Buffer; readonly offset: KernelExpression };

function rebindBody(
  body: readonly KernelStatement[], rebindings: ReadonlyMap<string, Rebinding>,
): readonly KernelStatement[] {
  const moveLoads = (expression: KernelExpression): KernelExpression => {
    const to = expression.kind === 'load' ? rebindings.get(expression.buffer.name) : undefined;
    if (to === undefined || expression.kind !== 'load') return expression;
    return { ...expression, buffer: to.buffer, index: add(to.offset, expression.index) };
  };
  return body.map((statement) => {
    const own = mapExpressions(statement, (each) => rewriteExpression(each, moveLoads));
    const to = own.kind === 'store' ? rebindings.get(own.buffer.name) : undefined;
    if (own.kind === 'store' && to !== undefined) return { ...own, buffer: to.buffer, index: add(to.offset, own.index) };
    return mapBodies(own, (inner) => rebindBody(inner, rebindings));
  });
}

function offsetOf(name: string, offset: SizeExpression, uniforms: Uniform[], ids: IdSource): KernelExpression {
  if (typeof offset === 'number') return integer(offset);
  const made: Uniform = { id: ids.mint() as UniformId, name: `${name}_start`, value: offset };
  uniforms.push(made);
  return uniform(made);
}

function rebindKernel(
  kernel: Kernel, places: ReadonlyMap<string, Place>, arenas: readonly ManifestArena[],
): Kernel {
  if (!kernel.buffers.some((each) => places.has(each.name))) return kernel;
  const ids = freshIds(kernel);
  const uniforms = [...kernel.uniforms];
  const arenaBuffers = arenas.map((arena, at): Buffer | null => {
    const members = kernel.buffers.filter((each) => places.get(each.name)?.arena === at);
    if (members.length === 0) return null;
    const access = members.every((each) => each.access === 'read') ? 'read' : 'read-write';
    return { id: ids.mint() as BufferId, name: arena.name, storage: arena.storage, access, size: arena.length };
  });
  const rebindings = new Map<string, Rebinding>();
  for (const buffer of kernel.buffers) {
    const place = places.get(buffer.name);
    if (place === undefined) continue;
    const arena = required(arenaBuffers[place.arena], `arena of ${buffer.name}`);
    rebindings.set(buffer.name, { buffer: arena, offset: offsetOf(buffer.name, place.offset, uniforms, ids) });
  }
  const own = kernel.buffers.filter((each) => !places.has(each.name));
  const buffers = [...own, ...arenaBuffers.filter((each) => each !== null)];
  return { ...kernel, buffers, uniforms, body: rebindBody(kernel.body, rebindings) };
}

/** The plan's kernels within the limit of storage buffers, and the arenas they use. */
export function assignBindings(plan: Plan, limit: number): BoundPlan {
  const classOf = classify(plan);
  const packed = choosePacked(plan, limit, classOf);
  if (packed.size === 0) return { kernels: plan.kernels, arenas: [] };
  const packedTensors = plan.tensors.filter((each) => packed.has(each.name));
  const arenas = (['read', 'written'] as const)
    .map((of) => ({ name: arenaNames[of], tensors: packedTensors.filter((each) => classOf(each.name) === of) }))
    .filter((each) => each.tensors.length > 0)
    .map((each) => arenaOf(each.name, each.tensors));
  const places = new Map<string, Place>(
    arenas.flatMap((arena, at) => arena.members.map((each) => [each.tensor, { arena: at, offset: each.offset }] as const)),
  );
  return { kernels: plan.kernels.map((kernel) => rebindKernel(kernel, places, arenas)), arenas };
}
