/**
 * Relative-L2 bars by dtype of storage and mode: the second line of defence behind the error bound,
 * and the figures that users see. Raising one is a reviewed change with a reason; the measurements
 * behind them are in the reliability notes of the project.
 */

export type ToleranceDtype = 'f64' | 'f32' | 'f16' | 'bf16';

/** How the numbers were made: a recurrence (loop or scan), or a convolution by FFT. */
export type ToleranceMode = 'recurrence' | 'fft';

export const relativeL2Bars: Readonly<Record<ToleranceDtype, Readonly<Record<ToleranceMode, number>>>> = {
  f64: { recurrence: 1e-12, fft: 1e-12 },
  f32: { recurrence: 1e-6, fft: 1e-6 },
  f16: { recurrence: 4e-4, fft: 4e-4 },
  bf16: { recurrence: 2.5e-3, fft: 2.5e-3 },
};

/**
 * Bars for gradients of parameters, which sum over batch and time and may cancel. Measured with an
 * emulated f32 device on the golden systems: at most 1.7e-5 (the step of a bidirectional S5).
 */
export const parameterGradientBars: Readonly<Record<ToleranceDtype, number>> = {
  f64: 1e-11,
  f32: 1e-4,
  f16: 2e-3,
  bf16: 5e-3,
};

/** f32 systems that remember for τ = 1/(1 − |a|) tokens: max(bar, u·min(τ, L)/4). */
export function barWithMemory(dtype: ToleranceDtype, mode: ToleranceMode, memory: number, length: number): number {
  const unit = dtype === 'f64' ? 2 ** -53 : 2 ** -24;
  return Math.max(relativeL2Bars[dtype][mode], (unit * Math.min(memory, length)) / 4);
}
