/** Ten thousand times forward and backward on WASM: blocks and bytes of the device, and the process's memory, before and after. */
import { openWasm } from '../runtime/wasm/index.ts';
import { repeatedSubjects, withLayer } from '../test/repetition/repeat.ts';

const count = Number(process.argv[2] ?? '10000');
const wasm = await openWasm({ workers: 0 });
const resident = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().rss;
};
for (const subject of repeatedSubjects().slice(0, 2)) {
  await withLayer(wasm, subject, 'scan', async (_layer, run) => {
    for (let at = 0; at < count / 5; at++) await run();
    const [device, process0] = [wasm.memoryUse(), resident()];
    for (let at = 0; at < count; at++) await run();
    const [after, process1] = [wasm.memoryUse(), resident()];
    const slope = (process1 - process0) / count;
    process.stdout.write(`${subject.name}: device ${device.bytes} B in ${device.blocks} blocks, then ${after.bytes} B in ${after.blocks}; resident ${(process0 / 2 ** 20).toFixed(1)} MiB, then ${(process1 / 2 ** 20).toFixed(1)} MiB, ${slope.toFixed(1)} B per run\n`);
    if (after.bytes !== device.bytes || after.blocks !== device.blocks || slope > 1024) process.exitCode = 1;
  });
}
await wasm[Symbol.asyncDispose]();
