/* The encoder and the bridge: sentences in, states of every source position and the decoder's first states out. */
#pragma once

#include "model.h"
#include "workspace.h"

typedef struct {
    Scratch bytes, scale, floats;      /* rows of x */
    Scratch layer[2], gates[2];        /* a layer's outputs, in turns; gates from its inputs, by direction */
    Scratch c, last_h, last_c, starts; /* cell states; ends of every layer; bridge outputs */
    Scratch keys, values, pointers, order;
} EncoderSpace;

typedef struct {
    const float *states;  /* [all positions, Hs] */
    const float *keys;    /* the same shape */
    const float *values;  /* [all positions, As] */
    const float *first_h; /* [decoder_layers, count, Hs] */
    const float *first_c;
} Encoded;

/* 0 where memory is short. */
int encode(const Model *model, EncoderSpace *space, int count, const int32_t *ids, const int32_t *lengths,
           Encoded *encoded);
void free_encoder_space(EncoderSpace *space);
