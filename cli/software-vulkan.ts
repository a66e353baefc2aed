/**
 * Lets WebGPU in Node find the software Vulkan driver that Debian's chromium brings, on Linux machines
 * without a Vulkan driver of their own. A user's VK_ICD_FILENAMES or VK_DRIVER_FILES always wins.
 */
import { existsSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import type { CommandEnvironment } from './environment.ts';

const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json';
const softwareLoader = '/usr/lib/chromium/libvulkan.so.1';
const driverFolders = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

function hasOwnDriver(): boolean {
  return driverFolders.some((folder) => existsSync(folder) && readdirSync(folder).some((each) => each.endsWith('.json')));
}

/** Must run before the first adapter is requested; does nothing where it is not needed. */
export function useSoftwareVulkan(environment: CommandEnvironment): void {
  const { variables } = environment;
  const isChosen = variables['VK_ICD_FILENAMES'] !== undefined || variables['VK_DRIVER_FILES'] !== undefined;
  if (process.platform !== 'linux' || isChosen || hasOwnDriver() || !existsSync(softwareDriver)) return;
  process.env['VK_ICD_FILENAMES'] = softwareDriver;
  if (!existsSync(softwareLoader)) return;
  const keepLoaded = 0x1000;
  try {
    // the loader lies outside the library path: once loaded and kept, it is found by its name
    process.dlopen({ exports: {} }, softwareLoader, constants.dlopen.RTLD_NOW | keepLoaded);
  } catch {
    // Node complains that it is no addon; it is loaded all the same
  }
}
