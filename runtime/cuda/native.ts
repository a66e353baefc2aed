/** What the addon in `native/` offers, as types. Everything made on a context goes by a number of its own. */

/** Fields of the errors that the addon throws (`error.failure`). */
export type NativeFailure = {
  /** `caller` is a wrong argument from this folder: a bug */
  readonly origin: 'driver' | 'compiler' | 'library' | 'caller';
  readonly operation: string;
  readonly code: number;
  /** `CUDA_ERROR_…`, empty where the driver has no name */
  readonly name: string;
  readonly words: string;
  /** kernel or library that the call was about */
  readonly subject: string;
  readonly bytes: number;
  readonly freeBytes: number;
};

export type NativePlan = {
  /** number of blocks that a launch is given */
  readonly sources: number;
  /** source, offset and bytes of each pointer that kernels take */
  readonly slots: Float64Array;
  readonly launches: readonly {
    readonly function: number;
    readonly grid: Uint32Array;
    readonly block: number;
    readonly sharedBytes: number;
    readonly slots: Uint32Array;
    readonly uniforms: Int32Array;
  }[];
};

export type NativeMemoryUse = {
  /** handed out, rounded up */
  readonly bytes: number;
  readonly blocks: number;
  /** kept for the next tensors */
  readonly cachedBytes: number;
  /** of the whole device */
  readonly freeBytes: number;
  readonly totalBytes: number;
};

/** One device in use; all its work is queued on one stream. */
export type NativeContext = {
  allocate(bytes: number): number;
  release(block: number): void;
  trim(): void;
  memoryUse(): NativeMemoryUse;
  upload(block: number, offset: number, data: ArrayBufferView): void;
  /** with zeros */
  fill(block: number, offset: number, bytes: number): void;
  copy(from: number, to: number, bytes: number): void;
  beginDownload(block: number, bytes: number): number;
  /** to be called when an event recorded after `beginDownload` is done */
  takeDownload(download: number): ArrayBuffer;
  loadFunction(image: Uint8Array, kernel: string, dynamicSharedBytes: number): number;
  unloadFunction(id: number): void;
  makePlan(plan: NativePlan): number;
  dropPlan(plan: number): void;
  launch(plan: number, blocks: Float64Array): void;
  beginCapture(): void;
  endCapture(): number;
  abandonCapture(): void;
  launchGraph(graph: number, times: number): void;
  dropGraph(graph: number): void;
  recordEvent(withTiming: 0 | 1): number;
  dropEvent(event: number): void;
  elapsed(start: number, end: number): number;
  /** asks until it is or the microseconds are over */
  isFinished(event: number, microseconds: number): boolean;
  /** waits on another thread, at most so long */
  wait(event: number, milliseconds: number): Promise<boolean>;
  close(): void;
  abandon(): void;
};

export type NativeDevice = {
  readonly name: string;
  readonly totalBytes: number;
  readonly computeMajor: number;
  readonly computeMinor: number;
  readonly multiprocessors: number;
  readonly threadsPerBlock: number;
  readonly warp: number;
  readonly gridX: number;
  readonly gridY: number;
  readonly gridZ: number;
  /** of one block, where the launch asks for it */
  readonly sharedBytes: number;
  readonly staticSharedBytes: number;
  readonly l2Bytes: number;
  readonly computeMode: number;
};

export type NativeCompiled = { readonly isAccepted: boolean; readonly log: string; readonly cubin: Uint8Array };

/** The addon itself; lists of paths are tried in order. */
export type NativeModule = {
  readonly interface: number;
  loadDriver(paths: readonly string[]): { readonly path: string; readonly version: number; readonly devices: number };
  loadCompiler(paths: readonly string[]): { readonly path: string; readonly major: number; readonly minor: number };
  describeDevice(driver: readonly string[], ordinal: number): NativeDevice;
  compile(compiler: readonly string[], text: string, name: string, options: readonly string[]): Promise<NativeCompiled>;
  readonly Context: new (driver: readonly string[], ordinal: number) => NativeContext;
};

/** The failure that an error of the addon carries, or null for other errors. */
export function failureOf(error: unknown): NativeFailure | null {
  const failure = (error as { readonly failure?: unknown } | null | undefined)?.failure;
  return typeof failure === 'object' && failure !== null ? failure as NativeFailure : null;
}
