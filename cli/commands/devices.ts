/** `statefuse devices`: what can run layers on this machine, and why the rest cannot. */
import type { DeviceInfo } from '../../runtime/device.ts';
import { findCuda, openDevice, type DeviceName } from '../devices.ts';
import { exitCodes, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { renderTable, writeDocument } from '../output.ts';

export type DevicesOptions = { readonly json?: boolean };

type DeviceRow = {
  readonly device: string;
  readonly target: string;
  readonly isPresent: boolean;
  readonly name: string | null;
  readonly details: DeviceInfo['details'];
  readonly reason: string | null;
};

async function describe(name: DeviceName, environment: CommandEnvironment): Promise<DeviceRow> {
  const opened = await openDevice(name, environment);
  const target = name === 'wasm' ? 'wasm' : 'wgsl';
  if (!opened.isPresent) {
    const [first] = opened.error.diagnostics;
    const reason = [first?.message, first?.help].filter((each) => typeof each === 'string').join('; ');
    return { device: name, target, isPresent: false, name: null, details: {}, reason };
  }
  const { info } = opened.device;
  await opened.device[Symbol.asyncDispose]();
  return { device: name, target, isPresent: true, name: info.name, details: info.details, reason: null };
}

function describeCuda(environment: CommandEnvironment): DeviceRow {
  const { nvcc, driver } = findCuda(environment);
  const found = [nvcc === null ? 'no nvcc on PATH' : 'nvcc is on PATH', driver === null ? 'no NVIDIA driver (libcuda.so.1)' : 'an NVIDIA driver is installed'];
  const reason = `statefuse writes CUDA C++ but does not run it itself yet (see scripts/gpu-host); ${found.join(', ')}`;
  return { device: 'cuda', target: 'cuda', isPresent: false, name: null, details: {}, reason };
}

/** Exit code 0 also where devices are missing: the list is the answer. */
export async function runDevices(environment: CommandEnvironment, options: DevicesOptions): Promise<ExitCode> {
  const rows = [await describe('wasm', environment), await describe('webgpu', environment), describeCuda(environment)];
  if (options.json === true) {
    writeDocument(environment, 'devices', { ok: true, devices: rows });
    return exitCodes.success;
  }
  const table = rows.map((row) => {
    const details = Object.entries(row.details).map(([name, value]) => `${name} ${String(value)}`).join(', ');
    return [row.device, row.target, row.isPresent ? 'present' : 'absent', row.isPresent ? `${row.name ?? ''}${details === '' ? '' : ` (${details})`}` : row.reason ?? ''];
  });
  environment.writeOutput(`${renderTable(['device', 'target', 'state', 'what'], table)}\n`);
  return exitCodes.success;
}
