/* SPDX-License-Identifier: MIT */
/*
 * The sending half of a connection, which every thread that writes uses, under the connection's
 * lock.
 *
 * A write tries to send at once. What the system does not take stays in the session's queue. The
 * poller then reports when the stream is writable, and the loop thread sends the rest. A writer
 * that has to wait for room waits for this one stream, without the lock, so that it delays no other
 * thread.
 *
 * A large message is sent from the caller's memory, part by part, while the caller waits inside its
 * call. Another thread that sends meanwhile continues where it stopped. Before another message is
 * queued, and before the call returns, the unsent rest is copied into the queue
 * (copy_pending_write). So messages stay in order, and no memory is used after the call.
 *
 * When sending fails, `end` says why, the queue is dropped and the stream is finished.
 */
#include "endpoint/send.h"

#include <assert.h>

enum { WAIT_SLICE_MS = 100 }; /* a waiting writer checks this often whether the endpoint closes */

/* The events to watch in this phase. */
static unsigned wanted_events(const goipci_connection *connection)
{
    /* A writer that lends its memory waits for the stream itself. */
    const bool queued = goipci_session_has_output(connection->session) &&
                        !goipci_session_has_lent(connection->session);
    const bool corked = atomic_load(&connection->endpoint->corked);

    switch (connection->phase) {
    case GOIPCI_PHASE_HANDSHAKE:
        return connection->is_paused ? 0u : (GOIPCI_READABLE | (queued ? GOIPCI_WRITABLE : 0u));
    case GOIPCI_PHASE_OPEN:
        if (connection->end != GOIPC_ERROR_OK) {
            return GOIPCI_READABLE | GOIPCI_WRITABLE;
        }
        return GOIPCI_READABLE | (queued && !corked ? GOIPCI_WRITABLE : 0u);
    case GOIPCI_PHASE_FLUSHING:
        return GOIPCI_WRITABLE | (connection->input_ended ? 0u : GOIPCI_READABLE);
    case GOIPCI_PHASE_DRAINING:
        return GOIPCI_READABLE;
    case GOIPCI_PHASE_OVER:
        return 0;
    }
    return 0;
}

goipc_error goipci_send_watch(goipci_connection *connection)
{
    const unsigned events = wanted_events(connection);
    goipc_error error;

    if (events == connection->watched_events) {
        return GOIPC_ERROR_OK;
    }
    error = goipci_poller_watch(connection->endpoint->poller, connection->stream, events,
                                connection, &connection->known);
    if (error == GOIPC_ERROR_OK) {
        connection->watched_events = events;
    }
    return error;
}

/* Adds the connection to the endpoint's list of connections with output, or removes it. */
void goipci_send_note_queued(goipci_connection *connection)
{
    goipci_endpoint *endpoint = connection->endpoint;
    const bool queued =
        connection->phase < GOIPCI_PHASE_FLUSHING && goipci_session_has_output(connection->session);

    if (queued == connection->is_queued) {
        return;
    }
    connection->is_queued = queued;
    goipci_lock_take(&endpoint->lock);
    if (queued) {
        goipci_list_append(&endpoint->queued, connection);
    } else {
        goipci_list_remove(&endpoint->queued, connection);
    }
    goipci_lock_give(&endpoint->lock);
}

/* Ends the sending half: drops the queue. The loop thread notices the end when it reads. */
void goipci_send_end(goipci_connection *connection, goipc_error why)
{
    if (connection->end == GOIPC_ERROR_OK) {
        connection->end = why;
        if (connection->phase <= GOIPCI_PHASE_OPEN) {
            /* The loop thread reads the remaining input and then the end of the stream. */
            connection->stream->functions->finish(connection->stream);
        }
    }
    if (connection->session != NULL) { /* NULL if goipci_connection_new failed */
        goipci_session_output_drop(connection->session);
    }
}

static goipc_error write_pieces(goipci_connection *connection, const goipci_bytes *pieces,
                                size_t piece_count, size_t *size)
{
    goipci_stream *stream = connection->stream;
    int system_error;
    const goipc_error error =
        stream->functions->write(stream, pieces, piece_count, size, &system_error);

    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_WOULD_BLOCK) {
        goipci_send_end(connection, error);
    }
    return error;
}

/* The output as pieces that are not empty. */
static goipc_error gather_output(goipci_connection *connection, goipci_bytes pieces[2],
                                 size_t *piece_count)
{
    goipc_session *session = connection->session;
    const uint8_t *bytes[2];
    size_t sizes[2];
    goipc_error error;

    if (!goipci_session_has_lent(session)) {
        goipc_session_output(session, &pieces[0].bytes, &pieces[0].size);
        *piece_count = pieces[0].size > 0 ? 1 : 0;
        return GOIPC_ERROR_OK;
    }
    error = goipci_session_output_pieces(session, bytes, sizes);
    *piece_count = 0;
    if (error != GOIPC_ERROR_OK) {
        goipci_send_end(connection, error); /* half a frame was sent */
        return error;
    }
    for (size_t i = 0; i < 2; i++) {
        if (sizes[i] > 0) {
            pieces[(*piece_count)++] = (goipci_bytes){bytes[i], sizes[i]};
        }
    }
    return GOIPC_ERROR_OK;
}

/* Writes until all output was sent (OK) or the stream accepts no more (WOULD_BLOCK). */
static goipc_error push_output(goipci_connection *connection)
{
    goipci_bytes pieces[2];
    size_t piece_count, size;

    for (;;) {
        goipc_error error = gather_output(connection, pieces, &piece_count);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        if (piece_count == 0) {
            return connection->phase < GOIPCI_PHASE_FLUSHING ? connection->end : GOIPC_ERROR_OK;
        }
        error = write_pieces(connection, pieces, piece_count, &size);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        goipci_session_output_sent(connection->session, size);
    }
}

static void add_to_counters(goipci_endpoint *endpoint, uint64_t count, uint64_t size)
{
    atomic_fetch_add_explicit(&endpoint->counters.messages_out, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&endpoint->counters.bytes_out, size, memory_order_relaxed);
}

/* Corked messages are counted together, when they were sent or dropped. */
void goipci_send_count_corked(goipci_connection *connection)
{
    if (connection->corked_count > 0) {
        add_to_counters(connection->endpoint, connection->corked_count, connection->corked_size);
        connection->corked_count = 0;
        connection->corked_size = 0;
    }
}

/* Sends output, and updates the poller, the list and the counters. */
goipc_error goipci_send_settle(goipci_connection *connection)
{
    const goipc_error error = push_output(connection);

    goipci_send_count_corked(connection);

    /* Changing the events of a registered stream fails only without kernel memory. Then a writer
     * that waits, or the next write, sends the queue. */
    (void)!goipci_send_watch(connection);
    goipci_send_note_queued(connection);
    return error;
}

/* --- any thread ------------------------------------------------------------------------------- */

/* Waits for the stream without the lock, for at most WAIT_SLICE_MS. Errors: TIMEOUT or WOULD_BLOCK
 * (the deadline is over), INTERRUPTED, SYSTEM. */
static goipc_error wait_for_room(goipci_connection *connection, int64_t deadline_ms)
{
    const int32_t left = goipci_deadline_left(deadline_ms);
    goipc_error error;

    if (left == 0) {
        return GOIPC_ERROR_TIMEOUT;
    }
    goipci_lock_give(&connection->lock);
    error = goipci_stream_wait(connection->stream, connection->endpoint->poller, GOIPCI_WRITABLE,
                               goipci_timeout_min(left, WAIT_SLICE_MS));
    goipci_lock_take(&connection->lock);
    if (error == GOIPC_ERROR_INTERRUPTED && goipci_endpoint_is_stopped(connection->endpoint)) {
        return GOIPC_ERROR_CLOSED;
    }
    return error == GOIPC_ERROR_TIMEOUT ? GOIPC_ERROR_OK : error;
}

/* Why this connection cannot send a message now, or OK. */
static goipc_error check_can_send(const goipci_connection *connection)
{
    if (connection->end != GOIPC_ERROR_OK) {
        return connection->end;
    }
    return connection->phase == GOIPCI_PHASE_OPEN &&
                   atomic_load(&connection->leave_reason) == GOIPC_ERROR_OK
               ? GOIPC_ERROR_OK
               : GOIPC_ERROR_NOT_CONNECTED;
}

/* goipci_send_settle for a writer. While the connection closes, the loop thread sends its
 * output. */
static goipc_error settle_open(goipci_connection *connection)
{
    return connection->phase < GOIPCI_PHASE_FLUSHING ? goipci_send_settle(connection)
                                                     : connection->end;
}

/* Waits until the queue was sent. */
static goipc_error push_through(goipci_connection *connection, int64_t deadline_ms)
{
    goipc_error error;

    for (;;) {
        error = settle_open(connection);
        if (error != GOIPC_ERROR_WOULD_BLOCK) {
            return error;
        }
        error = wait_for_room(connection, deadline_ms);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
}

/* How long a call waits, and for what. */
typedef struct wait_rule {
    int32_t timeout_ms;
    int64_t deadline_ms; /* 0 until a call has to wait: only then the clock is read */
    bool through;        /* also wait until the system has taken everything */
} wait_rule;

static int64_t deadline_of(wait_rule *rule)
{
    if (rule->deadline_ms == 0) {
        rule->deadline_ms = goipci_deadline_after(rule->timeout_ms);
    }
    return rule->deadline_ms;
}

/* Copies the unsent rest of a lent message to the queue, so that its memory is free again. */
static goipc_error copy_pending_write(goipci_connection *connection)
{
    const goipc_error error = goipci_session_copy_pending_write(connection->session);

    if (error != GOIPC_ERROR_OK) {
        goipci_send_end(connection, error); /* half a frame was sent */
    }
    return error;
}

/* Sends a large message from the caller's memory. What was not sent in time is queued, so a timeout
 * or an interrupt is no failure. */
static goipc_error lend_message(goipci_connection *connection, const goipc_outgoing *message,
                                wait_rule *rule)
{
    goipc_error error =
        goipci_session_lend(connection->session, message->type, message->data, message->data_size);
    goipc_error kept;

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = push_output(connection);
    if (error == GOIPC_ERROR_WOULD_BLOCK && rule->through) {
        error = push_through(connection, deadline_of(rule));
    }
    kept = copy_pending_write(connection);
    return goipc_error_classify(error) > GOIPC_ERROR_CLASS_LOCAL ? error : kept;
}

static goipc_error queue_message(goipci_connection *connection, const goipc_outgoing *message,
                                 bool corked, wait_rule *rule)
{
    goipc_session *session = connection->session;
    goipc_error error;

    if (goipci_session_has_lent(session)) { /* another thread is sending it */
        error = copy_pending_write(connection);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    if (message->data_size >= GOIPCI_LENT_SIZE_MIN && !corked &&
        goipci_session_should_send_in_place(session, message->data_size)) {
        error = push_output(connection); /* earlier output is sent first */
        if (error == GOIPC_ERROR_OK) {
            return lend_message(connection, message, rule);
        }
        if (error != GOIPC_ERROR_WOULD_BLOCK) {
            return error;
        }
    }
    return goipc_session_send(session, message->type, message->data, message->data_size);
}

static goipc_error queue_when_there_is_room(goipci_connection *connection,
                                            const goipc_outgoing *message, wait_rule *rule)
{
    const bool corked = atomic_load(&connection->endpoint->corked);

    for (;;) {
        goipc_error error = check_can_send(connection);

        if (error == GOIPC_ERROR_OK) {
            error = queue_message(connection, message, corked, rule);
        }
        if (error != GOIPC_ERROR_WOULD_BLOCK) {
            return error;
        }
        error = settle_open(connection);
        if (error == GOIPC_ERROR_OK) {
            continue; /* all output was sent, so there is room now */
        }
        if (error != GOIPC_ERROR_WOULD_BLOCK || rule->timeout_ms == GOIPC_NO_WAIT) {
            return error;
        }
        error = wait_for_room(connection, deadline_of(rule));
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
}

static uint64_t size_of_all(const goipc_outgoing *messages, size_t count)
{
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size += messages[i].data_size;
    }
    return size;
}

goipc_error goipci_connection_send(goipci_connection *connection, const goipc_outgoing *messages,
                                   size_t count, int32_t timeout_ms, bool through, size_t *taken)
{
    goipci_endpoint *endpoint = connection->endpoint;
    wait_rule rule = {.timeout_ms = timeout_ms, .through = through && timeout_ms != GOIPC_NO_WAIT};
    goipc_error error = GOIPC_ERROR_OK;
    bool corked;

    *taken = 0;
    goipci_lock_take(&connection->lock);
    while (*taken < count && error == GOIPC_ERROR_OK) {
        error = queue_when_there_is_room(connection, &messages[*taken], &rule);
        *taken += error == GOIPC_ERROR_OK ? 1 : 0;
    }
    if (error == GOIPC_ERROR_MESSAGE_LIMIT) {
        (void)!settle_open(connection);     /* earlier messages are sent if the stream has room */
        goipci_send_end(connection, error); /* req: SE-008 */
    }
    corked = atomic_load(&endpoint->corked); /* another thread may have flushed meanwhile */
    if (corked) {
        goipci_send_note_queued(connection);
        connection->corked_count += *taken;
        connection->corked_size += size_of_all(messages, *taken);
    } else {
        goipc_error pushed = settle_open(connection);

        if (pushed == GOIPC_ERROR_WOULD_BLOCK && rule.through) {
            pushed = push_through(connection, deadline_of(&rule));
        }
        /* A timeout or an interrupt is no failure: the message is queued, and later calls send
         * it. */
        if (error == GOIPC_ERROR_OK && goipc_error_classify(pushed) > GOIPC_ERROR_CLASS_LOCAL) {
            error = pushed;
        }
    }
    goipci_lock_give(&connection->lock);
    if (!corked && *taken > 0) {
        add_to_counters(endpoint, *taken, size_of_all(messages, *taken));
    }
    return error;
}

goipc_error goipci_connection_flush(goipci_connection *connection, int64_t deadline_ms)
{
    goipc_error error;

    goipci_lock_take(&connection->lock);
    error = push_through(connection, deadline_ms);
    if (connection->phase >= GOIPCI_PHASE_FLUSHING) {
        error = GOIPC_ERROR_OK; /* the loop thread sends the rest */
    }
    goipci_lock_give(&connection->lock);
    return error;
}

size_t goipci_connection_queued(goipci_connection *connection)
{
    const uint8_t *bytes;
    size_t size;

    goipci_lock_take(&connection->lock);
    goipc_session_output(connection->session, &bytes, &size);
    goipci_lock_give(&connection->lock);
    return size;
}
