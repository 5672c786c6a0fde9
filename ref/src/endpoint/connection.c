/* SPDX-License-Identifier: MIT */
/*
 * One session joined to one stream, as the thread that runs the loop sees it: the receiving half,
 * which takes no lock, and the phases up to the close.
 *
 * After the sending half has failed, the loop thread still delivers the messages that the peer had
 * sent, and then reads the end of the stream.
 */
#include "endpoint/connection.h"
#include "endpoint/send.h"

#include <assert.h>

enum {
    DRAIN_SIZE = 16 * 1024,
    DRAIN_READ_COUNT_MAX = 16, /* reads of DRAIN_SIZE in one turn */
};

/* --- life ------------------------------------------------------------------------------------- */

static goipc_error make_session(goipci_connection *connection)
{
    const goipc_options *options = &connection->endpoint->options;
    const goipc_session_config config = {
        .role = connection->endpoint->role,
        .encryption = options->encryption,
        .message_size_max = options->message_size_max,
        .queue_size_max = options->queue_size_max,
        .crypto = options->crypto,
        .allocator = options->allocator,
    };

    return goipc_session_new(&config, &connection->session);
}

goipc_error goipci_connection_new(goipci_endpoint *endpoint, goipci_stream *stream,
                                  goipci_connection **connection)
{
    goipci_connection *made = goipci_allocate_zeroed(endpoint->allocator, sizeof *made);
    goipc_error error = GOIPC_ERROR_MEMORY;

    *connection = NULL;
    if (made == NULL) {
        stream->functions->close(stream);
        return error;
    }
    made->endpoint = endpoint;
    made->stream = stream;
    atomic_init(&made->references, 1);
    error = goipci_lock_init(&made->lock);
    if (error != GOIPC_ERROR_OK) {
        stream->functions->close(stream);
        goipci_release(endpoint->allocator, made, sizeof *made);
        return error;
    }
    error = make_session(made);
    if (error == GOIPC_ERROR_OK) {
        error = goipci_send_watch(made);
    }
    if (error != GOIPC_ERROR_OK) {
        goipci_connection_forget(made);
        goipci_connection_drop(made);
        return error;
    }
    /* Send the server's HELLO at once. A failure is noticed in the next turn. */
    (void)!goipci_send_settle(made);
    *connection = made;
    return GOIPC_ERROR_OK;
}

void goipci_connection_hold(goipci_connection *connection)
{
    atomic_fetch_add(&connection->references, 1);
}

void goipci_connection_drop(goipci_connection *connection)
{
    const goipc_allocator *allocator = connection->endpoint->allocator;

    if (atomic_fetch_sub(&connection->references, 1) > 1) {
        return;
    }
    assert(!connection->known);
    connection->stream->functions->close(connection->stream);
    goipc_session_free(connection->session);
    goipci_lock_wipe(&connection->lock);
    goipci_release(allocator, connection, sizeof *connection);
}

void goipci_connection_forget(goipci_connection *connection)
{
    goipci_endpoint *endpoint = connection->endpoint;

    goipci_lock_take(&connection->lock);
    connection->phase = GOIPCI_PHASE_OVER;
    goipci_send_end(connection, GOIPC_ERROR_DISCONNECTED);
    goipci_poller_forget(endpoint->poller, connection->stream, &connection->known);
    goipci_send_note_queued(connection);
    goipci_lock_give(&connection->lock);
}

void goipci_connection_destroy(goipci_connection *connection)
{
    for (int kind = 0; kind < GOIPCI_LIST_COUNT; kind++) {
        goipci_list *list = connection->links[kind].list;

        if (list != NULL &&
            kind != GOIPCI_LIST_QUEUED) { /* goipci_connection_forget removes it, under the lock */
            goipci_list_remove(list, connection);
        }
    }
    goipci_connection_forget(connection);
    goipci_connection_drop(connection);
}

void goipci_connection_trim(goipci_connection *connection)
{
    goipci_lock_take(&connection->lock);
    goipci_session_trim(connection->session);
    goipci_lock_give(&connection->lock);
}

/* --- the driving thread ----------------------------------------------------------------------- */

void goipci_connection_notice(goipci_connection *connection, unsigned events)
{
    if ((events & GOIPCI_READABLE) != 0) {
        connection->readable = true;
    }
    if ((events & GOIPCI_ENDED) != 0) {
        connection->peer_ended = true;
    }
    if ((events & GOIPCI_WRITABLE) != 0) {
        goipci_lock_take(&connection->lock);
        (void)!goipci_send_settle(connection); /* a failure is kept in `end` */
        goipci_lock_give(&connection->lock);
    }
}

/* During the handshake one read takes at most one message, so that one turn does at most the work
 * of one message. */
static size_t handshake_room(const goipci_connection *connection, size_t capacity)
{
    const size_t missing = goipci_handshake_missing(connection->session);

    return missing > 0 && missing < capacity ? missing : capacity;
}

/* Reads once into the session. */
static goipc_error fill_input(goipci_connection *connection, int *system_error)
{
    goipci_stream *stream = connection->stream;
    uint8_t *in;
    size_t capacity, size;
    goipc_error error = goipc_session_input(connection->session, &in, &capacity);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (connection->phase == GOIPCI_PHASE_HANDSHAKE) {
        capacity = handshake_room(connection, capacity);
    }
    error = stream->functions->read(stream, in, capacity, &size, system_error);
    /* A short read means that there was no more. */
    connection->readable = error == GOIPC_ERROR_OK && size == capacity;
    if (error == GOIPC_ERROR_WOULD_BLOCK) {
        return GOIPC_ERROR_OK;
    }
    if (error != GOIPC_ERROR_OK) {
        connection->input_ended = true;
        return error;
    }
    if (size == 0) {
        connection->input_ended = true;
        return goipc_session_input_end(connection->session);
    }
    return goipc_session_input_commit(connection->session, size);
}

/* Sends what a handshake step has queued: the next message, or the reply of a refusal. In this
 * phase no other thread uses the session. */
static goipc_error next_handshake_event(goipci_connection *connection, goipc_event *event)
{
    goipc_error error;

    goipci_lock_take(&connection->lock);
    error = goipc_session_next_event(connection->session, event);
    (void)!goipci_send_settle(connection);
    goipci_lock_give(&connection->lock);
    return error;
}

static goipc_error next_event(goipci_connection *connection, goipc_event *event)
{
    return connection->phase == GOIPCI_PHASE_HANDSHAKE
               ? next_handshake_event(connection, event)
               : goipc_session_next_event(connection->session, event);
}

goipc_error goipci_connection_next_event(goipci_connection *connection, goipc_event *event,
                                         int *system_error)
{
    goipc_error error = next_event(connection, event);

    *system_error = 0;
    if (error != GOIPC_ERROR_OK || event->type != GOIPC_EVENT_NEED_INPUT || !connection->readable ||
        goipci_handshake_waits_for_curve(connection->session)) {
        return error;
    }
    error = fill_input(connection, system_error);
    return error == GOIPC_ERROR_OK ? next_event(connection, event) : error;
}

void goipci_connection_pause(goipci_connection *connection, bool on)
{
    goipci_lock_take(&connection->lock);
    connection->is_paused = on;
    (void)!goipci_send_watch(
        connection); /* fails only without kernel memory; then its deadline ends it */
    goipci_lock_give(&connection->lock);
}

void goipci_connection_open(goipci_connection *connection, goipc_client_id id)
{
    assert(connection->phase == GOIPCI_PHASE_HANDSHAKE);
    goipci_lock_take(&connection->lock);
    connection->phase = GOIPCI_PHASE_OPEN;
    connection->id = id;
    goipci_lock_give(&connection->lock);
}

goipc_error goipci_connection_end(goipci_connection *connection)
{
    /* Every write checks this before it takes the lock, and again under the lock. */
    return atomic_load(&connection->leave_reason) != GOIPC_ERROR_OK ? GOIPC_ERROR_CLOSED
                                                                    : atomic_load(&connection->end);
}

/* --- leaving ---------------------------------------------------------------------------------- */

void goipci_connection_leave(goipci_connection *connection, goipc_error why, int64_t deadline_ms)
{
    goipci_lock_take(&connection->lock);
    goipci_send_count_corked(connection);
    /* req: ER-003: after a failure only the reply of a handshake is sent. */
    if (connection->end != GOIPC_ERROR_OK ||
        (connection->phase == GOIPCI_PHASE_OPEN && why != GOIPC_ERROR_CLOSED &&
         why != GOIPC_ERROR_DISCONNECTED)) {
        goipci_send_end(connection, connection->end != GOIPC_ERROR_OK ? connection->end : why);
    }
    connection->phase = GOIPCI_PHASE_FLUSHING;
    connection->end = why;
    connection->deadline_ms = deadline_ms;
    goipci_send_note_queued(connection);
    (void)!goipci_send_watch(connection);
    goipci_lock_give(&connection->lock);
}

/* Reads and drops input, and records the end of the stream. */
static void drain_input(goipci_connection *connection)
{
    goipci_stream *stream = connection->stream;
    uint8_t waste[DRAIN_SIZE];
    int system_error;
    size_t size;

    for (int i = 0; i < DRAIN_READ_COUNT_MAX && !connection->input_ended; i++) {
        const goipc_error error =
            stream->functions->read(stream, waste, sizeof waste, &size, &system_error);

        if (error == GOIPC_ERROR_WOULD_BLOCK) {
            return;
        }
        connection->input_ended = error != GOIPC_ERROR_OK || size == 0;
    }
}

bool goipci_connection_linger(goipci_connection *connection, int64_t now_ms)
{
    const bool late = now_ms >= connection->deadline_ms;

    goipci_lock_take(&connection->lock);
    if (connection->phase == GOIPCI_PHASE_FLUSHING &&
        goipci_send_settle(connection) != GOIPC_ERROR_WOULD_BLOCK) {
        connection->stream->functions->finish(connection->stream);
        connection->phase = GOIPCI_PHASE_DRAINING;
    }
    goipci_lock_give(&connection->lock);
    /* Drain in both phases: a peer that is blocked in its own write may never read our output. */
    drain_input(connection);
    connection->readable = false;
    goipci_lock_take(&connection->lock);
    (void)!goipci_send_watch(
        connection); /* fails only without kernel memory; then the deadline ends it */
    goipci_lock_give(&connection->lock);
    return late || (connection->input_ended && connection->phase == GOIPCI_PHASE_DRAINING);
}

/* --- any thread ------------------------------------------------------------------------------- */

void goipci_connection_request_leave(goipci_connection *connection, goipc_error why)
{
    /* The poller would not report a stream that is neither writable nor readable. */
    atomic_store(&connection->leave_reason, (int)why);
    atomic_store(&connection->endpoint->leave_pending, true);
    goipci_poller_kick(connection->endpoint->poller);
}
