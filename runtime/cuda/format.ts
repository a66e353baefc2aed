/** Numbers in the words of messages. */

/** `1.5 GiB (1610612736 B)`: both the readable and the exact number. */
export function bytesForPeople(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? `${bytes} B` : `${Number((bytes / 1024 ** power).toFixed(2))} ${units[power - 1] ?? ''} (${bytes} B)`;
}

/** `13.0` for 13000. */
export function versionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}
