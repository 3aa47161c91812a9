#include "beam.h"

typedef struct {
    float total;
    int32_t place, token;
} Candidate;

static float normaliser(const Model *model, int length) {
    return powf((5.0f + (float)length) / 6.0f, model->length_penalty);
}

/* Insert into a list of at most `capacity`, best first; returns its length. */
static int insert(Candidate *list, int count, int capacity, Candidate new) {
    int at = count < capacity ? count++ : capacity - 1;
    for (; at > 0 && list[at - 1].total < new.total; at--) list[at] = list[at - 1];
    list[at] = new;
    return count;
}

static void offer(const Slot *slot, Candidate *list, int *count, int capacity, int place, const Best *best) {
    /* log p = logit - log sum exp */
    float base = slot->log_prob[place] - (best->peak + logf(vsum(best->sum)));
    for (int j = 0; j < best->count; j++) {
        Candidate next = {base + best->logits[j], place, best->tokens[j]};
        if (!(next.total > -INFINITY)) break; /* not a number, where weights are broken: never chosen */
        if (*count == capacity && !(next.total > list[capacity - 1].total)) break;
        *count = insert(list, *count, capacity, next);
    }
}

/* GNMT's coverage term of a hypothesis that ends now (Wu et al. 2016, eq. 14). */
static float coverage_term(const Model *model, const Slot *slot, int place) {
    if (!slot->coverage) return 0;
    int length = slot->memory.length;
    const float *attended = slot->coverage + ((int64_t)(slot->step % 2) * slot->options.beam + place) * length;
    float sum = 0;
    for (int s = 0; s < length; s++) sum += logf(fmin2(fmax2(attended[s], 1e-6f), 1.0f));
    return model->coverage_penalty * sum;
}

static void finish(const Model *model, Slot *slot, Candidate end) {
    int beam = slot->options.beam;
    float score = end.total / normaliser(model, slot->step + 1) + coverage_term(model, slot, end.place);
    if (slot->finished == beam && !(score > slot->final_score[beam - 1])) return;
    int at = slot->finished < beam ? slot->finished++ : beam - 1;
    for (; at > 0 && slot->final_score[at - 1] < score; at--) {
        slot->final_score[at] = slot->final_score[at - 1];
        slot->final_log_prob[at] = slot->final_log_prob[at - 1];
        slot->final_step[at] = slot->final_step[at - 1];
        slot->final_place[at] = slot->final_place[at - 1];
    }
    slot->final_score[at] = score;
    slot->final_log_prob[at] = end.total;
    slot->final_step[at] = slot->step;
    slot->final_place[at] = end.place;
}

/* Coverage follows its hypotheses to their new places; the next step adds to the other half. */
static void move_coverage(Slot *slot, const int32_t *parents) {
    int beam = slot->options.beam, length = slot->memory.length;
    const float *old = slot->coverage + (int64_t)(slot->step % 2) * beam * length;
    float *new = slot->coverage + (int64_t)((slot->step + 1) % 2) * beam * length;
    for (int k = 0; k < slot->alive; k++)
        memcpy(new + (int64_t)k * length, old + (int64_t)parents[k] * length, sizeof(float) * (size_t)length);
}

void advance(const Model *model, Slot *slot, const Best *best) {
    int beam = slot->options.beam, count = 0, alive = 0;
    Candidate ranked[2 * beam];
    for (int k = 0; k < slot->alive; k++) offer(slot, ranked, &count, 2 * beam, k, best + k);

    int32_t *parents = slot->parents + (int64_t)slot->step * beam, *tokens = slot->tokens + (int64_t)slot->step * beam;
    int32_t rows[beam];
    for (int i = 0; i < count; i++) {
        if (ranked[i].token == model->eos) {
            if (i < beam) finish(model, slot, ranked[i]);
        } else if (alive < beam) {
            slot->log_prob[alive] = ranked[i].total;
            slot->token[alive] = tokens[alive] = ranked[i].token;
            parents[alive] = ranked[i].place;
            rows[alive++] = slot->row[ranked[i].place];
        }
    }
    memcpy(slot->row, rows, sizeof(int32_t) * (size_t)alive);
    /* log p only falls and its divisor only grows: what is behind now at its best stays behind */
    if (slot->finished >= slot->options.n_best) {
        float worst = slot->final_score[slot->options.n_best - 1], divisor = normaliser(model, slot->options.max_length);
        while (alive > 0 && slot->log_prob[alive - 1] / divisor <= worst) alive--;
    }
    slot->alive = alive;
    if (slot->coverage) move_coverage(slot, parents);
    slot->step++;
    if (!alive || slot->finished == beam || slot->step >= slot->options.max_length) slot->phase = FINISHED;
}

int most_taboos(const Options *options) {
    /* a sequence takes up two numbers at least */
    return (options->no_repeat ? options->max_length : 0) + options->forbidden / 2;
}

int find_taboos(Slot *slot, int place, int32_t *taboos) {
    const Options *options = &slot->options;
    int step = slot->step, n = options->no_repeat, count = 0;
    int32_t *written = slot->written;
    for (int s = step - 1; s >= 0; s--) {
        written[s] = slot->tokens[(int64_t)s * options->beam + place];
        place = slot->parents[(int64_t)s * options->beam + place];
    }
    for (int end = n - 1; n && end < step; end++) {
        const int32_t *before = written + end - n + 1, *last = written + step - n + 1;
        if (!memcmp(before, last, sizeof(int32_t) * (size_t)(n - 1))) taboos[count++] = written[end];
    }
    const int32_t *end = slot->forbidden + options->forbidden;
    for (const int32_t *sequence = slot->forbidden; sequence < end; sequence += 1 + *sequence) {
        int before = *sequence - 1;
        if (before > step) continue;
        if (memcmp(sequence + 1, written + step - before, sizeof(int32_t) * (size_t)before)) continue;
        taboos[count++] = sequence[1 + before];
    }
    return count;
}

int trace_back(const Slot *slot, int which, int32_t *tokens, float *scores, float *attention) {
    int last = slot->final_step[which], place = slot->final_place[which], beam = slot->options.beam;
    scores[0] = slot->final_score[which];
    scores[1] = slot->final_log_prob[which];
    scores[2] = (float)(last + 1);
    for (int step = last; step >= 0; step--) {
        if (step < last) {
            tokens[step] = slot->tokens[(int64_t)step * beam + place];
            place = slot->parents[(int64_t)step * beam + place];
        }
        if (attention && slot->attention) {
            int length = slot->memory.length;
            memcpy(attention + (int64_t)step * length, slot->attention + ((int64_t)step * beam + place) * length,
                   sizeof(float) * (size_t)length);
        }
    }
    return last;
}
