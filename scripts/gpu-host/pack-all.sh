#!/bin/sh
# Packs everything that measures on a GPU host without network: what pack.sh packs for WebGPU and for CUDA,
# the comparison with peers (bench/peers), the layers it needs, and our PyTorch packages of them. For
# linux-x64. PEERS names a folder with peers' packages and built extensions for that host, to be taken along.
# NODE_XZ: a packed Node that is there already and is left out.
# usage: pack-all.sh DIRECTORY   (then there: DIRECTORY/run-bench.sh, run-webgpu.sh, run-cuda.sh)
set -eu
[ $# -eq 1 ] || { echo 'usage: pack-all.sh DIRECTORY' >&2; exit 2; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

sh scripts/gpu-host/pack.sh "$target" || echo 'pack-all: without WebGPU' >&2
# the program with the addon holds the other one
sh scripts/gpu-host/pack.sh --cuda "$target" || echo 'pack-all: without CUDA in Node' >&2

rm -rf "$target/bench"
mkdir -p "$target/bench/layers" "$target/bench/peers"
cp bench/layers/*.ssm "$target/bench/layers/"
cp bench/peers/*.py bench/peers/README.md "$target/bench/peers/"
npm run --silent build
bench/peers/emit.sh "$target/bench/ours" || echo 'pack-all: without all of our PyTorch packages' >&2
if [ -n "${PEERS:-}" ]; then
  cp -R "$PEERS" "$target/bench/peers-here"
  find "$target/bench/peers-here" -name '__pycache__' -prune -exec rm -rf {} +
fi
cp scripts/gpu-host/run-bench.sh "$target/"
chmod +x "$target/run-bench.sh"
du -k -s "$target" | awk '{ printf "packed %.1f MiB in all\n", $1 / 1024 }'
