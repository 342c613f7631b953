// Floats as vectors of double, and back. __builtin_convertvector of GCC 12 does that in parts and
// puts them together again, with AVX2 through memory: sums took two to three times as long. So the
// instructions are named.
#pragma once

#include "cpu/vec.h"

#if GS_ISA_LEVEL > 0
#include <immintrin.h>
#endif

namespace gs::cpu {
namespace {

// As many floats as a vector has doubles.
typedef float HalfVec __attribute__((vector_size(kVectorBytes / 2)));

GS_INLINE Vec<double> to_doubles(HalfVec v) {
#if GS_ISA_LEVEL == 2
  return (Vec<double>)_mm512_cvtps_pd((__m256)v);
#elif GS_ISA_LEVEL == 1
  return (Vec<double>)_mm256_cvtps_pd((__m128)v);
#else
  return __builtin_convertvector(v, Vec<double>);
#endif
}
GS_INLINE HalfVec to_floats(Vec<double> v) {
#if GS_ISA_LEVEL == 2
  return (HalfVec)_mm512_cvtpd_ps((__m512d)v);
#elif GS_ISA_LEVEL == 1
  return (HalfVec)_mm256_cvtpd_ps((__m256d)v);
#else
  return __builtin_convertvector(v, HalfVec);
#endif
}

GS_INLINE Vec<double> load_doubles(const double* p) { return load(p); }
GS_INLINE Vec<double> load_doubles(const float* p) {
  HalfVec v;
  __builtin_memcpy(&v, p, sizeof v);
  return to_doubles(v);
}

}  // namespace
}  // namespace gs::cpu
