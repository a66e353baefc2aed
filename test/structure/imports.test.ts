/**
 * Who may import whom, read off the import statements: rooms depend downwards only, the pure rooms
 * touch neither Node nor a browser, the oracle shares nothing with the compiler, and no file takes
 * part in a cycle.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

type Import = { readonly from: string; readonly to: string; readonly isType: boolean };

const rooms = ['support', 'dsl', 'ir', 'backends', 'runtime', 'cli', 'examples', 'tools', 'scripts', 'bench', 'test'];

/** What each room may import besides itself; a path ends a rule, a folder means all below it. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  support: [],
  dsl: ['support', 'chevrotain'],
  ir: ['support', 'dsl/spec.ts'],
  backends: ['support', 'dsl/spec.ts', 'ir'],
  runtime: ['support', 'backends/artifact.ts', 'node:'],
  cli: ['support', 'dsl', 'ir', 'backends', 'runtime', 'node:', 'commander'],
  examples: ['support', 'dsl', 'ir', 'backends', 'runtime', 'cli', 'node:'],
  tools: ['support', 'dsl', 'ir', 'backends', 'cli/typescript/host.ts', 'cli/write-files.ts', 'node:', 'unplugin'],
};

/** Files that may import more than their room. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  'runtime/jit.ts': ['backends', 'dsl', 'ir'],
  'backends/ts/index.ts': ['typescript'],
  'backends/ts/layer-types.ts': ['typescript'],
  'backends/ts/syntax.ts': ['typescript'],
  'cli/typescript/read-layers.ts': ['typescript'],
  'examples/web/vite.config.ts': ['vite'],
  'cli/typescript/static-values.ts': ['typescript'],
};

/** Mutually recursive functions over expressions, split by size; nothing runs when they load. To be undone, not added to. */
const knots: readonly (readonly string[])[] = [
  ['backends/wasm/expression.ts', 'backends/wasm/lanes.ts', 'backends/wasm/memory.ts'],
  ['expressions', 'states', 'application', 'affine', 'discretize', 'scan-by-token'].map((name) => `test/oracle/${name}.ts`),
];

/** The only files of the runtime that may use Node; the rest runs in a browser. */
const nodeFiles = /^runtime\/(wasm\/workers-node|webgpu\/node|cuda\/.*|.*-node)\.ts$/;

function filesBelow(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.ts')).map((each) => join(folder, each));
  } catch {
    return [];
  }
}

const files = [...rooms.flatMap(filesBelow), ...readdirSync('.').filter((each) => /^[a-z]+\.ts$/.test(each))];

function importsOf(file: string): readonly Import[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  const statements = /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'"`;]*?\sfrom\s+)?'([^']+)'|import\(\s*(?:\/\*.*?\*\/\s*)?'([^']+)'\s*\)/g;
  for (const match of text.matchAll(statements)) {
    const name = match[2] ?? match[3] ?? '';
    const to = name.startsWith('.') ? normalize(join(dirname(file), name)) : name;
    found.push({ from: file, to, isType: match[1] !== undefined });
  }
  return found;
}

const imports = files.flatMap(importsOf);

function isWithin(to: string, rule: string): boolean {
  return to === rule || to.startsWith(rule.endsWith(':') ? rule : `${rule}/`);
}

function violations(room: string): readonly string[] {
  const rules = [room, ...(allowed[room] ?? [])];
  return imports
    .filter((each) => each.from.startsWith(`${room}/`))
    .filter((each) => ![...rules, ...(exceptions[each.from] ?? [])].some((rule) => isWithin(each.to, rule)))
    .map((each) => `${each.from} imports ${each.to}`);
}

describe('imports', () => {
  it('are found', () => {
    expect(files.length).toBeGreaterThan(150);
    expect(imports.length).toBeGreaterThan(files.length);
    expect(importsOf('cli/main.ts').map((each) => each.to)).toEqual(['cli/environment.ts', 'cli/program.ts']);
  });

  it.each(Object.keys(allowed))('of %s go where its rules allow', (room) => {
    expect(violations(room)).toEqual([]);
  });

  it('of the runtime use Node in the files for Node only', () => {
    const found = imports.filter((each) => each.from.startsWith('runtime/') && each.to.startsWith('node:') && !nodeFiles.test(each.from));
    expect(found.map((each) => `${each.from} imports ${each.to}`)).toEqual([]);
  });

  it('of the oracle take nothing from the compiler but the syntax tree and files of numbers', () => {
    const found = imports.filter((each) => each.from.startsWith('test/oracle/') && !each.from.endsWith('.test.ts'))
      .filter((each) => /^(ir|backends|runtime\/(?!io\/)|cli|dsl\/check)/.test(each.to));
    expect(found.map((each) => `${each.from} imports ${each.to}`)).toEqual([]);
  });

  it('of the TypeScript compiler, which is optional, are types only', () => {
    const found = imports.filter((each) => each.to === 'typescript' && !each.isType && !each.from.startsWith('test/'));
    expect(found.map((each) => each.from)).toEqual([]);
  });

  it('name files with their extension', () => {
    const found = imports.filter((each) => /^[a-z]+\//.test(each.to) && rooms.some((room) => each.to.startsWith(`${room}/`)) && !each.to.endsWith('.ts'));
    expect(found.map((each) => `${each.from} imports ${each.to}`)).toEqual([]);
  });

  it('make no cycle at run time, but for recursions over one tree that fill several files', () => {
    const isInKnot = (each: Import): boolean => knots.some((knot) => knot.includes(each.from) && knot.includes(each.to));
    expect(findCycle((each) => !each.isType && !isInKnot(each))).toBeNull();
  });

  it.each(knots.map((knot) => [knot[0] ?? '', knot] as const))('still need the knot around %s', (_, knot) => {
    expect(findCycle((each) => !each.isType && knot.includes(each.from) && knot.includes(each.to))).not.toBeNull();
  });
});

/** The first cycle among imports that count, or null. */
function findCycle(counts: (each: Import) => boolean): readonly string[] | null {
  const next = new Map<string, string[]>();
  for (const each of imports) if (counts(each)) next.set(each.from, [...(next.get(each.from) ?? []), each.to]);
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): readonly string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const to of next.get(file) ?? []) {
      const found = visit(to, [...path, file]);
      if (found !== null) return found;
    }
    done.add(file);
    return null;
  };
  for (const file of files) {
    const found = visit(file, []);
    if (found !== null) return found;
  }
  return null;
}
