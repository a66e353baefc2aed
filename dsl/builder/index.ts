/**
 * Layers written in TypeScript: functions that make the syntax tree a text would give, and the tag for
 * texts. Both are checked and compiled like texts, when a program runs (`compileText`) or by the
 * command line, which reads them in `.ts` files.
 */
import type { Span } from '../../support/source.ts';
import { createExpressions } from './expressions.ts';
import { createFunctions, type BuilderFunctions } from './functions.ts';
import { createLayerBuilder, type BuildLayer } from './layers.ts';

export { ssm } from './tag.ts';
export type { BuilderFunctions, Rule } from './functions.ts';
export type { BuildLayer } from './layers.ts';
export type {
  Axes, Axis, BuiltLayer, Expression, IndexType, LayerScope, LayerSource, NamedOperands, Operand, ParamOptions, StateClause, TensorOptions,
} from './values.ts';

/** What a program builds stands in no file. */
const nowhere = (): Span => ({ start: 0, end: 0 });
const maker = createExpressions(nowhere);
const all: BuilderFunctions = createFunctions(nowhere, maker);

/** A layer: its name, the sizes of its axes, and what declares the rest. */
export const layer: BuildLayer = createLayerBuilder(nowhere, maker);

export const exp: BuilderFunctions['exp'] = all.exp;
export const log: BuilderFunctions['log'] = all.log;
export const sqrt: BuilderFunctions['sqrt'] = all.sqrt;
export const sin: BuilderFunctions['sin'] = all.sin;
export const cos: BuilderFunctions['cos'] = all.cos;
export const tanh: BuilderFunctions['tanh'] = all.tanh;
export const abs: BuilderFunctions['abs'] = all.abs;
export const sign: BuilderFunctions['sign'] = all.sign;
export const sigmoid: BuilderFunctions['sigmoid'] = all.sigmoid;
export const softplus: BuilderFunctions['softplus'] = all.softplus;
export const silu: BuilderFunctions['silu'] = all.silu;
export const relu: BuilderFunctions['relu'] = all.relu;
export const gelu: BuilderFunctions['gelu'] = all.gelu;
export const expm1: BuilderFunctions['expm1'] = all.expm1;
export const log1p: BuilderFunctions['log1p'] = all.log1p;
export const logSigmoid: BuilderFunctions['logSigmoid'] = all.logSigmoid;
export const square: BuilderFunctions['square'] = all.square;
export const real: BuilderFunctions['real'] = all.real;
export const imag: BuilderFunctions['imag'] = all.imag;
export const conj: BuilderFunctions['conj'] = all.conj;
export const toReal: BuilderFunctions['toReal'] = all.toReal;
export const last: BuilderFunctions['last'] = all.last;
export const prev: BuilderFunctions['prev'] = all.prev;
export const inverseSoftplus: BuilderFunctions['inverseSoftplus'] = all.inverseSoftplus;
export const max: BuilderFunctions['max'] = all.max;
export const min: BuilderFunctions['min'] = all.min;
export const complex: BuilderFunctions['complex'] = all.complex;
export const uniform: BuilderFunctions['uniform'] = all.uniform;
export const logUniform: BuilderFunctions['logUniform'] = all.logUniform;
export const lruRing: BuilderFunctions['lruRing'] = all.lruRing;
export const sum: BuilderFunctions['sum'] = all.sum;
export const mean: BuilderFunctions['mean'] = all.mean;
export const maxOver: BuilderFunctions['maxOver'] = all.maxOver;
export const softmax: BuilderFunctions['softmax'] = all.softmax;
export const logSoftmax: BuilderFunctions['logSoftmax'] = all.logSoftmax;
export const layerNorm: BuilderFunctions['layerNorm'] = all.layerNorm;
export const rmsNorm: BuilderFunctions['rmsNorm'] = all.rmsNorm;
export const s4dLin: BuilderFunctions['s4dLin'] = all.s4dLin;
export const s4dInv: BuilderFunctions['s4dInv'] = all.s4dInv;
export const s4dReal: BuilderFunctions['s4dReal'] = all.s4dReal;
export const hippoLegs: BuilderFunctions['hippoLegs'] = all.hippoLegs;
export const hippoLegsInput: BuilderFunctions['hippoLegsInput'] = all.hippoLegsInput;
export const hippoLegt: BuilderFunctions['hippoLegt'] = all.hippoLegt;
export const hippoLegtInput: BuilderFunctions['hippoLegtInput'] = all.hippoLegtInput;
export const hippoFout: BuilderFunctions['hippoFout'] = all.hippoFout;
export const hippoFoutInput: BuilderFunctions['hippoFoutInput'] = all.hippoFoutInput;
export const zoh: BuilderFunctions['zoh'] = all.zoh;
export const bilinear: BuilderFunctions['bilinear'] = all.bilinear;
export const euler: BuilderFunctions['euler'] = all.euler;
export const backwardEuler: BuilderFunctions['backwardEuler'] = all.backwardEuler;
export const dirac: BuilderFunctions['dirac'] = all.dirac;
export const add: BuilderFunctions['add'] = all.add;
export const subtract: BuilderFunctions['subtract'] = all.subtract;
export const multiply: BuilderFunctions['multiply'] = all.multiply;
export const divide: BuilderFunctions['divide'] = all.divide;
export const power: BuilderFunctions['power'] = all.power;
export const less: BuilderFunctions['less'] = all.less;
export const atMost: BuilderFunctions['atMost'] = all.atMost;
export const greater: BuilderFunctions['greater'] = all.greater;
export const atLeast: BuilderFunctions['atLeast'] = all.atLeast;
export const equal: BuilderFunctions['equal'] = all.equal;
export const notEqual: BuilderFunctions['notEqual'] = all.notEqual;
export const and: BuilderFunctions['and'] = all.and;
export const or: BuilderFunctions['or'] = all.or;
export const pi: BuilderFunctions['pi'] = all.pi;
export const length: BuilderFunctions['length'] = all.length;
export const position: BuilderFunctions['position'] = all.position;
export const time: BuilderFunctions['time'] = all.time;
export const negate: BuilderFunctions['negate'] = all.negate;
export const not: BuilderFunctions['not'] = all.not;
export const choose: BuilderFunctions['choose'] = all.choose;
export const normal: BuilderFunctions['normal'] = all.normal;
export const iota: BuilderFunctions['iota'] = all.iota;
export const delay: BuilderFunctions['delay'] = all.delay;
export const gather: BuilderFunctions['gather'] = all.gather;
export const rename: BuilderFunctions['rename'] = all.rename;
export const call: BuilderFunctions['call'] = all.call;
export const apply: BuilderFunctions['apply'] = all.apply;
export const index: BuilderFunctions['index'] = all.index;
export const gbt: BuilderFunctions['gbt'] = all.gbt;
export const derivative: BuilderFunctions['derivative'] = all.derivative;
export const next: BuilderFunctions['next'] = all.next;
export const discretize: BuilderFunctions['discretize'] = all.discretize;
export const order: BuilderFunctions['order'] = all.order;
export const resetWhen: BuilderFunctions['resetWhen'] = all.resetWhen;
export const restartInitialWhen: BuilderFunctions['restartInitialWhen'] = all.restartInitialWhen;
export const structure: BuilderFunctions['structure'] = all.structure;
