/**
 * The page: a text on the left, what the compiler makes of it on the right. Compiling, running and
 * training happen in workers of their own; here is only what is seen.
 */
import { findExample } from './gallery.ts';
import { ensureIsolation } from './isolation.ts';
import type { CompilerService, DeviceService } from './services/protocol.ts';
import { createRemote } from './services/remote.ts';
import { readAddress } from './ui/address.ts';
import { createAnalysisPanel } from './ui/analysis-panel.ts';
import { createCodePanel } from './ui/code-panel.ts';
import { openDevices } from './ui/device-choice.ts';
import { make } from './ui/dom.ts';
import { createExplanation } from './ui/explanation.ts';
import type { Panel, Subject } from './ui/panel.ts';
import { createRunPanel } from './ui/run-panel.ts';
import { createSourcePanel } from './ui/source-panel.ts';
import { createTabs } from './ui/tabs.ts';
import { createTrainingPanel } from './ui/training-panel.ts';

const firstExample = 's4d';

function startCompiler(): Worker {
  return new Worker(new URL('./compiler/worker.ts', import.meta.url), { type: 'module', name: 'compiler' });
}

function startDevices(): Worker {
  return new Worker(new URL('./devices/worker.ts', import.meta.url), { type: 'module', name: 'devices' });
}

function openPage(root: HTMLElement, head: HTMLElement): void {
  const compiler = createRemote<CompilerService>(startCompiler);
  const services = { compiler, devices: createRemote<DeviceService>(startDevices) };
  const devices = openDevices(services.devices);
  const panels: readonly Panel[] = [
    createExplanation(compiler),
    createCodePanel(compiler, {
      view: 'tensor-ir',
      title: 'Tensor IR',
      partName: 'After pass',
      first: 'last',
    }),
    createCodePanel(compiler, { view: 'kernel-ir', title: 'Kernel IR', partName: 'Kernel', first: 'first' }),
    createCodePanel(compiler, { view: 'wgsl', title: 'WGSL', partName: 'Kernel', first: 'first' }),
    createCodePanel(compiler, { view: 'cuda', title: 'CUDA', partName: 'Kernel', first: 'first' }),
    createCodePanel(compiler, { view: 'wasm', title: 'WASM', partName: 'Function', first: 'first' }),
    createRunPanel(services, devices),
    createAnalysisPanel(services, devices),
    createTrainingPanel({ compiler, devices: createRemote<DeviceService>(startDevices) }, devices, {
      s4d: findExample('s4d-digits').text,
      mamba: findExample('mamba-digits').text,
    }),
  ];
  let subject: Subject | null = null;
  const show = (): void => {
    if (subject !== null) panels.find((each) => each.id === tabs.current())?.show(subject);
  };
  const tabs = createTabs('What to see of the layer', panels, show);
  const outdated = make(
    'p',
    { class: 'notice outdated-notice', hidden: true },
    'The text has mistakes. Below is what belongs to the last text without.',
  );
  const source = createSourcePanel(compiler, (changed) => {
    subject = changed;
    tabs.element.classList.toggle('outdated', changed === null);
    outdated.hidden = changed !== null;
    show();
  });
  head.append(devices.element);
  root.append(
    source.element,
    make(
      'section',
      { class: 'views', 'aria-label': 'What the compiler makes of it' },
      outdated,
      tabs.element,
    ),
  );
  const openAddress = (): void => source.open(readAddress(location.hash, firstExample));
  addEventListener('hashchange', openAddress);
  openAddress();
}

const [main, head] = [document.getElementById('main'), document.getElementById('devices')];
if (main !== null && head !== null && !(await ensureIsolation())) openPage(main, head);
