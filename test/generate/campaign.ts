/**
 * A campaign: many generated layers, everything tried on each, with a summary. One bug fails many
 * layers, so failures are gathered by signature, and the first of each is reduced: fields of its recipe
 * are made simpler one at a time as long as the failure stays the same.
 */
import fc from 'fast-check';
import { buildLayer } from './build-layer.ts';
import { examineRecipe, type Devices, type Effort, type Examination, type Finding } from './checks.ts';
import { recipes, simplerRecipes, type LayerRecipe } from './recipe.ts';

export type CampaignOptions = {
  readonly seed: number;
  readonly count: number;
  /** recipes of the sequence that are left out at its start */
  readonly skip?: number;
  /** milliseconds after which no further layer is begun */
  readonly budget?: number;
  /** every n-th layer runs on WebGPU too; 0 for none */
  readonly webgpuEvery: number;
  /** every n-th layer runs on CUDA too; absent: none */
  readonly cudaEvery?: number;
  /** Tensor IR and one other check per layer */
  readonly brief?: boolean;
  /** seconds are not spent on reducing; absent: true */
  readonly reduce?: boolean;
  /** in milliseconds, never decreasing */
  readonly now: () => number;
  readonly onProgress?: (summary: CampaignSummary) => void;
  readonly onFailure?: (failure: Failure) => void;
};

export type Failure = {
  readonly finding: Finding;
  readonly recipe: LayerRecipe;
  /** the simplest that fails so; without reducing, the one with the shortest text */
  readonly reduced: LayerRecipe;
  readonly times: number;
};

export type CampaignSummary = {
  layers: number;
  /** layers without representable results */
  outOfRange: number;
  right: number;
  vacuous: number;
  /** checks whose target said that it cannot hold the layer */
  refused: number;
  /** layers by check */
  readonly checks: Map<string, number>;
  /** largest |error| / bound by check */
  readonly uses: Map<string, number>;
  readonly failures: Map<string, Failure>;
};

/** Candidates that are tried for one failure. */
const mostTries = 150;

/** The simplest recipe found that fails with the same signature. */
export async function reduceRecipe(recipe: LayerRecipe, { signature, check }: Finding, devices: Devices, { webgpu, cuda = false }: Effort): Promise<LayerRecipe> {
  // modes and machines are drawn from the seed, which stays
  const effort: Effort = { webgpu, cuda, only: check };
  const fails = async (candidate: LayerRecipe): Promise<boolean> => {
    const made = await examineRecipe(candidate, devices, effort).catch(() => null);
    return made?.findings.some((each) => each.signature === signature) ?? false;
  };
  let best = recipe;
  let tries = 0;
  for (let improved = true; improved;) {
    improved = false;
    for (const candidate of simplerRecipes(best)) {
      if (tries++ > mostTries) return best;
      if (!(await fails(candidate))) continue;
      best = candidate;
      improved = true;
      break;
    }
  }
  return best;
}

const simplicity = (recipe: LayerRecipe): number => buildLayer(recipe).text.length;

function record(summary: CampaignSummary, { right, vacuous, refused, checks, uses }: Examination): void {
  summary.layers += 1;
  summary.right += right;
  summary.vacuous += vacuous.length;
  summary.refused += refused.length;
  for (const name of checks) summary.checks.set(name, (summary.checks.get(name) ?? 0) + 1);
  for (const [name, use] of uses) summary.uses.set(name, Math.max(use, summary.uses.get(name) ?? 0));
}

/** Runs a campaign; the same seed and count give the same layers. */
export async function runCampaign(devices: Devices, options: CampaignOptions): Promise<CampaignSummary> {
  const { seed, count, skip = 0, budget = Infinity, webgpuEvery, cudaEvery = 0, brief = false, now } = options;
  const summary: CampaignSummary = { layers: 0, outOfRange: 0, right: 0, vacuous: 0, refused: 0, checks: new Map(), uses: new Map(), failures: new Map() };
  const started = now();
  for (const [at, recipe] of fc.sample(recipes, { seed, numRuns: count }).entries()) {
    if (at < skip) continue;
    if (now() - started > budget) break;
    const isTurn = (every: number): boolean => every > 0 && at % every === 0;
    const effort: Effort = { brief, webgpu: isTurn(webgpuEvery), cuda: isTurn(cudaEvery) };
    const examination = await examineRecipe(recipe, devices, effort);
    if (examination === null) summary.outOfRange += 1;
    else record(summary, examination);
    for (const finding of examination?.findings ?? []) {
      const known = summary.failures.get(finding.signature);
      if (known !== undefined) {
        const isShorter = options.reduce === false && simplicity(recipe) < simplicity(known.reduced);
        summary.failures.set(finding.signature, { ...known, ...(isShorter ? { finding, reduced: recipe } : {}), times: known.times + 1 });
      } else {
        const reduced = options.reduce === false ? recipe : await reduceRecipe(recipe, finding, devices, effort);
        const failure: Failure = { finding, recipe, reduced, times: 1 };
        summary.failures.set(finding.signature, failure);
        options.onFailure?.(failure);
      }
    }
    options.onProgress?.(summary);
  }
  return summary;
}
