/* SPDX-License-Identifier: MIT */
/* clock.h for POSIX systems. */
#define _GNU_SOURCE /* clock_gettime under -std=c11 with glibc; CPU_COUNT */

#include "endpoint/clock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif

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
/* The processors that this process may use; sysconf would read a file and count all of them. */
bool goipci_system_is_parallel(void)
{
    cpu_set_t usable;

    if (sched_getaffinity(0, sizeof usable, &usable) != 0) {
        return errno == EINVAL; /* more processors than the set can hold */
    }
    return CPU_COUNT(&usable) > 1;
}
#else
bool goipci_system_is_parallel(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}
#endif
