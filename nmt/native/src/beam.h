/* Beam search of one sentence: what nmt/search/beam.py does, with rows of the engine's buffers for its hypotheses. */
#pragma once

#include "attention.h"

/* The best next tokens of one hypothesis, gathered while the output product runs. */
typedef struct {
    vf sum;          /* of exp(logit - peak), by lane */
    float peak;      /* greatest logit so far */
    float threshold; /* what a logit must beat to enter the list */
    int count, capacity;
    float *logits; /* best first */
    int32_t *tokens;
    int is_eos_barred;
    int32_t only; /* the one token that may come: the prefix's next, or EOS at the maximal length; -1: any but the taboos */
    const int32_t *taboos;
    int taboo_count;
} Best;

typedef enum { FREE, RUNNING, FINISHED } Phase;

typedef struct {
    Phase phase;
    Options options;
    Memory memory;
    int step;  /* tokens generated so far */
    int alive; /* live hypotheses */
    /* [beam]: the live ones, best first, then -inf */
    float *log_prob;
    int32_t *token, *row; /* last token; row of its state in the engine's buffers */
    /* [beam]: finished ones, best first */
    int finished;
    float *final_score, *final_log_prob;
    int32_t *final_step, *final_place; /* the step that ended it; its place among the live ones before */
    /* [max_length, beam]: of the live ones after each step */
    int32_t *parents, *tokens;
    float *attention; /* [max_length, beam, S] of the live ones before each step, or null */
    float *coverage;  /* [2, beam, S]: attention summed over the steps, old and new in turn; or null */
    int32_t *prefix, *forbidden; /* as `nmt_admit` takes them */
    int32_t *taboos, *written;   /* [beam, most_taboos] and [max_length]: room for `find_taboos` */
    /* the shortlist's words for this sentence alone, and their lines; outputs 0 without a shortlist */
    int32_t *ids; /* rising, then whatever fills up the last panel */
    float *barred;
    Matrix output;
    void *block;      /* all of the above lies in it */
} Slot;

/* Hypotheses are rows: `best[i]` belongs to the i-th live one. Afterwards `row` holds the row of each new one's parent. */
void advance(const Model *model, Slot *slot, const Best *best);

/* The tokens that a live hypothesis may not go on with, as they would complete n tokens that have come already, or a
 * forbidden sequence. Returns how many, `most_taboos` at most. */
int find_taboos(Slot *slot, int place, int32_t *taboos);
int most_taboos(const Options *options);

/* A finished slot's hypothesis; see nmt_hypothesis. */
int trace_back(const Slot *slot, int which, int32_t *tokens, float *scores, float *attention);
