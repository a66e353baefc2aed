/**
 * The mutation run: kernels of every example are made wrong in many ways, and the ordinary checks must
 * see each. Prints progress, survivors and a table. Run by `bash scripts/mutants.sh`.
 * Usage: node …/mutants.js [mutants per case, 12] [seed, 1] [part of a case's name] [share, as 3/16: of several processes this one]
 */
import { isOpen, runCampaign, summaryTable, type Result } from '../test/mutation/campaign.ts';
import { mutationCases } from '../test/mutation/mutants.ts';

const [perCase = '12', seed = '1', part = '', share = '1/1'] = process.argv.slice(2);
const [own = 1, shares = 1] = share.split('/').map(Number);
const cases = mutationCases.filter((each, at) => each.name.includes(part) && at % shares === own - 1);
const total = cases.length * Number(perCase);
const started = Date.now();
let done = 0;
let open = 0;

function onResult(result: Result): void {
  const { mutant, outcome, message } = result;
  done += 1;
  if (isOpen(result)) {
    open += 1;
    console.log(`${outcome}: ${mutant.id}\n  ${mutant.place.slice(0, 300)}\n  ${message.slice(0, 300)}`);
  }
  if (done % 25 === 0) console.error(`${done} of about ${total}, ${open} open, ${Math.round((Date.now() - started) / 1000)} s`);
}

const results = runCampaign({ cases, twins: mutationCases, perCase: Number(perCase), seed: Number(seed), onResult });
console.log(summaryTable(results));
process.exitCode = results.some(isOpen) ? 1 : 0;
