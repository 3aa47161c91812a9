/* One step of LSTM cells as an epilogue: gates and state in one pass over the tile. */
#pragma once

#include "model.h"

typedef struct {
    int rows;
    const float *const *add;    /* of each row, [4 H in panels]: what comes on top of the product; or null */
    const uint16_t *const *half; /* the same in fp16 */
    const float *const *c_from;
    float *const *c_to;
    float *const *h_to;
} CellStep;

/* i, f, o = sigmoid, g = tanh; c' = f c + i g; h' = o tanh(c'). */
void lstm(void *context, int row, int rows, int column, const float (*tile)[NR]);

void to_half(const float *from, int count, uint16_t *to);
