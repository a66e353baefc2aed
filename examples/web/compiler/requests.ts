/** What the page asks about a text: pure functions of the compiler, which the worker serves and tests call. */
import type { Artifact, EntryPointName } from '../../../backends/artifact.ts';
import { compileSpec, type CompileOptions, type CompileResult } from '../../../backends/compile.ts';
import { explainCompiled } from '../../../backends/explain.ts';
import type { LayerSyntax } from '../../../dsl/ast.ts';
import { elaborate, format, loadLayer, parse } from '../../../dsl/index.ts';
import type { LayerSpec } from '../../../dsl/spec.ts';
import { initialParameters } from '../../../ir/initial/index.ts';
import { printKernel } from '../../../ir/kernel/print.ts';
import { printModule } from '../../../ir/tensor/print.ts';
import { hasErrors, resultOrDiagnostics, SsmError } from '../../../support/diagnostic.ts';
import { pageDiagnostic } from '../services/page-diagnostic.ts';
import type {
  AxisSize,
  CheckedText,
  CodeRequest,
  ExplainedLayer,
  ExplainRequest,
  LayerChoice,
  Listing,
  PreparedText,
  PrepareRequest,
  Section,
} from '../services/protocol.ts';
import { splitModuleText } from './split-module-text.ts';

const fileName = 'layer.ssm';

const sizesOf = (choice: LayerChoice): ReadonlyMap<string, number> => new Map(Object.entries(choice.sizes));

/** The layer of a choice; throws an SsmError with every mistake. */
function requireLayer(choice: LayerChoice): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: fileName, text: choice.text }, choice.layer, {
    sizes: sizesOf(choice),
  });
  if (spec === null) throw new SsmError(diagnostics);
  return spec;
}

/** Sizes of axes that the layer's head has; the rest belong to a text of before. */
function sizesOfHead(choice: LayerChoice, layer: LayerSyntax): ReadonlyMap<string, number> {
  const names = new Set(layer.axes.map((each) => each.name.text));
  return new Map([...sizesOf(choice)].filter(([name]) => names.has(name)));
}

function axisSizes(layer: LayerSyntax, spec: LayerSpec): readonly AxisSize[] {
  return layer.axes.flatMap(({ name, size }) => {
    const axis = spec.axes.find((each) => each.name === name.text);
    return axis === undefined
      ? []
      : [{ name: axis.name, size: axis.size, declared: size?.kind === 'number' ? size.value : null }];
  });
}

/** Mistakes of a text and, where there are none, its chosen layer; a layer that is not there means the last one. */
export function checkText(choice: LayerChoice): CheckedText {
  const start = performance.now();
  const parsed = parse({ name: fileName, text: choice.text });
  const layers = parsed.tree.layers.map((each) => each.name.text);
  const chosen =
    parsed.tree.layers.find((each) => each.name.text === choice.layer) ?? parsed.tree.layers.at(-1);
  const { spec, diagnostics } =
    hasErrors(parsed.diagnostics) || chosen === undefined
      ? { spec: null, diagnostics: parsed.diagnostics }
      : elaborate(parsed.tree, chosen.name.text, { sizes: sizesOfHead(choice, chosen) });
  return {
    diagnostics: diagnostics.map(pageDiagnostic),
    layers,
    layer:
      spec === null || chosen === undefined
        ? null
        : { name: spec.name, sizes: axisSizes(chosen, spec), spec },
    milliseconds: performance.now() - start,
  };
}

/** IR or code as titled parts. Throws an SsmError for mistakes of the text and refusals of the target. */
export function listCode(request: CodeRequest): Listing {
  const spec = requireLayer(request);
  const passes: Section[] = [];
  const isTensor = request.view === 'tensor-ir';
  const target = isTensor || request.view === 'kernel-ir' ? request.kernelTarget : request.view;
  const start = performance.now();
  const result = compileSpec(spec, {
    target,
    mode: request.mode,
    ...(isTensor
      ? { onPass: (title, module) => void passes.push({ title, text: printModule(module) }) }
      : {}),
  });
  const took = `${(performance.now() - start).toFixed(0)} ms`;
  if (isTensor) return { sections: passes, summary: `${passes.length} passes, compiled in ${took}` };
  const sections = request.view === 'kernel-ir' ? kernelSections(result) : codeSections(result.artifact);
  return {
    sections,
    summary: `${describe(result.artifact, sections)}, mode ${result.artifact.manifest.mode}, compiled in ${took}`,
  };
}

function kernelSections({ plans }: CompileResult): readonly Section[] {
  return plans.flatMap((plan) =>
    plan.kernels.map((kernel) => ({ title: `${plan.entry}: ${kernel.name}`, text: printKernel(kernel) })),
  );
}

function codeSections({ code }: Artifact): readonly Section[] {
  if (code.kind === 'wasm') return splitModuleText(code.text);
  return [...code.kernels].map(([title, text]) => ({ title, text }));
}

function describe({ code }: Artifact, sections: readonly Section[]): string {
  if (code.kind === 'wasm')
    return `${sections.length - 1} kernels in one module of ${(code.module.length / 1024).toFixed(1)} KiB`;
  return `${sections.length} kernels`;
}

/** The explanation of a layer for a target; a refusal of the target is part of the answer. */
export function explainText(request: ExplainRequest): ExplainedLayer {
  const spec = requireLayer(request);
  const options: CompileOptions = { target: request.target, mode: request.mode };
  const compiled = resultOrDiagnostics(() => compileSpec(spec, options));
  const isRefused = compiled instanceof SsmError;
  const explanation = explainCompiled(spec, options, { batch: request.batch, length: request.length }, compiled);
  return {
    explanation,
    mode: isRefused ? request.mode : compiled.artifact.manifest.mode,
    refusals: isRefused ? compiled.diagnostics.map(pageDiagnostic) : [],
  };
}

const entriesFor: Readonly<Record<PrepareRequest['use'], readonly EntryPointName[]>> = {
  inference: ['forward'],
  training: ['forward', 'forwardSaved', 'backward'],
};

function keepEntries({ manifest, code }: Artifact, names: readonly EntryPointName[]): Artifact {
  return {
    manifest: { ...manifest, entries: manifest.entries.filter((each) => names.includes(each.name)) },
    code,
  };
}

/** Kernels and initial parameters, ready for a device. */
export function prepareText(request: PrepareRequest): PreparedText {
  const spec = requireLayer(request);
  const start = performance.now();
  const { artifact } = compileSpec(spec, {
    target: request.target,
    mode: request.mode,
    entries: request.use === 'training' ? 'all' : 'forward-only',
  });
  return {
    spec,
    artifact: keepEntries(artifact, entriesFor[request.use]),
    parameters: initialParameters(spec, request.seed),
    milliseconds: performance.now() - start,
  };
}

/** The text in its one layout, or null where the grammar refuses it. */
export function formatText(text: string): string | null {
  return format({ name: fileName, text }).text;
}
