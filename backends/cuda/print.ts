/**
 * Kernel IR as CUDA C++: one self-contained text per kernel. A dull fold: what to print was decided by
 * the passes before. The text compiles with nvcc and NVRTC (C++17); NVRTC needs no header for it, nvcc
 * cuda_fp16.h or cuda_bf16.h where a tensor is stored so.
 */
import { concat, group, hardLine, indent, join, line, renderDoc, softLine, text, type Doc } from '../../support/doc.ts';
import { commentText, createNamer, type Namer } from '../../support/namer.ts';
import { formatSize } from '../../support/size.ts';
import type { Buffer, Kernel, KernelType, SharedArray } from '../../ir/kernel/nodes.ts';
import { visitExpressions } from '../../ir/kernel/walk.ts';
import { sharedBytesOf } from '../manifest.ts';
import { nameKernelParts, type KernelNames } from '../print/names.ts';
import { printStatements } from '../print/statement.ts';
import { preludeText, storageText, type FragmentName } from './prelude.ts';
import { cudaSpelling } from './spelling.ts';
import { dynamicSharedBytes, hopper } from './target.ts';
import { storageNames, typeName } from './types.ts';

/** Macros of math.h and of CUDA's headers that look like a stem and a number. */
const macros: RegExp = /^(M_PI_2|M_PI_4|M_SQRT1_2|NV_.*)$/;

/** Names that no macro of the toolkit replaces. */
function cudaNamer(): Namer {
  const namer = createNamer();
  return {
    fresh(stem) {
      const name = namer.fresh(stem);
      return macros.test(name) ? namer.fresh(`of_${stem}`) : name;
    },
  };
}

/** Lanes present in each warp: blocks smaller than a warp, or with a partial last warp, have fewer. */
function shuffleLanes(workgroupSize: number): string {
  if (workgroupSize % hopper.threadsPerWarp === 0) return '0xffffffffu';
  if (workgroupSize > hopper.threadsPerWarp) return '__activemask()';
  return `0x${(2 ** workgroupSize - 1).toString(16)}u`;
}

/**
 * Whether the kernel prefetches. Loads through restricted pointers may move over barriers, and the
 * assembler delays them to their first use, where the thread then waits; unrestricted ones stay.
 */
function prefetches(kernel: Kernel): boolean {
  let found = false;
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load' && each.early === true) found = true;
  });
  return found;
}

function parameterDoc(buffer: Buffer, name: string, restrict: string): Doc {
  const constant = buffer.access === 'read' ? 'const ' : '';
  return text(`${constant}${storageNames[buffer.storage]}*${restrict} ${name}`);
}

function signatureDoc(kernel: Kernel, names: KernelNames): Doc {
  const restrict = prefetches(kernel) ? '' : ' __restrict__';
  const parameters = [
    ...kernel.buffers.map((each) => parameterDoc(each, names.of(each.id), restrict)),
    ...kernel.uniforms.map((each) => text(`int ${names.of(each.id)}`)),
  ];
  const bounds = kernel.resident === undefined ? `${kernel.workgroupSize}` : `${kernel.workgroupSize}, ${kernel.resident}`;
  const head = `extern "C" __global__ void __launch_bounds__(${bounds}) ${kernel.name}(`;
  return group(concat(head, indent(concat(softLine, join(parameters, concat(',', line)))), softLine, ')'));
}

const elementBytes: Readonly<Record<KernelType['element'], number>> = { f32: 4, f64: 8, i32: 4, u32: 4, bool: 4 };

function bytesOf(array: SharedArray): number {
  return elementBytes[array.type.element] * array.type.width;
}

/** Beyond the static limit the arrays are cut out of one dynamic block, widest elements first. */
function sharedDocs(kernel: Kernel, names: KernelNames): readonly Doc[] {
  if (dynamicSharedBytes(sharedBytesOf(kernel)) === 0) {
    return kernel.shared.map((each) => text(`__shared__ __align__(16) ${typeName(each.type)} ${names.of(each.id)}[${each.length}];`));
  }
  const block = 'extern __shared__ __align__(16) unsigned char sf_shared[];';
  let offset = 0;
  const arrays = kernel.shared.toSorted((left, right) => bytesOf(right) - bytesOf(left)).map((each) => {
    const type = typeName(each.type);
    const at = offset;
    offset += bytesOf(each) * each.length;
    return text(`${type}* const ${names.of(each.id)} = reinterpret_cast<${type}*>(sf_shared + ${at});`);
  });
  return [text(block), ...arrays];
}

function headerComment(kernel: Kernel): string {
  const [x, y, z] = kernel.grid.map(formatSize);
  const buffers = kernel.buffers.map((each) => `${each.name}: ${each.storage}[${formatSize(each.size)}], ${each.access}`);
  return [
    `${kernel.name}: CUDA`,
    ...kernel.notes,
    `blocks ${x}, ${y}, ${z}; ${kernel.workgroupSize} threads each`,
    ...buffers,
  ].map((each) => `// ${commentText(each)}`.trimEnd()).join('\n');
}

/** The text of one kernel; its name must be an identifier (see `nameKernels`). */
export function printCudaKernel(kernel: Kernel): string {
  const names = nameKernelParts(kernel, cudaNamer());
  const fragments = new Set<FragmentName>();
  if (kernel.shared.some((each) => each.type.width > 1)) fragments.add('vector');
  const spelling = cudaSpelling({ nameOf: names.of, shuffleLanes: shuffleLanes(kernel.workgroupSize), fragments });
  const body = printStatements(kernel.body, spelling);
  const lines = [...sharedDocs(kernel, names), body].flatMap((each) => [hardLine, each]);
  const functionText = renderDoc(concat(signatureDoc(kernel, names), ' {', indent(concat(...lines)), hardLine, '}'));
  const includes = storageText(kernel.buffers.map((each) => each.storage));
  return `${[headerComment(kernel), includes, preludeText(fragments), functionText].filter((each) => each !== '').join('\n\n')}\n`;
}
