#!/usr/bin/env bash
# Compiles examples/s6.ssm to CUDA and the two programs beside this script with it, for sm_80 and sm_90.
#   examples/cuda/build.sh [FOLDER]        afterwards: FOLDER/prefill-and-decode (C++), FOLDER/against-float64 (C)
# Needs `npm run build` before, nvcc of CUDA 12 or later, and gcc; CUDA_HOME where it is not /usr/local/cuda.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../out/cuda-example}
compile=(nvcc -O3 -Werror all-warnings -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90)
headers=${CUDA_HOME:-/usr/local/cuda}/include

node "$here/../../dist/cli/main.js" compile "$here/../s6.ssm" --target cuda --out-dir "$folder"
"${compile[@]}" -std=c++17 -Xcompiler -Wall,-Wextra -c "$folder/statefuse_S6.cu" -o "$folder/kernels.o"
"${compile[@]}" -std=c++17 -Xcompiler -Wall,-Wextra -I "$folder" "$here/prefill-and-decode.cu" "$folder/kernels.o" \
  -o "$folder/prefill-and-decode"
gcc -std=c11 -O2 -Wall -Wextra -Werror -pedantic -I "$folder" -isystem "$headers" -c "$here/against-float64.c" -o "$folder/against-float64.o"
"${compile[@]}" "$folder/against-float64.o" "$folder/kernels.o" -o "$folder/against-float64"
echo "$folder/prefill-and-decode $folder/against-float64"
