/** Opening the scope of a layer. */
import type { ItemSyntax, LayerSyntax, Name } from '../ast.ts';
import type { Scope } from './elaboration.ts';
import type { Span } from '../../support/source.ts';

/** A fresh scope for a layer, or for one application of it under a path. */
export function openScope(layer: LayerSyntax, prefix: string, stack: readonly string[], appliedAt: Span | null): Scope {
  const declared = new Map<string, Span>();
  for (const item of layer.items) {
    const name = declaredName(item);
    if (name !== null) declared.set(name.text, name.span);
  }
  return { layer, prefix, axes: new Map(), symbols: new Map(), outputs: new Map(), used: new Set(), declared, stack, appliedAt };
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
