/** Values that callers without types may pass, by name; each is made anew, since some can be used up. */

/** What a hostile value throws when it is touched: the caller's own error, which may come back to it. */
export class HostileError extends Error {
  override readonly name = 'HostileError';
}

function refuse(): never {
  throw new HostileError('touched');
}

function throwing(target: object): object {
  return new Proxy(target, {
    get: refuse, has: refuse, ownKeys: refuse, getOwnPropertyDescriptor: refuse, getPrototypeOf: refuse, apply: refuse, construct: refuse, set: refuse,
  });
}

function detached(): Float32Array {
  const array = new Float32Array(4);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

function shrunk(): Float32Array {
  const buffer = new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer & { resize(length: number): void })(16, { maxByteLength: 32 });
  const array = new Float32Array(buffer, 8);
  buffer.resize(4);
  return array;
}

class LyingArray extends Float32Array {
  override get length(): number {
    return 4;
  }
}

const makers: Readonly<Record<string, () => unknown>> = {
  'undefined': () => undefined, 'null': () => null, 'true': () => true, 'zero': () => 0, 'minus zero': () => -0, 'minus one': () => -1, 'a fraction': () => 1.5, 'NaN': () => NaN,
  'infinity': () => Infinity, '2^31': () => 2 ** 31, '2^32': () => 2 ** 32, '2^53': () => 2 ** 53, 'a numeral': () => '2', 'an empty string': () => '', '__proto__': () => '__proto__',
  'a bigint': () => 2n, 'a symbol': () => Symbol('s'), 'a function': () => () => 4, 'an empty object': () => ({}), 'an object without prototype': () => Object.create(null) as object,
  'an empty list': () => [], 'a list of strings': () => ['1', '2', '3', '4'], 'a list of symbols': () => [Symbol('a'), Symbol('b'), Symbol('c'), Symbol('d')], 'a sparse list': () => new Array(4),
  'a list of lists': () => [[1], [2], [3], [4]], 'a list with NaN': () => [NaN, Infinity, -Infinity, -0], 'a long array-like': () => ({ length: 2 ** 40 }), 'a cyclic list': () => { const list: unknown[] = [1, 2, 3]; list.push(list); return list; },
  'a date': () => new Date(NaN), 'a regular expression': () => /x/g, 'a map': () => new Map(), 'a set': () => new Set([1]), 'a promise': () => Promise.resolve(4), 'a weak map': () => new WeakMap(),
  'an array of doubles': () => new Float64Array(4), 'an array of bigints': () => new BigInt64Array(4), 'a view': () => new DataView(new ArrayBuffer(16)), 'a buffer': () => new ArrayBuffer(16),
  'a shared array': () => new Float32Array(new SharedArrayBuffer(16)), 'a detached array': detached, 'a shrunk array': shrunk, 'an array that lies': () => new LyingArray(1), 'a Node buffer': () => Buffer.from([1, 2, 3, 4]),
  'an offset array': () => new Float32Array(new ArrayBuffer(24), 4, 4), 'clamped bytes': () => new Uint8ClampedArray(4),
  'a false tensor': () => ({ read: () => Promise.resolve(new Float32Array(4)), length: 4, storage: 'f32', write: () => undefined }),
  'a shape of symbols': () => ({ shape: [Symbol('a')], data: [1, 2, 3, 4] }), 'a shape of nothing': () => ({ shape: [], data: [] }), 'a shape that lies': () => ({ shape: [4], data: { length: 4 } }),
  'a shape without data': () => ({ shape: [1, 4] }), 'a shape of lists': () => ({ shape: [[4]], data: null }),
  'a proxy that throws': () => throwing({}), 'a function that throws': () => throwing(() => undefined), 'a list that throws': () => throwing([1, 2, 3, 4]),
  'an object whose string throws': () => ({ toString: refuse, valueOf: refuse, [Symbol.toPrimitive]: refuse }), 'an iterable that throws': () => ({ length: 4, [Symbol.iterator]: refuse }),
  'getters that throw': () => Object.defineProperties({}, Object.fromEntries(
    ['inputs', 'batch', 'length', 'u', 'shape', 'data', 'read', 'entry', 'sizes', 'tensors', 'manifest', 'code', 'storage', 'then'].map((name) => [name, { get: refuse, enumerable: true }]))),
  'an aborted signal': () => AbortSignal.abort(new HostileError('aborted')), 'a false signal': () => ({ aborted: false }),
};

/** Names of all values. */
export const hostileNames: readonly string[] = Object.keys(makers);

/** The value of a name, fresh. */
export function hostileValue(name: string): never {
  return (makers[name] ?? refuse)() as never;
}
