/** `statefuse reduce`: what fails gets smaller and fails alike; what does not fail, or is no layer, is refused. */
import { describe, expect, it } from 'vitest';
import { parse } from '../../dsl/index.ts';
import { simplerTrees } from '../../cli/reduce/simpler-trees.ts';
import { printTree } from '../../dsl/format/print-tree.ts';
import { runCommand } from './run-command.ts';

/** The gradient of a norm of one number is what rounding leaves of 0: it disagrees with float64 in relative terms. */
const failing = `layer Model(D = 1, K = 3) {
  input u[D], z[D], label: index(K)
  param C[D] = 1, table[K, D]
  state x[D] { next x = 0.5 * x + u }
  let gated = u * silu(z) + gather[K](table, label)
  output other[D] = gated
  output y[D] = rms_norm[D](C * x)
}`;

describe('reduce', () => {
  it('keeps what the failure needs', async () => {
    const { code, output, error } = await runCommand(['reduce', '-', '--length', '5', '--seed', '2'], { input: failing });
    expect(error).toMatch(/disagrees in mode recurrent: [0-9]+ characters became [0-9]+ in [0-9]+ tries/);
    expect(code).toBe(0);
    expect(output.length).toBeLessThan(failing.length / 2);
    expect(output).toMatch(/rms_norm/);
    expect(output).not.toMatch(/label|silu|table/);
  });

  it('says that nothing fails', async () => {
    const { code, error } = await runCommand(['reduce', '-', '--length', '3'], { input: 'layer A { input u\n output y = u }' });
    expect(code).not.toBe(0);
    expect(error).toMatch(/does not fail/);
  });

  it('leaves mistakes of the text to check', async () => {
    const { code, error } = await runCommand(['reduce', '-'], { input: 'layer A { input u\n output y = v }' });
    expect(code).toBe(1);
    expect(error).toMatch(/SSM2001/);
  });
});

it('simpler trees are shorter or have smaller axes', () => {
  const { tree } = parse({ name: 'a.ssm', text: failing });
  const text = printTree(tree);
  const simpler = simplerTrees(tree).map(printTree);
  expect(simpler.length).toBeGreaterThan(20);
  expect(new Set(simpler).has(text)).toBe(false);
  for (const each of simpler) expect(each.length).toBeLessThanOrEqual(text.length);
});
