/**
 * The one registry of diagnostic codes. Families: 1xxx syntax, 2xxx names and shapes, 3xxx model
 * mathematics, 4xxx mode and lowering, 5xxx target limits, 6xxx runtime and device, 7xxx files and
 * weights, 9xxx internal.
 */
export const diagnosticCodes = {
  SSM1001: 'unexpected text',
  SSM1002: 'unexpected end of the file',
  SSM1003: 'unreadable number',
  SSM1004: 'text nested too deeply',
  SSM1005: 'file too large',
  SSM1006: 'character not allowed',
  SSM1007: 'not known without running the program',
  SSM2001: 'unknown name',
  SSM2002: 'name declared twice',
  SSM2003: 'unknown axis',
  SSM2004: 'axis used twice',
  SSM2005: 'reduction over an absent axis',
  SSM2006: 'axes of a declaration and its value differ',
  SSM2007: 'wrong arguments',
  SSM2008: 'wrong type',
  SSM2009: 'bad size',
  SSM2010: 'unknown layer',
  SSM2011: 'recursive layer',
  SSM2012: 'missing clause',
  SSM2013: 'clause given twice',
  SSM2014: 'value without a use',
  SSM2015: 'used before its declaration',
  SSM3001: 'not affine in the state',
  SSM3002: 'structure not supported',
  SSM3003: 'discretization does not apply',
  SSM3004: 'state inside its own coefficient',
  SSM3005: 'time variance differs from the assertion',
  SSM3006: 'initialiser not evaluable',
  SSM3007: 'unstable transition',
  SSM3008: 'time inside the transition',
  SSM3009: 'delay across resets',
  SSM4001: 'mode not legal',
  SSM4002: 'no schedule',
  SSM4003: 'feature not implemented',
  SSM5001: 'device limit exceeded',
  SSM5002: 'index range exceeded',
  SSM5003: 'dtype not supported on the target',
  SSM6001: 'device lost',
  SSM6002: 'no device',
  SSM6003: 'used after dispose',
  SSM6004: 'wrong argument',
  SSM6005: 'out of memory',
  SSM6006: 'kernel rejected by the device',
  SSM6007: 'part of the runtime missing',
  SSM6008: 'driver too old',
  SSM6009: 'kernel not launched',
  SSM7001: 'file not readable',
  SSM7002: 'file malformed',
  SSM7003: 'tensor missing or of another shape',
  SSM9001: 'internal error',
} as const;

export type DiagnosticCode = keyof typeof diagnosticCodes;

/**
 * Where a code is explained, relative to the package: a section of the page of errors, under the name
 * that renderers of Markdown give its heading.
 */
export function pageOf(code: DiagnosticCode): string {
  const heading = `${code}: ${diagnosticCodes[code]}`;
  return `docs/errors.md#${heading.toLowerCase().replace(/[^a-z0-9 -]/g, '').replaceAll(' ', '-')}`;
}
