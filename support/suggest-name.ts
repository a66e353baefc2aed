/** "Did you mean": the nearest of some names, by edits, when it is near enough to be a slip. */

const longest = 40;

/** Edits (insert, delete, replace, swap of neighbours) from one word to another. O(product of lengths). */
export function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let last: number[] = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let row = 1; row <= from.length; row++) {
    const current: number[] = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      let best = Math.min(
        (last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (isSame ? 0 : 1),
      );
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        best = Math.min(best, (before[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    before = last;
    last = current;
  }
  return last[to.length] ?? 0;
}

/** The candidate nearest to `name`: within a third of its length, upper and lower case almost equal. */
export function suggestName(name: string, candidates: Iterable<string>): string | null {
  if (name.length > longest) return null;
  const allowed = Math.max(1, Math.floor(name.length / 3));
  let best: string | null = null;
  let bestDistance = allowed + 0.75;
  for (const candidate of candidates) {
    if (candidate === name || Math.abs(candidate.length - name.length) > allowed) continue;
    const isCaseOnly = candidate.toLowerCase() === name.toLowerCase();
    const distance = isCaseOnly ? 0.5 : editDistance(name, candidate);
    if (distance >= bestDistance || (name.length === 1 && !isCaseOnly)) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}
