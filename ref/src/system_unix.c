/* SPDX-License-Identifier: MIT */
/* system.h for POSIX systems. */
#define _GNU_SOURCE /* getentropy and clock_gettime under -std=c11 with glibc; CPU_COUNT */

#include "system.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif
#if __has_include(<sys/random.h>)
#include <sys/random.h> /* where macOS declares getentropy; OpenBSD has it in <unistd.h> alone */
#endif

enum { ENTROPY_SIZE_MAX = 256 }; /* the most that getentropy gives in one call */

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

int64_t goipci_system_clock_us(void)
{
    struct timespec now;
    const int result = clock_gettime(CLOCK_MONOTONIC, &now);

    assert(result == 0); /* POSIX names no error that this call could meet */
    (void)result;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t goipci_system_clock_ms(void)
{
    return goipci_system_clock_us() / 1000;
}

#if defined(__linux__)
/* Those that this process is confined to; sysconf would read a file and give all of the machine. */
bool goipci_system_is_parallel(void)
{
    cpu_set_t usable;

    if (sched_getaffinity(0, sizeof usable, &usable) != 0) {
        return errno == EINVAL; /* there are more than the set can hold */
    }
    return CPU_COUNT(&usable) > 1;
}
#else
bool goipci_system_is_parallel(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}
#endif

/* How many forks lie between the first process that watched them and this one. Every call looks at
 * it, so it must not cost a system call, as getpid does. */
static atomic_int fork_count;

static void count_fork(void)
{
    atomic_fetch_add(&fork_count, 1);
}

static void register_fork_handler(void)
{
    /* Without memory for it forks go unnoticed, as with most libraries. */
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
