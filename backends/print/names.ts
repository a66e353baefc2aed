/**
 * The names of everything in one kernel, given once in declaration order, so that printers only look
 * them up and the text does not depend on the order of printing.
 */
import type { Kernel, KernelStatement } from '../../ir/kernel/nodes.ts';
import { visitStatements } from '../../ir/kernel/walk.ts';
import { required } from '../../support/invariant.ts';
import { createNamer, type Namer } from '../../support/namer.ts';

export type KernelNames = {
  /** for names of the printer's own: parameters, structs, helper functions */
  readonly namer: Namer;
  /** the name of a buffer, uniform, shared array, register array or variable, by its id */
  readonly of: (id: number) => string;
};

function declaredBy(statement: KernelStatement): { readonly id: number; readonly name: string } | null {
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'for':
      return statement.variable;
    case 'array':
      return statement.array;
    default:
      return null;
  }
}

/** Names for all declarations of a kernel, none of them the kernel's own. */
export function nameKernelParts(kernel: Kernel, namer: Namer = createNamer([kernel.name])): KernelNames {
  const names = new Map<number, string>();
  const declare = (each: { readonly id: number; readonly name: string }): void => {
    if (!names.has(each.id)) names.set(each.id, namer.fresh(each.name));
  };
  // the number of a scratch tensor says nothing to a reader, and would keep equal kernels from being one text
  kernel.buffers.forEach(({ id, name }) => declare({ id, name: name.replace(/^scratch\.[0-9]+\./, 'scratch.') }));
  [...kernel.uniforms, ...kernel.shared].forEach(declare);
  visitStatements(kernel.body, (statement) => {
    const declared = declaredBy(statement);
    if (declared !== null) declare(declared);
  });
  return { namer, of: (id) => required(names.get(id), `name of part ${id} of kernel ${kernel.name}`) };
}
