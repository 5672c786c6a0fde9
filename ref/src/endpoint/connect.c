/* SPDX-License-Identifier: MIT */
/*
 * The loop of a client: connects, does the handshake, notices the end and connects again. retry.c
 * decides when to connect and when to give up.
 *
 * One thread at a time runs the loop: see client.c.
 */
#include "endpoint/client.h"

enum {
    READY_COUNT = 16,
    READ_COUNT_MAX = 64, /* reads in a row without a poll */
    LEAVING_MAX = 8,     /* more closing connections: the oldest is closed at once */
};

/* --- status changes --------------------------------------------------------------------------- */

static void report(goipc_client *client, goipc_status status, goipc_error error)
{
    goipci_endpoint *endpoint = &client->endpoint;

    goipci_lock_take(&endpoint->lock);
    goipci_status_queue_put(&client->changes, status, error);
    atomic_store(&client->change_count, client->changes.count);
    atomic_store(&client->status, (int)status);
    goipci_condition_wake_all(&endpoint->changed);
    goipci_lock_give(&endpoint->lock);
    if (!atomic_load(&endpoint->reading)) {
        goipci_poller_kick(endpoint->poller); /* an event loop may be waiting for its descriptor */
    }
}

bool goipci_connect_take_change(goipc_client *client, goipc_message *message)
{
    goipci_status_change change;
    bool taken;

    if (atomic_load(&client->change_count) == 0) {
        return false;
    }
    goipci_lock_take(&client->endpoint.lock);
    taken = goipci_status_queue_take(&client->changes, &change);
    atomic_store(&client->change_count, client->changes.count);
    goipci_lock_give(&client->endpoint.lock);
    if (taken) {
        *message = goipci_status_message(change.status, change.error, 0);
    }
    return taken;
}

/* --- messages of the last read ---------------------------------------------------------------- */

/* Called by a writer that runs the loop, before it uses a connection: messages of the last read
 * stay valid. Errors: MEMORY. */
goipc_error goipci_connect_detach_messages(goipc_client *client)
{
    goipc_error error = GOIPC_ERROR_OK;

    if (client->lender != NULL) {
        error = goipci_session_detach_read_buffer(client->lender->session, &client->kept);
    }
    if (error == GOIPC_ERROR_OK) {
        client->lender = NULL;
    }
    return error;
}

/* Called at the start of a read and on close: the messages of the last read become invalid. */
void goipci_connect_return_messages(goipc_client *client)
{
    client->lender = NULL;
    if (client->kept.capacity > 0) {
        goipci_buffer_wipe(&client->kept);
    }
}

/* --- connecting ------------------------------------------------------------------------------ */

void goipci_connect_wake(goipc_client *client)
{
    if (atomic_load(&client->waiting) > 0) {
        goipci_lock_take(&client->endpoint.lock);
        goipci_condition_wake_all(&client->endpoint.changed);
        goipci_lock_give(&client->endpoint.lock);
    }
}

static void end_permanently(goipc_client *client, goipc_error error, goipc_status status)
{
    client->stage = GOIPCI_STAGE_ENDED;
    atomic_store(&client->ended, (int)error);
    atomic_store(&client->status, (int)status);
    goipci_connect_wake(client);
}

/* Messages of the connection may still be borrowed, so continue_leaving destroys it later, even if
 * closing is complete now. */
static void begin_to_leave(goipc_client *client, goipc_error why)
{
    goipci_connection *connection = client->connection;

    client->connection = NULL;
    (void)goipci_driver_leave(connection, why);
}

/* Continues closing. Call it only while no message is borrowed from a closing connection. */
static void continue_leaving(goipc_client *client)
{
    goipci_list *leaving = &client->endpoint.leaving;
    goipci_connection *at = leaving->first;

    while (at != NULL) {
        goipci_connection *next = at->links[GOIPCI_LIST_PHASE].next;

        if (goipci_connection_linger(at, goipci_system_clock_ms()) ||
            leaving->count > LEAVING_MAX) {
            assert(at != client->lender);
            goipci_connection_destroy(at);
        }
        at = next;
    }
}

/* A random number that shortens a pause. 0 if the random source fails: then pauses are full. */
static uint32_t draw(void)
{
    uint8_t random[4];

    return goipci_system_random(random, sizeof random) == GOIPC_ERROR_OK
               ? goipc_wire_get_u32(random)
               : 0;
}

/* The end of a log line: what the user can do. */
static const char *remedy(goipc_error error)
{
    if (error == GOIPC_ERROR_NOT_FOUND) {
        return "; start the server, or check name and directory";
    }
    if (error == GOIPC_ERROR_ENCRYPTION) {
        return "; give both sides the same encryption setting";
    }
    if (error == GOIPC_ERROR_CREDENTIALS) {
        return "; the server runs as another user: set `peers` to allow it, if you trust that user";
    }
    if (error == GOIPC_ERROR_PERMISSION) {
        return "; the socket's mode does not let this user in";
    }
    if (error == GOIPC_ERROR_DISCONNECTED) {
        return "; the server is full, or you are not allowed";
    }
    return "";
}

/* An attempt to connect has failed. */
static void fail_attempt(goipc_client *client, goipc_error error, int system_error)
{
    goipci_endpoint *endpoint = &client->endpoint;

    if (client->connection != NULL) {
        begin_to_leave(client, error);
    }
    if (error != client->last_attempt) { /* report it once, not at every retry */
        client->last_attempt = error;
        goipci_endpoint_fail(endpoint,
                             goipci_retry_is_pointless(error) ? GOIPC_LOG_ERROR : GOIPC_LOG_INFO,
                             error, system_error, "cannot connect to %s: %s%s",
                             endpoint->address.text, goipc_error_text(error), remedy(error));
    }
    if (goipci_retry_is_pointless(error)) {
        end_permanently(client, error, GOIPC_STATUS_ERROR);
    } else {
        goipci_retry_failed(&client->retry, goipci_system_clock_ms(), draw(),
                            error == GOIPC_ERROR_WOULD_BLOCK);
        client->stage = GOIPCI_STAGE_PAUSE;
    }
}

static void dial(goipc_client *client)
{
    goipci_endpoint *endpoint = &client->endpoint;
    goipci_stream *stream;
    goipc_credentials credentials;
    int system_error = 0;
    goipc_error error =
        goipci_stream_dial(endpoint->allocator, &endpoint->address, &stream, &system_error);

    if (error == GOIPC_ERROR_OK) {
        /* Before the first byte: another user's process may have made the socket. */
        error = goipci_stream_check_peer(stream, &endpoint->options, endpoint->peers, &credentials);
        if (error != GOIPC_ERROR_OK) {
            stream->functions->close(stream);
        }
    }
    if (error == GOIPC_ERROR_OK) {
        error = goipci_connection_new(endpoint, stream, &client->connection);
    }
    if (error != GOIPC_ERROR_OK) {
        fail_attempt(client, error, system_error);
        return;
    }
    client->connection->credentials = credentials;
    client->connection->deadline_ms = goipci_deadline_after(endpoint->options.handshake_timeout_ms);
    client->stage = GOIPCI_STAGE_HANDSHAKE;
}

static uint64_t traffic(goipc_client *client)
{
    return atomic_load_explicit(&client->endpoint.counters.messages_in, memory_order_relaxed) +
           atomic_load_explicit(&client->endpoint.counters.messages_out, memory_order_relaxed);
}

static void become_connected(goipc_client *client)
{
    goipci_endpoint *endpoint = &client->endpoint;

    goipci_connection_open(client->connection, 0);
    client->stage = GOIPCI_STAGE_OPEN;
    client->last_attempt = GOIPC_ERROR_OK;
    goipci_retry_opened(&client->retry, goipci_system_clock_ms(), traffic(client));
    atomic_fetch_add_explicit(&endpoint->counters.connects, 1, memory_order_relaxed);
    goipci_endpoint_log(endpoint, GOIPC_LOG_INFO, "connected to %s", endpoint->address.text);
    goipci_lock_take(&endpoint->lock);
    client->open = client->connection;
    goipci_lock_give(&endpoint->lock);
    report(client, GOIPC_STATUS_CONNECTED, GOIPC_ERROR_OK);
}

/* Runs the handshake until it needs more input. */
static void continue_handshake(goipc_client *client)
{
    int system_error;
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    goipc_error error;

    do {
        error = goipci_connection_next_event(client->connection, &event, &system_error);
    } while (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT &&
             client->connection->readable);
    if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT) {
        error =
            goipci_connection_end(client->connection); /* sending our own bytes may have failed */
    }
    if (error != GOIPC_ERROR_OK) {
        fail_attempt(client, error, system_error);
    } else if (event.type == GOIPC_EVENT_CONNECTED) {
        become_connected(client);
    }
}

/* An established connection has ended. */
void goipci_connect_lose(goipc_client *client, goipc_error error, int system_error)
{
    goipci_endpoint *endpoint = &client->endpoint;

    goipci_lock_take(&endpoint->lock);
    client->open = NULL;
    goipci_lock_give(&endpoint->lock);
    if (error == GOIPC_ERROR_DISCONNECTED) {
        goipci_endpoint_log(endpoint, GOIPC_LOG_INFO, "%s closed the connection",
                            endpoint->address.text);
    } else {
        atomic_fetch_add_explicit(&endpoint->counters.failures, 1, memory_order_relaxed);
        goipci_endpoint_fail(endpoint, GOIPC_LOG_WARNING, error, system_error,
                             "lost the connection to %s: %s", endpoint->address.text,
                             goipc_error_text(error));
    }
    begin_to_leave(client, error);
    report(client, GOIPC_STATUS_DISCONNECTED, error);
    if (goipci_retry_is_pointless(error)) {
        end_permanently(client, error, GOIPC_STATUS_ERROR);
        return;
    }
    if (client->reconnect_off) {
        end_permanently(client, GOIPC_ERROR_DISCONNECTED, GOIPC_STATUS_DISCONNECTED);
        return;
    }
    goipci_retry_lost(&client->retry, goipci_system_clock_ms(), traffic(client), draw());
    client->stage = GOIPCI_STAGE_PAUSE;
    report(client, GOIPC_STATUS_RECONNECTING, GOIPC_ERROR_OK);
}

static void give_up(goipc_client *client)
{
    goipci_endpoint *endpoint = &client->endpoint;
    goipc_failure last;

    goipci_endpoint_get_failure(endpoint, &last);
    if (client->connection != NULL) {
        begin_to_leave(client, GOIPC_ERROR_TIMEOUT);
    }
    goipci_endpoint_fail(endpoint, GOIPC_LOG_ERROR, GOIPC_ERROR_TIMEOUT, last.system_error,
                         "gave up on %s after %ld ms; the last attempt: %.300s",
                         endpoint->address.text, (long)client->retry.timeout_ms,
                         last.error == GOIPC_ERROR_OK ? "no answer" : last.text);
    report(client, GOIPC_STATUS_TIMEOUT, GOIPC_ERROR_OK);
    end_permanently(client, GOIPC_ERROR_TIMEOUT, GOIPC_STATUS_TIMEOUT);
}

/* The deadline of the handshake, or 0 without one (see retry.h). */
static int64_t handshake_deadline(const goipc_client *client)
{
    return client->stage == GOIPCI_STAGE_HANDSHAKE ? client->connection->deadline_ms : 0;
}

static bool is_connecting(const goipc_client *client)
{
    return client->stage == GOIPCI_STAGE_PAUSE || client->stage == GOIPCI_STAGE_HANDSHAKE;
}

/* The next time at which something is due without input. */
static int64_t next_deadline(const goipc_client *client)
{
    const goipci_list *leaving = &client->endpoint.leaving;
    const int64_t leaving_ms = leaving->first != NULL ? leaving->first->deadline_ms : INT64_MAX;
    int64_t due_ms = INT64_MAX;

    if (client->stage == GOIPCI_STAGE_IDLE) {
        return 0;
    }
    if (is_connecting(client)) {
        due_ms = goipci_retry_due_ms(&client->retry, handshake_deadline(client));
    }
    return due_ms < leaving_ms ? due_ms : leaving_ms;
}

static void act_on_time(goipc_client *client)
{
    if (!is_connecting(client)) {
        return;
    }
    switch (
        goipci_retry_next(&client->retry, handshake_deadline(client), goipci_system_clock_ms())) {
    case GOIPCI_RETRY_GIVE_UP:
        give_up(client);
        break;
    case GOIPCI_RETRY_ABORT:
        fail_attempt(client, GOIPC_ERROR_HANDSHAKE_TIMEOUT, 0);
        break;
    case GOIPCI_RETRY_DIAL:
        dial(client);
        break;
    case GOIPCI_RETRY_WAIT:
        break;
    }
}

static goipc_error poll_once(goipc_client *client, int32_t timeout_ms)
{
    goipci_ready ready[READY_COUNT];
    size_t count;
    const goipc_error error =
        goipci_endpoint_wait(&client->endpoint, timeout_ms, ready, READY_COUNT, &count);

    for (size_t i = 0; i < count; i++) {
        goipci_connection_notice(ready[i].context, ready[i].events);
    }
    return error;
}

/* Whether the last read left input that has already arrived. */
static bool has_input(const goipc_client *client)
{
    return client->stage == GOIPCI_STAGE_OPEN &&
           (client->connection->readable || goipci_session_has_event(client->connection->session));
}

goipc_error goipci_connect_run_once(goipc_client *client, int32_t timeout_ms)
{
    const size_t told = atomic_load(&client->change_count);
    goipc_error error;

    if (client->stage == GOIPCI_STAGE_IDLE) {
        goipci_retry_begin(&client->retry, goipci_system_clock_ms());
        client->stage = GOIPCI_STAGE_PAUSE;
        report(client, GOIPC_STATUS_CONNECTING, GOIPC_ERROR_OK);
    }
    act_on_time(client);
    if (atomic_load(&client->change_count) != told || has_input(client)) {
        timeout_ms = 0; /* a status change is waiting already */
    }
    client->reads_left = READ_COUNT_MAX;
    timeout_ms = goipci_timeout_min(timeout_ms, goipci_deadline_left(next_deadline(client)));
    error = poll_once(client, timeout_ms);
    if (error == GOIPC_ERROR_OK && client->stage == GOIPCI_STAGE_HANDSHAKE) {
        continue_handshake(client);
    }
    if (error == GOIPC_ERROR_OK) {
        act_on_time(client);
    }
    if (client->endpoint.leaving.count > 0) {
        continue_leaving(client);
    }
    atomic_store(&client->wake_at_ms, next_deadline(client));
    return error;
}
