/* SPDX-License-Identifier: MIT */
/* The fields of a server, and its loop. */
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

    /* Used by the reading thread only. */
    goipci_listener *listener;
    bool listener_known;
    bool listener_ready;
    int64_t accept_again_ms; /* 0 while the listener is watched */
    uint32_t socket_mode;
    bool rebinds;
    bool name_is_lost;
    bool has_name_status; /* name_status is for the next read */
    int64_t name_due_ms;
    unsigned polls; /* since the start */
    goipc_message name_status;
    goipci_list handshaking;
    goipci_list ready_clients;
    goipci_list ready_others;
    goipci_list paused; /* handshakes that admission.c has paused */
    goipci_list warm;
    goipci_admission admission;
    goipci_shares shares;
    goipc_full_policy full_policy; /* not DEFAULT */
    goipci_schedule schedule;
    goipc_client_id last_id;

    /* Under endpoint.lock. Only the reading thread changes them, so it may read them without. */
    goipci_list clients;
    goipci_client_table table;
    atomic_size_t client_count;
};

/* Called at the start of a read, when no message is borrowed: releases buffers of idle
 * connections. */
void goipci_serve_tidy(goipc_server *server);
/* Takes messages without another poll. Returns how many. */
size_t goipci_serve_gather(goipc_server *server, goipc_message *messages, size_t capacity);
/* Waits until something is ready, or only polls if something is ready already, and ends what has
 * expired. Errors: INTERRUPTED, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_serve_wait(goipc_server *server, int32_t timeout_ms);
/* Whether a connection or the listener waits for a turn. */
bool goipci_serve_is_ready(const goipc_server *server);
/* The next time at which something is due without input, or INT64_MAX. */
int64_t goipci_serve_deadline(const goipc_server *server);

#endif
