/**
 * The carried state of a running sequence, resident on the device: decoding and streaming hand it from
 * call to call without a copy. Two sets of tensors take turns: a call reads one and writes the other.
 */
import { ssmError } from '../support/diagnostic.ts';
import type { RunSizes } from '../support/size.ts';
import type { DeviceTensor, ExecutionDevice, TensorData } from './device.ts';
import type { LayerCatalogue } from './layer-catalogue.ts';
import { checkIsRecord, elementCount, expectedTensor, isDeviceTensor, prepareValue, valueOf, type LayerRecord } from './layer-values.ts';

/** The states of `batch` sequences by name. Zero until written. The caller disposes it. */
export type LayerState = Disposable & {
  readonly batch: number;
  /** a copy of the numbers on the host, by state */
  read(): Promise<Readonly<Record<string, TensorData>>>;
  /** overwrites the named states; the rest keep their numbers */
  write(values: LayerRecord): void;
  /** every state to zero */
  reset(): void;
};

/** How a layer's calls see a state: by tensor, with the turn under their control. */
export type StateTensors = {
  readonly current: ReadonlyMap<string, DeviceTensor>;
  readonly next: ReadonlyMap<string, DeviceTensor>;
  readonly advance: () => void;
};

const tensorsOfStates = new WeakMap<LayerState, { readonly owner: LayerCatalogue; readonly of: () => StateTensors }>();

/** The tensors of a state that this layer made; throws SSM6004 for others. */
export function stateTensors(state: LayerState, owner: LayerCatalogue): StateTensors {
  const found = tensorsOfStates.get(state);
  if (found?.owner === owner) return found.of();
  throw ssmError('SSM6004', '`state` is not a state of this layer', 'make it with `createState` of the layer it is used with');
}

/** A state of zeros for `batch` sequences. */
export function createState(device: ExecutionDevice, catalogue: LayerCatalogue, batch: number): LayerState {
  const sizes: RunSizes = { batch, length: 1 };
  const expected = catalogue.all('initial').map((tensor) => expectedTensor(tensor, sizes));
  const makeSet = (which: string): ReadonlyMap<string, DeviceTensor> => new Map(expected.map((each) => [
    each.name, device.createTensor(each.storage, elementCount(each.shape), `${catalogue.layer}/${each.name}/${which}`),
  ]));
  let [current, next] = [makeSet('a'), makeSet('b')];
  let isOpen = true;
  const check = (): void => {
    if (!isOpen) throw ssmError('SSM6003', `a state of layer \`${catalogue.layer}\` was used after dispose`);
  };
  const writeOne = (name: string, values: LayerRecord): void => {
    const wanted = expected.find((each) => each.name === name);
    const value = valueOf(values, name);
    if (wanted === undefined || value === undefined) throw catalogue.unknownName('initial', name);
    const data = prepareValue(value, wanted);
    if (isDeviceTensor(data)) {
      throw ssmError('SSM6004', `\`${name}\` must be host numbers here`, 'pass tensors of the device as `initial`');
    }
    current.get(name)?.write(data);
  };
  const state: LayerState = {
    batch,
    async read() {
      check();
      const readings = [...current].map(async ([name, tensor]) => [name, await tensor.read()] as const);
      return Object.fromEntries(await Promise.all(readings));
    },
    write(values) {
      check();
      checkIsRecord(values, 'values');
      Object.keys(values).forEach((name) => writeOne(name, values));
    },
    reset() {
      check();
      for (const { name, shape } of expected) {
        writeOne(name, { [name]: new Array<number>(elementCount(shape)).fill(0) });
      }
    },
    [Symbol.dispose]() {
      if (!isOpen) return;
      isOpen = false;
      for (const set of [current, next]) set.forEach((each) => each[Symbol.dispose]());
    },
  };
  tensorsOfStates.set(state, {
    owner: catalogue,
    of: () => {
      check();
      return { current, next, advance: () => { [current, next] = [next, current]; } };
    },
  });
  return state;
}
