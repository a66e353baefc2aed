/** Tensors in the device's shared memory. */
import type { StorageName } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { DeviceTensor, TensorData } from '../device.ts';
import { bytesPerElement, checkData, viewOf } from '../storage.ts';
import type { Session } from './session.ts';

/** A tensor of this back end; other code sees a DeviceTensor. */
export type WasmTensor = DeviceTensor & {
  readonly session: Session;
  /** where its numbers are; throws SSM6003 after dispose */
  readonly address: () => number;
};

const tensors = new WeakSet<object>();

/** True for tensors that `createTensor` of this module made. */
export function isWasmTensor(value: unknown): value is WasmTensor {
  return typeof value === 'object' && value !== null && tensors.has(value);
}

/** Copies host numbers into a block. */
export function copyIn(session: Session, address: number, data: TensorData): void {
  session
    .bytes(address, data.byteLength)
    .set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

/** A tensor whose numbers are not set yet. */
export function createTensor(
  session: Session,
  storage: StorageName,
  length: number,
  label: string,
): WasmTensor {
  session.check();
  const bytes = length * bytesPerElement(storage);
  let held: number | null = session.allocate(bytes, label);
  const address = (): number => {
    session.check();
    if (held === null) throw ssmError('SSM6003', `tensor \`${label}\` was used after dispose`);
    return held;
  };
  const tensor: WasmTensor = {
    session,
    storage,
    length,
    label,
    address,
    async read(): Promise<TensorData> {
      const copy = session.bytes(address(), bytes).slice();
      return viewOf(storage, copy.buffer as ArrayBuffer, length);
    },
    write(data) {
      const target = address();
      checkData(data, storage, length, label);
      copyIn(session, target, data);
    },
    [Symbol.dispose]() {
      if (held !== null) session.free(held);
      held = null;
    },
  };
  tensors.add(tensor);
  return tensor;
}
