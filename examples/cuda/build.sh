#!/usr/bin/env bash
# Compiles examples/s6.ssm to CUDA and the program beside this script with it, for sm_80 and sm_90.
#   examples/cuda/build.sh [FOLDER]        afterwards: FOLDER/prefill-and-decode
# Needs `npm run build` before, and nvcc of CUDA 12 or later.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../out/cuda-example}
node "$here/../../dist/cli/main.js" compile "$here/../s6.ssm" --target cuda --out-dir "$folder"
nvcc -std=c++17 -O3 -Werror all-warnings -Xcompiler -Wall,-Wextra \
  -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
  -I "$folder" "$here/prefill-and-decode.cu" "$folder/statefuse_S6.cu" -o "$folder/prefill-and-decode"
echo "$folder/prefill-and-decode"
