#!/usr/bin/env bash
# Compiles the CUDA text of layers in every mode they have with nvcc, for sm_80 and sm_90, all warnings being errors, and
# lists kernels that spill. Ends with 1 when anything warned, failed or spilled.
#   scripts/check-cuda.sh [FILE.ssm ...]        all examples when none is named; takes minutes
# Needs `npm run build` before, and nvcc of CUDA 12 or later.
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- examples/*.ssm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# lines "registers bytes-spilled kernel" of a ptxas report
spills() {
  awk '/Compiling entry function/ { kernel = $7 " on " $9 }
       /bytes spill stores/ { spilled = $5 + $9 }
       /Used [0-9]+ registers/ { if (spilled > 0) print spilled, "bytes spilled by", kernel }' "$1" | sort -rn
}

for file in "$@"; do
  for mode in recurrent scan conv; do
    folder=$work/$(basename "$file" .ssm)-$mode
    if ! node dist/cli/main.js compile "$file" --target cuda --mode $mode --out-dir "$folder" > "$work/said" 2>&1; then
      echo "$file $mode: $(grep -o 'SSM[0-9]*' "$work/said" | head -1) (not a mode of this layer)"
      grep -q SSM4001 "$work/said" || failed=1
      continue
    fi
    if ! nvcc -std=c++17 -Werror all-warnings -Xcompiler -Wall,-Wextra -Xptxas -v \
        -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_90,code=sm_90 \
        -c "$folder"/statefuse_*.cu -o "$folder/kernels.o" 2> "$folder/log"; then
      echo "$file $mode: nvcc failed"; head -20 "$folder/log"; failed=1
      continue
    fi
    found=$(spills "$folder/log")
    echo "$file $mode: $(grep -c 'Compiling entry' "$folder/log") kernels for two architectures${found:+, spills:}"
    [ -z "$found" ] || { echo "$found"; failed=1; }
  done
done
exit $failed
