/** The comparison with peers: its page of plots, and that its Python compiles and its floors are those of the roofline. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parsePeers, renderPeersPage } from '../../bench/peers-plot.ts';

type Row = Record<string, unknown>;

function row(length: number, implementation: string, median: number, more: Row = {}): Row {
  return {
    workload: `S6 forward bf16 B8 D2048 L${length}`, family: 'S6', pass: 'forward', dtype: 'bf16', shape: { B: 8, D: 2048, L: length }, implementation,
    times: { graph: { median }, eager: { median: median * 2 } }, floor: median / 4, ...more,
  };
}

function page(rows: readonly Row[]): string {
  return renderPeersPage(parsePeers(JSON.stringify({ schema: 'statefuse-peers', version: 1, device: 'GPU <1>', rows })));
}

describe('the page of peers', () => {
  it('has a line per implementation over length, bars per row, floors, and nothing from outside', () => {
    const html = page([512, 1024, 2048].flatMap((length) => [row(length, 'statefuse', length / 4), row(length, 'peer', length)]));
    expect(html.match(/<polyline/g)).toHaveLength(3);
    expect(html.match(/<figure>/g)).toHaveLength(4);
    expect(html).toContain('S6 forward bf16 B8 D2048</figcaption>');
    expect(html).toContain('512 µs');
    expect(html).toContain('GPU &#60;1&#62;');
    expect(html).not.toMatch(/<script|https?:/);
  });

  it('draws no line through two points, and leaves out what has no time', () => {
    const html = page([row(512, 'statefuse', 1), row(1024, 'statefuse', 2), row(2048, 'absent', 3, { times: undefined }), row(2048, 'odd', 3, { times: { graph: { median: 'x' } } })]);
    expect(html).not.toContain('<polyline');
    expect(html).not.toMatch(/absent|odd|NaN|Infinity/);
  });

  it('escapes what the file says', () => {
    const html = page([row(1, '"><script>alert(1)</script>', 5, { workload: '<img src=x>' })]);
    expect(html).not.toMatch(/<script|<img/);
  });

  it('refuses other files', () => {
    expect(() => parsePeers('{"schema":"other","rows":[]}')).toThrow('no JSON of bench/peers');
    expect(() => parsePeers('[]')).toThrow('no JSON of bench/peers');
  });
});

const python = ((): string | null => {
  try {
    execFileSync('python3', ['-c', 'pass']);
    return 'python3';
  } catch {
    return null;
  }
})();

describe.skipIf(python === null)('the comparison itself', () => {
  const run = (code: string): string => execFileSync('python3', ['-B', '-c', code], { encoding: 'utf8', cwd: 'bench/peers', stdio: ['ignore', 'pipe', 'inherit'] });

  it('is Python that compiles', () => {
    run('import ast, glob\nfor f in glob.glob("*.py"): ast.parse(open(f).read(), f)');
  });

  it('has the floors of the roofline, in microseconds', () => {
    const printed = JSON.parse(run(`import json, floors as f
c = f.CHIPS["H200"]
shapes = [(8, 2048, 2048), (1, 5120, 8192), (1, 2048, 65536), (2, 1536, 2048)]
print(json.dumps([[1e6 * f.s6_forward(c, *s, 16, 2) for s in shapes], [1e6 * f.s6_backward(c, *s, 16, 2) for s in shapes],
  [1e6 * f.scan_forward(c, 8, 1536, 65536, 4), 1e6 * f.scan_forward(c, 8, 1024, 16384, 8), 1e6 * f.lti_forward(c, 8, 1024, 16384, 4)]]))`)) as number[][];
    expect(printed.map((each) => each.map(Math.round))).toEqual([[132, 165, 527, 25], [305, 381, 1220, 57], [2247, 749, 408]]);
  });
});
