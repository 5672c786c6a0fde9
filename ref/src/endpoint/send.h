/* SPDX-License-Identifier: MIT */
/* The sending half of a connection. */
#ifndef GOIPC_SEND_H
#define GOIPC_SEND_H

#include "endpoint/connection.h"

/* --- any thread ------------------------------------------------------------------------------- */

/* Queues messages in sequence and sends as much as the stream accepts. Waits for room in the queue,
 * at most `timeout_ms` (GOIPC_NO_WAIT: not at all). *taken is how many were queued. `through`: also
 * waits, within the same time, until the system has taken everything; if it has not, that is no
 * error. Errors: those of goipc_server_write. */
GOIPC_MUST_USE goipc_error goipci_connection_send(goipci_connection *connection,
                                                  const goipc_outgoing *messages, size_t count,
                                                  int32_t timeout_ms, bool through, size_t *taken);
/* Sends the queue and waits until it is empty. Errors: TIMEOUT, INTERRUPTED, the error of the
 * sending half. */
GOIPC_MUST_USE goipc_error goipci_connection_flush(goipci_connection *connection,
                                                   int64_t deadline_ms);

/* Bytes of output that the system has not taken. */
size_t goipci_connection_queued(goipci_connection *connection);

/* --- for connection.c, with the connection's lock held ---------------------------------------- */

/* Registers the events of this phase with the poller. Errors: RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_send_watch(goipci_connection *connection);
/* Sends until all output was sent (OK) or the stream accepts no more (WOULD_BLOCK), and updates the
 * poller, the list and the counters. Other errors: those of the sending half. */
GOIPC_MUST_USE goipc_error goipci_send_settle(goipci_connection *connection);
/* Ends the sending half: drops the queue and finishes the stream. */
void goipci_send_end(goipci_connection *connection, goipc_error why);
/* Adds the connection to the endpoint's list of connections with output, or removes it. */
void goipci_send_note_queued(goipci_connection *connection);
/* Adds corked messages to the endpoint's counters, when they were sent or dropped. */
void goipci_send_count_corked(goipci_connection *connection);

#endif
