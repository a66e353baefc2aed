#!/usr/bin/env bash
# Memory over 10,000 times forward and backward: scripts/flat-memory.sh [COUNT]. Ends with 1 where it grows by more than 1 KiB a run.
set -euo pipefail
cd "$(dirname "$0")/.."
node_modules/.bin/esbuild scripts/flat-memory.ts --bundle --platform=node --format=esm --packages=external \
  --outfile=out/scripts/flat-memory.js --log-level=warning
exec node --expose-gc out/scripts/flat-memory.js "$@"
