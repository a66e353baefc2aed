/**
 * Exchanges between invocations through workgroup memory, for devices without subgroups of 32:
 * each invocation stores its value, all meet at a barrier, each loads its partner's. Two halves of the
 * scratch array take turns, so that one barrier per exchange suffices: between a load of a half and
 * the next store to it stands the barrier of the exchange in between. A nested body starts with the
 * half that is due and ends with a barrier, which makes every path into and out of it safe.
 */
import { binary, builtin, integer, loadShared, variable } from '../../../ir/kernel/builder.ts';
import type {
  Kernel, KernelExpression, KernelStatement, KernelType, SharedArray, SharedId,
} from '../../../ir/kernel/nodes.ts';
import { mapBodies, mapExpressions, rewriteExpression, visitExpressions } from '../../../ir/kernel/walk.ts';
import { freshIds, freshVariable, hoisterInto, type Hoister, type IdSource } from './hoist.ts';

type Scratch = { readonly of: (type: KernelType) => SharedArray; readonly all: () => readonly SharedArray[] };

function scratchArrays(kernel: Kernel, ids: IdSource): Scratch {
  const made = new Map<string, SharedArray>();
  return {
    of(type) {
      const key = `${type.element}${type.width}`;
      const known = made.get(key);
      if (known !== undefined) return known;
      const array: SharedArray = { id: ids.mint() as SharedId, name: 'exchange', type, length: 2 * kernel.workgroupSize };
      made.set(key, array);
      return array;
    },
    all: () => [...made.values()],
  };
}

/** own XOR mask, written as (own | mask) - (own & mask) */
function partnerOf(own: KernelExpression, mask: number): KernelExpression {
  return binary('subtract', binary('bit-or', own, integer(mask)), binary('bit-and', own, integer(mask)));
}

function exchange(
  operand: KernelExpression, mask: number, array: SharedArray, offset: number, hoister: Hoister,
): KernelExpression {
  const own = builtin('invocation');
  hoister.emit({ kind: 'store-shared', array, index: binary('add', own, integer(offset)), value: operand });
  hoister.emit({ kind: 'barrier' });
  const partner = binary('add', partnerOf(own, mask), integer(offset));
  const received = freshVariable(hoister, 'received', operand.type);
  hoister.emit({ kind: 'let', variable: received, value: loadShared(array, partner) });
  return variable(received);
}

function containsShuffle(body: readonly KernelStatement[]): boolean {
  let found = false;
  visitExpressions(body, (expression) => {
    found ||= expression.kind === 'shuffle-xor';
  });
  return found;
}

/** Replaces every `shuffle-xor` of the kernel. */
export function raiseShuffle(kernel: Kernel): Kernel {
  if (!containsShuffle(kernel.body)) return kernel;
  const ids = freshIds(kernel);
  const scratch = scratchArrays(kernel, ids);
  const rewriteBody = (body: readonly KernelStatement[], firstHalf: 0 | 1): readonly KernelStatement[] => {
    const output: KernelStatement[] = [];
    const hoister = hoisterInto(output, ids);
    let half = firstHalf;
    for (const statement of body) {
      const own = mapExpressions(statement, (each) => rewriteExpression(each, (inner) => {
        if (inner.kind !== 'shuffle-xor') return inner;
        const array = scratch.of(inner.type);
        const offset = half * kernel.workgroupSize;
        half = half === 0 ? 1 : 0;
        return exchange(inner.operand, inner.mask, array, offset, hoister);
      }));
      output.push(mapBodies(own, (inner) => {
        if (!containsShuffle(inner)) return inner;
        return [...rewriteBody(inner, half), { kind: 'barrier' }];
      }));
    }
    return output;
  };
  const body = rewriteBody(kernel.body, 0);
  return { ...kernel, body, shared: [...kernel.shared, ...scratch.all()] };
}
