/**
 * The schedules that a tuner may try for a scan: all legal combinations of parameters that are data, for
 * this layer and this machine. One table says which values each field may take; a new field of a
 * schedule is a new line there. Nothing is measured here and nothing is chosen; the compiler's own
 * verification of the kernels has the last word on legality.
 */
import { areBlocksLegal, blocksParametersFor } from './blocks-parameters.ts';
import { areHelpersLegal, lanesParametersFor, lanesSharedBytes, maySumByTile } from './lanes-parameters.ts';
import type { LanesParameters, Machine, ScanParameters, ScanSchedule, SegmentsParameters, SequentialParameters } from './parameters.ts';
import type { RegionPlan } from './region-plan.ts';
import { blocksMayBeCut, selectSchedule } from './select-schedule.ts';

export type CandidateRequest = {
  readonly plan: RegionPlan;
  readonly machine: Machine;
  /** tokens between saved states: tiles divide it, pieces are multiples of it */
  readonly interval: number;
  /** tokens that the layer will be run on, if known: longer pieces are left out */
  readonly length?: number;
};

type Field = number | string | boolean;
type Fields = Readonly<Record<string, Field>>;

/** What a field's values may depend on: the request, and the fields of the table above it. */
type Values = (request: CandidateRequest, chosen: Fields) => readonly Field[];

const powers = (from: number, to: number): readonly number[] =>
  [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024].filter((each) => each >= from && each <= to);
const isWorkgroupMachine = ({ machine }: CandidateRequest): boolean => machine.maximumWorkgroup > 1;
const workgroups: Values = ({ machine }) => (machine.maximumWorkgroup > 1 ? powers(32, Math.min(512, machine.maximumWorkgroup)) : [1]);
/** Groups of other sizes too, which suit processors' shares of few sequences. */
const groups: Values = (request, chosen) => [...workgroups(request, chosen), ...(request.machine.processors === undefined ? [] : [96, 160, 192])];
const switches: Values = () => [true, false];

/** 1, and 4 where a vector of four fits the machine and the size. */
function widths(request: CandidateRequest, size: number): readonly number[] {
  return request.machine.vectorWidth >= 4 && size % 4 === 0 ? [1, 4] : [1];
}

/**
 * Values per field and kind of schedule, in the order in which they are chosen. A field that a schedule of
 * today does not have is passed over; one that is missing here keeps the value of the rule.
 */
const table: Readonly<Record<string, Readonly<Record<string, Values>>>> = {
  sequential: {
    workgroupSize: workgroups,
    lanes: (request) => widths(request, request.plan.channels.at(-1)?.size ?? 1),
    innerWidth: (request) => (request.plan.inner.length === 0 ? [1] : widths(request, request.plan.inner.at(-1)?.size ?? 1)),
    groupChannels: (request, { lanes }) => (isWorkgroupMachine(request) ? [Number(lanes)] : powers(4, 256).filter((each) => each % Number(lanes) === 0)),
  },
  lanes: {
    workgroupSize: groups,
    lanes: () => powers(1, 32),
    channels: (request) => [1, 2, 4].filter((each) => (request.plan.channels.at(-1)?.size ?? 1) % each === 0),
    tile: ({ plan, interval }) => (plan.history === null ? powers(4, 64).filter((each) => interval % each === 0 || each % interval === 0) : [interval]),
    channelSums: ({ machine, plan }, { lanes }) => (machine.shuffleWidth < 32 ? ['shared'] : [...(maySumByTile(plan, Number(lanes)) ? ['tile'] : []), 'shuffle', 'shared']),
    prefetch: switches,
    overlap: (_, { prefetch }) => (prefetch === true ? [true, false] : [false]),
    helpers: (_, { overlap, workgroupSize }) => (overlap === true ? [0, Number(workgroupSize), Number(workgroupSize) / 2, 2 * Number(workgroupSize)] : [0]),
  },
  blocks: {
    workgroupSize: workgroups,
    lanes: () => powers(1, 32),
    block: () => [4, 8],
  },
  segments: {
    workgroupSize: workgroups,
    lanes: (request) => [1, 2, 4].filter((each) => (request.plan.channels.at(-1)?.size ?? 1) % each === 0),
    segments: (_, { workgroupSize }) => powers(1, Number(workgroupSize)),
    tokens: () => powers(1, 32),
    prefetch: switches,
    halvings: (_, { workgroupSize, segments }) => [0, 1, 2, 3].filter((each) => Number(workgroupSize) / Number(segments) >= 2 ** each),
  },
  step: {
    workgroupSize: workgroups,
    lanes: (_, { workgroupSize }) => powers(1, Math.min(32, Number(workgroupSize))),
    rows: () => powers(1, 8),
  },
};

/** Most states that one thread keeps in registers. */
const mostStatesPerThread = 32;

/** Checkpoints lie at starts of a thread's tokens, or of groups of neighbouring threads. */
function meetsCheckpoints({ segments, tokens }: SegmentsParameters, interval: number): boolean {
  return tokens % interval === 0 || (interval % tokens === 0 && segments % (interval / tokens) === 0);
}

function isLegal(parameters: ScanParameters, { plan, machine, interval }: CandidateRequest): boolean {
  if (parameters.kind === 'segments') return meetsCheckpoints(parameters, interval);
  if (parameters.kind === 'blocks') return areBlocksLegal(plan, parameters, machine, interval);
  if (parameters.kind !== 'lanes') return true;
  const { workgroupSize, lanes, channels, tile, channelSums, helpers } = parameters;
  const states = plan.innerCount / lanes;
  return Number.isInteger(states) && states * channels <= mostStatesPerThread && lanes <= workgroupSize && channels <= lanes && (tile * channels) % lanes === 0
    && (channelSums === 'shared' || workgroupSize % 32 === 0) && (powers(1, 1024).includes(workgroupSize) || helpers > 0) && areHelpersLegal(plan, parameters, machine)
    && lanesSharedBytes(plan, parameters) <= machine.sharedBytes;
}

/** One schedule of each kind to vary: the rule's choice first. */
function baseParameters({ plan, machine, interval }: CandidateRequest): readonly ScanParameters[] {
  const rule = selectSchedule(plan, machine, { mode: 'auto', pieceLength: interval, interval }).schedule.parameters;
  const sequential: SequentialParameters = { kind: 'sequential', workgroupSize: machine.maximumWorkgroup === 1 ? 1 : 64, lanes: 1, innerWidth: 1, groupChannels: 1 };
  const lanes: LanesParameters | null = machine.maximumWorkgroup === 1 ? null : lanesParametersFor(plan, machine, interval);
  const blocks = machine.maximumWorkgroup === 1 ? null : blocksParametersFor(plan, machine, interval);
  const others = [sequential, lanes, blocks].filter((each) => each !== null).filter((each) => each.kind !== rule.kind);
  return [rule, ...others];
}

function variations(base: ScanParameters, request: CandidateRequest): readonly ScanParameters[] {
  let made: readonly Fields[] = [base];
  for (const [field, values] of Object.entries(table[base.kind] ?? {})) {
    if (!Object.hasOwn(base, field)) continue;
    made = made.flatMap((each) => values(request, each).map((value) => ({ ...each, [field]: value })));
  }
  return made as unknown as readonly ScanParameters[];
}

/** Tokens per piece of a three-pass scan; null for none. */
function splitSizes({ interval, length }: CandidateRequest): readonly (number | null)[] {
  const pieces = [4, 8, 16, 32, 64, 128, 256].map((each) => each * interval).filter((each) => each <= 8192 && (length === undefined || each < length));
  return [null, ...pieces];
}

/** All legal schedules, the rule's among them; each once, in an order that is always the same. */
export function candidateSchedules(request: CandidateRequest): readonly ScanSchedule[] {
  const seen = new Map<string, ScanSchedule>();
  for (const parameters of baseParameters(request).flatMap((base) => [base, ...variations(base, request)])) {
    if (!isLegal(parameters, request)) continue;
    for (const size of splitSizes(request)) {
      const schedule: ScanSchedule = { parameters, split: size === null ? null : { size } };
      if (parameters.kind === 'blocks' && !blocksMayBeCut(request.plan, schedule.split)) continue;
      seen.set(scheduleKey(schedule), seen.get(scheduleKey(schedule)) ?? schedule);
    }
  }
  return [...seen.values()];
}

/** A schedule as text: equal for equal schedules, whatever the order of their fields. */
export function scheduleKey({ parameters, split }: ScanSchedule): string {
  const { kind, ...fields } = parameters;
  const listed = Object.entries(fields).sort(([left], [right]) => (left < right ? -1 : 1)).map(([name, value]) => `${name}=${String(value)}`);
  return `${kind} ${listed.join(' ')} split=${split === null ? 'none' : split.size}`;
}

/** In how many fields two schedules differ; another kind counts for all of its fields. */
export function scheduleDistance(left: ScanSchedule, right: ScanSchedule): number {
  const isSplitEqual = (left.split?.size ?? null) === (right.split?.size ?? null);
  if (left.parameters.kind !== right.parameters.kind) return Object.keys(right.parameters).length + Number(!isSplitEqual);
  const [from, to] = [left.parameters as unknown as Fields, right.parameters as unknown as Fields];
  return Object.keys(to).filter((field) => from[field] !== to[field]).length + Number(!isSplitEqual);
}

/** Which scan of a layer a region is, the same in every entry point that holds it: its state and its direction. */
export function scanKey(plan: RegionPlan): string {
  return `${plan.op.state} ${plan.direction}${plan.history === null ? '' : ' with replay'}`;
}
