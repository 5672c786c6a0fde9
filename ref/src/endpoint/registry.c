/* SPDX-License-Identifier: MIT */
/* registry.h */
#include "endpoint/registry.h"

#include <stdatomic.h>

enum { SLOT_COUNT = 64 };

typedef _Atomic(const void *) slot;

/* The first block is static. Further blocks are allocated when more endpoints are open at once, and
 * never freed, since a signal handler may be reading them. */
typedef struct block {
    slot slots[SLOT_COUNT];
    _Atomic(struct block *) next;
} block;

static block first;
static atomic_uint users;

static slot *find(const void *endpoint)
{
    for (block *at = &first; at != NULL; at = atomic_load(&at->next)) {
        for (size_t i = 0; i < SLOT_COUNT; i++) {
            if (atomic_load(&at->slots[i]) == endpoint) {
                return &at->slots[i];
            }
        }
    }
    return NULL;
}

static bool take_slot(const void *endpoint)
{
    for (block *at = &first; at != NULL; at = atomic_load(&at->next)) {
        for (size_t i = 0; i < SLOT_COUNT; i++) {
            const void *none = NULL;

            if (atomic_compare_exchange_strong(&at->slots[i], &none, endpoint)) {
                return true;
            }
        }
    }
    return false;
}

static goipc_error add_block(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    block *made = goipci_allocate_zeroed(allocator, sizeof *made);
    block *at = &first;
    block *none = NULL;

    if (made == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    while (!atomic_compare_exchange_strong(&at->next, &none, made)) {
        at = none;
        none = NULL;
    }
    return GOIPC_ERROR_OK;
}

goipc_error goipci_registry_add(const void *endpoint)
{
    while (!take_slot(endpoint)) {
        const goipc_error error = add_block();

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    return GOIPC_ERROR_OK;
}

void goipci_registry_remove(const void *endpoint, bool waits)
{
    slot *found = find(endpoint);

    if (found == NULL) {
        return;
    }
    atomic_store(found, NULL);
    /* A user increments the count before it reads the slot: either it has read an empty slot, or it
     * is counted. It only sets two flags, so this wait is short. */
    while (waits && atomic_load(&users) > 0) {
    }
}

bool goipci_registry_use(const void *endpoint)
{
    atomic_fetch_add(&users, 1);
    if (endpoint != NULL && find(endpoint) != NULL) {
        return true;
    }
    atomic_fetch_sub(&users, 1);
    return false;
}

void goipci_registry_done(void)
{
    atomic_fetch_sub(&users, 1);
}
