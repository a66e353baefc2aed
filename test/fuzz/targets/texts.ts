/** Fuzzers of everything that reads text: the language, its formatter, and the two texts of the compiler's own trees. */
import fc from 'fast-check';
import { format, loadLayer, parse } from '../../../dsl/index.ts';
import { parseKernel } from '../../../ir/kernel/parse.ts';
import { printKernel } from '../../../ir/kernel/print.ts';
import { verifyKernel } from '../../../ir/kernel/verify.ts';
import { parseModule } from '../../../ir/tensor/parse.ts';
import { printModule } from '../../../ir/tensor/print.ts';
import { verifyModule } from '../../../ir/tensor/verify.ts';
import { parseTuning, printTuning } from '../../../cli/tune/cache.ts';
import { InternalError } from '../../../support/invariant.ts';
import { exampleTexts, irTexts, smallLayers } from '../corpus.ts';
import { mutatedText } from '../mutations.ts';
import { checkDiagnostics, fuzzTarget, type FuzzTarget } from '../target.ts';

function layerTexts(): fc.Arbitrary<string> {
  return mutatedText([...exampleTexts().values(), ...smallLayers]);
}

function checkLanguage(text: string): void {
  const file = { name: 'fuzz.ssm', text };
  const { spec, diagnostics } = loadLayer(file, null, { sizes: new Map() });
  checkDiagnostics(diagnostics, text.length);
  if ((spec === null) !== diagnostics.some((each) => each.severity === 'error')) throw new Error('a layer without errors, or errors without a refusal');
}

/** What is laid out reads as before, and stays as it is when laid out again. */
function checkFormat(text: string): void {
  const first = format({ name: 'fuzz.ssm', text });
  checkDiagnostics(first.diagnostics, text.length);
  if (first.text === null) return;
  const again = format({ name: 'fuzz.ssm', text: first.text });
  if (again.text !== first.text) throw new Error(`laid out twice it differs:\n${first.text}\n---\n${String(again.text)}`);
  const shape = (source: string): string => JSON.stringify(parse({ name: '', text: source }).tree.layers, (key, value: unknown) => (key === 'span' ? undefined : value));
  if (shape(first.text) !== shape(text)) throw new Error(`layout changed the tree:\n${first.text}`);
}

function checkTensorText(text: string): void {
  const parsed = parseModule(text);
  if (parsed.kind === 'error') {
    if (parsed.line < 1 || parsed.message === '') throw new Error(`no place or no message: ${JSON.stringify(parsed)}`);
    return;
  }
  verifyModule(parsed.module);
  const printed = printModule(parsed.module);
  const again = parseModule(printed);
  if (again.kind === 'error' || printModule(again.module) !== printed) throw new Error(`printed it reads otherwise:\n${printed}`);
}

function checkKernelText(text: string): void {
  let kernel: ReturnType<typeof parseKernel>;
  try {
    kernel = parseKernel(text);
  } catch (error) {
    if (error instanceof InternalError && /^kernel text, line \d+: ./.test(error.message)) return;
    throw error;
  }
  verifyKernel(kernel);
  const printed = printKernel(kernel);
  if (printKernel(parseKernel(printed)) !== printed) throw new Error(`printed it reads otherwise:\n${printed}`);
}

const tuningEntry = {
  key: { layer: 'a', target: 'wasm', objective: 'forward', storage: 'f32', device: 'd', driver: '1', compiler: 'c', batch: 1, length: 1024 },
  layerName: 'A', interval: 64, schedules: { 'forward/scan': { parameters: { kind: 'lanes', width: 2, wide: true }, split: null } },
  microseconds: 1, ruleMicroseconds: 2, samples: 3, measured: 4, isComplete: true,
};

function checkTuning(text: string): void {
  const { entries, problems } = parseTuning(text);
  const again = parseTuning(printTuning(entries));
  if (again.problems.length > 0 || printTuning(again.entries) !== printTuning(entries)) throw new Error('what was read is not written so that it reads again');
  if (problems.some((each) => each.trim() === '')) throw new Error('a problem without words');
}

/** Fuzzers over texts. */
export const textTargets: readonly FuzzTarget[] = [
  fuzzTarget({ name: 'language', runs: 600, inputs: layerTexts, check: checkLanguage }),
  fuzzTarget({ name: 'format', runs: 300, inputs: layerTexts, check: checkFormat }),
  fuzzTarget({ name: 'tensor-ir', runs: 200, inputs: () => mutatedText(irTexts().tensor), check: checkTensorText }),
  fuzzTarget({ name: 'kernel-ir', runs: 250, inputs: () => mutatedText(irTexts().kernels), check: checkKernelText }),
  fuzzTarget({
    name: 'tuning', runs: 600, check: checkTuning,
    inputs: () => mutatedText([JSON.stringify({ schema: 'statefuse-tuning', version: 1, entries: [tuningEntry, tuningEntry] }, null, 1)]),
  }),
];
