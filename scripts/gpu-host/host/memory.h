// Device memory of one run of an entry: a pointer per tensor, and scratch.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "case-file.h"
#include "failure.h"
#include "storage.h"
#include "table.h"

namespace host {

// Bytes on the device, freed at the end of its scope.
class Block {
 public:
  explicit Block(size_t bytes) : bytes_(bytes) {
    if (bytes > 0) check(cudaMalloc(&pointer_, bytes), "cudaMalloc");
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  Block(Block&& other) noexcept : pointer_(other.pointer_), bytes_(other.bytes_) { other.pointer_ = nullptr; }
  ~Block() { cudaFree(pointer_); }
  void* pointer() const { return pointer_; }
  size_t bytes() const { return bytes_; }
  void poison() const {
    if (bytes_ > 0) check(cudaMemset(pointer_, 0xff, bytes_), "poison");
  }
  void write(const std::vector<char>& from) const {
    if (from.size() != bytes_) fail("tensor of another size");
    if (bytes_ > 0) check(cudaMemcpy(pointer_, from.data(), bytes_, cudaMemcpyHostToDevice), "upload");
  }
  std::vector<char> read() const {
    std::vector<char> to(bytes_);
    if (bytes_ > 0) check(cudaMemcpy(to.data(), pointer_, bytes_, cudaMemcpyDeviceToHost), "download");
    return to;
  }

 private:
  void* pointer_ = nullptr;
  size_t bytes_;
};

// The tensors that pass between the entries of a case, as they lie in memory.
using Pool = std::map<std::string, std::vector<char>>;

struct Run {
  const EntryRow* entry;
  Size batch, length;
  std::vector<Block> blocks;    // by place in the tensor table; scratch tensors have none
  std::vector<void*> pointers;  // by place in the tensor table, scratch included
  Block scratch;
};

inline size_t tensor_bytes(const TensorRow& tensor, Size batch, Size length) {
  return static_cast<size_t>(tensor.count(batch, length)) * bytes_of(tensor.storage);
}

// Scratch is laid out as the generated header does it: in order, each tensor at a multiple of 256 bytes.
inline Run allocate(const EntryRow& entry, Size batch, Size length) {
  Run run{&entry, batch, length, {}, {}, Block(entry.scratch_bytes(batch, length))};
  char* free_scratch = static_cast<char*>(run.scratch.pointer());
  for (int i = 0; i < entry.tensor_count; ++i) {
    const TensorRow& tensor = entry.tensors[i];
    const size_t bytes = tensor_bytes(tensor, batch, length);
    run.blocks.emplace_back(tensor.scratch ? 0 : bytes);
    run.pointers.push_back(tensor.scratch ? free_scratch : run.blocks.back().pointer());
    if (tensor.scratch) free_scratch += (bytes + 255) / 256 * 256;
  }
  return run;
}

// Uploads what the pool has; everything else, scratch included, becomes NaN.
inline void fill(const Run& run, const Pool& pool) {
  run.scratch.poison();
  for (int i = 0; i < run.entry->tensor_count; ++i) {
    const TensorRow& tensor = run.entry->tensors[i];
    if (tensor.scratch) continue;
    const auto known = pool.find(tensor.name);
    if (known != pool.end() && !tensor.written) run.blocks[i].write(known->second);
    else if (tensor.written) run.blocks[i].poison();
    else fail(std::string("the case has no tensor ") + tensor.name);
  }
}

inline void launch(const Run& run, cudaStream_t stream) {
  check(run.entry->launch(run.pointers.data(), run.batch, run.length, run.scratch.pointer(), stream), run.entry->name);
}

inline size_t useful_bytes(const Run& run) {
  size_t sum = 0;
  for (const Block& block : run.blocks) sum += block.bytes();
  return sum;
}

}  // namespace host
