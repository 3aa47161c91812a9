/* A network as the binding lays it out, and the engine's functions. All arrays belong to the caller and outlive the engine.
 *
 * Widths written `Xs` are X padded to K_BLOCK; what lies between is zero. Gates lie in panels: for W units at a time
 * i, f, g, o side by side. */
#pragma once

#include "product.h"

enum { DOT, CONCAT, LOCATION };            /* `general` is DOT with projected keys */
enum { GLOBAL, LOCAL_M, LOCAL_P };
enum { BRIDGE_ZERO, BRIDGE_COPY, BRIDGE_LINEAR };
#define MAX_LAYERS 16

typedef struct {
    int32_t precision;
    int32_t embedding, hidden, attentional; /* E, H, A */
    int32_t encoder_layers, directions, decoder_layers;
    int32_t bridge, feeding;
    int32_t score, span, window, positions; /* positions: rows of LOCATION's matrix */
    int32_t source_vocabulary, target_vocabulary;
    int32_t bos, eos;
    float length_penalty, coverage_penalty;
    const float *source_embedding; /* [source_vocabulary, E] */
    Matrix encoder_input[MAX_LAYERS][2];
    Matrix encoder_recurrent[MAX_LAYERS][2];
    Matrix bridge_h[MAX_LAYERS], bridge_c[MAX_LAYERS];
    Matrix keys;   /* of every source position; outputs 0 where the states themselves are the keys, or none are needed */
    Matrix values; /* the context's half of W_c, applied to the source positions: sums of these are W_c's share */
    const void *table; /* [target_vocabulary, 4 H in panels]: the bottom cell's gates from the last token, bias included;
                          fp16 with int8, else fp32 */
    Matrix cells[MAX_LAYERS];
    Matrix query;      /* CONCAT: W_a's target half; LOCATION: W_a */
    const float *v;    /* CONCAT: [H] */
    Matrix centre;     /* LOCAL_P: W_p */
    const float *v_p;  /* LOCAL_P: [H] */
    Matrix combine;    /* the state's half of W_c */
    Matrix output;     /* of all words; with a shortlist, of those that every sentence may use */
    const float *barred; /* [output.outputs]: -inf for what may never be generated and for padding, else 0 */
    const int32_t *output_ids; /* with a shortlist: the words of `output`, padded with -1; else null, columns are ids */
    /* the shortlist: source id s allows `list_words` from list_from[s] to list_from[s + 1], none of them in `output_ids` */
    const int32_t *list_from, *list_words;
    Matrix lines;              /* all words, in lines; outputs 0 without a shortlist */
    const float *lines_barred; /* [lines.outputs], as `barred` */
} Model;

typedef struct {
    int32_t beam, n_best;
    int32_t max_length; /* tokens, EOS counted */
    int32_t min_length; /* tokens before EOS may come */
    int32_t with_attention;
    int32_t prefix;    /* tokens that every hypothesis begins with */
    int32_t no_repeat; /* n: no n tokens may come twice; 0: any may */
    int32_t forbidden; /* numbers that the forbidden sequences take up: of each its length, then its tokens */
} Options;

typedef struct Engine Engine;

#pragma GCC visibility push(default) /* all else is compiled hidden: libraries share their names otherwise */
int nmt_width(void);
const char *nmt_source_hash(void); /* of the sources that this library was compiled from */
int64_t nmt_model_bytes(void);

/* table [vocabulary, matrix->outputs] of matrix applied to embeddings; fp16 where the matrix is int8. */
int nmt_fill_table(const Matrix *matrix, const float *embedding, int vocabulary, int size, void *table);

/* 0 where memory is short. */
Engine *nmt_engine_new(const Model *model);
void nmt_engine_free(Engine *engine);

/* Encode sentences (ids one after the other, EOS among them) and begin their search; a slot each, or -1 (no memory).
 * `bounds`: of one sentence after the other its prefix and its forbidden sequences. */
int nmt_admit(Engine *engine, int count, const int32_t *ids, const int32_t *lengths, const Options *options,
              const int32_t *bounds, int32_t *slots);

/* Up to `steps` tokens for every running sentence, returning once any has finished. Writes the slots that have
 * finished, at most `room`, and returns how many; -1 where memory is short. */
int nmt_step(Engine *engine, int steps, int32_t *finished, int room);

/* Finished hypotheses of a slot, at most its n_best. */
int nmt_found(const Engine *engine, int slot);
/* The tokens of one of them (without BOS and EOS), its scores {score, log p, steps}, and, where asked for when it was
 * admitted, its attention [steps, source length]. Returns the number of tokens. */
int nmt_hypothesis(const Engine *engine, int slot, int which, int32_t *tokens, float *scores, float *attention);
void nmt_drop(Engine *engine, int slot);
#pragma GCC visibility pop
