/* SPDX-License-Identifier: MIT */
/*
 * A server's public functions. One thread at a time is inside read and runs the loop (serve.c).
 * Every other thread may write meanwhile: a write finds its client in the table, under the
 * endpoint's lock, and sends on that connection, under the connection's lock (send.c).
 */
#include "endpoint/server.h"
#include "endpoint/name_watch.h"
#include "endpoint/send.h"

#include <stdio.h>

enum {
    MODE_DEFAULT = 0600,
    MODE_UNMASKED = 0777,
    MODE_MAX = 0777,
};

/* --- start ------------------------------------------------------------------------------------ */

static void init_lists(goipc_server *server)
{
    server->handshaking.kind = GOIPCI_LIST_PHASE;
    server->clients.kind = GOIPCI_LIST_PHASE;
    server->ready_clients.kind = GOIPCI_LIST_READY_CLIENT;
    server->ready_others.kind = GOIPCI_LIST_READY_OTHER;
    server->paused.kind = GOIPCI_LIST_PAUSED;
    server->warm.kind = GOIPCI_LIST_WARM;
}

/* Not forever: one client that does not read must not block the server. */
static goipc_full_policy choose_policy(const goipc_server_config *config)
{
    if (config->full_policy != GOIPC_FULL_DEFAULT) {
        return config->full_policy;
    }
    return config->clients_max > 1 && config->options.write_timeout_ms == 0 ? GOIPC_FULL_REPORT
                                                                            : GOIPC_FULL_WAIT;
}

static uint32_t choose_mode(const goipc_server_config *config)
{
    if (config->socket_mode != 0) {
        return config->socket_mode;
    }
    return config->unmask_permissions ? MODE_UNMASKED : MODE_DEFAULT;
}

static goipc_error start(goipci_endpoint *endpoint, const char *name, const void *given,
                         goipc_failure *failure)
{
    goipc_server *server = (goipc_server *)(void *)endpoint;
    const goipc_server_config *config = given;
    goipc_error error;

    if (!GOIPCI_IS_UNUSED(config)) {
        snprintf(failure->text, sizeof failure->text, GOIPCI_RESERVED_TEXT, name);
        failure->error = GOIPC_ERROR_ARGUMENT;
        return failure->error;
    }
    if (config->socket_mode > MODE_MAX) {
        snprintf(failure->text, sizeof failure->text,
                 "socket_mode %#lo has other than permission bits",
                 (unsigned long)config->socket_mode);
        failure->error = GOIPC_ERROR_ARGUMENT;
        return failure->error;
    }
    if (config->full_policy < GOIPC_FULL_DEFAULT || config->full_policy > GOIPC_FULL_WAIT) {
        snprintf(failure->text, sizeof failure->text,
                 "full_policy is not a value of goipc_full_policy, for \"%.100s\"", name);
        failure->error = GOIPC_ERROR_ARGUMENT;
        return failure->error;
    }
    server->admission.clients_max = config->clients_max == 0 ? 1 : config->clients_max;
    server->full_policy = choose_policy(config);
    init_lists(server);
    /* If the random source fails, an attacker can guess the buckets; nothing else depends on it. */
    (void)!goipci_system_random((uint8_t *)&server->shares.key, sizeof server->shares.key);
    error = goipci_endpoint_init(endpoint, GOIPC_ROLE_SERVER, name, &config->options, failure);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (config->options.peers == GOIPC_PEERS_DEFAULT && config->unmask_permissions) {
        endpoint->peers = GOIPC_PEERS_ANY;
    }
    server->socket_mode = choose_mode(config);
    server->rebinds = config->rebind_name;
    error = goipci_name_watch_listen(server, failure);
    if (error != GOIPC_ERROR_OK) {
        goipci_endpoint_wipe(endpoint);
    }
    return error;
}

/* --- what the driver asks of a server --------------------------------------------------------- */

static goipc_server *server_of(goipci_endpoint *endpoint)
{
    return (goipc_server *)(void *)endpoint;
}

static goipc_error begin_read(goipci_endpoint *endpoint, int32_t timeout_ms, int64_t *deadline_ms)
{
    (void)timeout_ms;
    (void)deadline_ms;
    goipci_serve_tidy(server_of(endpoint));
    return GOIPC_ERROR_OK;
}

static void end_read(goipci_endpoint *endpoint)
{
    (void)endpoint;
}

static goipc_error gather(goipci_endpoint *endpoint, goipc_message *messages, size_t capacity,
                          size_t *count)
{
    *count = goipci_serve_gather(server_of(endpoint), messages, capacity);
    return GOIPC_ERROR_OK;
}

static goipc_error run_once(goipci_endpoint *endpoint, int32_t timeout_ms)
{
    return goipci_serve_wait(server_of(endpoint), timeout_ms);
}

static void move_all(goipci_list *from, goipci_list *to)
{
    while (from->first != NULL) {
        goipci_connection *connection = from->first;

        goipci_list_remove(from, connection);
        goipci_list_append(to, connection);
    }
}

static void begin_close(goipci_endpoint *endpoint, bool abandoned)
{
    goipc_server *server = server_of(endpoint);

    if (!abandoned) {
        goipci_poller_forget_listener(endpoint->poller, server->listener, &server->listener_known);
    }
    goipci_listener_close(server->listener, !abandoned);
    move_all(&server->handshaking, &endpoint->leaving);
    goipci_lock_take(&endpoint->lock); /* a query may be reading the table */
    goipci_client_table_wipe(&server->table, endpoint->allocator);
    move_all(&server->clients, &endpoint->leaving);
    goipci_lock_give(&endpoint->lock);
}

static void wipe(goipci_endpoint *endpoint)
{
    (void)endpoint; /* begin_close has released the server's own fields */
}

static const goipci_role server_role = {
    sizeof(goipc_server), start, begin_read, end_read, gather, run_once, begin_close, wipe,
};

goipc_error goipc_server_start(const char *name, const goipc_server_config *config,
                               goipc_server **server)
{
    static const goipc_server_config defaults = {.clients_max = 1};
    goipci_endpoint *endpoint;
    goipc_error error;

    assert(name != NULL && server != NULL);
    config = config != NULL ? config : &defaults;
    error = goipci_driver_start(&server_role, name, config, &config->options, &endpoint);
    *server = endpoint == NULL ? NULL : server_of(endpoint);
    return error;
}

void goipc_server_close(goipc_server *server)
{
    if (server != NULL) {
        goipci_driver_close(&server->endpoint);
    }
}

goipc_error goipc_server_read_batch(goipc_server *server, int32_t timeout_ms,
                                    goipc_message *messages, size_t capacity, size_t *count)
{
    assert(server != NULL);
    return goipci_driver_read(&server->endpoint, timeout_ms, messages, capacity, count);
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
    connection = goipci_client_table_find(&server->table, id);
    if (connection != NULL) {
        goipci_connection_hold(connection);
    }
    goipci_lock_give(&server->endpoint.lock);
    return connection;
}

/* What one write does with a client whose queue is full. */
typedef struct full_rule {
    goipc_full_policy policy;
    int32_t timeout_ms;      /* for the policy WAIT */
    goipc_client_id *missed; /* clients that did not get the message; `capacity` elements */
    size_t capacity;
    size_t missed_count;
} full_rule;

static full_rule rule_of(const goipc_server *server)
{
    return (full_rule){.policy = server->full_policy,
                       .timeout_ms = server->full_policy == GOIPC_FULL_WAIT
                                         ? server->endpoint.options.write_timeout_ms
                                         : GOIPC_NO_WAIT};
}

/* The result of a write to this client, after applying the policy. */
static goipc_error apply_policy(goipci_connection *connection, full_rule *rule, goipc_error error)
{
    if (error == GOIPC_ERROR_WOULD_BLOCK && rule->policy != GOIPC_FULL_WAIT) {
        error = GOIPC_ERROR_QUEUE_FULL;
        if (rule->policy == GOIPC_FULL_DISCONNECT) {
            goipci_connection_request_leave(connection, error);
        }
    }
    if (error != GOIPC_ERROR_OK) {
        if (rule->missed_count < rule->capacity) {
            rule->missed[rule->missed_count] = connection->id;
        }
        rule->missed_count++;
    }
    return error;
}

static goipc_error write_to_one(goipc_server *server, goipc_client_id to,
                                const goipc_outgoing *messages, size_t count, full_rule *rule,
                                size_t *taken)
{
    goipci_connection *connection = hold_client(server, to);
    goipc_error error;

    *taken = 0;
    if (connection == NULL) {
        return GOIPC_ERROR_NOT_CONNECTED;
    }
    error = goipci_connection_send(connection, messages, count, rule->timeout_ms, false, taken);
    error = apply_policy(connection, rule, error);
    goipci_connection_drop(connection);
    return error;
}

/* All current clients, each with a reference, in an array that the caller releases. */
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

/* Writes to each client that has room now. The others move to the front of `all`. */
static goipc_error write_at_once(goipci_connection **all, size_t count,
                                 const goipc_outgoing *message, full_rule *rule, size_t *slow_count)
{
    goipc_error first_error = GOIPC_ERROR_OK;
    size_t taken;

    *slow_count = 0;
    for (size_t i = 0; i < count; i++) {
        goipc_error error =
            goipci_connection_send(all[i], message, 1, GOIPC_NO_WAIT, false, &taken);

        if (error == GOIPC_ERROR_WOULD_BLOCK && rule->policy == GOIPC_FULL_WAIT) {
            goipci_connection *slow = all[i];

            all[i] = all[*slow_count];
            all[(*slow_count)++] = slow;
        } else if (error != GOIPC_ERROR_NOT_CONNECTED) { /* not missed: it has disconnected */
            error = apply_policy(all[i], rule, error);
            first_error = first_error == GOIPC_ERROR_OK ? error : first_error;
        }
    }
    return first_error;
}

/* Writes first to the clients that have room, so that a slow client delays no other; then the slow
 * clients share one timeout. */
static goipc_error write_to_each(goipci_connection **all, size_t count,
                                 const goipc_outgoing *message, full_rule *rule)
{
    int64_t deadline_ms = 0;
    size_t slow_count, taken;
    goipc_error first_error = write_at_once(all, count, message, rule, &slow_count);

    for (size_t i = 0; i < slow_count; i++) {
        int32_t left = rule->timeout_ms;
        goipc_error error;

        if (left != GOIPC_NO_WAIT) {
            deadline_ms = deadline_ms != 0 ? deadline_ms : goipci_deadline_after(left);
            left = goipci_deadline_left(deadline_ms);
        }
        error = goipci_connection_send(all[i], message, 1, left == 0 ? GOIPC_NO_WAIT : left, false,
                                       &taken);
        if (left == 0 && error == GOIPC_ERROR_WOULD_BLOCK) {
            error = GOIPC_ERROR_TIMEOUT;
        }
        error = apply_policy(all[i], rule, error);
        first_error = first_error == GOIPC_ERROR_OK ? error : first_error;
    }
    return first_error;
}

static goipc_error write_to_all(goipc_server *server, const goipc_outgoing *messages, size_t count,
                                full_rule *rule, size_t *taken)
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
        error = write_to_each(all, all_count, &messages[*taken], rule);
        *taken += error == GOIPC_ERROR_OK ? 1 : 0;
    }
    for (size_t i = 0; i < all_count; i++) {
        goipci_connection_drop(all[i]);
    }
    goipci_release(allocator, all, all_count * sizeof *all);
    return error;
}

/* A message that every client would refuse is refused even without clients. */
static goipc_error check_messages(const goipc_server *server, const goipc_outgoing *messages,
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

static goipc_error write_by_rule(goipc_server *server, goipc_client_id to,
                                 const goipc_outgoing *messages, size_t count, full_rule *rule,
                                 size_t *taken)
{
    goipc_error error;

    assert(server != NULL && (messages != NULL || count == 0) && taken != NULL);
    *taken = 0;
    error = goipci_endpoint_enter(&server->endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (to != GOIPC_CLIENT_ALL) {
        error = write_to_one(server, to, messages, count, rule, taken);
    } else {
        error = check_messages(server, messages, count);
        if (error == GOIPC_ERROR_OK) {
            error = write_to_all(server, messages, count, rule, taken);
        }
    }
    return goipci_endpoint_exit_wait(&server->endpoint, error);
}

goipc_error goipc_server_write_batch(goipc_server *server, goipc_client_id to,
                                     const goipc_outgoing *messages, size_t count, size_t *taken)
{
    full_rule rule = rule_of(server);

    return write_by_rule(server, to, messages, count, &rule, taken);
}

goipc_error goipc_server_write_within(goipc_server *server, goipc_client_id to,
                                      const goipc_outgoing *messages, size_t count,
                                      int32_t timeout_ms, size_t *taken)
{
    full_rule rule = {.policy = GOIPC_FULL_WAIT,
                      .timeout_ms = timeout_ms == 0 ? GOIPC_NO_WAIT : timeout_ms};

    *taken = 0;
    if (timeout_ms < GOIPC_FOREVER) {
        return goipci_endpoint_note(&server->endpoint, GOIPC_ERROR_ARGUMENT);
    }
    return write_by_rule(server, to, messages, count, &rule, taken);
}

goipc_error goipc_server_write_each(goipc_server *server, uint32_t type, const void *data,
                                    size_t data_size, goipc_client_id *missed, size_t capacity,
                                    size_t *missed_count)
{
    const goipc_outgoing message = {type, data, data_size};
    full_rule rule = rule_of(server);
    size_t taken;
    goipc_error error;

    assert((missed != NULL || capacity == 0) && missed_count != NULL);
    rule.missed = missed;
    rule.capacity = capacity;
    error = write_by_rule(server, GOIPC_CLIENT_ALL, &message, 1, &rule, &taken);
    *missed_count = rule.missed_count;
    return error;
}

goipc_error goipc_server_write(goipc_server *server, goipc_client_id to, uint32_t type,
                               const void *data, size_t data_size)
{
    const goipc_outgoing message = {type, data, data_size};
    size_t taken;

    return goipc_server_write_batch(server, to, &message, 1, &taken);
}

size_t goipc_server_queued(goipc_server *server, goipc_client_id client)
{
    goipci_connection *connection;
    size_t size = 0;

    goipci_endpoint_enter_look(&server->endpoint);
    connection = hold_client(server, client);
    if (connection != NULL) {
        size = goipci_connection_queued(connection);
        goipci_connection_drop(connection);
    }
    goipci_endpoint_exit(&server->endpoint);
    return size;
}

void goipc_server_cork(goipc_server *server)
{
    goipci_endpoint_cork(&server->endpoint);
}

goipc_error goipc_server_flush(goipc_server *server, int32_t timeout_ms)
{
    assert(server != NULL);
    return goipci_driver_flush(&server->endpoint, timeout_ms);
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
        goipci_connection_request_leave(connection, GOIPC_ERROR_CLOSED);
        goipci_connection_drop(connection);
    }
    (void)goipci_endpoint_note(&server->endpoint, error);
    goipci_endpoint_exit(&server->endpoint);
    return error;
}

goipc_error goipc_server_credentials(goipc_server *server, goipc_client_id client,
                                     goipc_credentials *credentials)
{
    const goipci_connection *connection;
    goipc_error error;
    bool found;

    assert(server != NULL && credentials != NULL);
    goipci_endpoint_enter_look(&server->endpoint);
    goipci_lock_take(&server->endpoint.lock);
    connection = goipci_client_table_find(&server->table, client);
    if (connection != NULL) {
        *credentials = connection->credentials;
    }
    goipci_lock_give(&server->endpoint.lock);
    found = connection != NULL;
    error =
        goipci_endpoint_note(&server->endpoint, found ? GOIPC_ERROR_OK : GOIPC_ERROR_NOT_CONNECTED);
    goipci_endpoint_exit(&server->endpoint);
    return error;
}

goipc_error goipc_server_set_user(goipc_server *server, goipc_client_id client, void *user)
{
    goipci_connection *connection;
    goipc_error error = goipci_endpoint_enter(&server->endpoint);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    connection = hold_client(server, client);
    if (connection == NULL) {
        error = goipci_endpoint_note(&server->endpoint, GOIPC_ERROR_NOT_CONNECTED);
    } else {
        atomic_store_explicit(&connection->user, user, memory_order_relaxed);
        goipci_connection_drop(connection);
    }
    goipci_endpoint_exit(&server->endpoint);
    return error;
}

goipc_status goipc_server_status(goipc_server *server)
{
    goipc_status status;

    goipci_endpoint_enter_look(&server->endpoint);
    status =
        atomic_load(&server->client_count) > 0 ? GOIPC_STATUS_CONNECTED : GOIPC_STATUS_LISTENING;
    status = goipci_endpoint_is_stopped(&server->endpoint) ? GOIPC_STATUS_CLOSED : status;
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
    /* During close the lists belong to the closing thread. */
    if (!atomic_load(&server->endpoint.closing) && !goipci_serve_is_ready(server)) {
        timeout_ms = goipci_timeout_min(goipci_deadline_left(goipci_serve_deadline(server)),
                                        goipci_deadline_left(goipci_name_watch_due_ms(server)));
    }
    goipci_endpoint_exit(&server->endpoint);
    return timeout_ms;
}

/* The endpoint is the first member of what the argument points to. That may be NULL or closed, so
 * it is only compared. */
void goipc_server_interrupt(goipc_server *server)
{
    goipci_endpoint_interrupt((goipci_endpoint *)(void *)server);
}

void goipc_server_stop(goipc_server *server)
{
    goipci_endpoint_stop((goipci_endpoint *)(void *)server);
}

void goipc_server_resume(goipc_server *server)
{
    goipci_endpoint_resume(&server->endpoint);
}
