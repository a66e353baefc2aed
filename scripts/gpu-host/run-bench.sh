#!/bin/sh
# Measures on a GPU host with what pack-all.sh packed: our PyTorch packages beside their peers, `statefuse
# bench` on the devices there, and `statefuse tune` where TUNE gives it seconds per layer.
# usage: run-bench.sh [peers] [devices] [tune]   (default: peers devices)
# OUT: folder for results. BUDGET: seconds per measurement of peers (0.3). LIMIT: seconds per step (240).
# ONLY: rows of the peers' table. DEVICES: of `statefuse bench` (cuda webgpu). LAYERS: names of layers (below).
# NODE_XZ: a packed Node elsewhere.
packed=$(cd "$(dirname "$0")" && pwd)
. "$packed/unpacked.sh"
status=0
steps=${*:-peers devices}

prepare_node() {
  [ ! -x "$work/node" ] || return 0
  place_program || return 1
  [ ! -e "$packed/dawn.node.xz" ] || place_webgpu || return 1
  export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$work/cache}"
  cp "$packed"/bench/layers/*.ssm "$work/examples/"
}

# step NAME COMMAND…: its output to $OUT/NAME.txt and here
step() {
  name=$1
  shift
  echo "-- $name: $*"
  timeout -k 5 "${LIMIT:-240}" "$@" > "$work/log" 2>&1
  code=$?
  [ $code -eq 0 ] || { status=1; echo "exit status $code" >> "$work/log"; }
  echo "== $name"
  cat "$work/log"
  cp "$work/log" "$OUT/$name.txt"
}

run_peers() {
  here=''
  if [ -d "$packed/bench/peers-here" ]; then
    here="--peers $work/peers"
    cp -R "$packed/bench/peers-here" "$work/peers"
    for extension in "$work"/peers/*.so.xz; do
      [ -e "$extension" ] && unpack "$extension" > "${extension%.xz}"
    done
  fi
  # shellcheck disable=SC2086
  step peers python3 -u "$packed/bench/peers/run.py" --ours "$packed/bench/ours" $here --json "$OUT/peers.json" --budget "${BUDGET:-0.3}" ${ONLY:+--only "$ONLY"}
}

# layers FUNCTION: calls it with a name and the arguments that choose a layer, its sizes and its storage
layers() {
  "$1" s6 examples/s6.ssm --size D=2048 --batch 8 --length 2048 --dtype bf16
  "$1" s6-long examples/s6.ssm --size D=2048 --batch 1 --length 65536 --dtype bf16
  "$1" s6-small examples/s6.ssm --size D=1536 --batch 2 --length 2048 --dtype bf16
  "$1" real-scan examples/real-scan.ssm --size D=1536 --batch 8 --length 4096
  "$1" s4d examples/s4d.ssm --size D=1024 --batch 8 --length 1024
}
chosen() { case " ${LAYERS:-$1} " in *" $1 "*) true ;; *) false ;; esac; }
bench_layer() {
  layer=$1
  shift
  chosen "$layer" || return 0
  for device in ${DEVICES:-cuda webgpu}; do
    step "bench-$device-$layer" ./node js/cli/main.js bench "$@" --device "$device" --samples 30
  done
}
tune_layer() {
  layer=$1
  shift
  chosen "$layer" || return 0
  step "tune-$layer" ./node js/cli/main.js tune "$@" --device cuda --budget "${TUNE:-30}" --cache "$OUT/tuning.json"
}

cd "$work" || exit 1

for part in $steps; do
  case "$part" in
    peers) run_peers ;;
    devices) prepare_node && layers bench_layer ;;
    tune) prepare_node && layers tune_layer ;;
    *) echo "run-bench: no step $part (peers, devices, tune)" >&2; exit 2 ;;
  esac
done
exit $status
