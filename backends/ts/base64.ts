/** Bytes as text: how a module carries code and numbers. */

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Standard base64 with padding. */
export function base64Of(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 3);
    const bits = (first << 16) | (second << 8) | third;
    const held = bytes.length - at;
    const letter = (shift: number): string => letters.charAt((bits >> shift) & 63);
    parts.push(letter(18), letter(12), held > 1 ? letter(6) : '=', held > 2 ? letter(0) : '=');
  }
  return parts.join('');
}

/** Numbers rounded to f32, in little-endian order. */
export function floatBytes(values: Float64Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, at) => view.setFloat32(4 * at, value, true));
  return new Uint8Array(view.buffer);
}
