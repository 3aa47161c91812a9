/* What this processor can run. Compiled without any extension, so that asking is always safe. */
#include <stdint.h>

#pragma GCC visibility push(default)
int nmt_cpu(void);
#pragma GCC visibility pop

enum { AVX2 = 1, AVX_VNNI = 2, AVX512_VNNI = 4, AMX_INT8 = 8 };

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static uint64_t enabled_states(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux gives the tile registers only to who asks. */
static int may_use_tiles(void) {
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return 0;
#endif
}

int nmt_cpu(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    int has_xsave = c >> 27 & 1, has_fma = c >> 12 & 1, has_f16c = c >> 29 & 1;
    if (!has_xsave || !has_fma || !has_f16c) return 0;
    uint64_t states = enabled_states();
    if ((states & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 5 & 1)) return 0;
    int found = AVX2;
    uint32_t b7 = b, c7 = c, d7 = d, a71 = 0;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) a71 = a;
    if (a71 >> 4 & 1) found |= AVX_VNNI;
    /* F, DQ, CD, BW, VL: what compilers call x86-64-v4 */
    int has_v4 = (b7 >> 16 & 1) && (b7 >> 17 & 1) && (b7 >> 28 & 1) && (b7 >> 30 & 1) && (b7 >> 31 & 1);
    if (!has_v4 || !(c7 >> 11 & 1) || (states & 0xe0) != 0xe0) return found;
    found |= AVX512_VNNI;
    int has_tiles = (d7 >> 24 & 1) && (d7 >> 25 & 1) && (states & 0x60000) == 0x60000;
    if (has_tiles && may_use_tiles()) found |= AMX_INT8;
    return found;
}
#else
int nmt_cpu(void) { return 0; }
#endif
