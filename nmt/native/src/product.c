#include "product.h"

int64_t nmt_packed_bytes(int outputs, int inputs, int precision) {
    return (int64_t)padded(outputs, NR) * padded(inputs, K_BLOCK) * (precision == INT8 ? 1 : 4);
}

static float peak_of(const float *x, int size) {
    vf peak = {0};
    int i = 0;
    for (; i + W <= size; i += W) peak = vmax(peak, vabs(vload(x + i)));
    float best = vmax_all(peak);
    for (; i < size; i++) best = fmax2(best, fabsf(x[i]));
    return best;
}

/* Rounded multiples of 1 / inverse, counted from `zero`. */
INLINE void to_bytes(const float *x, int size, float inverse, int zero, uint8_t *out) {
    int i = 0;
#if defined(__AVX512F__)
    for (; i + W <= size; i += W) {
        __m512i q = _mm512_cvtps_epi32((__m512)(vload(x + i) * inverse));
        q = _mm512_add_epi32(q, _mm512_set1_epi32(zero));
        _mm_storeu_si128((__m128i *)(out + i), _mm512_cvtepi32_epi8(q));
    }
#elif defined(__AVX2__)
    for (; i + W <= size; i += W) {
        __m256i q = _mm256_cvtps_epi32((__m256)(vload(x + i) * inverse));
        __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
        _mm_storel_epi64((__m128i *)(out + i), _mm_xor_si128(_mm_packs_epi16(half, half), _mm_set1_epi8((char)zero)));
    }
#endif
    for (; i < size; i++) out[i] = (uint8_t)(lrintf(x[i] * inverse) + zero);
}

void nmt_pack(const float *weight, const int32_t *order, int outputs, int inputs, int precision, void *panels,
              float *scale, int32_t *offset) {
    int depth = padded(inputs, K_BLOCK);
    memset(panels, 0, (size_t)nmt_packed_bytes(outputs, inputs, precision));
    int8_t row[depth]; /* at most a few thousand */
    memset(row, 0, sizeof row);
    for (int o = 0; o < padded(outputs, NR); o++) {
        if (precision == INT8) scale[o] = 0, offset[o] = 0;
        if (order[o] < 0) continue;
        const float *w = weight + (int64_t)order[o] * inputs;
        if (precision == FP32) {
            float *out = (float *)panels + (int64_t)(o / NR) * depth * NR + o % NR;
            for (int i = 0; i < inputs; i++) out[i * NR] = w[i];
            continue;
        }
        float peak = peak_of(w, inputs);
        if (!(peak > 0)) continue;
        to_bytes(w, inputs, 127.0f / peak, 0, (uint8_t *)row);
        int32_t *out = (int32_t *)((int8_t *)panels + (int64_t)(o / NR) * depth * NR) + o % NR, sum = 0;
        for (int i = 0; i < depth; i += 4) {
            memcpy(out + i / 4 * NR, row + i, 4);
            sum += row[i] + row[i + 1] + row[i + 2] + row[i + 3];
        }
        scale[o] = peak / 127.0f;
        offset[o] = -X_ZERO * sum;
    }
}

void copy_columns(const Matrix *from, const int32_t *columns, int count, void *panels, float *scale, int32_t *offset,
                  float *bias) {
    int depth = from->inputs;
    for (int j = 0; j < count; j++) {
        int source = columns[j];
        bias[j] = source < 0 ? -1e30f : from->bias[source];
        int64_t to = (int64_t)(j / NR) * depth * NR, at = (int64_t)(source / NR) * depth * NR;
        if (from->precision == FP32) {
            float *out = (float *)panels + to + j % NR;
            const float *in = (const float *)from->panels + at + source % NR;
            for (int i = 0; i < depth; i++) out[i * NR] = source < 0 ? 0 : in[i * NR];
            continue;
        }
        scale[j] = source < 0 ? 0 : from->scale[source];
        offset[j] = source < 0 ? 0 : from->offset[source];
        int32_t *out = (int32_t *)((int8_t *)panels + to) + j % NR; /* four inputs at once */
        const int32_t *in = (const int32_t *)((const int8_t *)from->panels + at) + source % NR;
        for (int i = 0; i < depth / 4; i++) out[i * NR] = source < 0 ? 0 : in[i * NR];
    }
}

void set_row(const Rows *x, int precision, int inputs, int row, const float *const *parts, const int *sizes, int count) {
    if (precision == FP32) {
        float *out = x->floats + (int64_t)row * inputs, *end = out + inputs;
        for (int p = 0; p < count; p++) {
            int width = padded(sizes[p], K_BLOCK);
            memcpy(out, parts[p], sizeof(float) * (size_t)sizes[p]);
            memset(out + sizes[p], 0, sizeof(float) * (size_t)(width - sizes[p]));
            out += width;
        }
        memset(out, 0, sizeof(float) * (size_t)(end - out));
        return;
    }
    float peak = 0;
    for (int p = 0; p < count; p++) peak = fmax2(peak, peak_of(parts[p], sizes[p]));
    float inverse = peak > 0 ? 127.0f / peak : 0;
    x->scale[row] = peak / 127.0f;
    uint8_t *out = x->bytes + (int64_t)row * inputs, *end = out + inputs;
    for (int p = 0; p < count; p++) {
        int width = padded(sizes[p], K_BLOCK);
        to_bytes(parts[p], sizes[p], inverse, X_ZERO, out);
        memset(out + sizes[p], X_ZERO, (size_t)(width - sizes[p]));
        out += width;
    }
    memset(out, X_ZERO, (size_t)(end - out));
}

void set_rows(const Rows *x, int precision, int inputs, const float *from, int stride, int size, int count) {
    for (int row = 0; row < count; row++) {
        const float *part = from + (int64_t)row * stride;
        set_row(x, precision, inputs, row, &part, &size, 1);
    }
}

/* ---- tiles ------------------------------------------------------------------------------------------------------ */

INLINE void tile_fp32(int rows, const float *x, int depth, const float *panel, const float *bias, float (*tile)[NR]) {
    vf sum[FP32_ROWS][4];
    LOOP_UNROLLED for (int r = 0; r < rows; r++)
        LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[r][j] = vload(bias + j * W);
    for (int k = 0; k < depth; k++, panel += NR) {
        vf w[4];
        LOOP_UNROLLED for (int j = 0; j < 4; j++) w[j] = vload(panel + j * W);
        LOOP_UNROLLED for (int r = 0; r < rows; r++) {
            vf value = vset(x[r * depth + k]);
            LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[r][j] += value * w[j];
        }
    }
    LOOP_UNROLLED for (int r = 0; r < rows; r++)
        LOOP_UNROLLED for (int j = 0; j < 4; j++) vstore(tile[r] + j * W, sum[r][j]);
}

INLINE void scale_tile(int rows, const int32_t (*sums)[NR], const float *row_scale, const float *scale,
                       const float *bias, float (*tile)[NR]) {
    for (int r = 0; r < rows; r++)
        LOOP_UNROLLED for (int j = 0; j < NR; j += W) {
            vf value = __builtin_convertvector(*(const vi_u *)(sums[r] + j), vf);
            vstore(tile[r] + j, value * (vload(scale + j) * row_scale[r]) + vload(bias + j));
        }
}

#if defined(__AMX_INT8__)
/* 16 rows by 64 columns: four accumulators side by side share the tile of x. */
static void sums_int8(int rows, const uint8_t *x, int depth, const int8_t *panel, const int32_t *offset,
                      int32_t (*sums)[NR]) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shape.bytes[t] = 64;
        shape.rows[t] = t < 5 ? (uint8_t)rows : 16; /* 0-3 sums, 4 x, 5-7 weights */
    }
    _tile_loadconfig(&shape);
    for (int r = 0; r < rows; r++) memcpy(sums[r], offset, sizeof sums[r]);
    _tile_loadd(0, sums[0], sizeof sums[0]);
    _tile_loadd(1, sums[0] + 16, sizeof sums[0]);
    _tile_loadd(2, sums[0] + 32, sizeof sums[0]);
    _tile_loadd(3, sums[0] + 48, sizeof sums[0]);
    for (int k = 0; k < depth; k += 64, panel += 64 * NR) {
        _tile_loadd(4, x + k, depth);
        _tile_loadd(5, panel, 4 * NR);
        _tile_dpbusd(0, 4, 5);
        _tile_loadd(6, panel + 64, 4 * NR);
        _tile_dpbusd(1, 4, 6);
        _tile_loadd(7, panel + 128, 4 * NR);
        _tile_dpbusd(2, 4, 7);
        _tile_loadd(5, panel + 192, 4 * NR);
        _tile_dpbusd(3, 4, 5);
    }
    _tile_stored(0, sums[0], sizeof sums[0]);
    _tile_stored(1, sums[0] + 16, sizeof sums[0]);
    _tile_stored(2, sums[0] + 32, sizeof sums[0]);
    _tile_stored(3, sums[0] + 48, sizeof sums[0]);
}
#else
/* Each lane's sum plus the four products of its bytes of w with the four bytes of x. */
#if defined(__AVX512VNNI__)
INLINE vi dot4(vi sum, int32_t x, vi w) {
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(x), (__m512i)w);
}
#elif defined(__AVXVNNI__)
INLINE vi dot4(vi sum, int32_t x, vi w) {
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, _mm256_set1_epi32(x), (__m256i)w);
}
#elif defined(__AVX2__)
INLINE vi dot4(vi sum, int32_t x, vi w) {
    /* pairs are summed in 16 bits: |x| <= 127 with its sign moved to w keeps them from saturating */
    __m256i value = _mm256_set1_epi32(x);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(value), _mm256_sign_epi8((__m256i)w, value));
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
INLINE vi dot4(vi sum, int32_t x, vi w) {
    for (int b = 0; b < 32; b += 8) sum += (int32_t)(int8_t)(x >> b) * ((w << (24 - b)) >> 24);
    return sum;
}
#endif
INLINE void sums_int8_rows(int rows, const uint8_t *x, int depth, const int8_t *panel, const int32_t *offset,
                           int32_t (*sums)[NR]) {
    vi sum[INT8_ROWS][4];
    LOOP_UNROLLED for (int r = 0; r < rows; r++)
        LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[r][j] = *(const vi_u *)(offset + j * W);
    for (int k = 0; k < depth; k += 4, panel += 4 * NR) {
        vi w[4];
        LOOP_UNROLLED for (int j = 0; j < 4; j++) w[j] = *(const vi_u *)(panel + 4 * W * j);
        LOOP_UNROLLED for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, x + (int64_t)r * depth + k, 4);
            LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[r][j] = dot4(sum[r][j], four, w[j]);
        }
    }
    LOOP_UNROLLED for (int r = 0; r < rows; r++)
        LOOP_UNROLLED for (int j = 0; j < 4; j++) *(vi_u *)(sums[r] + j * W) = sum[r][j];
}

/* One copy a row count, so that every sum lives in a register. */
static void sums_int8(int rows, const uint8_t *x, int depth, const int8_t *panel, const int32_t *offset,
                      int32_t (*sums)[NR]) {
    switch (rows) {
    case 1: sums_int8_rows(1, x, depth, panel, offset, sums); return;
    case 2: sums_int8_rows(2, x, depth, panel, offset, sums); return;
#if INT8_ROWS > 2
    case 3: sums_int8_rows(3, x, depth, panel, offset, sums); return;
    case 4: sums_int8_rows(4, x, depth, panel, offset, sums); return;
    case 5: sums_int8_rows(5, x, depth, panel, offset, sums); return;
    case 6: sums_int8_rows(6, x, depth, panel, offset, sums); return;
#endif
    }
}
#endif

static void tile_fp32_any(int rows, const float *x, int depth, const float *panel, const float *bias,
                          float (*tile)[NR]) {
    switch (rows) {
    case 1: tile_fp32(1, x, depth, panel, bias, tile); return;
    case 2: tile_fp32(2, x, depth, panel, bias, tile); return;
    case 3: tile_fp32(3, x, depth, panel, bias, tile); return;
#if FP32_ROWS > 3
    case 4: tile_fp32(4, x, depth, panel, bias, tile); return;
    case 5: tile_fp32(5, x, depth, panel, bias, tile); return;
    case 6: tile_fp32(6, x, depth, panel, bias, tile); return;
#endif
    }
}

/* Sums of a tile of int8 products, as floats: times the row's scale and the column's, plus the bias. */
static void finish_int8(int rows, const int32_t (*sums)[NR], const float *row_scale, const float *scale,
                        const float *bias, float (*tile)[NR]) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < NR; j += W) {
            vf value = __builtin_convertvector(*(const vi_u *)(sums[r] + j), vf);
            vstore(tile[r] + j, value * (vload(scale + j) * row_scale[r]) + vload(bias + j));
        }
}

void product(const Matrix *matrix, const Rows *x, int first, int rows, Epilogue epilogue, void *context) {
    int depth = matrix->inputs, most = matrix->precision == INT8 ? INT8_ROWS : FP32_ROWS;
    float tile[TILE_ROWS][NR] __attribute__((aligned(ALIGN)));
    int32_t sums[TILE_ROWS][NR] __attribute__((aligned(ALIGN))) = {{0}};
    for (int column = 0; column < matrix->outputs; column += NR) {
        const float *bias = matrix->bias + column;
        for (int row = first; row < first + rows; row += most) {
            int count = first + rows - row < most ? first + rows - row : most;
            if (matrix->precision == INT8) {
                const int8_t *panel = (const int8_t *)matrix->panels + (int64_t)column * depth;
                sums_int8(count, x->bytes + (int64_t)row * depth, depth, panel, matrix->offset + column, sums);
                finish_int8(count, (const int32_t(*)[NR])sums, x->scale + row, matrix->scale + column, bias, tile);
            } else {
                const float *panel = (const float *)matrix->panels + (int64_t)column * depth;
                tile_fp32_any(count, x->floats + (int64_t)row * depth, depth, panel, bias, tile);
            }
            epilogue(context, row, count, column, (const float(*)[NR])tile);
        }
    }
}

void store(void *context, int row, int rows, int column, const float (*tile)[NR]) {
    const Store *to = context;
    int width = to->stride - column < NR ? to->stride - column : NR;
    for (int r = 0; r < rows; r++)
        memcpy(to->y + (int64_t)(row + r) * to->stride + column, tile[r], sizeof(float) * (size_t)width);
}
