#!/bin/sh
# Builds every project folder below the given one side by side, then runs them one after another.
# usage: run-all.sh DIRECTORY   (OUT: folder for logs)
out="${OUT:-$PWD/out}"
mkdir -p "$out"
for project in "$1"/*/; do
  ( cd "$project" && nvcc -std=c++17 -O3 -arch=sm_90 -Werror all-warnings -Xptxas -v -c kernels.cu -o kernels.o 2> ptxas.log &&
    nvcc -std=c++17 -O3 -arch=sm_90 -Werror all-warnings main.cu entries.cu kernels.o -o main 2>> ptxas.log || echo "build of $project failed" ) &
done
wait
for project in "$1"/*/; do
  name=$(basename "$project")
  echo "== $name"
  grep -A3 -E "Compiling entry function '[a-z_]*(scan|backward)[_a-z]*0'" "$project/ptxas.log" | grep -E 'Compiling|spill|Used'
  ( cd "$project" && ./main --json results.jsonl cases/*.case > log.txt 2>&1; echo "exit $?"; cat log.txt )
done > "$out/log.txt" 2>&1
cat "$1"/*/results.jsonl > "$out/results.jsonl" 2>/dev/null
cat "$out/log.txt"
