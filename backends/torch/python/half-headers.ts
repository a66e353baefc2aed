/**
 * Stand-ins for CUDA's headers of 16-bit types: NVRTC has no headers of its own, and the toolkit need not be
 * installed. They hold what backends/cuda/spelling.ts prints and nothing else.
 */
export const fp16Header: string = String.raw`// The part of CUDA's half-precision header that the kernels use, so that NVRTC needs no toolkit.
#pragma once
struct __half { unsigned short bits; };
static __device__ __forceinline__ float __half2float(__half value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}
static __device__ __forceinline__ __half __float2half_rn(float value) {
  __half result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
`;

export const bf16Header: string = String.raw`// The part of CUDA's bfloat16 header that the kernels use, so that NVRTC needs no toolkit.
#pragma once
struct __nv_bfloat16 { unsigned short bits; };
static __device__ __forceinline__ float __bfloat162float(__nv_bfloat16 value) {
  return __uint_as_float(static_cast<unsigned int>(value.bits) << 16);
}
static __device__ __forceinline__ __nv_bfloat16 __float2bfloat16_rn(float value) {
  __nv_bfloat16 result;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
#else
  const unsigned int bits = __float_as_uint(value);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  result.bits = is_nan ? 0x7fff : static_cast<unsigned short>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
  return result;
}
`;
