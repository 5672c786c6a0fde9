/* SPDX-License-Identifier: MIT */
/*
 * The endpoints of this process that are open.
 *
 * _interrupt and _stop may run in a signal handler, which may run inside _close of the same
 * endpoint or after it. So they ask here, without a lock, whether the endpoint is still there, and
 * _close takes it from here before it frees it.
 */
#ifndef GOIPC_REGISTRY_H
#define GOIPC_REGISTRY_H

#include "core/internal.h"

/* Errors: MEMORY. */
GOIPC_MUST_USE goipc_error goipci_registry_add(const void *endpoint);
/* Afterwards no thread uses it. `waits`: not in a child after fork, where a thread that used it
 * does not exist. An endpoint that was not added is ignored. */
void goipci_registry_remove(const void *endpoint, bool waits);
/* Async-signal-safe. True: the endpoint stays until goipci_registry_done. */
bool goipci_registry_use(const void *endpoint);
void goipci_registry_done(void);

#endif
