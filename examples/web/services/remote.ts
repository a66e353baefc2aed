/**
 * The page's side of a service. A worker that does not answer in time is ended and started anew, so that
 * no text can hang the page.
 */
import type { PageDiagnostic, Service } from './protocol.ts';
import type { ReplyMessage, RequestMessage } from './serve.ts';

/** A request that failed: what the worker said, with diagnostics where the user's input is the cause. */
export class RemoteFailure extends Error {
  override readonly name = 'RemoteFailure';
  readonly diagnostics: readonly PageDiagnostic[];
  constructor(message: string, diagnostics: readonly PageDiagnostic[]) {
    super(message);
    this.diagnostics = diagnostics;
  }
}

export type CallOptions<Event> = {
  /** the worker is ended when it takes longer */
  readonly milliseconds?: number;
  readonly onEvent?: (event: Event) => void;
};

export type Remote<Served extends Service> = {
  readonly call: <Name extends keyof Served & string>(
    name: Name,
    argument: Served[Name]['argument'],
    options?: CallOptions<Served[Name]['event']>,
  ) => Promise<Served[Name]['result']>;
};

type Pending = {
  readonly resolve: (result: unknown) => void;
  readonly reject: (failure: RemoteFailure) => void;
  readonly onEvent: (event: unknown) => void;
};

/** A service over workers that `start` makes; the first starts now. */
export function createRemote<Served extends Service>(start: () => Worker): Remote<Served> {
  const pending = new Map<number, Pending>();
  let requests = 0;
  const failAll = (message: string): void => {
    const waiting = [...pending.values()];
    pending.clear();
    waiting.forEach((each) => each.reject(new RemoteFailure(message, [])));
  };
  const restart = (message: string): void => {
    worker.terminate();
    failAll(message);
    worker = open();
  };
  const open = (): Worker => {
    const opened = start();
    opened.onmessage = ({ data }: MessageEvent<ReplyMessage>) => receive(pending, data);
    opened.onerror = (event) => failAll(event.message === '' ? 'the worker did not start' : event.message);
    return opened;
  };
  let worker = open();
  return {
    call: (name, argument, { milliseconds, onEvent } = {}) =>
      new Promise((resolve, reject) => {
        const id = requests++;
        const timer =
          milliseconds === undefined
            ? undefined
            : setTimeout(
                () => restart(`no answer within ${milliseconds / 1000} s; the worker was started anew`),
                milliseconds,
              );
        const done =
          <Value>(settle: (value: Value) => void) =>
          (value: Value): void => {
            clearTimeout(timer);
            settle(value);
          };
        pending.set(id, {
          resolve: done(resolve as (result: unknown) => void),
          reject: done(reject),
          onEvent: (onEvent ?? (() => {})) as (event: unknown) => void,
        });
        worker.postMessage({ id, name, argument } satisfies RequestMessage);
      }),
  };
}

function receive(pending: Map<number, Pending>, reply: ReplyMessage): void {
  const waiting = pending.get(reply.id);
  if (waiting === undefined) return;
  if (reply.kind === 'event') {
    waiting.onEvent(reply.event);
    return;
  }
  pending.delete(reply.id);
  if (reply.kind === 'result') waiting.resolve(reply.result);
  else waiting.reject(new RemoteFailure(reply.message, reply.diagnostics));
}
