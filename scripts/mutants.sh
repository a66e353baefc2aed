#!/usr/bin/env bash
# Kernels made wrong, and whether the ordinary checks see it: scripts/mutants.sh [mutants per case] [seed] [part of a case's name] [share, as 3/16]
set -euo pipefail
cd "$(dirname "$0")/.."
node_modules/.bin/esbuild scripts/mutants.ts --bundle --platform=node --format=esm --packages=external --outfile=out/mutants.js \
  --log-level=warning
exec node out/mutants.js "$@"
