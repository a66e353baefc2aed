/** A layer's parameters on its device: uploaded when set, read by every call until they are set again. */
import type { Manifest } from '../backends/artifact.ts';
import { ssmError } from '../support/diagnostic.ts';
import { required } from '../support/invariant.ts';
import type { DeviceTensor, ExecutionDevice } from './device.ts';
import type { LayerCatalogue } from './layer-catalogue.ts';
import { checkIsRecord, isDeviceTensor, prepareValue, type ExpectedTensor, type LayerRecord } from './layer-values.ts';

export type ResidentParameters = {
  /**
   * Checks values and returns what puts them in place, all or nothing: a value of a wrong shape throws
   * here and leaves every parameter as it was. `copy` keeps numbers that the caller may change meanwhile.
   */
  readonly stage: (values: LayerRecord, copy: 'copy' | 'share') => () => void;
  /** throws SSM7003 when it was never set */
  readonly get: (name: string) => DeviceTensor;
  readonly dispose: () => void;
};

function expectedParameters({ manifest, all }: LayerCatalogue): ReadonlyMap<string, ExpectedTensor> {
  const storages = new Map(all('param').map((each) => [each.subject ?? each.name, each.storage]));
  return new Map(manifest.parameters.map(({ name, axes, shape, complex }: Manifest['parameters'][number]) => [name, {
    name, storage: storages.get(name) ?? 'f32',
    axes: complex ? [...axes, 'complex'] : axes,
    shape: complex ? [...shape, 2] : shape,
  }]));
}

/** No parameter is set at first. Tensors made here are disposed here; tensors given stay their owner's. */
export function createParameters(device: ExecutionDevice, catalogue: LayerCatalogue): ResidentParameters {
  const expected = expectedParameters(catalogue);
  const own = new Map<string, DeviceTensor>();
  const borrowed = new Map<string, DeviceTensor>();
  const put = (name: string, value: ReturnType<typeof prepareValue>): void => {
    if (isDeviceTensor(value)) {
      borrowed.set(name, value);
      return;
    }
    borrowed.delete(name);
    const held = own.get(name);
    if (held !== undefined) held.write(value);
    else {
      const { storage } = required(expected.get(name), name);
      own.set(name, device.createTensor(storage, value, `${catalogue.layer}/${name}`));
    }
  };
  return {
    stage(values, copy) {
      checkIsRecord(values, 'params');
      const prepared = Object.entries(values).map(([name, value]) => {
        const wanted = expected.get(name);
        if (wanted === undefined) throw catalogue.unknownName('param', name);
        const data = prepareValue(value, wanted);
        return [name, copy === 'share' || isDeviceTensor(data) ? data : data.slice()] as const;
      });
      return () => {
        for (const [name, value] of prepared) put(name, value);
      };
    },
    get(name) {
      const held = borrowed.get(name) ?? own.get(name);
      if (held !== undefined) return held;
      throw ssmError(
        'SSM7003', `the parameter \`${name}\` of layer \`${catalogue.layer}\` has no value`,
        'set it with `setParameters` or `params`',
      );
    },
    dispose() {
      own.forEach((each) => each[Symbol.dispose]());
      own.clear();
      borrowed.clear();
    },
  };
}
