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

void nmt_pack(const float *weight, const int32_t *order, int outputs, int inputs, int precision, int width,
              void *panels, float *scale, int32_t *offset) {
    int depth = padded(inputs, K_BLOCK);
    memset(panels, 0, (size_t)nmt_packed_bytes(outputs, inputs, precision));
    int8_t row[depth]; /* at most a few thousand */
    memset(row, 0, sizeof row);
    for (int o = 0; o < padded(outputs, NR); o++) {
        if (precision == INT8) scale[o] = 0, offset[o] = 0;
        if (order[o] < 0) continue;
        const float *w = weight + (int64_t)order[o] * inputs;
        int64_t panel = (int64_t)(o / width) * depth * width;
        if (precision == FP32) {
            float *out = (float *)panels + panel + o % width;
            for (int i = 0; i < inputs; i++) out[i * width] = w[i];
            continue;
        }
        float peak = peak_of(w, inputs);
        if (!(peak > 0)) continue;
        to_bytes(w, inputs, 127.0f / peak, 0, (uint8_t *)row);
        int32_t *out = (int32_t *)((int8_t *)panels + panel) + o % width, sum = 0; /* four inputs at once */
        for (int i = 0; i < depth; i += 4) {
            memcpy(out + i / 4 * width, row + i, 4);
            sum += row[i] + row[i + 1] + row[i + 2] + row[i + 3];
        }
        scale[o] = peak / 127.0f;
        offset[o] = -X_ZERO * sum;
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

/* Each lane's sum plus the four products of its bytes of w with those of x. */
#if defined(__AVX512VNNI__)
INLINE vi dot4(vi sum, vi x, vi w) {
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
}
#elif defined(__AVXVNNI__)
INLINE vi dot4(vi sum, vi x, vi w) {
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
}
#elif defined(__AVX2__)
INLINE vi dot4(vi sum, vi x, vi w) {
    /* pairs are summed in 16 bits: |x| <= 127 with its sign moved to w keeps them from saturating */
    __m256i value = (__m256i)x;
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(value), _mm256_sign_epi8((__m256i)w, value));
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
INLINE vi dot4(vi sum, vi x, vi w) {
    for (int b = 0; b < 32; b += 8) sum += ((x << (24 - b)) >> 24) * ((w << (24 - b)) >> 24);
    return sum;
}
#endif

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
            LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[r][j] = dot4(sum[r][j], four - (vi){0}, w[j]);
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

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* to[j] = from[j] + the lanes of sum[j], four j. */
INLINE void add_lanes(const vi sum[4], const int32_t *from, int32_t *to) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
    __m512i a = (__m512i)sum[0], b = (__m512i)sum[1], c = (__m512i)sum[2], d = (__m512i)sum[3];
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
#else
    __m256i ab = _mm256_hadd_epi32((__m256i)sum[0], (__m256i)sum[1]);
    __m256i cd = _mm256_hadd_epi32((__m256i)sum[2], (__m256i)sum[3]), half = _mm256_hadd_epi32(ab, cd);
#endif
    __m128i whole = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128((__m128i *)to, _mm_add_epi32(_mm_loadu_si128((const __m128i *)from), whole));
#else
    for (int j = 0; j < 4; j++) {
        to[j] = from[j];
        for (int lane = 0; lane < W; lane++) to[j] += sum[j][lane];
    }
#endif
}

enum { LINES = 4 /* at once */, AHEAD = 16 /* lines: what memory takes to answer; they lie anywhere */ };

INLINE void line_sums_int8(int rows, const uint8_t *x, int depth, const char *const *line, const int32_t *offset,
                           int32_t (*sums)[NR]) {
    vi sum[LINE_ROWS][LINES] = {{{0}}};
    for (int k = 0; k < depth; k += 4 * W) {
        vi w[LINES];
        LOOP_UNROLLED for (int j = 0; j < LINES; j++) w[j] = *(const vi_u *)(line[j] + k);
        LOOP_UNROLLED for (int r = 0; r < rows; r++) {
            vi bytes = *(const vi_u *)(x + (int64_t)r * depth + k);
            LOOP_UNROLLED for (int j = 0; j < LINES; j++) sum[r][j] = dot4(sum[r][j], bytes, w[j]);
        }
    }
    LOOP_UNROLLED for (int r = 0; r < rows; r++) add_lanes(sum[r], offset, sums[r]);
}

INLINE void line_sums_fp32(int rows, const float *x, int depth, const char *const *line, const float *bias,
                           float (*tile)[NR]) {
    vf sum[LINE_ROWS][LINES] = {{{0}}};
    for (int k = 0; k < depth; k += W) {
        vf w[LINES];
        LOOP_UNROLLED for (int j = 0; j < LINES; j++) w[j] = vload((const float *)line[j] + k);
        LOOP_UNROLLED for (int r = 0; r < rows; r++) {
            vf values = vload(x + (int64_t)r * depth + k);
            LOOP_UNROLLED for (int j = 0; j < LINES; j++) sum[r][j] += values * w[j];
        }
    }
    LOOP_UNROLLED for (int r = 0; r < rows; r++)
        LOOP_UNROLLED for (int j = 0; j < LINES; j++) tile[r][j] = bias[j] + vsum(sum[r][j]);
}

/* NR of the lines for a tile's rows: sums of int8, or values of fp32. */
INLINE void line_tile(int rows, const Matrix *matrix, const int32_t *lines, const Rows *x, int row, int column,
                      int32_t (*sums)[NR], float (*tile)[NR]) {
    int depth = matrix->inputs, is_int8 = matrix->precision == INT8;
    int64_t bytes = depth * (is_int8 ? 1 : 4);
    for (int j = 0; j < NR; j += LINES) {
        const char *line[LINES];
        for (int i = 0; i < LINES; i++) {
            int at = column + j + i, next = at + AHEAD < matrix->outputs ? at + AHEAD : at;
            line[i] = (const char *)matrix->panels + lines[at] * bytes;
            for (int64_t k = 0; k < bytes; k += ALIGN)
                __builtin_prefetch((const char *)matrix->panels + lines[next] * bytes + k);
        }
        if (is_int8)
            line_sums_int8(rows, x->bytes + (int64_t)row * depth, depth, line, matrix->offset + column + j,
                           (int32_t(*)[NR])(sums[0] + j));
        else
            line_sums_fp32(rows, x->floats + (int64_t)row * depth, depth, line, matrix->bias + column + j,
                           (float(*)[NR])(tile[0] + j));
    }
}

static void line_tile_any(int rows, const Matrix *matrix, const int32_t *lines, const Rows *x, int row, int column,
                          int32_t (*sums)[NR], float (*tile)[NR]) {
    switch (rows) {
    case 1: line_tile(1, matrix, lines, x, row, column, sums, tile); return;
    case 2: line_tile(2, matrix, lines, x, row, column, sums, tile); return;
#if LINE_ROWS > 2
    case 3: line_tile(3, matrix, lines, x, row, column, sums, tile); return;
    case 4: line_tile(4, matrix, lines, x, row, column, sums, tile); return;
    case 5: line_tile(5, matrix, lines, x, row, column, sums, tile); return;
    case 6: line_tile(6, matrix, lines, x, row, column, sums, tile); return;
#endif
    }
}

void line_product(const Matrix *matrix, const int32_t *lines, const Rows *x, int first, int rows, Epilogue epilogue,
                  void *context) {
    float tile[LINE_ROWS][NR] __attribute__((aligned(ALIGN)));
    int32_t sums[LINE_ROWS][NR] __attribute__((aligned(ALIGN)));
    for (int column = 0; column < matrix->outputs; column += NR)
        for (int row = first; row < first + rows; row += LINE_ROWS) {
            int count = first + rows - row < LINE_ROWS ? first + rows - row : LINE_ROWS;
            line_tile_any(count, matrix, lines, x, row, column, sums, tile);
            if (matrix->precision == INT8)
                finish_int8(count, (const int32_t(*)[NR])sums, x->scale + row, matrix->scale + column,
                            matrix->bias + column, tile);
            epilogue(context, row, count, column, (const float(*)[NR])tile);
        }
}

/* ---- all of a matrix -------------------------------------------------------------------------------------------- */

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
