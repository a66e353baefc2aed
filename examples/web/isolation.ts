/**
 * WebAssembly threads share memory, which browsers allow on pages served with two headers (COOP, COEP).
 * Servers that cannot send them, as most hosts of static files, are helped by a service worker that adds
 * them; the page then loads once more.
 */

const triedKey = 'isolation-tried';

/** Asks for isolation where it is missing; true when the page is about to load again. */
export async function ensureIsolation(): Promise<boolean> {
  if (crossOriginIsolated || !('serviceWorker' in navigator)) return false;
  if (sessionStorage.getItem(triedKey) !== null) return false;
  sessionStorage.setItem(triedKey, 'yes');
  try {
    await navigator.serviceWorker.register('./service-worker.js');
    await navigator.serviceWorker.ready;
  } catch {
    return false;
  }
  location.reload();
  return true;
}
