/**
 * What the page asks of its workers: requests and answers as plain data that can be posted. The compiler
 * answers about a text; a device executes artifacts. Neither knows the page.
 */
import type { Artifact, TargetName } from '../../../backends/artifact.ts';
import type { LayerSpec } from '../../../dsl/spec.ts';
import type { Explanation } from '../../../ir/explain/explain.ts';
import type { JsonDiagnostic } from '../../../support/render-diagnostic.ts';
import type { Span } from '../../../support/source.ts';

/** Requests by name: what goes in, what comes back, and what is told meanwhile. */
export type Service = Readonly<
  Record<string, { readonly argument: unknown; readonly result: unknown; readonly event: unknown }>
>;

type Request<Argument, Result, Event = never> = {
  readonly argument: Argument;
  readonly result: Result;
  readonly event: Event;
};

/** A diagnostic with the offsets that an editor marks. */
export type PageDiagnostic = JsonDiagnostic & {
  readonly span: Span | null;
  readonly secondarySpans: readonly Span[];
};

/** One layer of a text; `layer` null means the last one. `sizes` are in place of those that the text says. */
export type LayerChoice = {
  readonly text: string;
  readonly layer: string | null;
  readonly sizes: Readonly<Record<string, number>>;
};

export type Mode = 'auto' | 'recurrent' | 'scan' | 'conv';

/** An axis of the layer's head: its size here, and the one that the text says, if it says a number. */
export type AxisSize = { readonly name: string; readonly size: number; readonly declared: number | null };

export type CheckedText = {
  readonly diagnostics: readonly PageDiagnostic[];
  /** layers of the text in order */
  readonly layers: readonly string[];
  /** null where there are errors */
  readonly layer: {
    readonly name: string;
    readonly sizes: readonly AxisSize[];
    readonly spec: LayerSpec;
  } | null;
  readonly milliseconds: number;
};

export type CodeView = 'tensor-ir' | 'kernel-ir' | TargetName;

/** A titled part of a listing. */
export type Section = { readonly title: string; readonly text: string };

export type Listing = { readonly sections: readonly Section[]; readonly summary: string };

export type CodeRequest = LayerChoice & {
  readonly mode: Mode;
  readonly view: CodeView;
  readonly kernelTarget: TargetName;
};

export type ExplainRequest = LayerChoice & {
  readonly mode: Mode;
  readonly target: TargetName;
  readonly batch: number;
  readonly length: number;
};

export type ExplainedLayer = {
  readonly explanation: Explanation;
  readonly mode: string;
  /** why the target cannot hold the layer, if so */
  readonly refusals: readonly PageDiagnostic[];
};

export type PrepareRequest = LayerChoice & {
  readonly mode: Mode;
  readonly target: TargetName;
  /** entry points that shall be there: a GPU's driver compiles each kernel */
  readonly use: 'inference' | 'training';
  readonly seed: number;
};

/** All that a device needs to execute a layer. */
export type PreparedText = {
  readonly spec: LayerSpec;
  readonly artifact: Artifact;
  readonly parameters: ReadonlyMap<string, Float64Array>;
  readonly milliseconds: number;
};

export type CompilerService = {
  readonly check: Request<LayerChoice, CheckedText>;
  readonly code: Request<CodeRequest, Listing>;
  readonly explain: Request<ExplainRequest, ExplainedLayer>;
  readonly prepare: Request<PrepareRequest, PreparedText>;
  readonly format: Request<string, string | null>;
};

/** Devices of a page; `cuda` needs Node. */
export type PageTarget = 'wasm' | 'wgsl';

export type OpenedDevice = {
  readonly name: string;
  readonly details: Readonly<Record<string, string | number>>;
};

export type SignalKind = 'noise' | 'sine' | 'impulse' | 'step';

export type RunJob = {
  readonly target: PageTarget;
  readonly prepared: PreparedText;
  readonly signal: SignalKind;
  readonly batch: number;
  readonly length: number;
  readonly repeats: number;
};

/** Numbers in canonical order: batch, time, declared axes. */
export type OutputNumbers = {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly data: Float32Array;
};

export type RunReport = {
  readonly outputs: Readonly<Record<string, OutputNumbers>>;
  readonly milliseconds: {
    readonly median: number;
    readonly least: number;
    readonly runs: number;
    readonly source: 'device' | 'wall-clock';
  };
  /** until kernels were ready on the device */
  readonly readyMilliseconds: number;
};

export type AnalysisJob = {
  readonly target: PageTarget;
  readonly prepared: PreparedText;
  /** what every real input is held at */
  readonly level: number;
  readonly length: number;
};

export type Eigenvalues = {
  readonly state: string;
  /** pairs re, im */
  readonly values: Float64Array;
  /** largest modulus */
  readonly radius: number;
};

export type Response = {
  readonly input: string;
  readonly output: string;
  /** tokens by channels */
  readonly channels: readonly Float32Array[];
  readonly names: readonly string[];
  /** token of the impulse */
  readonly start: number;
};

export type Analysis = {
  readonly eigenvalues: readonly Eigenvalues[];
  readonly responses: readonly Response[];
  /** why something is not shown */
  readonly notes: readonly string[];
};

export type TrainJob = {
  readonly target: PageTarget;
  readonly prepared: PreparedText;
  readonly epochs: number;
  readonly batch: number;
  readonly rate: number;
  readonly seed: number;
};

/** A held-out scan, what it is and what the model says. */
export type Guess = { readonly pixels: Float32Array; readonly label: number; readonly guess: number };

export type TrainEvent =
  | {
      readonly kind: 'steps';
      readonly first: number;
      readonly losses: readonly number[];
      readonly steps: number;
      readonly milliseconds: number;
    }
  | {
      readonly kind: 'epoch';
      readonly step: number;
      readonly epoch: number;
      readonly epochs: number;
      readonly accuracy: number;
      readonly guesses: readonly Guess[];
    };

export type TrainEnd = { readonly steps: number; readonly stopped: boolean; readonly milliseconds: number };

export type DeviceService = {
  readonly open: Request<PageTarget, OpenedDevice>;
  readonly run: Request<RunJob, RunReport>;
  readonly analyse: Request<AnalysisJob, Analysis>;
  readonly train: Request<TrainJob, TrainEnd, TrainEvent>;
  readonly stop: Request<null, null>;
};
