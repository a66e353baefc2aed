/** AdamW (Loshchilov, Hutter 2019) on host arrays: all that the example needs of an optimiser. */

export type AdamW = {
  /** moves the parameters along one gradient; `rate` is this step's learning rate */
  readonly step: (gradients: ReadonlyMap<string, ArrayLike<number>>, rate: number) => void;
};

export type AdamWOptions = {
  readonly decay: number;
  /** parameters whose entries are pulled to zero: matrices, not scales or time constants */
  readonly decayed: (name: string) => boolean;
  /** gradients whose common norm is above this are scaled down to it */
  readonly largestNorm: number;
};

const [firstMoment, secondMoment, epsilon] = [0.9, 0.98, 1e-8];

/** An optimiser that changes `parameters` in place. */
export function createAdamW(parameters: ReadonlyMap<string, Float64Array>, options: AdamWOptions): AdamW {
  const moments = new Map([...parameters].map(([name, values]) => [
    name, { first: new Float64Array(values.length), second: new Float64Array(values.length) },
  ]));
  let steps = 0;
  return {
    step(gradients, rate) {
      steps += 1;
      const scale = Math.min(1, options.largestNorm / (normOf(gradients) + epsilon));
      const [firstBias, secondBias] = [1 - firstMoment ** steps, 1 - secondMoment ** steps];
      for (const [name, values] of parameters) {
        const [gradient, moment] = [gradients.get(name), moments.get(name)];
        if (gradient === undefined || moment === undefined) continue;
        const { first, second } = moment;
        const shrink = options.decayed(name) ? 1 - rate * options.decay : 1;
        for (let at = 0; at < values.length; at++) {
          const slope = (gradient[at] ?? 0) * scale;
          const [mean, square] = [
            firstMoment * (first[at] ?? 0) + (1 - firstMoment) * slope,
            secondMoment * (second[at] ?? 0) + (1 - secondMoment) * slope * slope,
          ];
          first[at] = mean;
          second[at] = square;
          values[at] = (values[at] ?? 0) * shrink - (rate * mean) / firstBias / (Math.sqrt(square / secondBias) + epsilon);
        }
      }
    },
  };
}

function normOf(gradients: ReadonlyMap<string, ArrayLike<number>>): number {
  let sum = 0;
  for (const gradient of gradients.values()) {
    for (let at = 0; at < gradient.length; at++) sum += (gradient[at] ?? 0) ** 2;
  }
  return Math.sqrt(sum);
}
