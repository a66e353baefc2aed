/**
 * Bugs that published kernels shipped with (H1–H13), transplanted as far as they can exist here: each
 * planted fault is seen by the ordinary checks. Those of other parts of the system have their tests
 * elsewhere; docs/testing.md has the whole table, index-range.test.ts the widths of indices (H1–H3).
 */
import { describe, expect, it } from 'vitest';
import { parse } from '../../dsl/index.ts';
import { visitExpressions } from '../../ir/kernel/walk.ts';
import type { KernelExpression } from '../../ir/kernel/nodes.ts';
import type { EntryName } from '../../ir/plan.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import { required } from '../../support/invariant.ts';
import { evaluateLayer } from '../oracle/evaluate.ts';
import { planArguments, relativeError } from '../support/compiled-case.ts';
import { kernelCases, loadExample, plansOf, type KernelCase } from '../support/kernel-cases.ts';
import { packTensor, randomRequest } from '../support/oracle-requests.ts';
import { prepareCase, variantsOf, type Mutant } from './mutants.ts';
import { formatSite } from './sites.ts';

const caseOf = (name: string): KernelCase => required(kernelCases.find((each) => each.name === name), name);

type Transplant = { readonly bug: string; readonly where: string; readonly entry: EntryName; readonly operator: string; readonly statement: RegExp };

const transplants: readonly Transplant[] = [
  { bug: 'H4, H5: the grid ends before the last rows', where: 'hgrn (narrow gpu, recurrent)', entry: 'forward', operator: 'short-grid', statement: /^the launch$/ },
  { bug: 'H6: the last tile is skipped', where: 'hgrn (narrow gpu, recurrent)', entry: 'forward', operator: 'bound-off-by-one', statement: /^for .*whole_tiles/ },
  { bug: 'H7: a read behind the end', where: 's6 (narrow gpu, recurrent)', entry: 'backward', operator: 'lost-clamp', statement: /minimum\(.*(length|rest) - 1/ },
  { bug: 'H7: a gate gradient loses a term', where: 'hgrn (cpu, recurrent)', entry: 'backward', operator: 'dropped-term', statement: /d_/ },
  { bug: 'H8: tails of fewer tokens than taps', where: 'mamba-block (cpu, recurrent)', entry: 'backwardFinal', operator: 'index-off-by-one', statement: /tail/ },
  { bug: 'H9: a weight gradient that adds some sequences', where: 's5 (cpu, recurrent)', entry: 'backward', operator: 'bound-off-by-one', statement: /^for .*batch/ },
  { bug: 'H10: a cotangent under the wrong stride', where: 'lru (cpu, recurrent)', entry: 'backward', operator: 'wrong-stride', statement: /d\.y/ },
  { bug: 'H11: an offset is missing in backward', where: 'rg-lru (narrow gpu, recurrent)', entry: 'backward', operator: 'dropped-term', statement: /add|bias/ },
];

/** All mutants of the operator at such statements, in one entry. */
function plant({ where, entry, operator, statement }: Transplant): { readonly mutants: readonly Mutant[]; readonly judge: ReturnType<typeof prepareCase>['judge'] } {
  const { plans, judge } = prepareCase(caseOf(where));
  const mutants = required(plans.get(entry), entry).kernels.flatMap((kernel, position) => [...variantsOf(kernel)].flatMap((variant): Mutant[] => {
    const place = variant.site === null ? 'the launch' : formatSite(variant.site);
    if (variant.operator !== operator || !statement.test(place)) return [];
    return [{ id: place, operator, entry, kernel: position, kernelName: kernel.name, place, mistake: '', changed: variant.make(), mined: null, equivalence: () => null }];
  }));
  return { mutants, judge };
}

describe('planted bugs', () => {
  it.each(transplants.map((each) => [each.bug, each] as const))('%s', (_bug, transplant) => {
    const { mutants, judge } = plant(transplant);
    expect(mutants.length).toBeGreaterThan(0);
    const verdicts = mutants.slice(0, 6).map((each) => ({ place: each.place, ...judge(each) }));
    expect(verdicts.filter((each) => each.by === 'survived')).toEqual([]);
  });
});

/** Whether an expression divides by a decay or by a product of decays. */
function dividesByDecay(expression: KernelExpression): boolean {
  if (expression.kind !== 'binary' || expression.operator !== 'divide' || expression.type.element !== 'f32') return false;
  const { right } = expression;
  return right.kind === 'variable' && /decay_(product|total)|^decay/.test(right.variable.name);
}

describe('H12: decays that reach zero', () => {
  it('no kernel divides by a decay or a product of them', () => {
    const found = kernelCases.filter((each) => each.configuration.name === 'narrow gpu with shuffles, scan').flatMap((each) => [...plansOf(each).values()].flatMap(({ kernels }) => kernels.flatMap((kernel) => {
      let divides = false;
      visitExpressions(kernel.body, (expression) => { divides ||= dividesByDecay(expression); });
      return divides ? [`${each.name} ${kernel.name}`] : [];
    })));
    expect(found).toEqual([]);
  });

  it.each(['cpu, scan', 'narrow gpu, scan', 'narrow gpu, recurrent'])('a forget gate of zero gives finite, right results (%s)', (configuration) => {
    const each = caseOf(`hgrn (${configuration})`);
    const { text, spec } = loadExample(each.layer);
    const drawn = randomRequest(parse({ name: 'hgrn.ssm', text }).tree, spec, { batch: 2, length: 37, seed: 3 });
    // gates of exactly zero at every third token: products of decays vanish within each piece
    const forget = required(drawn.inputs.get('forget_raw'), 'forget_raw');
    const inputs = new Map([...drawn.inputs, ['forget_raw', { ...forget, re: forget.re.map((value, at) => (Math.floor(at / 3) % 3 === 0 ? -200 : value)) }] as const]);
    const params = new Map([...drawn.params].map(([name, value]) => [name, { ...value, re: value.re.map(() => 0) }]));
    const expected = evaluateLayer({ ...drawn, inputs, params });
    const plan = required(plansOf(each).get('forward'), 'forward');
    const given = new Map([...['input', 'param', 'initial'].flatMap((role) => [...({ input: inputs, param: params, initial: drawn.initial })[role as 'input']].map(([name, value]) => [`${role}:${name}`, value] as const))]);
    const { tensors } = interpretPlan(plan, { batch: 2, length: 37 }, planArguments(plan.tensors, given), { rounding: 'f32' });
    const y = required(tensors.get('y'), 'y');
    expect([...y].every(Number.isFinite)).toBe(true);
    expect(relativeError(y, packTensor(required(expected.outputs.get('y'), 'y')))).toBeLessThan(1e-5);
  });
});
