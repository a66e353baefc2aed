/**
 * The way to the TypeScript compiler, which is optional: it is loaded when `.ts` is written or read.
 * Version 6 is the last one whose compiler is a library; a later one that is installed for other
 * purposes is not taken.
 */
import { createRequire } from 'node:module';
import type { Typescript } from '../../backends/ts/index.ts';
import { ssmError } from '../../support/diagnostic.ts';

/** The compiler; throws SSM7001 where there is none. */
export function loadTypescript(): Typescript {
  const help = 'run `npm install --save-dev typescript@~6.0.3`';
  let found: Partial<Typescript>;
  try {
    found = createRequire(import.meta.url)('typescript') as Partial<Typescript>;
  } catch {
    throw ssmError('SSM7001', 'the package `typescript` is not installed, which reads and writes `.ts`', help);
  }
  if (found.createPrinter !== undefined && found.transpileDeclaration !== undefined) return found as Typescript;
  throw ssmError('SSM7001', `the package \`typescript\` ${found.version ?? ''} has no compiler to call`, help);
}
