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
        float x = fminf(fmaxf(from[i], -65504.0f), 65504.0f) * 0x1p-112f;
        uint32_t bits;
        memcpy(&bits, &x, 4);
        uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
        to[i] = (uint16_t)(sign | (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13);
    }
}

void lstm(void *context, int row, int rows, int column, const float (*tile)[NR]) {
    const CellStep *step = context;
    int unit = column / 4;
    for (int r = 0; r < rows; r++) {
        vf gate[4];
        for (int j = 0; j < 4; j++) {
            gate[j] = vload(tile[r] + j * W);
            if (step->half) gate[j] += load_half(step->half[row + r] + column + j * W);
            else if (step->add) gate[j] += vload(step->add[row + r] + column + j * W);
        }
        vf c = vsigmoid(gate[1]) * vload(step->c_from[row + r] + unit) + vsigmoid(gate[0]) * vtanh(gate[2]);
        vstore(step->c_to[row + r] + unit, c);
        vstore(step->h_to[row + r] + unit, vsigmoid(gate[3]) * vtanh(c));
    }
}
