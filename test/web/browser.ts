/**
 * The browser that page tests run in: Debian's Chromium or what CHROMIUM_PATH names, with WebGPU on
 * SwiftShader. Without one the tests are skipped and say so; where CI is set, absence is a failure.
 */
import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const path = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** Whether the tests can run; throws where they must. */
export function hasBrowser(): boolean {
  if (existsSync(path)) return true;
  if (process.env['CI'] !== undefined) throw new Error(`no Chromium at ${path}, which CI must have`);
  return false;
}

/** Words for the title of a suite that is skipped. */
export const skipReason = '(skipped: no Chromium; install it or set CHROMIUM_PATH)';

const softwareWebGpu = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
];

/** A headless browser with a software GPU, or with none. */
export function openBrowser(gpu: 'software' | 'none'): Promise<Browser> {
  return chromium.launch({
    executablePath: path,
    args: [
      '--no-sandbox',
      ...(gpu === 'software' ? softwareWebGpu : ['--disable-features=WebGPU', '--disable-gpu']),
    ],
  });
}
