/** Opening the scope of a layer. */
import type { ItemSyntax, LayerSyntax, Name } from '../ast.ts';
import type { ApplicationScope, Scope } from './elaboration.ts';
import type { Span } from '../../support/source.ts';

/** What a scope is opened with. */
export type ScopeOptions = {
  readonly layer: LayerSyntax;
  readonly prefix: string;
  readonly stack: readonly string[];
  readonly application: ApplicationScope | null;
};

/** A fresh scope for a layer, or for one application of it under a path. */
export function openScope(options: ScopeOptions): Scope {
  const { layer } = options;
  const declared = new Map<string, Span>();
  for (const item of layer.items) {
    const name = declaredName(item);
    if (name !== null) declared.set(name.text, name.span);
  }
  return { ...options, axes: new Map(), symbols: new Map(), outputs: new Map(), used: new Set(), declared };
}

function declaredName(item: ItemSyntax): Name | null {
  switch (item.kind) {
    case 'let':
      return item.name;
    case 'input':
    case 'param':
    case 'state':
      return item.tensor.name;
    default:
      return null;
  }
}
