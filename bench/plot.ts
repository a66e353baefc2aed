/** `node out/bench/bench/plot.js peers.json page.html`: the comparison with peers as a page of plots. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parsePeers, renderPeersPage } from './peers-plot.ts';

const [from, to] = process.argv.slice(2);
if (from === undefined || to === undefined) {
  console.error('usage: plot.js peers.json page.html');
  process.exit(2);
}
writeFileSync(to, renderPeersPage(parsePeers(readFileSync(from, 'utf8'))));
