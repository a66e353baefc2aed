/** The page of `explain`: equations as read, what is selective, which modes are legal, what will run. */
import { describe, expect, it } from 'vitest';
import { runCommand } from './run-command.ts';

function explain(name: string, ...more: readonly string[]): ReturnType<typeof runCommand> {
  return runCommand(['explain', `examples/${name}.ssm`, ...more]);
}

describe('explain', () => {
  it('tells the selective scan as its paper does', async () => {
    const { code, output, error } = await explain('s6', '--size', 'D=32');
    expect(error).toBe('');
    expect(code).toBe(0);
    for (const line of [
      'layer S6, D = 32, N = 16', 'dt_t = softplus(delta_t + delta_bias)', 'A     = -exp(A_log)', 'Ā_t   = exp(Δ_t * A)', 'b̄_t   = Δ_t * f_t',
      'x_t   = Ā_t * x_(t-1) + b̄_t', 'y = (sum[N](C_t * x_t) + skip * u_t) * silu(z_t)',
    ]) expect(output).toContain(line);
    expect(output).toMatch(/step size +selective +changes from token to token with delta/);
    expect(output).toMatch(/transition +fixed/);
    expect(output).toMatch(/conv +not legal +the step size of x changes with delta/);
    expect(output).toMatch(/forwardSaved[^]*saved saved\.x\.checkpoints/);
  });

  it('tells what a time-invariant system allows', async () => {
    const { output } = await explain('s4d', '--size', 'D=8');
    expect(output).not.toMatch(/ selective {2}/);
    expect(output).toMatch(/conv +legal +time-invariant/);
    expect(output).toContain('φ₁(Δ * A) * Δ * f_t');
  });

  it('weighs the modes at the sizes to expect', async () => {
    const sizes = ['--size', 'D=8', '--batch', '4', '--length', '4096'];
    const { output } = await explain('s4d', ...sizes, '--json');
    type Page = { choice: { chosen: string; reason: string; costs: { name: string; flops: number; bytes: number; nanoseconds: number }[] } };
    const { choice } = JSON.parse(output) as Page;
    expect(choice.costs.map((each) => each.name)).toEqual(['recurrent', 'scan', 'conv, direct', 'conv, FFT']);
    for (const each of choice.costs) for (const cost of [each.flops, each.bytes, each.nanoseconds]) expect(cost).toBeGreaterThan(0);
    expect(choice.chosen).toBe('recurrent');
    expect(choice.reason).toMatch(/conv, FFT is estimated at .* a token, recurrent at .*, on one core; convolution is taken where it is 1.25 times faster/);
    expect((await explain('s4d', ...sizes)).output).toMatch(/recurrent +1 +[^\n]+ns +chosen by auto/);
    expect((await explain('s4d', '--size', 'D=8')).output).toMatch(/auto takes recurrent: batch and length are not known/);
  }, 30_000);

  it.each([
    ['s5-bidirectional', /step +not legal +the state w is visited from the last token/, /w_\(t\+1\)/],
    ['mamba-block', /tail +h\.tail +\[batch, 3, E\]/, /ssm\.x_\(t-1\)/],
    ['s5-reset', /conv +not legal +resets of x/, /dropped \(h0 too\) where starts_t/],
    ['rg-lru', /transition +selective +changes from token to token with u/, /a_t = exp\(log_a_t\)/],
  ])('tells what is particular to %s', async (name, reason, equation) => {
    const { output } = await explain(name, '--size', name === 'rg-lru' || name.startsWith('s5') ? 'H=8' : 'D=8');
    expect(output).toMatch(reason);
    expect(output).toMatch(equation);
  });

  it('counts the floor of the selective scan', async () => {
    const { output } = await explain('s6', '--size', 'D=64', '--batch', '1', '--length', '1024', '--json');
    type Page = { schema: string; floor: unknown; entries: { entry: string; launches: { bytesPerToken: number; exponentialsPerToken: number }[] }[] };
    const page = JSON.parse(output) as Page;
    expect(page.schema).toBe('statefuse-explain');
    expect(page.floor).toEqual({ bytes: (4 * 64 + 2 * 16) * 4, exponentials: 64 * 16, flops: 2 * 64 * 16 });
    const [launch] = page.entries.find((each) => each.entry === 'forward')!.launches;
    // u, delta, z, y of 64 channels and B, C of 16 states, 4 bytes each
    const floor = (4 * 64 + 2 * 16) * 4;
    expect(launch!.bytesPerToken).toBeGreaterThanOrEqual(floor);
    expect(launch!.bytesPerToken).toBeLessThan(floor * 1.05);
    // one per channel and state, besides softplus and silu
    expect(launch!.exponentialsPerToken).toBeGreaterThanOrEqual(64 * 16);
    expect(launch!.exponentialsPerToken).toBeLessThan(64 * 16 + 64 * 4);
  });

  it('follows the wanted mode and target', async () => {
    const { output } = await explain('s5', '--mode', 'scan', '--target', 'wgsl', '--size', 'H=8');
    expect(output).toMatch(/scan +chosen/);
    expect(output).toContain('three-pass of');
    expect(output).toContain('Schedule decisions for wgsl');
  });
});
