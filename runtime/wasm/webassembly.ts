/**
 * The part of the WebAssembly JavaScript API that the runtime uses. TypeScript declares it only with
 * the browser's library, which the other rooms must not see.
 */

/** Memory that several threads share. */
export type WasmMemory = {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
};

export type WasmModuleObject = { readonly brand: 'WebAssembly.Module' };

export type WasmInstance = { readonly exports: Readonly<Record<string, unknown>> };

export type WasmApi = {
  readonly Memory: new (options: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Instance: new (
    module: WasmModuleObject,
    imports: { env: { memory: WasmMemory } },
  ) => WasmInstance;
  compile(bytes: Uint8Array): Promise<WasmModuleObject>;
  validate(bytes: Uint8Array): boolean;
};

/** The global object, or undefined where there is none. */
export function findWebAssembly(): WasmApi | undefined {
  return (globalThis as unknown as { readonly WebAssembly?: WasmApi }).WebAssembly;
}

/** The global object; callers have checked that it is there. */
export function webAssembly(): WasmApi {
  const found = findWebAssembly();
  if (found === undefined) throw new ReferenceError('no WebAssembly');
  return found;
}
