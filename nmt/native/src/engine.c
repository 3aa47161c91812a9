/* The decoder over slots: sentences at different steps share every product; their beams are theirs alone. */
#include "beam.h"
#include "cell.h"
#include "encoder.h"
#include "workspace.h"

/* The states of all live hypotheses, a row each: written in one step and read by the next through each row's parent. */
typedef struct {
    Scratch h[MAX_LAYERS], c[MAX_LAYERS], feed;
} States;

struct Engine {
    const Model *model;
    EncoderSpace encoder;
    States states[2];
    int current; /* which of them the next step reads */
    int used;    /* its rows */
    Scratch bytes, scale, floats, query, centre, rows, best, lists, weights;
    Scratch seen, words; /* a bit for every word, none set between calls; ids */
    float *list_logits; /* in `lists` */
    int32_t *list_tokens;
    Slot *slots;
    int slot_count;
    int running;
};

/* A live hypothesis in a step. */
typedef struct {
    Slot *slot;
    int place;
    int parent; /* its row in the states before */
} Live;

int nmt_width(void) { return W; }
const char *nmt_source_hash(void) { return SOURCE_HASH; }
int64_t nmt_model_bytes(void) { return sizeof(Model); }

typedef struct {
    void *table;
    int width, is_half;
} Table;

static void fill(void *context, int row, int rows, int column, const float (*tile)[NR]) {
    const Table *table = context;
    for (int r = 0; r < rows; r++) {
        int64_t at = (int64_t)(row + r) * table->width + column;
        if (table->is_half) to_half(tile[r], NR, (uint16_t *)table->table + at);
        else memcpy((float *)table->table + at, tile[r], sizeof tile[r]);
    }
}

int nmt_fill_table(const Matrix *matrix, const float *embedding, int vocabulary, int size, void *table) {
    enum { AT_ONCE = 64 };
    int is_half = matrix->precision == INT8;
    size_t cells = AT_ONCE * (size_t)matrix->inputs;
    Rows x = {.bytes = aligned_alloc(ALIGN, cells), .floats = aligned_alloc(ALIGN, sizeof(float) * cells)};
    float scale[AT_ONCE];
    x.scale = scale;
    int is_done = x.bytes && x.floats;
    for (int first = 0; is_done && first < vocabulary; first += AT_ONCE) {
        int count = vocabulary - first < AT_ONCE ? vocabulary - first : AT_ONCE;
        const float *from = embedding + (int64_t)first * size;
        set_rows(&x, matrix->precision, matrix->inputs, from, size, size, count);
        int64_t begin = (int64_t)first * matrix->outputs * (is_half ? 2 : 4);
        product(matrix, &x, 0, count, fill, &(Table){(char *)table + begin, matrix->outputs, is_half});
    }
    free(x.bytes);
    free(x.floats);
    return is_done;
}

Engine *nmt_engine_new(const Model *model) {
    Engine *engine = calloc(1, sizeof *engine);
    if (engine) engine->model = model;
    return engine;
}

static void free_slot(Slot *slot) {
    free(slot->block);
    *slot = (Slot){0};
}

void nmt_engine_free(Engine *engine) {
    if (!engine) return;
    for (int i = 0; i < engine->slot_count; i++) free_slot(&engine->slots[i]);
    for (int i = 0; i < 2; i++) {
        Scratch *all = (Scratch *)&engine->states[i];
        for (size_t j = 0; j < sizeof engine->states[i] / sizeof *all; j++) free(all[j].at);
    }
    Scratch *own[] = {&engine->bytes, &engine->scale, &engine->floats, &engine->query,  &engine->centre,
                      &engine->rows,  &engine->best,  &engine->lists,  &engine->weights, &engine->seen,
                      &engine->words};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) free(own[i]->at);
    free_encoder_space(&engine->encoder);
    free(engine->slots);
    free(engine);
}

/* ---- admission -------------------------------------------------------------------------------------------------- */

/* Pieces of one block of memory: first the sizes are added up, then the same calls hand out the places. */
typedef struct {
    char *base;
    size_t used;
} Layout;

static void *piece(Layout *layout, size_t bytes) {
    void *at = layout->base ? layout->base + layout->used : 0;
    layout->used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return bytes ? at : 0;
}

static void lay_out(const Model *model, Slot *slot, int words, Layout *layout, float **keys, float **values) {
    const Options *options = &slot->options;
    size_t beam = (size_t)options->beam, steps = (size_t)options->max_length, length = (size_t)slot->memory.length;
    size_t width = (size_t)padded(model->hidden, K_BLOCK), out = (size_t)padded(model->attentional, K_BLOCK);
    size_t columns = (size_t)padded(words, NR);
    *keys = piece(layout, model->score == LOCATION ? 0 : sizeof(float) * length * width);
    *values = piece(layout, sizeof(float) * length * out);
    slot->log_prob = piece(layout, sizeof(float) * beam);
    slot->token = piece(layout, sizeof(int32_t) * beam);
    slot->row = piece(layout, sizeof(int32_t) * beam);
    slot->final_score = piece(layout, sizeof(float) * beam);
    slot->final_log_prob = piece(layout, sizeof(float) * beam);
    slot->final_step = piece(layout, sizeof(int32_t) * beam);
    slot->final_place = piece(layout, sizeof(int32_t) * beam);
    slot->parents = piece(layout, sizeof(int32_t) * steps * beam);
    slot->tokens = piece(layout, sizeof(int32_t) * steps * beam);
    slot->attention = piece(layout, options->with_attention ? sizeof(float) * steps * beam * length : 0);
    slot->coverage = piece(layout, model->coverage_penalty > 0 ? sizeof(float) * 2 * beam * length : 0);
    size_t taboos = (size_t)most_taboos(options);
    slot->prefix = piece(layout, sizeof(int32_t) * (size_t)options->prefix);
    slot->forbidden = piece(layout, sizeof(int32_t) * (size_t)options->forbidden);
    slot->taboos = piece(layout, sizeof(int32_t) * beam * taboos);
    slot->written = piece(layout, taboos ? sizeof(int32_t) * steps : 0);
    slot->ids = piece(layout, sizeof(int32_t) * columns);
    slot->barred = piece(layout, sizeof(float) * columns);
    slot->output.bias = piece(layout, sizeof(float) * columns);
    slot->output.scale = piece(layout, sizeof(float) * columns);
    slot->output.offset = piece(layout, sizeof(int32_t) * columns);
}

static int is_always_open(const Model *model, int32_t word) {
    for (int j = 0; j < model->output.outputs; j++)
        if (model->output_ids[j] == word) return 1;
    return 0;
}

/* The words that the shortlist allows a sentence beside those of `output`, and those of its prefix; rising, in
 * `engine->words`: how many, or -1. */
static int list_words(Engine *engine, const int32_t *ids, int length, const int32_t *prefix, int forced) {
    const Model *model = engine->model;
    if (!model->lines.outputs) return 0;
    int parts = (model->target_vocabulary + 63) / 64, count = 0;
    uint64_t *seen = scratch(&engine->seen, sizeof(uint64_t) * (size_t)parts, 0);
    int32_t *words = scratch(&engine->words, sizeof(int32_t) * (size_t)model->target_vocabulary, 0);
    if (!seen || !words) return -1;
    for (int s = 0; s < length; s++)
        for (int i = model->list_from[ids[s]]; i < model->list_from[ids[s] + 1]; i++)
            seen[model->list_words[i] / 64] |= UINT64_C(1) << model->list_words[i] % 64;
    for (int i = 0; i < forced; i++)
        if (!is_always_open(model, prefix[i])) seen[prefix[i] / 64] |= UINT64_C(1) << prefix[i] % 64;
    for (int p = 0; p < parts; p++) {
        for (uint64_t rest = seen[p]; rest; rest &= rest - 1) words[count++] = 64 * p + __builtin_ctzll(rest);
        seen[p] = 0;
    }
    return count;
}

static void set_words(const Model *model, Slot *slot, const int32_t *words, int count) {
    const Matrix *lines = &model->lines;
    float *bias = (float *)slot->output.bias, *scale = (float *)slot->output.scale;
    int32_t *offset = (int32_t *)slot->output.offset;
    slot->output.inputs = lines->inputs;
    slot->output.outputs = padded(count, NR);
    slot->output.precision = lines->precision;
    slot->output.panels = lines->panels;
    for (int j = 0; j < slot->output.outputs; j++) {
        int word = slot->ids[j] = words[j < count ? j : 0]; /* columns that only fill up are some word's, without mass */
        slot->barred[j] = j < count ? model->lines_barred[word] : -INFINITY;
        bias[j] = j < count ? lines->bias[word] : -1e30f;
        scale[j] = j < count ? lines->scale[word] : 0;
        offset[j] = lines->offset[word];
    }
}

static void set_bounds(Slot *slot, const int32_t *bounds) {
    const Options *options = &slot->options;
    if (options->prefix) memcpy(slot->prefix, bounds, sizeof(int32_t) * (size_t)options->prefix);
    if (options->forbidden)
        memcpy(slot->forbidden, bounds + options->prefix, sizeof(int32_t) * (size_t)options->forbidden);
}

static int free_slot_number(Engine *engine) {
    for (int i = 0; i < engine->slot_count; i++)
        if (engine->slots[i].phase == FREE) return i;
    int count = engine->slot_count ? 2 * engine->slot_count : 64;
    Slot *slots = realloc(engine->slots, sizeof(Slot) * (size_t)count);
    if (!slots) return -1;
    memset(slots + engine->slot_count, 0, sizeof(Slot) * (size_t)(count - engine->slot_count));
    int first = engine->slot_count;
    engine->slots = slots;
    engine->slot_count = count;
    return first;
}

/* Room for `rows` in one of the two states, what is there kept. */
static int grow_states(const Engine *engine, States *states, int rows) {
    const Model *model = engine->model;
    size_t width = sizeof(float) * (size_t)padded(model->hidden, K_BLOCK), kept = (size_t)engine->used;
    size_t out = sizeof(float) * (size_t)padded(model->attentional, K_BLOCK);
    for (int k = 0; k < model->decoder_layers; k++) {
        if (!scratch(&states->h[k], (size_t)rows * width, kept * width)) return 0;
        if (!scratch(&states->c[k], (size_t)rows * width, kept * width)) return 0;
    }
    return scratch(&states->feed, (size_t)rows * out, kept * out) != 0;
}

static int begin(Engine *engine, int number, const Encoded *encoded, int count, int sentence, int64_t position,
                 int length, const Options *options, const int32_t *bounds, int words) {
    const Model *model = engine->model;
    Slot *slot = &engine->slots[number];
    int width = padded(model->hidden, K_BLOCK), out = padded(model->attentional, K_BLOCK), row = engine->used;
    States *states = &engine->states[engine->current];
    if (!grow_states(engine, states, row + 1)) return 0;
    float *keys, *values;
    Layout layout = {0};
    *slot = (Slot){.options = *options, .memory.length = length};
    lay_out(model, slot, words, &layout, &keys, &values);
    size_t bytes = layout.used;
    layout = (Layout){.base = aligned_alloc(ALIGN, bytes)};
    if (!layout.base) return 0;
    memset(layout.base, 0, bytes);
    lay_out(model, slot, words, &layout, &keys, &values);
    slot->block = layout.base;

    if (keys) memcpy(keys, encoded->keys + position * width, sizeof(float) * (size_t)length * (size_t)width);
    memcpy(values, encoded->values + position * out, sizeof(float) * (size_t)length * (size_t)out);
    slot->memory = (Memory){length, keys, values};
    set_words(model, slot, engine->words.at, words);
    set_bounds(slot, bounds);

    for (int k = 0; k < model->decoder_layers; k++) {
        int64_t from = ((int64_t)k * count + sentence) * width;
        memcpy((float *)states->h[k].at + (int64_t)row * width, encoded->first_h + from, sizeof(float) * (size_t)width);
        memcpy((float *)states->c[k].at + (int64_t)row * width, encoded->first_c + from, sizeof(float) * (size_t)width);
    }
    memset((float *)states->feed.at + (int64_t)row * out, 0, sizeof(float) * (size_t)out);
    engine->used++;
    slot->phase = RUNNING;
    slot->alive = 1;
    slot->log_prob[0] = 0;
    slot->token[0] = model->bos;
    slot->row[0] = row;
    engine->running++;
    return 1;
}

int nmt_admit(Engine *engine, int count, const int32_t *ids, const int32_t *lengths, const Options *options,
              const int32_t *bounds, int32_t *slots) {
    enum { AT_ONCE = 16 }; /* sentences encoded together: more win nothing and leave the cache */
    if (!engine->running) engine->used = 0;
    for (int first = 0; first < count; first += AT_ONCE) {
        int group = count - first < AT_ONCE ? count - first : AT_ONCE;
        Encoded encoded;
        int is_encoded = encode(engine->model, &engine->encoder, group, ids, lengths + first, &encoded);
        int64_t position = 0;
        for (int i = first; i < first + group; i++) {
            const Options *own = &options[i];
            int words = list_words(engine, ids + position, lengths[i], bounds, own->prefix);
            slots[i] = is_encoded && words >= 0 ? free_slot_number(engine) : -1;
            if (slots[i] < 0 ||
                !begin(engine, slots[i], &encoded, group, i - first, position, lengths[i], own, bounds, words)) {
                while (i-- > 0) nmt_drop(engine, slots[i]);
                return -1;
            }
            position += lengths[i];
            bounds += own->prefix + own->forbidden;
        }
        ids += position;
    }
    return count;
}

/* ---- one step --------------------------------------------------------------------------------------------------- */

typedef struct {
    float *feed; /* holds W_c's share of the context; becomes h~ */
    int stride;
} Combine;

/* h~ = tanh(W_c [c; h]) (Luong et al. 2015, eq. 5). */
static void combine(void *context, int row, int rows, int column, const float (*tile)[NR]) {
    const Combine *to = context;
    for (int r = 0; r < rows; r++) {
        float *out = to->feed + (int64_t)(row + r) * to->stride + column;
        for (int j = 0; j < NR; j += W) vstore(out + j, vtanh(vload(tile[r] + j) + vload(out + j)));
    }
}

static void put(Best *best, float logit, int32_t token) {
    int at = best->count < best->capacity ? best->count++ : best->capacity - 1;
    for (; at > 0 && best->logits[at - 1] < logit; at--) {
        best->logits[at] = best->logits[at - 1];
        best->tokens[at] = best->tokens[at - 1];
    }
    best->logits[at] = logit;
    best->tokens[at] = token;
    if (best->count == best->capacity) best->threshold = best->logits[best->capacity - 1];
}

typedef struct {
    Best *best;
    const float *barred;
    const int32_t *ids; /* of the columns; null: column numbers are ids */
    int eos;
} Rank;

static int is_open(const Best *best, int32_t token, int eos) {
    if (best->only >= 0) return token == best->only;
    if (token == eos && best->is_eos_barred) return 0;
    for (int i = 0; i < best->taboo_count; i++)
        if (best->taboos[i] == token) return 0;
    return 1;
}

/* The running log-sum-exp and the best tokens: the distribution itself is never written. */
static void rank(void *context, int row, int rows, int column, const float (*tile)[NR]) {
    const Rank *to = context;
    for (int r = 0; r < rows; r++) {
        Best *best = &to->best[row + r];
        vf logit[4], peak;
        for (int j = 0; j < 4; j++) logit[j] = vload(tile[r] + j * W);
        peak = vmax(vmax(logit[0], logit[1]), vmax(logit[2], logit[3]));
        float top = vmax_all(peak);
        if (top > best->peak) {
            best->sum *= vexp(vset(best->peak - top));
            best->peak = top;
        }
        for (int j = 0; j < 4; j++) best->sum += vexp(logit[j] - best->peak);
        if (!(top > best->threshold)) continue;
        for (int j = 0; j < 4; j++) {
            vf open = logit[j] + vload(to->barred + column + j * W);
            for (uint32_t better = vgreater(open, vset(best->threshold)); better; better &= better - 1) {
                int lane = __builtin_ctz(better), at = column + j * W + lane;
                int32_t token = to->ids ? to->ids[at] : at;
                float value = tile[r][j * W + lane];
                if (value > best->threshold && is_open(best, token, to->eos)) put(best, value, token);
            }
        }
    }
}

/* Scratch of one step for n rows. */
typedef struct {
    int count;
    Live *live;
    Rows x;
    const uint16_t **half; /* [n]: each row's line of the table, in the one precision or the other */
    const float **add;
    const float **c_from; /* [n] */
    float **c_to, **h_to;
    Best *best;
    float *query, *centre, *weights;
} Step;

static int widest(const Model *model) {
    int inputs = model->combine.inputs > model->output.inputs ? model->combine.inputs : model->output.inputs;
    for (int k = 0; k < model->decoder_layers; k++)
        inputs = model->cells[k].inputs > inputs ? model->cells[k].inputs : inputs;
    return inputs;
}

static int make_room(Engine *engine, int rows, int candidates, int longest, Step *step) {
    const Model *model = engine->model;
    size_t n = (size_t)rows, cells = n * (size_t)widest(model);
    step->count = rows;
    if (model->precision == INT8) {
        step->x.bytes = scratch(&engine->bytes, cells, 0);
        step->x.scale = scratch(&engine->scale, sizeof(float) * n, 0);
        if (!step->x.bytes || !step->x.scale) return 0;
    } else if (!(step->x.floats = scratch(&engine->floats, sizeof(float) * cells, 0))) return 0;
    char *at = scratch(&engine->rows, n * (sizeof(Live) + 4 * sizeof(void *)), 0);
    if (!at) return 0;
    step->live = (Live *)at;
    step->add = (const float **)(step->live + n);
    step->half = (const uint16_t **)step->add;
    step->c_from = step->add + n;
    step->c_to = (float **)(step->c_from + n);
    step->h_to = step->c_to + n;
    step->best = scratch(&engine->best, sizeof(Best) * n, 0);
    size_t lists = (size_t)candidates;
    char *list = scratch(&engine->lists, lists * (sizeof(float) + sizeof(int32_t)), 0);
    step->weights = scratch(&engine->weights, sizeof(float) * (size_t)(longest + NR), 0);
    if (!step->best || !list || !step->weights) return 0;
    if (model->query.outputs &&
        !(step->query = scratch(&engine->query, sizeof(float) * n * (size_t)model->query.outputs, 0))) return 0;
    if (model->centre.outputs &&
        !(step->centre = scratch(&engine->centre, sizeof(float) * n * (size_t)model->centre.outputs, 0))) return 0;
    /* the lists: tokens after logits */
    engine->list_logits = (float *)list;
    engine->list_tokens = (int32_t *)(list + lists * sizeof(float));
    return 1;
}

/* What may come next after a live hypothesis. */
static void bind(const Model *model, Slot *slot, int place, Best *best) {
    const Options *options = &slot->options;
    int step = slot->step, most = most_taboos(options);
    best->only = -1;
    if (step < options->prefix) best->only = slot->prefix[step];
    else if (step + 1 >= options->max_length) best->only = model->eos;
    else if (most) {
        int32_t *taboos = slot->taboos + (int64_t)place * most;
        best->taboos = taboos;
        best->taboo_count = find_taboos(slot, place, taboos);
    }
}

/* Every live hypothesis of every running sentence gets a row, those of one sentence together. */
static int gather(Engine *engine, Step *step) {
    int rows = 0, candidates = 0, longest = 0;
    for (int i = 0; i < engine->slot_count; i++) {
        const Slot *slot = &engine->slots[i];
        if (slot->phase != RUNNING) continue;
        rows += slot->alive;
        candidates += slot->alive * 2 * slot->options.beam;
        longest = slot->memory.length > longest ? slot->memory.length : longest;
    }
    *step = (Step){0};
    if (!make_room(engine, rows, candidates, longest, step)) return 0;
    int row = 0, used = 0;
    for (int i = 0; i < engine->slot_count; i++) {
        Slot *slot = &engine->slots[i];
        if (slot->phase != RUNNING) continue;
        const Options *options = &slot->options;
        for (int k = 0; k < slot->alive; k++, row++) {
            step->live[row] = (Live){slot, k, slot->row[k]};
            slot->row[k] = row;
            step->best[row] = (Best){
                .peak = -1e30f,
                .threshold = -INFINITY,
                .capacity = 2 * options->beam,
                .logits = engine->list_logits + used,
                .tokens = engine->list_tokens + used,
                .is_eos_barred = slot->step < options->min_length,
            };
            bind(engine->model, slot, k, &step->best[row]);
            used += 2 * options->beam;
        }
    }
    return 1;
}

/* h of the top layer, for every row. */
static const float *recur(const Engine *engine, const Step *step, const States *old, const States *new) {
    const Model *model = engine->model;
    int width = padded(model->hidden, K_BLOCK), out = padded(model->attentional, K_BLOCK);
    for (int k = 0; k < model->decoder_layers; k++) {
        const Matrix *matrix = &model->cells[k];
        for (int row = 0; row < step->count; row++) {
            const Live *live = &step->live[row];
            const float *below = k > 0 ? (float *)new->h[k - 1].at + (int64_t)row * width
                                       : (float *)old->feed.at + (int64_t)live->parent * out;
            const float *parts[] = {below, (float *)old->h[k].at + (int64_t)live->parent * width};
            int sizes[] = {k > 0 ? model->hidden : model->attentional, model->hidden};
            int skip = k == 0 && !model->feeding;
            set_row(&step->x, model->precision, matrix->inputs, row, parts + skip, sizes + skip, 2 - skip);
            step->c_from[row] = (float *)old->c[k].at + (int64_t)live->parent * width;
            step->c_to[row] = (float *)new->c[k].at + (int64_t)row * width;
            step->h_to[row] = (float *)new->h[k].at + (int64_t)row * width;
            if (k > 0) continue;
            int64_t line = (int64_t)live->slot->token[live->place] * matrix->outputs;
            if (model->precision == INT8) step->half[row] = (const uint16_t *)model->table + line;
            else step->add[row] = (const float *)model->table + line;
        }
        CellStep cell = {.rows = step->count, .c_from = step->c_from, .c_to = step->c_to, .h_to = step->h_to};
        if (k == 0 && model->precision == INT8) cell.half = step->half;
        else if (k == 0) cell.add = step->add;
        product(matrix, &step->x, 0, step->count, lstm, &cell);
    }
    return new->h[model->decoder_layers - 1].at;
}

/* Attention of every row; W_c's share of the contexts goes to `feed`. */
static void attend_all(const Engine *engine, const Step *step, const float *top, float *feed) {
    const Model *model = engine->model;
    int width = padded(model->hidden, K_BLOCK), out = padded(model->attentional, K_BLOCK);
    if (model->query.outputs)
        product(&model->query, &step->x, 0, step->count, store, &(Store){step->query, model->query.outputs});
    if (model->centre.outputs) {
        product(&model->centre, &step->x, 0, step->count, store, &(Store){step->centre, model->centre.outputs});
        for (int64_t i = 0; i < (int64_t)step->count * model->centre.outputs; i += W)
            vstore(step->centre + i, vtanh(vload(step->centre + i)));
    }
    for (int row = 0; row < step->count; row++) {
        const Live *live = &step->live[row];
        Slot *slot = live->slot;
        int length = slot->memory.length, beam = slot->options.beam;
        Query query = {.state = top + (int64_t)row * width, .position = slot->step};
        if (step->query) query.projected = step->query + (int64_t)row * model->query.outputs;
        if (step->centre) query.centre = step->centre + (int64_t)row * model->centre.outputs;
        attend(model, &slot->memory, &query, step->weights, feed + (int64_t)row * out);
        if (slot->attention)
            memcpy(slot->attention + ((int64_t)slot->step * beam + live->place) * length, step->weights,
                   sizeof(float) * (size_t)length);
        if (slot->coverage) {
            float *sum = slot->coverage + ((int64_t)(slot->step % 2) * beam + live->place) * length;
            for (int s = 0; s < length; s++) sum[s] += step->weights[s];
        }
    }
}

/* The output layer: one product for all rows, and each sentence's own words for its own. */
static void rank_all(const Engine *engine, const Step *step) {
    const Model *model = engine->model;
    Rank to = {step->best, model->barred, model->output_ids, model->eos};
    product(&model->output, &step->x, 0, step->count, rank, &to);
    if (!model->lines.outputs) return;
    for (int row = 0; row < step->count;) {
        const Slot *slot = step->live[row].slot;
        Rank own = {step->best, slot->barred, slot->ids, model->eos};
        line_product(&slot->output, slot->ids, &step->x, row, slot->alive, rank, &own);
        row += slot->alive;
    }
}

static int step_once(Engine *engine, int32_t *finished, int room, int *count) {
    const Model *model = engine->model;
    Step step;
    if (!gather(engine, &step)) return 0;
    const States *old = &engine->states[engine->current];
    States *new = &engine->states[1 - engine->current];
    int width = padded(model->hidden, K_BLOCK), out = padded(model->attentional, K_BLOCK);
    if (!grow_states(engine, new, step.count)) return 0;
    const float *top = recur(engine, &step, old, new);
    float *feed = new->feed.at;
    set_rows(&step.x, model->precision, model->combine.inputs, top, width, model->hidden, step.count);
    attend_all(engine, &step, top, feed);
    product(&model->combine, &step.x, 0, step.count, combine, &(Combine){feed, out});
    set_rows(&step.x, model->precision, model->output.inputs, feed, out, model->attentional, step.count);
    rank_all(engine, &step);
    engine->current = 1 - engine->current;
    engine->used = step.count;
    for (int row = 0; row < step.count;) {
        Slot *slot = step.live[row].slot;
        int rows = slot->alive;
        advance(model, slot, step.best + row);
        if (slot->phase == FINISHED) {
            engine->running--;
            if (*count < room) finished[(*count)++] = (int32_t)(slot - engine->slots);
        }
        row += rows;
    }
    return 1;
}

int nmt_step(Engine *engine, int steps, int32_t *finished, int room) {
    int count = 0;
    while (engine->running && steps-- > 0 && !count)
        if (!step_once(engine, finished, room, &count)) return -1;
    return count;
}

int nmt_found(const Engine *engine, int slot) {
    const Slot *found = &engine->slots[slot];
    return found->finished < found->options.n_best ? found->finished : found->options.n_best;
}

int nmt_hypothesis(const Engine *engine, int slot, int which, int32_t *tokens, float *scores, float *attention) {
    return trace_back(&engine->slots[slot], which, tokens, scores, attention);
}

void nmt_drop(Engine *engine, int slot) {
    if (engine->slots[slot].phase == RUNNING) engine->running--;
    free_slot(&engine->slots[slot]);
}
