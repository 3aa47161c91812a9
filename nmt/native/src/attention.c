#include "attention.h"

static float dot(const float *a, const float *b, int size) {
    vf sum = {0};
    for (int i = 0; i < size; i += W) sum += vload(a + i) * vload(b + i);
    return vsum(sum);
}

/* Four keys at a time share each load of the query. */
static void score_dot(const float *query, const float *keys, int stride, int length, float *scores) {
    int s = 0;
    for (; s + 4 <= length; s += 4) {
        const float *k = keys + (int64_t)s * stride;
        vf sum[4] = {{0}, {0}, {0}, {0}};
        for (int i = 0; i < stride; i += W) {
            vf q = vload(query + i);
            LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[j] += q * vload(k + j * stride + i);
        }
        for (int j = 0; j < 4; j++) scores[s + j] = vsum(sum[j]);
    }
    for (; s < length; s++) scores[s] = dot(query, keys + (int64_t)s * stride, stride);
}

static void score_concat(const float *query, const float *keys, const float *v, int stride, int length,
                         float *scores) {
    for (int s = 0; s < length; s++) {
        const float *k = keys + (int64_t)s * stride;
        vf sum = {0};
        for (int i = 0; i < stride; i += W) sum += vload(v + i) * vtanh(vload(query + i) + vload(k + i));
        scores[s] = vsum(sum);
    }
}

static void softmax(float *scores, int from, int to) {
    float peak = -INFINITY, sum = 0;
    for (int s = from; s < to; s++) peak = fmax2(peak, scores[s]);
    if (peak == -INFINITY) { /* LOCATION far beyond its positions: no weight anywhere */
        for (int s = from; s < to; s++) scores[s] = 0;
        return;
    }
    int s = from;
    for (; s + W <= to; s += W) {
        vf e = vexp(vload(scores + s) - peak);
        vstore(scores + s, e);
        sum += vsum(e);
    }
    if (s < to) {
        float rest[W];
        for (int i = 0; i < W; i++) rest[i] = s + i < to ? scores[s + i] - peak : -INFINITY;
        vstore(rest, vexp(vload(rest)));
        for (int i = 0; s + i < to; i++) sum += scores[s + i] = scores[s + i] == -INFINITY ? 0 : rest[i];
    }
    for (s = from; s < to; s++) scores[s] /= sum;
}

static void sum_values(const float *weights, const float *values, int stride, int from, int to, float *context) {
    for (int i = 0; i < stride; i += NR) {
        vf sum[4] = {{0}, {0}, {0}, {0}};
        for (int s = from; s < to; s++) {
            const float *value = values + (int64_t)s * stride + i;
            LOOP_UNROLLED for (int j = 0; j < 4; j++) sum[j] += weights[s] * vload(value + j * W);
        }
        for (int j = 0; j < 4; j++) vstore(context + i + j * W, sum[j]);
    }
}

void attend(const Model *model, const Memory *memory, const Query *query, float *weights, float *context) {
    int length = memory->length, width = padded(model->hidden, K_BLOCK), from = 0, to = length;
    float centre = 0;
    if (model->span == LOCAL_M) {
        int middle = query->position < length - 1 ? query->position : length - 1;
        from = middle - model->window;
        to = middle + model->window + 1;
    } else if (model->span == LOCAL_P) {
        centre = (float)(length - 1) / (1.0f + expf(-dot(query->centre, model->v_p, width)));
        from = (int)ceilf(centre - (float)model->window);
        to = (int)floorf(centre + (float)model->window) + 1;
    }
    if (from < 0) from = 0;
    if (to > length) to = length;

    if (model->score == LOCATION) {
        for (int s = from; s < to; s++) weights[s] = s < model->positions ? query->projected[s] : -INFINITY;
    } else {
        const float *keys = memory->keys + (int64_t)from * width;
        if (model->score == CONCAT) score_concat(query->projected, keys, model->v, width, to - from, weights + from);
        else score_dot(query->state, keys, width, to - from, weights + from);
    }
    softmax(weights, from, to);
    for (int s = 0; s < from; s++) weights[s] = 0;
    for (int s = to; s < length; s++) weights[s] = 0;
    if (model->span == LOCAL_P) {
        float sigma = (float)model->window / 2;
        for (int s = from; s < to; s++) {
            float distance = (float)s - centre;
            weights[s] *= expf(-distance * distance / (2 * sigma * sigma));
        }
    }
    sum_values(weights, memory->values, padded(model->attentional, K_BLOCK), from, to, context);
}
