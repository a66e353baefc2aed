/** Sound inputs that the fuzzers start from: the examples, and what the compiler makes of them. */
import { readFileSync, readdirSync } from 'node:fs';
import { compileSpec } from '../../backends/compile.ts';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { printKernel } from '../../ir/kernel/print.ts';
import { printModule } from '../../ir/tensor/print.ts';

const examples = 'examples';

/** Texts of the examples, by file name; run from the root of the repository. */
export function exampleTexts(): ReadonlyMap<string, string> {
  const names = readdirSync(examples).filter((name) => name.endsWith('.ssm')).sort();
  return new Map(names.map((name) => [name, readFileSync(`${examples}/${name}`, 'utf8')]));
}

/** Layers that use much of the language in few words. */
export const smallLayers: readonly string[] = [
  `/// A comment of the layer.
layer Decay(D = 2, N = 2) {
  input u[D], B[N]
  param a[D, N] = log(1 + iota(N)), w[D] = normal(std = 0.1)
  let dt = softplus(w)
  state x[D, N] { dx/dt = -exp(a) * x + B * u discretize zoh(dt) } // behind
  output y[D] = sum[N](x) + u
}
`,
  `layer Turn(D = 2) {
  input u[D]
  param nu[D] = uniform(0.1, 1), theta[D] = normal()
  state x[D]: complex { next x = exp(complex(-nu, theta)) * x + u }
  output y[D] = real(x)
}
`,
  `layer Gate(D = 3) {
  input u[D], r[D]
  param p[D]
  state h[D] { next h = sigmoid(r + p) * h + (1 - sigmoid(r + p)) * u }
  output y[D] = h * silu(u)
}
`,
];

/** A checked layer of a text; throws where it has mistakes. */
export function layerOf(text: string, sizes: ReadonlyMap<string, number> = new Map()): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: 'corpus.ssm', text }, null, { sizes });
  if (spec === null) throw new Error(`the corpus has a mistake: ${diagnostics[0]?.message ?? ''}\n${text}`);
  return spec;
}

/** Tensor IR and Kernel IR of the small layers as text. */
export function irTexts(): { readonly tensor: readonly string[]; readonly kernels: readonly string[] } {
  const results = smallLayers.flatMap((text) => (['recurrent', 'scan'] as const).map((mode) => compileSpec(layerOf(text), { target: 'wasm', mode })));
  const kernels = results.flatMap(({ plans }) => plans.flatMap((plan) => plan.kernels.map(printKernel)));
  return { tensor: results.map(({ module }) => printModule(module)), kernels: [...new Set(kernels)].filter((text) => text.length < 20_000) };
}
