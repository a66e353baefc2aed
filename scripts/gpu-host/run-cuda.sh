#!/bin/sh
# Runs the CUDA suite of a folder that `pack.sh --cuda` made: unpacks it, finds NVRTC, lists the devices,
# verifies every example on the GPU, then times and provokes errors (see cuda-suite.ts).
# usage: run-cuda.sh [SUITE…]   suites of cuda-suite.ts; without names verify and all of them. OUT: folder for cuda.log and cuda.jsonl. NODE_XZ: a packed Node elsewhere.
packed=$(cd "$(dirname "$0")" && pwd)
. "$packed/unpacked.sh"
place_program || exit 1
node=./node
export XDG_CACHE_HOME="$work/cache" UV_THREADPOOL_SIZE="${UV_THREADPOOL_SIZE:-8}"
if [ -z "${STATEFUSE_NVRTC:-}" ] && ! ls /usr/local/cuda*/lib64/libnvrtc.so* > /dev/null 2>&1; then
  found=$(python3 -c 'import glob, site
print((sum((glob.glob(p + "/nvidia/**/libnvrtc.so.*[0-9]", recursive=True) for p in site.getsitepackages()), []) or [""])[0])' 2> /dev/null)
  [ -z "$found" ] || export STATEFUSE_NVRTC="$found"
fi

cd "$work" || exit 1
status=0
main=js/cli/main.js
step() {
  timeout "${LIMIT:-60}" "$@" >> "$OUT/cuda.log" 2>&1 || { echo "exit status $?: $*" >> "$OUT/cuda.log"; status=1; }
}
: > "$OUT/cuda.log"
step "$node" $main devices
# most of the time goes to NVRTC: side by side
mkdir logs
for example in examples/*.ssm; do
  [ $# -eq 0 ] || break
  ( timeout "${LIMIT:-60}" "$node" $main verify "$example" --device cuda > "logs/$(basename "$example")" 2>&1 || echo "exit status $?" >> "logs/$(basename "$example")" ) &
done
wait
for log in logs/*.ssm; do
  [ -e "$log" ] || break
  echo "== $log" >> "$OUT/cuda.log"
  cat "$log" >> "$OUT/cuda.log"
  grep -q '^exit status' "$log" && status=1
done
[ $# -gt 0 ] || set -- overhead dtypes errors fault
for suite in "$@"; do
  echo "== $suite" >> "$OUT/cuda.log"
  step "$node" --expose-gc js/scripts/gpu-host/cuda-suite.js $suite
done
echo "== $(ls "$XDG_CACHE_HOME/statefuse/cuda" | wc -l) cubins in the cache" >> "$OUT/cuda.log"
grep '^{' "$OUT/cuda.log" > "$OUT/cuda.jsonl"
cat "$OUT/cuda.log"
exit $status
