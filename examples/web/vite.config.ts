/** Builds the page into static files for any server and folder: `npm run web` builds and serves it. */
import { defineConfig, type Plugin, type UserConfig } from 'vite';

/** With these a page may share memory between threads (WebAssembly). */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const policy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
].join('; ');

/** Built pages run nothing but their own files; the server for development injects scripts of its own. */
const contentSecurity: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
      injectTo: 'head-prepend',
    },
  ],
};

/** The runtime chooses its host when it runs; a page never loads Node's. */
const withoutNode: Plugin = {
  name: 'without-node',
  enforce: 'pre',
  load: (id) => (id.endsWith('/runtime/wasm/workers-node.ts') ? 'export const workerHost = null;' : null),
};

const config: UserConfig = defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [contentSecurity, withoutNode],
  worker: { format: 'es', plugins: () => [withoutNode] },
  server: { headers: isolation },
  preview: { headers: isolation },
  build: { outDir: '../../out/web', emptyOutDir: true, target: 'es2022' },
});

export { config as default };
