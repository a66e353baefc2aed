/** A small selective recurrence, x ← 2^(a·dt) x + dt·u with y = Σ_N c·x, as a module for tests. */
import { TensorBuilder, ValueIds } from '../../../ir/tensor/builder.ts';
import type { AffineScanOp, FunctionResult, TensorModule, TensorType } from '../../../ir/tensor/ops.ts';

export type ScanModuleOptions = {
  readonly order?: 'forward' | 'reverse';
  readonly form?: AffineScanOp['form'];
  readonly interval?: number | null;
  /** the drive also goes to the state after the decay */
  readonly releases?: boolean;
  /** changes the operation before it is appended */
  readonly change?: (op: AffineScanOp) => AffineScanOp;
};

export const scanAxes: readonly { readonly name: string; readonly size: number }[] = [{ name: 'D', size: 5 }, { name: 'N', size: 6 }];

export function scanModule(options: ScanModuleOptions = {}): { readonly module: TensorModule; readonly op: AffineScanOp } {
  const ids = new ValueIds();
  const builder = new TensorBuilder(scanAxes, ids);
  const real = (...axes: string[]): TensorType => ({ dtype: 'real', axes });
  const u = builder.argument({ role: 'input', subject: 'u', type: real('batch', 'time', 'D') });
  const c = builder.argument({ role: 'input', subject: 'c', type: real('batch', 'time', 'N') });
  const a = builder.argument({ role: 'param', subject: 'a', type: real('D', 'N') });
  const start = builder.argument({ role: 'initial', subject: 'x', type: real('batch', 'D', 'N') });
  const dt = builder.unary('softplus', u);
  const region = new TensorBuilder(scanAxes, ids);
  const operands = [dt, u, c, a];
  const parameters = operands.map((id) => region.fresh(builder.value(id).name, builder.typeOf(id)));
  const [dtIn, uIn, cIn, aIn] = parameters.map((value) => value.id) as [never, never, never, never];
  const previous = region.fresh('x_previous', real('batch', 'time', 'D', 'N'));
  const current = region.fresh('x', real('batch', 'time', 'D', 'N'));
  const exponent = region.multiply(aIn, dtIn);
  const drive = region.multiply(dtIn, uIn);
  const y = region.reduce('sum', ['N'], region.multiply(cIn, current.id));
  const squares = region.multiply(previous.id, previous.id);
  const plain: AffineScanOp = {
    kind: 'affine-scan', state: 'x', order: options.order ?? 'forward', form: options.form ?? 'decay-then-add', axes: ['D', 'N'],
    operands, parameters, region: region.instructions, coefficient: { kind: 'exponent', exponent }, drive: [drive],
    release: options.releases === true ? [drive] : null, previous: [previous], current: [current], initial: [start], history: null,
    yields: [{ value: y, sumOver: [] }, { value: squares, sumOver: ['batch', 'time', 'N'] }],
    emitsFinal: true, checkpointInterval: options.interval ?? null,
  };
  const op = options.change?.(plain) ?? plain;
  const known = [...parameters, previous, current, ...region.instructions.flatMap((each) => each.results)];
  const made = builder.scan(op, new Map(known.map((value) => [value.id, value])));
  const results: FunctionResult[] = [
    { role: 'output', subject: 'y', part: 'whole', value: made.yields[0]! },
    { role: 'output', subject: 'squares', part: 'whole', value: made.yields[1]! },
    { role: 'final', subject: 'x', part: 'whole', value: made.finals[0]! },
    ...made.checkpoints.map((value): FunctionResult => ({ role: 'saved', subject: 'x', part: 'whole', value })),
  ];
  const forward = { name: 'forward', instructions: builder.instructions, results };
  return { module: { name: 'Selective', axes: scanAxes, functions: [forward] }, op };
}
