/** Fuzzers of the readers of tensors: bytes of strangers become tensors of the size they claim, or a diagnostic. */
import { readNpy, writeNpy } from '../../../runtime/io/npy.ts';
import { readSafetensors, writeSafetensors, type SafetensorsTensor } from '../../../runtime/io/safetensors.ts';
import { mutatedBytes } from '../mutations.ts';
import { accepts, fuzzTarget, type FuzzTarget } from '../target.ts';

function safetensorsFiles(): readonly Uint8Array[] {
  const tensors: readonly (readonly [string, SafetensorsTensor])[] = [
    ['u', { dtype: 'F32', shape: [1, 2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }], ['n', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-1n) }],
    ['h', { dtype: 'BF16', shape: [0, 4], data: new Uint16Array(0) }], ['__proto__', { dtype: 'U8', shape: [], data: Uint8Array.of(7) }],
  ];
  const file = (count: number): Uint8Array => writeSafetensors({ metadata: new Map([['seed', '1'], ['__proto__', 'x']]), tensors: new Map(tensors.slice(0, count)) });
  return [file(4), file(1), file(0)];
}

async function checkSafetensors(bytes: Uint8Array): Promise<void> {
  await accepts(() => {
    const { tensors } = readSafetensors(bytes);
    for (const [name, { shape, data }] of tensors) {
      if (data.length !== shape.reduce((product, each) => product * each, 1)) throw new Error(`\`${name}\` has ${data.length} numbers`);
      if (data.buffer === bytes.buffer) throw new Error(`\`${name}\` shares memory with the file`);
    }
    const written = writeSafetensors({ metadata: new Map(), tensors });
    if (readSafetensors(written).tensors.size !== tensors.size) throw new Error('written it has other tensors');
  });
}

function npyFiles(): readonly Uint8Array[] {
  return [
    writeNpy({ dtype: '<f4', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }), writeNpy({ dtype: '<i8', shape: [2], data: BigInt64Array.of(1n, 2n) }),
    writeNpy({ dtype: '|u1', shape: [], data: Uint8Array.of(1) }), writeNpy({ dtype: '<f8', shape: [0, 7], data: new Float64Array(0) }),
  ];
}

async function checkNpy(bytes: Uint8Array): Promise<void> {
  await accepts(() => {
    const array = readNpy(bytes);
    if (array.data.length !== array.shape.reduce((product, each) => product * each, 1)) throw new Error(`${array.data.length} numbers of shape ${array.shape.join()}`);
    if (readNpy(writeNpy(array)).shape.join() !== array.shape.join()) throw new Error('written it has another shape');
  });
}

/** Fuzzers over bytes. */
export const fileTargets: readonly FuzzTarget[] = [
  fuzzTarget({ name: 'safetensors', runs: 1500, inputs: () => mutatedBytes(safetensorsFiles()), check: checkSafetensors }),
  fuzzTarget({ name: 'npy', runs: 1500, inputs: () => mutatedBytes(npyFiles()), check: checkNpy }),
];
