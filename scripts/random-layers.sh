#!/usr/bin/env bash
# Random layers through every mode and target: scripts/random-layers.sh --seed 1 --count 10000 --webgpu-every 10
set -euo pipefail
cd "$(dirname "$0")/.."
node_modules/.bin/esbuild scripts/random-layers.ts --bundle --platform=node --format=esm --packages=external \
  --outfile=out/scripts/random-layers.js --log-level=warning
exec node out/scripts/random-layers.js "$@"
