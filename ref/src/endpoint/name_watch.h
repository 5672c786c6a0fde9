/* SPDX-License-Identifier: MIT */
/*
 * Checks whether clients still find a server by its name.
 *
 * A cleaner of temporary files, or golang-ipc starting under the same name, can take the name away.
 * The server then continues to run, but no client reaches it. So it checks the name once a second,
 * reports a loss once, and binds again if it is configured to and the name is free.
 */
#ifndef GOIPC_NAME_WATCH_H
#define GOIPC_NAME_WATCH_H

#include "endpoint/server.h"

/* Takes the name and watches the listener. Errors: as goipci_listener_open, RESOURCES, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_name_watch_listen(goipc_server *server, goipc_failure *failure);
/* When the name is checked next; INT64_MAX for an abstract socket. */
int64_t goipci_name_watch_due_ms(const goipc_server *server);
/* How long the loop may wait without asking the clock; GOIPC_FOREVER for an abstract socket. */
int32_t goipci_name_watch_limit_ms(const goipc_server *server);
/* Checks the name if that is due. Called after each poll; a busy server asks the clock after every
 * 64th one only. */
void goipci_name_watch_polled(goipc_server *server, bool found);
/* Gives the reader the status that reports the loss or the new binding. False if there is none. */
bool goipci_name_watch_take(goipc_server *server, goipc_message *message);

#endif
