/** Arguments of functions: how many, which names, which of them are constants. */
import type { ArgumentSyntax, CallSyntax } from '../ast.ts';
import { complain, didYouMean } from './elaboration.ts';
import type { Place } from './elaboration.ts';
import { constantOf } from './types.ts';
import type { SpecExpression } from '../spec.ts';

/** What a function takes: positional arguments by name, in order, and optional ones after them. */
export type Signature = { readonly required: readonly string[]; readonly optional: readonly string[] };

/** Sorts arguments by the names of a signature; null after a complaint. */
export function matchArguments(
  place: Place, call: CallSyntax, signature: Signature,
): ReadonlyMap<string, ArgumentSyntax> | null {
  const names = [...signature.required, ...signature.optional];
  const matched = new Map<string, ArgumentSyntax>();
  let position = 0;
  for (const argument of call.arguments) {
    const name = argument.name?.text ?? names[position++];
    const span = argument.name?.span ?? argument.value.span;
    if (name === undefined) return wrongArguments(place, call, signature);
    if (!names.includes(name)) {
      return complain(place, {
        code: 'SSM2007', span, message: `\`${call.callee.text}\` has no argument \`${name}\``,
        label: 'unknown argument',
        help: didYouMean(place, name, names, `write \`${showSignature(call.callee.text, signature)}\``),
      });
    }
    if (matched.has(name)) {
      return complain(place, {
        code: 'SSM2007', span, message: `the argument \`${name}\` is given twice`, label: 'second time',
        help: 'give it once',
      });
    }
    matched.set(name, argument);
  }
  return signature.required.every((name) => matched.has(name)) ? matched : wrongArguments(
    place, call, signature,
  );
}

function showSignature(name: string, signature: Signature): string {
  return `${name}(${[...signature.required, ...signature.optional.map((each) => `${each} = …`)].join(', ')})`;
}

function wrongArguments(place: Place, call: CallSyntax, signature: Signature): null {
  const least = signature.required.length;
  const most = least + signature.optional.length;
  const range = least === most ? `${least}` : `${least} to ${most}`;
  return complain(place, {
    code: 'SSM2007', span: call.span,
    message: `\`${call.callee.text}\` takes ${range} argument${most === 1 ? '' : 's'}, not ${call.arguments.length}`,
    label: 'wrong number of arguments', help: `write \`${showSignature(call.callee.text, signature)}\``,
  });
}

/** The number that an argument is at compile time; null after a complaint. */
export function constantArgument(place: Place, value: SpecExpression, what: string): number | null {
  const number = constantOf(value);
  if (number !== null && Number.isFinite(number)) return number;
  return complain(place, {
    code: 'SSM2007', span: value.span, message: `${what} must be a number known at compile time`,
    label: 'not constant',
    help: 'write a number',
  });
}

/** Complains about bracketed axes where there are none to be. */
export function rejectAxes(place: Place, call: CallSyntax): boolean {
  const [first] = call.axes;
  if (first === undefined) return true;
  complain(place, {
    code: 'SSM2007', span: first.span, message: `\`${call.callee.text}\` takes no axes in brackets`,
    label: 'not needed',
    notes: ['functions act element by element; only reductions name axes'],
    help: `write \`${call.callee.text}(…)\``,
  });
  return false;
}
