/**
 * Finds the addon, the driver and NVRTC on this machine, and says what is missing and how to get it.
 * Nothing is loaded before a CUDA device is asked for.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeDiagnostic, ssmError, SsmError } from '../../support/diagnostic.ts';
import { errorOfFailure } from './failures.ts';
import { versionText } from './format.ts';
import { failureOf, type NativeModule } from './native.ts';

const addonPath = 'build/cuda/statefuse_cuda.node';
const addonInterface = 1;
/** 12.0: graphs, cubins of compute capability 9.0 */
const oldestDriver = 12000;

/** The driver, ready for use. */
export type LoadedDriver = {
  readonly native: NativeModule;
  readonly paths: readonly string[];
  readonly path: string;
  /** 13000 for CUDA 13.0 */
  readonly version: number;
  readonly devices: number;
};

/** NVRTC, ready for use. */
export type LoadedCompiler = { readonly paths: readonly string[]; readonly path: string; readonly version: string };

function addonCandidates(): readonly string[] {
  const named = process.env['STATEFUSE_CUDA_ADDON'];
  if (named !== undefined && named !== '') return [named];
  const found: string[] = [];
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    found.push(join(folder, addonPath));
    if (dirname(folder) === folder) return found;
  }
}

/** Loads the addon; throws SSM6007 where it was not built or does not load. */
export function loadAddon(): NativeModule {
  const path = addonCandidates().find((each) => existsSync(each));
  if (path === undefined) {
    throw ssmError('SSM6007', 'the addon for CUDA is not built', 'run `npm run build:cuda` in the folder of Statefuse (it needs g++, no CUDA), on Linux');
  }
  let native: NativeModule;
  try {
    native = createRequire(import.meta.url)(path) as NativeModule;
  } catch (error) {
    const [reason] = String(error).split('\n');
    throw ssmError('SSM6007', `the addon for CUDA does not load: ${(reason ?? '').slice(0, 300)}`, 'build it on this machine with `npm run build:cuda`');
  }
  if (native.interface === addonInterface) return native;
  throw ssmError('SSM6007', `the addon for CUDA is of another version (${String(native.interface)}, expected ${addonInterface})`, 'build it again with `npm run build:cuda`');
}

function driverPaths(): readonly string[] {
  const named = process.env['STATEFUSE_CUDA_DRIVER'];
  return named !== undefined && named !== '' ? [named] : ['libcuda.so.1', '/usr/lib/wsl/lib/libcuda.so.1', '/usr/lib/x86_64-linux-gnu/libcuda.so.1', '/usr/lib64/libcuda.so.1'];
}

/** What the driver says before there is any device. */
function driverError(error: unknown): unknown {
  const failure = failureOf(error);
  if (failure === null || failure.origin === 'caller') return error;
  if (failure.operation === 'dlsym') {
    return ssmError('SSM6008', `the NVIDIA driver is too old: \`${failure.subject}\` has no \`${failure.words}\``, `install a driver for CUDA ${versionText(oldestDriver)} or later`);
  }
  const notes = failure.words.split('\n').filter((each) => each !== '');
  const said = failure.origin === 'library' ? 'there is no NVIDIA driver' : `the NVIDIA driver finds no device: ${failure.operation} gave ${failure.name === '' ? failure.code : failure.name}`;
  return new SsmError([makeDiagnostic({
    code: 'SSM6002', message: said, notes, help: 'install the NVIDIA driver (`nvidia-smi` must list the GPU), or use the target `wasm`',
  })]);
}

/** Loads the driver; throws SSM6007 without the addon, SSM6002 without driver or device, SSM6008 for an old driver. */
export function loadDriver(): LoadedDriver {
  const native = loadAddon();
  const paths = driverPaths();
  let loaded: ReturnType<NativeModule['loadDriver']>;
  try {
    loaded = native.loadDriver(paths);
  } catch (error) {
    throw driverError(error);
  }
  if (loaded.version < oldestDriver) {
    throw ssmError('SSM6008', `the NVIDIA driver is for CUDA ${versionText(loaded.version)}; ${versionText(oldestDriver)} or later is needed`, 'install a newer driver');
  }
  if (loaded.devices === 0) throw ssmError('SSM6002', 'the NVIDIA driver finds no device', 'check `nvidia-smi` and CUDA_VISIBLE_DEVICES');
  return { native, paths: [loaded.path], ...loaded };
}

function librariesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((each) => /^libnvrtc\.so(\.[0-9.]+)?$/.test(each)).map((each) => join(folder, each));
  } catch {
    return [];
  }
}

function majorOf(path: string): number {
  return Number(/libnvrtc\.so\.(\d+)/.exec(path)?.[1] ?? '0');
}

/** `STATEFUSE_NVRTC` is a file or a folder; then the toolkit's folders, then the loader's own path. */
function compilerPaths(driverMajor: number): readonly string[] {
  const named = process.env['STATEFUSE_NVRTC'];
  if (named !== undefined && named !== '') {
    const inside = librariesIn(named).toSorted((left, right) => majorOf(right) - majorOf(left));
    return inside.length > 0 ? inside : [named];
  }
  const roots = [process.env['CUDA_HOME'], process.env['CUDA_PATH'], '/usr/local/cuda', `/usr/local/cuda-${driverMajor}`, '/opt/cuda', '/usr']
    .flatMap((each) => (each === undefined || each === '' ? [] : [each]));
  const folders = roots.flatMap((root) => ['lib64', 'targets/x86_64-linux/lib', 'lib/x86_64-linux-gnu', 'lib'].map((each) => join(root, each)));
  const bare = ['libnvrtc.so.13', 'libnvrtc.so.12', 'libnvrtc.so.11.2', 'libnvrtc.so'];
  const found = [...folders.flatMap(librariesIn), ...bare];
  // the driver loads machine code of its own major version and of earlier ones; files without a version come last
  const rank = (path: string): number => (majorOf(path) === 0 || majorOf(path) > driverMajor ? 1000 : driverMajor - majorOf(path));
  return found.toSorted((left, right) => rank(left) - rank(right));
}

/** Loads NVRTC; throws SSM6007 where there is none, SSM6008 where the driver is older than it. */
export function loadCompiler({ native, version }: LoadedDriver): LoadedCompiler {
  const driverMajor = Math.floor(version / 1000);
  let loaded: ReturnType<NativeModule['loadCompiler']>;
  try {
    loaded = native.loadCompiler(compilerPaths(driverMajor));
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    if (failure.origin !== 'library') throw errorOfFailure(failure, 'loading NVRTC');
    throw new SsmError([makeDiagnostic({
      code: 'SSM6007', message: 'there is no NVRTC, which compiles kernels for CUDA devices', notes: failure.words.split('\n').slice(0, 4),
      help: 'install it (CUDA toolkit, or `pip install nvidia-cuda-nvrtc`), and name its file or folder in STATEFUSE_NVRTC if it is not found',
    })]);
  }
  if (loaded.major > driverMajor) {
    throw ssmError(
      'SSM6008', `NVRTC ${loaded.major}.${loaded.minor} makes code that a driver for CUDA ${versionText(version)} does not load`,
      `install NVRTC ${driverMajor}, or a newer driver`,
    );
  }
  return { paths: [loaded.path], path: loaded.path, version: `${loaded.major}.${loaded.minor}` };
}
