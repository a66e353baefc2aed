#!/usr/bin/env bash
# A newcomer's path, as README has it, in an empty folder: the package is packed and installed, a layer that is no
# example is written, its mistakes are answered, it is verified, compiled for every target, run as a module, and
# imported in a page that Vite builds and TypeScript checks. Needs a network for npm.
# usage: scripts/newcomer.sh [--no-build]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
step() { printf '\n== %s\n' "$1"; }
fail() { printf 'newcomer: %s\n' "$1" >&2; exit 1; }
# wants NAME CODE PATTERN COMMAND...: the command ends with the code and says the pattern
wants() {
  local name=$1 code=$2 pattern=$3 found=0 text
  shift 3
  text=$("$@" 2>&1) || found=$?
  [ "$found" -eq "$code" ] || fail "$name ended with $found, not $code: $text"
  grep -q -- "$pattern" <<<"$text" || fail "$name does not say \"$pattern\": $text"
  echo "$name: as it should be"
}

step 'pack and install'
cd "$root"
[ "${1:-}" = --no-build ] || npm run --silent build
npm pack --silent --ignore-scripts --pack-destination "$folder" >/dev/null
cd "$folder"
npm init --yes >/dev/null
npm pkg set type=module
npm install --silent --no-audit --no-fund ./statefuse-*.tgz typescript@~6.0.3 vite @webgpu/types

step 'a layer and its mistakes'
cat > leaky.ssm <<'TEXT'
/// Leaky integrator with an input gate and a decay of its own per mode.
layer Leaky(D = 8, N = 4) {
  input u[D], gate[D]
  param rate[D, N] = log(1 + iota(N))
  param mix[D, N] = normal(std = 0.5)
  state h[D, N] {
    dh/dt = -exp(rate) * h + sigmoid(gate) * u
    discretize zoh(softplus(gate))
  }
  output y[D] = sum[N](mix * h)
}
TEXT
wants 'a sound text' 0 'Leaky ok' npx statefuse check leaky.ssm
mistake() { sed "$2" leaky.ssm > wrong.ssm; wants "$1" "$3" "$4" npx statefuse check wrong.ssm; }
mistake 'a misspelt function' 's/sigmoid/sigmod/' 1 'write `sigmoid`'
mistake 'an axis that is not there' 's/sum\[N\]/sum[M]/' 1 'there is no axis `M`'
mistake 'no discretization' '/discretize/d' 1 'add `discretize zoh(dt)`'
mistake 'a state squared' 's/ \* h + / * h * h + /' 1 'not affine in the state'
mistake 'a sum forgotten' 's/sum\[N\](mix \* h)/mix * h/' 1 'write `sum\[N\]'
mistake 'a sign forgotten' 's/-exp(rate)/exp(rate)/' 0 'negate the coefficient'
mistake 'another language' 's/^layer/class/' 1 'a text is made of layers'

step 'explain, verify, compile'
wants explain 0 'step size   selective' npx statefuse explain leaky.ssm
wants verify 0 'agree with float64' npx statefuse verify leaky.ssm --device wasm
for target in wasm wgsl cuda torch; do wants "compile for $target" 0 Leaky npx statefuse compile leaky.ssm --target "$target" --out-dir "build/$target"; done
wants 'compile as a module' 0 Leaky npx statefuse compile leaky.ssm --target ts --emit js --seed 1 --out-dir build/js

step 'a module in Node'
cat > run.js <<'TEXT'
import { Leaky, load } from './build/js/Leaky.js';
import { openWasm } from 'statefuse/runtime/wasm';

const device = await openWasm();
const layer = await load(device);
layer.setParameters(Leaky.initialParameters());
const inputs = { u: new Float32Array(16).fill(1), gate: new Float32Array(16) };
const { outputs } = await layer.forward({ inputs, batch: 1 });
console.log(`${(await outputs.y.read()).filter((each) => each !== 0).length} numbers`);
layer[Symbol.dispose]();
await device[Symbol.asyncDispose]();
TEXT
wants 'a run' 0 '^16 numbers' node run.js

step 'a page with Vite'
cat > vite.config.js <<'TEXT'
import { defineConfig } from 'vite';
import { statefuse } from 'statefuse/vite';

export default defineConfig({ plugins: [statefuse()], logLevel: 'warn' });
TEXT
echo '<!doctype html><title>Leaky</title><script type="module" src="/main.ts"></script>' > index.html
cat > main.ts <<'TEXT'
import { Leaky } from './leaky.ssm';
import { acquire } from 'statefuse/runtime/webgpu';

const device = await acquire(navigator.gpu);
const layer = await Leaky.load(device);
layer.setParameters(Leaky.initialParameters());
const { outputs } = await layer.forward({ inputs: { u: new Float32Array(16 * 8), gate: new Float32Array(16 * 8) }, batch: 1 });
console.log(await outputs.y.read());
TEXT
npx vite build
[ -f leaky.ssm.d.ts ] || fail 'no declarations beside the text'
types=(--strict --noEmit --skipLibCheck --module esnext --moduleResolution bundler --target es2022 --lib es2023,dom,esnext.disposable)
npx tsc "${types[@]}" main.ts || fail 'the page has type errors'
sed 's/{ u:/{ v:/' main.ts > wrong.ts
wants 'a wrong name in the page' 2 "'v' does not exist" npx tsc "${types[@]}" wrong.ts

printf '\nnewcomer: all of it works\n'
