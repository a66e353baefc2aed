/** Devices of a page, opened when they are first asked for, and the layers loaded on them. */
import { loadLayer, type ExecutionDevice, type Layer } from '../../../runtime/index.ts';
import { openWasm } from '../../../runtime/wasm/index.ts';
import { acquire } from '../../../runtime/webgpu/acquire.ts';
import { ssmError } from '../../../support/diagnostic.ts';
import type { PageTarget, PreparedText } from '../services/protocol.ts';
import { completeParameters } from './parameters.ts';

const opened = new Map<PageTarget, Promise<ExecutionDevice>>();

function open(target: PageTarget): Promise<ExecutionDevice> {
  if (target === 'wasm') return openWasm();
  const { gpu } = navigator as { readonly gpu?: GPU };
  if (gpu === undefined) {
    return Promise.reject(ssmError('SSM6002', 'this browser has no WebGPU here', 'use a browser with WebGPU over https or localhost'));
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

/** A layer with its parameters on the page's device; the caller disposes it. */
export async function loadPrepared(target: PageTarget, prepared: PreparedText): Promise<Layer> {
  const layer = await loadLayer(await deviceFor(target), prepared.artifact);
  layer.setParameters(completeParameters(prepared));
  return layer;
}
