/* Vectors of floats in the compiler's own notation, and the few functions of them that a recurrent network needs.
 *
 * W floats a vector: 16 with AVX-512, 8 with AVX, else 4. A column panel of a packed matrix is NR = 4 W wide. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define W 16
#elif defined(__AVX__)
#define W 8
#else
#define W 4
#endif
#define NR (4 * W)
#define ALIGN 64

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef float vf_u __attribute__((vector_size(4 * W), aligned(4)));
typedef int32_t vi_u __attribute__((vector_size(4 * W), aligned(4)));

#define INLINE static inline __attribute__((always_inline))
#define LOOP_UNROLLED _Pragma("GCC unroll 16")

INLINE vf vload(const float *p) { return *(const vf_u *)p; }
INLINE void vstore(float *p, vf v) { *(vf_u *)p = v; }
INLINE vf vset(float x) { return x - (vf){0}; }

#if defined(__AVX512F__)
INLINE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vi vround(vf v) { return (vi)_mm512_cvtps_epi32((__m512)v); }
INLINE vf vabs(vf v) { return (vf)_mm512_abs_ps((__m512)v); }
INLINE float vmax_all(vf v) { return _mm512_reduce_max_ps((__m512)v); }
INLINE float vsum(vf v) { return _mm512_reduce_add_ps((__m512)v); }
/* One bit a lane where a > b. */
INLINE uint32_t vgreater(vf a, vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ); }
#elif defined(__AVX__)
INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vi vround(vf v) { return (vi)_mm256_cvtps_epi32((__m256)v); }
INLINE vf vabs(vf v) { return (vf)((vi)v & (0x7fffffff + (vi){0})); }
INLINE uint32_t vgreater(vf a, vf b) {
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GT_OQ));
}
#else
INLINE vf vpick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE vf vmax(vf a, vf b) { return vpick(a > b, a, b); }
INLINE vf vmin(vf a, vf b) { return vpick(a < b, a, b); }
INLINE vi vround(vf v) {
    vf magic = vset(12582912.0f); /* 1.5 * 2^23: adding it leaves the integer in the low bits */
    return (vi)(v + magic) - (vi)magic;
}
INLINE vf vabs(vf v) { return (vf)((vi)v & (0x7fffffff + (vi){0})); }
INLINE uint32_t vgreater(vf a, vf b) {
    uint32_t mask = 0;
    for (int i = 0; i < W; i++) mask |= (uint32_t)(a[i] > b[i]) << i;
    return mask;
}
#endif
#if !defined(__AVX512F__)
INLINE float vmax_all(vf v) {
    float best = v[0];
    for (int i = 1; i < W; i++) best = v[i] > best ? v[i] : best;
    return best;
}
INLINE float vsum(vf v) {
    float sum = 0;
    for (int i = 0; i < W; i++) sum += v[i];
    return sum;
}
#endif

INLINE float fmax2(float a, float b) { return a > b ? a : b; }
INLINE float fmin2(float a, float b) { return a < b ? a : b; }

/* e^x to a relative 5e-7: 2^n times a polynomial of the rest of x log2 e. Below -87 it is 0 or nearly, above 88 large. */
INLINE vf vexp(vf x) {
#if defined(__AVX512F__)
    vf n = (vf)_mm512_roundscale_ps((__m512)(x * 1.44269504f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    x = vmin(vmax(x, vset(-87.0f)), vset(88.0f));
    vi whole = vround(x * 1.44269504f);
    vf n = __builtin_convertvector(whole, vf);
#endif
    vf r = x * 1.44269504f - n;
    vf p = ((((r * 1.339528536e-3f + 9.670767876e-3f) * r + 5.550340668e-2f) * r + 2.402221166e-1f) * r +
            6.931472001e-1f) * r + 1.0000000523f; /* Chebyshev's fit on [-1/2, 1/2] */
#if defined(__AVX512F__)
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    return (vf)((vi)p + (whole << 23));
#endif
}

/* 1 / x for x far from the ends of the range. */
INLINE vf vinverse(vf x) {
#if defined(__AVX512F__)
    vf y = (vf)_mm512_rcp14_ps((__m512)x);
    return y * (2.0f - x * y); /* one step of Newton's: 28 bits */
#else
    return 1.0f / x;
#endif
}
INLINE vf vclamp(vf x, float most) { return vmin(vmax(x, vset(-most)), vset(most)); }
INLINE vf vtanh(vf x) { return 2.0f * vinverse(1.0f + vexp(-2.0f * vclamp(x, 20.0f))) - 1.0f; }
