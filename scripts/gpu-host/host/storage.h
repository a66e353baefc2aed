// Numbers as they lie in a tensor: conversion between float64 and every storage type, on the host.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "table.h"

namespace host {

inline size_t bytes_of(Storage storage) {
  switch (storage) {
    case Storage::f64: return 8;
    case Storage::f32: case Storage::i32: case Storage::u32: return 4;
    case Storage::f16: case Storage::bf16: return 2;
    case Storage::i8: case Storage::u8: return 1;
  }
  return 0;
}

// Rounds through f32, as kernels do, then to nearest even.
inline void encode_one(Storage storage, double value, char* to) {
  switch (storage) {
    case Storage::f64: std::memcpy(to, &value, 8); break;
    case Storage::f32: { const float x = static_cast<float>(value); std::memcpy(to, &x, 4); break; }
    case Storage::f16: { const __half x = __float2half_rn(static_cast<float>(value)); std::memcpy(to, &x, 2); break; }
    case Storage::bf16: { const __nv_bfloat16 x = __float2bfloat16_rn(static_cast<float>(value)); std::memcpy(to, &x, 2); break; }
    case Storage::i32: { const auto x = static_cast<std::int32_t>(value); std::memcpy(to, &x, 4); break; }
    case Storage::u32: { const auto x = static_cast<std::uint32_t>(value); std::memcpy(to, &x, 4); break; }
    case Storage::i8: { const auto x = static_cast<std::int8_t>(value); std::memcpy(to, &x, 1); break; }
    case Storage::u8: { const auto x = static_cast<std::uint8_t>(value); std::memcpy(to, &x, 1); break; }
  }
}

inline double decode_one(Storage storage, const char* from) {
  switch (storage) {
    case Storage::f64: { double x; std::memcpy(&x, from, 8); return x; }
    case Storage::f32: { float x; std::memcpy(&x, from, 4); return x; }
    case Storage::f16: { __half x; std::memcpy(&x, from, 2); return __half2float(x); }
    case Storage::bf16: { __nv_bfloat16 x; std::memcpy(&x, from, 2); return __bfloat162float(x); }
    case Storage::i32: { std::int32_t x; std::memcpy(&x, from, 4); return x; }
    case Storage::u32: { std::uint32_t x; std::memcpy(&x, from, 4); return x; }
    case Storage::i8: { std::int8_t x; std::memcpy(&x, from, 1); return x; }
    case Storage::u8: { std::uint8_t x; std::memcpy(&x, from, 1); return x; }
  }
  return 0;
}

inline std::vector<char> encode(Storage storage, const std::vector<double>& values) {
  const size_t width = bytes_of(storage);
  std::vector<char> bytes(values.size() * width);
  for (size_t i = 0; i < values.size(); ++i) encode_one(storage, values[i], bytes.data() + i * width);
  return bytes;
}

inline std::vector<double> decode(Storage storage, const std::vector<char>& bytes) {
  const size_t width = bytes_of(storage);
  std::vector<double> values(bytes.size() / width);
  for (size_t i = 0; i < values.size(); ++i) values[i] = decode_one(storage, bytes.data() + i * width);
  return values;
}

// Uniform numbers from a counter, so that a tensor's content depends on its seed alone.
inline double random_at(std::uint64_t seed, std::uint64_t at) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15ull + at;
  x ^= x >> 30; x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27; x *= 0x94d049bb133111ebull;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) / 9007199254740992.0;
}

}  // namespace host
