/** Tensors in GPU buffers. */
import type { StorageName } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { DeviceTensor, TensorData } from '../device.ts';
import type { Session } from './session.ts';
import { bytesPerElement, checkData, uploadBytes, viewOf } from '../storage.ts';
import { bufferUsage, mapModeRead } from './usage.ts';

/** A tensor of this back end; other code sees a DeviceTensor. */
export type WebGpuTensor = DeviceTensor & {
  readonly session: Session;
  /** throws SSM6003 after dispose */
  readonly buffer: () => GPUBuffer;
};

const tensors = new WeakSet<object>();

/** True for tensors that `createTensor` of this module made. */
export function isWebGpuTensor(value: unknown): value is WebGpuTensor {
  return typeof value === 'object' && value !== null && tensors.has(value);
}

/** Copies a buffer to the host. */
export async function readBuffer(
  session: Session, source: GPUBuffer, bytes: number, label: string,
): Promise<ArrayBuffer> {
  session.check();
  const staging = session.createBuffer(bytes, bufferUsage.mapRead | bufferUsage.copyDestination, `${label}/read`);
  try {
    const encoder = session.device.createCommandEncoder({ label: `${label}/read` });
    encoder.copyBufferToBuffer(source, 0, staging, 0, staging.size);
    session.device.queue.submit([encoder.finish()]);
    await session.outlive(staging.mapAsync(mapModeRead), `reading \`${label}\``);
    await session.allocationsDone();
    session.check();
    const copy = staging.getMappedRange().slice(0);
    staging.unmap();
    return copy;
  } catch (error) {
    throw session.explain(error, `reading \`${label}\``);
  } finally {
    session.destroyBuffer(staging);
  }
}

/** A tensor of zeros. */
export function createTensor(
  session: Session, storage: StorageName, length: number, label: string,
): WebGpuTensor {
  const bytes = length * bytesPerElement(storage);
  const usage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyDestination;
  let held: GPUBuffer | null = session.createBuffer(bytes, usage, label);
  const buffer = (): GPUBuffer => {
    session.check();
    if (held === null) throw ssmError('SSM6003', `tensor \`${label}\` was used after dispose`);
    return held;
  };
  const tensor: WebGpuTensor = {
    session, storage, length, label, buffer,
    async read(): Promise<TensorData> {
      const source = buffer();
      if (length === 0) return viewOf(storage, new ArrayBuffer(0), 0);
      return viewOf(storage, await readBuffer(session, source, bytes, label), length);
    },
    write(data) {
      const target = buffer();
      checkData(data, storage, length, label);
      if (length === 0) return;
      try {
        session.device.queue.writeBuffer(target, 0, uploadBytes(data));
      } catch (error) {
        throw session.explain(error, `writing \`${label}\``);
      }
    },
    [Symbol.dispose]() {
      if (held !== null) session.destroyBuffer(held);
      held = null;
    },
  };
  tensors.add(tensor);
  return tensor;
}
