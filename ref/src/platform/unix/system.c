/* SPDX-License-Identifier: MIT */
/* system.h for POSIX systems. */
#define _GNU_SOURCE /* getentropy under -std=c11 with glibc */

#include "core/system.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#if __has_include(<sys/random.h>)
#include <sys/random.h> /* where macOS declares getentropy; OpenBSD has it in <unistd.h> alone */
#endif

enum { ENTROPY_SIZE_MAX = 256 }; /* the maximum of one call of getentropy */

static bool fill_piece(uint8_t *out, size_t size)
{
    int result;

    do {
        result = getentropy(out, size);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

/* getentropy needs no descriptor, waits until the kernel's source is seeded, gives all or nothing,
 * and exists on Linux, macOS and the BSDs alike. */
goipc_error goipci_system_random(uint8_t *out, size_t size)
{
    size_t done = 0;

    assert(out != NULL || size == 0);
    while (done < size) {
        const size_t left = size - done;
        const size_t piece = left < ENTROPY_SIZE_MAX ? left : ENTROPY_SIZE_MAX;

        if (!fill_piece(out + done, piece)) {
            goipc_wipe(out, size);
            return GOIPC_ERROR_RANDOM;
        }
        done += piece;
    }
    return GOIPC_ERROR_OK;
}

/* The number of forks between the first process that counted them and this one. Every call reads
 * it, so it must not need a system call, as getpid does. */
static atomic_int fork_count;

static void count_fork(void)
{
    atomic_fetch_add(&fork_count, 1);
}

static void register_fork_handler(void)
{
    /* Without memory for the handler forks are not detected. */
    (void)pthread_atfork(NULL, NULL, count_fork);
}

void goipci_system_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    /* It fails only for a `once` that was not initialised. */
    (void)pthread_once(&once, register_fork_handler);
}

int64_t goipci_system_process(void)
{
    return atomic_load_explicit(&fork_count, memory_order_relaxed);
}

void goipci_system_register_once(void (*action)(void))
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const int result = pthread_once(&once, action);

    assert(result == 0); /* it fails only for a `once` that was not initialised */
    (void)result;
}

void goipci_flag_set(goipci_flag *flag)
{
    __atomic_store_n(&flag->value, 1, __ATOMIC_RELEASE);
}

bool goipci_flag_is_set(const goipci_flag *flag)
{
    return __atomic_load_n(&flag->value, __ATOMIC_ACQUIRE) != 0;
}
