/** Numbers in the words of messages. */

/** `1.5 GiB (1610612736 B)`: both the readable and the exact number. */
export function bytesForPeople(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 'B';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return unit === 'B' ? `${bytes} B` : `${Number(value.toFixed(2))} ${unit} (${bytes} B)`;
}
