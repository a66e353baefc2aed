/**
 * A fuzzing campaign: all fuzzers in turn, in a thread that a watchdog observes, since a reader that hangs
 * cannot be interrupted from within. Prints a line of progress per round and a summary at the end; the
 * exit code is 1 where something was found.
 */
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { fuzzTargets } from './targets/index.ts';

type Plan = { readonly seconds: number; readonly seed: number; readonly only: readonly string[] };

/** What the working thread says: that an input begins, what a round gave, or that it is done. */
type Message =
  | { readonly kind: 'input'; readonly target: string; readonly seed: number; readonly number: number; readonly limit: number }
  | { readonly kind: 'round'; readonly target: string; readonly runs: number; readonly failure: string | null }
  | { readonly kind: 'done' };

const roundMilliseconds = 4000;
const memoryMebibytes = 1024;
/** A hang is this many times what one input may take; machines are busy. */
const patience = 30;

async function work({ seconds, seed, only }: Plan, send: (message: Message) => void): Promise<void> {
  const end = Date.now() + seconds * 1000;
  const targets = fuzzTargets.filter((each) => only.length === 0 || only.includes(each.name));
  for (let round = 0; Date.now() < end; round++) {
    for (const target of targets) {
      if (Date.now() >= end) break;
      const roundSeed = seed + round;
      let number = 0;
      const onInput = (): void => send({ kind: 'input', target: target.name, seed: roundSeed, number: (number += 1), limit: target.milliseconds ?? 1000 });
      const { runs, failure } = await target.fuzz({ seed: roundSeed, runs: 1_000_000, milliseconds: Math.min(roundMilliseconds, end - Date.now()), onInput });
      send({ kind: 'round', target: target.name, runs, failure });
    }
  }
  send({ kind: 'done' });
}

function readPlan(): Plan {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) }, only: { type: 'string', default: '' } } });
  return { seconds: Number(values.seconds), seed: Number(values.seed), only: values.only.split(',').filter((each) => each !== '') };
}

/** First lines tell finds of one kind apart. */
function kindOf(failure: string): string {
  return failure.split('\n').slice(2, 5).join('\n').replace(/\d+/g, '#');
}

function conduct(plan: Plan): void {
  const runs = new Map<string, number>();
  const found = new Map<string, string>();
  const start = Date.now();
  let latest: Extract<Message, { kind: 'input' }> | null = null;
  let since = Date.now();
  const report = (failure: string): void => {
    if (found.has(kindOf(failure))) return;
    found.set(kindOf(failure), failure);
    console.log(`\nFOUND ${failure}\n`);
  };
  const finish = (): void => {
    clearInterval(watchdog);
    for (const [name, count] of runs) console.log(`${name.padEnd(14)} ${String(count).padStart(9)} inputs`);
    console.log(`${[...runs.values()].reduce((sum, each) => sum + each, 0)} inputs in ${Math.round((Date.now() - start) / 1000)} s from seed ${plan.seed}: ${found.size} kinds of failure`);
    process.exit(found.size === 0 ? 0 : 1);
  };
  const worker = new Worker(new URL(import.meta.url), { workerData: plan, resourceLimits: { maxOldGenerationSizeMb: memoryMebibytes } });
  const watchdog = setInterval(() => {
    if (latest === null || Date.now() - since < latest.limit * patience) return;
    report(`${latest.target}: seed ${latest.seed}, input ${latest.number}\n\nno answer for ${Math.round((Date.now() - since) / 1000)} s`);
    finish();
  }, 1000);
  worker.on('message', (message: Message) => {
    since = Date.now();
    if (message.kind === 'input') latest = message;
    if (message.kind === 'done') finish();
    if (message.kind !== 'round') return;
    runs.set(message.target, (runs.get(message.target) ?? 0) + message.runs);
    if (message.failure !== null) report(message.failure);
    console.log(`${String(Math.round((Date.now() - start) / 1000)).padStart(6)} s  ${message.target.padEnd(14)} ${runs.get(message.target) ?? 0} inputs, ${found.size} kinds of failure`);
  });
  worker.on('error', (error) => {
    report(`${latest?.target ?? ''}: seed ${latest?.seed ?? 0}, input ${latest?.number ?? 0}\n\nthe thread ended: ${String(error)}`);
    finish();
  });
}

if (isMainThread) conduct(readPlan());
else await work(workerData as Plan, (message) => parentPort?.postMessage(message));
