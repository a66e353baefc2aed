/** A server of files as plain as they come: a folder of the page's files, with the headers that are given or none. */
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

export type StaticServer = { readonly url: string; readonly stop: () => Promise<void> };

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.csv': 'text/csv',
};

/** Serves `folder` below `/some/where/`, so that the page must find its files relatively. */
export async function serveFolder(
  folder: string,
  headers: Readonly<Record<string, string>>,
): Promise<StaticServer> {
  const base = '/some/where/';
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const name = pathname === base ? 'index.html' : normalize(pathname.slice(base.length));
    readFile(join(folder, name)).then(
      (data) =>
        response
          .writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream', ...headers })
          .end(data),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${base}`,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
