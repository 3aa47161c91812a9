/* Luong's attention of one hypothesis over one sentence. */
#pragma once

#include "model.h"

typedef struct {
    int length;          /* S */
    const float *keys;   /* [S, Hs]; not read by LOCATION */
    const float *values; /* [S, As] */
} Memory;

/* What a step has computed for a hypothesis before attention. */
typedef struct {
    const float *state;     /* h_t [Hs] */
    const float *projected; /* query matrix times h_t: CONCAT [Hs], LOCATION [positions] */
    const float *centre;    /* tanh(W_p h_t) [Hs], LOCAL_P */
    int position;           /* t */
} Query;

/* weights [S] and context [As] = sum of weights times values. */
void attend(const Model *model, const Memory *memory, const Query *query, float *weights, float *context);
