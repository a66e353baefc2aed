/**
 * What schedule `blocks` computes once per kernel: for each state of a thread the powers of its
 * transition, multiplied into its drive and its read-outs, and this thread's share of the first
 * values of the layer's impulse response.
 */
import { add, builtin, element, integer, literal, multiply, unary } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray, type SharedArray } from '../kernel/nodes.ts';
import type { BlockForm, ReadOut } from './blocks-form.ts';
import type { LanesFrame } from './lanes-frame.ts';
import { applyTransition, type InnerSite, type StateParts } from './region-values.ts';
import type { ScanThread } from './scan-thread.ts';

export type BlockCoefficients = {
  /** a, by part, in shared memory: only a block that is not whole asks for it */
  readonly transition: readonly SharedArray[];
  /** a^K, by part */
  readonly jump: readonly RegisterArray[];
  /** by part of the state, state × token of the block: what the token's signal adds to the state after the block */
  readonly drive: readonly RegisterArray[];
  /** by read-out and part, state × token of the block: weight of the state before the block */
  readonly readOuts: readonly (readonly RegisterArray[])[];
  /** by read-out: first K values of the impulse response, of this thread's states */
  readonly responses: readonly RegisterArray[];
};

export type CoefficientRequest = {
  readonly frame: LanesFrame;
  readonly thread: ScanThread;
  readonly form: BlockForm;
  /** tokens per block */
  readonly block: number;
};

function conjugate(parts: StateParts): StateParts {
  return parts.map((part, at) => (at === 0 ? part : unary('negate', part)));
}

function declare({ frame: { builder, parameters }, thread, form, block }: CoefficientRequest): BlockCoefficients {
  const { plan, shape } = thread;
  const { coefficient, current } = plan.recurrence;
  const transitionParts = coefficient.kind === 'exponent' ? 1 : coefficient.parts.length;
  const perToken = (name: string): readonly RegisterArray[] => current.map(() => builder.array(name, f32, shape.innerSteps * block));
  return {
    transition: Array.from({ length: transitionParts }, () => builder.shared('decay', f32, shape.innerSteps * parameters.workgroupSize)),
    jump: Array.from({ length: transitionParts }, () => builder.array('decay_block', f32, shape.innerSteps)),
    drive: perToken('drive_block'),
    readOuts: form.readOuts.map(() => perToken('weight_block')),
    responses: form.readOuts.map(() => builder.array('response', f32, block)),
  };
}

/** Place of a thread's state among all transitions of the workgroup. */
export function transitionPlace({ parameters }: LanesFrame, site: InnerSite): KernelExpression {
  return add(multiply(site.step, integer(parameters.workgroupSize)), builtin('invocation'));
}

/** Declares and computes the coefficients; values of the thread that are fixed in time must be prepared. */
export function blockCoefficients(request: CoefficientRequest): BlockCoefficients {
  const { frame, thread, form, block } = request;
  const { builder } = frame;
  const { values, plan } = thread;
  const made = declare(request);
  for (const response of made.responses) {
    for (let token = 0; token < block; token++) builder.setElement(response, integer(token), literal(0));
  }
  const bind = (name: string, parts: StateParts): StateParts => parts.map((part) => builder.let(name, part));
  const valueOf = (id: Parameters<typeof values.inner>[0]): KernelExpression => values.inner(id, 0);
  const fixedOf = (numbers: ReadOut['weights']): StateParts => numbers.map((number) => builder.let('factor', number?.(valueOf) ?? literal(0)));
  thread.eachStep((site) => {
    values.beginInner(site);
    const { coefficient } = plan.recurrence;
    const transition = coefficient.kind === 'exponent' ? [values.power(coefficient.exponent, 0)] : coefficient.parts.map(valueOf);
    made.transition.forEach((array, part) => builder.storeShared(array, transitionPlace(frame, site), transition[part] ?? literal(0)));
    const drive = fixedOf(form.drive);
    const weights = form.readOuts.map((each) => fixedOf(each.weights));
    const first = builder.let('first', multiply(site.step, integer(block)));
    let power: StateParts | null = null;
    for (let token = 0; token < block; token++) {
      const driven: StateParts = power === null ? drive : bind('driven', applyTransition(power, drive));
      made.drive.forEach((array, part) => builder.setElement(array, add(first, integer(block - 1 - token)), driven[part] ?? literal(0)));
      addResponse(request, made.responses, { token, driven, weights });
      power = power === null ? transition : bind('power', applyTransition(transition, power));
      const turned = conjugate(power);
      weights.forEach((weight, at) => applyTransition(turned, weight).forEach((value, part) => {
        const array = made.readOuts[at]?.[part];
        if (array !== undefined) builder.setElement(array, add(first, integer(token)), value);
      }));
    }
    made.jump.forEach((array, part) => builder.setElement(array, site.step, power?.[part] ?? literal(0)));
    values.endInner();
  });
  return made;
}

type ResponseTerm = { readonly token: number; readonly driven: StateParts; readonly weights: readonly StateParts[] };

function addResponse({ frame: { builder } }: CoefficientRequest, responses: readonly RegisterArray[], { token, driven, weights }: ResponseTerm): void {
  responses.forEach((response, at) => {
    const terms = (weights[at] ?? []).map((weight, part) => multiply(weight, driven[part] ?? literal(0)));
    builder.setElement(response, integer(token), terms.reduce((total, term) => add(total, term), element(response, integer(token))));
  });
}
