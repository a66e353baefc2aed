// Times entries of a layer at sizes too large to be filled or checked by the CPU: tensors are drawn on
// the GPU, entries run in order on the same tensors (what forwardSaved writes, backward reads), and each
// is timed as replays of a CUDA graph, over copies of all tensors that exceed three times the L2 cache.
//
//   quick BATCH LENGTH ENTRY... [NAME=LOW,HIGH...]
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "memory.h"
#include "timing.h"

namespace {

using namespace host;

__device__ float random_at_place(std::uint64_t seed, std::uint64_t at) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15ull + at;
  x ^= x >> 30; x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27; x *= 0x94d049bb133111ebull;
  x ^= x >> 31;
  return static_cast<float>(x >> 40) * 0x1p-24f;
}

template <typename Element>
__global__ void draw(Element* to, size_t count, std::uint64_t seed, float low, float high) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count; i += step) {
    to[i] = static_cast<Element>(low + (high - low) * random_at_place(seed, i));
  }
}

struct Range { float low, high; };

void fill_random(void* to, Storage storage, size_t count, std::uint64_t seed, Range range) {
  const int blocks = 4096, threads = 256;
  switch (storage) {
    case Storage::f32: draw<<<blocks, threads>>>(static_cast<float*>(to), count, seed, range.low, range.high); break;
    case Storage::bf16: draw<<<blocks, threads>>>(static_cast<__nv_bfloat16*>(to), count, seed, range.low, range.high); break;
    case Storage::f16: draw<<<blocks, threads>>>(static_cast<__half*>(to), count, seed, range.low, range.high); break;
    default: check(cudaMemset(to, 0, count * bytes_of(storage)), "zero"); break;
  }
  check(cudaGetLastError(), "draw");
}

// One set of all tensors of the entries, by name.
using Tensors = std::map<std::string, Block>;

const EntryRow& entry_named(const std::string& name) {
  const LayerTable& table = layer_table();
  for (int i = 0; i < table.entry_count; ++i) if (name == table.entries[i].name) return table.entries[i];
  fail("the layer has no entry " + name);
}

struct Settings {
  Size batch = 1, length = 1;
  std::vector<std::string> entries;
  std::map<std::string, Range> ranges;
};

Settings read_settings(int count, char** words) {
  if (count < 4) fail("usage: quick BATCH LENGTH ENTRY... [NAME=LOW,HIGH...]");
  Settings settings;
  settings.batch = std::atoll(words[1]);
  settings.length = std::atoll(words[2]);
  for (int i = 3; i < count; ++i) {
    const std::string word = words[i];
    const size_t equals = word.find('='), comma = word.find(',');
    if (equals == std::string::npos) settings.entries.push_back(word);
    else settings.ranges[word.substr(0, equals)] = {std::strtof(word.c_str() + equals + 1, nullptr), std::strtof(word.c_str() + comma + 1, nullptr)};
  }
  return settings;
}

void add_tensors(const EntryRow& entry, const Settings& settings, Tensors& tensors) {
  for (int i = 0; i < entry.tensor_count; ++i) {
    const TensorRow& row = entry.tensors[i];
    if (row.scratch || tensors.count(row.name) > 0) continue;
    const size_t bytes = tensor_bytes(row, settings.batch, settings.length);
    const Block& block = tensors.emplace(row.name, Block(bytes)).first->second;
    const auto known = settings.ranges.find(row.name);
    const Range range = known == settings.ranges.end() ? Range{-1, 1} : known->second;
    if (row.written) block.poison();
    else fill_random(block.pointer(), row.storage, bytes / bytes_of(row.storage), tensors.size(), range);
  }
}

size_t entry_bytes(const EntryRow& entry, const Settings& settings) {
  size_t sum = 0;
  for (int i = 0; i < entry.tensor_count; ++i) if (!entry.tensors[i].scratch) sum += tensor_bytes(entry.tensors[i], settings.batch, settings.length);
  return sum;
}

Run run_of(const EntryRow& entry, const Settings& settings, const Tensors& tensors) {
  Run run{&entry, settings.batch, settings.length, {}, {}, Block(entry.scratch_bytes(settings.batch, settings.length))};
  char* scratch = static_cast<char*>(run.scratch.pointer());
  for (int i = 0; i < entry.tensor_count; ++i) {
    const TensorRow& row = entry.tensors[i];
    run.pointers.push_back(row.scratch ? scratch : tensors.at(row.name).pointer());
    if (row.scratch) scratch += (tensor_bytes(row, settings.batch, settings.length) + 255) / 256 * 256;
  }
  return run;
}

// Median, least and greatest time of one run, from replays of graphs with several runs each.
struct Measured { double median, least, most; };

Measured replay(cudaStream_t stream, int per_graph, int replays, const std::function<void(int)>& work) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
  for (int i = 0; i < per_graph; ++i) work(i);
  check(cudaStreamEndCapture(stream, &graph), "end capture");
  check(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
  const Events events;
  for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(executable, stream), "graph");
  std::vector<double> times;
  for (int i = 0; i < replays; ++i) {
    times.push_back(events.microseconds(stream, [&] { check(cudaGraphLaunch(executable, stream), "graph"); }) / per_graph);
  }
  check(cudaGraphExecDestroy(executable), "destroy");
  check(cudaGraphDestroy(graph), "destroy");
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back()};
}

size_t count_not_finite_tensor(const TensorRow& row, const Block& block, size_t most) {
  if (row.storage != Storage::f32) return 0;
  std::vector<float> values(std::min(most, block.bytes() / 4));
  check(cudaMemcpy(values.data(), static_cast<const char*>(block.pointer()) + block.bytes() - values.size() * 4, values.size() * 4, cudaMemcpyDeviceToHost), "read");
  return static_cast<size_t>(std::count_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); }));
}

}  // namespace

int main(int count, char** words) {
  const Settings settings = read_settings(count, words);
  int cache = 0;
  check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, 0), "cudaDeviceGetAttribute");
  size_t smallest = ~size_t{0};
  for (const std::string& name : settings.entries) smallest = std::min(smallest, entry_bytes(entry_named(name), settings));
  const size_t copies = std::min<size_t>(3 * static_cast<size_t>(cache) / std::max<size_t>(smallest, 1) + 1, 64);
  std::vector<Tensors> sets(copies);
  for (Tensors& set : sets) for (const std::string& name : settings.entries) add_tensors(entry_named(name), settings, set);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream), "stream");
  for (const std::string& name : settings.entries) {
    const EntryRow& entry = entry_named(name);
    std::vector<Run> runs;
    for (const Tensors& set : sets) runs.push_back(run_of(entry, settings, set));
    for (const Run& run : runs) launch(run, stream);
    check(cudaStreamSynchronize(stream), "a kernel");
    const double bytes = static_cast<double>(entry_bytes(entry, settings));
    const int per_graph = bytes > 1e8 ? 2 : static_cast<int>(std::max<size_t>(copies, 20));
    const int replays = bytes > 1e8 ? 15 : 20;
    const auto nth = [&](int i) -> const Run& { return runs[static_cast<size_t>(i) % runs.size()]; };
    const Measured whole = replay(stream, per_graph, replays, [&](int i) { launch(nth(i), stream); });
    size_t bad = 0;
    for (int i = 0; i < entry.tensor_count; ++i) {
      const TensorRow& row = entry.tensors[i];
      if (!row.scratch && row.written) bad += count_not_finite_tensor(row, sets[0].at(row.name), 100000);
    }
    std::printf("%-14s B%lld L%lld %9.2f us (%.2f to %.2f) %6.0f GB/s of %.1f MB, %zu copies%s\n", entry.name, settings.batch, settings.length,
                whole.median, whole.least, whole.most, bytes / whole.median / 1e3, bytes / 1e6, copies, bad > 0 ? " NOT FINITE" : "");
    for (int k = 0; entry.kernel_count > 1 && k < entry.kernel_count; ++k) {
      const KernelRow& kernel = entry.kernels[k];
      const Measured one = replay(stream, per_graph, 8, [&](int i) { launch_kernel(nth(i), kernel, stream); });
      std::printf("    %-40s %9.2f us\n", kernel.name, one.median);
    }
    std::fflush(stdout);
  }
  return 0;
}
