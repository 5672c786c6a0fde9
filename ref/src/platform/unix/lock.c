/* SPDX-License-Identifier: MIT */
/* lock.h with POSIX threads. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include "endpoint/lock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

static goipc_error error_of(int result)
{
    if (result == 0) {
        return GOIPC_ERROR_OK;
    }
    return result == ENOMEM ? GOIPC_ERROR_MEMORY : GOIPC_ERROR_RESOURCES;
}

goipc_error goipci_lock_init(goipci_lock *lock)
{
    return error_of(pthread_mutex_init(&lock->mutex, NULL));
}

void goipci_lock_wipe(goipci_lock *lock)
{
    const int result = pthread_mutex_destroy(&lock->mutex);

    assert(result == 0); /* no thread holds it */
    (void)result;
}

void goipci_lock_take(goipci_lock *lock)
{
    const int result = pthread_mutex_lock(&lock->mutex);

    assert(result == 0); /* fails only for a lock that was not initialised */
    (void)result;
}

void goipci_lock_give(goipci_lock *lock)
{
    const int result = pthread_mutex_unlock(&lock->mutex);

    assert(result == 0);
    (void)result;
}

#if defined(__APPLE__)
/* macOS has no pthread_condattr_setclock, but a wait with a relative timeout. */
static int init_condition(pthread_cond_t *condition)
{
    return pthread_cond_init(condition, NULL);
}

static int wait_condition(pthread_cond_t *condition, pthread_mutex_t *mutex, int32_t timeout_ms)
{
    const struct timespec span = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L};

    return pthread_cond_timedwait_relative_np(condition, mutex, &span);
}
#else
static int init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int result = pthread_condattr_init(&attributes);

    if (result != 0) {
        return result;
    }
    result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (result == 0) {
        result = pthread_cond_init(condition, &attributes);
    }
    pthread_condattr_destroy(&attributes);
    return result;
}

static int wait_condition(pthread_cond_t *condition, pthread_mutex_t *mutex, int32_t timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return pthread_cond_timedwait(condition, mutex, &until);
}
#endif

goipc_error goipci_condition_init(goipci_condition *condition)
{
    return error_of(init_condition(&condition->condition));
}

void goipci_condition_wipe(goipci_condition *condition)
{
    const int result = pthread_cond_destroy(&condition->condition);

    assert(result == 0); /* no thread waits */
    (void)result;
}

void goipci_condition_wait(goipci_condition *condition, goipci_lock *lock, int32_t timeout_ms)
{
    if (timeout_ms < 0) {
        (void)pthread_cond_wait(&condition->condition, &lock->mutex); /* cannot fail */
        return;
    }
    /* A timeout or a spurious wake-up needs no result: the caller checks the clock again. */
    (void)wait_condition(&condition->condition, &lock->mutex, timeout_ms);
}

void goipci_condition_wake_all(goipci_condition *condition)
{
    (void)pthread_cond_broadcast(&condition->condition); /* cannot fail */
}
