#!/bin/sh
# Builds the CUDA runtime's addon into build/cuda. Needs a C++17 compiler (CXX, default g++) and Node's
# headers (NODE_INCLUDE, else beside node or where `npm config get nodedir` says). No CUDA and no network.
set -eu
cd "$(dirname "$0")/.."
[ "$(uname -s)" = Linux ] || { echo 'build:cuda: the CUDA runtime is for Linux' >&2; exit 1; }
compiler=${CXX:-g++}
command -v "$compiler" > /dev/null || { echo "build:cuda: no C++ compiler \`$compiler\`; install g++ or set CXX" >&2; exit 1; }

prefix=$(dirname "$(dirname "$(node -p process.execPath)")")
nodedir=$(npm config get nodedir 2> /dev/null || true)
headers=''
for folder in "${NODE_INCLUDE:-}" "$nodedir/include/node" "$prefix/include/node" "$HOME/.cache/node-gyp/$(node -p process.versions.node)/include/node"; do
  [ -e "$folder/node_api.h" ] && headers=$folder && break
done
[ -n "$headers" ] || { echo "build:cuda: no node_api.h; set NODE_INCLUDE to the folder with Node's headers" >&2; exit 1; }
wrapper=$(node -p "require('node-addon-api').include_dir" 2> /dev/null || true)
[ -n "$wrapper" ] || { echo 'build:cuda: no package node-addon-api; run npm ci --ignore-scripts' >&2; exit 1; }

objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
running=''
for source in runtime/cuda/native/*.cc; do
  "$compiler" -std=c++17 -O2 -fPIC -fvisibility=hidden -Wall -Wextra -DNAPI_VERSION=8 -DNAPI_CPP_EXCEPTIONS -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS -DNODE_GYP_MODULE_NAME=statefuse_cuda \
    -I "$headers" -isystem "$wrapper" -c "$source" -o "$objects/$(basename "$source" .cc).o" &
  running="$running $!"
done
for process in $running; do wait "$process"; done
mkdir -p build/cuda
# another process may have the old file open: the new one takes its name when it is complete
"$compiler" -shared -s -static-libstdc++ -static-libgcc -o "build/cuda/statefuse_cuda.node.$$.part" "$objects"/*.o -ldl -lpthread
mv build/cuda/statefuse_cuda.node.$$.part build/cuda/statefuse_cuda.node
echo "built build/cuda/statefuse_cuda.node ($(wc -c < build/cuda/statefuse_cuda.node) B)"
