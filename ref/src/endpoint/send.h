/* SPDX-License-Identifier: MIT */
/* The sending half of a connection. */
#ifndef GOIPC_SEND_H
#define GOIPC_SEND_H

#include "endpoint/connection.h"

/* --- any thread ------------------------------------------------------------------------------- */

/* Queues messages in order and sends what the stream takes. Waits for room in the queue, at most
 * `timeout_ms` (GOIPC_NO_WAIT: not at all). *taken is how many were queued. `through`: also waits,
 * within the same time, until the system has everything; missing that is not an error. Errors:
 * those of goipc_server_write. */
GOIPC_MUST_USE goipc_error goipci_connection_send(goipci_connection *connection,
                                                  const goipc_outgoing *messages, size_t count,
                                                  int32_t timeout_ms, bool through, size_t *taken);
/* Sends the queue and waits until it is empty. Errors: TIMEOUT, INTERRUPTED, why it ended. */
GOIPC_MUST_USE goipc_error goipci_connection_flush(goipci_connection *connection,
                                                   int64_t deadline_ms);

/* Bytes of output that the system has not taken. */
size_t goipci_connection_queued(goipci_connection *connection);

/* --- for connection.c, with the connection's lock held ---------------------------------------- */

/* Tells the poller what this phase waits for. Errors: RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_send_watch(goipci_connection *connection);
/* Sends until all output is out (OK) or the stream takes no more (WOULD_BLOCK), and brings poller,
 * list and counters up to date. Other errors: why nothing can be sent any more. */
GOIPC_MUST_USE goipc_error goipci_send_settle(goipci_connection *connection);
/* Nothing can be written any more: drops the queue and finishes the stream. */
void goipci_send_end(goipci_connection *connection, goipc_error why);
/* Puts the connection on the endpoint's list of those with output, or takes it from there. */
void goipci_send_note_queued(goipci_connection *connection);
/* Adds corked messages to the endpoint's counters, when they are on their way or lost. */
void goipci_send_count_corked(goipci_connection *connection);

#endif
