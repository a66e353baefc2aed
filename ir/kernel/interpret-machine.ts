/**
 * What one simulated workgroup is made of: the activity list of the lockstep evaluation, variables
 * as lanes, memories with shadow state, and the findings. The expression and statement compilers of
 * the interpreter share it.
 *
 * Lanes: a value of width w in a workgroup of W invocations is a Float64Array of w·W numbers,
 * component by component, so `lanes[component * W + invocation]`.
 */
import { InternalError } from '../../support/invariant.ts';
import type { ArrayId, Kernel, KernelStatement, Uniform, VariableId } from './nodes.ts';
import { printStatementHead } from './print.ts';

/** Values of all invocations of a workgroup. */
export type Lanes = Float64Array;

export type FindingKind =
  | 'out-of-bounds' | 'uninitialised' | 'race' | 'workgroup-race' | 'divergent-barrier' | 'divergent-shuffle'
  | 'integer-overflow' | 'integer-division' | 'misaligned' | 'non-finite-literal' | 'buffer-size' | 'unwritten-output';

/** One fault that the sanitizer saw; repeated ones of a statement are reported once. */
export type SanitizerFinding = {
  readonly kind: FindingKind;
  readonly kernel: string;
  /** first line of the statement in the `.kir` form, or empty where no statement is to blame */
  readonly statement: string;
  /** name of the buffer or array, null for arithmetic and control flow */
  readonly buffer: string | null;
  readonly index: number | null;
  /** invocation in its workgroup, null where the whole workgroup is to blame */
  readonly invocation: number | null;
  /** linear number of the workgroup */
  readonly workgroup: number;
};

/** `f32` rounds every f32 operation and narrow storage; `f64` rounds nothing, for exact algebra. */
export type Rounding = 'f32' | 'f64';

export type Machine = {
  readonly kernel: Kernel;
  /** invocations of a workgroup */
  readonly size: number;
  readonly rounding: Rounding;
  /** invocations that execute the current statement: the first `count` of `active` */
  active: Int32Array;
  count: number;
  /** all invocations, in the order of evaluation */
  readonly everyone: Int32Array;
  readonly pool: LanePool;
  readonly variables: Map<VariableId, Lanes>;
  readonly arrays: Map<ArrayId, Memory>;
  readonly memories: Map<number, Memory>;
  /** workgroup-x, -y, -z and invocation as lanes */
  readonly builtins: readonly [Lanes, Lanes, Lanes, Lanes];
  readonly uniformValue: (uniform: Uniform) => number;
  statement: KernelStatement | null;
  /** linear number of the workgroup, from 0 */
  workgroup: number;
  /** number of the stretch between two barriers, over the whole launch, from 1 */
  epoch: number;
  steps: number;
  readonly stepLimit: number;
  readonly report: (kind: FindingKind, at?: FindingPlace) => void;
};

/**
 * Lanes for results of expressions, which live until their statement ends: few arrays that all
 * statements share stay in the processor's cache, and thousands need not be made.
 */
export type LanePool = {
  /** arrays by width, the first `used` of them taken */
  readonly made: Lanes[][];
  readonly used: number[];
};

/** Lanes that are taken until `withLanes` of somebody further out ends. */
export function takeLanes({ pool, size }: Pick<Machine, 'pool' | 'size'>, width: number): Lanes {
  const made = (pool.made[width] ??= []);
  const at = pool.used[width] ?? 0;
  pool.used[width] = at + 1;
  return (made[at] ??= new Float64Array(width * size));
}

/** What `compile` makes; lanes that it took are free again. */
export function withLanes<T>({ pool: { used } }: Pick<Machine, 'pool'>, compile: () => T): T {
  const before = [...used];
  const made = compile();
  for (let width = 0; width < used.length; width += 1) used[width] = before[width] ?? 0;
  return made;
}

export type FindingPlace = {
  readonly buffer?: string;
  readonly index?: number;
  readonly invocation?: number;
};

/** Who touched the elements of a memory; null for memories that nobody can race on. */
export type AccessLog = {
  readonly writeEpoch: Int32Array;
  readonly writer: Int32Array;
  readonly readEpoch: Int32Array;
  /** invocation, or -1 for several */
  readonly reader: Int32Array;
  /** number of the workgroup + 1, 0 for none, -1 for several; null for shared memory */
  readonly writerGroup: Int32Array | null;
  readonly readerGroup: Int32Array | null;
};

/** Elements with bounds, initialisation flags and access log. */
export type Memory = {
  readonly name: string;
  readonly length: number;
  readonly values: Float64Array;
  /** one flag per element (times invocations for register arrays); null: not watched */
  readonly written: Uint8Array | null;
  readonly log: AccessLog | null;
  /** what an uninitialised read yields */
  readonly poison: number;
};

/** Empty log for `length` elements. */
export function makeAccessLog(length: number, space: 'global' | 'shared'): AccessLog {
  const make = (): Int32Array => new Int32Array(length);
  return {
    writeEpoch: make(), writer: make(), readEpoch: make(), reader: make(),
    writerGroup: space === 'global' ? make() : null, readerGroup: space === 'global' ? make() : null,
  };
}

/** Checks of one read of an element in bounds; false where it was not initialised. */
export function noteRead(machine: Machine, memory: Memory, index: number, invocation: number): boolean {
  const { log, written } = memory;
  if (log !== null) {
    if (log.writeEpoch[index] === machine.epoch && log.writer[index] !== invocation) {
      machine.report('race', { buffer: memory.name, index, invocation });
    }
    if (log.readEpoch[index] !== machine.epoch) {
      log.readEpoch[index] = machine.epoch;
      log.reader[index] = invocation;
    } else if (log.reader[index] !== invocation) log.reader[index] = -1;
    if (log.writerGroup !== null && log.readerGroup !== null) {
      const group = machine.workgroup + 1;
      const writer = log.writerGroup[index];
      if (writer !== 0 && writer !== group) machine.report('workgroup-race', { buffer: memory.name, index, invocation });
      const reader = log.readerGroup[index];
      log.readerGroup[index] = reader === 0 || reader === group ? group : -1;
    }
  }
  if (written === null || written[index] !== 0) return true;
  machine.report('uninitialised', { buffer: memory.name, index, invocation });
  return false;
}

/** Checks of one write to an element in bounds, and marks it initialised. */
export function noteWrite(machine: Machine, memory: Memory, index: number, invocation: number): void {
  const { log, written } = memory;
  if (written !== null) written[index] = 1;
  if (log === null) return;
  const isWritten = log.writeEpoch[index] === machine.epoch && log.writer[index] !== invocation;
  const isRead = log.readEpoch[index] === machine.epoch && log.reader[index] !== invocation;
  if (isWritten || isRead) machine.report('race', { buffer: memory.name, index, invocation });
  log.writeEpoch[index] = machine.epoch;
  log.writer[index] = invocation;
  if (log.writerGroup === null || log.readerGroup === null) return;
  const group = machine.workgroup + 1;
  const foreign = (each: number | undefined): boolean => each !== 0 && each !== group;
  if (foreign(log.writerGroup[index]) || foreign(log.readerGroup[index])) {
    machine.report('workgroup-race', { buffer: memory.name, index, invocation });
  }
  log.writerGroup[index] = group;
}

/** Counts a statement; a limit turns endless loops into an error. */
export function enterStatement(machine: Machine, statement: KernelStatement): void {
  machine.statement = statement;
  machine.steps += 1;
  if (machine.steps > machine.stepLimit) {
    const place = printStatementHead(statement);
    throw new InternalError(`kernel ${machine.kernel.name} took more than ${machine.stepLimit} steps, in: ${place}`);
  }
}

/** One line for people. */
export function formatFinding(finding: SanitizerFinding): string {
  const place = finding.buffer === null ? '' : ` of ${finding.buffer}${finding.index === null ? '' : `[${finding.index}]`}`;
  const who = finding.invocation === null ? '' : ` by invocation ${finding.invocation}`;
  const statement = finding.statement === '' ? '' : `, in: ${finding.statement}`;
  return `${finding.kind}${place}${who} of workgroup ${finding.workgroup} in kernel ${finding.kernel}${statement}`;
}

/** A reporter that keeps the first finding of each kind, statement and buffer; or throws it. */
export function makeReporter(
  findings: SanitizerFinding[], mode: 'throw' | 'collect', where: () => Pick<Machine, 'statement' | 'workgroup' | 'kernel'>,
): Machine['report'] {
  const seen = new Set<string>();
  return (kind, at = {}) => {
    const { statement, workgroup, kernel } = where();
    const finding: SanitizerFinding = {
      kind, kernel: kernel.name, statement: statement === null ? '' : printStatementHead(statement),
      buffer: at.buffer ?? null, index: at.index ?? null, invocation: at.invocation ?? null, workgroup,
    };
    if (mode === 'throw') throw new InternalError(formatFinding(finding));
    const key = `${kind} ${finding.buffer} ${finding.statement}`;
    if (seen.has(key)) return;
    seen.add(key);
    findings.push(finding);
  };
}
