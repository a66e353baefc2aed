/** What the Tensor IR verifier knows at a place in the text, for functions and regions alike. */
import type { AxisTable } from './builder.ts';
import type { TensorType, TensorValue, ValueId } from './ops.ts';
import { axesFault } from './shape-rules.ts';

/** What is known while a list of instructions is checked. */
export type VerifyScope = {
  readonly axes: AxisTable;
  /** types of the values that may be used here */
  readonly types: Map<ValueId, TensorType>;
  /** all values of the function, regions included: each is defined once */
  readonly defined: Set<ValueId>;
  readonly report: (fault: string) => void;
};

/** `[batch, D]`, after the dtype where it is not real. */
export function formatTensorType({ dtype, axes }: TensorType): string {
  return `${dtype === 'real' ? '' : dtype}[${axes.join(', ')}]`;
}

/** True for the same dtype and axes. */
export function sameType(left: TensorType, right: TensorType): boolean {
  if (left.dtype !== right.dtype || left.axes.length !== right.axes.length) return false;
  return left.axes.every((axis, at) => axis === right.axes[at]);
}

/** Makes a value known with its declared type, which must be well formed. */
export function defineValue(value: TensorValue, scope: VerifyScope): void {
  const fault = axesFault(scope.axes, value.type.axes);
  if (fault !== null) scope.report(`%${value.id}: ${fault}`);
  if (scope.defined.has(value.id)) scope.report(`%${value.id} is defined twice`);
  scope.defined.add(value.id);
  scope.types.set(value.id, fault === null ? value.type : { dtype: value.type.dtype, axes: [] });
}

/** The type of a value, or null (and a report) where it is not in scope. */
export function lookUp(id: ValueId, user: string, scope: VerifyScope): TensorType | null {
  const type = scope.types.get(id);
  if (type !== undefined) return type;
  scope.report(`${user} uses %${id}, which is not defined ${scope.defined.has(id) ? 'in its scope' : 'before it'}`);
  return null;
}
