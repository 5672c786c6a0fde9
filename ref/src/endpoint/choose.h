/* SPDX-License-Identifier: MIT */
/* Which pending handshake goes on next, and which one is refused when there are too many: the order
 * that admission.h describes, over the lists of a server. */
#ifndef GOIPC_CHOOSE_H
#define GOIPC_CHOOSE_H

#include "endpoint/server.h"

/* The paused handshake that goes on next. There is at least one. */
goipci_connection *goipci_choose_paused(const goipc_server *server);
/* The pending handshake to refuse for one more of `share`, or NULL. */
goipci_connection *goipci_choose_victim(const goipc_server *server, unsigned share);

#endif
