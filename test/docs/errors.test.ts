/**
 * docs/errors.md has a section for every diagnostic code, messages lead there, and the examples
 * provoke what they claim: texts are loaded, commands and TypeScript are run.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import * as statefuse from '../../index.ts';
import * as wasm from '../../runtime/wasm/index.ts';
import * as webgpu from '../../runtime/webgpu/index.ts';
import { diagnosticCodes, pageOf, type DiagnosticCode } from '../../support/diagnostic-codes.ts';
import { runCommand } from '../cli/run-command.ts';
import { openTestGpu, skipReason } from '../support/webgpu.ts';
import { codeBlocks, type CodeBlock } from './code-blocks.ts';

const page = readFileSync('docs/errors.md', 'utf8');
const sections = page.split(/^### /m).slice(1).map((text) => {
  const [heading, code, title] = /^(SSM\d{4}): (.*)$/m.exec(text) ?? [];
  return { heading: heading ?? '', code: code ?? '', title: title ?? '', text };
});

/** No text reaches these; their sections say so. */
const reserved: readonly string[] = ['SSM3008', 'SSM4002', 'SSM5003'];
/** What provokes these is not at hand in a test: drivers of other versions, a bug of the compiler. */
const described: readonly string[] = ['SSM6007', 'SSM6008', 'SSM6009', 'SSM9001'];

/** The name under which a heading can be linked to, as renderers of Markdown make it. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replace(/ /g, '-');
}

const modules: Readonly<Record<string, object>> = {
  statefuse, 'statefuse/runtime': statefuse, 'statefuse/runtime/wasm': wasm, 'statefuse/runtime/webgpu': webgpu,
};

/** Runs the text of a module with the package's entry points and a `navigator` as a page has it. */
async function runModule(text: string, gpu: GPU | undefined): Promise<void> {
  const body = text.replace(/^import (\{[^}]*\}) from ('[^']*');$/gm, 'const $1 = modules[$2];');
  expect(body).not.toMatch(/^import/m);
  const compiled = ts.transpileModule(`async function run(modules: any, navigator: any) {${body}\n}`, {
    compilerOptions: { target: ts.ScriptTarget.ES2022 },
  }).outputText;
  const run = new Function(`${compiled}; return run;`)() as (known: typeof modules, navigator: { gpu: GPU | undefined }) => Promise<void>;
  await run(modules, { gpu });
}

async function runCommands(blocks: readonly CodeBlock[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'statefuse-errors-'));
  try {
    let error = '';
    for (const { language, text } of blocks) {
      if (language !== 'console') writeFileSync(join(directory, `layer.${language}`), text);
      else for (const command of text.trim().split('\n')) error += (await runCommand(command.split(' ').slice(1), { directory })).error;
    }
    return error;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function provokedByText(code: string, text: string): void {
  const { diagnostics } = loadLayer({ name: `${code}.ssm`, text }, null, { sizes: new Map() });
  const codes = [...new Set(diagnostics.map((each) => each.code))];
  // a character that is refused may leave a hole in the grammar
  expect(code === 'SSM1006' ? codes.slice(0, 1) : codes).toEqual([code]);
}

describe('docs/errors.md', () => {
  it('has one section for each code, in order, under its title', () => {
    expect(sections.map(({ code, title }) => [code, title])).toEqual(Object.entries(diagnosticCodes));
  });

  it.each(sections.map((each) => [each.code, each] as const))('%s has a cause, a way out, and is where messages lead', (code, { heading, text, title }) => {
    expect(text.replace(/^.*\n/, '').trim().length, title).toBeGreaterThan(60);
    expect(text).toMatch(/\*\*Way out\.\*\* \S/);
    expect(text.includes('Reserved')).toBe(reserved.includes(code));
    expect(pageOf(code as DiagnosticCode)).toBe(`docs/errors.md#${anchorOf(heading)}`);
  });
});

describe('the example of', async () => {
  const test = await openTestGpu();
  for (const { code, text } of sections) {
    if (reserved.includes(code)) continue;
    const blocks = codeBlocks(text);
    const needsGpu = text.includes('navigator.gpu') && test === null;
    it.skipIf(needsGpu)(`${code}${needsGpu ? ` ${skipReason}` : ''}`, async () => {
      const last = blocks.at(-1);
      expect(blocks.every((each) => ['ssm', 'console', 'ts'].includes(each.language))).toBe(!described.includes(code));
      if (last?.language === 'ssm') provokedByText(code, last.text);
      else if (last?.language === 'console') expect(await runCommands(blocks)).toContain(`[${code}]`);
      else if (last?.language === 'ts') await expect(runModule(last.text, test?.gpu)).rejects.toMatchObject({ code });
      else expect(described).toContain(code);
    });
  }
});
