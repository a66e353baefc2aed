// What the host program knows about a layer: filled in by the generated entries.cu, read by main.cu.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

namespace host {

using Size = long long;

enum class Storage { f32, f64, f16, bf16, i32, u32, i8, u8 };

struct TensorRow {
  const char* name;
  const char* role;
  Storage storage;
  Size (*count)(Size batch, Size length);
  bool scratch;
  bool written;
};

// One kernel of an entry, launched by its address; bindings are places in the entry's tensor table.
struct KernelRow {
  const char* name;
  const void* function;
  unsigned int threads;
  int dynamic_shared_bytes;
  Size (*grid[3])(Size batch, Size length);
  const int* bindings;
  int binding_count;
  Size (*const* uniforms)(Size batch, Size length);
  int uniform_count;
};

struct EntryRow {
  const char* name;
  const TensorRow* tensors;
  int tensor_count;
  const KernelRow* kernels;
  int kernel_count;
  size_t (*scratch_bytes)(Size batch, Size length);
  // The generated header's launch function; pointers are in the order of the tensor table.
  cudaError_t (*launch)(void* const* pointers, Size batch, Size length, void* scratch, cudaStream_t stream);
};

struct LayerTable {
  const char* layer;
  const EntryRow* entries;
  int entry_count;
};

const LayerTable& layer_table();

}  // namespace host
