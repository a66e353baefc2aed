/** Reductions over named axes, and what is made of them: softmax, log-softmax, RMS and layer norm. */
import type { Name } from '../ast.ts';
import type { SpecExpression } from '../spec.ts';
import { arithmetic, elementwiseOf, numberOf, reduceOf } from './build.ts';
import { complain, freshPath } from './elaboration.ts';
import type { Checked, Place } from './elaboration.ts';
import { readingOf } from './walk.ts';
import { requireType, isNumeric } from './types.ts';
import type { Span } from '../../support/source.ts';

/** A reduction whose axes exist; `names` are the axes as written. */
export type Reduction = {
  readonly operator: 'sum' | 'mean' | 'max';
  readonly over: readonly string[];
  readonly names: readonly Name[];
  readonly operand: SpecExpression;
  readonly span: Span;
};

/** The reduction, or a complaint if the operand lacks an axis. */
export function reduceChecked(place: Place, reduction: Reduction): Checked {
  const { operator, over, names, operand, span } = reduction;
  const isTyped = operator === 'max'
    ? requireType(place, operand, ['real'], 'the operand of `max`')
    : isNumeric(place, operand, `the operand of \`${operator}\``);
  if (!isTyped) return null;
  for (const [at, path] of over.entries()) {
    if (operand.axes.includes(path)) continue;
    const name = names[at];
    const shown = name?.text ?? path;
    return complain(place, {
      code: 'SSM2005', span: name?.span ?? span,
      message: `\`${operator}[${shown}]\` over a term without the axis \`${shown}\``, label: 'absent axis',
      secondary: [{ span: operand.span, text: `this has [${operand.axes.join(', ')}]` }],
      notes: ['such a sum would only multiply by the size, which is rarely meant'],
      help: operator === 'sum'
        ? `remove \`${shown}\` from the brackets, or write \`${shown} * (…)\``
        : `remove \`${shown}\` from the brackets`,
    });
  }
  return reduceOf(operator, over, operand, span);
}

/**
 * A value that is used several times gets a name, so that rewriting does not multiply it. A value
 * that reads the state being defined cannot stand outside its block; such a use is never affine.
 */
function share(place: Place, value: SpecExpression, stem: string): SpecExpression | null {
  if (value.kind === 'reference' || value.kind === 'number') return value;
  const reading = place.run.defining === null ? null : readingOf(value, place.run.defining);
  if (reading !== null) {
    return complain(place, {
      code: 'SSM3001', span: reading.span, message: `a state occurs inside \`${stem}\``, label: 'the state',
      notes: [`\`${stem}\` is not linear in its argument, so the recurrence would not be affine in the state and could not be scanned`],
      help: 'move the state out of it, and let the coefficient depend on the input instead',
    });
  }
  const { run, scope } = place;
  const name = freshPath(run, `${scope.prefix}${stem}.1`);
  run.body.push({ kind: 'let', name, value, span: value.span });
  run.lets.set(name, value);
  return {
    kind: 'reference', target: 'let', name, axes: value.axes, type: value.type, variance: value.variance,
    span: value.span,
  };
}

/** softmax = exp(v - max v) / sum exp(v - max v); its logarithm without the division. */
export function softmaxOf(place: Place, reduction: Reduction, form: 'plain' | 'log'): Checked {
  const { over, span } = reduction;
  const stem = form === 'log' ? 'log_softmax' : 'softmax';
  if (over.length === 0) {
    return complain(place, {
      code: 'SSM2007', span, message: `\`${stem}\` needs the axes it runs over`, label: 'over what?',
      help: `write \`${stem}[K](…)\``,
    });
  }
  const operand = share(place, reduction.operand, stem);
  if (operand === null) return null;
  const largest = reduceChecked(place, { ...reduction, operand });
  if (largest === null) return null;
  const shifted = share(place, arithmetic('subtract', operand, largest, span), stem);
  if (shifted === null) return null;
  const exponential = elementwiseOf('exp', [shifted], 'real', span);
  if (form === 'log') {
    return arithmetic(
      'subtract', shifted, elementwiseOf('log', [reduceOf('sum', over, exponential, span)], 'real', span),
      span,
    );
  }
  const shared = share(place, exponential, stem);
  return shared === null ? null : arithmetic('divide', shared, reduceOf('sum', over, shared, span), span);
}

/** v / sqrt(mean(v²) + eps), of the centred value for the layer norm. */
export function normalise(
  place: Place, reduction: Reduction, mean: 'keep' | 'centre', epsilon: number,
): Checked {
  const { over, span } = reduction;
  const stem = mean === 'centre' ? 'layer_norm' : 'rms_norm';
  if (over.length === 0) {
    return complain(place, {
      code: 'SSM2007', span, message: `\`${stem}\` needs the axes it runs over`, label: 'over what?',
      help: `write \`${stem}[D](…)\``,
    });
  }
  const operand = share(place, reduction.operand, stem);
  if (operand === null) return null;
  const average = reduceChecked(place, { ...reduction, operand });
  if (average === null) return null;
  const centred = mean === 'keep' ? operand : share(
    place, arithmetic('subtract', operand, average, span), stem,
  );
  if (centred === null) return null;
  const energy = reduceOf('mean', over, elementwiseOf('square', [centred], 'real', span), span);
  const scale = elementwiseOf(
    'sqrt', [arithmetic('add', energy, numberOf(epsilon, span), span)], 'real', span,
  );
  return arithmetic('divide', centred, scale, span);
}
