/** What a generated layer makes of its state: read-out, skip, activation, gate, norms, further states, outputs. */
import * as build from '../../dsl/builder/index.ts';
import type { Expression } from '../../dsl/builder/index.ts';
import { tableSize, type Draft } from './draft.ts';

/** Declares everything after the main state, and the outputs. */
export function finishReadout(draft: Draft, x: Expression): void {
  const { recipe, scope, streamAxes, u, param } = draft;
  const read = scope.define('read', readState(draft, x));
  const isComplex = recipe.field === 'complex';
  let value = isComplex ? build.multiply(2, build.real(read)) : read;
  if (recipe.outputTaps === 'state' && recipe.layout === 'channel') value = value.plus(build.delay(isComplex ? build.imag(x) : x, 2));
  if (recipe.skip) value = value.plus(param('skip', { axes: streamAxes }).times(u));
  value = activated(recipe.activation, value);
  value = gated(draft, value);
  value = normalised(draft, value);
  value = mixed(draft, value);
  value = followed(draft, value);
  if (recipe.outputTaps === 'value') value = value.plus(build.multiply(0.5, build.delay(scope.define('late', value), 2)));
  if (recipe.position === 'position') value = value.plus(build.multiply(0.01, build.position));
  if (recipe.position === 'length') value = value.over(build.length);
  const last = scope.define('result', value);
  scope.output('y', { axes: streamAxes }, last);
  if (isComplex && recipe.complexOutput) scope.output('z_read', { axes: streamAxes, type: 'complex' }, build.conj(read));
  if (recipe.overTime !== 'none') scope.output('summary', { axes: streamAxes, perSequence: true }, summary(recipe.overTime, last));
}

function readState({ recipe, input, param, D, N, stateAxes }: Draft, x: Expression): Expression {
  const complexType = recipe.field === 'complex' ? { type: 'complex' as const } : {};
  const value = recipe.readout === 'previous' ? build.prev(x) : x;
  const isChannel = recipe.layout === 'channel';
  const isShared = recipe.layout === 'shared';
  const over = (each: Expression): Expression => (isChannel ? each : build.sum(N, each));
  const C = isShared ? param('C', { axes: [D, N], ...complexType })
    : recipe.readout === 'param' || recipe.readout === 'previous' ? param('C', { axes: stateAxes, ...complexType }) : null;
  const selective = recipe.readout === 'input' ? input('C_in', { axes: isChannel ? [D] : [N], ...complexType }) : null;
  return over([C, selective].reduce<Expression>((product, each) => (each === null ? product : each.times(product)), value));
}

function activated(activation: Draft['recipe']['activation'], value: Expression): Expression {
  switch (activation) {
    case 'none': return value;
    case 'gelu': return build.gelu(value);
    case 'relu': return build.relu(value);
    case 'softplus': return build.softplus(value);
    case 'sine': return build.sin(value);
    case 'quotient': return value.over(build.sqrt(build.square(value).plus(1)));
    case 'log': return build.log1p(build.square(value));
    case 'square': return value.toThe(3).minus(value);
    // not equal at 0, where states begin: which operand of a tie has the gradient is a convention
    case 'max': return build.max(value, value.times(0.1).minus(0.05));
  }
}

function gated({ recipe: { gate }, input, streamAxes }: Draft, value: Expression): Expression {
  if (gate === 'none') return value;
  const z = input('z', { axes: streamAxes });
  switch (gate) {
    case 'silu': return value.times(build.silu(z));
    case 'sigmoid': return value.times(build.sigmoid(z));
    case 'tanh': return value.times(build.tanh(z));
    case 'conditional': return build.choose(z.isGreater(0), value, value.times(z));
  }
}

function normalised({ recipe: { norm }, D }: Draft, value: Expression): Expression {
  switch (norm) {
    case 'none': return value;
    case 'rms': return build.rmsNorm(D, value);
    case 'layer': return build.layerNorm(D, value, { eps: 0.1 });
    case 'softmax': return build.softmax(D, value);
    case 'log-softmax': return build.logSoftmax(D, value);
  }
}

function mixed({ recipe: { mix }, scope, param, input, D }: Draft, value: Expression): Expression {
  if (mix === 'none') return value;
  if (mix === 'dense') {
    const E = scope.axis('E', D);
    return build.sum(E, param('W', { axes: [D, E] }).times(build.rename(value, D, E)));
  }
  const K = scope.axis('K', tableSize);
  return value.plus(build.gather(K, param('table', { axes: [K, D] }), input('label', { type: build.index(tableSize) })));
}

/** A second state that reads what the first one gave, or stands beside it. */
function followed({ recipe: { second }, scope, param, streamAxes, u }: Draft, value: Expression): Expression {
  if (second !== 'after' && second !== 'beside') return value;
  const decay = param('decay', { axes: streamAxes, numbers: { kind: 'uniform', low: -1, high: 2 } });
  const source = second === 'after' ? scope.define('first_value', value) : u;
  const h = scope.state('h', { axes: streamAxes }, (h) => [build.next(build.sigmoid(decay).times(h).plus(source))]);
  return second === 'after' ? source.plus(h) : value.plus(h).minus(build.prev(h).times(0.5));
}

function summary(overTime: 'mean' | 'last' | 'sum', value: Expression): Expression {
  if (overTime === 'last') return build.last(value);
  return overTime === 'mean' ? build.mean(build.time, value) : build.sum(build.time, value);
}
