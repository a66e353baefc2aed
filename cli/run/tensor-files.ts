/**
 * Tensors from files, as `statefuse run` takes them: one safetensors file of many, or one npy file
 * under a name of the command line. Whatever is wrong with a file is said with its path.
 */
import { readNpy, type NpyData } from '../../runtime/io/npy.ts';
import { readSafetensors, type SafetensorsData, type SafetensorsTensor } from '../../runtime/io/safetensors.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { decodeBf16, decodeF16 } from '../../support/float-bits.ts';
import type { TensorData } from '../../runtime/device.ts';
import { UsageError, type CommandEnvironment } from '../environment.ts';
import { readFile, type FileLimit } from '../read-file.ts';

/** Which names a file may bring: inputs files bring every role, the others their own. */
export type FileRole = 'any' | 'param' | 'state';

export type FileTensor = {
  /** as the file or the command line calls it */
  readonly name: string;
  readonly path: string;
  readonly role: FileRole;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** what was stored as 16 or 64 bits, or as small integers, as doubles */
  readonly data: TensorData;
};

/** The largest file that Node reads at once. */
const largestFile: FileLimit = { bytes: 2 ** 31 - 1, code: 'SSM7001', help: null };

function readBytes(environment: CommandEnvironment, path: string): Uint8Array {
  return readFile(environment, path, largestFile, 'check the path');
}

/** Runs a reader; what it says about the bytes is said about the file. */
function named<Result>(path: string, help: string | null, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SsmError)) throw error;
    throw new SsmError(error.diagnostics.map((each) => ({ ...each, message: `\`${path}\`: ${each.message}`, help: each.help ?? help })));
  }
}

function plainNumbers(data: SafetensorsData | NpyData): TensorData {
  if (data instanceof Float32Array || data instanceof Float64Array || data instanceof Int32Array) return data;
  return data instanceof BigInt64Array ? Float64Array.from(data, Number) : Float64Array.from(data);
}

function decoded({ dtype, data }: SafetensorsTensor): TensorData {
  if (dtype === 'F16' && data instanceof Uint16Array) return Float64Array.from(data, decodeF16);
  if (dtype === 'BF16' && data instanceof Uint16Array) return Float64Array.from(data, decodeBf16);
  return plainNumbers(data);
}

/** All tensors of a safetensors file. Throws SSM7001, SSM7002. */
export function readTensorFile(environment: CommandEnvironment, path: string, role: FileRole): readonly FileTensor[] {
  const bytes = readBytes(environment, path);
  const isNpy = bytes[0] === 0x93 && bytes[1] === 0x4e;
  const help = isNpy ? 'this is an npy file: give it with a name, as in `--input u=u.npy`' : null;
  const { tensors } = named(path, help, () => readSafetensors(bytes));
  return [...tensors].map(([name, tensor]) =>
    ({ name, path, role, dtype: tensor.dtype.toLowerCase(), shape: tensor.shape, data: decoded(tensor) }));
}

/** The npy file of a `name=path` of the command line. Throws a UsageError, SSM7001, SSM7002. */
export function readNamedArray(environment: CommandEnvironment, option: string, pair: string, role: FileRole): FileTensor {
  const at = pair.indexOf('=');
  const [name, path] = [pair.slice(0, at), pair.slice(at + 1)];
  if (at < 1 || path === '') throw new UsageError(`\`${option} ${pair}\`: write a name and a file, as in \`${option} u=u.npy\``);
  const help = 'save it in C order as float32, float64, int32, int64, int8 or uint8; a complex array as its parts, '
    + `\`${name}.re\` and \`${name}.im\``;
  const array = named(path, help, () => readNpy(readBytes(environment, path)));
  return { name, path, role, dtype: array.dtype.slice(1), shape: array.shape, data: plainNumbers(array.data) };
}
