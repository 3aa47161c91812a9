#include "cell.h"

#if defined(__AVX512F__)
INLINE vf load_half(const uint16_t *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#elif defined(__F16C__)
INLINE vf load_half(const uint16_t *p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#else
INLINE vf load_half(const uint16_t *p) {
    /* exponent and mantissa moved into place, then scaled from fp16's bias to fp32's: exact, subnormals included */
    vf value;
    for (int i = 0; i < W; i++) {
        uint32_t bits = (uint32_t)(p[i] & 0x7fff) << 13 | (uint32_t)(p[i] & 0x8000) << 16;
        float x;
        memcpy(&x, &bits, 4);
        value[i] = x * 0x1p112f;
    }
    return value;
}
#endif

void to_half(const float *from, int count, uint16_t *to) {
    for (int i = 0; i < count; i++) {
        /* round to nearest even at 11 bits; gates beyond fp16's range are as good as its largest number */
        float x = fmin2(fmax2(from[i], -65504.0f), 65504.0f) * 0x1p-112f;
        uint32_t bits;
        memcpy(&bits, &x, 4);
        uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
        to[i] = (uint16_t)(sign | (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13);
    }
}

void lstm(void *context, int row, int rows, int column, const float (*tile)[NR]) {
    const CellStep *step = context;
    int unit = column / 4;
    /* the next tile's rows lie anywhere in large tables: ask for them while its products run */
    for (int next = row + rows; next < row + 2 * rows && next < step->rows; next++) {
        const char *line = step->half ? (const char *)(step->half[next] + column)
                           : step->add ? (const char *)(step->add[next] + column) : 0;
        for (int at = 0; line && at < NR * (step->half ? 2 : 4); at += 64) __builtin_prefetch(line + at);
        __builtin_prefetch(step->c_from[next] + unit);
    }
    for (int r = 0; r < rows; r++) {
        vf gate[4];
        for (int j = 0; j < 4; j++) {
            gate[j] = vload(tile[r] + j * W);
            if (step->half) gate[j] += load_half(step->half[row + r] + column + j * W);
            else if (step->add) gate[j] += vload(step->add[row + r] + column + j * W);
        }
        /* sigmoid(x) = 1 / (1 + e^-x), tanh(x) = (1 - e^-2x) / (1 + e^-2x): over common divisors, so that a step costs
         * two inversions. The clamps lie where fp32 has long reached 0 and 1, and keep the divisors finite. */
        vf i = 1.0f + vexp(-vclamp(gate[0], 25.0f)), f = 1.0f + vexp(-vclamp(gate[1], 25.0f));
        vf g = vexp(-2.0f * vclamp(gate[2], 12.0f)), o = 1.0f + vexp(-vclamp(gate[3], 25.0f));
        vf ig = i * (1.0f + g);
        vf c = (vload(step->c_from[row + r] + unit) * ig + (1.0f - g) * f) * vinverse(ig * f);
        vf t = vexp(-2.0f * vclamp(c, 12.0f));
        vstore(step->c_to[row + r] + unit, c);
        vstore(step->h_to[row + r] + unit, (1.0f - t) * vinverse(o * (1.0f + t)));
    }
}
