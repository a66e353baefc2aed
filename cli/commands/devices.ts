/** `statefuse devices`: what can run layers on this machine, and why the rest cannot. */
import { listCudaDevices } from '../../runtime/cuda/index.ts';
import type { DeviceInfo } from '../../runtime/device.ts';
import { deviceNames, openDevice, targetOfDevice, type DeviceName } from '../devices.ts';
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
  const target = targetOfDevice[name];
  if (!opened.isPresent) {
    const [first] = opened.error.diagnostics;
    const reason = [first?.message, first?.help].filter((each) => typeof each === 'string').join('; ');
    return { device: name, target, isPresent: false, name: null, details: {}, reason };
  }
  const { info } = opened.device;
  await opened.device[Symbol.asyncDispose]();
  return { device: name, target, isPresent: true, name: info.name, details: info.details, reason: null };
}

/** The GPUs that `cuda` does not mean: CUDA_VISIBLE_DEVICES chooses among them. */
function furtherCudaDevices(): readonly DeviceRow[] {
  return listCudaDevices().slice(1).map(({ name, details }, at) =>
    ({ device: `cuda:${at + 1}`, target: 'cuda', isPresent: true, name, details, reason: null }));
}

async function describeAll(environment: CommandEnvironment): Promise<readonly DeviceRow[]> {
  const rows: DeviceRow[] = [];
  for (const name of deviceNames) rows.push(await describe(name, environment));
  const hasCuda = rows.some((each) => each.target === 'cuda' && each.isPresent);
  return hasCuda ? [...rows, ...furtherCudaDevices()] : rows;
}

/** Exit code 0 also where devices are missing: the list is the answer. */
export async function runDevices(environment: CommandEnvironment, options: DevicesOptions): Promise<ExitCode> {
  const rows = await describeAll(environment);
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
