/**
 * The page as a reader has it: built files on a plain server, no network beyond, in headless Chromium with
 * WebGPU on SwiftShader and, in the last suite, in a browser without WebGPU on a server without headers.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasBrowser, openBrowser, skipReason } from './browser.ts';
import { serveFolder, type StaticServer } from './static-server.ts';

const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
const isPossible = hasBrowser();
const folder = mkdtempSync(join(tmpdir(), 'statefuse-page-'));

beforeAll(async () => {
  if (isPossible)
    await build({
      configFile: 'examples/web/vite.config.ts',
      logLevel: 'error',
      build: { outDir: folder, emptyOutDir: true },
    });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Visit = { readonly page: Page; readonly complaints: readonly string[] };

/** A page that may ask its own server only; what it says on the console and asks elsewhere are complaints. */
async function visit(browser: Browser, url: string): Promise<Visit> {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(20_000);
  const complaints: string[] = [];
  page.on(
    'console',
    (message) => void (['error', 'warning'].includes(message.type()) && complaints.push(message.text())),
  );
  page.on('pageerror', (error) => void complaints.push(error.message));
  await page.route(
    (address) => !address.href.startsWith(new URL('/', url).href) && address.protocol !== 'blob:',
    (route) => {
      complaints.push(`asked for ${route.request().url()}`);
      return route.abort();
    },
  );
  await page.goto(url);
  return { page, complaints };
}

async function devicesSettled(page: Page): Promise<void> {
  await page.locator('.chip-opening').first().waitFor({ state: 'detached' });
  await page.locator('.chip:not(.chip-opening)').nth(1).waitFor();
}

const badText = 'layer Bad(D = 4) {\n  input u[D] // <img src=x>\n  output y[D] = 2 * w\n}\n';

describe.skipIf(!isPossible)(`the page ${isPossible ? '' : skipReason}`, () => {
  let browser: Browser;
  let server: StaticServer;
  let page: Page;
  let complaints: readonly string[];
  beforeAll(async () => {
    [browser, server] = [await openBrowser('software'), await serveFolder(folder, isolation)];
    ({ page, complaints } = await visit(browser, server.url));
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
  });

  it('opens both devices and explains the first example', async () => {
    await devicesSettled(page);
    expect(await page.locator('.chip-ready').allTextContents()).toEqual([
      expect.stringMatching(/^WebAssembly: \d+ thread/),
      expect.stringMatching(/^WebGPU: .*swiftshader/i),
    ]);
    await page.locator('.equations').waitFor();
    expect(await page.locator('.equations').textContent()).toContain('exp(Δ * A)');
    expect(complaints).toEqual([]);
  });

  it('shows where a mistake is, why, and the way out, and recovers', async () => {
    const editor = page.locator('.editor-text');
    const before = await editor.inputValue();
    await editor.fill(badText);
    await page.locator('.problem-error').waitFor();
    expect(await page.locator('.mark-error').allTextContents()).toEqual(['w']);
    expect(await page.locator('.problem-head').textContent()).toContain('SSM2001');
    expect(await page.locator('.problem-head').textContent()).toContain('line 3, column 21');
    expect(await page.locator('.problem-help').textContent()).toContain('declare');
    expect(await page.locator('.outdated-notice').isVisible()).toBe(true);
    expect(await page.locator('.editor img').count()).toBe(0);
    await page.locator('.place').click();
    await page.keyboard.press('Delete');
    await page.keyboard.type('u');
    await page.locator('.verdict-good').waitFor();
    expect(await page.locator('.problem').count()).toBe(0);
    expect(await page.locator('.outdated-notice').isVisible()).toBe(false);
    await editor.fill(before);
    await page.locator('.verdict-good', { hasText: 'S4D' }).waitFor();
  });

  it.each([
    ['tensor-ir', 'affine-scan', 'differentiate'],
    ['kernel-ir', 'kernel', 'step: x_scan'],
    ['wgsl', '@compute', 'x_scan_0'],
    ['cuda', '__global__', 'x_scan_0'],
    ['wasm', '(func (export "x_scan_0")', 'module'],
  ])('shows %s in parts', async (view, wanted, part) => {
    await page.locator(`#tab-${view}`).click();
    await page.locator(`#panel-${view} .listing`, { hasText: wanted }).waitFor();
    expect(await page.locator(`#panel-${view} option`).allTextContents()).toContain(part);
  });

  it('carries a text in its address', async () => {
    const editor = page.locator('.editor-text');
    const text = `layer Linked(D = 3) {\n  input u[D]\n  output y[D] = 50 * u // #%\n}\n`;
    await editor.fill(text);
    await page.locator('.verdict-good', { hasText: 'Linked' }).waitFor();
    await page.getByRole('button', { name: 'Link' }).click();
    const address = page.url();
    await page.goto(`${server.url}#lru`);
    await page.locator('.verdict-good', { hasText: 'LRU' }).waitFor();
    await page.goto(address);
    await page.locator('.verdict-good', { hasText: 'Linked' }).waitFor();
    expect(await editor.inputValue()).toBe(text);
  });

  it('moves between tabs with the keyboard', async () => {
    await page.locator('#tab-wasm').click();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('[role=tab][aria-selected=true]').textContent()).toBe('Run');
    expect(await page.locator('#panel-wasm').isVisible()).toBe(false);
    await page.keyboard.press('Home');
    expect(await page.locator('[role=tab][aria-selected=true]').textContent()).toBe('Explain');
  });

  it.each([
    ['s5-bidirectional', 'S5Bidirectional'],
    ['s6', 'S6'],
  ])('runs %s on both devices, which agree', async (example, layer) => {
    await page.getByLabel('Example').selectOption(example);
    await page.locator('.verdict-good', { hasText: layer }).waitFor();
    await page.getByLabel('length').fill('64');
    await page.getByLabel('length').press('Enter');
    await page.locator('#tab-explain').click();
    await page.locator('#panel-explain', { hasText: 'length 64' }).waitFor();
    await page.locator('#tab-run').click();
    await page.getByLabel('Device').first().selectOption('both');
    await page.getByLabel('Input', { exact: true }).selectOption('noise');
    await page.getByRole('button', { name: 'Run' }).click();
    const verdict = page.locator('#panel-run [data-difference]');
    await verdict.waitFor({ timeout: 60_000 });
    const difference = Number(await verdict.getAttribute('data-difference'));
    expect(difference).toBeLessThan(1e-5);
    expect(difference).toBeGreaterThan(0); // two engines that agree to the last bit would be one engine twice
    expect(await page.locator('#panel-run tbody tr').count()).toBe(2);
    expect(await page.locator('#panel-run .plot path').first().getAttribute('d')).not.toContain('NaN');
  });

  it('plots eigenvalues and response, and says what they mean for a selective layer', async () => {
    await page.locator('#tab-analysis').click();
    await page
      .locator('#panel-analysis .notice', { hasText: 'no one set of eigenvalues' })
      .waitFor({ timeout: 30_000 });
    expect(await page.locator('#panel-analysis .pole').count()).toBe(1500);
    expect(await page.locator('.response path.line').count()).toBe(6);
    await page.getByLabel('Example').selectOption('lru');
    await page
      .locator('#panel-analysis .notice', { hasText: 'hold at every token' })
      .waitFor({ timeout: 30_000 });
    const radius = Number(
      /largest modulus (\d+\.\d+)/.exec((await page.locator('.eigenvalues').textContent()) ?? '')?.[1],
    );
    expect(radius).toBeGreaterThan(0.5);
    expect(radius).toBeLessThan(1);
  });

  const lossesOf = (text: string | null): readonly number[] =>
    /loss ([\d.]+) at first, ([\d.]+) at last/
      .exec(text ?? '')
      ?.slice(1)
      .map(Number) ?? [];
  let firstLoss = NaN;

  it('trains on WebAssembly: the loss falls and the curves are drawn', async () => {
    await page.locator('#tab-train').click();
    await page.getByLabel('Model').selectOption('mamba'); // fewer kernels than the other, which a software GPU compiles slowly
    await page.getByLabel('Epochs').fill('3');
    await page.getByRole('button', { name: 'Train' }).click();
    await page.locator('.training-status', { hasText: 'Done after' }).waitFor({ timeout: 60_000 });
    const [first, last] = lossesOf(await page.locator('.training-status').textContent());
    firstLoss = first!;
    expect(last!).toBeLessThan(first! - 0.3);
    expect(await page.locator('#panel-train .line').count()).toBe(3);
    expect(await page.locator('.scans li').count()).toBe(24);
  });

  it('trains on WebGPU from the same loss, and stops when told', async () => {
    await page.locator('#panel-train').getByLabel('Device').selectOption('wgsl');
    await page.getByRole('button', { name: 'Train' }).click();
    await page.locator('.training-status', { hasText: 'Step ' }).waitFor({ timeout: 90_000 });
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.locator('.training-status', { hasText: 'Stopped after' }).waitFor();
    expect(lossesOf(await page.locator('.training-status').textContent())[0]).toBeCloseTo(firstLoss, 2);
    expect(await page.getByRole('button', { name: 'Train' }).isEnabled()).toBe(true);
  });

  it('fits 400 pixels', async () => {
    await page.setViewportSize({ width: 400, height: 800 });
    for (const tab of await page.getByRole('tab').all()) {
      await tab.click();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400);
    }
  });

  it('said nothing on the console and asked nobody else', () => {
    expect(complaints).toEqual([]);
  });
});

describe.skipIf(!isPossible)(
  `the page without WebGPU, on a server without headers ${isPossible ? '' : skipReason}`,
  () => {
    it('says what is missing and runs on WebAssembly', async () => {
      const [browser, server] = [await openBrowser('none'), await serveFolder(folder, {})];
      try {
        const { page } = await visit(browser, server.url);
        await page.locator('.chip-ready[data-target=wasm]').waitFor({ timeout: 30_000 });
        await page.locator('.chip-absent[data-target=wgsl]').waitFor();
        await page.locator('#tab-run').click();
        expect(await page.locator('#panel-run .notice').textContent()).toContain(
          'WebGPU is not available here',
        );
        await page.getByRole('button', { name: 'Run' }).click();
        await page.locator('#panel-run tbody tr', { hasText: 'WebAssembly' }).waitFor({ timeout: 30_000 });
        expect(await page.locator('#panel-run .plot path').count()).toBeGreaterThan(0);
      } finally {
        await browser.close();
        await server.stop();
      }
    });
  },
);

describe('the sources of the page', () => {
  it('never read text as HTML or code', () => {
    const files = readdirSync('examples/web', { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('.ts'),
    );
    expect(files.length).toBeGreaterThan(20);
    const found = files.filter((each) =>
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(
        readFileSync(join('examples/web', each), 'utf8'),
      ),
    );
    expect(found).toEqual([]);
  });
});
