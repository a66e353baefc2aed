/** Which devices the page has: opened once at the start, shown in the head, offered in the panels. */
import type { Remote } from '../services/remote.ts';
import type { DeviceService, OpenedDevice, PageTarget } from '../services/protocol.ts';
import { make } from './dom.ts';

export type DeviceState =
  | { readonly kind: 'opening' }
  | { readonly kind: 'ready'; readonly device: OpenedDevice }
  | { readonly kind: 'absent'; readonly reason: string };

export const targetNames: Readonly<Record<PageTarget, string>> = { wasm: 'WebAssembly', wgsl: 'WebGPU' };

export type Devices = {
  /** chips for the head, and notices where something is missing */
  readonly element: HTMLElement;
  readonly state: (target: PageTarget) => DeviceState;
  /** called whenever a state changes */
  readonly onChange: (listener: () => void) => void;
};

/** Opens both devices. */
export function openDevices(remote: Remote<DeviceService>): Devices {
  const states = new Map<PageTarget, DeviceState>();
  const listeners: (() => void)[] = [];
  const element = make('div', { class: 'devices', role: 'status' });
  const change = (target: PageTarget, state: DeviceState): void => {
    states.set(target, state);
    element.replaceChildren(...[...states].map(([each, its]) => chipOf(each, its)));
    listeners.forEach((each) => each());
  };
  for (const target of ['wasm', 'wgsl'] as const) {
    change(target, { kind: 'opening' });
    remote.call('open', target, { milliseconds: 40_000 }).then(
      (device) => change(target, { kind: 'ready', device }),
      (error: unknown) =>
        change(target, { kind: 'absent', reason: error instanceof Error ? error.message : String(error) }),
    );
  }
  return {
    element,
    state: (target) => states.get(target) ?? { kind: 'opening' },
    onChange: (listener) => void listeners.push(listener),
  };
}

function chipOf(target: PageTarget, state: DeviceState): HTMLElement {
  const words =
    state.kind === 'ready'
      ? detailOf(target, state.device)
      : state.kind === 'opening'
        ? 'opening …'
        : 'not available';
  return make(
    'span',
    {
      class: `chip chip-${state.kind}`,
      'data-target': target,
      title: state.kind === 'absent' ? state.reason : null,
    },
    make('span', { class: 'chip-dot', 'aria-hidden': 'true' }),
    `${targetNames[target]}: ${words}`,
  );
}

function detailOf(target: PageTarget, { name, details }: OpenedDevice): string {
  const threads = details['threads'];
  if (target === 'wgsl') return name;
  return threads === 1 ? '1 thread' : `${threads ?? '?'} threads`;
}

/** A notice for each device that is missing, and nothing where all are there. */
export function missingNotices(devices: Devices): readonly HTMLElement[] {
  return (['wgsl', 'wasm'] as const).flatMap((target) => {
    const state = devices.state(target);
    if (state.kind !== 'absent') return [];
    const other = target === 'wgsl' ? 'wasm' : 'wgsl';
    return [
      make(
        'p',
        { class: 'notice' },
        `${targetNames[target]} is not available here (${state.reason}). ${targetNames[other]} works without it, and all texts and code can be read.`,
      ),
    ];
  });
}
