/**
 * What one elaboration carries: the layer being built, the scope of names of each (inlined) layer,
 * and the reporter. Mutable while it runs, thrown away afterwards.
 */
import type { LayerSyntax, Name } from '../ast.ts';
import type { AxisSpec, BodySpec, InputSpec, OutputSpec, ParamSpec, SpecExpression } from '../spec.ts';
import { makeDiagnostic } from '../../support/diagnostic.ts';
import type { Diagnostic, Label } from '../../support/diagnostic.ts';
import type { SourceFile, Span } from '../../support/source.ts';
import { suggestName } from '../../support/suggest-name.ts';

/** An axis as one layer sees it: its name here stands for `path` in the whole. */
export type AxisEntry = { readonly path: string; readonly size: number; readonly span: Span };

/** A value, or null after a mistake that has been reported already. */
export type Checked = SpecExpression | null;

/** What a name stands for. */
export type SymbolEntry =
  | {
      readonly kind: 'value';
      readonly what: 'input' | 'parameter' | 'let' | 'state';
      readonly span: Span;
      readonly value: Checked;
      /** for a state: its value before the update */
      readonly previous: Checked;
    }
  | {
      readonly kind: 'instance';
      readonly span: Span;
      readonly layer: string;
      readonly outputs: ReadonlyMap<string, Checked>;
    };

/** Names of one layer, or of one application of it. */
export type Scope = {
  readonly layer: LayerSyntax;
  /** '' or `block.`: put before what the layer declares */
  readonly prefix: string;
  readonly axes: Map<string, AxisEntry>;
  readonly symbols: Map<string, SymbolEntry>;
  readonly outputs: Map<string, Checked>;
  readonly used: Set<string>;
  /** every name that the layer declares anywhere, for "used before its declaration" */
  readonly declared: ReadonlyMap<string, Span>;
  /** names of the layers being applied, outermost first */
  readonly stack: readonly string[];
  /** null for the outermost layer */
  readonly application: ApplicationScope | null;
};

/** What an application brings into the scope of the applied layer. */
export type ApplicationScope = {
  readonly span: Span;
  readonly arguments: ReadonlyMap<string, Checked>;
  /** axes of the caller that stand for derived axes of the layer (`axis E = 2 * D`) */
  readonly axes: ReadonlyMap<string, AxisEntry>;
  /** sizes given for axes of the layer */
  readonly sizes: ReadonlyMap<string, number>;
};

/** A flag per token at which delays stop. */
export type TapReset = {
  readonly flag: SpecExpression;
  /** path of the tail of its earlier values, as 0 and 1 */
  readonly tail: string;
  /** 0: a flag separates its token from those before it; 1: from those after it */
  readonly from: 0 | 1;
  /** the let that `flag` refers to, if it is yet to be added */
  readonly declare: { readonly name: string; readonly condition: SpecExpression } | null;
};

/** One run: what has been built so far. */
export type Elaboration = {
  readonly file: SourceFile;
  readonly layers: ReadonlyMap<string, LayerSyntax>;
  readonly sizes: ReadonlyMap<string, number>;
  readonly sizesUsed: Set<string>;
  readonly axes: Map<string, AxisSpec>;
  readonly inputs: Map<string, InputSpec>;
  readonly outputs: OutputSpec[];
  readonly params: ParamSpec[];
  readonly body: BodySpec[];
  /** values of lets by path, to find why something varies with time */
  readonly lets: Map<string, SpecExpression>;
  /** how often a made name was given out, so that none is given twice */
  readonly made: Map<string, number>;
  readonly problems: Diagnostic[];
  readonly seen: Set<string>;
  applications: number;
  errors: number;
  /** paths of the tails of delayed values without a name, by prefix and place of the call */
  readonly tails: Map<string, string>;
  /** what delays stop at in the block that is being checked */
  tapReset: TapReset | null;
  /** path of the state whose block is being checked */
  defining: string | null;
};

/** Errors after which checking stops: more are not shown, and suggestions cost time. */
export const errorLimit = 20;

/** Where a complaint is made. */
export type Place = { readonly run: Elaboration; readonly scope: Scope };

/** The parts of a complaint; `label` stands under the marked text. */
export type Complaint = Pick<Diagnostic, 'code' | 'message'> & {
  readonly span: Span;
  readonly label: string;
  readonly notes?: readonly string[];
  readonly help?: string | null;
  readonly secondary?: readonly { readonly span: Span; readonly text: string }[];
  readonly severity?: Diagnostic['severity'];
};

/** Records a complaint once. Returns null, the value of what could not be checked. */
export function complain(place: Place, complaint: Complaint): null {
  const { run, scope } = place;
  const key = `${complaint.code} ${complaint.span.start} ${complaint.span.end} ${complaint.message}`;
  const severity = complaint.severity ?? 'error';
  if (run.seen.has(key) || run.problems.length >= problemLimit[severity]) return null;
  run.seen.add(key);
  if (severity === 'error') run.errors++;
  const labels: Label[] = (complaint.secondary ?? []).map((each) => ({ file: run.file, ...each }));
  if (scope.application !== null) {
    labels.push({
      file: run.file, span: scope.application.span, text: `\`${scope.layer.name.text}\` is applied here`,
    });
  }
  run.problems.push(makeDiagnostic({
    code: complaint.code,
    message: complaint.message,
    severity,
    primary: { file: run.file, span: complaint.span, text: complaint.label },
    secondary: labels,
    notes: complaint.notes ?? [],
    help: complaint.help ?? null,
  }));
  return null;
}

/** More are not kept. Warnings stop first: however many there are, an error after them is kept. */
const problemLimit: Readonly<Record<Diagnostic['severity'], number>> = {
  error: 1000, warning: 100, remark: 100,
};

/** `did you mean …` among the candidates, or the fallback. Silent when there are many problems. */
export function didYouMean(
  place: Place, name: string, candidates: Iterable<string>, otherwise: string | null,
): string | null {
  if (place.run.errors > errorLimit) return otherwise;
  const found = suggestName(name, candidates);
  return found === null ? otherwise : `write \`${found}\``;
}

/**
 * A path that nobody has: `stem`, then `stem.2`, `stem.3`, …. A stem has a part that no declaration
 * can make (it begins with a digit, or follows the name of a value), so it never meets a declared path.
 */
export function freshPath(run: Elaboration, stem: string): string {
  const count = (run.made.get(stem) ?? 0) + 1;
  run.made.set(stem, count);
  return count === 1 ? stem : `${stem}.${count}`;
}

/** Names that the language gives meaning to; nobody may declare them. */
export const builtInNames: ReadonlySet<string> = new Set(['pi', 'length', 'position', 'time', 'batch']);

/** Reports a name that is taken. True if it is free. */
export function checkFree(place: Place, name: Name): boolean {
  if (builtInNames.has(name.text)) {
    complain(place, {
      code: 'SSM2002', span: name.span, message: `\`${name.text}\` is a name of the language`,
      label: 'cannot be declared', help: 'choose another name',
    });
    return false;
  }
  const earlier = place.scope.axes.get(name.text)?.span ?? place.scope.symbols.get(name.text)?.span;
  if (earlier === undefined) return true;
  complain(place, {
    code: 'SSM2002', span: name.span, message: `\`${name.text}\` is declared twice`,
    label: 'declared again here',
    secondary: [{ span: earlier, text: 'first declared here' }],
    notes: ['axes and values share one set of names, since the name of an axis is also the number of its entries'],
    help: 'choose another name',
  });
  return false;
}
