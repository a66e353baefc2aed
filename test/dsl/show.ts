/** Typed expressions as short text, for assertions. */
import type { SpecExpression } from '../../dsl/spec.ts';

const symbols = {
  add: '+', subtract: '-', multiply: '*', divide: '/', power: '^', less: '<', 'less-equal': '<=',
  equal: '==', 'not-equal': '!=', and: 'and', or: 'or',
} as const;

export function show(node: SpecExpression): string {
  switch (node.kind) {
    case 'number':
      return node.value === 1e-6 ? '0.000001' : String(node.value);
    case 'time-scalar':
      return node.scalar;
    case 'iota':
      return `iota(${node.axis})`;
    case 'reference':
      return `${node.target}:${node.name}`;
    case 'negate':
      return `(- ${show(node.operand)})`;
    case 'not':
      return `(not ${show(node.operand)})`;
    case 'binary':
      return `(${show(node.left)} ${symbols[node.operator]} ${show(node.right)})`;
    case 'elementwise':
      return `${node.function}(${node.operands.map(show).join(', ')})`;
    case 'select':
      return `(if ${show(node.condition)} then ${show(node.whenTrue)} else ${show(node.whenFalse)})`;
    case 'reduce':
      return `${node.operator}[${node.over.join(' ')}](${show(node.operand)})`;
    case 'reduce-time':
      return `${node.operator}[time](${show(node.operand)})`;
    case 'delay':
      return `delay[${node.name} ${node.steps}](${show(node.operand)})`;
    case 'gather':
      return `gather[${node.axis}](${show(node.table)}, ${show(node.index)})`;
    case 'rename':
      return `rename[${node.from} ${node.to}](${show(node.operand)})`;
  }
}
