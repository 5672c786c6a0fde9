/* SPDX-License-Identifier: MIT */
/*
 * A client: one connection at a time, made again when it is lost.
 *
 * Whoever needs the connection moves it along. One thread at a time drives: a reader for as long as
 * it is inside read, or else a writer for as long as there is no connection. Others wait for it,
 * and take over when it leaves. What happens is told in order through a queue of status changes,
 * which every read empties first.
 *
 * A writer that finds the connection broken makes a new one only when nothing that the peer had
 * sent is still unread. Otherwise it fails with why the connection ended, until a read has taken
 * the rest: nothing that arrived is lost, and nothing is sent twice.
 *
 * What the last read gave belongs to the application until the next one, and lies in the memory of
 * its connection (`lender`). A writer that drives would move that by reading on, and free it with
 * the connection: so it takes the memory away from there first (`kept`).
 */
#include "endpoint/connection.h"

#include <assert.h>

enum {
    RETRY_INTERVAL_DEFAULT_MS = 1000,
    PAUSE_FIRST_MS = 2, /* the first retry comes within this */
    READY_COUNT = 16,
    STATUS_COUNT_MAX = 32, /* the oldest go when nobody reads */
    LEAVING_MAX = 8,
    BATCH_MAX = 1024,
    LEAVE_TIMEOUT_MAX_MS = 1000,
};

typedef enum stage {
    STAGE_IDLE,  /* never asked to connect */
    STAGE_PAUSE, /* until retry_at_ms */
    STAGE_GREET, /* handshake */
    STAGE_OPEN,
    STAGE_ENDED, /* for good: `ended` says why */
} stage;

typedef struct status_change {
    goipc_status status;
    goipc_error error;
} status_change;

struct goipc_client {
    goipci_endpoint endpoint;
    int32_t timeout_ms;
    int32_t retry_interval_ms;
    bool reconnect_off;

    atomic_bool driving;
    atomic_uint waiting; /* threads that wait for `changed` */

    /* The driving thread's. */
    stage stage;
    goipci_connection *connection; /* from STAGE_GREET to STAGE_OPEN */
    goipci_list leaving;
    int64_t retry_at_ms;
    int64_t give_up_ms;
    int64_t open_since_ms;
    uint64_t traffic_before; /* messages both ways when it opened */
    int32_t pause_ms;
    goipc_error last_attempt; /* why the last one failed, since the last success */
    bool has_stash;           /* an event that a writer met while it looked whether all was read */
    goipc_event stash;
    goipci_connection *lender; /* in whose session the messages of the last read lie */
    goipci_buffer kept;        /* or this is where they lie, apart from it */

    /* Under endpoint.lock; the driving thread changes them. */
    goipci_connection *open; /* what writers use */
    status_change changes[STATUS_COUNT_MAX];
    size_t change_at;
    atomic_size_t change_count;
    atomic_int ended; /* goipc_error */
    atomic_int status;
    atomic_int_fast64_t wake_at_ms; /* when driving is due without input; INT64_MAX: never */
};

/* --- start ------------------------------------------------------------------------------------ */

static goipc_error start(goipc_client *client, const char *name, const goipc_client_config *config,
                         goipc_failure *failure)
{
    client->timeout_ms = config->timeout_ms <= 0 ? GOIPC_FOREVER : config->timeout_ms;
    client->retry_interval_ms =
        config->retry_interval_ms <= 0 ? RETRY_INTERVAL_DEFAULT_MS : config->retry_interval_ms;
    client->reconnect_off = config->reconnect_off;
    client->leaving.kind = GOIPCI_LIST_PHASE;
    goipci_buffer_init(&client->kept, goipci_allocator_or_default(config->options.allocator), 0);
    atomic_init(&client->status, GOIPC_STATUS_NOT_CONNECTED);
    return goipci_endpoint_init(&client->endpoint, GOIPC_ROLE_CLIENT, name, &config->options,
                                failure);
}

goipc_error goipc_client_start(const char *name, const goipc_client_config *config,
                               goipc_client **client)
{
    static const goipc_client_config defaults = {.timeout_ms = 0};
    const goipc_allocator *allocator;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_client *made;
    goipc_error error;

    assert(name != NULL && client != NULL);
    *client = NULL;
    config = config != NULL ? config : &defaults;
    allocator = goipci_allocator_or_default(config->options.allocator);
    made = goipci_allocate_zeroed(allocator, sizeof *made);
    error = made == NULL ? GOIPC_ERROR_MEMORY : start(made, name, config, &failure);
    if (error == GOIPC_ERROR_OK) {
        *client = made;
    } else {
        goipci_release(allocator, made, sizeof *made);
        failure.error = error;
    }
    if (config->options.failure != NULL) {
        *config->options.failure = failure;
    }
    return error;
}

/* --- who drives ------------------------------------------------------------------------------- */

static bool try_to_drive(goipc_client *client)
{
    return !atomic_exchange(&client->driving, true);
}

static void wake_waiting(goipc_client *client)
{
    if (atomic_load(&client->waiting) > 0) {
        goipci_lock_take(&client->endpoint.lock);
        goipci_condition_wake_all(&client->endpoint.changed);
        goipci_lock_give(&client->endpoint.lock);
    }
}

static void stop_driving(goipc_client *client)
{
    atomic_store(&client->driving, false);
    wake_waiting(client);
}

/* Waits until something changes, or until *drives. With `connected`, an open connection is enough.
 * Errors: CLOSED, INTERRUPTED, TIMEOUT. */
static goipc_error wait_to_drive(goipc_client *client, int64_t deadline_ms, bool connected,
                                 bool *drives)
{
    goipci_endpoint *endpoint = &client->endpoint;
    goipc_error error = GOIPC_ERROR_OK;

    *drives = try_to_drive(client);
    if (*drives) {
        return GOIPC_ERROR_OK;
    }
    goipci_lock_take(&endpoint->lock);
    atomic_fetch_add(&client->waiting, 1);
    for (;;) {
        const int32_t left = goipci_deadline_left(deadline_ms);

        if (atomic_load(&endpoint->closing)) {
            error = GOIPC_ERROR_CLOSED;
            break;
        }
        *drives = try_to_drive(client);
        if (*drives || (connected && client->open != NULL)) {
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

/* --- telling ---------------------------------------------------------------------------------- */

static void tell(goipc_client *client, goipc_status status, goipc_error error)
{
    goipci_endpoint *endpoint = &client->endpoint;
    size_t count;

    goipci_lock_take(&endpoint->lock);
    count = atomic_load(&client->change_count);
    if (count == STATUS_COUNT_MAX) {
        client->change_at = (client->change_at + 1) % STATUS_COUNT_MAX;
        count--;
    }
    client->changes[(client->change_at + count) % STATUS_COUNT_MAX] =
        (status_change){status, error};
    atomic_store(&client->change_count, count + 1);
    atomic_store(&client->status, (int)status);
    goipci_condition_wake_all(&endpoint->changed);
    goipci_lock_give(&endpoint->lock);
    if (!atomic_load(&endpoint->reading)) {
        goipci_poller_kick(endpoint->poller); /* an event loop may be waiting for its descriptor */
    }
}

static bool take_change(goipc_client *client, goipc_message *message)
{
    status_change change;
    size_t count;

    if (atomic_load(&client->change_count) == 0) {
        return false;
    }
    goipci_lock_take(&client->endpoint.lock);
    count = atomic_load(&client->change_count);
    change = client->changes[client->change_at];
    client->change_at = (client->change_at + 1) % STATUS_COUNT_MAX;
    atomic_store(&client->change_count, count - 1);
    goipci_lock_give(&client->endpoint.lock);
    *message = (goipc_message){
        .type = GOIPC_MESSAGE_STATUS,
        .data = (const uint8_t *)"",
        .status = change.status,
        .error = change.error,
    };
    return true;
}

/* --- what the last read gave ------------------------------------------------------------------ */

/* Before a writing thread that drives touches any connection. Errors: MEMORY. */
static goipc_error keep_lent(goipc_client *client)
{
    goipc_error error = GOIPC_ERROR_OK;

    if (client->lender != NULL) {
        error = goipci_session_keep_held(client->lender->session, &client->kept);
    }
    if (error == GOIPC_ERROR_OK) {
        client->lender = NULL;
    }
    return error;
}

/* At the start of a read, and when all ends. */
static void return_lent(goipc_client *client)
{
    client->lender = NULL;
    if (client->kept.capacity > 0) {
        goipci_buffer_wipe(&client->kept);
    }
}

/* --- the course of things, by the driving thread ---------------------------------------------- */

static void end_for_good(goipc_client *client, goipc_error error, goipc_status status)
{
    client->stage = STAGE_ENDED;
    atomic_store(&client->ended, (int)error);
    atomic_store(&client->status, (int)status);
    wake_waiting(client);
}

static void begin_to_leave(goipc_client *client, goipc_error why)
{
    const int32_t timeout_ms = client->endpoint.options.close_timeout_ms;
    goipci_connection *connection = client->connection;

    client->connection = NULL;
    goipci_connection_leave(
        connection, why,
        goipci_deadline_after(timeout_ms == GOIPC_FOREVER ? LEAVE_TIMEOUT_MAX_MS : timeout_ms));
    goipci_list_append(&client->leaving, connection);
    /* Whether it is over already is asked again later: its messages may be lent out still. */
    (void)!goipci_connection_linger(connection, goipci_system_clock_ms());
}

static void dispose(goipc_client *client, goipci_connection *connection)
{
    assert(connection != client->lender);
    goipci_list_remove(&client->leaving, connection);
    goipci_connection_forget(connection);
    goipci_connection_drop(connection);
}

/* Goes on with connections that leave; only when nothing is lent out. */
static void see_off(goipc_client *client)
{
    goipci_connection *at = client->leaving.first;

    while (at != NULL) {
        goipci_connection *next = at->links[GOIPCI_LIST_PHASE].next;

        if (goipci_connection_linger(at, goipci_system_clock_ms()) ||
            client->leaving.count > LEAVING_MAX) {
            dispose(client, at);
        }
        at = next;
    }
}

/* Half of it is certain and half is chance, so that many clients of a server that comes back do not
 * all come at once. */
static int32_t with_jitter(int32_t pause_ms)
{
    uint8_t random[4];
    const uint32_t half = (uint32_t)pause_ms / 2;

    if (goipci_system_random(random, sizeof random) != GOIPC_ERROR_OK) {
        return pause_ms;
    }
    return pause_ms - (int32_t)(goipc_wire_get_u32(random) % (half + 1));
}

static void pause_before_retry(goipc_client *client)
{
    const int32_t doubled = client->pause_ms > client->retry_interval_ms / 2
                                ? client->retry_interval_ms
                                : client->pause_ms * 2;

    client->pause_ms = client->pause_ms == 0 ? PAUSE_FIRST_MS : doubled;
    client->pause_ms =
        client->pause_ms < client->retry_interval_ms ? client->pause_ms : client->retry_interval_ms;
    client->retry_at_ms = goipci_deadline_after(with_jitter(client->pause_ms));
    client->stage = STAGE_PAUSE;
}

/* Trying again could not help, or would only give an attacker another turn. req: CN-014 */
static bool is_final(goipc_error error)
{
    return error == GOIPC_ERROR_VERSION || error == GOIPC_ERROR_ENCRYPTION ||
           error == GOIPC_ERROR_REPLY || error == GOIPC_ERROR_PUBLIC_KEY ||
           error == GOIPC_ERROR_DECRYPT || error == GOIPC_ERROR_REFLECTED ||
           error == GOIPC_ERROR_CREDENTIALS || error == GOIPC_ERROR_CRYPTO_UNAVAILABLE;
}

/* What a person can do about it. */
static const char *remedy(goipc_error error)
{
    if (error == GOIPC_ERROR_NOT_FOUND) {
        return "; start the server, or check name and directory";
    }
    if (error == GOIPC_ERROR_ENCRYPTION) {
        return "; give both sides the same encryption setting";
    }
    if (error == GOIPC_ERROR_CREDENTIALS) {
        return "; whoever listens there is neither this user nor root: allow it with `peers` only "
               "if "
               "you know it";
    }
    if (error == GOIPC_ERROR_PERMISSION) {
        return "; the socket's mode does not let this user in";
    }
    return "";
}

/* An attempt to connect came to nothing. */
static void fail_attempt(goipc_client *client, goipc_error error, int system_error)
{
    goipci_endpoint *endpoint = &client->endpoint;

    if (client->connection != NULL) {
        begin_to_leave(client, error);
    }
    if (error != client->last_attempt) { /* told once, not at every retry */
        client->last_attempt = error;
        goipci_endpoint_fail(endpoint, is_final(error) ? GOIPC_LOG_ERROR : GOIPC_LOG_INFO, error,
                             system_error, "cannot connect to %s: %s%s", endpoint->address.text,
                             goipc_error_text(error), remedy(error));
    }
    if (is_final(error)) {
        end_for_good(client, error, GOIPC_STATUS_ERROR);
    } else {
        pause_before_retry(client);
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
        /* Before the first byte: whoever made the socket may not be whom we take him for. */
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
    client->stage = STAGE_GREET;
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
    client->stage = STAGE_OPEN;
    client->last_attempt = GOIPC_ERROR_OK;
    client->open_since_ms = goipci_system_clock_ms();
    client->traffic_before = traffic(client);
    atomic_fetch_add_explicit(&endpoint->counters.connects, 1, memory_order_relaxed);
    goipci_endpoint_log(endpoint, GOIPC_LOG_INFO, "connected to %s", endpoint->address.text);
    goipci_lock_take(&endpoint->lock);
    client->open = client->connection;
    goipci_lock_give(&endpoint->lock);
    tell(client, GOIPC_STATUS_CONNECTED, GOIPC_ERROR_OK);
}

/* Takes the handshake as far as it goes now. */
static void greet(goipc_client *client)
{
    int system_error;
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    goipc_error error;

    do {
        error = goipci_connection_next_event(client->connection, &event, &system_error);
    } while (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT &&
             client->connection->readable);
    if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT) {
        error = goipci_connection_end(client->connection); /* our own bytes may not get out */
    }
    if (error != GOIPC_ERROR_OK) {
        fail_attempt(client, error, system_error);
    } else if (event.type == GOIPC_EVENT_CONNECTED) {
        become_connected(client);
    }
}

static void begin_to_connect(goipc_client *client, goipc_status status)
{
    client->stage = STAGE_PAUSE;
    client->retry_at_ms = goipci_system_clock_ms();
    client->give_up_ms = goipci_deadline_after(client->timeout_ms);
    tell(client, status, GOIPC_ERROR_OK);
}

/* An established connection has ended. */
static void lose(goipc_client *client, goipc_error error, int system_error)
{
    goipci_endpoint *endpoint = &client->endpoint;
    const int64_t now_ms = goipci_system_clock_ms();
    bool was_useful;

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
    tell(client, GOIPC_STATUS_DISCONNECTED, error);
    if (is_final(error)) {
        end_for_good(client, error, GOIPC_STATUS_ERROR);
        return;
    }
    if (client->reconnect_off) {
        end_for_good(client, GOIPC_ERROR_DISCONNECTED, GOIPC_STATUS_DISCONNECTED);
        return;
    }
    was_useful = now_ms - client->open_since_ms >= client->retry_interval_ms ||
                 traffic(client) != client->traffic_before;
    begin_to_connect(client, GOIPC_STATUS_RECONNECTING);
    if (was_useful) {
        client->pause_ms = 0;
    } else {
        pause_before_retry(client); /* a server that lets us in and drops us at once */
    }
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
                         endpoint->address.text, (long)client->timeout_ms,
                         last.error == GOIPC_ERROR_OK ? "no answer" : last.text);
    tell(client, GOIPC_STATUS_TIMEOUT, GOIPC_ERROR_OK);
    end_for_good(client, GOIPC_ERROR_TIMEOUT, GOIPC_STATUS_TIMEOUT);
}

/* When something is to be done without input. */
static int64_t next_deadline(const goipc_client *client)
{
    int64_t deadline_ms = INT64_MAX;

    if (client->leaving.first != NULL) {
        deadline_ms = client->leaving.first->deadline_ms;
    }
    if (client->stage == STAGE_IDLE) {
        return 0;
    }
    if (client->stage == STAGE_PAUSE && client->retry_at_ms < deadline_ms) {
        deadline_ms = client->retry_at_ms;
    }
    if (client->stage == STAGE_GREET && client->connection->deadline_ms < deadline_ms) {
        deadline_ms = client->connection->deadline_ms;
    }
    if ((client->stage == STAGE_PAUSE || client->stage == STAGE_GREET) &&
        client->give_up_ms < deadline_ms) {
        deadline_ms = client->give_up_ms;
    }
    return deadline_ms;
}

static void act_on_time(goipc_client *client)
{
    const int64_t now_ms = goipci_system_clock_ms();

    if (client->stage != STAGE_PAUSE && client->stage != STAGE_GREET) {
        return;
    }
    if (client->give_up_ms <= now_ms) {
        give_up(client);
    } else if (client->stage == STAGE_GREET && client->connection->deadline_ms <= now_ms) {
        fail_attempt(client, GOIPC_ERROR_HANDSHAKE_TIMEOUT, 0);
    } else if (client->stage == STAGE_PAUSE && client->retry_at_ms <= now_ms) {
        dial(client);
    }
}

static goipc_error look(goipc_client *client, int32_t timeout_ms)
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

/* Moves things along: waits at most `timeout_ms` for input or for a time to come, and acts on it.
 * Errors: FORKED, INTERRUPTED, SYSTEM. */
static goipc_error drive(goipc_client *client, int32_t timeout_ms)
{
    const size_t told = atomic_load(&client->change_count);
    goipc_error error = goipci_endpoint_check_process(&client->endpoint);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (client->stage == STAGE_IDLE) {
        begin_to_connect(client, GOIPC_STATUS_CONNECTING);
    }
    act_on_time(client);
    if (atomic_load(&client->change_count) != told) {
        timeout_ms = 0; /* there is something to tell already */
    }
    timeout_ms = goipci_timeout_min(timeout_ms, goipci_deadline_left(next_deadline(client)));
    error = look(client, timeout_ms);
    if (error == GOIPC_ERROR_OK && client->stage == STAGE_GREET) {
        greet(client);
    }
    if (error == GOIPC_ERROR_OK) {
        act_on_time(client);
    }
    if (client->leaving.count > 0) {
        see_off(client);
    }
    atomic_store(&client->wake_at_ms, next_deadline(client));
    return error;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void give_message(goipc_client *client, const goipc_event *event, goipc_message *message)
{
    goipci_counters *counters = &client->endpoint.counters;

    *message = (goipc_message){
        .type = event->message_type,
        .data = event->data,
        .data_size = event->data_size,
        .status = GOIPC_STATUS_CONNECTED,
    };
    client->lender = client->connection;
    /* Only the reading thread counts these, so no locked operation is needed. */
    atomic_store_explicit(&counters->messages_in,
                          atomic_load_explicit(&counters->messages_in, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&counters->bytes_in,
                          atomic_load_explicit(&counters->bytes_in, memory_order_relaxed) +
                              event->data_size,
                          memory_order_relaxed);
}

/* What the open connection has, without waiting. Reads from the stream only before the first
 * message: what was given must stay where it is. */
static void gather(goipc_client *client, goipc_message *messages, size_t capacity, size_t *count)
{
    goipci_connection *connection = client->connection;

    if (client->has_stash) {
        client->has_stash = false;
        give_message(client, &client->stash, &messages[(*count)++]);
    }
    while (*count < capacity && (*count == 0 || goipci_session_has_event(connection->session))) {
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
            /* A failed sending half tells more than the end that it has brought about. */
            const goipc_error end = goipci_connection_end(connection);

            lose(client, end != GOIPC_ERROR_OK ? end : error, system_error);
            return;
        }
        if (event.type == GOIPC_EVENT_MESSAGE) {
            give_message(client, &event, &messages[(*count)++]);
        }
    }
}

static goipc_error read_some(goipc_client *client, int32_t timeout_ms, int64_t deadline_ms,
                             goipc_message *messages, size_t capacity, size_t *count)
{
    int32_t left = timeout_ms;
    bool looked = false;

    return_lent(client);
    for (;;) {
        goipc_error error;

        while (*count < capacity && take_change(client, &messages[*count])) {
            (*count)++;
        }
        if (*count == 0 && client->stage == STAGE_OPEN) {
            gather(client, messages, capacity, count);
        }
        if (*count > 0) {
            return GOIPC_ERROR_OK;
        }
        if (atomic_load(&client->change_count) > 0) {
            continue; /* the connection ended just now */
        }
        if (client->stage == STAGE_ENDED) {
            return (goipc_error)atomic_load(&client->ended);
        }
        if (looked && left == 0) {
            return timeout_ms == 0 ? GOIPC_ERROR_WOULD_BLOCK : GOIPC_ERROR_TIMEOUT;
        }
        if (timeout_ms > 0) {
            deadline_ms = deadline_ms != 0 ? deadline_ms : goipci_deadline_after(timeout_ms);
            left = goipci_deadline_left(deadline_ms);
        }
        error = drive(client, left);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        looked = true;
    }
}

static goipc_error drive_and_read(goipc_client *client, int32_t timeout_ms, goipc_message *messages,
                                  size_t capacity, size_t *count)
{
    int64_t deadline_ms = 0;
    bool drives = try_to_drive(client);
    goipc_error error = GOIPC_ERROR_OK;

    if (!drives) {
        deadline_ms = goipci_deadline_after(timeout_ms);
        error = wait_to_drive(client, deadline_ms, false, &drives);
        if (error == GOIPC_ERROR_TIMEOUT && timeout_ms == 0) {
            error = GOIPC_ERROR_WOULD_BLOCK;
        }
    }
    if (!drives) {
        return error;
    }
    error = read_some(client, timeout_ms, deadline_ms, messages, capacity, count);
    stop_driving(client);
    return error;
}

goipc_error goipc_client_read_batch(goipc_client *client, int32_t timeout_ms,
                                    goipc_message *messages, size_t capacity, size_t *count)
{
    goipc_error error;

    assert(client != NULL && messages != NULL && count != NULL);
    *count = 0;
    if (timeout_ms < GOIPC_FOREVER || capacity == 0) {
        return GOIPC_ERROR_ARGUMENT;
    }
    error = goipci_endpoint_enter_read(&client->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    capacity = capacity < BATCH_MAX ? capacity : BATCH_MAX;
    error = drive_and_read(client, timeout_ms, messages, capacity, count);
    return goipci_endpoint_exit_read(&client->endpoint, error, timeout_ms);
}

goipc_error goipc_client_read(goipc_client *client, int32_t timeout_ms, goipc_message *message)
{
    size_t count;

    return goipc_client_read_batch(client, timeout_ms, message, 1, &count);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The open connection, held, if it is good for writing. *end says why not. */
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

/* A writing thread drives, and the connection is open but cannot be written to. When all that the
 * peer sent was read, it is given up. False when the reader must come first. */
static bool bury(goipc_client *client, goipc_error end)
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
    lose(client, end, system_error);
    return true;
}

/* One step towards a connection by a writing thread that drives. */
static goipc_error drive_to_write(goipc_client *client, goipc_error end, int32_t timeout_ms)
{
    goipc_error error;

    if (client->stage == STAGE_ENDED || (client->stage == STAGE_OPEN && end == GOIPC_ERROR_OK)) {
        return GOIPC_ERROR_OK;
    }
    error = keep_lent(client);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (client->stage == STAGE_OPEN) {
        return bury(client, end) ? GOIPC_ERROR_OK : end;
    }
    return drive(client, timeout_ms);
}

/* Errors: what ended the client, why the last connection ended while some of it is unread, TIMEOUT,
 * NOT_CONNECTED (the timeout is GOIPC_NO_WAIT), INTERRUPTED, CLOSED, FORKED, MEMORY, SYSTEM. */
static goipc_error connect_to_write(goipc_client *client, int64_t deadline_ms, bool no_wait,
                                    goipci_connection **connection)
{
    goipc_error error = GOIPC_ERROR_OK;

    for (;;) {
        const goipc_error ended = (goipc_error)atomic_load(&client->ended);
        goipc_error end;
        bool drives;

        *connection = hold_open(client, &end);
        if (*connection != NULL) {
            return GOIPC_ERROR_OK;
        }
        if (ended != GOIPC_ERROR_OK || error != GOIPC_ERROR_OK) {
            return ended != GOIPC_ERROR_OK ? ended : error;
        }
        error = wait_to_drive(client, deadline_ms, end == GOIPC_ERROR_OK, &drives);
        if (error == GOIPC_ERROR_OK && drives) {
            const int32_t left = goipci_deadline_left(deadline_ms);

            error = drive_to_write(client, end, left);
            stop_driving(client);
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
                               size_t *taken)
{
    const int32_t timeout_ms = client->endpoint.options.write_timeout_ms;
    goipci_connection *connection;
    goipc_error end;
    goipc_error error;
    int32_t left = timeout_ms;

    connection = hold_open(client, &end);
    if (connection == NULL) {
        /* The clock is read only when there is something to wait for. */
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

goipc_error goipc_client_write_batch(goipc_client *client, const goipc_outgoing *messages,
                                     size_t count, size_t *taken)
{
    goipc_error error;

    assert(client != NULL && (messages != NULL || count == 0) && taken != NULL);
    *taken = 0;
    for (size_t i = 0; i < count; i++) {
        if (messages[i].type == 0 && i == 0) {
            return GOIPC_ERROR_TYPE_RESERVED; /* no need to connect for that */
        }
    }
    error = goipci_endpoint_enter(&client->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = write_batch(client, messages, count, taken);
    return goipci_endpoint_exit_wait(&client->endpoint, error);
}

goipc_error goipc_client_write(goipc_client *client, uint32_t type, const void *data,
                               size_t data_size)
{
    const goipc_outgoing message = {type, data, data_size};
    size_t taken;

    return goipc_client_write_batch(client, &message, 1, &taken);
}

void goipc_client_cork(goipc_client *client)
{
    goipci_endpoint_cork(&client->endpoint);
}

goipc_error goipc_client_flush(goipc_client *client, int32_t timeout_ms)
{
    goipc_error error;

    assert(client != NULL);
    if (timeout_ms < GOIPC_FOREVER) {
        return GOIPC_ERROR_ARGUMENT;
    }
    error = goipci_endpoint_enter(&client->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = goipci_endpoint_flush(&client->endpoint, timeout_ms);
    return goipci_endpoint_exit_wait(&client->endpoint, error);
}

/* --- looking and asking ----------------------------------------------------------------------- */

goipc_status goipc_client_status(goipc_client *client)
{
    goipc_status status;

    goipci_endpoint_enter_look(&client->endpoint);
    status = atomic_load(&client->endpoint.closing) ? GOIPC_STATUS_CLOSED
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

void goipc_client_interrupt(goipc_client *client)
{
    goipci_endpoint_interrupt(&client->endpoint);
}

void goipc_client_resume(goipc_client *client)
{
    goipci_endpoint_resume(&client->endpoint);
}

/* --- close ------------------------------------------------------------------------------------ */

static void finish_leaving(goipc_client *client)
{
    const int64_t deadline_ms = goipci_deadline_after(client->endpoint.options.close_timeout_ms);

    return_lent(client);
    goipci_lock_take(&client->endpoint.lock);
    client->open = NULL; /* for those who look */
    goipci_lock_give(&client->endpoint.lock);
    if (client->connection != NULL) {
        goipci_connection_leave(client->connection, GOIPC_ERROR_CLOSED, deadline_ms);
        goipci_list_append(&client->leaving, client->connection);
        client->connection = NULL;
    }
    see_off(client);
    while (client->leaving.first != NULL) {
        const int32_t left = goipci_deadline_left(client->leaving.last->deadline_ms);

        if (look(client, left) != GOIPC_ERROR_OK || left == 0) {
            dispose(client, client->leaving.first);
        }
        see_off(client);
    }
}

/* In a child after fork, where the socket is the parent's: closes its copy and says nothing. */
static void abandon_all(goipc_client *client)
{
    goipci_poller_abandon(client->endpoint.poller);
    return_lent(client);
    if (client->connection != NULL) {
        goipci_list_append(&client->leaving, client->connection);
        client->connection = NULL;
    }
    while (client->leaving.first != NULL) {
        dispose(client, client->leaving.first);
    }
}

static void release_client(goipc_client *client)
{
    const goipc_allocator *allocator = client->endpoint.allocator;

    goipci_endpoint_wipe(&client->endpoint);
    goipci_release(allocator, client, sizeof *client);
}

void goipc_client_close(goipc_client *client)
{
    if (client == NULL) {
        return;
    }
    if (goipci_endpoint_check_process(&client->endpoint) != GOIPC_ERROR_OK) {
        /* As in goipc_server_close. */
        if (atomic_load(&client->endpoint.inside) == 0) {
            abandon_all(client);
            release_client(client);
        }
        return;
    }
    goipci_endpoint_evict(&client->endpoint);
    goipci_poller_resume(client->endpoint.poller);
    finish_leaving(client);
    goipci_endpoint_evict(&client->endpoint);
    release_client(client);
}
