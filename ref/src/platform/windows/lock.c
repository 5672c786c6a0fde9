/* SPDX-License-Identifier: MIT */
/* lock.h with slim reader/writer locks, taken exclusively, and condition variables: neither
 * allocates, neither can fail, and zero is their initial value. */
#include "endpoint/lock.h"

#include <windows.h>

#include <assert.h>

_Static_assert(sizeof(SRWLOCK) == sizeof(void *), "goipci_lock holds an SRWLOCK");
_Static_assert(sizeof(CONDITION_VARIABLE) == sizeof(void *),
               "goipci_condition holds a CONDITION_VARIABLE");

static SRWLOCK *slim_lock(goipci_lock *lock)
{
    return (SRWLOCK *)(void *)&lock->opaque;
}

static CONDITION_VARIABLE *variable(goipci_condition *condition)
{
    return (CONDITION_VARIABLE *)(void *)&condition->opaque;
}

goipc_error goipci_lock_init(goipci_lock *lock)
{
    assert(lock != NULL);
    InitializeSRWLock(slim_lock(lock));
    return GOIPC_ERROR_OK;
}

void goipci_lock_wipe(goipci_lock *lock)
{
    (void)lock; /* it has no resources */
}

void goipci_lock_take(goipci_lock *lock)
{
    AcquireSRWLockExclusive(slim_lock(lock));
}

void goipci_lock_give(goipci_lock *lock)
{
    ReleaseSRWLockExclusive(slim_lock(lock));
}

goipc_error goipci_condition_init(goipci_condition *condition)
{
    assert(condition != NULL);
    InitializeConditionVariable(variable(condition));
    return GOIPC_ERROR_OK;
}

void goipci_condition_wipe(goipci_condition *condition)
{
    (void)condition; /* it has no resources */
}

void goipci_condition_wait(goipci_condition *condition, goipci_lock *lock, int32_t timeout_ms)
{
    const DWORD limit = timeout_ms < 0 ? INFINITE : (DWORD)timeout_ms;

    /* A timeout or a spurious wake-up needs no result: the caller checks its condition again. */
    (void)SleepConditionVariableSRW(variable(condition), slim_lock(lock), limit, 0);
}

void goipci_condition_wake_all(goipci_condition *condition)
{
    WakeAllConditionVariable(variable(condition));
}
