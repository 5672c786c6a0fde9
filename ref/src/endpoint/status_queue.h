/* SPDX-License-Identifier: MIT */
/* Status changes that a client's reader has not read yet, oldest first. A full queue drops the
 * oldest, so that a program that never reads does not use up memory. */
#ifndef GOIPC_STATUS_QUEUE_H
#define GOIPC_STATUS_QUEUE_H

#include "core/internal.h"

enum { GOIPCI_STATUS_COUNT_MAX = 32 };

typedef struct goipci_status_change {
    goipc_status status;
    goipc_error error;
} goipci_status_change;

typedef struct goipci_status_queue {
    goipci_status_change changes[GOIPCI_STATUS_COUNT_MAX];
    size_t first;
    size_t count;
} goipci_status_queue;

void goipci_status_queue_put(goipci_status_queue *queue, goipc_status status, goipc_error error);
/* Takes the oldest. False if there is none. */
bool goipci_status_queue_take(goipci_status_queue *queue, goipci_status_change *change);

#endif
