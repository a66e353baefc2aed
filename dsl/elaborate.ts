/** From syntax tree to LayerSpec: chooses the layer, gives its axes their sizes, checks its statements. */
import type { LayerSyntax, SourceTree } from './ast.ts';
import { checkSize, declareAxis, sizeValue } from './check/axes.ts';
import { functionNames } from './check/calls.ts';
import { checkTailNames, tailsOf, warnUnmaskedTaps } from './check/delays.ts';
import { complain, didYouMean } from './check/elaboration.ts';
import type { Elaboration, Place } from './check/elaboration.ts';
import { checkItems } from './check/items.ts';
import { openScope } from './check/scopes.ts';
import { parse, messageLimit } from './parse.ts';
import type { LayerSpec } from './spec.ts';
import { hasErrors, makeDiagnostic } from '../support/diagnostic.ts';
import type { Diagnostic } from '../support/diagnostic.ts';
import { invariant } from '../support/invariant.ts';
import type { SourceFile } from '../support/source.ts';
import { suggestName } from '../support/suggest-name.ts';

/** Sizes of axes by name (`D`) or path (`block.N`), in place of the defaults. */
export type ElaborateOptions = { readonly sizes: ReadonlyMap<string, number> };

/** `spec` is null exactly when a diagnostic is an error. */
export type ElaborateOutcome = { readonly spec: LayerSpec | null; readonly diagnostics: readonly Diagnostic[] };

/** Reads a text and elaborates one of its layers; `layerName` null means the last one. */
export function loadLayer(
  file: SourceFile, layerName: string | null, options: ElaborateOptions,
): ElaborateOutcome {
  const { tree, diagnostics } = parse(file);
  if (hasErrors(diagnostics)) return { spec: null, diagnostics };
  return elaborate(tree, layerName, options);
}

/** Checks one layer of a tree and describes it; `layerName` null means the last one. */
export function elaborate(
  tree: SourceTree, layerName: string | null, options: ElaborateOptions,
): ElaborateOutcome {
  const layer = layerName === null
    ? tree.layers[tree.layers.length - 1]
    : tree.layers.find((each) => each.name.text === layerName);
  if (layer === undefined) return { spec: null, diagnostics: [noSuchLayer(tree, layerName)] };
  const run = startRun(tree, options);
  const place: Place = {
    run, scope: openScope({ layer, prefix: '', stack: [layer.name.text], application: null }),
  };
  checkLayerNames(place, tree);
  if (bindParameters(place, layer)) checkItems(place);
  warnUnmaskedTaps(place);
  checkSizesUsed(place, layer);
  const { params, body, outputs } = run;
  const tails = tailsOf({ body, outputs });
  checkTailNames(place, tails);
  const diagnostics = chosen(run.problems);
  if (hasErrors(diagnostics)) return { spec: null, diagnostics };
  const declared = layer.items.filter((item) => item.kind === 'output').length;
  invariant(outputs.length === declared, 'an output was dropped without a diagnostic');
  const inputs = [...run.inputs.values()];
  const spec: LayerSpec = {
    name: layer.name.text, axes: [...run.axes.values()], inputs, params, body, outputs,
    tails,
  };
  return { spec, diagnostics };
}

function startRun(tree: SourceTree, options: ElaborateOptions): Elaboration {
  return {
    file: tree.file,
    layers: new Map(tree.layers.map((layer) => [layer.name.text, layer])),
    sizes: options.sizes, sizesUsed: new Set(), axes: new Map(),
    inputs: new Map(), params: [], body: [], outputs: [], lets: new Map(), made: new Map(), tails: new Map(), tapReset: null,
    problems: [], seen: new Set(), applications: 0, errors: 0, defining: null,
  };
}

/** Errors before warnings when not all can be shown. */
function chosen(problems: readonly Diagnostic[]): readonly Diagnostic[] {
  if (problems.length <= messageLimit) return problems;
  const errors = problems.filter((each) => each.severity === 'error');
  return [...errors, ...problems.filter((each) => each.severity !== 'error')].slice(0, messageLimit);
}

function noSuchLayer(tree: SourceTree, layerName: string | null): Diagnostic {
  const names = tree.layers.map((each) => each.name.text);
  const label = { file: tree.file, span: { start: 0, end: 0 }, text: 'in this file' };
  if (layerName === null || names.length === 0) {
    return makeDiagnostic({
      code: 'SSM2010', message: 'the file has no layer', primary: label,
      help: 'write `layer Name(D = 16) { … }`',
    });
  }
  const near = suggestName(layerName, names);
  return makeDiagnostic({
    code: 'SSM2010', message: `there is no layer \`${layerName}\``, primary: label,
    notes: [`layers here: ${names.slice(0, 12).map((each) => `\`${each}\``).join(', ')}`],
    help: near === null ? `choose \`${names[names.length - 1] ?? ''}\`` : `choose \`${near}\``,
  });
}

function checkLayerNames(place: Place, tree: SourceTree): void {
  const seen = new Map<string, LayerSyntax>();
  for (const layer of tree.layers) {
    const { text, span } = layer.name;
    const earlier = seen.get(text);
    if (earlier !== undefined) {
      complain(place, {
        code: 'SSM2002', span, message: `the layer \`${text}\` is declared twice`,
        label: 'declared again here',
        secondary: [{ span: earlier.name.span, text: 'first declared here' }], help: 'choose another name',
      });
    } else if (functionNames.has(text)) {
      complain(place, {
        code: 'SSM2002', span, message: `\`${text}\` is a function of the language`,
        label: 'cannot be a layer', help: 'choose another name',
      });
    }
    seen.set(text, layer);
  }
}

function bindParameters(place: Place, layer: LayerSyntax): boolean {
  let isSound = true;
  for (const axis of layer.axes) {
    const chosenSize = place.run.sizes.get(axis.name.text);
    if (chosenSize !== undefined) place.run.sizesUsed.add(axis.name.text);
    if (chosenSize === undefined && axis.size === null) {
      isSound = false;
      complain(place, {
        code: 'SSM2009', span: axis.name.span, message: `the axis \`${axis.name.text}\` has no size`,
        label: 'size missing',
        help: `write a default, \`${axis.name.text} = 16\`, or give a size when compiling`,
      });
      continue;
    }
    const value = chosenSize ?? (axis.size === null ? null : sizeValue(place, axis.size));
    const size = value === null ? null : checkSize(
      place, axis.name.text, value, axis.size?.span ?? axis.name.span,
    );
    if (size === null || declareAxis(place, axis.name, size) === null) isSound = false;
  }
  return isSound;
}

function checkSizesUsed(place: Place, layer: LayerSyntax): void {
  if (place.run.problems.length > 0) return;
  for (const name of place.run.sizes.keys()) {
    if (place.run.sizesUsed.has(name)) continue;
    complain(place, {
      code: 'SSM2003', span: layer.name.span,
      message: `a size is given for \`${name}\`, but the layer has no such axis`, label: 'this layer',
      help: didYouMean(
        place, name, place.run.axes.keys(),
        `give sizes for ${[...place.run.axes.keys()].slice(0, 8).map((each) => `\`${each}\``).join(', ')}`,
      ),
    });
  }
}
