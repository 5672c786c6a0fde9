/* SPDX-License-Identifier: MIT */
/* Locks and condition variables for endpoints, implemented by platform/unix/lock.c and
 * platform/windows/lock.c. The core takes no lock. */
#ifndef GOIPC_LOCK_H
#define GOIPC_LOCK_H

#include "core/internal.h"

#if defined(_WIN32)
typedef struct goipci_lock {
    void *opaque; /* SRWLOCK */
} goipci_lock;
typedef struct goipci_condition {
    void *opaque; /* CONDITION_VARIABLE */
} goipci_condition;
#else
#include <pthread.h>
typedef struct goipci_lock {
    pthread_mutex_t mutex;
} goipci_lock;
typedef struct goipci_condition {
    pthread_cond_t condition;
} goipci_condition;
#endif

/* A lock that is not recursive. Errors: RESOURCES, MEMORY. */
GOIPC_MUST_USE goipc_error goipci_lock_init(goipci_lock *lock);
void goipci_lock_wipe(goipci_lock *lock);
void goipci_lock_take(goipci_lock *lock);
void goipci_lock_give(goipci_lock *lock);

/* Waits on the clock of goipci_system_clock_ms. Errors: RESOURCES, MEMORY. */
GOIPC_MUST_USE goipc_error goipci_condition_init(goipci_condition *condition);
void goipci_condition_wipe(goipci_condition *condition);
/* Releases the lock, waits until woken or for `timeout_ms` milliseconds (GOIPC_FOREVER: no limit),
 * and takes the lock again. May return early; callers check their condition again. */
void goipci_condition_wait(goipci_condition *condition, goipci_lock *lock, int32_t timeout_ms);
void goipci_condition_wake_all(goipci_condition *condition);

#endif
