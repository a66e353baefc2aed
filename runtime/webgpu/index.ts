/** Running layers on WebGPU: adopt a device, or open one. */
export { acquire, requiredFor, type AcquireOptions } from './acquire.ts';
export { fromDevice, type WebGpuOptions } from './device.ts';
export { openDawn, type DawnOptions } from './node.ts';
