/* SPDX-License-Identifier: MIT */
/* The operations that servers and clients share: start, read, flush, close connections, close. A
 * role supplies its part as functions. */
#ifndef GOIPC_DRIVER_H
#define GOIPC_DRIVER_H

#include "endpoint/connection.h"

/* The functions of a role. goipc_server and goipc_client begin with their endpoint, so each gets
 * its own object back with a cast. All but `start` are called on the one thread that reads or
 * closes. */
struct goipci_role {
    size_t size; /* bytes of the whole object */
    /* Initialises the role's fields. On failure it has released them. `config` is the role's own
     * configuration. */
    goipc_error (*start)(goipci_endpoint *endpoint, const char *name, const void *config,
                         goipc_failure *failure);
    /* Called before and after a read. begin_read ends the use of the last read's messages. A role
     * that has waited in it sets *deadline_ms; otherwise it stays 0. */
    goipc_error (*begin_read)(goipci_endpoint *endpoint, int32_t timeout_ms, int64_t *deadline_ms);
    void (*end_read)(goipci_endpoint *endpoint);
    /* Takes messages without waiting. OK with *count 0 if there is none. Other errors end the
     * read. */
    goipc_error (*gather)(goipci_endpoint *endpoint, goipc_message *messages, size_t capacity,
                          size_t *count);
    /* Waits at most `timeout_ms` for input or for a deadline of the role, and handles it. */
    goipc_error (*run_once)(goipci_endpoint *endpoint, int32_t timeout_ms);
    /* Stops listening, and puts every connection on the endpoint's list `leaving`. `abandoned`: in
     * a child after fork, where names and sockets are the parent's. */
    void (*begin_close)(goipci_endpoint *endpoint, bool abandoned);
    /* Releases the role's own fields. */
    void (*wipe)(goipci_endpoint *endpoint);
};

/* Makes an endpoint, or writes NULL and the reason to *options->failure. */
GOIPC_MUST_USE goipc_error goipci_driver_start(const goipci_role *role, const char *name,
                                               const void *config, const goipc_options *options,
                                               goipci_endpoint **endpoint);

/* goipc_server_read_batch and goipc_client_read_batch. */
GOIPC_MUST_USE goipc_error goipci_driver_read(goipci_endpoint *endpoint, int32_t timeout_ms,
                                              goipc_message *messages, size_t capacity,
                                              size_t *count);

/* goipc_server_flush and goipc_client_flush: ends the cork, sends the queues of all connections,
 * and waits until they are empty. */
GOIPC_MUST_USE goipc_error goipci_driver_flush(goipci_endpoint *endpoint, int32_t timeout_ms);

/* Begins to close a connection that is on no list of phases, and puts it on `leaving`. Nothing is
 * freed: messages of the current read may point into the session's memory. True if the close is
 * already complete; the caller then destroys the connection later. */
bool goipci_driver_leave(goipci_connection *connection, goipc_error why);

/* goipc_server_close and goipc_client_close. */
void goipci_driver_close(goipci_endpoint *endpoint);

#endif
