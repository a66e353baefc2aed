/** Fuzzer of the command line: whatever is written there, the files outside of the folder that was named stay as they are. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { writeSafetensors } from '../../../runtime/io/safetensors.ts';
import { runCommand } from '../../cli/run-command.ts';
import { hostileStrings } from '../mutations.ts';
import { smallLayers } from '../corpus.ts';
import { fuzzTarget, type FuzzTarget } from '../target.ts';

/** A folder `work` to run in, with files to use, beside one that nothing may touch. */
function makePlace(): string {
  const root = mkdtempSync(join(tmpdir(), 'fuzz-cli-'));
  mkdirSync(join(root, 'outside'));
  writeFileSync(join(root, 'outside', 'precious.txt'), 'precious');
  mkdirSync(join(root, 'work'));
  const put = (name: string, content: string | Uint8Array): void => writeFileSync(join(root, 'work', name), content);
  put('a.ssm', smallLayers[0] ?? '');
  put('two.ssm', smallLayers.join('\n'));
  put('wrong.ssm', 'layer A(D = 2) { output y[D] = zz }');
  put('CON.ssm', smallLayers[1] ?? '');
  put('bytes.ssm', Uint8Array.of(0xff, 0xfe, 0));
  put('layers.ts', "import { ssm } from 'statefuse/builder';\nexport const A = ssm`layer A(D = 2) { input u[D] output y[D] = u }`;\n");
  put('in.safetensors', writeSafetensors({
    metadata: new Map(), tensors: new Map([['u', { dtype: 'F32', shape: [1, 3, 2], data: new Float32Array(6) }], ['B', { dtype: 'F32', shape: [1, 3, 2], data: new Float32Array(6) }]]),
  }));
  put('short.safetensors', Uint8Array.of(8, 0, 0));
  symlinkSync(join(root, 'outside'), join(root, 'work', 'link'));
  symlinkSync('loop', join(root, 'work', 'loop'));
  return root;
}

/** Names and contents of everything below a folder, links not followed. */
function snapshot(folder: string): string {
  const names = readdirSync(folder).sort();
  return names.map((name) => `${name} ${statSync(join(folder, name)).isFile() ? readFileSync(join(folder, name), 'latin1') : ''}`).join('\n');
}

const files = ['a.ssm', 'two.ssm', 'wrong.ssm', 'CON.ssm', 'bytes.ssm', 'layers.ts', '-', '', '.', 'link', 'loop', 'missing.ssm', 'a.ssm/b', '/dev/null', '/dev/zero', 'link/precious.txt', 'in.safetensors', '\0'];
const folders = ['out', 'out/deep', '.', '', 'a.ssm', 'a.ssm/x', 'loop', 'NUL', '\0', 'x'.repeat(300)];
const options = [
  '--layer', '--size', '--json', '--target', '--mode', '--dtype', '--dump-after', '--stop-after', '--batch', '--length', '--emit', '--carry', '--dtypes', '--name', '--seed', '--check',
  '--inputs', '--params', '--initial', '--input', '--param', '--state', '--gradients', '--device', '--tuning', '--help', '--version', '--entry', '--unknown', '-x', '--',
];
const values = [
  'wasm', 'wgsl', 'cuda', 'ts', 'torch', 'auto', 'recurrent', 'scan', 'conv', 'f32', 'f16', 'bf16', 'js', 'types', 'all', 'kernels', 'lower-spec', 'D=4', 'D=0', 'D=99999999', 'N=1', 'Z=2', 'D', 'D=4=4',
  '0', '1', '2', '3', '-1', '1e9', '999999999', '1.5', 'A', 'Decay', 'Turn', 'u=a.npy', 'u', '=', 'in.safetensors', 'short.safetensors', 'wrong.ssm', '../outside/x', ...hostileStrings,
];

/** Commands that measure or watch are left to tests of their own: they take seconds by design. */
const commands = ['check', 'format', 'compile', 'explain', 'run', 'devices', 'help', 'unknown', ''];

function commandLines(): fc.Arbitrary<readonly string[]> {
  const file = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a.ssm', 'two.ssm', 'layers.ts') }, { weight: 2, arbitrary: fc.constantFrom(...files) });
  const option = fc.tuple(fc.constantFrom(...options), fc.constantFrom(...values, ...files)).map(([name, value]) => [name, value]);
  const output = fc.tuple(fc.constantFrom('--out-dir', '--out', '--dump-dir'), fc.constantFrom('out', 'out', ...folders)).map(([name, value]) => [name, value]);
  return fc.tuple(fc.constantFrom(...commands, 'compile', 'run'), file, fc.array(fc.oneof(option, output), { maxLength: 4 }), output)
    .map(([command, path, more, last]) => [command, path, ...more.flat(), ...last]);
}

async function checkCommand(parameters: readonly string[]): Promise<void> {
  const root = makePlace();
  try {
    const before = snapshot(join(root, 'outside'));
    const { code, output, error } = await runCommand(parameters, { directory: join(root, 'work'), input: smallLayers[0] ?? '' });
    if (code === 4) throw new Error(`internal error: ${error}${output}`);
    if (/^ +at .*:\d+:\d+\)?$/m.test(error)) throw new Error(`a stack trace: ${error}`);
    if (code !== 0 && error === '' && output === '') throw new Error(`failed with ${code} without a word`);
    if (snapshot(join(root, 'outside')) !== before) throw new Error('wrote outside of its folder');
    const left = readdirSync(join(root, 'work'), { recursive: true }).map(String).filter((name) => name.endsWith('.partial'));
    if (left.length > 0) throw new Error(`left ${left.join()} behind`);
    if (parameters.includes('--json') && output !== '' && !parameters.some((each) => ['--help', '--version', 'help'].includes(each))) JSON.parse(output);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Fuzzers of commands. */
export const commandTargets: readonly FuzzTarget[] = [
  fuzzTarget({ name: 'commands', runs: 150, milliseconds: 20_000, inputs: commandLines, check: checkCommand }),
];
