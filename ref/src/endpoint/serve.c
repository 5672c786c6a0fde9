/* SPDX-License-Identifier: MIT */
/*
 * The loop of a server: what the reading thread does for its listener and its connections.
 * schedule.c decides the order of turns. admission.c decides which connections become clients.
 *
 * A connection is on one list for its phase (handshaking, clients, leaving). It may also be on a
 * queue for a turn (ready_clients or ready_others), on `paused` while its handshake waits for a
 * curve operation, and on `warm` while it keeps its buffers.
 */
#include "endpoint/choose.h"
#include "endpoint/name_watch.h"
#include "endpoint/send.h"
#include "endpoint/server.h"

#include <stdio.h>

enum {
    READY_COUNT = 64,            /* events of one poll */
    POLL_COUNT_MAX = 8,          /* polls in a row while each returns READY_COUNT events */
    ACCEPT_COUNT_MAX = 8,        /* in one turn; each costs as much as some messages */
    EXPIRE_COUNT_MAX = 8,        /* in one turn */
    LEAVING_MAX = 128,           /* closing connections; */
    LEAVING_SIZE_MAX = 16 << 20, /* and their unsent bytes; beyond, the oldest is cut off */
    WARM_MAX = 16,               /* connections that keep their buffers */
    BATCH_TURN_MAX = 64,         /* messages of one connection in one turn of a batch read */
    ACCEPT_PAUSE_MS = 100,       /* when no descriptor is free */
};

/* --- refusing and losing clients -------------------------------------------------------------- */

/* Queues a connection for a turn, unless it is queued already. */
static void make_ready(goipc_server *server, goipci_connection *connection)
{
    goipci_list *list =
        connection->phase == GOIPCI_PHASE_OPEN ? &server->ready_clients : &server->ready_others;

    if (connection->links[list->kind].list == NULL) {
        goipci_list_append(list, connection);
    }
}

static void begin_to_leave(goipc_server *server, goipci_connection *connection, goipc_error why)
{
    if (goipci_driver_leave(connection, why)) {
        make_ready(server, connection); /* its next turn destroys it */
    }
}

/* Errors that a peer which was killed, also in the middle of a frame, cannot cause. */
static bool is_breach(goipc_error error)
{
    return goipc_error_classify(error) == GOIPC_ERROR_CLASS_PEER &&
           error != GOIPC_ERROR_DISCONNECTED && error != GOIPC_ERROR_TRUNCATED;
}

static void count_refusal(goipc_server *server, goipc_error error, int system_error,
                          const char *why)
{
    atomic_fetch_add_explicit(&server->endpoint.counters.refusals, 1, memory_order_relaxed);
    goipci_endpoint_fail(&server->endpoint, GOIPC_LOG_WARNING, error, system_error,
                         "refused a peer at %s: %s", server->endpoint.address.text, why);
}

static void end_handshake(goipc_server *server, goipci_connection *connection)
{
    goipci_list_remove(&server->handshaking, connection);
    goipci_share_left(&server->shares, connection->share);
}

/* Ends a connection that has not become a client. */
static void refuse(goipc_server *server, goipci_connection *connection, goipc_error error,
                   int system_error)
{
    count_refusal(server, error, system_error, goipc_error_text(error));
    if (goipci_handshake_has_key_pair(connection->session)) {
        goipci_admission_handshake_failed(&server->admission);
    }
    end_handshake(server, connection);
    goipci_list_remove(&server->paused, connection);
    begin_to_leave(server, connection, error);
}

/* Whether all slots are taken and one of them by a client that has disconnected. */
static bool slot_is_ending(const goipc_server *server)
{
    const goipci_connection *at = server->clients.first;

    if (goipci_admission_has_slot(&server->admission, server->clients.count)) {
        return false;
    }
    while (at != NULL && !at->peer_ended) {
        at = at->links[GOIPCI_LIST_PHASE].next;
    }
    return at != NULL;
}

/* A slot is free: the first connection that waits for one gets a turn. */
static void call_waiting(goipc_server *server)
{
    goipci_connection *at = server->handshaking.first;

    while (at != NULL && !at->waits_for_slot) {
        at = at->links[GOIPCI_LIST_PHASE].next;
    }
    if (at != NULL) {
        make_ready(server, at);
    }
}

/* Ends a client. *message becomes its DISCONNECTED status. */
static void lose(goipc_server *server, goipci_connection *connection, goipc_error error,
                 int system_error, goipc_message *message)
{
    goipci_endpoint *endpoint = &server->endpoint;
    const goipc_client_id id = connection->id;

    goipci_lock_take(&endpoint->lock);
    goipci_client_table_remove(&server->table, id);
    goipci_list_remove(&server->clients, connection);
    goipci_lock_give(&endpoint->lock);
    atomic_fetch_sub(&server->client_count, 1);
    if (is_breach(error) && goipc_session_is_encrypted(connection->session)) {
        goipci_admission_client_failed(&server->admission);
    }
    if (error == GOIPC_ERROR_DISCONNECTED || error == GOIPC_ERROR_CLOSED) {
        goipci_endpoint_log(endpoint, GOIPC_LOG_INFO, "client %llu of %s left",
                            (unsigned long long)id, endpoint->address.text);
    } else {
        atomic_fetch_add_explicit(&endpoint->counters.failures, 1, memory_order_relaxed);
        goipci_endpoint_fail(endpoint, GOIPC_LOG_WARNING, error, system_error,
                             "lost client %llu of %s: %s", (unsigned long long)id,
                             endpoint->address.text, goipc_error_text(error));
    }
    *message = goipci_status_message(GOIPC_STATUS_DISCONNECTED, error, id);
    message->user = atomic_load_explicit(&connection->user, memory_order_relaxed);
    begin_to_leave(server, connection, error);
    call_waiting(server);
}

/* The handshake is complete. False if there is no slot now: the connection waits or is refused. */
static bool admit(goipc_server *server, goipci_connection *connection, goipc_message *message)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipc_error error;

    switch (goipci_admission_complete(&server->admission, server->clients.count,
                                      slot_is_ending(server))) {
    case GOIPCI_ADMIT:
    case GOIPCI_ADMIT_FOR_ANOTHER:
        break;
    case GOIPCI_WAIT:
        connection->waits_for_slot = true;
        return false;
    case GOIPCI_REFUSE:
        refuse(server, connection, GOIPC_ERROR_RESOURCES, 0);
        return false;
    }
    connection->waits_for_slot = false;
    goipci_lock_take(&endpoint->lock);
    error = goipci_client_table_reserve(&server->table, endpoint->allocator);
    if (error == GOIPC_ERROR_OK) {
        end_handshake(server, connection);
        goipci_list_append(&server->clients, connection);
    }
    goipci_lock_give(&endpoint->lock);
    if (error != GOIPC_ERROR_OK) {
        refuse(server, connection, error, 0);
        return false;
    }
    goipci_admission_client_came(&server->admission);
    goipci_connection_open(connection, ++server->last_id);
    goipci_lock_take(&endpoint->lock);
    goipci_client_table_put(&server->table, connection->id, connection);
    goipci_lock_give(&endpoint->lock);
    atomic_fetch_add(&server->client_count, 1);
    atomic_fetch_add_explicit(&endpoint->counters.connects, 1, memory_order_relaxed);
    goipci_endpoint_log(endpoint, GOIPC_LOG_INFO, "client %llu of %s connected",
                        (unsigned long long)connection->id, endpoint->address.text);
    *message = goipci_status_message(GOIPC_STATUS_CONNECTED, GOIPC_ERROR_OK, connection->id);
    return true;
}

/* --- the rate of handshakes ------------------------------------------------------------------- */

static bool is_limiting(const goipc_server *server)
{
    return goipci_admission_is_limiting(&server->admission, server->clients.count);
}

static uint64_t messages_in(goipc_server *server)
{
    return atomic_load_explicit(&server->endpoint.counters.messages_in, memory_order_relaxed);
}

static void pause_handshake(goipc_server *server, goipci_connection *connection)
{
    goipci_connection_pause(connection, true);
    goipci_list_append(&server->paused, connection);
}

/* Called before the poll, which may report that the peer has disconnected meanwhile. */
static void resume_handshakes(goipc_server *server)
{
    while (server->paused.first != NULL) {
        const int64_t now_ms = goipci_system_clock_ms();
        goipci_connection *connection;

        if (!goipci_admission_is_due(&server->admission, server->clients.count, messages_in(server),
                                     now_ms)) {
            return;
        }
        connection = goipci_choose_paused(server);
        goipci_list_remove(&server->paused, connection);
        goipci_connection_pause(connection, false);
        connection->may_use_curve = true;
        make_ready(server, connection);
        goipci_admission_resumed(&server->admission, messages_in(server), now_ms);
    }
}

/* Sets whether this turn of a handshake may do a curve operation. */
static void set_curve_policy(goipc_server *server, goipci_connection *connection)
{
    goipci_handshake_set_curve_policy(
        connection->session,
        goipci_admission_step(&server->admission, server->clients.count, connection->peer_ended,
                              connection->may_use_curve));
    connection->may_use_curve = false;
}

/* --- accepting -------------------------------------------------------------------------------- */

/* Drops a pending handshake in favour of a new one. False if the new one has to be refused. */
static bool make_room(goipc_server *server, unsigned share)
{
    goipci_connection *victim = goipci_choose_victim(server, share);

    if (victim != NULL) {
        refuse(server, victim, GOIPC_ERROR_RESOURCES, 0);
    }
    return victim != NULL;
}

static void begin_handshake(goipc_server *server, goipci_stream *stream)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipci_connection *connection;
    goipc_credentials credentials;
    goipci_decision decision;
    unsigned share;
    goipc_error error =
        goipci_stream_check_peer(stream, &endpoint->options, endpoint->peers, &credentials);

    if (error != GOIPC_ERROR_OK) {
        stream->functions->close(stream);
        count_refusal(server, error, 0,
                      error != GOIPC_ERROR_CREDENTIALS ? "peer credentials are not available"
                      : credentials.user < 0 ? "its user is not known here (user namespace)"
                                             : "its user is not allowed");
        return;
    }
    goipci_admission_tick(&server->admission, goipci_system_clock_ms());
    decision = goipci_admission_begin(&server->admission, server->clients.count,
                                      server->handshaking.count, slot_is_ending(server));
    share = goipci_share_of(&server->shares, credentials.user, credentials.process);
    if (decision == GOIPCI_REFUSE ||
        (decision == GOIPCI_ADMIT_FOR_ANOTHER && !make_room(server, share))) {
        stream->functions->close(stream);
        count_refusal(server, GOIPC_ERROR_RESOURCES, 0,
                      decision == GOIPCI_REFUSE ? "clients_max reached"
                                                : "too many handshakes are pending");
        return;
    }
    error = goipci_connection_new(endpoint, stream, &connection);
    if (error != GOIPC_ERROR_OK) {
        count_refusal(server, error, 0, goipc_error_text(error));
        return;
    }
    connection->credentials = credentials;
    connection->deadline_ms = goipci_deadline_after(endpoint->options.handshake_timeout_ms);
    connection->share = share;
    goipci_share_joined(&server->shares, share);
    goipci_list_append(&server->handshaking, connection);
}

/* Stops accepting for ACCEPT_PAUSE_MS: no descriptor is free. */
static void pause_accepting(goipc_server *server, int system_error)
{
    goipci_endpoint *endpoint = &server->endpoint;

    count_refusal(server, GOIPC_ERROR_RESOURCES, system_error,
                  "no descriptor is free, accepting again shortly");
    server->accept_again_ms = goipci_deadline_after(ACCEPT_PAUSE_MS);
    /* It cannot fail for a registered listener. If it did, accepting would fail again at once. */
    (void)!goipci_poller_watch_listener(endpoint->poller, server->listener, false, endpoint,
                                        &server->listener_known);
}

static void accept_waiting(goipc_server *server)
{
    server->listener_ready = false;
    for (int i = 0; i < ACCEPT_COUNT_MAX; i++) {
        goipci_stream *stream;
        int system_error;
        const goipc_error error = goipci_listener_accept(server->listener, &stream, &system_error);

        if (error == GOIPC_ERROR_OK) {
            begin_handshake(server, stream);
        } else if (error == GOIPC_ERROR_RESOURCES || error == GOIPC_ERROR_MEMORY) {
            count_refusal(server, error, system_error, goipc_error_text(error));
        } else {
            if (error != GOIPC_ERROR_WOULD_BLOCK) {
                pause_accepting(server, system_error);
            }
            return;
        }
    }
}

/* --- time ------------------------------------------------------------------------------------- */

/* The next time at which something is due without input. */
int64_t goipci_serve_deadline(const goipc_server *server)
{
    const goipci_list *leaving = &server->endpoint.leaving;
    int64_t deadline_ms = server->accept_again_ms != 0 ? server->accept_again_ms : INT64_MAX;

    /* All handshakes have the same timeout, so the first in the list expires first. */
    if (server->handshaking.first != NULL && server->handshaking.first->deadline_ms < deadline_ms) {
        deadline_ms = server->handshaking.first->deadline_ms;
    }
    if (leaving->first != NULL && leaving->first->deadline_ms < deadline_ms) {
        deadline_ms = leaving->first->deadline_ms;
    }
    if (server->paused.first != NULL && server->admission.due_ms < deadline_ms) {
        deadline_ms = server->admission.due_ms;
    }
    return deadline_ms;
}

static void expire(goipc_server *server)
{
    const goipci_list *leaving = &server->endpoint.leaving;
    int count = 0;
    int64_t now_ms;

    if (goipci_serve_deadline(server) == INT64_MAX) {
        return;
    }
    now_ms = goipci_system_clock_ms();
    /* The rest is due at once, but after the clients that are ready. */
    while (server->handshaking.first != NULL && server->handshaking.first->deadline_ms <= now_ms &&
           count++ < EXPIRE_COUNT_MAX) {
        refuse(server, server->handshaking.first, GOIPC_ERROR_HANDSHAKE_TIMEOUT, 0);
    }
    while (leaving->first != NULL && leaving->first->deadline_ms <= now_ms &&
           count++ < EXPIRE_COUNT_MAX) {
        goipci_connection_destroy(leaving->first);
    }
    if (server->accept_again_ms != 0 && server->accept_again_ms <= now_ms) {
        server->accept_again_ms = 0;
        /* As in pause_accepting. */
        (void)!goipci_poller_watch_listener(server->endpoint.poller, server->listener, true,
                                            &server->endpoint, &server->listener_known);
    }
}

/* Records which connections are ready. Frees none: a later event may name it again. */
static void dispatch(goipc_server *server, const goipci_ready *ready, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        goipci_connection *connection = ready[i].context;

        if (ready[i].context == &server->endpoint) {
            server->listener_ready = true;
            continue;
        }
        goipci_connection_notice(connection, ready[i].events);
        make_ready(server, connection);
    }
}

bool goipci_serve_is_ready(const goipc_server *server)
{
    return server->ready_clients.first != NULL || server->ready_others.first != NULL ||
           server->listener_ready;
}

/* Queues a turn for each client that another thread wants to disconnect. */
static void call_leaving(goipc_server *server)
{
    if (!atomic_exchange(&server->endpoint.leave_pending, false)) {
        return;
    }
    for (goipci_connection *at = server->clients.first; at != NULL;
         at = at->links[GOIPCI_LIST_PHASE].next) {
        if (atomic_load(&at->leave_reason) != GOIPC_ERROR_OK) {
            make_ready(server, at);
        }
    }
}

/* Waits until something is ready, or only polls if something is ready already. Records what is
 * ready, and ends what has expired. */
goipc_error goipci_serve_wait(goipc_server *server, int32_t timeout_ms)
{
    goipci_ready ready[READY_COUNT];
    size_t count;
    goipc_error error;

    resume_handshakes(server);
    timeout_ms =
        goipci_serve_is_ready(server)
            ? 0
            : goipci_timeout_min(timeout_ms, goipci_deadline_left(goipci_serve_deadline(server)));
    timeout_ms = goipci_timeout_min(timeout_ms, goipci_name_watch_limit_ms(server));
    /* After a full answer other clients may be ready, too. The poller names none twice before it
     * has named all, so a few polls reach each of them. */
    for (int i = 0; i < POLL_COUNT_MAX; i++) {
        error = goipci_endpoint_wait(&server->endpoint, timeout_ms, ready, READY_COUNT, &count);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        dispatch(server, ready, count);
        if (count < READY_COUNT) {
            break;
        }
        timeout_ms = 0;
    }
    call_leaving(server);
    expire(server);
    goipci_name_watch_polled(server, count > 0);
    goipci_schedule_polled(&server->schedule, server->ready_clients.count);
    return GOIPC_ERROR_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void keep_warm(goipc_server *server, goipci_connection *connection)
{
    /* The most recent is last; usually the connection is there already. */
    if (server->warm.last == connection) {
        return;
    }
    goipci_list_remove(&server->warm, connection);
    goipci_list_append(&server->warm, connection);
}

/* Bytes that connections which are closing still have to send. */
static size_t leaving_size(const goipc_server *server)
{
    size_t size = 0;

    if (server->endpoint.leaving.count < 2) {
        return 0; /* one alone may always send its output */
    }
    for (goipci_connection *at = server->endpoint.leaving.first; at != NULL;
         at = at->links[GOIPCI_LIST_PHASE].next) {
        size += goipci_connection_queued(at);
    }
    return size;
}

/* Releases the buffers of idle connections, except the WARM_MAX most recent, and limits the closing
 * connections. Called only at the start of a read, when no message is borrowed. */
void goipci_serve_tidy(goipc_server *server)
{
    while (server->warm.count > WARM_MAX) {
        goipci_connection *coldest = server->warm.first;

        goipci_list_remove(&server->warm, coldest);
        goipci_connection_trim(coldest);
    }
    while (server->endpoint.leaving.count > LEAVING_MAX ||
           leaving_size(server) > LEAVING_SIZE_MAX) {
        goipci_connection_destroy(server->endpoint.leaving.first);
    }
}

/* Why a client has ended. An error of the sending half is the cause; the end of the stream is its
 * effect. */
static goipc_error reason_of(goipci_connection *connection, goipc_error error)
{
    const goipc_error end = goipci_connection_end(connection);

    return end != GOIPC_ERROR_OK ? end : error;
}

/* The result of a turn. */
typedef enum progress {
    PROGRESS_NONE,         /* nothing until more arrives */
    PROGRESS_MORE,         /* no message yet, but there may be more to read */
    PROGRESS_MESSAGE,      /* a message */
    PROGRESS_GONE,         /* no message; the connection is closing */
    PROGRESS_LAST_MESSAGE, /* a message, and the connection is closing */
} progress;

static progress take_turn(goipc_server *server, goipci_connection *connection,
                          goipc_message *message)
{
    int system_error;
    goipc_event event;
    goipc_error error;

    if (connection->waits_for_slot) {
        return admit(server, connection, message) ? PROGRESS_MESSAGE : PROGRESS_GONE;
    }
    if (atomic_load(&connection->leave_reason) != GOIPC_ERROR_OK) {
        lose(server, connection, (goipc_error)atomic_load(&connection->leave_reason), 0, message);
        return PROGRESS_LAST_MESSAGE;
    }
    if (connection->phase == GOIPCI_PHASE_HANDSHAKE) {
        set_curve_policy(server, connection);
    }
    error = goipci_connection_next_event(connection, &event, &system_error);
    if (error != GOIPC_ERROR_OK) {
        if (connection->phase == GOIPCI_PHASE_OPEN) {
            lose(server, connection, reason_of(connection, error), system_error, message);
            return PROGRESS_LAST_MESSAGE;
        }
        refuse(server, connection, error, system_error);
        return PROGRESS_GONE;
    }
    switch (event.type) {
    case GOIPC_EVENT_NEED_INPUT:
        return connection->readable ? PROGRESS_MORE : PROGRESS_NONE;
    case GOIPC_EVENT_CONTROL:
        return PROGRESS_MORE;
    case GOIPC_EVENT_CONNECTED:
        return admit(server, connection, message) ? PROGRESS_MESSAGE : PROGRESS_GONE;
    case GOIPC_EVENT_MESSAGE:
        goipci_endpoint_give_message(&server->endpoint, &event, connection->id, message);
        message->user = atomic_load_explicit(&connection->user, memory_order_relaxed);
        return PROGRESS_MESSAGE;
    case GOIPC_EVENT_CLOSED:
        lose(server, connection, reason_of(connection, GOIPC_ERROR_DISCONNECTED), 0, message);
        return PROGRESS_LAST_MESSAGE;
    }
    return PROGRESS_NONE;
}

static bool has_more(const goipci_connection *connection)
{
    return connection->readable || goipci_session_has_event(connection->session);
}

/* Gives the first client in the queue its turn: up to `capacity` messages. */
static size_t serve_client(goipc_server *server, goipc_message *messages, size_t capacity)
{
    goipci_connection *connection = server->ready_clients.first;
    size_t count = 0;
    progress result;

    goipci_list_remove(&server->ready_clients, connection);
    goipci_schedule_served_client(&server->schedule);
    keep_warm(server, connection);
    capacity = capacity < BATCH_TURN_MAX ? capacity : BATCH_TURN_MAX;
    do {
        result = take_turn(server, connection, &messages[count]);
        count += result == PROGRESS_MESSAGE || result == PROGRESS_LAST_MESSAGE ? 1 : 0;
        /* Messages point into the input buffer, which a read from the stream may move. */
    } while (result == PROGRESS_MESSAGE && count < capacity &&
             goipci_session_has_event(connection->session));
    if (result == PROGRESS_MORE || (result == PROGRESS_MESSAGE && has_more(connection))) {
        make_ready(server, connection);
    }
    return count;
}

/* Gives the first connection that is not a client its turn: one step of its handshake, which may
 * make it a client, or one step of closing. */
static size_t serve_connection(goipc_server *server, goipc_message *message)
{
    goipci_connection *connection = server->ready_others.first;
    progress result;

    goipci_list_remove(&server->ready_others, connection);
    if (connection->phase >= GOIPCI_PHASE_FLUSHING) {
        if (goipci_connection_linger(connection, goipci_system_clock_ms())) {
            goipci_connection_destroy(connection);
        }
        return 0;
    }
    result = take_turn(server, connection, message);
    if (result == PROGRESS_MESSAGE) {
        keep_warm(server, connection);
    }
    if (connection->phase == GOIPCI_PHASE_HANDSHAKE &&
        goipci_handshake_waits_for_curve(connection->session)) {
        if (is_limiting(server)) {
            pause_handshake(server, connection);
            return 0;
        }
        result = PROGRESS_MORE;
    }
    if (result == PROGRESS_MORE || (result == PROGRESS_MESSAGE && has_more(connection))) {
        make_ready(server, connection);
    }
    return result == PROGRESS_MESSAGE ? 1 : 0;
}

/* One turn of the listener or of a connection that is not a client. */
static size_t serve_other(goipc_server *server, goipci_turn turn, goipc_message *message)
{
    size_t count = 0;

    if (turn == GOIPCI_TURN_LISTENER) {
        accept_waiting(server);
    } else {
        count = serve_connection(server, message);
    }
    goipci_schedule_served_other(&server->schedule, turn, server->ready_others.count,
                                 goipci_system_clock_ms());
    return count;
}

static goipci_turn next_turn(const goipc_server *server)
{
    const goipci_waiting waiting = {server->ready_clients.count, server->ready_others.count,
                                    server->listener_ready};
    const bool timed = goipci_schedule_needs_time(&server->schedule, waiting);

    return goipci_schedule_next(&server->schedule, waiting, timed ? goipci_system_clock_ms() : 0);
}

/* Takes messages without another poll. After the first message only the current round continues: no
 * connection is served twice in one read, because reading more may move its first messages. */
size_t goipci_serve_gather(goipc_server *server, goipc_message *messages, size_t capacity)
{
    const goipci_turn turn = next_turn(server);
    size_t round_left = server->ready_clients.count;
    size_t count = 0;

    if (goipci_name_watch_take(server, messages)) {
        return 1;
    }
    if (turn != GOIPCI_TURN_CLIENTS) {
        return serve_other(server, turn, messages);
    }
    while (count < capacity && server->ready_clients.first != NULL &&
           goipci_schedule_may_serve(&server->schedule)) {
        if (round_left == 0) {
            if (count > 0) {
                break;
            }
            round_left = server->ready_clients.count;
        }
        round_left--;
        count += serve_client(server, messages + count, capacity - count);
    }
    return count;
}
