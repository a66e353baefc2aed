/** Tensors in device memory. */
import type { StorageName } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { DeviceTensor, TensorData } from '../device.ts';
import { bytesPerElement, checkData, viewOf } from '../storage.ts';
import type { Session } from './session.ts';

/** A tensor of this runtime; other code sees a DeviceTensor. */
export type CudaTensor = DeviceTensor & {
  readonly session: Session;
  readonly bytes: number;
  /** number of the block, 0 for an empty tensor; throws SSM6003 after dispose */
  readonly block: () => number;
};

const tensors = new WeakSet<object>();

/** True for tensors that `createTensor` of this module made. */
export function isCudaTensor(value: unknown): value is CudaTensor {
  return typeof value === 'object' && value !== null && tensors.has(value);
}

/** After a failure the copy may still be under way: its memory on the host is given back with the device. */
async function download(session: Session, block: number, bytes: number, label: string): Promise<ArrayBuffer> {
  const what = `reading \`${label}\``;
  const id = session.call(what, (native) => native.beginDownload(block, bytes));
  const event = session.call(what, (native) => native.recordEvent(0));
  try {
    await session.wait(event, what);
    return session.call(what, (native) => native.takeDownload(id));
  } finally {
    session.giveBack((native) => native.dropEvent(event));
  }
}

/** A tensor whose numbers are not set. */
export function createTensor(session: Session, storage: StorageName, length: number, label: string): CudaTensor {
  const bytes = length * bytesPerElement(storage);
  if (!Number.isSafeInteger(bytes)) throw ssmError('SSM6005', `no memory of the device for \`${label}\`: ${bytes} B`, 'use a smaller batch');
  let held = session.call(`\`${label}\``, (native) => (bytes === 0 ? 0 : native.allocate(bytes)));
  let isOpen = true;
  const block = (): number => {
    session.check();
    if (!isOpen) throw ssmError('SSM6003', `tensor \`${label}\` was used after dispose`);
    return held;
  };
  const tensor: CudaTensor = {
    session, storage, length, label, bytes, block,
    async read(): Promise<TensorData> {
      const source = block();
      return viewOf(storage, bytes === 0 ? new ArrayBuffer(0) : await download(session, source, bytes, label), length);
    },
    write(data) {
      const target = block();
      checkData(data, storage, length, label);
      if (bytes > 0) session.call(`writing \`${label}\``, (native) => native.upload(target, 0, data));
    },
    [Symbol.dispose]() {
      if (!isOpen) return;
      isOpen = false;
      if (held !== 0) session.giveBack((native) => native.release(held));
      held = 0;
    },
  };
  tensors.add(tensor);
  return tensor;
}
