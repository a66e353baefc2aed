/**
 * Initialisers that yield one complex number per mode along an axis: spectra of diagonal systems and
 * what their inputs are in the same eigenbasis. Their names are listed in dsl/check/initialisers.ts.
 */
import { hippoModes, type HippoMeasure } from './hippo.ts';
import { fillValue, type InitialValue, type Pair, type SizeOf } from './values.ts';

export type LibraryResult =
  | { readonly kind: 'value'; readonly value: InitialValue }
  | { readonly kind: 'refused'; readonly why: string };

type Spectrum = (modes: number) => (mode: number) => Pair;

function eigenvalues(measure: HippoMeasure): Spectrum {
  return (modes) => {
    const { decay, frequencies } = hippoModes(measure, modes);
    return (mode) => [decay, frequencies[mode] ?? NaN];
  };
}

function inputs(measure: HippoMeasure): Spectrum {
  return (modes) => {
    const { input } = hippoModes(measure, modes);
    return (mode) => input[mode] ?? [NaN, NaN];
  };
}

/** S4D (Gu, Gupta, Goel, Ré 2022), section 4; HiPPO as in hippo.ts. */
const spectra: ReadonlyMap<string, Spectrum> = new Map<string, Spectrum>([
  ['s4d_lin', () => (n) => [-0.5, Math.PI * n]],
  ['s4d_inv', (modes) => (n) => [-0.5, (modes / Math.PI) * (modes / (2 * n + 1) - 1)]],
  ['s4d_real', () => (n) => [-(n + 1), 0]],
  ['hippo_legs', eigenvalues('legs')], ['hippo_legs_input', inputs('legs')],
  ['hippo_legt', eigenvalues('legt')], ['hippo_legt_input', inputs('legt')],
  ['hippo_fout', eigenvalues('fout')], ['hippo_fout_input', inputs('fout')],
]);

/** Jacobi rotations on a matrix of twice this size take seconds. */
const mostModes = 128;

/** The value of a library call along an axis; null when there is no such call. */
export function libraryValue(name: string, axis: string | null, sizeOf: SizeOf): LibraryResult | null {
  const spectrum = spectra.get(name);
  if (spectrum === undefined) return null;
  if (axis === null) return { kind: 'refused', why: `\`${name}\` needs an axis of modes; write \`${name}[N]()\`` };
  const modes = sizeOf(axis);
  if (modes > mostModes) {
    return { kind: 'refused', why: `\`${name}\` is made for at most ${mostModes} modes, \`${axis}\` has ${modes}` };
  }
  const entry = spectrum(modes);
  return { kind: 'value', value: fillValue([axis], sizeOf, true, entry) };
}
