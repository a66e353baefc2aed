/** What a name in an expression stands for: values, outputs of applied layers, sizes, built-in scalars. */
import type { Name } from '../ast.ts';
import { elementwiseFunctions } from '../spec.ts';
import type { SpecExpression } from '../spec.ts';
import { constantVariance, numberOf } from './build.ts';
import { complain, didYouMean } from './elaboration.ts';
import type { Checked, Place, SymbolEntry } from './elaboration.ts';
import type { Span } from '../../support/source.ts';

/** The value that a name reads. */
export function readName(place: Place, name: Name): Checked {
  const { scope } = place;
  const entry = scope.symbols.get(name.text);
  if (entry !== undefined) {
    scope.used.add(name.text);
    return entry.kind === 'value' ? readAt(entry.value, name.span) : onlyOutput(place, name, entry);
  }
  const axis = scope.axes.get(name.text);
  if (axis !== undefined) return numberOf(axis.size, name.span);
  if (name.text === 'pi') return numberOf(Math.PI, name.span);
  if (name.text === 'length') return timeScalar('length', name.span);
  if (name.text === 'position') return timeScalar('position', name.span);
  return unreadable(place, name);
}

function timeScalar(scalar: 'length' | 'position', span: Span): SpecExpression {
  const variance = scalar === 'position' ? { batch: false, time: true } : constantVariance;
  return { kind: 'time-scalar', scalar, axes: [], type: 'real', variance, span };
}

/** The same value, read in another place. */
export function readAt(value: Checked, span: Span): Checked {
  return value === null ? null : { ...value, span };
}

function onlyOutput(place: Place, name: Name, instance: SymbolEntry & { kind: 'instance' }): Checked {
  const outputs = [...instance.outputs];
  const [only] = outputs;
  if (only !== undefined && outputs.length === 1) return readAt(only[1], name.span);
  if (outputs.length === 0) return null;
  return complain(place, {
    code: 'SSM2007', span: name.span, message: `\`${name.text}\` has ${outputs.length} outputs`,
    label: 'which one?',
    help: `write ${outputs.slice(0, 4).map(([each]) => `\`${name.text}.${each}\``).join(' or ')}`,
  });
}

function unreadable(place: Place, name: Name): null {
  const { scope, run } = place;
  if (scope.outputs.has(name.text)) {
    return complain(place, {
      code: 'SSM2015', span: name.span,
      message: `the output \`${name.text}\` cannot be read inside its own layer`, label: 'read here',
      help: `name the value with \`let\`, and use that name in both places`,
    });
  }
  const later = scope.declared.get(name.text);
  if (later !== undefined) {
    return complain(place, {
      code: 'SSM2015', span: name.span, message: `\`${name.text}\` is used before its declaration`,
      label: 'used here',
      secondary: [{ span: later, text: 'declared here' }],
      notes: ['a statement may use what stands above it; states that read each other in a cycle would have to be one joint state'],
      help: `move the declaration of \`${name.text}\` up`,
    });
  }
  if (run.layers.has(name.text) || Object.hasOwn(elementwiseFunctions, name.text)) {
    const what = run.layers.has(name.text) ? 'a layer' : 'a function';
    return complain(place, {
      code: 'SSM2001', span: name.span, message: `\`${name.text}\` is ${what}, not a value`,
      label: 'no value',
      help: `write \`${name.text}(…)\``,
    });
  }
  const known = [...scope.symbols.keys(), ...scope.axes.keys(), 'pi', 'length', 'position'];
  return complain(place, {
    code: 'SSM2001', span: name.span, message: `there is no value \`${name.text}\``, label: 'unknown name',
    help: didYouMean(
      place, name.text, known, `declare \`${name.text}\` above as \`input\`, \`param\` or \`let\``,
    ),
  });
}

/** `block.y`: an output of an applied layer. */
export function readMember(place: Place, object: Name, member: Name): Checked {
  const entry = place.scope.symbols.get(object.text);
  if (entry === undefined) return unreadable(place, object);
  place.scope.used.add(object.text);
  if (entry.kind === 'value') {
    if (entry.value === null) return null;
    return complain(place, {
      code: 'SSM2007', span: object.span, message: `\`${object.text}\` is a value without outputs`,
      label: 'not an applied layer',
      help: `write \`${object.text}\` alone`,
    });
  }
  if (entry.outputs.size === 0) return null;
  const output = entry.outputs.get(member.text);
  if (output !== undefined) return readAt(output, { start: object.span.start, end: member.span.end });
  return complain(place, {
    code: 'SSM2001', span: member.span, message: `\`${entry.layer}\` has no output \`${member.text}\``,
    label: 'unknown output',
    help: didYouMean(
      place, member.text, entry.outputs.keys(),
      `use one of ${[...entry.outputs.keys()].slice(0, 6).map((each) => `\`${each}\``).join(', ')}`,
    ),
  });
}
