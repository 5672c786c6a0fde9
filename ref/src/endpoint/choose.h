/* SPDX-License-Identifier: MIT */
/* Chooses the pending handshake that is resumed next, and the one that is refused when there are
 * too many, in the order that admission.h describes. */
#ifndef GOIPC_CHOOSE_H
#define GOIPC_CHOOSE_H

#include "endpoint/server.h"

/* The paused handshake to resume next. There is at least one. */
goipci_connection *goipci_choose_paused(const goipc_server *server);
/* The pending handshake to refuse in favour of a new one of `share`, or NULL. */
goipci_connection *goipci_choose_victim(const goipc_server *server, unsigned share);

#endif
