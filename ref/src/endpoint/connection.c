/* SPDX-License-Identifier: MIT */
/*
 * One session joined to one stream.
 *
 * The receiving half is the driving thread's alone and takes no lock: next_event. The sending half
 * is under the connection's lock and is used by every thread that writes: send, flush. A write
 * first tries to send at once; what the system does not take stays in the session's queue, the
 * poller is asked to tell when there is room, and the driving thread sends it then (notice). A
 * thread that has to wait for room waits for this one stream, without the lock, so that nobody
 * waits for it.
 *
 * A large message is lent: it goes from its writer's memory, part by part, while the writer waits
 * inside its call. Whoever sends output meanwhile goes on with it from there. Before anything else
 * is queued, and before the writer leaves, what is still lent is copied (keep_lent), so that every
 * message is in order and no memory is used after it was given back.
 *
 * When the sending half fails, `end` says why, what was queued is dropped, and the stream is
 * finished: the driving thread still gives the application what the peer had sent, and then comes
 * to its end.
 */
#include "endpoint/connection.h"

#include <assert.h>

enum {
    FLUSH_SLICE_MS = 20, /* how long one peer is waited for while others wait, too */
    WAIT_SLICE_MS = 100, /* a waiting writer looks this often whether all is over */
    DRAIN_SIZE = 16 * 1024,
    DRAIN_READ_COUNT_MAX = 16, /* reads of DRAIN_SIZE in one turn */
};

/* --- lists ------------------------------------------------------------------------------------ */

void goipci_list_append(goipci_list *list, goipci_connection *connection)
{
    goipci_link *link = &connection->links[list->kind];

    assert(!link->is_on);
    *link = (goipci_link){.previous = list->last, .is_on = true};
    if (list->last == NULL) {
        list->first = connection;
    } else {
        list->last->links[list->kind].next = connection;
    }
    list->last = connection;
    list->count++;
}

void goipci_list_remove(goipci_list *list, goipci_connection *connection)
{
    goipci_link *link = &connection->links[list->kind];

    if (!link->is_on) {
        return;
    }
    assert(list->count > 0);
    if (link->previous == NULL) {
        list->first = link->next;
    } else {
        link->previous->links[list->kind].next = link->next;
    }
    if (link->next == NULL) {
        list->last = link->previous;
    } else {
        link->next->links[list->kind].previous = link->previous;
    }
    *link = (goipci_link){.is_on = false};
    list->count--;
}

/* --- the sending half, under the lock --------------------------------------------------------- */

/* Which readiness matters in this phase. */
static unsigned wanted_events(const goipci_connection *connection)
{
    /* A thread that lends waits for the stream by itself. */
    const bool queued = goipci_session_has_output(connection->session) &&
                        !goipci_session_has_lent(connection->session);
    const bool corked = atomic_load(&connection->endpoint->corked);

    switch (connection->phase) {
    case GOIPCI_PHASE_HANDSHAKE:
        return connection->is_held ? 0u : (GOIPCI_READABLE | (queued ? GOIPCI_WRITABLE : 0u));
    case GOIPCI_PHASE_OPEN:
        if (connection->end != GOIPC_ERROR_OK || atomic_load(&connection->leave_requested)) {
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

static goipc_error watch(goipci_connection *connection)
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

/* Keeps the endpoint's list of connections with output in step with the truth. */
static void note_queued(goipci_connection *connection)
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

/* Nothing can be written any more: forget what was queued, and let the driving thread find out. */
static void end_sending(goipci_connection *connection, goipc_error why)
{
    if (connection->end == GOIPC_ERROR_OK) {
        connection->end = why;
        if (connection->phase <= GOIPCI_PHASE_OPEN) {
            /* The driving thread reads what has come to its end, which is near now. */
            connection->stream->functions->finish(connection->stream);
        }
    }
    if (connection->session != NULL) { /* it may never have come to be */
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
        end_sending(connection, error);
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
        end_sending(connection, error); /* half a frame is out */
        return error;
    }
    for (size_t i = 0; i < 2; i++) {
        if (sizes[i] > 0) {
            pieces[(*piece_count)++] = (goipci_bytes){bytes[i], sizes[i]};
        }
    }
    return GOIPC_ERROR_OK;
}

/* Writes until all output is out (OK) or the stream takes no more (WOULD_BLOCK). */
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

/* Corked messages are counted together, when they are on their way or lost. */
static void count_corked(goipci_connection *connection)
{
    if (connection->corked_count > 0) {
        add_to_counters(connection->endpoint, connection->corked_count, connection->corked_size);
        connection->corked_count = 0;
        connection->corked_size = 0;
    }
}

/* Pushes, and keeps poller, list and counters up to date. */
static goipc_error settle_output(goipci_connection *connection)
{
    const goipc_error error = push_output(connection);

    count_corked(connection);

    /* Changing what a known stream is watched for fails only without kernel memory. A writer that
     * waits, or the next write, then moves the queue instead. */
    (void)!watch(connection);
    note_queued(connection);
    return error;
}

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
        error = watch(made);
    }
    if (error != GOIPC_ERROR_OK) {
        goipci_connection_forget(made);
        goipci_connection_drop(made);
        return error;
    }
    /* The server's HELLO goes out at once. That it cannot shows soon enough. */
    (void)!settle_output(made);
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
    end_sending(connection, GOIPC_ERROR_DISCONNECTED);
    goipci_poller_forget(endpoint->poller, connection->stream, &connection->known);
    note_queued(connection);
    goipci_lock_give(&connection->lock);
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
        (void)!settle_output(connection); /* what it finds stays in `end` */
        goipci_lock_give(&connection->lock);
    }
}

/* Each message of a handshake is read alone, so that a peer that sends several at once does not
 * have all their costs in one turn. */
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

/* One step of a handshake may have queued the next message, or the reply that tells the peer why it
 * is refused. In this phase nobody else uses the session. */
static goipc_error next_handshake_event(goipci_connection *connection, goipc_event *event)
{
    goipc_error error;

    goipci_lock_take(&connection->lock);
    error = goipc_session_next_event(connection->session, event);
    (void)!settle_output(connection);
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
        goipci_handshake_awaits_work(connection->session)) {
        return error;
    }
    error = fill_input(connection, system_error);
    return error == GOIPC_ERROR_OK ? next_event(connection, event) : error;
}

void goipci_connection_hold_back(goipci_connection *connection, bool on)
{
    goipci_lock_take(&connection->lock);
    connection->is_held = on;
    (void)!watch(connection); /* fails only without kernel memory; then its deadline ends it */
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
    /* Every write asks this before it takes the lock, under which it is asked again. */
    return atomic_load(&connection->leave_requested) ? GOIPC_ERROR_CLOSED
                                                     : atomic_load(&connection->end);
}

/* --- leaving ---------------------------------------------------------------------------------- */

void goipci_connection_leave(goipci_connection *connection, goipc_error why, int64_t deadline_ms)
{
    goipci_lock_take(&connection->lock);
    count_corked(connection);
    if (connection->end != GOIPC_ERROR_OK) {
        end_sending(connection, connection->end);
    }
    connection->phase = GOIPCI_PHASE_FLUSHING;
    connection->end = why;
    connection->deadline_ms = deadline_ms;
    note_queued(connection);
    (void)!watch(connection);
    goipci_lock_give(&connection->lock);
}

/* Throws away what comes, and notes the end of it. */
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
        settle_output(connection) != GOIPC_ERROR_WOULD_BLOCK) {
        connection->stream->functions->finish(connection->stream);
        connection->phase = GOIPCI_PHASE_DRAINING;
    }
    goipci_lock_give(&connection->lock);
    /* In both phases: a peer that cannot get rid of its own output may never come to read ours. */
    drain_input(connection);
    connection->readable = false;
    goipci_lock_take(&connection->lock);
    (void)!watch(connection); /* fails only without kernel memory; then the deadline ends it */
    goipci_lock_give(&connection->lock);
    return late || (connection->input_ended && connection->phase == GOIPCI_PHASE_DRAINING);
}

/* --- any thread ------------------------------------------------------------------------------- */

/* Waits for the stream without the lock, for at most a moment. Errors: TIMEOUT or WOULD_BLOCK (the
 * deadline is over), INTERRUPTED, SYSTEM. */
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
    if (error == GOIPC_ERROR_INTERRUPTED && atomic_load(&connection->endpoint->closing)) {
        return GOIPC_ERROR_CLOSED;
    }
    return error == GOIPC_ERROR_TIMEOUT ? GOIPC_ERROR_OK : error;
}

/* Why a message cannot be handed over in this state of things, or OK. */
static goipc_error judge_sending(const goipci_connection *connection)
{
    if (connection->end != GOIPC_ERROR_OK) {
        return connection->end;
    }
    return connection->phase == GOIPCI_PHASE_OPEN && !atomic_load(&connection->leave_requested)
               ? GOIPC_ERROR_OK
               : GOIPC_ERROR_NOT_CONNECTED;
}

/* settle_output for a writer: once the connection is leaving, its output is the driving thread's.
 * */
static goipc_error settle_open(goipci_connection *connection)
{
    return connection->phase < GOIPCI_PHASE_FLUSHING ? settle_output(connection) : connection->end;
}

/* Waits until what is queued is out. */
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
    int64_t deadline_ms; /* 0 before it is known: the clock is read only by who has to wait */
    bool through;        /* also until the system has everything */
} wait_rule;

static int64_t deadline_of(wait_rule *rule)
{
    if (rule->deadline_ms == 0) {
        rule->deadline_ms = goipci_deadline_after(rule->timeout_ms);
    }
    return rule->deadline_ms;
}

/* Ends the loan of a message's memory, whoever lent it. */
static goipc_error keep_lent(goipci_connection *connection)
{
    const goipc_error error = goipci_session_keep_lent(connection->session);

    if (error != GOIPC_ERROR_OK) {
        end_sending(connection, error); /* half a frame is out */
    }
    return error;
}

/* Sends a large message from the caller's memory. What does not go out in time is queued, so that
 * being late or interrupted is no failure. */
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
    kept = keep_lent(connection);
    return goipc_error_classify(error) > GOIPC_ERROR_CLASS_LOCAL ? error : kept;
}

static goipc_error queue_message(goipci_connection *connection, const goipc_outgoing *message,
                                 bool corked, wait_rule *rule)
{
    goipc_session *session = connection->session;
    goipc_error error;

    if (goipci_session_has_lent(session)) { /* another thread is in the middle of it */
        error = keep_lent(connection);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    if (message->data_size >= GOIPCI_LENT_SIZE_MIN && !corked &&
        goipci_session_pays_lending(session, message->data_size)) {
        error = push_output(connection); /* what goes first */
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
        goipc_error error = judge_sending(connection);

        if (error == GOIPC_ERROR_OK) {
            error = queue_message(connection, message, corked, rule);
        }
        if (error != GOIPC_ERROR_WOULD_BLOCK) {
            return error;
        }
        error = settle_open(connection);
        if (error == GOIPC_ERROR_OK) {
            continue; /* all is out, so there is room now */
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
        (void)!settle_open(connection); /* what was sealed before goes out if there is room */
        end_sending(connection, error); /* req: SE-008 */
    }
    corked = atomic_load(&endpoint->corked); /* a flush may have come in between */
    if (corked) {
        note_queued(connection);
        connection->corked_count += *taken;
        connection->corked_size += size_of_all(messages, *taken);
    } else {
        goipc_error pushed = settle_open(connection);

        if (pushed == GOIPC_ERROR_WOULD_BLOCK && rule.through) {
            pushed = push_through(connection, deadline_of(&rule));
        }
        /* Late or interrupted is no failure here: it is queued, and later calls go on with it. */
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
        error = GOIPC_ERROR_OK; /* the driving thread sees to what is left */
    }
    goipci_lock_give(&connection->lock);
    return error;
}

/* The first connection with output, held. It goes to the end of the list, so that the next call
 * gives another one. */
static goipci_connection *hold_first_queued(goipci_endpoint *endpoint)
{
    goipci_connection *connection;

    goipci_lock_take(&endpoint->lock);
    connection = endpoint->queued.first;
    if (connection != NULL) {
        goipci_connection_hold(connection);
        goipci_list_remove(&endpoint->queued, connection);
        goipci_list_append(&endpoint->queued, connection);
    }
    goipci_lock_give(&endpoint->lock);
    return connection;
}

static size_t count_queued(goipci_endpoint *endpoint)
{
    size_t count;

    goipci_lock_take(&endpoint->lock);
    count = endpoint->queued.count;
    goipci_lock_give(&endpoint->lock);
    return count;
}

/* Everybody is first given what fits at once; then each is waited for a moment in turn, so that one
 * peer that does not read delays nobody else. */
static goipc_error flush_all(goipci_endpoint *endpoint, int64_t deadline_ms)
{
    size_t at_once = count_queued(endpoint);
    goipci_connection *connection;

    while ((connection = hold_first_queued(endpoint)) != NULL) {
        const int32_t left = goipci_deadline_left(deadline_ms);
        const int32_t slice = at_once > 0 ? 0 : goipci_timeout_min(left, FLUSH_SLICE_MS);
        const goipc_error error = goipci_connection_flush(connection, goipci_deadline_after(slice));

        goipci_connection_drop(connection);
        if (error == GOIPC_ERROR_TIMEOUT && at_once == 0 && left == 0) {
            return error;
        }
        /* Output of a peer that went away went with it, and its status change tells. */
        if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_TIMEOUT &&
            goipc_error_classify(error) != GOIPC_ERROR_CLASS_PEER) {
            return error;
        }
        at_once -= at_once > 0 ? 1 : 0;
    }
    return GOIPC_ERROR_OK;
}

goipc_error goipci_endpoint_flush(goipci_endpoint *endpoint, int32_t timeout_ms)
{
    goipc_error error;

    atomic_store(&endpoint->corked, false);
    error = flush_all(endpoint, goipci_deadline_after(timeout_ms));
    return error == GOIPC_ERROR_TIMEOUT && timeout_ms == 0 ? GOIPC_ERROR_WOULD_BLOCK : error;
}

void goipci_connection_request_leave(goipci_connection *connection)
{
    goipci_lock_take(&connection->lock);
    atomic_store(&connection->leave_requested, true);
    if (connection->phase == GOIPCI_PHASE_OPEN) {
        (void)!watch(
            connection); /* fails only without kernel memory; then its next event does it */
    }
    goipci_lock_give(&connection->lock);
}
