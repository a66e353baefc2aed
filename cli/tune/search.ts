/**
 * The search for a faster configuration: from the rule's choice to its neighbours, the best of them by
 * successive halving, on to that one's neighbours, until nothing is better or time is up. Knows neither
 * devices nor schedules: what a configuration is, what its neighbours are and how long it takes are
 * functions, and so is the clock; the same times give the same search.
 */
import { middleMean } from '../measure/statistics.ts';

/** Why a configuration has no time: the compiler or the device refused it, its results were wrong, or its kernels are another's. */
export type Refusal = { readonly kind: 'refused' | 'disagrees' | 'same'; readonly reason: string };

export type Space<Configuration> = {
  readonly start: Configuration;
  readonly keyOf: (configuration: Configuration) => string;
  readonly neighbours: (configuration: Configuration) => readonly Configuration[];
};

export type Measurer<Configuration> = {
  /** milliseconds of one more sample */
  readonly sample: (configuration: Configuration) => Promise<number | Refusal>;
  /** no more samples of this one are wanted for now */
  readonly release: (configuration: Configuration) => void;
};

export type SearchEvent<Configuration> =
  | { readonly kind: 'round'; readonly round: number; readonly candidates: number }
  | { readonly kind: 'measured'; readonly configuration: Configuration; readonly milliseconds: number; readonly samples: number }
  | { readonly kind: 'refused'; readonly configuration: Configuration; readonly refusal: Refusal }
  | { readonly kind: 'best'; readonly configuration: Configuration; readonly milliseconds: number; readonly before: number };

export type SearchRequest<Configuration> = {
  readonly space: Space<Configuration>;
  readonly measurer: Measurer<Configuration>;
  /** seconds on some clock, and how many of them the search may take */
  readonly now: () => number;
  readonly budget: number;
  readonly isStopped: () => boolean;
  readonly onEvent: (event: SearchEvent<Configuration>) => void;
  /** where to begin instead of the rule's choice: the best of an earlier search */
  readonly resumeAt?: Configuration;
};

export type SearchResult<Configuration> = {
  readonly best: Configuration;
  /** milliseconds of the best and of the rule's choice, taken in turns */
  readonly milliseconds: number;
  readonly startMilliseconds: number;
  readonly samples: number;
  /** configurations that were timed */
  readonly measured: number;
  readonly refused: number;
  /** why it ended */
  readonly ending: 'nothing better' | 'time' | 'stopped';
};

/** A gain below this share is noise. */
const leastGain = 0.02;
const firstSamples = 3;
const lastSamples = 27;
const keptShare = 3;

type Contestant<Configuration> = { readonly configuration: Configuration; readonly samples: number[] };

class Search<Configuration> {
  readonly #request: SearchRequest<Configuration>;
  readonly #deadline: number;
  readonly #seen = new Set<string>();
  readonly #measured = new Set<string>();
  #refused = 0;

  constructor(request: SearchRequest<Configuration>) {
    this.#request = request;
    this.#deadline = request.now() + request.budget;
  }

  #isOver(): boolean {
    return this.#request.isStopped() || this.#request.now() >= this.#deadline;
  }

  /** Samples of all contestants in turns, so that a drift of the machine's speed hits all of them. */
  async #take(pool: readonly Contestant<Configuration>[], wanted: number): Promise<readonly Contestant<Configuration>[]> {
    const { measurer, onEvent } = this.#request;
    let left = pool;
    for (let count = Math.min(...pool.map((each) => each.samples.length)); count < wanted; count++) {
      const fallen = new Set<Contestant<Configuration>>();
      for (const each of left) {
        if (each.samples.length > count) continue;
        // an unfinished first turn would leave nothing to compare
        if (this.#isOver() && each.samples.length > 0) return left.filter((one) => !fallen.has(one));
        if (this.#isOver() && this.#measured.size > 0) {
          fallen.add(each);
          continue;
        }
        const taken = await measurer.sample(each.configuration);
        if (typeof taken === 'number') {
          each.samples.push(taken);
          this.#measured.add(this.#request.space.keyOf(each.configuration));
          continue;
        }
        this.#refused += 1;
        fallen.add(each);
        onEvent({ kind: 'refused', configuration: each.configuration, refusal: taken });
      }
      left = left.filter((each) => !fallen.has(each));
    }
    return left;
  }

  #timeOf({ samples }: Contestant<Configuration>): number {
    return samples.length === 0 ? Infinity : middleMean(samples);
  }

  /** The fastest of a pool, the incumbent (the pool's first) among them to the end. */
  async #halve(pool: readonly Contestant<Configuration>[], incumbent: Contestant<Configuration>): Promise<readonly Contestant<Configuration>[]> {
    const { measurer, onEvent } = this.#request;
    let left = pool;
    for (let wanted = firstSamples; ; wanted *= keptShare) {
      left = await this.#take(left, wanted);
      const order = [...left].sort((one, other) => this.#timeOf(one) - this.#timeOf(other));
      for (const each of order) {
        if (each.samples.length > 0) onEvent({ kind: 'measured', configuration: each.configuration, milliseconds: this.#timeOf(each), samples: each.samples.length });
      }
      const kept = new Set(order.slice(0, Math.max(1, Math.ceil(order.length / keptShare))));
      left.filter((each) => !kept.has(each) && each !== incumbent).forEach((each) => measurer.release(each.configuration));
      left = left.filter((each) => kept.has(each) || each === incumbent);
      if (left.length <= 1 || wanted >= lastSamples || this.#isOver()) return left;
    }
  }

  async run(): Promise<SearchResult<Configuration>> {
    const { space, onEvent, resumeAt } = this.#request;
    const start: Contestant<Configuration> = { configuration: space.start, samples: [] };
    const resumed = resumeAt === undefined || space.keyOf(resumeAt) === space.keyOf(space.start) ? [] : [{ configuration: resumeAt, samples: [] }];
    [start, ...resumed].forEach((each) => this.#seen.add(space.keyOf(each.configuration)));
    const first = await this.#take([start, ...resumed], firstSamples);
    let best = first.find((each) => each !== start && this.#timeOf(each) < this.#timeOf(start) * (1 - leastGain)) ?? start;
    let ending: SearchResult<Configuration>['ending'] = 'nothing better';
    for (let round = 1; ; round++) {
      if (this.#isOver()) {
        ending = this.#request.isStopped() ? 'stopped' : 'time';
        break;
      }
      const fresh = space.neighbours(best.configuration).filter((each) => !this.#seen.has(space.keyOf(each)));
      fresh.forEach((each) => this.#seen.add(space.keyOf(each)));
      onEvent({ kind: 'round', round, candidates: fresh.length });
      if (fresh.length === 0) break;
      const incumbent: Contestant<Configuration> = { configuration: best.configuration, samples: [] };
      const left = await this.#halve([incumbent, ...fresh.map((configuration) => ({ configuration, samples: [] }))], incumbent);
      const winner = left.filter((each) => each.samples.length > 0).sort((one, other) => this.#timeOf(one) - this.#timeOf(other))[0];
      const before = this.#timeOf(incumbent);
      if (winner === undefined || winner === incumbent || !(this.#timeOf(winner) < before * (1 - leastGain))) {
        ending = this.#isOver() ? (this.#request.isStopped() ? 'stopped' : 'time') : 'nothing better';
        if (incumbent.samples.length > 0) best = incumbent;
        break;
      }
      if (best !== start) this.#request.measurer.release(best.configuration);
      best = winner;
      onEvent({ kind: 'best', configuration: best.configuration, milliseconds: this.#timeOf(best), before });
    }
    return this.#finish(start, best, ending);
  }

  /** The rule's choice and the best once more in turns: the numbers that are kept are of the same minutes. */
  async #finish(start: Contestant<Configuration>, best: Contestant<Configuration>, ending: SearchResult<Configuration>['ending']): Promise<SearchResult<Configuration>> {
    const { space, measurer } = this.#request;
    const isSame = space.keyOf(start.configuration) === space.keyOf(best.configuration);
    const counts = { measured: this.#measured.size, refused: this.#refused, ending };
    const [rule, winner]: readonly [number[], number[]] = [[], []];
    const rounds = ending === 'nothing better' ? lastSamples : firstSamples;
    for (let at = 0; at < rounds; at++) {
      for (const [configuration, samples] of isSame ? [[start.configuration, rule] as const] : [[start.configuration, rule], [best.configuration, winner]] as const) {
        const taken = await measurer.sample(configuration);
        if (typeof taken === 'number') samples.push(taken);
      }
    }
    const startMilliseconds = rule.length === 0 ? this.#timeOf(start) : middleMean(rule);
    if (isSame) return { ...counts, best: start.configuration, milliseconds: startMilliseconds, startMilliseconds, samples: rule.length };
    const milliseconds = winner.length === 0 ? this.#timeOf(best) : middleMean(winner);
    const isFaster = milliseconds < startMilliseconds * (1 - leastGain);
    return isFaster
      ? { ...counts, best: best.configuration, milliseconds, startMilliseconds, samples: winner.length }
      : { ...counts, best: start.configuration, milliseconds: startMilliseconds, startMilliseconds, samples: rule.length };
  }
}

/** Runs a search to its end, until the budget is spent, or until it is stopped: what is known then counts. */
export function search<Configuration>(request: SearchRequest<Configuration>): Promise<SearchResult<Configuration>> {
  return new Search(request).run();
}
