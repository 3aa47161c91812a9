#include "encoder.h"

#include "cell.h"

/* Where each sentence's positions begin, and the sentences by falling length: at step t the first ones are at work. */
typedef struct {
    int count, total, longest;
    const int32_t *lengths;
    int32_t *start, *order;
} Packing;

static int pack(EncoderSpace *space, int count, const int32_t *lengths, Packing *packing) {
    int32_t *room = scratch(&space->order, sizeof(int32_t) * 2 * (size_t)count, 0);
    if (!room) return 0;
    *packing = (Packing){.count = count, .lengths = lengths, .start = room, .order = room + count};
    for (int i = 0; i < count; i++) {
        packing->start[i] = packing->total;
        packing->total += lengths[i];
        int place = i;
        for (; place > 0 && lengths[packing->order[place - 1]] < lengths[i]; place--)
            packing->order[place] = packing->order[place - 1];
        packing->order[place] = i;
    }
    packing->longest = lengths[packing->order[0]];
    return 1;
}

static int make_rows(EncoderSpace *space, int precision, int rows, int inputs, Rows *x) {
    size_t cells = (size_t)rows * (size_t)inputs;
    if (precision == INT8) {
        x->bytes = scratch(&space->bytes, cells, 0);
        x->scale = scratch(&space->scale, sizeof(float) * (size_t)rows, 0);
        return x->bytes && x->scale;
    }
    x->floats = scratch(&space->floats, sizeof(float) * cells, 0);
    return x->floats != 0;
}

/* One direction of one layer, all sentences in step. `gates`: their inputs' share, of every position. */
static int run_direction(const Model *model, EncoderSpace *space, const Packing *packing, int layer, int direction,
                         const float *gates, float *outputs, float *c) {
    const Matrix *matrix = &model->encoder_recurrent[layer][direction];
    int size = model->hidden / model->directions, width = padded(model->hidden, K_BLOCK);
    int offset = direction * size;
    Rows x = {0};
    const void **pointers = scratch(&space->pointers, 4 * sizeof(void *) * (size_t)packing->count, 0);
    if (!pointers || !make_rows(space, model->precision, packing->count, matrix->inputs, &x)) return 0;
    const float **add = (const float **)pointers, **c_from = add + packing->count;
    float **c_to = (float **)pointers + 2 * packing->count, **h_to = c_to + packing->count;
    CellStep step = {.add = add, .c_from = c_from, .c_to = c_to, .h_to = h_to};
    memset(c, 0, sizeof(float) * (size_t)packing->count * (size_t)width);
    int active = packing->count;
    for (int t = 0; t < packing->longest; t++) {
        while (packing->lengths[packing->order[active - 1]] <= t) active--;
        for (int row = 0; row < active; row++) {
            int sentence = packing->order[row], last = packing->lengths[sentence] - 1;
            int64_t now = packing->start[sentence] + (direction ? last - t : t);
            const float *before = outputs + (now + (direction ? 1 : -1)) * width + offset;
            set_row(&x, model->precision, matrix->inputs, row, &before, &size, t > 0);
            add[row] = gates + now * matrix->outputs;
            c_from[row] = c_to[row] = c + (int64_t)sentence * width + offset;
            h_to[row] = outputs + now * width + offset;
        }
        step.rows = active;
        product(matrix, &x, 0, active, lstm, &step);
    }
    return 1;
}

/* Where one direction ends: its h and c of every sentence, beside the other direction's. */
static void keep_ends(const Model *model, const Packing *packing, int direction, const float *outputs, const float *c,
                      float *last_h, float *last_c) {
    int size = model->hidden / model->directions, width = padded(model->hidden, K_BLOCK);
    for (int i = 0; i < packing->count; i++) {
        int64_t end = packing->start[i] + (direction ? 0 : packing->lengths[i] - 1);
        int64_t to = (int64_t)i * width + direction * size;
        memcpy(last_h + to, outputs + end * width + direction * size, sizeof(float) * (size_t)size);
        memcpy(last_c + to, c + to, sizeof(float) * (size_t)size);
    }
}

static int run_layer(const Model *model, EncoderSpace *space, const Packing *packing, int layer, const Rows *x,
                     float *outputs, float *last_h, float *last_c) {
    int width = padded(model->hidden, K_BLOCK);
    float *c = scratch(&space->c, sizeof(float) * (size_t)packing->count * (size_t)width, 0);
    if (!c) return 0;
    for (int d = 0; d < model->directions; d++) { /* both before x's memory serves the recurrence */
        const Matrix *matrix = &model->encoder_input[layer][d];
        float *gates = scratch(&space->gates[d], sizeof(float) * (size_t)packing->total * (size_t)matrix->outputs, 0);
        if (!gates) return 0;
        product(matrix, x, 0, packing->total, store, &(Store){gates, matrix->outputs});
    }
    for (int d = 0; d < model->directions; d++) {
        if (!run_direction(model, space, packing, layer, d, space->gates[d].at, outputs, c)) return 0;
        keep_ends(model, packing, d, outputs, c, last_h, last_c);
    }
    return 1;
}

/* Rows of x from vectors that lie `stride` apart. */
static int rows_of(const Model *model, EncoderSpace *space, const float *from, int stride, int size, int count,
                   int inputs, Rows *x) {
    if (!make_rows(space, model->precision, count, inputs, x)) return 0;
    set_rows(x, model->precision, inputs, from, stride, size, count);
    return 1;
}

/* The decoder's first states from the encoder's last; a decoder deeper than the encoder repeats the top. */
static int bridge(const Model *model, EncoderSpace *space, int count, const float *last_h, const float *last_c,
                  Encoded *encoded) {
    int width = padded(model->hidden, K_BLOCK);
    size_t layer_size = (size_t)count * (size_t)width;
    float *h = scratch(&space->starts, sizeof(float) * 2 * layer_size * (size_t)model->decoder_layers, 0);
    if (!h) return 0;
    float *c = h + layer_size * (size_t)model->decoder_layers;
    encoded->first_h = h;
    encoded->first_c = c;
    int lowest = model->encoder_layers > model->decoder_layers ? model->encoder_layers - model->decoder_layers : 0;
    for (int k = 0; k < model->decoder_layers; k++, h += layer_size, c += layer_size) {
        int from = lowest + k < model->encoder_layers - 1 ? lowest + k : model->encoder_layers - 1;
        const float *source_h = last_h + layer_size * (size_t)from, *source_c = last_c + layer_size * (size_t)from;
        if (model->bridge == BRIDGE_ZERO) {
            memset(h, 0, sizeof(float) * layer_size);
            memset(c, 0, sizeof(float) * layer_size);
        } else if (model->bridge == BRIDGE_COPY) {
            memcpy(h, source_h, sizeof(float) * layer_size);
            memcpy(c, source_c, sizeof(float) * layer_size);
        } else {
            Rows x = {0};
            const Matrix *map = &model->bridge_h[k];
            if (!rows_of(model, space, source_h, width, model->hidden, count, map->inputs, &x)) return 0;
            product(map, &x, 0, count, store, &(Store){h, width});
            for (size_t i = 0; i < layer_size; i += W) vstore(h + i, vtanh(vload(h + i)));
            map = &model->bridge_c[k];
            if (!rows_of(model, space, source_c, width, model->hidden, count, map->inputs, &x)) return 0;
            product(map, &x, 0, count, store, &(Store){c, width});
        }
    }
    return 1;
}

int encode(const Model *model, EncoderSpace *space, int count, const int32_t *ids, const int32_t *lengths,
           Encoded *encoded) {
    Packing packing;
    if (!pack(space, count, lengths, &packing)) return 0;
    int width = padded(model->hidden, K_BLOCK), out = padded(model->attentional, K_BLOCK);
    size_t states = (size_t)packing.total * (size_t)width, ends = (size_t)count * (size_t)width;
    float *last_h = scratch(&space->last_h, sizeof(float) * ends * (size_t)model->encoder_layers, 0);
    float *last_c = scratch(&space->last_c, sizeof(float) * ends * (size_t)model->encoder_layers, 0);
    float *values = scratch(&space->values, sizeof(float) * (size_t)packing.total * (size_t)out, 0);
    if (!last_h || !last_c || !values) return 0;

    Rows x = {0};
    int inputs = model->encoder_input[0][0].inputs;
    if (!make_rows(space, model->precision, packing.total, inputs, &x)) return 0;
    for (int i = 0; i < packing.total; i++) {
        const float *embedding = model->source_embedding + (int64_t)ids[i] * model->embedding;
        set_row(&x, model->precision, inputs, i, &embedding, &model->embedding, 1);
    }
    float *outputs = 0;
    for (int k = 0; k < model->encoder_layers; k++) {
        if (k > 0) {
            inputs = model->encoder_input[k][0].inputs;
            if (!rows_of(model, space, outputs, width, model->hidden, packing.total, inputs, &x)) return 0;
        }
        outputs = scratch(&space->layer[k % 2], sizeof(float) * states, 0);
        if (!outputs) return 0;
        memset(outputs, 0, sizeof(float) * states);
        if (!run_layer(model, space, &packing, k, &x, outputs, last_h + ends * (size_t)k, last_c + ends * (size_t)k))
            return 0;
    }

    if (!rows_of(model, space, outputs, width, model->hidden, packing.total, model->values.inputs, &x)) return 0;
    product(&model->values, &x, 0, packing.total, store, &(Store){values, out});
    encoded->states = encoded->keys = outputs;
    encoded->values = values;
    if (model->keys.outputs) {
        float *keys = scratch(&space->keys, sizeof(float) * states, 0);
        if (!keys) return 0;
        product(&model->keys, &x, 0, packing.total, store, &(Store){keys, width});
        encoded->keys = keys;
    }
    return bridge(model, space, count, last_h, last_c, encoded);
}

void free_encoder_space(EncoderSpace *space) {
    Scratch *all = (Scratch *)space;
    for (size_t i = 0; i < sizeof *space / sizeof *all; i++) free(all[i].at);
}
