/**
 * What a back end hands out and all that the runtime needs: the manifest (plain JSON: tensors,
 * dispatches, sizes) and the code (text or bytes). The runtime never sees the IR.
 */
import type { SizeExpression } from '../support/size.ts';

export type StorageName = 'f32' | 'f64' | 'f16' | 'bf16' | 'i32' | 'u32' | 'i8' | 'u8';

export type TargetName = 'wasm' | 'wgsl' | 'cuda';

/** `backward` takes cotangents of the outputs, `backwardFinal` of outputs and final states. */
export type EntryPointName = 'forward' | 'forwardSaved' | 'backward' | 'backwardFinal' | 'step';

export type ManifestTensor = {
  readonly name: string;
  readonly role:
    | 'input' | 'param' | 'initial' | 'output' | 'final' | 'saved'
    | 'output-cotangent' | 'final-cotangent' | 'gradient' | 'scratch';
  readonly subject: string | null;
  readonly storage: StorageName;
  readonly axes: readonly string[];
  readonly dims: readonly SizeExpression[];
};

export type ManifestDispatch = {
  /** function name in the code of this artifact */
  readonly kernel: string;
  readonly workgroupSize: number;
  /** workgroups in x, y, z */
  readonly grid: readonly [SizeExpression, SizeExpression, SizeExpression];
  /** i32 uniforms in declaration order */
  readonly uniforms: readonly { readonly name: string; readonly value: SizeExpression }[];
  /** in binding order: names of the entry's tensors */
  readonly bindings: readonly { readonly tensor: string; readonly access: 'read' | 'write' | 'read-write' }[];
  /** bytes of workgroup memory */
  readonly sharedBytes: number;
  /** per dimension: index of the uniform that takes the first workgroup of a window, for grids above a dispatch's limit */
  readonly gridBase?: readonly [number | null, number | null, number | null];
};

/** One buffer that holds several tensors of an entry, where kernels would bind too many. */
export type ManifestArena = {
  /** as bindings name it; never the name of a tensor */
  readonly name: string;
  readonly storage: StorageName;
  /** number of elements */
  readonly length: SizeExpression;
  /** offsets in elements */
  readonly members: readonly { readonly tensor: string; readonly offset: SizeExpression }[];
};

export type ManifestEntry = {
  readonly name: EntryPointName;
  readonly tensors: readonly ManifestTensor[];
  readonly dispatches: readonly ManifestDispatch[];
  /** bindings name a tensor or one of these; absent when every tensor has a buffer of its own */
  readonly arenas?: readonly ManifestArena[];
};

/** Initial values of a parameter, evaluated in float64 at build time. */
export type ManifestParameter = {
  readonly name: string;
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly complex: boolean;
  /** name of the initialiser's outermost call, or null when the caller must bring the value */
  readonly initialiser: string | null;
};

export type Decision = {
  readonly subject: string;
  readonly chosen: string;
  readonly alternatives: readonly string[];
  readonly reason: string;
};

export type Manifest = {
  readonly schema: 'statefuse-manifest';
  readonly version: 1;
  readonly layer: string;
  readonly target: TargetName;
  readonly compiler: string;
  readonly contentHash: string;
  readonly mode: 'recurrent' | 'scan' | 'conv';
  readonly axes: readonly { readonly name: string; readonly size: number }[];
  readonly parameters: readonly ManifestParameter[];
  /** inputs that are indices and how many values they may have; kernels do not check them */
  readonly indexInputs?: readonly { readonly name: string; readonly values: number }[];
  readonly entries: readonly ManifestEntry[];
  readonly decisions: readonly Decision[];
  /** WebGPU: what requestDevice must grant beyond the defaults */
  readonly requiredLimits: Readonly<Record<string, number>>;
  readonly requiredFeatures: readonly string[];
};

/** One code unit per kernel for wgsl and cuda (`kernels`), one module for all kernels for wasm (`module`). */
export type ArtifactCode =
  | { readonly kind: 'text'; readonly kernels: ReadonlyMap<string, string> }
  | { readonly kind: 'wasm'; readonly module: Uint8Array; readonly text: string };

export type Artifact = { readonly manifest: Manifest; readonly code: ArtifactCode };
