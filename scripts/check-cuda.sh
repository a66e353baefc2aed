#!/bin/sh
# Compiles the CUDA text of layers in every mode they have with nvcc, for sm_80 and sm_90, all warnings being errors, and
# lists kernels that spill. Ends with 1 when anything warned, failed or spilled.
# usage: check-cuda.sh [--jobs N] [--dtype bf16] [--batch N --length N] [FILE.ssm ...]
# Sizes are those that mode auto expects, which is then the only mode; without files all examples. The first run takes
# minutes; what was compiled is kept in out/check-cuda.
set -eu
cd "$(dirname "$0")/.."
npx --no-install esbuild scripts/check-cuda.ts --bundle --platform=node --format=esm --target=node20 --packages=external \
  --outfile=out/check-cuda.js --log-level=warning
exec nice -n 15 node out/check-cuda.js "$@"
