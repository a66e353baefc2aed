/** The worker's side of a service: answers requests as they come, failures as data. */
import { SsmError } from '../../../support/diagnostic.ts';
import { pageDiagnostic } from './page-diagnostic.ts';
import type { PageDiagnostic, Service } from './protocol.ts';

/** What a page posts. */
export type RequestMessage = { readonly id: number; readonly name: string; readonly argument: unknown };

/** What a worker posts: an event of a request that goes on, or its end. */
export type ReplyMessage =
  | { readonly id: number; readonly kind: 'event'; readonly event: unknown }
  | { readonly id: number; readonly kind: 'result'; readonly result: unknown }
  | {
      readonly id: number;
      readonly kind: 'failure';
      readonly message: string;
      readonly diagnostics: readonly PageDiagnostic[];
    };

/** One function per request. */
export type Handlers<Served extends Service> = {
  readonly [Name in keyof Served]: (
    argument: Served[Name]['argument'],
    tell: (event: Served[Name]['event']) => void,
  ) => Served[Name]['result'] | Promise<Served[Name]['result']>;
};

type AnyHandler = (argument: unknown, tell: (event: unknown) => void) => unknown;

/** The part of a worker's global scope that a service needs. */
type WorkerScope = {
  postMessage(message: ReplyMessage): void;
  onmessage: ((event: { readonly data: RequestMessage }) => void) | null;
};

async function answer(
  scope: WorkerScope,
  handler: AnyHandler | undefined,
  { id, name, argument }: RequestMessage,
): Promise<void> {
  try {
    if (handler === undefined) throw new Error(`there is no request \`${name}\``);
    const result = await handler(argument, (event) => scope.postMessage({ id, kind: 'event', event }));
    scope.postMessage({ id, kind: 'result', result });
  } catch (error) {
    const diagnostics = error instanceof SsmError ? error.diagnostics.map(pageDiagnostic) : [];
    scope.postMessage({
      id,
      kind: 'failure',
      message: error instanceof Error ? error.message : String(error),
      diagnostics,
    });
  }
}

/** Makes the worker this runs in answer. */
export function serve<Served extends Service>(handlers: Handlers<Served>): void {
  const scope = globalThis as unknown as WorkerScope;
  scope.onmessage = ({ data }) => {
    const handler = Object.hasOwn(handlers, data.name) ? handlers[data.name] : undefined;
    // not awaited: it posts its own failures, and requests may overlap
    void answer(scope, handler as AnyHandler | undefined, data);
  };
}
