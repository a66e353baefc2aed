// Times of an entry and of its kernels, taken with CUDA events. Copies of all tensors are rotated, so
// that inputs smaller than the L2 cache are read from memory in each run, as in a network.
#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "memory.h"

namespace host {

struct Timing {
  double median_us, least_us, most_us;
  double queued_us;  // per run, when all runs are queued at once
  int copies;
};

class Events {
 public:
  Events() {
    check(cudaEventCreate(&start_), "cudaEventCreate");
    check(cudaEventCreate(&end_), "cudaEventCreate");
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  ~Events() {
    cudaEventDestroy(start_);
    cudaEventDestroy(end_);
  }
  double microseconds(cudaStream_t stream, const std::function<void()>& work) const {
    check(cudaEventRecord(start_, stream), "cudaEventRecord");
    work();
    check(cudaEventRecord(end_, stream), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "a kernel");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start_, end_), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1000;
  }

 private:
  cudaEvent_t start_, end_;
};

inline std::vector<Run> make_copies(const EntryRow& entry, Size batch, Size length, const Pool& pool) {
  int device = 0, cache = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device), "cudaDeviceGetAttribute");
  std::vector<Run> runs;
  runs.push_back(allocate(entry, batch, length));
  const size_t each = std::max<size_t>(useful_bytes(runs[0]), 1);
  const size_t wanted = std::min<size_t>(3 * static_cast<size_t>(cache) / each + 1, 64);
  while (runs.size() < wanted) runs.push_back(allocate(entry, batch, length));
  for (const Run& run : runs) fill(run, pool);
  return runs;
}

inline Timing time_runs(const std::vector<Run>& runs, cudaStream_t stream, int repeats, const std::function<void(const Run&)>& work) {
  const Events events;
  const auto nth = [&](size_t i) -> const Run& { return runs[i % runs.size()]; };
  for (int i = 0; i < 5; ++i) events.microseconds(stream, [&] { work(nth(static_cast<size_t>(i))); });
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) times.push_back(events.microseconds(stream, [&] { work(nth(static_cast<size_t>(i))); }));
  const double queued = events.microseconds(stream, [&] {
    for (int i = 0; i < repeats; ++i) work(nth(static_cast<size_t>(i)));
  });
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back(), queued / repeats, static_cast<int>(runs.size())};
}

// One kernel of a run, by its address.
inline void launch_kernel(const Run& run, const KernelRow& kernel, cudaStream_t stream) {
  std::vector<void*> pointers;
  std::vector<int> uniforms;
  for (int i = 0; i < kernel.binding_count; ++i) pointers.push_back(run.pointers[kernel.bindings[i]]);
  for (int i = 0; i < kernel.uniform_count; ++i) uniforms.push_back(static_cast<int>(kernel.uniforms[i](run.batch, run.length)));
  std::vector<void*> arguments;
  for (void*& pointer : pointers) arguments.push_back(&pointer);
  for (int& uniform : uniforms) arguments.push_back(&uniform);
  const auto blocks = [&](int axis) { return static_cast<unsigned int>(kernel.grid[axis](run.batch, run.length)); };
  const dim3 grid(blocks(0), blocks(1), blocks(2));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (kernel.dynamic_shared_bytes > 0) {
    check(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.dynamic_shared_bytes), kernel.name);
  }
  check(cudaLaunchKernel(kernel.function, grid, dim3(kernel.threads), arguments.data(), static_cast<size_t>(kernel.dynamic_shared_bytes), stream), kernel.name);
}

}  // namespace host
