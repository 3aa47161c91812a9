/* Scratch memory that grows and never shrinks. */
#pragma once

#include <stdlib.h>

#include "simd.h"

typedef struct {
    void *at;
    size_t bytes;
} Scratch;

/* At least this many bytes, contents kept up to `keep`; null where memory is short (what was there stays). */
static inline void *scratch(Scratch *scratch, size_t bytes, size_t keep) {
    if (bytes <= scratch->bytes) return scratch->at;
    size_t room = (bytes + bytes / 4 + ALIGN) / ALIGN * ALIGN;
    void *at = aligned_alloc(ALIGN, room);
    if (!at) return 0;
    memset(at, 0, room);
    if (keep) memcpy(at, scratch->at, keep < scratch->bytes ? keep : scratch->bytes);
    free(scratch->at);
    scratch->at = at;
    scratch->bytes = room;
    return at;
}
