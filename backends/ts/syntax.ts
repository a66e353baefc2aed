/**
 * Small words for building TypeScript with the compiler's own factory and printer. The compiler is
 * handed in: nothing of this package needs it but what writes or reads `.ts`.
 */
import type ts from 'typescript';

/** The module `typescript`, version 6: the last one whose compiler is a library. */
export type Typescript = typeof ts;

export type Member = {
  readonly name: string;
  readonly type: ts.TypeNode;
  readonly comment?: string;
  readonly isOptional?: boolean;
};

export type Syntax = ReturnType<typeof createSyntax>;

/** Node builders bound to one compiler module. */
export function createSyntax(typescript: Typescript): {
  readonly name: (text: string) => ts.Identifier | ts.StringLiteral;
  readonly text: (of: string) => ts.StringLiteral;
  readonly number: (of: number) => ts.TypeNode;
  readonly reference: (name: string, parameters?: readonly ts.TypeNode[]) => ts.TypeNode;
  readonly member: (namespace: string, name: string) => ts.TypeNode;
  readonly literal: (text: string) => ts.TypeNode;
  readonly record: (members: readonly Member[]) => ts.TypeNode;
  readonly tuple: (elements: readonly { readonly label: string; readonly size: number | null }[]) => ts.TypeNode;
  readonly method: (parameter: string, from: ts.TypeNode, to: ts.TypeNode) => ts.TypeNode;
  readonly object: (members: readonly (readonly [string, ts.Expression])[]) => ts.ObjectLiteralExpression;
  readonly comment: <Node extends ts.Node>(node: Node, text: string) => Node;
} {
  const { factory, SyntaxKind } = typescript;
  const numberType = factory.createKeywordTypeNode(SyntaxKind.NumberKeyword);
  const name = (text: string): ts.Identifier | ts.StringLiteral =>
    /^[A-Za-z_$][\w$]*$/.test(text) ? factory.createIdentifier(text) : factory.createStringLiteral(text, true);
  const number = (of: number): ts.TypeNode => factory.createLiteralTypeNode(factory.createNumericLiteral(of));
  const comment = <Node extends ts.Node>(node: Node, text: string): Node =>
    typescript.addSyntheticLeadingComment(node, SyntaxKind.MultiLineCommentTrivia, `* ${text} `, true);
  return {
    name, number, comment,
    text: (of) => factory.createStringLiteral(of, true),
    reference: (of, parameters) => factory.createTypeReferenceNode(of, parameters),
    member: (namespace, of) => factory.createTypeReferenceNode(
      factory.createQualifiedName(factory.createIdentifier(namespace), of),
    ),
    literal: (text) => factory.createLiteralTypeNode(factory.createStringLiteral(text, true)),
    record: (members) => factory.createTypeLiteralNode(members.map((each) => {
      const optional = each.isOptional === true ? factory.createToken(SyntaxKind.QuestionToken) : undefined;
      const readonly = [factory.createModifier(SyntaxKind.ReadonlyKeyword)];
      const made = factory.createPropertySignature(readonly, name(each.name), optional, each.type);
      return each.comment === undefined ? made : comment(made, each.comment);
    })),
    tuple: (elements) => factory.createTypeOperatorNode(SyntaxKind.ReadonlyKeyword, typescript.setEmitFlags(
      factory.createTupleTypeNode(elements.map(({ label, size }) => factory.createNamedTupleMember(
        undefined, factory.createIdentifier(label), undefined, size === null ? numberType : number(size),
      ))),
      typescript.EmitFlags.SingleLine,
    )),
    method: (parameter, from, to) => factory.createFunctionTypeNode(
      undefined, [factory.createParameterDeclaration(undefined, undefined, parameter, undefined, from)], to,
    ),
    object: (members) => factory.createObjectLiteralExpression(
      members.map(([key, value]) => factory.createPropertyAssignment(name(key), value)), true,
    ),
  };
}
