#!/bin/sh
# Runs the CUDA suite of a folder that `pack.sh --cuda` made: unpacks it, finds NVRTC, lists the devices,
# verifies every example on the GPU, then times and provokes errors (see cuda-suite.ts).
# usage: run-cuda.sh [SUITE…]   verify, conv, random, or suites of cuda-suite.ts; without names all but conv, which verifies
# convolutional mode, gradients too, at lengths from 1 to 65,536, and random: random layers in PROCESSES processes for
# MINUTES, each on the GPU too; failing ones are kept in OUT/random. OUT: folder for cuda.log and cuda.jsonl. NODE_XZ: a packed Node elsewhere.
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

# verified EXAMPLE OPTION…: adds to the example's log
verified() {
  example=$1; shift
  timeout "${LIMIT:-240}" "$node" $main verify "examples/$example" --device cuda "$@" >> "logs/$example" 2>&1 || echo "exit status $?" >> "logs/$example"
}
# lengths one after the other, since they share machine code
convolved() {
  for length in 1 7 1000 4099; do verified "$@" --mode conv --batch 3 --length $length; done
  verified "$@" --mode conv --batch 1 --length 65536
}
# each process has a seed of its own, from SEED on
random_layers() {
  each=0
  while [ $each -lt "${PROCESSES:-8}" ]; do
    timeout 600 "$node" js/random-layers.js --seed $((${SEED:-1} + each)) --count 100000 --minutes "${MINUTES:-4}" --cuda-every 1 --no-reduce \
      --keep "$OUT/random/$each" > "logs/$each.ssm" 2> "$OUT/random-$each.log" || echo "exit status $?" >> "logs/$each.ssm" &
    each=$((each + 1))
  done
}
# most of the time goes to NVRTC and to the reference: examples side by side
run_suite() {
  rm -rf logs
  mkdir logs
  case $1 in
    verify) for file in examples/*.ssm; do verified "$(basename "$file")" & done ;;
    conv)
      convolved s4d.ssm --size D=4 --size N=8 &
      convolved dss.ssm --size D=4 --size N=8 &
      convolved lru.ssm --size H=6 --size N=8 &
      convolved s5-bidirectional.ssm --size H=6 --size P=8 & ;;
    random) random_layers ;;
    *) step "$node" --expose-gc js/scripts/gpu-host/cuda-suite.js "$1" ;;
  esac
  wait
  for log in logs/*.ssm; do
    [ -e "$log" ] || break
    echo "== $log" >> "$OUT/cuda.log"
    cat "$log" >> "$OUT/cuda.log"
    ! grep -q '^exit status' "$log" || status=1
  done
}
[ $# -gt 0 ] || set -- verify overhead dtypes errors fault
for suite in "$@"; do
  echo "== $suite" >> "$OUT/cuda.log"
  run_suite "$suite"
done
echo "== $(ls "$XDG_CACHE_HOME/statefuse/cuda" | wc -l) cubins in the cache" >> "$OUT/cuda.log"
grep '^{' "$OUT/cuda.log" > "$OUT/cuda.jsonl"
cat "$OUT/cuda.log"
exit $status
