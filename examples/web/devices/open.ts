/** Devices of a page, opened when they are first asked for, and the layers loaded on them. */
import { loadLayer, type ExecutionDevice, type Layer } from '../../../runtime/index.ts';
import { openWasm } from '../../../runtime/wasm/index.ts';
import { acquire } from '../../../runtime/webgpu/acquire.ts';
import { SsmError, ssmError } from '../../../support/diagnostic.ts';
import type { PageTarget, PreparedText } from '../services/protocol.ts';
import { completeParameters } from './parameters.ts';

const opened = new Map<PageTarget, Promise<ExecutionDevice>>();

function open(target: PageTarget): Promise<ExecutionDevice> {
  if (target === 'wasm') return openWasm();
  const { gpu } = navigator as { readonly gpu?: GPU };
  if (gpu === undefined) {
    return Promise.reject(
      ssmError(
        'SSM6002',
        'this browser has no WebGPU here',
        'use a browser with WebGPU over https or localhost',
      ),
    );
  }
  return acquire(gpu);
}

/** The page's device for a target; a failure is forgotten, so that the next call tries again. */
export function deviceFor(target: PageTarget): Promise<ExecutionDevice> {
  const device = opened.get(target) ?? open(target);
  opened.set(target, device);
  device.catch(() => opened.delete(target));
  return device;
}

async function loadPrepared(target: PageTarget, prepared: PreparedText): Promise<Layer> {
  const layer = await loadLayer(await deviceFor(target), prepared.artifact);
  layer.setParameters(completeParameters(prepared));
  return layer;
}

/**
 * Uses a layer, with its parameters, on the page's device. A device that is lost meanwhile is opened anew
 * by the next call.
 */
export async function withLayer<Result>(
  target: PageTarget,
  prepared: PreparedText,
  use: (layer: Layer) => Promise<Result>,
): Promise<Result> {
  try {
    using layer = await loadPrepared(target, prepared);
    return await use(layer);
  } catch (error) {
    if (error instanceof SsmError && error.code === 'SSM6001') opened.delete(target);
    throw error;
  }
}
