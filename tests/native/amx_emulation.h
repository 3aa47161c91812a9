/* The tile instructions as Intel's manual writes them down (Software Developer's Manual, vol. 2: TILELOADD, TDPBUSD,
 * TILESTORED), for processors that have none. Included after <immintrin.h>. */
#pragma once

#include <stdint.h>
#include <string.h>

static struct {
    int rows[8], bytes[8];
    uint8_t cells[8][16][64];
} tiles;

#undef _tile_loadconfig
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd

#define _tile_loadconfig(shape) tile_loadconfig(shape)
#define _tile_loadd(tile, base, stride) tile_loadd(tile, base, stride)
#define _tile_stored(tile, base, stride) tile_stored(tile, base, stride)
#define _tile_dpbusd(sums, a, b) tile_dpbusd(sums, a, b)

static inline void tile_loadconfig(const void *shape) {
    const uint8_t *bytes = shape;
    memset(&tiles, 0, sizeof tiles);
    for (int t = 0; t < 8; t++) {
        uint16_t width;
        memcpy(&width, bytes + 16 + 2 * t, 2);
        tiles.bytes[t] = width;
        tiles.rows[t] = bytes[48 + t];
    }
}

static inline void tile_loadd(int tile, const void *base, long stride) {
    memset(tiles.cells[tile], 0, sizeof tiles.cells[tile]);
    for (int r = 0; r < tiles.rows[tile]; r++)
        memcpy(tiles.cells[tile][r], (const char *)base + r * stride, (size_t)tiles.bytes[tile]);
}

static inline void tile_stored(int tile, void *base, long stride) {
    for (int r = 0; r < tiles.rows[tile]; r++)
        memcpy((char *)base + r * stride, tiles.cells[tile][r], (size_t)tiles.bytes[tile]);
}

static inline void tile_dpbusd(int sums, int a, int b) {
    for (int m = 0; m < tiles.rows[sums]; m++)
        for (int k = 0; k < tiles.bytes[a] / 4; k++)
            for (int n = 0; n < tiles.bytes[sums] / 4; n++) {
                int32_t sum;
                memcpy(&sum, tiles.cells[sums][m] + 4 * n, 4);
                for (int i = 0; i < 4; i++)
                    sum += (int32_t)tiles.cells[a][m][4 * k + i] * (int8_t)tiles.cells[b][k][4 * n + i];
                memcpy(tiles.cells[sums][m] + 4 * n, &sum, 4);
            }
}
