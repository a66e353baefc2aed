/**
 * The Tensor IR verifier: re-derives every type, checks that values are defined once and before use,
 * and that regions are closed. A fault is a bug of a pass; the messages say which value.
 */
import { InternalError } from '../../support/invariant.ts';
import type { FunctionResult, TensorFunction, TensorInstruction, TensorModule, TensorType } from './ops.ts';
import { deriveTypes, isRunTimeAxis, type Derived } from './shape-rules.ts';
import { verifyScan } from './verify-scan.ts';
import { defineValue, formatTensorType, lookUp, sameType, type VerifyScope } from './verify-scope.ts';
import { operandsOf } from './walk.ts';

function derivedOf(instruction: TensorInstruction, scope: VerifyScope): Derived | null {
  const { op, results } = instruction;
  const user = `%${results[0]?.id ?? '?'} = ${op.kind}`;
  const operands = operandsOf(op).map((id) => lookUp(id, user, scope));
  if (operands.includes(null)) return null;
  if (op.kind === 'affine-scan') return verifyScan({ op, user, scope, verifyInner: verifyInstruction });
  if (op.kind === 'argument') return argumentType(instruction);
  const none: TensorType = { dtype: 'real', axes: [] };
  return deriveTypes(op, { axes: scope.axes, typeOf: (id) => scope.types.get(id) ?? none });
}

function argumentType({ op, results }: TensorInstruction): Derived {
  const declared = results[0]?.type;
  if (op.kind !== 'argument' || declared === undefined) return 'argument without a result';
  if (op.part !== 'whole' && declared.dtype !== 'real') return `part ${op.part} of an argument is ${declared.dtype}`;
  return [declared];
}

/** Checks one instruction and makes its results known. */
export function verifyInstruction(instruction: TensorInstruction, scope: VerifyScope): void {
  const { op, results } = instruction;
  const derived = derivedOf(instruction, scope);
  const user = `%${results[0]?.id ?? '?'} = ${op.kind}`;
  if (typeof derived === 'string') scope.report(`${user}: ${derived}`);
  if (derived !== null && typeof derived !== 'string') {
    if (derived.length !== results.length) {
      scope.report(`${user} has ${results.length} results, it makes ${derived.length}`);
    }
    derived.forEach((type, at) => {
      const value = results[at];
      if (value === undefined || sameType(value.type, type)) return;
      const declared = `%${value.id} is declared ${formatTensorType(value.type)}`;
      scope.report(`${declared}, ${op.kind} makes ${formatTensorType(type)}`);
    });
  }
  for (const value of results) defineValue(value, scope);
}

function verifyArguments(instructions: readonly TensorInstruction[], report: (fault: string) => void): void {
  const seen = new Map<string, { readonly parts: Set<string>; readonly axes: string }>();
  for (const { op, results } of instructions) {
    if (op.kind !== 'argument') continue;
    const key = `${op.role} ${op.subject}`;
    const axes = (results[0]?.type.axes ?? []).join();
    const before = seen.get(key) ?? { parts: new Set<string>(), axes };
    before.parts.add(op.part);
    if (before.parts.has('whole') && before.parts.size > 1) report(`argument ${key} is read whole and by part`);
    if (before.axes !== axes) report(`parts of argument ${key} have different axes`);
    seen.set(key, before);
  }
}

function verifyResults(results: readonly FunctionResult[], scope: VerifyScope): void {
  const keyOf = (result: FunctionResult): string => `${result.role} ${result.subject}`;
  for (const key of new Set(results.map(keyOf))) {
    const group = results.filter((result) => keyOf(result) === key);
    const types = group.map((result) => lookUp(result.value, `result ${key}`, scope));
    const parts = group.map((result) => result.part).sort().join();
    if (parts !== 'whole' && parts !== 'im,re') scope.report(`result ${key} has parts ${parts}`);
    if (parts === 'whole') continue;
    const areReal = types.every((type) => type === null || type.dtype === 'real');
    if (!areReal) scope.report(`parts of result ${key} are not real`);
    const [first, second] = types;
    if (first && second && !sameType(first, second)) scope.report(`parts of result ${key} have different types`);
  }
}

/** Faults of one function, in order; empty for a well-formed one. */
export function verifyFunction(module: TensorModule, body: TensorFunction): readonly string[] {
  const faults: string[] = [];
  const scope: VerifyScope = {
    axes: module.axes, types: new Map(), defined: new Set(),
    report: (fault) => faults.push(fault),
  };
  for (const instruction of body.instructions) verifyInstruction(instruction, scope);
  verifyArguments(body.instructions, scope.report);
  verifyResults(body.results, scope);
  return faults;
}

function verifyAxes({ axes }: TensorModule): readonly string[] {
  const faults: string[] = [];
  axes.forEach(({ name, size }, at) => {
    if (isRunTimeAxis(name)) faults.push(`axis ${name} is not for declaration`);
    if (axes.findIndex((each) => each.name === name) < at) faults.push(`axis ${name} is declared twice`);
    if (!Number.isSafeInteger(size) || size < 1) faults.push(`axis ${name} has size ${size}`);
  });
  return faults;
}

/** Faults of a module, each with the function's name before it; empty for a well-formed one. */
export function verifyModule(module: TensorModule): readonly string[] {
  const names = module.functions.map((body) => body.name);
  const repeated = names.filter((name, at) => names.indexOf(name) < at);
  const twice = repeated.map((name) => `function ${name} is defined twice`);
  const inside = module.functions.flatMap((body) =>
    verifyFunction(module, body).map((fault) => `${body.name}: ${fault}`));
  return [...verifyAxes(module), ...twice, ...inside];
}

/** Throws an InternalError that lists the faults; `where` names the pass that made the module. */
export function assertModule(module: TensorModule, where: string): void {
  const faults = verifyModule(module);
  if (faults.length === 0) return;
  const lines = faults.map((fault) => `  ${fault}`).join('\n');
  throw new InternalError(`Tensor IR of ${module.name} is wrong after ${where}:\n${lines}`);
}
