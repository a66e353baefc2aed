/** The file of tuning results: what is written is read, what is hostile or damaged is left out, nothing throws. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bucketOf, findExact, findNearest, parseTuning, printTuning, readTuning, storeTuning, type TuningEntry, type TuningKey } from '../../cli/tune/cache.ts';

let folder = '';
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'statefuse-tuning-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const key: TuningKey = { layer: 'a1', target: 'cuda', objective: 'forward', storage: 'bf16', device: 'GPU', driver: '1', compiler: 'c', batch: 8, length: 2048 };

function entry(more: Partial<TuningKey> = {}, microseconds = 10): TuningEntry {
  return {
    key: { ...key, ...more }, layerName: 'S6', interval: 16, microseconds, ruleMicroseconds: 20, samples: 27, measured: 40, isComplete: true,
    schedules: new Map([['x ascending', { parameters: { kind: 'lanes', lanes: 8, prefetch: true }, split: null }]]),
  };
}

describe('tuning files', () => {
  it('give back what was put in', () => {
    const entries = [entry(), entry({ batch: 1 })];
    expect(parseTuning(printTuning(entries))).toEqual({ entries, problems: [] });
  });

  it('keep one entry per key, the latest, and those of others', () => {
    const file = join(folder, 'deep/er/tuning.json');
    storeTuning(file, 'tuning.json', entry());
    storeTuning(file, 'tuning.json', entry({ device: 'other' }));
    storeTuning(file, 'tuning.json', entry({}, 5));
    const { entries, warnings } = readTuning(file, 'tuning.json');
    expect(warnings).toEqual([]);
    expect(entries.map((each) => [each.key.device, each.microseconds])).toEqual([['other', 10], ['GPU', 5]]);
    expect(readdirSync(join(folder, 'deep/er'))).toEqual(['tuning.json']);
  });

  it('cannot be written into what is no folder: a diagnostic, and nothing is left behind', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => storeTuning(join(folder, 'file/t.json'), 'file/t.json', entry())).toThrow(/cannot write `file\/t\.json`/);
    mkdirSync(join(folder, 'taken'));
    expect(() => storeTuning(join(folder, 'taken'), 'taken', entry())).toThrow(/cannot write/);
    expect(readdirSync(folder).sort()).toEqual(['file', 'taken']);
  });

  it('that are missing, folders, too large, or no JSON', () => {
    const warn = (name: string): readonly string[] => readTuning(join(folder, name), name).warnings.map((each) => each.message);
    expect(readTuning(join(folder, 'none'), 'none')).toEqual({ entries: [], warnings: [], isMissing: true });
    mkdirSync(join(folder, 'd'));
    expect(warn('d')[0]).toMatch(/`d` are not used in full: it is not a file/);
    writeFileSync(join(folder, 'big'), Buffer.alloc(5 * 2 ** 20, 32));
    expect(warn('big')[0]).toMatch(/5242880 bytes/);
    writeFileSync(join(folder, 'cut'), printTuning([entry()]).slice(0, 200));
    expect(warn('cut')[0]).toMatch(/it is not JSON/);
    writeFileSync(join(folder, 'odd'), '{"schema":"statefuse-tuning","version":2,"entries":[]}');
    expect(warn('odd')[0]).toMatch(/version is not 1/);
  });

  it('lose only the entries that are wrong', () => {
    const document = JSON.parse(printTuning([entry(), entry({ batch: 4 }), entry({ batch: 2 })])) as { entries: Record<string, unknown>[] };
    document.entries[0]!['interval'] = -1;
    document.entries[1]!['schedules'] = { 'x ascending': { parameters: { kind: ['lanes'] }, split: null } };
    const { entries, problems } = parseTuning(JSON.stringify(document));
    expect(entries).toEqual([entry({ batch: 2 })]);
    expect(problems).toEqual(['2 of 3 entries are malformed or too many']);
  });

  it('touch no prototype', () => {
    const text = printTuning([entry()]).replace('"lanes": 8', '"__proto__": 1').replace('"x ascending"', '"__proto__"');
    const { entries } = parseTuning(text);
    expect(entries).toEqual([]);
    expect(({} as Record<string, unknown>)['kind']).toBeUndefined();
    expect(parseTuning(printTuning([entry()]).replace('"interval": 16', '"constructor": 16')).entries).toEqual([]);
  });
});

/** Every entry that comes out is whole. */
function checkEntries(text: string): void {
  const { entries } = parseTuning(text);
  for (const each of entries) {
    expect(each.microseconds > 0 && Number.isFinite(each.microseconds)).toBe(true);
    expect(Number.isSafeInteger(each.interval) && each.interval >= 1).toBe(true);
    expect(typeof each.key.layer).toBe('string');
    for (const [, { parameters, split }] of each.schedules) {
      expect(split === null || Number.isSafeInteger(split)).toBe(true);
      for (const field of Object.values(parameters)) expect(['number', 'string', 'boolean']).toContain(typeof field);
    }
  }
  expect(parseTuning(printTuning(entries)).entries).toEqual(entries);
}

describe('hostile tuning files', () => {
  const good = printTuning([entry(), entry({ batch: 1 })]);

  it('of any text and any JSON', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), checkEntries), { numRuns: 300 });
    fc.assert(fc.property(fc.json(), checkEntries), { numRuns: 300 });
  });

  it('of any values where entries should be', () => {
    fc.assert(fc.property(fc.array(fc.jsonValue()), (entries) => checkEntries(JSON.stringify({ schema: 'statefuse-tuning', version: 1, entries }))), { numRuns: 300 });
  });

  it('of a good file with any value in place of any other', () => {
    const paths: (readonly string[])[] = [];
    const walk = (value: unknown, path: readonly string[]): void => {
      paths.push(path);
      if (typeof value === 'object' && value !== null) for (const [name, each] of Object.entries(value)) walk(each, [...path, name]);
    };
    walk(JSON.parse(good), []);
    fc.assert(fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
      const document = { root: JSON.parse(good) as unknown };
      const parent = path.slice(0, -1).reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], document.root);
      if (path.length === 0) document.root = value;
      else (parent as Record<string, unknown>)[path.at(-1)!] = value;
      checkEntries(JSON.stringify(document.root));
    }), { numRuns: 600 });
  });

  it('of a good file with a damaged byte or cut short', () => {
    fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 0xffff }), (at, unit) =>
      checkEntries(good.slice(0, at) + String.fromCharCode(unit) + good.slice(at + 1))), { numRuns: 400 });
    fc.assert(fc.property(fc.nat(good.length), (at) => checkEntries(good.slice(0, at))), { numRuns: 100 });
  });
});

describe('finding an entry', () => {
  const query = { layer: 'a1', target: 'cuda', storage: 'bf16', compiler: 'c', objective: null, device: null, driver: null, sizes: null };
  const entries = [entry({ batch: 1 }, 1), entry({ length: 65536 }, 2), entry({ objective: 'training' }, 3), entry({ device: 'other' }, 4)];
  const found = (more: Partial<Parameters<typeof findNearest>[1]>): number | undefined => findNearest(entries, { ...query, ...more })?.microseconds;

  it('takes the nearest shape', () => {
    expect(found({ device: 'GPU', objective: 'forward', sizes: { batch: 2, length: 1024 } })).toBe(1);
    expect(found({ device: 'GPU', objective: 'forward', sizes: { batch: 8, length: 100_000 } })).toBe(2);
  });

  it('matches everything else exactly, as far as it is known', () => {
    expect(found({})).toBe(4);
    expect(found({ objective: 'training' })).toBe(3);
    for (const more of [{ layer: 'b' }, { target: 'wgsl' }, { storage: 'f32' }, { compiler: 'd' }, { device: 'no' }, { driver: '2' }]) expect(found(more)).toBeUndefined();
    expect(findExact(entries, { ...key, batch: 1 })?.microseconds).toBe(1);
    expect(findExact(entries, { ...key, batch: 2 })).toBeNull();
  });

  it('in buckets of powers of two', () => {
    expect([0, 1, 2, 3, 5, 6, 8, 11, 12, 2048, 3000].map(bucketOf)).toEqual([0, 1, 2, 4, 4, 8, 8, 8, 16, 2048, 4096]);
  });
});
