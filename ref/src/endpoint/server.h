/* SPDX-License-Identifier: MIT */
/* The memory of a server, and its loop. */
#ifndef GOIPC_SERVER_H
#define GOIPC_SERVER_H

#include "endpoint/admission.h"
#include "endpoint/client_table.h"
#include "endpoint/driver.h"
#include "endpoint/report.h"
#include "endpoint/schedule.h"
#include "endpoint/share.h"

struct goipc_server {
    goipci_endpoint endpoint; /* first: see driver.h */

    /* The reading thread's. */
    goipci_listener *listener;
    bool listener_known;
    bool listener_ready;
    int64_t accept_again_ms; /* 0: the listener is watched */
    uint32_t socket_mode;
    bool rebinds;
    bool name_is_lost;
    bool has_name_status; /* name_status is for the next read */
    int64_t name_due_ms;
    goipc_message name_status;
    goipci_list handshaking;
    goipci_list ready_clients;
    goipci_list ready_others;
    goipci_list paused; /* handshakes, by admission */
    goipci_list warm;
    goipci_admission admission;
    goipci_shares shares;
    goipc_full_policy full_policy; /* not DEFAULT */
    goipci_schedule schedule;
    goipc_client_id last_id;

    /* Under endpoint.lock; the reading thread, which alone changes them, may read without. */
    goipci_list clients;
    goipci_client_table table;
    atomic_size_t client_count;
};

/* At the start of a read, when nothing is lent any more: gives back memory of idle connections. */
void goipci_serve_tidy(goipc_server *server);
/* What there is before the poller is asked again. Returns how many messages. */
size_t goipci_serve_gather(goipc_server *server, goipc_message *messages, size_t capacity);
/* Waits until something is ready, or only polls when something is already, and acts on deadlines.
 * Errors: INTERRUPTED, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_serve_wait(goipc_server *server, int32_t timeout_ms);
/* Whether a connection or the listener waits for a turn. */
bool goipci_serve_is_ready(const goipc_server *server);
/* When something is due without input, INT64_MAX for never. */
int64_t goipci_serve_deadline(const goipc_server *server);

#endif
