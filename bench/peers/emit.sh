#!/bin/sh
# Emits the PyTorch packages that run.py times: every layer at the sizes of its rows, named after them (two
# sizes of one layer live in one process). Needs `npm run build`, or STATEFUSE with another command.
# usage: emit.sh DIRECTORY [--small]
set -eu
[ $# -ge 1 ] || { echo 'usage: emit.sh DIRECTORY [--small]' >&2; exit 2; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
sizes=${2:-}
cd "$(dirname "$0")/../.."
command=${STATEFUSE:-node dist/cli/main.js}
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT

# emit FILE LAYER CHANNELS [SIZE…], for input types $dtypes
emit() {
  file=$1 layer=$2 channels=$3
  shift 3
  sed "s/^layer $layer(/layer ${layer}D$channels(/" "$file" > "$texts/$layer$channels.ssm"
  # shellcheck disable=SC2086
  $command compile "$texts/$layer$channels.ssm" --target torch --dtypes $dtypes --size "D=$channels" "$@" --out-dir "$target/$layer-$channels"
}
# few FILE LAYER CHANNELS BATCH LENGTH [SIZE…]: a package that expects a small batch, for which time is cut
few() {
  file=$1 layer=$2 channels=$3 batch=$4 length=$5
  shift 5
  sed "s/^layer $layer(/layer ${layer}D${channels}B$batch(/" "$file" > "$texts/$layer$channels-$batch.ssm"
  # shellcheck disable=SC2086
  $command compile "$texts/$layer$channels-$batch.ssm" --target torch --dtypes $dtypes --batch "$batch" --length "$length" \
    --size "D=$channels" "$@" --out-dir "$target/$layer-$channels-$batch"
}
dtypes='f32 bf16'
if [ "$sizes" = --small ]; then
  emit examples/s6.ssm S6 64
  dtypes=f32
  emit examples/s4d.ssm S4D 16 --size N=4
  emit bench/layers/real-scan.ssm RealScan 32
  emit bench/layers/complex-scan.ssm ComplexScan 32
else
  for channels in 1536 2048 5120; do emit examples/s6.ssm S6 "$channels"; done
  dtypes=bf16
  few examples/s6.ssm S6 1536 2 2048
  few examples/s6.ssm S6 2048 1 65536
  few examples/s6.ssm S6 5120 1 8192
  dtypes=f32
  emit examples/s4d.ssm S4D 1024
  emit bench/layers/real-scan.ssm RealScan 1536
  emit bench/layers/complex-scan.ssm ComplexScan 1024
fi
