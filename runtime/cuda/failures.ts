/** The addon's failures as diagnostics: which code, what it means, and what to do about it. */
import { makeDiagnostic, ssmError, SsmError } from '../../support/diagnostic.ts';
import { bytesForPeople } from './format.ts';
import { failureOf, type NativeFailure } from './native.ts';

/** Results after which nothing on the device's context works any more. */
const lostCodes: ReadonlySet<number> = new Set([
  4, 46, 201, 214, 215, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 722,
]);

const outOfMemory = 2;
const wrongBinary: ReadonlySet<number> = new Set([200, 209, 218, 222, 223]);
const launchOperations = /^cu(LaunchKernel|GraphLaunch|Graph.*|Stream.*Capture|FuncSetAttribute)/;

/** True where the device is of no use after this failure. */
export function isLost(failure: NativeFailure): boolean {
  return failure.origin === 'driver' && lostCodes.has(failure.code);
}

/** True where a cubin does not fit the device or driver, or is no cubin. */
export function isWrongBinary(failure: NativeFailure): boolean {
  return failure.operation === 'cuModuleLoadData' && wrongBinary.has(failure.code);
}

function spoken({ name, words, code, operation }: NativeFailure): string {
  const said = words === '' ? '' : `: ${words}`;
  return `${operation} gave ${name === '' ? `error ${code}` : `${name} (${code})`}${said}`;
}

/** The diagnostic of a failure; `what` was being done. */
export function errorOfFailure(failure: NativeFailure, what: string): SsmError {
  if (failure.origin === 'caller') return ssmError('SSM9001', `the CUDA runtime refused ${what}: ${failure.operation}, ${failure.words}`);
  if (isLost(failure)) {
    const kernel = failure.subject === '' ? '' : ` at kernel \`${failure.subject}\``;
    return new SsmError([makeDiagnostic({
      code: 'SSM6001', message: `the device was lost during ${what}${kernel}`, notes: [spoken(failure)],
      help: 'start the process again: no CUDA work is possible in it any more',
    })]);
  }
  if (failure.origin === 'driver' && failure.code === outOfMemory) {
    const asked = failure.bytes === 0 ? '' : ` ${bytesForPeople(failure.bytes)};`;
    const free = failure.bytes === 0 ? '' : ` ${bytesForPeople(failure.freeBytes)} are free`;
    const where = failure.operation === 'cuMemHostAlloc' ? 'page-locked memory of the host' : 'memory of the device';
    return new SsmError([makeDiagnostic({
      code: 'SSM6005', message: `no ${where} for ${what}:${asked}${free === '' ? ' the driver has none' : free}`, notes: [spoken(failure)],
      help: 'dispose of tensors, or use a smaller batch',
    })]);
  }
  if (launchOperations.test(failure.operation)) {
    const kernel = failure.subject === '' ? what : `kernel \`${failure.subject}\` of ${what}`;
    return new SsmError([makeDiagnostic({
      code: 'SSM6009', message: `${kernel} could not be launched`, notes: [spoken(failure)], help: 'report this with the layer\'s text',
    })]);
  }
  if (failure.origin === 'compiler' || failure.operation.startsWith('cuModule')) {
    const kernel = failure.subject === '' ? what : `kernel \`${failure.subject}\``;
    return new SsmError([makeDiagnostic({
      code: 'SSM6006', message: `${kernel} could not be made ready`, notes: [spoken(failure)],
      help: 'check that NVRTC and the driver are whole and of one major version',
    })]);
  }
  return new SsmError([makeDiagnostic({
    code: 'SSM6001', message: `the driver failed during ${what}`, notes: [spoken(failure)], help: 'open the device again; if it stays, look at `nvidia-smi`',
  })]);
}

/** Runs native code; its failures leave as diagnostics. */
export function guarded<Value>(what: string, work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    const failure = failureOf(error);
    throw failure === null ? error : errorOfFailure(failure, what);
  }
}
