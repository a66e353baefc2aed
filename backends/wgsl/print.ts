/**
 * Kernel -> WGSL text, one module per kernel. A fold over raised Kernel IR: buffers are bindings 0, 1,
 * … in their order, the uniforms one struct of i32 at the binding after the last buffer.
 */
import { concat, hardLine, indent, renderDoc, text, type Doc } from '../../support/doc.ts';
import { assertNever, invariant } from '../../support/invariant.ts';
import { commentText } from '../../support/namer.ts';
import { formatSize } from '../../support/size.ts';
import type { Buffer, BufferId, Kernel, VectorWidth } from '../../ir/kernel/nodes.ts';
import { visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';
import { nameKernelParts, type KernelNames } from '../print/names.ts';
import { printStatements } from '../print/statement.ts';
import { halfLines, nameHalves } from './halves.ts';
import { typeName, wgslSpelling, type PrinterNames } from './spelling.ts';

function storageElement({ storage, access }: Buffer): string {
  switch (storage) {
    case 'f32':
    case 'i32':
    case 'u32':
      return storage;
    case 'f16':
    case 'bf16':
      return access === 'read' ? 'u32' : 'atomic<u32>';
    case 'f64':
    case 'i8':
    case 'u8':
      invariant(false, `storage ${storage} is refused before printing`);
      break;
    default:
      return assertNever(storage, 'storageElement');
  }
}

function headerLines(kernel: Kernel, notes: readonly string[]): readonly string[] {
  const grid = kernel.grid.map(formatSize).join(', ');
  const launch = `${kernel.name}: ${kernel.workgroupSize} invocations in each of (${grid}) workgroups`;
  return [...notes, launch, ...kernel.notes].map((each) => `// ${commentText(each)}`);
}

/** Widths of a raised kernel's accesses, the same for all accesses to a buffer. */
function accessWidths(kernel: Kernel): ReadonlyMap<BufferId, VectorWidth> {
  const widths = new Map<BufferId, VectorWidth>();
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load') widths.set(each.buffer.id, each.type.width);
  });
  visitStatements(kernel.body, (each) => {
    if (each.kind === 'store') widths.set(each.buffer.id, each.value.type.width);
  });
  return widths;
}

function bindingLines(
  kernel: Kernel, names: KernelNames, own: PrinterNames, structName: string,
): readonly string[] {
  const widths = accessWidths(kernel);
  const buffers = kernel.buffers.map((buffer, at) => {
    const access = buffer.access === 'read' ? 'read' : 'read_write';
    const width = widths.get(buffer.id) ?? 1;
    const type = `array<${width === 1 ? storageElement(buffer) : typeName({ element: 'f32', width })}>`;
    return `@group(0) @binding(${at}) var<storage, ${access}> ${names.of(buffer.id)}: ${type};`;
  });
  if (kernel.uniforms.length === 0) return buffers;
  return [
    ...buffers,
    `struct ${structName} {`,
    ...kernel.uniforms.map((each) => `  ${names.of(each.id)}: i32,`),
    '}',
    `@group(0) @binding(${buffers.length}) var<uniform> ${own.uniforms}: ${structName};`,
  ];
}

function sharedLines(kernel: Kernel, names: KernelNames): readonly string[] {
  return kernel.shared.map(
    (each) => `var<workgroup> ${names.of(each.id)}: array<${typeName(each.type)}, ${each.length}>;`,
  );
}

function usesShuffle(kernel: Kernel): boolean {
  let found = false;
  visitExpressions(kernel.body, (expression) => {
    found ||= expression.kind === 'shuffle-xor';
  });
  return found;
}

/** `workgroupBarrier` orders workgroup memory; buffers need their own call when they are read back. */
function barrierCalls(readsBack: boolean): readonly string[] {
  return readsBack ? ['workgroupBarrier();', 'storageBarrier();'] : ['workgroupBarrier();'];
}

/**
 * The WGSL module of one raised kernel; `notes` are header lines made by the compiler. `readsBack`: some
 * invocation may read from a tensor what another one wrote before a barrier. (Of buffers alone that
 * cannot be seen: an arena holds tensors that are read beside others that are written.)
 */
export function printWgsl(kernel: Kernel, notes: readonly string[], readsBack: boolean): string {
  const names = nameKernelParts(kernel);
  const own: PrinterNames = {
    uniforms: names.namer.fresh('uniforms'),
    workgroup: names.namer.fresh('workgroup'),
    invocation: names.namer.fresh('invocation'),
  };
  const structName = names.namer.fresh('Uniforms');
  const halves = nameHalves(kernel, names);
  const spelling = wgslSpelling(names, own, halves, barrierCalls(readsBack));
  const lines = [
    ...headerLines(kernel, notes),
    ...(usesShuffle(kernel) ? ['enable subgroups;'] : []),
    '',
    ...bindingLines(kernel, names, own, structName),
    ...sharedLines(kernel, names),
    ...halfLines(kernel, names, halves),
    '',
    `@compute @workgroup_size(${kernel.workgroupSize})`,
    `fn ${kernel.name}(`,
    `  @builtin(workgroup_id) ${own.workgroup}: vec3<u32>,`,
    `  @builtin(local_invocation_index) ${own.invocation}: u32,`,
  ];
  const head: Doc = concat(...lines.flatMap((each) => [text(each), hardLine]));
  const body = indent(concat(hardLine, printStatements(kernel.body, spelling)));
  return renderDoc(concat(head, ') {', body, hardLine, '}', hardLine));
}
