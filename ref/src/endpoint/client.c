/* SPDX-License-Identifier: MIT */
/*
 * A client's public functions.
 *
 * One thread at a time runs the loop (connect.c):
 *
 *   the reader    while it is inside read
 *   a writer      while there is no connection, or the connection is broken
 *
 * Other threads wait for it, and take over when it returns. Status changes reach the reader through
 * a queue, which every read empties first.
 *
 * A writer that finds the connection broken connects again only when nothing that the peer had sent
 * is unread. Otherwise it fails with the reason until a read has taken the rest, so no message that
 * arrived is lost, and none is sent twice.
 */
#include "endpoint/client.h"
#include "endpoint/send.h"

#include <stdio.h>

enum {
    BATCH_MAX = 1024,
    EVENT_COUNT_MAX = 64, /* events without a message before the next poll */
};

static goipc_client *client_of(goipci_endpoint *endpoint)
{
    return (goipc_client *)(void *)endpoint;
}

static goipc_error start(goipci_endpoint *endpoint, const char *name, const void *given,
                         goipc_failure *failure)
{
    goipc_client *client = client_of(endpoint);
    const goipc_client_config *config = given;

    if (!GOIPCI_IS_UNUSED(config)) {
        snprintf(failure->text, sizeof failure->text, GOIPCI_RESERVED_TEXT, name);
        failure->error = GOIPC_ERROR_ARGUMENT;
        return failure->error;
    }
    goipci_retry_init(&client->retry, config->timeout_ms, config->retry_interval_ms);
    client->reconnect_off = config->reconnect_off;
    goipci_buffer_init(&client->kept, goipci_allocator_or_default(config->options.allocator), 0);
    atomic_init(&client->status, GOIPC_STATUS_NOT_CONNECTED);
    return goipci_endpoint_init(endpoint, GOIPC_ROLE_CLIENT, name, &config->options, failure);
}

/* --- which thread runs the loop -------------------------------------------------------------- */

static bool try_to_run(goipc_client *client)
{
    return !atomic_exchange(&client->has_runner, true);
}

static void stop_running(goipc_client *client)
{
    atomic_store(&client->has_runner, false);
    goipci_connect_wake(client);
}

/* Waits until something changes, or until *runs. With `connected`, an open connection is enough.
 * Errors: CLOSED, INTERRUPTED, TIMEOUT. */
static goipc_error wait_to_run(goipc_client *client, int64_t deadline_ms, bool connected,
                               bool *runs)
{
    goipci_endpoint *endpoint = &client->endpoint;
    goipc_error error = GOIPC_ERROR_OK;

    *runs = try_to_run(client);
    if (*runs) {
        return GOIPC_ERROR_OK;
    }
    goipci_lock_take(&endpoint->lock);
    atomic_fetch_add(&client->waiting, 1);
    for (;;) {
        const int32_t left = goipci_deadline_left(deadline_ms);

        if (goipci_endpoint_is_stopped(endpoint)) {
            error = GOIPC_ERROR_CLOSED;
            break;
        }
        *runs = try_to_run(client);
        if (*runs || (connected && client->open != NULL)) {
            break;
        }
        if (atomic_load(&endpoint->interrupted)) {
            error = GOIPC_ERROR_INTERRUPTED;
            break;
        }
        if (left == 0) {
            error = GOIPC_ERROR_TIMEOUT;
            break;
        }
        goipci_condition_wait(&endpoint->changed, &endpoint->lock, left);
    }
    atomic_fetch_sub(&client->waiting, 1);
    goipci_lock_give(&endpoint->lock);
    return error;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void give_message(goipc_client *client, const goipc_event *event, goipc_message *message)
{
    goipci_endpoint_give_message(&client->endpoint, event, 0, message);
    client->lender = client->connection;
}

/* Takes messages from the open connection without waiting. Reads from the stream only before the
 * first message, because a read may move the input buffer that messages point into. */
static void gather_messages(goipc_client *client, goipc_message *messages, size_t capacity,
                            size_t *count)
{
    goipci_connection *connection = client->connection;
    int event_count = 0;

    if (client->has_stash) {
        client->has_stash = false;
        give_message(client, &client->stash, &messages[(*count)++]);
    }
    /* A peer that sends only control frames must not keep the reader in this loop. */
    while (*count < capacity && (*count > 0 || event_count++ < EVENT_COUNT_MAX) &&
           (*count == 0 || goipci_session_has_event(connection->session))) {
        int system_error;
        goipc_event event;
        goipc_error error = goipci_connection_next_event(connection, &event, &system_error);

        if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT &&
            !connection->readable) {
            return;
        }
        if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_CLOSED) {
            error = GOIPC_ERROR_DISCONNECTED;
        }
        if (error != GOIPC_ERROR_OK) {
            /* A failed sending half is the cause; the end of the stream is its effect. */
            const goipc_error end = goipci_connection_end(connection);

            goipci_connect_lose(client, end != GOIPC_ERROR_OK ? end : error, system_error);
            return;
        }
        if (event.type == GOIPC_EVENT_MESSAGE) {
            give_message(client, &event, &messages[(*count)++]);
        }
    }
}

static goipc_error gather(goipci_endpoint *endpoint, goipc_message *messages, size_t capacity,
                          size_t *count)
{
    goipc_client *client = client_of(endpoint);

    capacity = capacity < BATCH_MAX ? capacity : BATCH_MAX;
    if (client->reads_left == 0 && client->stage == GOIPCI_STAGE_OPEN) {
        const goipc_error error = goipci_connect_run_once(client, 0);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    client->reads_left -= client->reads_left > 0 ? 1 : 0;
    do {
        while (*count < capacity && goipci_connect_take_change(client, &messages[*count])) {
            (*count)++;
        }
        if (*count == 0 && client->stage == GOIPCI_STAGE_OPEN) {
            gather_messages(client, messages, capacity, count);
        }
    } while (*count == 0 &&
             atomic_load(&client->change_count) > 0); /* the connection has just ended */
    return *count == 0 && client->stage == GOIPCI_STAGE_ENDED
               ? (goipc_error)atomic_load(&client->ended)
               : GOIPC_ERROR_OK;
}

static goipc_error begin_read(goipci_endpoint *endpoint, int32_t timeout_ms, int64_t *deadline_ms)
{
    goipc_client *client = client_of(endpoint);
    bool runs = try_to_run(client);

    if (!runs) {
        goipc_error error;

        *deadline_ms = goipci_deadline_after(timeout_ms);
        error = wait_to_run(client, *deadline_ms, false, &runs);
        if (error != GOIPC_ERROR_OK) {
            return error == GOIPC_ERROR_TIMEOUT && timeout_ms == 0 ? GOIPC_ERROR_WOULD_BLOCK
                                                                   : error;
        }
    }
    goipci_connect_return_messages(client);
    return GOIPC_ERROR_OK;
}

static void end_read(goipci_endpoint *endpoint)
{
    stop_running(client_of(endpoint));
}

static goipc_error run_once(goipci_endpoint *endpoint, int32_t timeout_ms)
{
    return goipci_connect_run_once(client_of(endpoint), timeout_ms);
}

goipc_error goipc_client_read_batch(goipc_client *client, int32_t timeout_ms,
                                    goipc_message *messages, size_t capacity, size_t *count)
{
    assert(client != NULL);
    return goipci_driver_read(&client->endpoint, timeout_ms, messages, capacity, count);
}

goipc_error goipc_client_read(goipc_client *client, int32_t timeout_ms, goipc_message *message)
{
    size_t count;

    return goipc_client_read_batch(client, timeout_ms, message, 1, &count);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The open connection with a reference, if it can be written to; else NULL, and *end has the reason
 * if there is a connection. */
static goipci_connection *hold_open(goipc_client *client, goipc_error *end)
{
    goipci_connection *connection;

    *end = GOIPC_ERROR_OK;
    goipci_lock_take(&client->endpoint.lock);
    connection = client->open;
    if (connection != NULL) {
        goipci_connection_hold(connection);
    }
    goipci_lock_give(&client->endpoint.lock);
    if (connection == NULL) {
        return NULL;
    }
    *end = goipci_connection_end(connection);
    if (*end == GOIPC_ERROR_OK) {
        return connection;
    }
    goipci_connection_drop(connection);
    return NULL;
}

/* For a writer that runs the loop while the connection is open but cannot be written to. Ends the
 * connection and returns true if the peer's messages were all read. Otherwise returns false: the
 * reader must take them first. */
static bool give_up_broken(goipc_client *client, goipc_error end)
{
    goipci_connection *connection = client->connection;
    goipc_event event;
    goipc_error error;
    int system_error;

    do {
        if (client->has_stash) {
            return false;
        }
        connection->readable = true;
        error = goipci_connection_next_event(connection, &event, &system_error);
        if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_MESSAGE) {
            client->stash = event;
            client->has_stash = true;
            return false;
        }
    } while (error == GOIPC_ERROR_OK && event.type != GOIPC_EVENT_CLOSED &&
             (event.type == GOIPC_EVENT_CONTROL || connection->readable));
    goipci_connect_lose(client, end, system_error);
    return true;
}

/* One step towards a connection, for a writer that runs the loop. */
static goipc_error run_to_write(goipc_client *client, goipc_error end, int32_t timeout_ms)
{
    goipc_error error;

    if (client->stage == GOIPCI_STAGE_ENDED ||
        (client->stage == GOIPCI_STAGE_OPEN && end == GOIPC_ERROR_OK)) {
        return GOIPC_ERROR_OK;
    }
    error = goipci_connect_detach_messages(client);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (client->stage == GOIPCI_STAGE_OPEN) {
        return give_up_broken(client, end) ? GOIPC_ERROR_OK : end;
    }
    error = goipci_endpoint_check_process(&client->endpoint);
    return error == GOIPC_ERROR_OK ? goipci_connect_run_once(client, timeout_ms) : error;
}

/* Errors: the permanent error of the client; the error of the last connection while it has unread
 * messages; TIMEOUT, NOT_CONNECTED (the timeout is GOIPC_NO_WAIT), INTERRUPTED, CLOSED, FORKED,
 * MEMORY, SYSTEM. */
static goipc_error connect_to_write(goipc_client *client, int64_t deadline_ms, bool no_wait,
                                    goipci_connection **connection)
{
    goipc_error error = GOIPC_ERROR_OK;

    for (;;) {
        const goipc_error ended = (goipc_error)atomic_load(&client->ended);
        goipc_error end;
        bool runs;

        *connection = hold_open(client, &end);
        if (*connection != NULL) {
            return GOIPC_ERROR_OK;
        }
        if (ended != GOIPC_ERROR_OK || error != GOIPC_ERROR_OK) {
            return ended != GOIPC_ERROR_OK ? ended : error;
        }
        error = wait_to_run(client, deadline_ms, end == GOIPC_ERROR_OK, &runs);
        if (error == GOIPC_ERROR_OK && runs) {
            const int32_t left = goipci_deadline_left(deadline_ms);

            error = run_to_write(client, end, left);
            stop_running(client);
            if (error == GOIPC_ERROR_OK && left == 0) {
                error = GOIPC_ERROR_TIMEOUT;
            }
        }
        if (error == GOIPC_ERROR_TIMEOUT && no_wait) {
            error = GOIPC_ERROR_NOT_CONNECTED;
        }
    }
}

static goipc_error write_batch(goipc_client *client, const goipc_outgoing *messages, size_t count,
                               int32_t timeout_ms, size_t *taken)
{
    goipci_connection *connection;
    goipc_error end;
    goipc_error error;
    int32_t left = timeout_ms;

    connection = hold_open(client, &end);
    if (connection == NULL) {
        /* Read the clock only if the call has to wait. */
        const int64_t deadline_ms = goipci_deadline_after(timeout_ms);

        error = connect_to_write(client, deadline_ms, timeout_ms == GOIPC_NO_WAIT, &connection);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        left = timeout_ms == GOIPC_NO_WAIT ? timeout_ms : goipci_deadline_left(deadline_ms);
        left = left == 0 ? GOIPC_NO_WAIT : left;
    }
    error = goipci_connection_send(connection, messages, count, left, true, taken);
    goipci_connection_drop(connection);
    return error;
}

static goipc_error write_in_time(goipc_client *client, const goipc_outgoing *messages, size_t count,
                                 int32_t timeout_ms, size_t *taken)
{
    goipc_error error;

    assert(client != NULL && (messages != NULL || count == 0) && taken != NULL);
    *taken = 0;
    if (count > 0 && messages[0].type == 0) { /* invalid, with or without a connection */
        return goipci_endpoint_note(&client->endpoint, GOIPC_ERROR_TYPE_RESERVED);
    }
    error = goipci_endpoint_enter(&client->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = write_batch(client, messages, count, timeout_ms, taken);
    return goipci_endpoint_exit_wait(&client->endpoint, error);
}

goipc_error goipc_client_write_batch(goipc_client *client, const goipc_outgoing *messages,
                                     size_t count, size_t *taken)
{
    return write_in_time(client, messages, count, client->endpoint.options.write_timeout_ms, taken);
}

goipc_error goipc_client_write_within(goipc_client *client, const goipc_outgoing *messages,
                                      size_t count, int32_t timeout_ms, size_t *taken)
{
    *taken = 0;
    if (timeout_ms < GOIPC_FOREVER) {
        return goipci_endpoint_note(&client->endpoint, GOIPC_ERROR_ARGUMENT);
    }
    return write_in_time(client, messages, count, timeout_ms == 0 ? GOIPC_NO_WAIT : timeout_ms,
                         taken);
}

goipc_error goipc_client_write(goipc_client *client, uint32_t type, const void *data,
                               size_t data_size)
{
    const goipc_outgoing message = {type, data, data_size};
    size_t taken;

    return goipc_client_write_batch(client, &message, 1, &taken);
}

size_t goipc_client_queued(goipc_client *client)
{
    goipci_connection *connection;
    goipc_error end;
    size_t size = 0;

    goipci_endpoint_enter_look(&client->endpoint);
    connection = hold_open(client, &end);
    if (connection != NULL) {
        size = goipci_connection_queued(connection);
        goipci_connection_drop(connection);
    }
    goipci_endpoint_exit(&client->endpoint);
    return size;
}

void goipc_client_cork(goipc_client *client)
{
    goipci_endpoint_cork(&client->endpoint);
}

goipc_error goipc_client_flush(goipc_client *client, int32_t timeout_ms)
{
    assert(client != NULL);
    return goipci_driver_flush(&client->endpoint, timeout_ms);
}

/* --- looking and asking ----------------------------------------------------------------------- */

goipc_status goipc_client_status(goipc_client *client)
{
    goipc_status status;

    goipci_endpoint_enter_look(&client->endpoint);
    status = goipci_endpoint_is_stopped(&client->endpoint)
                 ? GOIPC_STATUS_CLOSED
                 : (goipc_status)atomic_load(&client->status);
    goipci_endpoint_exit(&client->endpoint);
    return status;
}

uint32_t goipc_client_send_size_max(goipc_client *client)
{
    uint32_t size_max = 0;

    goipci_endpoint_enter_look(&client->endpoint);
    goipci_lock_take(&client->endpoint.lock);
    if (client->open != NULL) {
        size_max = goipc_session_send_size_max(client->open->session);
    }
    goipci_lock_give(&client->endpoint.lock);
    goipci_endpoint_exit(&client->endpoint);
    return size_max;
}

bool goipc_client_is_encrypted(goipc_client *client)
{
    bool encrypted = false;

    goipci_endpoint_enter_look(&client->endpoint);
    goipci_lock_take(&client->endpoint.lock);
    if (client->open != NULL) {
        encrypted = goipc_session_is_encrypted(client->open->session);
    }
    goipci_lock_give(&client->endpoint.lock);
    goipci_endpoint_exit(&client->endpoint);
    return encrypted;
}

void goipc_client_counters(goipc_client *client, goipc_counters *counters)
{
    goipci_endpoint_get_counters(&client->endpoint, counters);
}

void goipc_client_failure(goipc_client *client, goipc_failure *failure)
{
    goipci_endpoint_get_failure(&client->endpoint, failure);
}

int goipc_client_system_error(goipc_client *client)
{
    goipc_failure failure;

    goipci_endpoint_get_failure(&client->endpoint, &failure);
    return failure.system_error;
}

intptr_t goipc_client_poll_fd(goipc_client *client)
{
    return goipci_endpoint_poll_fd(&client->endpoint);
}

int32_t goipc_client_poll_timeout_ms(goipc_client *client)
{
    int32_t timeout_ms = 0;

    goipci_endpoint_enter_look(&client->endpoint);
    if (atomic_load(&client->change_count) == 0) {
        timeout_ms = goipci_deadline_left(atomic_load(&client->wake_at_ms));
    }
    goipci_endpoint_exit(&client->endpoint);
    return timeout_ms;
}

/* The endpoint is the first member of what the argument points to. That may be NULL or closed, so
 * it is only compared. */
void goipc_client_interrupt(goipc_client *client)
{
    goipci_endpoint_interrupt((goipci_endpoint *)(void *)client);
}

void goipc_client_stop(goipc_client *client)
{
    goipci_endpoint_stop((goipci_endpoint *)(void *)client);
}

void goipc_client_resume(goipc_client *client)
{
    goipci_endpoint_resume(&client->endpoint);
}

/* --- start and close -------------------------------------------------------------------------- */

static void begin_close(goipci_endpoint *endpoint, bool abandoned)
{
    goipc_client *client = client_of(endpoint);

    (void)abandoned; /* a client has no state beside its connections */
    goipci_connect_return_messages(client);
    goipci_lock_take(&endpoint->lock); /* a query may be reading it */
    client->open = NULL;
    goipci_lock_give(&endpoint->lock);
    if (client->connection != NULL) {
        goipci_list_append(&endpoint->leaving, client->connection);
        client->connection = NULL;
    }
}

static void wipe(goipci_endpoint *endpoint)
{
    (void)endpoint; /* begin_close has released the client's own fields */
}

static const goipci_role client_role = {
    sizeof(goipc_client), start, begin_read, end_read, gather, run_once, begin_close, wipe,
};

goipc_error goipc_client_start(const char *name, const goipc_client_config *config,
                               goipc_client **client)
{
    static const goipc_client_config defaults = {.timeout_ms = 0};
    goipci_endpoint *endpoint;
    goipc_error error;

    assert(name != NULL && client != NULL);
    config = config != NULL ? config : &defaults;
    error = goipci_driver_start(&client_role, name, config, &config->options, &endpoint);
    *client = endpoint == NULL ? NULL : client_of(endpoint);
    return error;
}

void goipc_client_close(goipc_client *client)
{
    if (client != NULL) {
        goipci_driver_close(&client->endpoint);
    }
}
