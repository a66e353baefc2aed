#!/bin/sh
# Convolutional mode against the recurrence at lengths up to 2^20, on WASM and on a WebGPU device where there is one:
# minutes on a software GPU, so that it is no part of the tests. Arguments: --tokens N (the longest on WASM), --webgpu-tokens N.
set -eu
cd "$(dirname "$0")/.."
npx --no-install esbuild scripts/long-convolutions.ts --bundle --platform=node --format=esm --target=node20 --packages=external \
  --outfile=out/long-convolutions.js --log-level=warning
exec node out/long-convolutions.js "$@"
