import { describe, expect, test } from 'vitest';
import { emitCuda, printCudaKernel, renderCudaLaunchers, renderCudaUnit } from '../../../backends/cuda/index.ts';
import { raiseForCuda } from '../../../backends/cuda/raise.ts';
import { KernelBuilder, add, builtin, convert, element, integer, literal, load, loadShared, shuffleXor, unary } from '../../../ir/kernel/builder.ts';
import { f32 } from '../../../ir/kernel/nodes.ts';
import { everythingKernel, header, scaleKernel, scalePlan, scanKernel, scanPlan, tensor } from './kernels.ts';
import { compileCuda, compileHost, cudaHeaders, hasNvcc, parseReport, unitFiles } from './nvcc.ts';

if (!hasNvcc) console.warn('nvcc is not installed: the CUDA texts are printed but not compiled');

describe('printed text', () => {
  test('a kernel reads like its source', () => {
    expect(printCudaKernel(scaleKernel())).toMatchInlineSnapshot(`
      "// scale: CUDA
      // vector scale
      // blocks ceil(batch * length * 3 / 128), 1, 1; 128 threads each
      // u: f32[batch * length * 3], read
      // u.y: f32[batch * length * 3], write

      extern "C" __global__ void __launch_bounds__(128) scale(
        const float* __restrict__ u_0,
        float* __restrict__ u_y_0,
        int u_1
      ) {
        const int u_2 = int(blockIdx.x) * 128 + int(threadIdx.x);
        if (u_2 < u_1) {
          // y = 2 u
          const float u_3 = 2.0f * u_0[u_2];
          u_y_0[u_2] = u_3;
        }
      }
      "
    `);
  });

  test('loops marked unroll carry the pragma, others do not', () => {
    const text = printCudaKernel(scanKernel({ channels: 8, states: 4 }));
    expect(text.match(/#pragma unroll\n\s+for \(int n_/g)).toHaveLength(2);
    expect(text).toMatch(/[^l]\n\s+for \(int t_0/);
  });

  test('shuffles name the lanes that exist', () => {
    const shuffled = (workgroupSize: number): string => {
      const builder = new KernelBuilder();
      const y = builder.buffer('y', 'f32', 'read-write', 1024);
      builder.store(y, builtin('invocation'), shuffleXor(load(y, builtin('invocation')), 1));
      return printCudaKernel(builder.finish({ name: 'k', notes: [], workgroupSize, grid: [1, 1, 1] }));
    };
    expect(shuffled(64)).toContain('__shfl_xor_sync(0xffffffffu, ');
    expect(shuffled(16)).toContain('__shfl_xor_sync(0xffffu, ');
    expect(shuffled(48)).toContain('__shfl_xor_sync(__activemask(), ');
  });

  test('notes cannot leave their comment', () => {
    const text = printCudaKernel({ ...scaleKernel(), notes: ['a\\', 'b\nasm("x")', 'c??/'] });
    for (const each of ['a', 'b.asm', 'c']) expect(text).toMatch(new RegExp(`^// ${each}`, 'm'));
    expect(text).not.toMatch(/\\$|^asm/m);
  });

  test('the same kernel gives the same text', () => {
    expect(printCudaKernel(everythingKernel())).toBe(printCudaKernel(everythingKernel()));
  });

  test('shared memory beyond 48 KiB becomes dynamic, beyond 227 KiB is refused', () => {
    const large = (length: number) => {
      const builder = new KernelBuilder();
      const y = builder.buffer('y', 'f32', 'write', 4096);
      const [narrow, wide] = [builder.shared('narrow', f32, 3), builder.shared('wide', { ...f32, width: 4 }, length)];
      builder.storeShared(narrow, integer(0), literal(1));
      builder.barrier();
      builder.store(y, integer(0), add(loadShared(narrow, integer(0)), { kind: 'extract', lane: 0, operand: loadShared(wide, integer(0)), type: f32 }));
      return builder.finish({ name: 'large', notes: [], workgroupSize: 32, grid: [1, 1, 1] });
    };
    const plan = (length: number) => ({ entry: 'forward' as const, tensors: [tensor('y', 'output', 'f32', [4096])], kernels: [large(length)] });
    const artifact = emitCuda([plan(4000)], header);
    const unit = renderCudaUnit(artifact);
    expect(unit).toContain('extern __shared__ __align__(16) unsigned char sf_shared[];');
    expect(unit).toContain('wide_0 = reinterpret_cast<sf_vector<float, 4>*>(sf_shared + 0);');
    expect(unit).toContain('narrow_0 = reinterpret_cast<float*>(sf_shared + 64000);');
    expect(unit).toContain('cudaFuncAttributeMaxDynamicSharedMemorySize, 64012)');
    expect(() => emitCuda([plan(15000)], header)).toThrow(/SSM5001/);
  });
});

test('names that nothing uses are gone before printing', () => {
  const builder = new KernelBuilder();
  const y = builder.buffer('y', 'f32', 'write', 4);
  const dead = builder.array('dead', f32, 4);
  builder.shared('untouched', f32, 4);
  const first = builder.let('first', add(load(builder.buffer('u', 'f32', 'read', 4), integer(0)), literal(1)));
  builder.setElement(dead, integer(0), first);
  builder.let('second', element(dead, integer(0)));
  builder.store(y, integer(0), literal(5));
  const kernel = raiseForCuda(builder.finish({ name: 'k', notes: [], workgroupSize: 32, grid: [1, 1, 1] }));
  expect(kernel.body.map((each) => each.kind)).toEqual(['store']);
  expect(kernel.shared).toEqual([]);
  expect(kernel.buffers).toHaveLength(2);
});

test('a run without tokens launches nothing: final states are the initial ones, all else is zero', () => {
  const builder = new KernelBuilder();
  for (const name of ['y', 'x.final', 'grad.x']) builder.store(builder.buffer(name, 'f32', 'write', 4), integer(0), literal(1));
  const kernel = builder.finish({ name: 'k', notes: [], workgroupSize: 32, grid: [1, 1, 1] });
  const state = { dims: ['batch', 3], axes: ['batch', 'N'] } as const;
  const tensors = [
    { ...tensor('x.initial', 'initial', 'f32', []), ...state, subject: 'x' }, { ...tensor('d.x.final', 'final-cotangent', 'f32', []), ...state, subject: 'x' },
    { ...tensor('x.final', 'final', 'f32', []), ...state, subject: 'x' }, { ...tensor('grad.x', 'gradient', 'f32', []), ...state, subject: 'x' },
    tensor('y', 'output', 'f32', ['batch', 'length', 3]),
  ];
  const text = renderCudaLaunchers(emitCuda([{ entry: 'forward', tensors, kernels: [kernel] }], header).manifest);
  const empty = text.slice(text.indexOf('if (batch == 0 || length == 0) {'), text.indexOf('return status;'));
  expect(empty).toContain('cudaMemcpyAsync(tensors->final_x, tensors->initial_x, static_cast<size_t>(batch * 3ll * 4), cudaMemcpyDeviceToDevice, stream)');
  expect(empty).toContain('cudaMemcpyAsync(tensors->gradient_x, tensors->final_cotangent_x, ');
  expect(empty).toContain('cudaMemsetAsync(tensors->output_y, 0, ');
});

test.each([
  ['C11', ['gcc', '-std=c11', '-x', 'c']], ['C++', ['g++', '-std=c++17', '-x', 'c++']],
])('the header is %s without a warning, with 16-bit tensors and without tensors', { skip: cudaHeaders === undefined }, (_, command) => {
  const plans = [scanPlan({ channels: 128, states: 16 }, 'bf16'), scalePlan(), { entry: 'backward' as const, tensors: [], kernels: [] }];
  const name = 'statefuse_hand_built';
  const user = [
    `#include "${name}.h"`, `#include "${name}.h"`,
    'cudaError_t run(const uint16_t* u, uint16_t* y, void* scratch);',
    'cudaError_t run(const uint16_t* u, uint16_t* y, void* scratch) {',
    `  ${name}_forward_tensors tensors = {${Array.from({ length: 6 }, () => '0').join(', ')}};`,
    '  tensors.input_u = u;', '  tensors.output_y = y;',
    `  if (${name}_step_scratch_bytes(1, 4) == 0) return cudaErrorInvalidValue;`,
    `  return ${name}_forward(&tensors, 1, 4, scratch, 0);`, '}', '',
  ].join('\n');
  expect(compileHost(command, { 'user.c': user, ...unitFiles(emitCuda(plans, header)) }, 'user.c')).toBe('');
});

test('sines may take registers that would serve another block', () => {
  const kernelWith = (operator: 'sine' | 'exp2') => {
    const builder = new KernelBuilder();
    const y = builder.buffer('y', 'f32', 'write', 32);
    builder.store(y, builtin('invocation'), unary(operator, convert(builtin('invocation'), f32)));
    return printCudaKernel(raiseForCuda(builder.finish({ name: 'k', notes: [], workgroupSize: 32, grid: [1, 1, 1] })));
  };
  expect(kernelWith('sine')).toContain('__launch_bounds__(32, 1)');
  expect(kernelWith('exp2')).toContain('__launch_bounds__(32)');
});

describe('ptxas report', () => {
  test('is read by kernel', () => {
    const log = `ptxas info    : Compiling entry function 'k_0' for 'sm_90'
ptxas info    : Function properties for k_0
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers`;
    expect(parseReport(log)).toEqual([{ kernel: 'k_0', architecture: 'sm_90', stackBytes: 8, spillStores: 4, spillLoads: 12, registers: 64 }]);
  });
});

describe.skipIf(!hasNvcc)('nvcc', () => {
  test('accepts scan and scale with their header without warnings; nothing spills', () => {
    const artifact = emitCuda([scanPlan({ channels: 128, states: 16 }), scalePlan()], header);
    const reports = compileCuda(unitFiles(artifact), 'main.cu');
    expect(reports.map((each) => each.kernel).toSorted()).toEqual(['scale_0', 'scale_1', 'scan_0']);
    for (const report of reports) expect(report).toMatchObject({ stackBytes: 0, spillStores: 0, spillLoads: 0 });
  });

  test.each(['bf16', 'f16'] as const)('loads %s four at a time', (storage) => {
    const text = printCudaKernel(scanKernel({ channels: 128, states: 16 }, storage));
    expect(compileCuda({ 'main.cu': text }, 'main.cu')).toMatchObject([{ stackBytes: 0, spillStores: 0, spillLoads: 0 }]);
  });

  test('accepts every node, storage type and width', () => {
    const reports = compileCuda({ 'main.cu': printCudaKernel(raiseForCuda(everythingKernel())) }, 'main.cu');
    expect(reports).toMatchObject([{ kernel: 'everything', spillStores: 0, spillLoads: 0 }]);
  });

  test('accepts hostile names', () => {
    const stems = ['asm', 'template', 'M_PI', 'linux', 'float', '__global__', 'threadIdx', '*/ #error', 'min', '\u00e9\u4e2d', 'NV_IS_EXACTLY_SM'];
    const names = [...stems, 'M_PI', 'M_PI', 'M_PI'];
    const builder = new KernelBuilder();
    const y = builder.buffer('y', 'f32', 'write', 64);
    const sum = builder.var('int', literal(0));
    const variable = { kind: 'variable' as const, variable: sum, type: f32 };
    for (const stem of names) {
      builder.comment(stem);
      builder.assign(sum, add(variable, builder.let(stem, add(variable, load(builder.buffer(stem, 'f32', 'read', 64), builtin('invocation'))))));
    }
    builder.store(y, builtin('invocation'), variable);
    const kernel = builder.finish({ name: 'hostile', notes: stems, workgroupSize: 64, grid: [1, 1, 1] });
    const plan = { entry: 'forward' as const, kernels: [kernel], tensors: kernel.buffers.map((each) => tensor(each.name, each.access === 'read' ? 'input' : 'output', 'f32', [64])) };
    const artifact = emitCuda([plan], { ...header, layer: 'class' });
    expect(compileCuda(unitFiles(artifact), 'main.cu').map((each) => each.kernel)).toEqual(['hostile_0']);
  });
});
