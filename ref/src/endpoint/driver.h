/* SPDX-License-Identifier: MIT */
/* What servers and clients do alike: start, read, flush, see connections to their end, close. A
 * role fills in how it does its part. */
#ifndef GOIPC_DRIVER_H
#define GOIPC_DRIVER_H

#include "endpoint/connection.h"

/* The functions of a role. goipc_server and goipc_client begin with their endpoint, so each gets
 * its own object back with a cast. All but `start` are called on the one thread that reads or
 * closes. */
struct goipci_role {
    size_t size; /* bytes of the whole object */
    /* On failure nothing is left to wipe. `config` is the role's own configuration. */
    goipc_error (*start)(goipci_endpoint *endpoint, const char *name, const void *config,
                         goipc_failure *failure);
    /* Before and after a read. What the last read lent is given back. *deadline_ms may stay 0; a
     * role that has waited says until when the read may go on. */
    goipc_error (*begin_read)(goipci_endpoint *endpoint, int32_t timeout_ms, int64_t *deadline_ms);
    void (*end_read)(goipci_endpoint *endpoint);
    /* Fills in what there is without waiting; OK with *count 0 when there is nothing. Other errors
     * end the read. */
    goipc_error (*gather)(goipci_endpoint *endpoint, goipc_message *messages, size_t capacity,
                          size_t *count);
    /* Waits for input or for a deadline of its own, at most `timeout_ms`, and acts on it. */
    goipc_error (*run_once)(goipci_endpoint *endpoint, int32_t timeout_ms);
    /* Stops listening, and puts every connection on the endpoint's list `leaving`. `abandoned`: in
     * a child after fork, where names and sockets are the parent's. */
    void (*begin_close)(goipci_endpoint *endpoint, bool abandoned);
    /* Releases what only the role has. */
    void (*wipe)(goipci_endpoint *endpoint);
};

/* Makes an endpoint, or writes NULL and says why in *options->failure. */
GOIPC_MUST_USE goipc_error goipci_driver_start(const goipci_role *role, const char *name,
                                               const void *config, const goipc_options *options,
                                               goipci_endpoint **endpoint);

/* goipc_server_read_batch and goipc_client_read_batch. */
GOIPC_MUST_USE goipc_error goipci_driver_read(goipci_endpoint *endpoint, int32_t timeout_ms,
                                              goipc_message *messages, size_t capacity,
                                              size_t *count);

/* goipc_server_flush and goipc_client_flush: ends the cork, sends what is queued on all
 * connections, and waits for it. */
GOIPC_MUST_USE goipc_error goipci_driver_flush(goipci_endpoint *endpoint, int32_t timeout_ms);

/* Begins to close a connection that is on no list of phases, and puts it on `leaving`. Nothing is
 * freed: messages of this very read may lie in the session's memory. True when the close is over
 * already; the caller then destroys the connection later. */
bool goipci_driver_leave(goipci_connection *connection, goipc_error why);

/* goipc_server_close and goipc_client_close. */
void goipci_driver_close(goipci_endpoint *endpoint);

#endif
