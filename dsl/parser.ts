/**
 * The grammar of layers and statements, on chevrotain with embedded actions and error recovery: after
 * a mistake the parser goes on at the next statement, so that one run shows several mistakes.
 */
import type { IRecognitionException, IToken } from 'chevrotain';
import type {
  AssertionSyntax, AxisParameterSyntax, AxisSyntax, CallSyntax, InputSyntax, ItemSyntax, LayerSyntax,
  LetSyntax, Name,
  OutputSyntax, ParamSyntax, StateClauseSyntax, StateSyntax,
} from './ast.ts';
import {
  ExpressionGrammar, NestingError, TooManyErrors, nameOf, restartErrorCount, spanOf,
} from './expression-grammar.ts';
import type { SyntaxComplaint } from './expression-grammar.ts';
import * as words from './tokens.ts';
import { joinSpans } from '../support/source.ts';
import type { Span } from '../support/source.ts';

class LayerParser extends ExpressionGrammar {
  constructor() {
    super();
    this.performSelfAnalysis();
  }

  file = this.RULE('file', (): LayerSyntax[] => {
    const layers: LayerSyntax[] = [];
    this.MANY(() => {
      const layer = this.SUBRULE(this.layer);
      this.ACTION(() => void (layer === null ? null : layers.push(layer)));
    });
    return layers;
  });

  layer = this.RULE('layer', (): LayerSyntax | null => {
    const items: ItemSyntax[] = [];
    const axes: AxisParameterSyntax[] = [];
    const first = this.CONSUME(words.layerWord);
    const name = this.CONSUME(words.identifier);
    this.OPTION(() => {
      this.CONSUME(words.openParenthesis);
      this.MANY_SEP({
        SEP: words.comma,
        DEF: () => {
          const axis = this.SUBRULE(this.axisParameter);
          this.ACTION(() => void axes.push(axis));
        },
      });
      this.CONSUME(words.closeParenthesis);
    });
    this.CONSUME(words.openBrace);
    this.MANY(() => {
      const more = this.SUBRULE(this.item);
      this.ACTION(() => void (more === null ? null : items.push(...more)));
    });
    const last = this.CONSUME(words.closeBrace);
    return this.ACTION((): LayerSyntax => ({
      kind: 'layer', name: nameOf(name), documentation: '', axes, items,
      span: joinSpans(spanOf(first), spanOf(last)),
    }));
  }, { recoveryValueFunc: () => null });

  axisParameter = this.RULE('axisParameter', (): AxisParameterSyntax => {
    this.ACTION(() => (this.depth = 0));
    const name = this.CONSUME(words.identifier);
    const size = this.OPTION(() => {
      this.CONSUME(words.equals);
      return this.SUBRULE(this.expression);
    });
    return this.ACTION(() => ({ name: nameOf(name), size: size ?? null }));
  }, { resyncEnabled: false });

  item = this.RULE('item', (): ItemSyntax[] | null => {
    this.ACTION(() => (this.depth = 0));
    const items = this.OR({
      DEF: [
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.axisItem) },
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.inputItem) },
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.paramItem) },
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.letItem) },
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.assertionItem) },
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.stateItem) },
        { ALT: (): ItemSyntax[] => this.SUBRULE(this.outputItem) },
      ],
    });
    this.OPTION(() => this.CONSUME(words.semicolon));
    return items;
  }, { recoveryValueFunc: () => null });

  axisItem = this.RULE('axisItem', (): AxisSyntax[] => {
    const first = this.CONSUME(words.axisWord);
    const items: AxisSyntax[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: words.comma,
      DEF: () => {
        const name = this.CONSUME(words.identifier);
        this.CONSUME(words.equals);
        const size = this.SUBRULE(this.expression);
        this.ACTION(() => void items.push({
          kind: 'axis', name: nameOf(name), size, span: joinSpans(spanOf(first), size.span),
        }));
      },
    });
    return items;
  }, { resyncEnabled: false });

  inputItem = this.RULE('inputItem', (): InputSyntax[] => {
    this.CONSUME(words.inputWord);
    const items: InputSyntax[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: words.comma,
      DEF: () => {
        const tensor = this.SUBRULE(this.tensor);
        this.ACTION(() => void items.push({ kind: 'input', tensor, span: tensor.span }));
      },
    });
    return items;
  }, { resyncEnabled: false });

  paramItem = this.RULE('paramItem', (): ParamSyntax[] => {
    this.CONSUME(words.paramWord);
    const items: ParamSyntax[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: words.comma,
      DEF: () => {
        const tensor = this.SUBRULE(this.tensor);
        const initial = this.OPTION(() => {
          this.CONSUME(words.equals);
          return this.SUBRULE(this.expression);
        });
        this.ACTION(() => {
          const span = initial === undefined ? tensor.span : joinSpans(tensor.span, initial.span);
          items.push({ kind: 'param', tensor, initial: initial ?? null, span });
        });
      },
    });
    return items;
  }, { resyncEnabled: false });

  letItem = this.RULE('letItem', (): LetSyntax[] => {
    this.CONSUME(words.letWord);
    const items: LetSyntax[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: words.comma,
      DEF: () => {
        const name = this.CONSUME(words.identifier);
        const axes = this.OPTION(() => this.SUBRULE(this.axisList));
        this.CONSUME(words.equals);
        const value = this.SUBRULE(this.expression);
        this.ACTION(() => {
          const span = joinSpans(spanOf(name), value.span);
          items.push({ kind: 'let', name: nameOf(name), axes: axes ?? null, value, span });
        });
      },
    });
    return items;
  }, { resyncEnabled: false });

  assertionItem = this.RULE('assertionItem', (): AssertionSyntax[] => {
    const first = this.OR([
      { ALT: () => this.CONSUME(words.selectiveWord) },
      { ALT: () => this.CONSUME(words.timeInvariantWord) },
    ]);
    const names: Name[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: words.comma,
      DEF: () => {
        const name = this.CONSUME(words.identifier);
        this.ACTION(() => void names.push(nameOf(name)));
      },
    });
    return this.ACTION((): AssertionSyntax[] => {
      const assertion = first.image === 'selective' ? 'selective' : 'time_invariant';
      const span = joinSpans(spanOf(first), names[names.length - 1]?.span ?? spanOf(first));
      return [{ kind: 'assertion', assertion, names, span }];
    });
  }, { resyncEnabled: false });

  outputItem = this.RULE('outputItem', (): OutputSyntax[] => {
    this.CONSUME(words.outputWord);
    const items: OutputSyntax[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: words.comma,
      DEF: () => {
        const tensor = this.SUBRULE(this.tensor);
        this.CONSUME(words.equals);
        const value = this.SUBRULE(this.expression);
        this.ACTION(() => void items.push({
          kind: 'output', tensor, value, span: joinSpans(tensor.span, value.span),
        }));
      },
    });
    return items;
  }, { resyncEnabled: false });

  stateItem = this.RULE('stateItem', (): StateSyntax[] => {
    const clauses: StateClauseSyntax[] = [];
    const first = this.CONSUME(words.stateWord);
    const tensor = this.SUBRULE(this.tensor);
    this.CONSUME(words.openBrace);
    this.MANY(() => {
      const clause = this.SUBRULE(this.stateClause);
      this.ACTION(() => void (clause === null ? null : clauses.push(clause)));
    });
    const last = this.CONSUME(words.closeBrace);
    return this.ACTION((): StateSyntax[] => [
      { kind: 'state', tensor, clauses, span: joinSpans(spanOf(first), spanOf(last)) },
    ]);
  }, { resyncEnabled: false });

  stateClause = this.RULE('stateClause', (): StateClauseSyntax | null => {
    this.ACTION(() => (this.depth = 0));
    const clause = this.OR({
      DEF: [
        { ALT: (): StateClauseSyntax => this.SUBRULE(this.derivativeClause) },
        { ALT: (): StateClauseSyntax => this.SUBRULE(this.nextClause) },
        { ALT: (): StateClauseSyntax => this.SUBRULE(this.discretizeClause) },
        { ALT: (): StateClauseSyntax => this.SUBRULE(this.orderClause) },
        { ALT: (): StateClauseSyntax => this.SUBRULE(this.resetClause) },
        { ALT: (): StateClauseSyntax => this.SUBRULE(this.structureClause) },
      ],
    });
    this.OPTION(() => this.CONSUME(words.semicolon));
    return clause;
  }, { recoveryValueFunc: () => null });

  derivativeClause = this.RULE('derivativeClause', (): StateClauseSyntax => {
    const differential = this.CONSUME(words.identifier);
    this.CONSUME(words.slash);
    const time = this.CONSUME2(words.identifier);
    this.CONSUME(words.equals);
    const value = this.SUBRULE(this.expression);
    return this.ACTION((): StateClauseSyntax => {
      const span = joinSpans(spanOf(differential), spanOf(time));
      const isDerivative = differential.image.startsWith('d') && differential.image.length > 1
        && time.image === 'dt';
      if (!isDerivative) {
        this.complain(span, `expected a derivative like \`dx/dt\`, found \`${differential.image}/${time.image}\``,
          'write `d`, the name of the state, `/dt`');
      }
      const at = spanOf(differential);
      const name: Name = { text: differential.image.slice(1), span: { start: at.start + 1, end: at.end } };
      return { kind: 'derivative', name, value, span: joinSpans(span, value.span) };
    });
  }, { resyncEnabled: false });

  nextClause = this.RULE('nextClause', (): StateClauseSyntax => {
    const first = this.CONSUME(words.nextWord);
    const name = this.CONSUME(words.identifier);
    this.CONSUME(words.equals);
    const value = this.SUBRULE(this.expression);
    return this.ACTION((): StateClauseSyntax => ({
      kind: 'next', name: nameOf(name), value, span: joinSpans(spanOf(first), value.span),
    }));
  }, { resyncEnabled: false });

  discretizeClause = this.RULE('discretizeClause', (): StateClauseSyntax => {
    const first = this.CONSUME(words.discretizeWord);
    const callee = this.CONSUME(words.identifier);
    const list = this.SUBRULE(this.argumentList);
    const inputRule = this.OPTION(() => {
      this.CONSUME(words.comma);
      this.CONSUME(words.inputWord);
      return this.CONSUME2(words.identifier);
    });
    return this.ACTION((): StateClauseSyntax => {
      const rule: CallSyntax = {
        kind: 'call', callee: nameOf(callee), axes: [], arguments: list.items,
        span: joinSpans(spanOf(callee), list.span),
      };
      const span = joinSpans(spanOf(first), inputRule === undefined ? list.span : spanOf(inputRule));
      return {
        kind: 'discretize', rule, inputRule: inputRule === undefined ? null : nameOf(inputRule), span,
      };
    });
  }, { resyncEnabled: false });

  orderClause = this.RULE('orderClause', (): StateClauseSyntax => {
    const first = this.CONSUME(words.orderWord);
    const order = this.CONSUME(words.identifier);
    const options: Name[] = [];
    this.OPTION(() => {
      this.CONSUME(words.openParenthesis);
      this.AT_LEAST_ONE_SEP({
        SEP: words.comma,
        DEF: () => {
          const option = this.CONSUME2(words.identifier);
          this.ACTION(() => void options.push(nameOf(option)));
        },
      });
      this.CONSUME(words.closeParenthesis);
    });
    return this.ACTION((): StateClauseSyntax => ({
      kind: 'order', order: nameOf(order), options, span: joinSpans(spanOf(first), spanOf(order)),
    }));
  }, { resyncEnabled: false });

  resetClause = this.RULE('resetClause', (): StateClauseSyntax => {
    const first = this.OR([
      { ALT: () => this.CONSUME(words.resetWord) },
      {
        ALT: () => {
          const restart = this.CONSUME(words.restartWord);
          const initial = this.CONSUME(words.identifier);
          this.ACTION(() => {
            if (initial.image === 'initial') return;
            this.complain(
              spanOf(initial), `expected \`initial\`, found \`${initial.image}\``,
              'write `restart initial when …`',
            );
          });
          return restart;
        },
      },
    ]);
    this.CONSUME(words.whenWord);
    const condition = this.SUBRULE(this.expression);
    return this.ACTION((): StateClauseSyntax => ({
      kind: 'reset', action: first.image === 'reset' ? 'reset' : 'restart', condition,
      span: joinSpans(spanOf(first), condition.span),
    }));
  }, { resyncEnabled: false });

  structureClause = this.RULE('structureClause', (): StateClauseSyntax => {
    const first = this.CONSUME(words.structureWord);
    const structure = this.CONSUME(words.identifier);
    return this.ACTION((): StateClauseSyntax => ({
      kind: 'structure', structure: nameOf(structure), span: joinSpans(spanOf(first), spanOf(structure)),
    }));
  }, { resyncEnabled: false });
}

/** What the grammar made of a row of tokens. */
export type ParseResult = {
  readonly layers: readonly LayerSyntax[];
  readonly errors: readonly IRecognitionException[];
  readonly complaints: readonly SyntaxComplaint[];
  /** to be checked for readability: the grammar takes any token that begins like a number */
  readonly numbers: readonly IToken[];
  /** where text was nested too deeply, else null */
  readonly tooDeep: Span | null;
};

const parser = new LayerParser();

/** Runs the grammar. Never throws on any row of tokens. */
export function parseTokens(input: readonly IToken[]): ParseResult {
  parser.input = [...input];
  parser.depth = 0;
  restartErrorCount();
  parser.complaints = [];
  parser.numberTokens = [];
  let layers: readonly LayerSyntax[] = [];
  let tooDeep: Span | null = null;
  try {
    layers = parser.file() ?? [];
  } catch (error) {
    if (error instanceof NestingError) tooDeep = error.span;
    else if (!(error instanceof TooManyErrors)) throw error;
  }
  const before = tooDeep?.start ?? Number.POSITIVE_INFINITY;
  const errors = parser.errors.filter((error) => !(error.token.startOffset >= before));
  const result = { layers, errors, complaints: parser.complaints, numbers: parser.numberTokens, tooDeep };
  parser.input = [];
  return result;
}
