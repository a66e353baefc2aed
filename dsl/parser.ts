/**
 * The grammar, on chevrotain with embedded actions and error recovery: after a mistake the parser
 * goes on at the next statement, so that one run shows several mistakes. Chevrotain wants a class;
 * it stays inside this file.
 */
import { EmbeddedActionsParser } from 'chevrotain';
import type { IParserErrorMessageProvider, IRecognitionException, IToken, TokenType } from 'chevrotain';
import type {
  ArgumentSyntax, AssertionSyntax, AxisParameterSyntax, AxisSyntax, BinarySyntaxOperator, CallSyntax,
  ExpressionSyntax, InputSyntax, ItemSyntax, LayerSyntax, LetSyntax, Name, OutputSyntax, ParamSyntax,
  StateClauseSyntax, StateSyntax, TensorSyntax, TypeSyntax,
} from './ast.ts';
import { foldRow, rowLimit } from './operators.ts';
import type { OperandSyntax, PrefixSyntax } from './operators.ts';
import * as words from './tokens.ts';
import { syntaxMessages } from './syntax-messages.ts';
import { joinSpans } from '../support/source.ts';
import type { Span } from '../support/source.ts';

/** Brackets and conditionals within each other. */
export const nestingLimit = 128;

/** Leaves the parser at once: deeper text is not read any further. */
class NestingError extends Error {
  readonly span: Span;
  constructor(span: Span) {
    super('nested too deeply');
    this.span = span;
  }
}

/** Leaves the parser once there are more errors than anyone reads: recovery is slow and recursive. */
class TooManyErrors extends Error {}
const errorLimit = 40;

/** What is wrong beside the grammar but seen while reading: where, what, and the way out. */
export type SyntaxComplaint = { readonly span: Span; readonly message: string; readonly help: string };

function spanOf(token: IToken): Span {
  return { start: token.startOffset, end: token.startOffset + token.image.length };
}

function nameOf(token: IToken): Name {
  return { text: token.image, span: spanOf(token) };
}

const operatorTokens: readonly TokenType[] = [
  words.plus, words.minus, words.star, words.slash, words.caret, words.less, words.lessEqual, words.greater,
  words.greaterEqual, words.equalEqual, words.notEqual, words.andWord, words.orWord,
];

const nowhere: Span = { start: 0, end: 0 };
const missing: ExpressionSyntax = { kind: 'number', value: 0, span: nowhere };

let messagesMade = 0;

function counted<T>(make: (options: T) => string): (options: T) => string {
  return (options) => {
    messagesMade++;
    if (messagesMade > errorLimit) throw new TooManyErrors();
    return make(options);
  };
}

const countedMessages: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: counted(syntaxMessages.buildMismatchTokenMessage),
  buildNotAllInputParsedMessage: counted(syntaxMessages.buildNotAllInputParsedMessage),
  buildNoViableAltMessage: counted(syntaxMessages.buildNoViableAltMessage),
  buildEarlyExitMessage: counted(syntaxMessages.buildEarlyExitMessage),
};

class LayerParser extends EmbeddedActionsParser {
  depth = 0;
  complaints: SyntaxComplaint[] = [];
  numberTokens: IToken[] = [];

  constructor() {
    super([...words.allTokens], { recoveryEnabled: true, maxLookahead: 2, errorMessageProvider: countedMessages });
    this.performSelfAnalysis();
  }

  /** Inserted tokens would stand nowhere in the text. */
  override canTokenTypeBeInsertedInRecovery(): boolean {
    return false;
  }

  complain(span: Span, message: string, help: string): void {
    this.complaints.push({ span, message, help });
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
      kind: 'layer', name: nameOf(name), documentation: '', axes, items, span: joinSpans(spanOf(first), spanOf(last)),
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
        this.ACTION(() => void items.push({ kind: 'axis', name: nameOf(name), size, span: joinSpans(spanOf(first), size.span) }));
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
        this.ACTION(() => void items.push({ kind: 'output', tensor, value, span: joinSpans(tensor.span, value.span) }));
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
      const isDerivative = differential.image.startsWith('d') && differential.image.length > 1 && time.image === 'dt';
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
        kind: 'call', callee: nameOf(callee), axes: [], arguments: list.items, span: joinSpans(spanOf(callee), list.span),
      };
      const span = joinSpans(spanOf(first), inputRule === undefined ? list.span : spanOf(inputRule));
      return { kind: 'discretize', rule, inputRule: inputRule === undefined ? null : nameOf(inputRule), span };
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
            this.complain(spanOf(initial), `expected \`initial\`, found \`${initial.image}\``, 'write `restart initial when …`');
          });
          return restart;
        },
      },
    ]);
    this.CONSUME(words.whenWord);
    const condition = this.SUBRULE(this.expression);
    return this.ACTION((): StateClauseSyntax => ({
      kind: 'reset', action: first.image === 'reset' ? 'reset' : 'restart', condition, span: joinSpans(spanOf(first), condition.span),
    }));
  }, { resyncEnabled: false });

  structureClause = this.RULE('structureClause', (): StateClauseSyntax => {
    const first = this.CONSUME(words.structureWord);
    const structure = this.CONSUME(words.identifier);
    return this.ACTION((): StateClauseSyntax => ({
      kind: 'structure', structure: nameOf(structure), span: joinSpans(spanOf(first), spanOf(structure)),
    }));
  }, { resyncEnabled: false });

  tensor = this.RULE('tensor', (): TensorSyntax => {
    const name = this.CONSUME(words.identifier);
    const axes = this.OPTION(() => this.SUBRULE(this.axisList));
    const type = this.OPTION2(() => this.SUBRULE(this.typeOf));
    const per = this.OPTION3(() => {
      this.CONSUME(words.perWord);
      return this.CONSUME2(words.identifier);
    });
    return this.ACTION((): TensorSyntax => {
      if (per !== undefined && per.image !== 'sequence') {
        this.complain(spanOf(per), `expected \`sequence\`, found \`${per.image}\``, 'write `per sequence`');
      }
      const end = axes?.[axes.length - 1]?.span ?? spanOf(name);
      let span = joinSpans(spanOf(name), { start: end.start, end: axes === undefined || axes.length === 0 ? end.end : end.end + 1 });
      if (type !== undefined) span = joinSpans(span, type.span);
      if (per !== undefined) span = joinSpans(span, spanOf(per));
      return { name: nameOf(name), axes: axes ?? [], type: type ?? null, perSequence: per !== undefined, span };
    });
  }, { resyncEnabled: false });

  typeOf = this.RULE('typeOf', (): TypeSyntax => {
    this.CONSUME(words.colon);
    const name = this.CONSUME(words.identifier);
    const argument = this.OPTION(() => {
      this.CONSUME(words.openParenthesis);
      const value = this.SUBRULE(this.expression);
      const last = this.CONSUME(words.closeParenthesis);
      return { value, last };
    });
    return this.ACTION((): TypeSyntax => ({
      name: nameOf(name), argument: argument?.value ?? null,
      span: argument === undefined ? spanOf(name) : joinSpans(spanOf(name), spanOf(argument.last)),
    }));
  }, { resyncEnabled: false });

  axisList = this.RULE('axisList', (): Name[] => {
    const names: Name[] = [];
    this.CONSUME(words.openBracket);
    this.MANY_SEP({
      SEP: words.comma,
      DEF: () => {
        const name = this.CONSUME(words.identifier);
        this.ACTION(() => void names.push(nameOf(name)));
      },
    });
    this.CONSUME(words.closeBracket);
    return names;
  }, { resyncEnabled: false });

  argumentList = this.RULE('argumentList', (): { items: ArgumentSyntax[]; span: Span } => {
    const items: ArgumentSyntax[] = [];
    const first = this.CONSUME(words.openParenthesis);
    this.MANY_SEP({
      SEP: words.comma,
      DEF: () => {
        const name = this.OPTION(() => {
          const token = this.CONSUME(words.identifier);
          this.CONSUME(words.equals);
          return token;
        });
        const value = this.SUBRULE(this.expression);
        this.ACTION(() => void items.push({ name: name === undefined ? null : nameOf(name), value }));
      },
    });
    const last = this.CONSUME(words.closeParenthesis);
    return this.ACTION(() => ({ items, span: joinSpans(spanOf(first), spanOf(last)) }));
  }, { resyncEnabled: false });

  expression = this.RULE('expression', (): ExpressionSyntax => {
    const operands: OperandSyntax[] = [];
    const operators: BinarySyntaxOperator[] = [];
    this.ACTION(() => {
      this.depth++;
      if (this.depth > nestingLimit) throw new NestingError(spanOf(this.LA(1)));
    });
    const head = this.SUBRULE(this.operand);
    this.ACTION(() => void operands.push(head));
    this.MANY(() => {
      const operator = this.SUBRULE(this.operator);
      const operand = this.SUBRULE2(this.operand);
      this.ACTION(() => {
        operators.push(operator.image as BinarySyntaxOperator);
        operands.push(operand);
      });
    });
    return this.ACTION((): ExpressionSyntax => {
      this.depth--;
      const prefixes = operands.reduce((sum, each) => sum + each.prefixes.length, 0);
      const first = operands[0]?.value.span ?? nowhere;
      if (operators.length + prefixes > rowLimit) throw new NestingError(first);
      return foldRow({ operands, operators }) ?? missing;
    });
  }, { resyncEnabled: false, recoveryValueFunc: () => missing });

  operator = this.RULE('operator', (): IToken => {
    const alternatives = operatorTokens.map((type) => ({ ALT: (): IToken => this.CONSUME(type) }));
    return this.OR(alternatives);
  }, { resyncEnabled: false });

  operand = this.RULE('operand', (): OperandSyntax => {
    const prefixes: PrefixSyntax[] = [];
    this.MANY(() => {
      const token = this.OR([
        { ALT: () => this.CONSUME(words.minus) },
        { ALT: () => this.CONSUME(words.notWord) },
      ]);
      this.ACTION(() => void prefixes.push({ operator: token.image === '-' ? '-' : 'not', span: spanOf(token) }));
    });
    const value = this.SUBRULE(this.primary);
    return this.ACTION(() => ({ prefixes, value }));
  }, { resyncEnabled: false });

  primary = this.RULE('primary', (): ExpressionSyntax => this.OR([
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.numberLiteral) },
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.reference) },
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.conditional) },
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.parenthesised) },
  ]), { resyncEnabled: false });

  numberLiteral = this.RULE('numberLiteral', (): ExpressionSyntax => {
    const token = this.CONSUME(words.number);
    return this.ACTION((): ExpressionSyntax => {
      this.numberTokens.push(token);
      return { kind: 'number', value: Number(token.image), span: spanOf(token) };
    });
  }, { resyncEnabled: false });

  parenthesised = this.RULE('parenthesised', (): ExpressionSyntax => {
    const first = this.CONSUME(words.openParenthesis);
    const value = this.SUBRULE(this.expression);
    const last = this.CONSUME(words.closeParenthesis);
    return this.ACTION((): ExpressionSyntax => ({ ...value, span: joinSpans(spanOf(first), spanOf(last)) }));
  }, { resyncEnabled: false });

  conditional = this.RULE('conditional', (): ExpressionSyntax => {
    const first = this.CONSUME(words.ifWord);
    const condition = this.SUBRULE(this.expression);
    this.CONSUME(words.thenWord);
    const whenTrue = this.SUBRULE2(this.expression);
    this.CONSUME(words.elseWord);
    const whenFalse = this.SUBRULE3(this.expression);
    return this.ACTION((): ExpressionSyntax => ({
      kind: 'conditional', condition, whenTrue, whenFalse, span: joinSpans(spanOf(first), whenFalse.span),
    }));
  }, { resyncEnabled: false });

  reference = this.RULE('reference', (): ExpressionSyntax => {
    const token = this.CONSUME(words.identifier);
    const axes = this.OPTION(() => this.SUBRULE(this.axisList));
    const list = this.OPTION2(() => this.SUBRULE(this.argumentList));
    const member = this.OPTION3(() => {
      this.CONSUME(words.dot);
      return this.CONSUME2(words.identifier);
    });
    return this.ACTION((): ExpressionSyntax => {
      const start = spanOf(token);
      if (axes !== undefined && list === undefined) {
        this.complain(start, `\`${token.image}\` is read with its axes written out`,
          `write \`${token.image}\`: operands are matched by axis name`);
      }
      const object: ExpressionSyntax = list === undefined
        ? { kind: 'name', name: token.image, span: start }
        : { kind: 'call', callee: nameOf(token), axes: axes ?? [], arguments: list.items, span: joinSpans(start, list.span) };
      if (member === undefined) return object;
      return { kind: 'member', object, member: nameOf(member), span: joinSpans(start, spanOf(member)) };
    });
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
  messagesMade = 0;
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
