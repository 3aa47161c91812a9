/* Training: what lies between the products, forward and backward. Products themselves are the caller's.
 *
 * Tensors are fp32 (`half` 0) or bf16 (`half` 1); sums, c, attention weights and gradients of c are always fp32. A stride
 * is in elements from one row to the next. Dropout is not stored: whether an element stays is a hash of its place and a
 * seed, so that the backward pass asks again. `limit`: of 2^32 places so many are dropped; `scale`: 1 / (1 - p). */
#include <stddef.h>

#include "simd.h"

typedef uint32_t vu __attribute__((vector_size(4 * W)));
typedef uint16_t vh __attribute__((vector_size(2 * W)));

typedef struct {
    uint32_t seed, limit;
    float scale;
} Dropout;

typedef uint16_t vh_u __attribute__((vector_size(2 * W), aligned(2)));

INLINE vf widened(vh narrow) { return (vf)(__builtin_convertvector(narrow, vu) << 16); }
INLINE vh narrowed(vf x) {
    vu bits = (vu)x; /* to the nearest, ties to even */
    return __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, vh);
}

/* n of the W elements from place `at` on; zeros beyond. Whole vectors have a path of their own: a copy of a length that
 * the compiler does not know goes through memory. */
INLINE vf get(const void *from, ptrdiff_t at, int n, int half) {
    if (half) {
        const uint16_t *place = (const uint16_t *)from + at;
        if (__builtin_expect(n >= W, 1)) return widened((vh)*(const vh_u *)place);
        vh narrow = {0};
        for (int i = 0; i < n; i++) narrow[i] = place[i];
        return widened(narrow);
    }
    const float *place = (const float *)from + at;
    if (__builtin_expect(n >= W, 1)) return vload(place);
    vf wide = {0};
    for (int i = 0; i < n; i++) wide[i] = place[i];
    return wide;
}

INLINE void put(void *to, ptrdiff_t at, vf x, int n, int half) {
    if (half) {
        uint16_t *place = (uint16_t *)to + at;
        vh narrow = narrowed(x);
        if (__builtin_expect(n >= W, 1)) *(vh_u *)place = (vh_u)narrow;
        else for (int i = 0; i < n; i++) place[i] = narrow[i];
    } else {
        float *place = (float *)to + at;
        if (__builtin_expect(n >= W, 1)) vstore(place, x);
        else for (int i = 0; i < n; i++) place[i] = x[i];
    }
}

INLINE vf sigmoid(vf x) { return vinverse(1.0f + vexp(-vclamp(x, 25.0f))); }

INLINE vf drop(vf x, uint32_t place, Dropout d) {
    if (!d.limit) return x;
    vu lane;
    for (int i = 0; i < W; i++) lane[i] = (uint32_t)i;
    vu z = lane + place; /* Wellons' lowbias32 */
    z = (z ^ d.seed) * 0x9e3779b1u;
    z ^= z >> 16, z *= 0x7feb352du;
    z ^= z >> 15, z *= 0x846ca68bu;
    z ^= z >> 16;
    return (vf)((vu)(x * d.scale) & (vu)(z >= d.limit));
}

#define EXPORT __attribute__((visibility("default")))
#define BOTH(call) \
    if (half) { call(1); } else { call(0); }

/* y = dropout(x); of the gradient, the same again. */
INLINE void dropout_kind(int64_t count, const void *x, void *y, Dropout d, int half) {
    for (int64_t i = 0; i < count; i += W) {
        int n = count - i < W ? (int)(count - i) : W;
        put(y, i, drop(get(x, i, n, half), (uint32_t)i, d), n, half);
    }
}
EXPORT void nmt_dropout(int64_t count, const void *x, void *y, uint32_t seed, uint32_t limit, float scale, int half) {
    Dropout d = {seed, limit, scale};
#define CALL(k) dropout_kind(count, x, y, d, k)
    BOTH(CALL)
#undef CALL
}

typedef struct {
    int32_t rows, hidden, half, at;
    const int64_t *lengths;  /* [rows]: where `at` is not below, the row keeps its state; or NULL */
    void *gates;             /* [rows, 4 hidden]: the recurrent product; becomes the active gates i, f, g, o */
    const void *add;         /* [rows, 4 hidden]: the hoisted part and the bias */
    int64_t add_stride;
    const float *c_from;
    float *c_to;
    const void *h_from;      /* read only where a row keeps its state */
    int64_t h_from_stride;
    void *h_to;              /* for the next step */
    int64_t h_to_stride;
    const void *below;       /* residual: what the layer below gave, added to h on its way up; or NULL */
    int64_t below_stride;
    void *sum;               /* [rows, hidden]: that sum, before dropout; or NULL */
    void *up;                /* for the layer above, after dropout; 0 where a row keeps its state */
    int64_t up_stride;
    Dropout dropout;
} LSTMForward;

INLINE void lstm_forward_kind(const LSTMForward *s, int half) {
    int H = s->hidden;
    for (int r = 0; r < s->rows; r++) {
        int is_on = !s->lengths || s->at < s->lengths[r];
        ptrdiff_t gates = (ptrdiff_t)r * 4 * H, add = s->add_stride * r, state = (ptrdiff_t)r * H;
        for (int j = 0; j < H; j += W) {
            int n = H - j < W ? H - j : W;
            vf c = get(s->c_from, state + j, n, 0), h, up;
            if (is_on) {
                vf i = sigmoid(get(s->gates, gates + j, n, half) + get(s->add, add + j, n, half));
                vf f = sigmoid(get(s->gates, gates + H + j, n, half) + get(s->add, add + H + j, n, half));
                vf g = vtanh(get(s->gates, gates + 2 * H + j, n, half) + get(s->add, add + 2 * H + j, n, half));
                vf o = sigmoid(get(s->gates, gates + 3 * H + j, n, half) + get(s->add, add + 3 * H + j, n, half));
                c = f * c + i * g;
                h = o * vtanh(c);
                up = s->below ? h + get(s->below, s->below_stride * r + j, n, half) : h;
                if (s->sum) put(s->sum, state + j, up, n, half);
                up = drop(up, (uint32_t)(state + j), s->dropout);
                put(s->gates, gates + j, i, n, half), put(s->gates, gates + H + j, f, n, half);
                put(s->gates, gates + 2 * H + j, g, n, half), put(s->gates, gates + 3 * H + j, o, n, half);
            } else {
                h = get(s->h_from, s->h_from_stride * r + j, n, half);
                up = vset(0);
            }
            put(s->c_to, state + j, c, n, 0);
            put(s->h_to, s->h_to_stride * r + j, h, n, half);
            put(s->up, s->up_stride * r + j, up, n, half);
        }
    }
}
EXPORT void nmt_lstm_forward(const LSTMForward *s) {
    if (s->half) lstm_forward_kind(s, 1);
    else lstm_forward_kind(s, 0);
}

typedef struct {
    int32_t rows, hidden, half, at;
    const int64_t *lengths;
    const void *gates;       /* active, from the forward pass */
    const float *c_from, *c_to;
    const void *next;        /* d h from the step after, by its product; or NULL */
    int64_t next_stride;
    const void *up;          /* d of `up` of the forward pass */
    int64_t up_stride;
    const float *more;       /* a further d of it, before dropout, [rows, hidden]; or NULL */
    float *sum;              /* the two together, [rows, hidden], for the layer below; may be `more`; or NULL */
    float *keep;             /* [rows, hidden]: d h of rows that kept their state; only with lengths */
    float *d_c;              /* [rows, hidden]: in and out */
    void *d_gates;           /* [rows, 4 hidden]; may be `gates` */
    Dropout dropout;
} LSTMBackward;

INLINE void lstm_backward_kind(const LSTMBackward *s, int half) {
    int H = s->hidden;
    for (int r = 0; r < s->rows; r++) {
        int is_on = !s->lengths || s->at < s->lengths[r];
        ptrdiff_t gates = (ptrdiff_t)r * 4 * H, state = (ptrdiff_t)r * H;
        for (int j = 0; j < H; j += W) {
            int n = H - j < W ? H - j : W;
            vf d_h = s->next ? get(s->next, s->next_stride * r + j, n, half) : vset(0);
            if (s->keep) d_h += get(s->keep, state + j, n, 0);
            if (!is_on) {
                put(s->keep, state + j, d_h, n, 0);
                for (int k = 0; k < 4; k++) put(s->d_gates, gates + k * H + j, vset(0), n, half);
                continue;
            }
            if (s->keep) put(s->keep, state + j, vset(0), n, 0);
            vf d_up = drop(get(s->up, s->up_stride * r + j, n, half), (uint32_t)(state + j), s->dropout);
            if (s->more) d_up += get(s->more, state + j, n, 0);
            if (s->sum) put(s->sum, state + j, d_up, n, 0);
            d_h += d_up;
            vf i = get(s->gates, gates + j, n, half), f = get(s->gates, gates + H + j, n, half);
            vf g = get(s->gates, gates + 2 * H + j, n, half), o = get(s->gates, gates + 3 * H + j, n, half);
            vf t = vtanh(get(s->c_to, state + j, n, 0));
            vf d_c = get(s->d_c, state + j, n, 0) + d_h * o * (1.0f - t * t);
            put(s->d_gates, gates + j, d_c * g * i * (1.0f - i), n, half);
            put(s->d_gates, gates + H + j, d_c * get(s->c_from, state + j, n, 0) * f * (1.0f - f), n, half);
            put(s->d_gates, gates + 2 * H + j, d_c * i * (1.0f - g * g), n, half);
            put(s->d_gates, gates + 3 * H + j, d_h * t * o * (1.0f - o), n, half);
            put(s->d_c, state + j, d_c * f, n, 0);
        }
    }
}
EXPORT void nmt_lstm_backward(const LSTMBackward *s) {
    if (s->half) lstm_backward_kind(s, 1);
    else lstm_backward_kind(s, 0);
}

typedef struct {
    int32_t rows, hidden, half, source;  /* source: S */
    const int64_t *lengths;
    const void *keys, *states;           /* [S, rows, hidden] */
    const void *query;                   /* [rows, hidden] */
    int64_t query_stride;
    float *weights;                      /* [rows, S]; 0 on padding */
    void *context;                       /* forward: c_t; backward: its gradient */
    int64_t context_stride;
    float *d_scores;                     /* [rows, S] */
    float *d_query;                      /* [rows, hidden] */
} Attention;

/* to[s] = x . y_s of rows y_s that lie `stride` apart, four at a time: they share each load of x. */
INLINE void dots(const void *x, ptrdiff_t x_at, const void *y, ptrdiff_t y_at, ptrdiff_t stride, int length, int count,
                 int half, float *to) {
    for (int s = 0; s < length; s += 4) {
        int rows = length - s < 4 ? length - s : 4;
        vf sum[4] = {{0}, {0}, {0}, {0}};
        ptrdiff_t at[4];
        for (int k = 0; k < 4; k++) at[k] = y_at + (s + (k < rows ? k : 0)) * stride;
        for (int j = 0; j < count; j += W) {
            int n = count - j < W ? count - j : W;
            vf a = get(x, x_at + j, n, half);
            LOOP_UNROLLED for (int k = 0; k < 4; k++) sum[k] += a * get(y, at[k] + j, n, half);
        }
        for (int k = 0; k < rows; k++) to[s + k] = vsum(sum[k]);
    }
}

/* to[j] = sum_s weight_s x_s[j] of rows x_s that lie `stride` apart, W * 4 columns at a time. */
INLINE void mix(const float *weight, int length, const void *x, ptrdiff_t first, ptrdiff_t stride, int count, int half,
                void *to, ptrdiff_t at, int to_half) {
    int j = 0;
    for (; j + 4 * W <= count; j += 4 * W) {
        vf sum[4] = {{0}, {0}, {0}, {0}};
        for (int s = 0; s < length; s++)
            LOOP_UNROLLED for (int k = 0; k < 4; k++)
                sum[k] += weight[s] * get(x, first + s * stride + j + k * W, W, half);
        LOOP_UNROLLED for (int k = 0; k < 4; k++) put(to, at + j + k * W, sum[k], W, to_half);
    }
    for (; j < count; j += W) {
        int n = count - j < W ? count - j : W;
        vf sum = vset(0);
        for (int s = 0; s < length; s++) sum += weight[s] * get(x, first + s * stride + j, n, half);
        put(to, at + j, sum, n, to_half);
    }
}

INLINE void attention_forward_kind(const Attention *a, int half) {
    ptrdiff_t H = a->hidden, stride = a->rows * H;
    for (int r = 0; r < a->rows; r++) {
        float *weight = a->weights + (ptrdiff_t)r * a->source;
        int length = (int)a->lengths[r];
        float best = -INFINITY, sum = 0;
        dots(a->query, a->query_stride * r, a->keys, r * H, stride, length, (int)H, half, weight);
        for (int s = 0; s < length; s++) best = fmax2(best, weight[s]);
        for (int s = 0; s < length; s++) sum += weight[s] = expf(weight[s] - best);
        for (int s = 0; s < length; s++) weight[s] /= sum;
        for (int s = length; s < a->source; s++) weight[s] = 0;
        mix(weight, length, a->states, r * H, stride, (int)H, half, a->context, a->context_stride * r, half);
    }
}
EXPORT void nmt_attention_forward(const Attention *a) {
    if (a->half) attention_forward_kind(a, 1);
    else attention_forward_kind(a, 0);
}

INLINE void attention_backward_kind(const Attention *a, int half) {
    ptrdiff_t H = a->hidden, stride = a->rows * H;
    for (int r = 0; r < a->rows; r++) {
        const float *weight = a->weights + (ptrdiff_t)r * a->source;
        float *d_score = a->d_scores + (ptrdiff_t)r * a->source;
        int length = (int)a->lengths[r];
        float mean = 0;
        dots(a->context, a->context_stride * r, a->states, r * H, stride, length, (int)H, half, d_score);
        for (int s = 0; s < length; s++) mean += weight[s] * d_score[s];
        for (int s = 0; s < length; s++) d_score[s] = weight[s] * (d_score[s] - mean);
        for (int s = length; s < a->source; s++) d_score[s] = 0;
        mix(d_score, length, a->keys, r * H, stride, (int)H, half, a->d_query, r * H, 0);
    }
}
EXPORT void nmt_attention_backward(const Attention *a) {
    if (a->half) attention_backward_kind(a, 1);
    else attention_backward_kind(a, 0);
}

/* to[s, r] = sum_t weights[t, r, s] from[t, r]: of every sentence, over all steps. */
INLINE void per_sentence_kind(int steps, int rows, int source, int hidden, const float *weights, const void *from,
                              int64_t stride, void *to, int half) {
    float weight[steps];
    for (int r = 0; r < rows; r++)
        for (int s = 0; s < source; s++) {
            for (int t = 0; t < steps; t++) weight[t] = weights[((ptrdiff_t)t * rows + r) * source + s];
            mix(weight, steps, from, stride * r, stride * rows, hidden, half, to, ((ptrdiff_t)s * rows + r) * hidden, half);
        }
}
EXPORT void nmt_per_sentence(int steps, int rows, int source, int hidden, const float *weights, const void *from,
                             int64_t stride, void *to, int half) {
#define CALL(k) per_sentence_kind(steps, rows, source, hidden, weights, from, stride, to, k)
    BOTH(CALL)
#undef CALL
}

/* h~ = dropout(tanh(x)), [rows, width], written twice; `x` becomes tanh(x). */
INLINE void squash_kind(int rows, int width, void *x, void *one, int64_t one_stride, void *two, int64_t two_stride,
                        Dropout d, int half) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < width; j += W) {
            int n = width - j < W ? width - j : W;
            ptrdiff_t at = (ptrdiff_t)r * width + j;
            vf t = vtanh(get(x, at, n, half)), y = drop(t, (uint32_t)at, d);
            put(x, at, t, n, half);
            put(one, one_stride * r + j, y, n, half);
            put(two, two_stride * r + j, y, n, half);
        }
}
EXPORT void nmt_squash(int rows, int width, void *x, void *one, int64_t one_stride, void *two, int64_t two_stride,
                uint32_t seed, uint32_t limit, float scale, int half) {
    Dropout d = {seed, limit, scale};
#define CALL(k) squash_kind(rows, width, x, one, one_stride, two, two_stride, d, k)
    BOTH(CALL)
#undef CALL
}

/* d x of nmt_squash from the gradients of what it wrote (`two` may be NULL), over tanh(x) itself. */
INLINE void squash_backward_kind(int rows, int width, void *x, const void *one, int64_t one_stride, const void *two,
                                 int64_t two_stride, Dropout d, int half) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < width; j += W) {
            int n = width - j < W ? width - j : W;
            ptrdiff_t at = (ptrdiff_t)r * width + j;
            vf t = get(x, at, n, half), dy = get(one, one_stride * r + j, n, half);
            if (two) dy += get(two, two_stride * r + j, n, half);
            put(x, at, drop(dy, (uint32_t)at, d) * (1.0f - t * t), n, half);
        }
}
EXPORT void nmt_squash_backward(int rows, int width, void *x, const void *one, int64_t one_stride, const void *two,
                         int64_t two_stride, uint32_t seed, uint32_t limit, float scale, int half) {
    Dropout d = {seed, limit, scale};
#define CALL(k) squash_backward_kind(rows, width, x, one, one_stride, two, two_stride, d, k)
    BOTH(CALL)
#undef CALL
}

/* Cross-entropy with label smoothing, a row of `words` logits each. Writes -log p(y) and log Z - mean(logits) of each
 * row, and where `d_bias` is given the gradient of (1 - smoothing) * the one + smoothing * the other over the logits,
 * added up over rows in `d_bias` before it is rounded. */
INLINE void cross_entropy_kind(int rows, int words, void *logits, const int64_t *targets, float smoothing, float *d_bias,
                               float *nll, float *spread, int half) {
    for (int r = 0; r < rows; r++) {
        ptrdiff_t first = (ptrdiff_t)r * words;
        vf best = vset(-INFINITY), total = vset(0), sum = vset(0);
        int whole = words / W * W, rest = words - whole;
        for (int j = 0; j < whole; j += W) {
            vf x = get(logits, first + j, W, half);
            best = vmax(best, x), total += x;
        }
        float peak = vmax_all(best), all = vsum(total), z;
        vf last = get(logits, first + whole, rest, half);
        for (int k = 0; k < rest; k++) peak = fmax2(peak, last[k]), all += last[k];
        for (int j = 0; j < whole; j += W) sum += vexp(get(logits, first + j, W, half) - peak);
        z = vsum(sum);
        for (int k = 0; k < rest; k++) z += expf(last[k] - peak);
        float log_z = peak + logf(z);
        ptrdiff_t y = first + targets[r];
        float score = get(logits, y, 1, half)[0];
        nll[r] = log_z - score, spread[r] = log_z - all / (float)words;
        if (!d_bias) continue;
        float even = smoothing / (float)words;
        for (int j = 0; j < words; j += W) {
            int n = words - j < W ? words - j : W;
            vf p = vexp(get(logits, first + j, n, half) - log_z) - even;
            put(logits, first + j, p, n, half);
            put(d_bias, j, get(d_bias, j, n, 0) + p, n, 0);
        }
        float d = expf(score - log_z) - even - (1.0f - smoothing);
        put(logits, y, vset(d), 1, half);
        d_bias[targets[r]] -= 1.0f - smoothing;
    }
}
EXPORT void nmt_cross_entropy(int rows, int words, void *logits, const int64_t *targets, float smoothing, float *d_bias,
                       float *nll, float *spread, int half) {
#define CALL(k) cross_entropy_kind(rows, words, logits, targets, smoothing, d_bias, nll, spread, k)
    BOTH(CALL)
#undef CALL
}

/* Cross-entropy of two passes over the same targets, as above for each, and how far the two are from each other (R-Drop):
 * rows r and rows + r of `logits` belong together. Writes the means of both passes, and KL(p||q) + KL(q||p) of each pair
 * of rows; the logits become the gradient of mean cross-entropy + strength * divergence. With gap = x - y of the logits,
 * KL(p||q) + KL(q||p) = E_p[gap] - E_q[gap], so that one pass over the exponentials finds it. */
INLINE void cross_entropy_twice_kind(int rows, int words, void *logits, const int64_t *targets, float smoothing,
                                     float strength, float *d_bias, float *nll, float *spread, float *divergence,
                                     int half) {
    int whole = words / W * W, rest = words - whole;
    float even = smoothing / (float)words;
    for (int r = 0; r < rows; r++) {
        ptrdiff_t one = (ptrdiff_t)r * words, two = ((ptrdiff_t)rows + r) * words, first[2] = {one, two};
        float peak[2], all[2];
        for (int k = 0; k < 2; k++) {
            vf best = vset(-INFINITY), total = vset(0), last = get(logits, first[k] + whole, rest, half);
            for (int j = 0; j < whole; j += W) {
                vf x = get(logits, first[k] + j, W, half);
                best = vmax(best, x), total += x;
            }
            peak[k] = vmax_all(best), all[k] = vsum(total);
            for (int i = 0; i < rest; i++) peak[k] = fmax2(peak[k], last[i]), all[k] += last[i];
        }
        vf sum_p = vset(0), sum_q = vset(0), by_p = vset(0), by_q = vset(0);
        for (int j = 0; j < whole; j += W) {
            vf x = get(logits, one + j, W, half), y = get(logits, two + j, W, half);
            vf p = vexp(x - peak[0]), q = vexp(y - peak[1]), gap = x - y;
            sum_p += p, sum_q += q, by_p += p * gap, by_q += q * gap;
        }
        float z_p = vsum(sum_p), z_q = vsum(sum_q), gap_p = vsum(by_p), gap_q = vsum(by_q);
        vf last_x = get(logits, one + whole, rest, half), last_y = get(logits, two + whole, rest, half);
        for (int i = 0; i < rest; i++) {
            float p = expf(last_x[i] - peak[0]), q = expf(last_y[i] - peak[1]), gap = last_x[i] - last_y[i];
            z_p += p, z_q += q, gap_p += p * gap, gap_q += q * gap;
        }
        gap_p /= z_p, gap_q /= z_q;
        float log_p = peak[0] + logf(z_p), log_q = peak[1] + logf(z_q);
        float x = get(logits, one + targets[r], 1, half)[0], y = get(logits, two + targets[r], 1, half)[0];
        nll[r] = 0.5f * (log_p - x + log_q - y);
        spread[r] = 0.5f * (log_p + log_q - (all[0] + all[1]) / (float)words);
        divergence[r] = gap_p - gap_q;
        if (!d_bias) continue;
        for (int j = 0; j < words; j += W) {
            int n = words - j < W ? words - j : W;
            vf a = get(logits, one + j, n, half), b = get(logits, two + j, n, half);
            vf p = vexp(a - log_p), q = vexp(b - log_q), gap = a - b;
            vf d_a = 0.5f * (p - even) + strength * (p * (gap - gap_p) + p - q);
            vf d_b = 0.5f * (q - even) + strength * (q * (gap_q - gap) + q - p);
            put(logits, one + j, d_a, n, half), put(logits, two + j, d_b, n, half);
            put(d_bias, j, get(d_bias, j, n, 0) + d_a + d_b, n, 0);
        }
        float p = expf(x - log_p), q = expf(y - log_q), gap = x - y, target = 1.0f - smoothing;
        float d_x = 0.5f * (p - even - target) + strength * (p * (gap - gap_p) + p - q);
        float d_y = 0.5f * (q - even - target) + strength * (q * (gap_q - gap) + q - p);
        put(logits, one + targets[r], vset(d_x), 1, half), put(logits, two + targets[r], vset(d_y), 1, half);
        d_bias[targets[r]] -= target;
    }
}
EXPORT void nmt_cross_entropy_twice(int rows, int words, void *logits, const int64_t *targets, float smoothing,
                                    float strength, float *d_bias, float *nll, float *spread, float *divergence, int half) {
#define CALL(k) cross_entropy_twice_kind(rows, words, logits, targets, smoothing, strength, d_bias, nll, spread, divergence, k)
    BOTH(CALL)
#undef CALL
}
