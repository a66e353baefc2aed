/**
 * The part of the grammar that expressions and declared tensors make up, with the limits of nesting
 * and of errors. The statements build on it in `parser.ts`. Chevrotain wants classes; they stay in
 * these two files.
 */
import { EmbeddedActionsParser } from 'chevrotain';
import type { IParserErrorMessageProvider, IToken, ParserMethod, TokenType } from 'chevrotain';
import type {
  ArgumentSyntax, BinarySyntaxOperator, ExpressionSyntax, Name, TensorSyntax, TypeSyntax,
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
export class NestingError extends Error {
  readonly span: Span;
  constructor(span: Span) {
    super('nested too deeply');
    this.span = span;
  }
}

/** Leaves the parser once there are more errors than anyone reads: recovery is slow and recursive. */
export class TooManyErrors extends Error {}
const errorLimit = 40;

/** What is wrong beside the grammar but seen while reading: where, what, and the way out. */
export type SyntaxComplaint = { readonly span: Span; readonly message: string; readonly help: string };

/** Where a token stands. */
export function spanOf(token: IToken): Span {
  return { start: token.startOffset, end: token.startOffset + token.image.length };
}

/** An identifier as a name. */
export function nameOf(token: IToken): Name {
  return { text: token.image, span: spanOf(token) };
}

const operatorTokens: readonly TokenType[] = [
  words.plus, words.minus, words.star, words.slash, words.caret, words.less, words.lessEqual, words.greater,
  words.greaterEqual, words.equalEqual, words.notEqual, words.andWord, words.orWord,
];

const nowhere: Span = { start: 0, end: 0 };
const missing: ExpressionSyntax = { kind: 'number', value: 0, span: nowhere };

let messagesMade = 0;

/** To be called before each text: the number of errors is limited per text. */
export function restartErrorCount(): void {
  messagesMade = 0;
}

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

/** `(a, b = c)` with the span of its brackets. */
export type ArgumentList = { readonly items: readonly ArgumentSyntax[]; readonly span: Span };

/** Expressions, tensors and what is counted while reading them. */
export class ExpressionGrammar extends EmbeddedActionsParser {
  depth: number = 0;
  complaints: SyntaxComplaint[] = [];
  numberTokens: IToken[] = [];

  constructor() {
    super([...words.allTokens], {
      recoveryEnabled: true, maxLookahead: 2, errorMessageProvider: countedMessages,
    });
  }

  /** Inserted tokens would stand nowhere in the text. */
  override canTokenTypeBeInsertedInRecovery(): boolean {
    return false;
  }

  /** Records what is wrong beside the grammar. */
  complain(span: Span, message: string, help: string): void {
    this.complaints.push({ span, message, help });
  }

  tensor: ParserMethod<[], TensorSyntax> = this.RULE('tensor', (): TensorSyntax => {
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
      let span = joinSpans(spanOf(name), {
        start: end.start, end: axes === undefined || axes.length === 0 ? end.end : end.end + 1,
      });
      if (type !== undefined) span = joinSpans(span, type.span);
      if (per !== undefined) span = joinSpans(span, spanOf(per));
      return {
        name: nameOf(name), axes: axes ?? [], type: type ?? null, perSequence: per !== undefined, span,
      };
    });
  }, { resyncEnabled: false });

  typeOf: ParserMethod<[], TypeSyntax> = this.RULE('typeOf', (): TypeSyntax => {
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

  axisList: ParserMethod<[], Name[]> = this.RULE('axisList', (): Name[] => {
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

  argumentList: ParserMethod<[], ArgumentList> = this.RULE('argumentList', (): ArgumentList => {
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

  expression: ParserMethod<[], ExpressionSyntax> = this.RULE('expression', (): ExpressionSyntax => {
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

  operator: ParserMethod<[], IToken> = this.RULE('operator', (): IToken => {
    const alternatives = operatorTokens.map((type) => ({ ALT: (): IToken => this.CONSUME(type) }));
    return this.OR(alternatives);
  }, { resyncEnabled: false });

  operand: ParserMethod<[], OperandSyntax> = this.RULE('operand', (): OperandSyntax => {
    const prefixes: PrefixSyntax[] = [];
    this.MANY(() => {
      const token = this.OR([
        { ALT: () => this.CONSUME(words.minus) },
        { ALT: () => this.CONSUME(words.notWord) },
      ]);
      this.ACTION(() => void prefixes.push({
        operator: token.image === '-' ? '-' : 'not', span: spanOf(token),
      }));
    });
    const value = this.SUBRULE(this.primary);
    return this.ACTION(() => ({ prefixes, value }));
  }, { resyncEnabled: false });

  primary: ParserMethod<[], ExpressionSyntax> = this.RULE('primary', (): ExpressionSyntax => this.OR([
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.numberLiteral) },
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.reference) },
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.conditional) },
    { ALT: (): ExpressionSyntax => this.SUBRULE(this.parenthesised) },
  ]), { resyncEnabled: false });

  numberLiteral: ParserMethod<[], ExpressionSyntax> = this.RULE('numberLiteral', (): ExpressionSyntax => {
    const token = this.CONSUME(words.number);
    return this.ACTION((): ExpressionSyntax => {
      this.numberTokens.push(token);
      return { kind: 'number', value: Number(token.image), span: spanOf(token) };
    });
  }, { resyncEnabled: false });

  parenthesised: ParserMethod<[], ExpressionSyntax> = this.RULE('parenthesised', (): ExpressionSyntax => {
    const first = this.CONSUME(words.openParenthesis);
    const value = this.SUBRULE(this.expression);
    const last = this.CONSUME(words.closeParenthesis);
    return this.ACTION((): ExpressionSyntax => ({ ...value, span: joinSpans(spanOf(first), spanOf(last)) }));
  }, { resyncEnabled: false });

  conditional: ParserMethod<[], ExpressionSyntax> = this.RULE('conditional', (): ExpressionSyntax => {
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

  reference: ParserMethod<[], ExpressionSyntax> = this.RULE('reference', (): ExpressionSyntax => {
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
        : {
          kind: 'call', callee: nameOf(token), axes: axes ?? [], arguments: list.items,
          span: joinSpans(start, list.span),
        };
      if (member === undefined) return object;
      return { kind: 'member', object, member: nameOf(member), span: joinSpans(start, spanOf(member)) };
    });
  }, { resyncEnabled: false });
}
