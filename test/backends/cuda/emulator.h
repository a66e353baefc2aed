// Runs printed CUDA kernels on the CPU: one thread per invocation, blocks one after the other. For
// tests on machines without a GPU; needs CUDA's headers for the vector and 16-bit types.
#pragma once
#include <vector_types.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <barrier>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#undef __global__
#undef __device__
#undef __forceinline__
#undef __launch_bounds__
#undef __shared__
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

// The prelude's own version is an instruction of the GPU.
#define STATEFUSE_EXP2
inline float sf_exp2(float x) { return exp2f(x); }
inline double sf_exp2(double x) { return exp2(x); }
#define STATEFUSE_DIVIDE
template <typename Element> Element sf_divide(Element left, Element right) { return left / right; }

struct Place { unsigned int x, y, z; };
inline thread_local Place threadIdx;
inline Place blockIdx;
inline unsigned int block_size;
inline std::unique_ptr<std::barrier<>> everybody;
inline char exchange[1024][8];

inline void __syncthreads() { everybody->arrive_and_wait(); }

template <typename T> T __shfl_xor_sync(unsigned int, T value, int mask) {
  std::memcpy(exchange[threadIdx.x], &value, sizeof(T));
  __syncthreads();
  const unsigned int other = threadIdx.x ^ static_cast<unsigned int>(mask);
  if (other < block_size) std::memcpy(&value, exchange[other], sizeof(T));
  __syncthreads();
  return value;
}

inline unsigned int __activemask() { return 0xffffffffu; }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned int __float_as_uint(float x) { return std::bit_cast<unsigned int>(x); }
inline float __uint_as_float(unsigned int x) { return std::bit_cast<float>(x); }
using std::abs;
using std::cos;
using std::floor;
using std::log2;
using std::max;
using std::min;
using std::sin;
using std::sqrt;

inline void run_grid(Place blocks, unsigned int threads, const std::function<void()>& kernel) {
  block_size = threads;
  for (blockIdx.z = 0; blockIdx.z < blocks.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < blocks.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < blocks.x; ++blockIdx.x) {
        everybody = std::make_unique<std::barrier<>>(threads);
        std::vector<std::thread> running;
        for (unsigned int i = 0; i < threads; ++i)
          running.emplace_back([&kernel, i] { threadIdx = {i, 0, 0}; kernel(); });
        for (std::thread& each : running) each.join();
      }
}

inline std::FILE* numbers_in;
inline std::FILE* numbers_out;

// A tensor at a 256-byte boundary, as cudaMalloc gives it.
template <typename T> struct Tensor {
  size_t count;
  T* data;
  explicit Tensor(size_t size) : count(size), data(static_cast<T*>(std::aligned_alloc(256, (size * sizeof(T) + 511) / 256 * 256))) {
    for (size_t i = 0; i < count; ++i) {
      double value;
      if (std::fread(&value, 8, 1, numbers_in) != 1) std::abort();
      if constexpr (std::is_integral_v<T> || std::is_same_v<T, double>) data[i] = static_cast<T>(value);
      else data[i] = T(static_cast<float>(value));
    }
  }
  void write() const {
    for (size_t i = 0; i < count; ++i) {
      double value;
      if constexpr (std::is_integral_v<T> || std::is_same_v<T, double>) value = static_cast<double>(data[i]);
      else value = static_cast<double>(static_cast<float>(data[i]));
      std::fwrite(&value, 8, 1, numbers_out);
    }
  }
};
