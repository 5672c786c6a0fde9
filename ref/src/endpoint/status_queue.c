/* SPDX-License-Identifier: MIT */
/* status_queue.h */
#include "endpoint/status_queue.h"

void goipci_status_queue_put(goipci_status_queue *queue, goipc_status status, goipc_error error)
{
    if (queue->count == GOIPCI_STATUS_COUNT_MAX) {
        queue->first = (queue->first + 1) % GOIPCI_STATUS_COUNT_MAX;
        queue->count--;
    }
    queue->changes[(queue->first + queue->count) % GOIPCI_STATUS_COUNT_MAX] =
        (goipci_status_change){status, error};
    queue->count++;
}

bool goipci_status_queue_take(goipci_status_queue *queue, goipci_status_change *change)
{
    if (queue->count == 0) {
        return false;
    }
    *change = queue->changes[queue->first];
    queue->first = (queue->first + 1) % GOIPCI_STATUS_COUNT_MAX;
    queue->count--;
    return true;
}
