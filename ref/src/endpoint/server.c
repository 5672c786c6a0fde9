/* SPDX-License-Identifier: MIT */
/*
 * A server: one listener, many connections, one reading thread that drives them all.
 *
 * read takes turns. Clients that may have something stand in `ready_clients`, first come first
 * served; a turn gives one message (a few in a batch read) or at most one read from the stream,
 * then the client goes to the end of the queue. When nobody is left, or after TURN_COUNT_MAX turns,
 * the poller is asked who else is ready, so neither a flood on one connection nor many busy ones
 * keep new clients, deadlines or an interrupt waiting.
 *
 * Whoever is not a client, yet or any more, stands in `ready_others`, and accepting is one more
 * turn of theirs. A turn of a handshake may cost a thousand times that of a message, so they come
 * when no client is ready, one at a time, and before each the poller is asked whether a client is
 * ready by now: a client waits for one step of one handshake, however many there are. Where clients
 * are always ready, the others have a turn every OTHER_PAUSE_MS, but only after every client that
 * was ready has had one: nobody is kept out by a flood.
 *
 * The operations on the curve are what a peer can make a server pay for. None is done for a peer
 * that has gone. A handshake that has cost one without making a client adds to `distrust`, a client
 * that breaks the protocol adds more, and each new client takes some away. A server that has
 * clients and is distrustful holds handshakes back before such an operation and lets them go one by
 * one, every PACE_MESSAGES messages or PACE_MS: then a client meets one with less than every
 * hundredth of its messages. The last to come goes first, so that a newcomer does not wait behind a
 * crowd that came to be in the way.
 *
 * A connection that has not finished its handshake does not take a client's place, so that silent
 * ones keep nobody out; where there are too many, the oldest is refused. When all places are taken,
 * new connections are closed at once, unless the poller has told that a client is gone whose last
 * messages are still to be read: a program that was restarted comes back before its former
 * connection was seen to end. Such a one waits in the handshake list (awaits_place) until the place
 * is free. Leaving connections (refused, failed, closed) are drained on the side and do not hold
 * anything up either.
 */
#include "endpoint/connection.h"

#include <assert.h>
#include <stdio.h>

enum {
    TURN_COUNT_MAX = 64,
    READY_COUNT = 64,     /* told by one question to the poller */
    LOOK_COUNT_MAX = 8,   /* questions in a row while each answer is full */
    OTHER_PAUSE_MS = 4,   /* at most, between turns of those that are not clients */
    ACCEPT_COUNT_MAX = 8, /* in one turn, each at the cost of some messages */
    EXPIRE_COUNT_MAX = 8, /* likewise */
    PENDING_MAX = 128,    /* handshakes at once, beside one for each client that may come */
    LEAVING_MAX = 128,    /* then the oldest is cut off */
    WARM_MAX = 16,        /* connections that keep their buffers */
    BATCH_TURN_MAX = 64,  /* messages of one connection in one turn of a batch read */
    DISTRUST_MIN = 8,     /* operations in vain before handshakes are paced */
    DISTRUST_MAX = 64,    /* 15 new clients take it away */
    TRUST_OF_CLIENT = 4,  /* operations in vain that a new client makes up for */
    CLIENT_COST = 2,      /* operations of its handshake */
    PACE_MESSAGES = 256,
    PACE_MS = 50,
    ACCEPT_PAUSE_MS = 100, /* when there are no descriptors at all */
    MODE_DEFAULT = 0600,
    MODE_UNMASKED = 0777,
    MODE_MAX = 0777,
    TABLE_SIZE_FIRST = 16,
    LEAVE_TIMEOUT_MAX_MS = 1000, /* draining a peer that is of no more use */
};

struct goipc_server {
    goipci_endpoint endpoint;
    uint32_t clients_max;

    /* The reading thread's. */
    goipci_listener *listener;
    bool listener_known;
    bool listener_ready;
    int64_t accept_again_ms; /* 0: the listener is watched */
    goipci_list handshaking;
    goipci_list leaving;
    goipci_list ready_clients;
    goipci_list ready_others;
    goipci_list held;
    goipci_list warm;
    unsigned distrust;
    int64_t work_due_ms;     /* when the next of those held may go on, */
    uint64_t work_due_count; /* or when so many messages have come in */
    unsigned turns;
    bool has_looked;          /* at the poller, since the last turn of others */
    int64_t other_due_ms;     /* when others have a turn although clients are ready */
    size_t other_round_left;  /* turns until it is the listener's */
    size_t client_round_left; /* turns until others may have one although clients are ready */
    goipc_client_id last_id;

    /* Under endpoint.lock; the reading thread, which alone changes them, may look without. */
    goipci_list clients;
    goipci_connection **table; /* by id, open addressing */
    size_t table_size;         /* a power of two, or 0 */
    atomic_size_t client_count;
};

/* --- the table of clients, under the lock ----------------------------------------------------- */

static size_t slot_of(const goipc_server *server, goipc_client_id id)
{
    return (size_t)id & (server->table_size - 1); /* ids are given in sequence: no better hash */
}

static goipci_connection *find_client(const goipc_server *server, goipc_client_id id)
{
    size_t slot;

    if (server->table_size == 0 || id == 0) {
        return NULL;
    }
    slot = slot_of(server, id);
    while (server->table[slot] != NULL && server->table[slot]->id != id) {
        slot = (slot + 1) & (server->table_size - 1);
    }
    return server->table[slot];
}

static void put_into_table(goipc_server *server, goipci_connection *connection)
{
    size_t slot = slot_of(server, connection->id);

    while (server->table[slot] != NULL) {
        slot = (slot + 1) & (server->table_size - 1);
    }
    server->table[slot] = connection;
}

/* Room for one more, at most half full. Errors: MEMORY. */
static goipc_error grow_table(goipc_server *server)
{
    goipci_connection **old = server->table;
    const size_t old_size = server->table_size;
    const size_t size = old_size == 0 ? TABLE_SIZE_FIRST : old_size * 2;

    if ((server->clients.count + 1) * 2 <= old_size) {
        return GOIPC_ERROR_OK;
    }
    server->table = goipci_allocate_zeroed(server->endpoint.allocator, size * sizeof *old);
    if (server->table == NULL) {
        server->table = old;
        return GOIPC_ERROR_MEMORY;
    }
    server->table_size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i] != NULL) {
            put_into_table(server, old[i]);
        }
    }
    goipci_release(server->endpoint.allocator, old, old_size * sizeof *old);
    return GOIPC_ERROR_OK;
}

/* Those behind the gap that would not be found any more move up. */
static void take_from_table(goipc_server *server, goipc_client_id id)
{
    const size_t mask = server->table_size - 1;
    size_t gap = slot_of(server, id);

    while (server->table[gap]->id != id) {
        gap = (gap + 1) & mask;
    }
    server->table[gap] = NULL;
    for (size_t at = (gap + 1) & mask; server->table[at] != NULL; at = (at + 1) & mask) {
        goipci_connection *moved = server->table[at];

        server->table[at] = NULL;
        put_into_table(server, moved);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static goipc_error start_listening(goipc_server *server, uint32_t mode, goipc_failure *failure)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipc_error error = goipci_listener_open(endpoint->allocator, &endpoint->address, mode,
                                             &server->listener, failure);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = goipci_poller_watch_listener(endpoint->poller, server->listener, true, endpoint,
                                         &server->listener_known);
    if (error != GOIPC_ERROR_OK) {
        snprintf(failure->text, sizeof failure->text, "cannot wait for clients at %s: %s",
                 endpoint->address.text, goipc_error_text(error));
        goipci_listener_close(server->listener, true);
    }
    return error;
}

static void init_lists(goipc_server *server)
{
    server->handshaking.kind = GOIPCI_LIST_PHASE;
    server->clients.kind = GOIPCI_LIST_PHASE;
    server->leaving.kind = GOIPCI_LIST_PHASE;
    server->ready_clients.kind = GOIPCI_LIST_READY_CLIENT;
    server->ready_others.kind = GOIPCI_LIST_READY_OTHER;
    server->held.kind = GOIPCI_LIST_HELD;
    server->warm.kind = GOIPCI_LIST_WARM;
}

static uint32_t choose_mode(const goipc_server_config *config)
{
    if (config->socket_mode != 0) {
        return config->socket_mode;
    }
    return config->unmask_permissions ? MODE_UNMASKED : MODE_DEFAULT;
}

static goipc_error start(goipc_server *server, const char *name, const goipc_server_config *config,
                         goipc_failure *failure)
{
    goipc_error error;

    if (config->socket_mode > MODE_MAX) {
        snprintf(failure->text, sizeof failure->text,
                 "socket_mode %#lo has other than permission bits",
                 (unsigned long)config->socket_mode);
        failure->error = GOIPC_ERROR_ARGUMENT;
        return failure->error;
    }
    server->clients_max = config->clients_max == 0 ? 1 : config->clients_max;
    init_lists(server);
    error =
        goipci_endpoint_init(&server->endpoint, GOIPC_ROLE_SERVER, name, &config->options, failure);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (config->options.peers == GOIPC_PEERS_DEFAULT && config->unmask_permissions) {
        server->endpoint.peers = GOIPC_PEERS_ANY;
    }
    error = start_listening(server, choose_mode(config), failure);
    if (error != GOIPC_ERROR_OK) {
        goipci_endpoint_wipe(&server->endpoint);
    }
    return error;
}

goipc_error goipc_server_start(const char *name, const goipc_server_config *config,
                               goipc_server **server)
{
    static const goipc_server_config defaults = {.clients_max = 1};
    const goipc_allocator *allocator;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server *made;
    goipc_error error;

    assert(name != NULL && server != NULL);
    *server = NULL;
    config = config != NULL ? config : &defaults;
    allocator = goipci_allocator_or_default(config->options.allocator);
    made = goipci_allocate_zeroed(allocator, sizeof *made);
    error = made == NULL ? GOIPC_ERROR_MEMORY : start(made, name, config, &failure);
    if (error == GOIPC_ERROR_OK) {
        *server = made;
    } else {
        goipci_release(allocator, made, sizeof *made);
        failure.error = error;
    }
    if (config->options.failure != NULL) {
        *config->options.failure = failure;
    }
    return error;
}

/* --- refusing and losing clients -------------------------------------------------------------- */

static int64_t leave_deadline(const goipc_server *server)
{
    const int32_t timeout_ms = server->endpoint.options.close_timeout_ms;

    return goipci_deadline_after(timeout_ms == GOIPC_FOREVER ? LEAVE_TIMEOUT_MAX_MS : timeout_ms);
}

/* The end of a connection, wherever it is. */
static void dispose(goipc_server *server, goipci_list *phase, goipci_connection *connection)
{
    goipci_list_remove(phase, connection);
    goipci_list_remove(&server->ready_clients, connection);
    goipci_list_remove(&server->ready_others, connection);
    goipci_list_remove(&server->held, connection);
    goipci_list_remove(&server->warm, connection);
    goipci_connection_forget(connection);
    goipci_connection_drop(connection);
}

/* Queues a connection for a turn, unless it waits for one already. */
static void make_ready(goipc_server *server, goipci_connection *connection)
{
    goipci_list *list =
        connection->phase == GOIPCI_PHASE_OPEN ? &server->ready_clients : &server->ready_others;

    if (!connection->links[list->kind].is_on) {
        goipci_list_append(list, connection);
    }
}

/* Nothing is freed here: messages of this very read may lie in the session's memory. */
static void begin_to_leave(goipc_server *server, goipci_connection *connection, goipc_error why)
{
    goipci_connection_leave(connection, why, leave_deadline(server));
    goipci_list_append(&server->leaving, connection);
    if (goipci_connection_linger(connection, goipci_system_clock_ms())) {
        make_ready(server, connection); /* its next turn ends it */
    }
}

static void add_distrust(goipc_server *server, unsigned amount)
{
    server->distrust += amount;
    server->distrust = server->distrust < DISTRUST_MAX ? server->distrust : DISTRUST_MAX;
}

/* What no peer does that is merely gone or was ended in the middle of a frame. */
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

/* A peer that has not become a client. */
static void refuse(goipc_server *server, goipci_connection *connection, goipc_error error,
                   int system_error)
{
    count_refusal(server, error, system_error, goipc_error_text(error));
    if (goipci_handshake_has_worked(connection->session)) {
        add_distrust(server, 1);
    }
    goipci_list_remove(&server->handshaking, connection);
    goipci_list_remove(&server->held, connection);
    begin_to_leave(server, connection, error);
}

static bool has_place(const goipc_server *server)
{
    return server->clients.count < server->clients_max;
}

/* Whether a place is about to be free. Only asked when all are taken. */
static bool has_gone_client(const goipc_server *server)
{
    const goipci_connection *at = server->clients.first;

    while (at != NULL && !at->peer_ended) {
        at = at->links[GOIPCI_LIST_PHASE].next;
    }
    return at != NULL;
}

/* A place is free: whoever waits for one gets a turn. */
static void call_waiting(goipc_server *server)
{
    goipci_connection *at = server->handshaking.first;

    while (at != NULL && !at->awaits_place) {
        at = at->links[GOIPCI_LIST_PHASE].next;
    }
    if (at != NULL) {
        make_ready(server, at);
    }
}

/* A client goes. The message is its DISCONNECTED status. */
static void lose(goipc_server *server, goipci_connection *connection, goipc_error error,
                 int system_error, goipc_message *message)
{
    goipci_endpoint *endpoint = &server->endpoint;
    const goipc_client_id id = connection->id;

    goipci_lock_take(&endpoint->lock);
    take_from_table(server, id);
    goipci_list_remove(&server->clients, connection);
    goipci_lock_give(&endpoint->lock);
    atomic_fetch_sub(&server->client_count, 1);
    if (is_breach(error) && goipc_session_is_encrypted(connection->session)) {
        add_distrust(server, TRUST_OF_CLIENT + CLIENT_COST);
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
    *message = (goipc_message){
        .type = GOIPC_MESSAGE_STATUS,
        .data = (const uint8_t *)"",
        .status = GOIPC_STATUS_DISCONNECTED,
        .error = error,
        .client = id,
    };
    begin_to_leave(server, connection, error);
    call_waiting(server);
}

/* The handshake is done. False when there is no place for the client, now or any more. */
static bool admit(goipc_server *server, goipci_connection *connection, goipc_message *message)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipc_error error;

    connection->awaits_place = !has_place(server);
    if (connection->awaits_place) {
        if (!has_gone_client(server)) {
            refuse(server, connection, GOIPC_ERROR_RESOURCES, 0);
        }
        return false;
    }
    goipci_lock_take(&endpoint->lock);
    error = grow_table(server);
    if (error == GOIPC_ERROR_OK) {
        goipci_list_remove(&server->handshaking, connection);
        goipci_list_append(&server->clients, connection);
    }
    goipci_lock_give(&endpoint->lock);
    if (error != GOIPC_ERROR_OK) {
        refuse(server, connection, error, 0);
        return false;
    }
    server->distrust -=
        server->distrust < TRUST_OF_CLIENT ? server->distrust : (unsigned)TRUST_OF_CLIENT;
    goipci_connection_open(connection, ++server->last_id);
    goipci_lock_take(&endpoint->lock);
    put_into_table(server, connection);
    goipci_lock_give(&endpoint->lock);
    atomic_fetch_add(&server->client_count, 1);
    atomic_fetch_add_explicit(&endpoint->counters.connects, 1, memory_order_relaxed);
    goipci_endpoint_log(endpoint, GOIPC_LOG_INFO, "client %llu of %s connected",
                        (unsigned long long)connection->id, endpoint->address.text);
    *message = (goipc_message){
        .type = GOIPC_MESSAGE_STATUS,
        .data = (const uint8_t *)"",
        .status = GOIPC_STATUS_CONNECTED,
        .client = connection->id,
    };
    return true;
}

/* --- what handshakes cost --------------------------------------------------------------------- */

static bool is_pacing(const goipc_server *server)
{
    return server->distrust >= DISTRUST_MIN && server->clients.count > 0;
}

static uint64_t messages_in(goipc_server *server)
{
    return atomic_load_explicit(&server->endpoint.counters.messages_in, memory_order_relaxed);
}

static bool is_work_due(goipc_server *server)
{
    return !is_pacing(server) || messages_in(server) >= server->work_due_count ||
           server->work_due_ms <= goipci_system_clock_ms();
}

static void hold_back(goipc_server *server, goipci_connection *connection)
{
    goipci_connection_hold_back(connection, true);
    goipci_list_append(&server->held, connection);
}

/* Before the poller is asked: it may tell that one of them has gone meanwhile. */
static void let_held_go_on(goipc_server *server)
{
    while (server->held.last != NULL && is_work_due(server)) {
        goipci_connection *connection = server->held.last;

        goipci_list_remove(&server->held, connection);
        goipci_connection_hold_back(connection, false);
        connection->may_work = true;
        make_ready(server, connection);
        server->work_due_ms = goipci_system_clock_ms() + PACE_MS;
        server->work_due_count = messages_in(server) + PACE_MESSAGES;
    }
}

/* Says what this turn of a handshake may cost. */
static void allow_work(goipc_server *server, goipci_connection *connection)
{
    goipci_work work = GOIPCI_WORK_ONCE;

    if (connection->peer_ended) {
        work = GOIPCI_WORK_IN_VAIN;
        server->work_due_ms = connection->may_work ? 0 : server->work_due_ms; /* the next one's */
    } else if (!connection->may_work && is_pacing(server)) {
        work = GOIPCI_WORK_LATER;
    }
    connection->may_work = false;
    goipci_handshake_set_work(connection->session, work);
}

/* --- accepting -------------------------------------------------------------------------------- */

static void welcome(goipc_server *server, goipci_stream *stream)
{
    goipci_endpoint *endpoint = &server->endpoint;
    goipci_connection *connection;
    goipc_credentials credentials;
    goipc_error error =
        goipci_stream_check_peer(stream, &endpoint->options, endpoint->peers, &credentials);

    if (error != GOIPC_ERROR_OK) {
        stream->functions->close(stream);
        count_refusal(server, error, 0,
                      error == GOIPC_ERROR_CREDENTIALS ? "its user is not allowed"
                                                       : "the system does not tell who it is");
        return;
    }
    if (!has_place(server) && !has_gone_client(server)) {
        stream->functions->close(stream);
        count_refusal(server, GOIPC_ERROR_RESOURCES, 0, "all places are taken");
        return;
    }
    if (server->handshaking.count >= (size_t)server->clients_max + PENDING_MAX) {
        /* The oldest has had the most time; to refuse newcomers would let silent ones keep all
         * others out. */
        refuse(server, server->handshaking.first, GOIPC_ERROR_RESOURCES, 0);
    }
    error = goipci_connection_new(endpoint, stream, &connection);
    if (error != GOIPC_ERROR_OK) {
        count_refusal(server, error, 0, goipc_error_text(error));
        return;
    }
    connection->credentials = credentials;
    connection->deadline_ms = goipci_deadline_after(endpoint->options.handshake_timeout_ms);
    goipci_list_append(&server->handshaking, connection);
}

/* Leaves the listener alone for a while: there is nothing to accept with. */
static void pause_accepting(goipc_server *server, int system_error)
{
    goipci_endpoint *endpoint = &server->endpoint;

    count_refusal(server, GOIPC_ERROR_RESOURCES, system_error,
                  "no descriptor is free, accepting again shortly");
    server->accept_again_ms = goipci_deadline_after(ACCEPT_PAUSE_MS);
    /* It cannot fail for a listener that is known; if it did, we would be back here at once. */
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
            welcome(server, stream);
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

/* When something is to be done without anybody's input. */
static int64_t next_deadline(const goipc_server *server)
{
    int64_t deadline_ms = server->accept_again_ms != 0 ? server->accept_again_ms : INT64_MAX;

    /* All handshakes are given the same time, so the first is the first to end. */
    if (server->handshaking.first != NULL && server->handshaking.first->deadline_ms < deadline_ms) {
        deadline_ms = server->handshaking.first->deadline_ms;
    }
    if (server->leaving.first != NULL && server->leaving.first->deadline_ms < deadline_ms) {
        deadline_ms = server->leaving.first->deadline_ms;
    }
    if (server->held.first != NULL && server->work_due_ms < deadline_ms) {
        deadline_ms = server->work_due_ms;
    }
    return deadline_ms;
}

static void expire(goipc_server *server)
{
    int count = 0;
    int64_t now_ms;

    if (next_deadline(server) == INT64_MAX) {
        return;
    }
    now_ms = goipci_system_clock_ms();
    /* Those that are left over are due at once, but after the clients that are ready. */
    while (server->handshaking.first != NULL && server->handshaking.first->deadline_ms <= now_ms &&
           count++ < EXPIRE_COUNT_MAX) {
        refuse(server, server->handshaking.first, GOIPC_ERROR_HANDSHAKE_TIMEOUT, 0);
    }
    while (server->leaving.first != NULL && server->leaving.first->deadline_ms <= now_ms &&
           count++ < EXPIRE_COUNT_MAX) {
        dispose(server, &server->leaving, server->leaving.first);
    }
    if (server->accept_again_ms != 0 && server->accept_again_ms <= now_ms) {
        server->accept_again_ms = 0;
        /* As in pause_accepting. */
        (void)!goipci_poller_watch_listener(server->endpoint.poller, server->listener, true,
                                            &server->endpoint, &server->listener_known);
    }
}

/* Notes who is ready; nothing is freed here, since the poller's answer may name it again. */
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

/* Whether anybody waits for a turn. */
static bool has_work(const goipc_server *server)
{
    return server->ready_clients.first != NULL || server->ready_others.first != NULL ||
           server->listener_ready;
}

/* Waits until something is ready, or only looks when somebody is already; notes who, and sees to
 * the clock. */
static goipc_error wait_for_work(goipc_server *server, int32_t timeout_ms)
{
    goipci_ready ready[READY_COUNT];
    size_t count;
    goipc_error error = goipci_endpoint_check_process(&server->endpoint);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    let_held_go_on(server);
    timeout_ms = has_work(server)
                     ? 0
                     : goipci_timeout_min(timeout_ms, goipci_deadline_left(next_deadline(server)));
    /* A full answer may hide a client behind many others. The poller goes round: it does not name
     * anybody twice before it has named all. */
    for (int i = 0; i < LOOK_COUNT_MAX; i++) {
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
    expire(server);
    server->turns = 0;
    if (!server->has_looked) {
        server->has_looked = true;
        server->client_round_left = server->ready_clients.count;
    }
    return GOIPC_ERROR_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void keep_warm(goipc_server *server, goipci_connection *connection)
{
    /* The last one is the warmest; in the common case it is there already. */
    if (server->warm.last == connection) {
        return;
    }
    goipci_list_remove(&server->warm, connection);
    goipci_list_append(&server->warm, connection);
}

/* Only at the start of a read: that is when nothing is lent any more. Idle connections keep no
 * buffers, except the last few to be busy, and those that leave do not pile up. */
static void tidy(goipc_server *server)
{
    while (server->warm.count > WARM_MAX) {
        goipci_connection *coldest = server->warm.first;

        goipci_list_remove(&server->warm, coldest);
        goipci_connection_trim(coldest);
    }
    while (server->leaving.count > LEAVING_MAX) {
        dispose(server, &server->leaving, server->leaving.first);
    }
}

static void give_message(goipc_server *server, goipci_connection *connection,
                         const goipc_event *event, goipc_message *message)
{
    goipci_counters *counters = &server->endpoint.counters;

    *message = (goipc_message){
        .type = event->message_type,
        .data = event->data,
        .data_size = event->data_size,
        .status = GOIPC_STATUS_CONNECTED,
        .client = connection->id,
    };
    /* Only this thread counts these, so no locked operation is needed. */
    atomic_store_explicit(&counters->messages_in,
                          atomic_load_explicit(&counters->messages_in, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&counters->bytes_in,
                          atomic_load_explicit(&counters->bytes_in, memory_order_relaxed) +
                              event->data_size,
                          memory_order_relaxed);
}

/* Why a client is lost: a failed sending half tells more than the end that it has brought about. */
static goipc_error reason_of(goipci_connection *connection, goipc_error error)
{
    const goipc_error end = goipci_connection_end(connection);

    return end != GOIPC_ERROR_OK ? end : error;
}

typedef enum turn {
    TURN_IDLE,         /* nothing now */
    TURN_MORE,         /* nothing yet, but it has not been exhausted */
    TURN_MESSAGE,      /* one was given */
    TURN_GONE,         /* the connection is no more, or is leaving */
    TURN_LAST_MESSAGE, /* one was given, and the connection is leaving */
} turn;

static turn take_turn(goipc_server *server, goipci_connection *connection, goipc_message *message)
{
    int system_error;
    goipc_event event;
    goipc_error error;

    if (connection->awaits_place) {
        return admit(server, connection, message) ? TURN_MESSAGE : TURN_GONE;
    }
    if (atomic_load(&connection->leave_requested)) {
        lose(server, connection, GOIPC_ERROR_CLOSED, 0, message);
        return TURN_LAST_MESSAGE;
    }
    if (connection->phase == GOIPCI_PHASE_HANDSHAKE) {
        allow_work(server, connection);
    }
    error = goipci_connection_next_event(connection, &event, &system_error);
    if (error != GOIPC_ERROR_OK) {
        if (connection->phase == GOIPCI_PHASE_OPEN) {
            lose(server, connection, reason_of(connection, error), system_error, message);
            return TURN_LAST_MESSAGE;
        }
        refuse(server, connection, error, system_error);
        return TURN_GONE;
    }
    switch (event.type) {
    case GOIPC_EVENT_NEED_INPUT:
        return connection->readable ? TURN_MORE : TURN_IDLE;
    case GOIPC_EVENT_CONTROL:
        return TURN_MORE;
    case GOIPC_EVENT_CONNECTED:
        return admit(server, connection, message) ? TURN_MESSAGE : TURN_GONE;
    case GOIPC_EVENT_MESSAGE:
        give_message(server, connection, &event, message);
        return TURN_MESSAGE;
    case GOIPC_EVENT_CLOSED:
        lose(server, connection, reason_of(connection, GOIPC_ERROR_DISCONNECTED), 0, message);
        return TURN_LAST_MESSAGE;
    }
    return TURN_IDLE;
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
    turn result;

    goipci_list_remove(&server->ready_clients, connection);
    server->turns++;
    server->client_round_left -= server->client_round_left > 0 ? 1 : 0;
    keep_warm(server, connection);
    capacity = capacity < BATCH_TURN_MAX ? capacity : BATCH_TURN_MAX;
    do {
        result = take_turn(server, connection, &messages[count]);
        count += result == TURN_MESSAGE || result == TURN_LAST_MESSAGE ? 1 : 0;
        /* What was given lies in the input buffer, which the next read from the stream may move. */
    } while (result == TURN_MESSAGE && count < capacity &&
             goipci_session_has_event(connection->session));
    if (result == TURN_MORE || (result == TURN_MESSAGE && has_more(connection))) {
        make_ready(server, connection);
    }
    return count;
}

/* A turn of whoever is first of the others: one step of a handshake, which may make a client of it,
 * or one of leaving. */
static size_t serve_connection(goipc_server *server, goipc_message *message)
{
    goipci_connection *connection = server->ready_others.first;
    turn result;

    goipci_list_remove(&server->ready_others, connection);
    if (connection->phase >= GOIPCI_PHASE_FLUSHING) {
        if (goipci_connection_linger(connection, goipci_system_clock_ms())) {
            dispose(server, &server->leaving, connection);
        }
        return 0;
    }
    result = take_turn(server, connection, message);
    if (result == TURN_MESSAGE) {
        keep_warm(server, connection);
    }
    if (connection->phase == GOIPCI_PHASE_HANDSHAKE &&
        goipci_handshake_awaits_work(connection->session)) {
        if (is_pacing(server)) {
            hold_back(server, connection);
            return 0;
        }
        result = TURN_MORE;
    }
    if (result == TURN_MORE || (result == TURN_MESSAGE && has_more(connection))) {
        make_ready(server, connection);
    }
    return result == TURN_MESSAGE ? 1 : 0;
}

/* One turn of those that are not clients; after everybody's it is the listener's. */
static size_t serve_other(goipc_server *server, goipc_message *message)
{
    size_t count = 0;

    if (server->listener_ready &&
        (server->other_round_left == 0 || server->ready_others.first == NULL)) {
        accept_waiting(server);
        server->other_round_left = server->ready_others.count;
    } else {
        server->other_round_left -= server->other_round_left > 0 ? 1 : 0;
        count = serve_connection(server, message);
    }
    server->has_looked = false;
    server->other_due_ms = goipci_system_clock_ms() + OTHER_PAUSE_MS;
    return count;
}

/* The clock is asked only where clients and others are ready at once. */
static bool is_turn_of_others(const goipc_server *server)
{
    if (!server->has_looked || (server->ready_others.first == NULL && !server->listener_ready)) {
        return false;
    }
    return server->ready_clients.first == NULL ||
           (server->client_round_left == 0 && server->other_due_ms <= goipci_system_clock_ms());
}

/* What can be had before the next look at the poller. After the first message only the round goes
 * on that has begun: no connection is served twice in one read, since reading more may move what it
 * gave. */
static size_t gather(goipc_server *server, goipc_message *messages, size_t capacity)
{
    size_t round_left = server->ready_clients.count;
    size_t count = 0;

    if (is_turn_of_others(server)) {
        return serve_other(server, messages);
    }
    while (count < capacity && server->ready_clients.first != NULL &&
           server->turns < TURN_COUNT_MAX) {
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

static goipc_error read_some(goipc_server *server, int32_t timeout_ms, goipc_message *messages,
                             size_t capacity, size_t *count)
{
    int64_t deadline_ms = 0;
    int32_t left = timeout_ms;
    bool looked = false;
    goipc_error error;

    tidy(server);
    for (;;) {
        *count = gather(server, messages, capacity);
        if (*count > 0) {
            return GOIPC_ERROR_OK;
        }
        if (looked && left == 0) {
            return timeout_ms == 0 ? GOIPC_ERROR_WOULD_BLOCK : GOIPC_ERROR_TIMEOUT;
        }
        if (timeout_ms > 0) {
            deadline_ms = deadline_ms != 0 ? deadline_ms : goipci_deadline_after(timeout_ms);
            left = goipci_deadline_left(deadline_ms);
        }
        error = wait_for_work(server, left);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        looked = true;
    }
}

goipc_error goipc_server_read_batch(goipc_server *server, int32_t timeout_ms,
                                    goipc_message *messages, size_t capacity, size_t *count)
{
    goipc_error error;

    assert(server != NULL && messages != NULL && count != NULL);
    *count = 0;
    if (timeout_ms < GOIPC_FOREVER || capacity == 0) {
        return GOIPC_ERROR_ARGUMENT;
    }
    error = goipci_endpoint_enter_read(&server->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = read_some(server, timeout_ms, messages, capacity, count);
    return goipci_endpoint_exit_read(&server->endpoint, error, timeout_ms);
}

goipc_error goipc_server_read(goipc_server *server, int32_t timeout_ms, goipc_message *message)
{
    size_t count;

    return goipc_server_read_batch(server, timeout_ms, message, 1, &count);
}

/* --- writing ---------------------------------------------------------------------------------- */

static goipci_connection *hold_client(goipc_server *server, goipc_client_id id)
{
    goipci_connection *connection;

    goipci_lock_take(&server->endpoint.lock);
    connection = find_client(server, id);
    if (connection != NULL) {
        goipci_connection_hold(connection);
    }
    goipci_lock_give(&server->endpoint.lock);
    return connection;
}

static goipc_error write_to_one(goipc_server *server, goipc_client_id to,
                                const goipc_outgoing *messages, size_t count, size_t *taken)
{
    goipci_connection *connection = hold_client(server, to);
    goipc_error error;

    *taken = 0;
    if (connection == NULL) {
        return GOIPC_ERROR_NOT_CONNECTED;
    }
    error = goipci_connection_send(connection, messages, count,
                                   server->endpoint.options.write_timeout_ms, false, taken);
    goipci_connection_drop(connection);
    return error;
}

/* All clients of this moment, held, in memory to be released by the caller. */
static goipc_error hold_all(goipc_server *server, goipci_connection ***all, size_t *count)
{
    const goipc_allocator *allocator = server->endpoint.allocator;
    goipc_error error = GOIPC_ERROR_OK;

    goipci_lock_take(&server->endpoint.lock);
    *count = 0;
    *all = NULL;
    if (server->clients.count > 0) {
        *all = goipci_allocate_zeroed(allocator, server->clients.count * sizeof **all);
        error = *all == NULL ? GOIPC_ERROR_MEMORY : GOIPC_ERROR_OK;
    }
    for (goipci_connection *at = server->clients.first; *all != NULL && at != NULL;
         at = at->links[GOIPCI_LIST_PHASE].next) {
        goipci_connection_hold(at);
        (*all)[(*count)++] = at;
    }
    goipci_lock_give(&server->endpoint.lock);
    return error;
}

static bool is_to_wait_for(goipc_error error)
{
    return error == GOIPC_ERROR_WOULD_BLOCK;
}

/* Those that have room at once come first, so that a slow client delays nobody but itself; then the
 * slow ones share one timeout. */
static goipc_error write_to_each(goipc_server *server, goipci_connection **all, size_t count,
                                 const goipc_outgoing *message)
{
    const int32_t timeout_ms = server->endpoint.options.write_timeout_ms;
    goipc_error first_error = GOIPC_ERROR_OK;
    int64_t deadline_ms = 0;
    size_t slow_count = 0;
    size_t taken;

    for (size_t i = 0; i < count; i++) {
        const goipc_error error =
            goipci_connection_send(all[i], message, 1, GOIPC_NO_WAIT, false, &taken);

        if (is_to_wait_for(error)) {
            goipci_connection *slow = all[i];

            all[i] = all[slow_count];
            all[slow_count++] = slow;
        } else if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_NOT_CONNECTED &&
                   first_error == GOIPC_ERROR_OK) {
            first_error = error;
        }
    }
    for (size_t i = 0; i < slow_count; i++) {
        int32_t left = timeout_ms;
        goipc_error error;

        if (timeout_ms != GOIPC_NO_WAIT) {
            deadline_ms = deadline_ms != 0 ? deadline_ms : goipci_deadline_after(timeout_ms);
            left = goipci_deadline_left(deadline_ms);
        }
        error = goipci_connection_send(all[i], message, 1, left == 0 ? GOIPC_NO_WAIT : left, false,
                                       &taken);
        if (left == 0 && is_to_wait_for(error)) {
            error = GOIPC_ERROR_TIMEOUT;
        }
        first_error = first_error == GOIPC_ERROR_OK ? error : first_error;
    }
    return first_error;
}

static goipc_error write_to_all(goipc_server *server, const goipc_outgoing *messages, size_t count,
                                size_t *taken)
{
    const goipc_allocator *allocator = server->endpoint.allocator;
    goipci_connection **all;
    size_t all_count;
    goipc_error error = hold_all(server, &all, &all_count);

    *taken = 0;
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    while (*taken < count && error == GOIPC_ERROR_OK) {
        error = write_to_each(server, all, all_count, &messages[*taken]);
        *taken += error == GOIPC_ERROR_OK ? 1 : 0;
    }
    for (size_t i = 0; i < all_count; i++) {
        goipci_connection_drop(all[i]);
    }
    goipci_release(allocator, all, all_count * sizeof *all);
    return error;
}

/* What would be refused for every client is refused even where there is none. */
static goipc_error judge_messages(const goipc_server *server, const goipc_outgoing *messages,
                                  size_t count)
{
    const uint32_t size_max = server->endpoint.options.message_size_max < GOIPC_MESSAGE_SIZE_FLOOR
                                  ? GOIPC_MESSAGE_SIZE_DEFAULT
                                  : server->endpoint.options.message_size_max;

    for (size_t i = 0; i < count; i++) {
        if (messages[i].type == 0) {
            return GOIPC_ERROR_TYPE_RESERVED;
        }
        if (messages[i].data_size > size_max) {
            return GOIPC_ERROR_MESSAGE_SIZE;
        }
    }
    return GOIPC_ERROR_OK;
}

goipc_error goipc_server_write_batch(goipc_server *server, goipc_client_id to,
                                     const goipc_outgoing *messages, size_t count, size_t *taken)
{
    goipc_error error;

    assert(server != NULL && (messages != NULL || count == 0) && taken != NULL);
    *taken = 0;
    error = goipci_endpoint_enter(&server->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (to != GOIPC_CLIENT_ALL) {
        error = write_to_one(server, to, messages, count, taken);
    } else {
        error = judge_messages(server, messages, count);
        if (error == GOIPC_ERROR_OK) {
            error = write_to_all(server, messages, count, taken);
        }
    }
    return goipci_endpoint_exit_wait(&server->endpoint, error);
}

goipc_error goipc_server_write(goipc_server *server, goipc_client_id to, uint32_t type,
                               const void *data, size_t data_size)
{
    const goipc_outgoing message = {type, data, data_size};
    size_t taken;

    return goipc_server_write_batch(server, to, &message, 1, &taken);
}

void goipc_server_cork(goipc_server *server)
{
    goipci_endpoint_cork(&server->endpoint);
}

goipc_error goipc_server_flush(goipc_server *server, int32_t timeout_ms)
{
    goipc_error error;

    assert(server != NULL);
    if (timeout_ms < GOIPC_FOREVER) {
        return GOIPC_ERROR_ARGUMENT;
    }
    error = goipci_endpoint_enter(&server->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = goipci_endpoint_flush(&server->endpoint, timeout_ms);
    return goipci_endpoint_exit_wait(&server->endpoint, error);
}

/* --- looking and asking ----------------------------------------------------------------------- */

goipc_error goipc_server_disconnect(goipc_server *server, goipc_client_id client)
{
    goipci_connection *connection;
    goipc_error error;

    assert(server != NULL);
    error = goipci_endpoint_enter(&server->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    connection = hold_client(server, client);
    if (connection == NULL) {
        error = GOIPC_ERROR_NOT_CONNECTED;
    } else {
        goipci_connection_request_leave(connection);
        goipci_connection_drop(connection);
    }
    goipci_endpoint_exit(&server->endpoint);
    return error;
}

goipc_error goipc_server_credentials(goipc_server *server, goipc_client_id client,
                                     goipc_credentials *credentials)
{
    const goipci_connection *connection;
    bool found;

    assert(server != NULL && credentials != NULL);
    goipci_endpoint_enter_look(&server->endpoint);
    goipci_lock_take(&server->endpoint.lock);
    connection = find_client(server, client);
    if (connection != NULL) {
        *credentials = connection->credentials;
    }
    goipci_lock_give(&server->endpoint.lock);
    found = connection != NULL;
    goipci_endpoint_exit(&server->endpoint);
    return found ? GOIPC_ERROR_OK : GOIPC_ERROR_NOT_CONNECTED;
}

goipc_status goipc_server_status(goipc_server *server)
{
    goipc_status status;

    goipci_endpoint_enter_look(&server->endpoint);
    status =
        atomic_load(&server->client_count) > 0 ? GOIPC_STATUS_CONNECTED : GOIPC_STATUS_LISTENING;
    status = atomic_load(&server->endpoint.closing) ? GOIPC_STATUS_CLOSED : status;
    goipci_endpoint_exit(&server->endpoint);
    return status;
}

size_t goipc_server_client_count(goipc_server *server)
{
    size_t count;

    goipci_endpoint_enter_look(&server->endpoint);
    count = atomic_load(&server->client_count);
    goipci_endpoint_exit(&server->endpoint);
    return count;
}

void goipc_server_counters(goipc_server *server, goipc_counters *counters)
{
    goipci_endpoint_get_counters(&server->endpoint, counters);
}

void goipc_server_failure(goipc_server *server, goipc_failure *failure)
{
    goipci_endpoint_get_failure(&server->endpoint, failure);
}

int goipc_server_system_error(goipc_server *server)
{
    goipc_failure failure;

    goipci_endpoint_get_failure(&server->endpoint, &failure);
    return failure.system_error;
}

intptr_t goipc_server_poll_fd(goipc_server *server)
{
    return goipci_endpoint_poll_fd(&server->endpoint);
}

int32_t goipc_server_poll_timeout_ms(goipc_server *server)
{
    int32_t timeout_ms = 0;

    goipci_endpoint_enter_look(&server->endpoint);
    /* Once it is closing, the lists are the closing thread's. */
    if (!atomic_load(&server->endpoint.closing) && !has_work(server)) {
        timeout_ms = goipci_deadline_left(next_deadline(server));
    }
    goipci_endpoint_exit(&server->endpoint);
    return timeout_ms;
}

void goipc_server_interrupt(goipc_server *server)
{
    goipci_endpoint_interrupt(&server->endpoint);
}

void goipc_server_resume(goipc_server *server)
{
    goipci_endpoint_resume(&server->endpoint);
}

/* --- close ------------------------------------------------------------------------------------ */

/* Lets all go at once, each at its own pace, until the deadline. */
static void let_all_go(goipc_server *server)
{
    const int64_t deadline_ms = goipci_deadline_after(server->endpoint.options.close_timeout_ms);

    while (server->handshaking.first != NULL) {
        goipci_connection *connection = server->handshaking.first;

        goipci_list_remove(&server->handshaking, connection);
        goipci_list_append(&server->leaving, connection);
    }
    goipci_lock_take(&server->endpoint.lock); /* others may be looking at the table */
    while (server->clients.first != NULL) {
        goipci_connection *connection = server->clients.first;

        take_from_table(server, connection->id);
        goipci_list_remove(&server->clients, connection);
        goipci_list_append(&server->leaving, connection);
    }
    goipci_lock_give(&server->endpoint.lock);
    for (goipci_connection *at = server->leaving.first; at != NULL;
         at = at->links[GOIPCI_LIST_PHASE].next) {
        if (at->phase < GOIPCI_PHASE_FLUSHING) {
            goipci_connection_leave(at, GOIPC_ERROR_CLOSED, deadline_ms);
        }
    }
}

static void finish_leaving(goipc_server *server)
{
    goipci_list *leaving = &server->leaving;
    goipci_ready ready[READY_COUNT];
    goipci_connection *at = leaving->first;
    size_t count;

    while (at != NULL) {
        goipci_connection *next = at->links[GOIPCI_LIST_PHASE].next;

        if (goipci_connection_linger(at, goipci_system_clock_ms())) {
            dispose(server, leaving, at);
        }
        at = next;
    }
    while (leaving->first != NULL) {
        const int32_t left = goipci_deadline_left(leaving->last->deadline_ms);

        if (goipci_poller_wait(server->endpoint.poller, left, ready, READY_COUNT, &count) !=
                GOIPC_ERROR_OK ||
            left == 0) {
            dispose(server, leaving, leaving->first);
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            goipci_connection *connection = ready[i].context;

            if (goipci_connection_linger(connection, goipci_system_clock_ms())) {
                dispose(server, leaving, connection);
            }
        }
    }
}

/* In a child after fork, where the sockets are the parent's: closes its copies and says nothing. */
static void abandon_all(goipc_server *server)
{
    goipci_list *lists[] = {&server->handshaking, &server->clients, &server->leaving};

    goipci_poller_abandon(server->endpoint.poller);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        while (lists[i]->first != NULL) {
            dispose(server, lists[i], lists[i]->first);
        }
    }
}

static void release_server(goipc_server *server)
{
    const goipc_allocator *allocator = server->endpoint.allocator;

    goipci_release(allocator, server->table, server->table_size * sizeof *server->table);
    goipci_endpoint_wipe(&server->endpoint);
    goipci_release(allocator, server, sizeof *server);
}

void goipc_server_close(goipc_server *server)
{
    if (server == NULL) {
        return;
    }
    if (goipci_endpoint_check_process(&server->endpoint) != GOIPC_ERROR_OK) {
        /* When the fork found other threads inside, their locks stay taken for ever in the child:
         * then the memory is left alone. */
        if (atomic_load(&server->endpoint.inside) == 0) {
            goipci_listener_close(server->listener, false);
            abandon_all(server);
            release_server(server);
        }
        return;
    }
    goipci_endpoint_evict(&server->endpoint);
    goipci_poller_resume(server->endpoint.poller);
    goipci_poller_forget_listener(server->endpoint.poller, server->listener,
                                  &server->listener_known);
    goipci_listener_close(server->listener, true);
    let_all_go(server);
    finish_leaving(server);
    goipci_endpoint_evict(&server->endpoint);
    release_server(server);
}
