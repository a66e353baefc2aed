/**
 * The GPU that tests run on: SwiftShader from Debian's chromium unless the environment names another
 * Vulkan driver. Without one, tests that need it are skipped with the reason in their title; where CI
 * is set, absence is a failure.
 */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';

const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json';
const softwareLoader = '/usr/lib/chromium/libvulkan.so.1';

export type TestGpu = { readonly gpu: GPU; readonly adapter: GPUAdapter };

let opened: Promise<TestGpu | null> | null = null;

/**
 * Chromium brings its own Vulkan loader outside the library path. Loading it once and keeping it
 * (RTLD_NODELETE) lets Dawn find it by its name; Node's complaint that it is no addon is expected.
 */
function loadSoftwareLoader(): void {
  const keepLoaded = 0x1000;
  try {
    process.dlopen({ exports: {} }, softwareLoader, constants.dlopen.RTLD_NOW | keepLoaded);
  } catch {
    // not an addon
  }
}

async function open(): Promise<TestGpu | null> {
  if (process.env['VK_ICD_FILENAMES'] === undefined && existsSync(softwareDriver)) {
    process.env['VK_ICD_FILENAMES'] = softwareDriver;
    if (existsSync(softwareLoader)) loadSoftwareLoader();
  }
  // loads Dawn, which hosts with CUDA alone are not given
  const { create } = await import('webgpu');
  const gpu = create([]);
  const adapter = await gpu.requestAdapter();
  if (adapter === null && process.env['CI'] !== undefined) throw new Error('no WebGPU adapter, which CI must have');
  return adapter === null ? null : { gpu, adapter };
}

/** The shared GPU of this test process, or null where there is none. */
export function openTestGpu(): Promise<TestGpu | null> {
  opened ??= open();
  return opened;
}

/** A device with the default limits, or null where there is no GPU. */
export async function openTestDevice(descriptor: GPUDeviceDescriptor = {}): Promise<GPUDevice | null> {
  const test = await openTestGpu();
  if (test === null) return null;
  const adapter = await test.gpu.requestAdapter();
  return adapter === null ? null : adapter.requestDevice(descriptor);
}

/** Words for the title of a suite that is skipped. */
export const skipReason = '(skipped: no WebGPU adapter; install chromium or set VK_ICD_FILENAMES)';
