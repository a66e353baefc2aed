/** Time of one submission: by the device's timestamps when asked for, else by the wall clock. */
import type { Session } from './session.ts';
import { readBuffer } from './tensor.ts';
import { bufferUsage } from './usage.ts';

export type RunTimer = {
  /** goes into the compute pass's descriptor */
  readonly passOptions: { readonly timestampWrites?: GPUComputePassTimestampWrites };
  readonly resolve: (encoder: GPUCommandEncoder) => void;
  /** to be called once, after the work is done */
  readonly milliseconds: () => Promise<number>;
  readonly release: () => void;
};

function wallClock(): RunTimer {
  const start = performance.now();
  return {
    passOptions: {},
    resolve: () => undefined,
    milliseconds: async () => performance.now() - start,
    release: () => undefined,
  };
}

/** Starts the clock for what is encoded next. */
export function startTimer(session: Session, label: string): RunTimer {
  if (session.options.timing === 'wall-clock') return wallClock();
  const querySet = session.device.createQuerySet({ type: 'timestamp', count: 2, label });
  const resolved = session.createBuffer(16, bufferUsage.queryResolve | bufferUsage.copySource, `${label}/timestamps`);
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    querySet.destroy();
    session.destroyBuffer(resolved);
  };
  return {
    passOptions: { timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } },
    resolve: (encoder) => encoder.resolveQuerySet(querySet, 0, 2, resolved, 0),
    async milliseconds() {
      try {
        const [begin, end] = new BigUint64Array(await readBuffer(session, resolved, 16, `${label}/timestamps`));
        return Number((end ?? 0n) - (begin ?? 0n)) / 1e6;
      } finally {
        release();
      }
    },
    release,
  };
}
