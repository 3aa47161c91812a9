/* Products y = x W^T with W packed once, in fp32 or in int8 with one scale an output (weights) and one a row (x).
 *
 * Outputs come in tiles of at most MR rows by NR columns, in registers' reach of an epilogue that uses them at once. */
#pragma once

#include "simd.h"

#define K_BLOCK 64 /* inputs are padded to this many: one AMX tile, and a multiple of every vector */

/* Rows of a tile: as many as leave every sum in a register (AMX: one tile register's 16). */
#if defined(__AVX512F__)
#define FP32_ROWS 6
#define LINE_ROWS 6
#else
#define FP32_ROWS 3
#define LINE_ROWS 2
#endif
#if defined(__AMX_INT8__)
#define INT8_ROWS 16
#elif defined(__AVX512VNNI__)
#define INT8_ROWS 6
#else
#define INT8_ROWS 2
#endif
#define TILE_ROWS (INT8_ROWS > FP32_ROWS ? INT8_ROWS : FP32_ROWS)

/* The dot-product instructions take x unsigned: there zero is the byte 128, and `offset` takes 128 times w out again. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define X_ZERO 128
#else
#define X_ZERO 0
#endif

enum { FP32 = 0, INT8 = 1 };

/* W [outputs, inputs], packed into panels of NR columns. int8: [panel][inputs / 4][NR][4]; fp32: [panel][inputs][NR].
 * In lines, panels of one column, an output's inputs lie side by side: a few outputs are read without the others. */
typedef struct {
    int32_t inputs;   /* K_BLOCK-padded */
    int32_t outputs;  /* NR-padded */
    int32_t precision;
    const void *panels;
    const float *scale;     /* [outputs], int8 only */
    const int32_t *offset;  /* [outputs], int8 only: -X_ZERO times the column's sum */
    const float *bias;      /* [outputs] */
} Matrix;

/* Rows of x: bytes [rows, inputs] with a scale each, or float [rows, inputs]. */
typedef struct {
    uint8_t *bytes;
    float *scale;
    float *floats;
} Rows;

/* rows x NR values, y + bias, of the panel that begins at column `column` for the rows from `row` on. */
typedef void (*Epilogue)(void *context, int row, int rows, int column, const float (*tile)[NR]);

static inline int padded(int n, int to) { return (n + to - 1) / to * to; }

#pragma GCC visibility push(default)
/* Bytes of the packed panels. */
int64_t nmt_packed_bytes(int outputs, int inputs, int precision);

/* Pack `weight` [outputs, inputs] into panels of `width` columns, NR or 1, its rows taken in the order of `order` (-1: a
 * row of zeros; length NR-padded). */
void nmt_pack(const float *weight, const int32_t *order, int outputs, int inputs, int precision, int width,
              void *panels, float *scale, int32_t *offset);
#pragma GCC visibility pop

/* Row `row` of x becomes the parts side by side, each padded with zeros to K_BLOCK, and zeros after them. */
void set_row(const Rows *x, int precision, int inputs, int row, const float *const *parts, const int *sizes, int count);

/* The first `count` rows of x become vectors of `size` floats that lie `stride` apart. */
void set_rows(const Rows *x, int precision, int inputs, const float *from, int stride, int size, int count);

/* All outputs of the rows `first` to `first + rows` of x, tile by tile. */
void product(const Matrix *matrix, const Rows *x, int first, int rows, Epilogue epilogue, void *context);

/* The same for a matrix whose output j is line `lines[j]` of `panels`; the rest of it is in its outputs' order. */
void line_product(const Matrix *matrix, const int32_t *lines, const Rows *x, int first, int rows, Epilogue epilogue,
                  void *context);

/* y [rows, outputs] = x W^T + bias. */
typedef struct {
    float *y;
    int stride;
} Store;
void store(void *context, int row, int rows, int column, const float (*tile)[NR]);
