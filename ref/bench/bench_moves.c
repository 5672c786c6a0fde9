/* SPDX-License-Identifier: MIT */
/* What bench_count's own object has libc move: the linker leads its calls here (--wrap), and this
 * file is compiled without link-time optimisation, so that they stay calls. Instructions of libc
 * cannot be compared between machines, bytes can. */
#include <stddef.h>

size_t bench_moved_bytes(void);
void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *to, int byte, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);
void *__wrap_memmove(void *to, const void *from, size_t size);
void *__wrap_memset(void *to, int byte, size_t size);

static size_t moved_bytes;

size_t bench_moved_bytes(void)
{
    return moved_bytes;
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
    moved_bytes += size;
    return __real_memcpy(to, from, size);
}

void *__wrap_memmove(void *to, const void *from, size_t size)
{
    moved_bytes += size;
    return __real_memmove(to, from, size);
}

void *__wrap_memset(void *to, int byte, size_t size)
{
    moved_bytes += size;
    return __real_memset(to, byte, size);
}
