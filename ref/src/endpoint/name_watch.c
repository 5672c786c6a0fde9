/* SPDX-License-Identifier: MIT */
/* name_watch.h */
#include "endpoint/name_watch.h"

#include <stdio.h>

enum { CHECK_MS = 1000, POLL_COUNT_MAX = 64 };

goipc_error goipci_name_watch_listen(goipc_server *server, goipc_failure *failure)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipci_listener *listener;
    bool known = false;
    goipc_error error = goipci_listener_open(endpoint->allocator, &endpoint->address,
                                             server->socket_mode, &listener, failure);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = goipci_poller_watch_listener(endpoint->poller, listener, true, endpoint, &known);
    if (error != GOIPC_ERROR_OK) {
        snprintf(failure->text, sizeof failure->text, "cannot wait for clients at %s: %s",
                 endpoint->address.text, goipc_error_text(error));
        goipci_listener_close(listener, true);
        return error;
    }
    server->listener = listener;
    server->listener_known = known;
    server->name_due_ms =
        endpoint->address.abstract ? INT64_MAX : goipci_system_clock_ms() + CHECK_MS;
    return GOIPC_ERROR_OK;
}

int64_t goipci_name_watch_due_ms(const goipc_server *server)
{
    return server->name_due_ms;
}

static void report_loss(goipc_server *server)
{
    goipci_endpoint *endpoint = &server->endpoint;

    server->name_is_lost = true;
    server->name_status =
        goipci_status_message(GOIPC_STATUS_ERROR, GOIPC_ERROR_NAME_LOST, GOIPC_CLIENT_ALL);
    server->has_name_status = true;
    goipci_endpoint_fail(endpoint, GOIPC_LOG_ERROR, GOIPC_ERROR_NAME_LOST, 0,
                         "%s was removed or replaced: clients do not find this server any more; %s",
                         endpoint->address.text,
                         server->rebinds ? "it binds again when the name is free"
                                         : "restart it, or set rebind_name");
}

/* Connections stay open. Clients that wait at the old listener are lost and connect again. */
static void bind_again(goipc_server *server)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipci_listener *old = server->listener;
    bool old_known = server->listener_known;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};

    if (goipci_name_watch_listen(server, &failure) != GOIPC_ERROR_OK) {
        return; /* another server or file has the name: check again in a second */
    }
    goipci_poller_forget_listener(endpoint->poller, old, &old_known);
    goipci_listener_close(old, true);
    server->listener_ready = false;
    server->accept_again_ms = 0;
    server->name_is_lost = false;
    server->name_status =
        goipci_status_message(GOIPC_STATUS_LISTENING, GOIPC_ERROR_OK, GOIPC_CLIENT_ALL);
    server->has_name_status = true;
    goipci_endpoint_log(endpoint, GOIPC_LOG_WARNING, "listening at %s again",
                        endpoint->address.text);
}

static void check(goipc_server *server, int64_t now_ms)
{
    if (now_ms < server->name_due_ms) {
        return;
    }
    server->name_due_ms = now_ms + CHECK_MS;
    if (goipci_listener_has_name(server->listener)) {
        return;
    }
    if (!server->name_is_lost) {
        report_loss(server);
    } else if (server->rebinds && !server->has_name_status) {
        bind_again(server);
    }
}

int32_t goipci_name_watch_limit_ms(const goipc_server *server)
{
    return server->name_due_ms == INT64_MAX ? GOIPC_FOREVER : (int32_t)CHECK_MS;
}

void goipci_name_watch_polled(goipc_server *server, bool found)
{
    if (server->name_due_ms != INT64_MAX && (!found || ++server->polls % POLL_COUNT_MAX == 0)) {
        check(server, goipci_system_clock_ms());
    }
}

bool goipci_name_watch_take(goipc_server *server, goipc_message *message)
{
    if (!server->has_name_status) {
        return false;
    }
    server->has_name_status = false;
    *message = server->name_status;
    return true;
}
