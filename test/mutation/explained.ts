/**
 * Mutants that no result can show, by the statement that the compiler writes: reviewed one by one, with
 * the reason. A pattern is as narrow as the statement allows, and stands on the statement's text without
 * numbers (`kindOf`), so that it ends when the emitter changes.
 */
import type { Mutant } from './mutants.ts';

type Explanation = {
  readonly operators: readonly string[];
  readonly statement: RegExp;
  readonly kernel?: RegExp;
  /** name of the case, where the reason lies in its layer */
  readonly case?: RegExp;
  readonly reason: string;
};

const explanations: readonly Explanation[] = [
  {
    operators: ['wrong-comparison', 'lost-choice', 'wrong-extent'], statement: /^let log_size = /, kernel: /_fft_/,
    reason: 'a larger transform gives the same convolution, and terms for longer sequences are zero here; test/numeric/conv-long runs to 2^20 tokens',
  },
  {
    operators: ['drop-guard', 'wrong-comparison', 'wrong-extent'], statement: /^if (0 < whole_tiles|0 < rest|rest_start < (split_end|length)|first < length)$/,
    reason: 'the guard skips work: without it a tile without tokens is computed from clamped loads and nothing of it is stored',
  },
  {
    operators: ['wrong-comparison', 'drop-guard', 'lost-clamp', 'wrong-extent'], statement: /^(let inside = |let row = minimum\(|let b = minimum\(|if inside|if step < (tile_length|rest)$)/, kernel: /_scan|_backward/,
    reason: 'tokens and sequences behind the end are clamped duplicates of the last one: they store the same numbers again, or nothing reads them',
  },
  {
    operators: ['wrong-extent', 'lost-clamp'], statement: /^let (safe|s|end) = m/, kernel: /_(direct|moment)$/,
    reason: 'of the distances of a block only some can pass an end of the sequence: the clamp of the others changes nothing',
  },
  {
    operators: ['drop-guard', 'wrong-comparison'], statement: /^if block < \(0 << log_column\)$/, kernel: /_fft_/,
    reason: 'workgroups behind the last block of a transform find no token of theirs inside of the sequence and store nothing',
  },
  {
    operators: ['lost-choice'], statement: /_sum(\[n\])? = \S+_sum(\[n\])? \+ select\((cooperative|channel)_valid/, kernel: /_backward/,
    reason: 'sums of channels behind the last one are never stored',
  },
  {
    operators: ['wrong-initial'], statement: /^var \S+ = \S+$/, kernel: /_scan|_backward/,
    reason: 'each segment takes its own start in the loop that follows, whatever stood there before',
  },
  {
    operators: ['wrong-initial'], statement: /^var (counted|sum) = /, kernel: /_moment$/,
    reason: 'every block sets its sums to zero before its first term',
  },
  {
    operators: ['wrong-uniform'], statement: /^sum_partial$/,
    reason: 'pieces of time a token shorter still cover the sequence once: their number is rounded up, and their start and end move together',
  },
  {
    operators: ['wrong-stride', 'interval-off', 'wrong-extent', 'lost-choice'], statement: /^let (low|high|digit|digits|middle) = /, kernel: /^powers$/,
    reason: 'digits of the phase that are zero at these few tokens; test/numeric/conv-response measures powers to 16,384 tokens',
  },
  {
    operators: ['interval-off'], statement: /\(index \/ 0\) \* 0\) \+ invocation/, kernel: /_scan|_backward/,
    reason: 'tokens of a tile of four lie in one row: the quotient is zero for four as for five',
  },
  {
    operators: ['drop-barrier', 'stale-read'], kernel: /_scan|_backward/,
    statement: /sum_partial\[\(index \* 0\) \+ invocation\] = sum ; barrier ; let sum = sum_partial\[\(index \* 0\) \+ invocation\]$/,
    reason: 'one thread has the channel to itself and reads back what it wrote; where threads share a channel the statement behind the barrier reads theirs too',
  },
  {
    operators: ['drop-barrier'], kernel: /_backward/, statement: /^for .* ; barrier ; comment "finish the sums over states/,
    reason: 'the same in a loop over tokens: a thread that has its channel to itself reads back what it wrote',
  },
  {
    operators: ['drop-guard', 'wrong-comparison'], statement: /^if 0 < log_column$/, kernel: /_fft_/,
    reason: 'the guard skips work: a transform of one column is turned by an angle of zero',
  },
  {
    operators: ['drop-guard', 'wrong-comparison', 'wrong-extent'], statement: /^if length < 0$/, kernel: /_fft_/,
    reason: 'the guard leaves sequences beyond 2^20 tokens to the direct kernel; test/numeric/conv-long runs to that length',
  },
  {
    operators: ['bound-off-by-one', 'wrong-uniform'], statement: /^(for piece = 0 0 pieces|pieces)$/, kernel: /moment/,
    reason: 'the last pieces hold no tokens: their number counts the 64 rows of the table of powers that are lower than a piece, too',
  },
  {
    operators: ['lost-clamp'], statement: /^maximum = maximum\(maximum, /, kernel: /^maximum$/,
    reason: 'a softmax is the same whatever is subtracted before; maxima that a layer asks for are stored, and seen',
  },
  {
    operators: ['dropped-factor'], statement: /^total = total \+ \(value \* value\)$/, kernel: /^correlated_direct$/, case: /^s4d-block /,
    reason: 'the drive\'s second term, an offset, is a signal of ones: the factor left out is one',
  },
  {
    operators: ['lost-choice'], statement: /^forward_decay\[i\] = select\(inside, /, kernel: /_backward/,
    reason: 'a replay goes forward: behind the tokens outside of the sequence nothing follows that their decay could reach',
  },
  {
    operators: ['interval-off', 'wrong-stride'], statement: /^let start = \(n \+ \(\(row \* 0\) \/ 0\)\) << log_size$/, kernel: /_fft_product$/,
    reason: 'channels that fit one vector are one row, whose number is zero; with more of them the rows are a factor of n, and the mistake is seen (lru)',
  },
  {
    operators: ['wrong-comparison'], statement: /^let signal = select\(token < 0, 0, replay_signals\[/, kernel: /_backward$/, case: /recurrent\)\/backward\//,
    reason: 'a block of fewer tokens ends the sequence: what it replays is multiplied by the gradient behind it, zero unless final states have one',
  },
];

/** Why a survivor is none, or null. */
export function explanationOf({ id, operator, mistake, kernelName }: Pick<Mutant, 'id' | 'operator' | 'mistake' | 'kernelName'>): string | null {
  const statement = mistake.split(' ').slice(2).join(' ');
  const isOf = ({ operators, statement: pattern, kernel, case: ofCase }: Explanation): boolean =>
    operators.includes(operator) && pattern.test(statement) && (kernel?.test(kernelName) ?? true) && (ofCase?.test(id) ?? true);
  const found = explanations.find(isOf);
  return found?.reason ?? null;
}
