/* SPDX-License-Identifier: MIT */
/* driver.h */
#include "endpoint/driver.h"
#include "endpoint/registry.h"
#include "endpoint/send.h"

#include <stdio.h>

enum {
    READY_COUNT = 64,
    FLUSH_SLICE_MS = 20,         /* longest wait for one peer while other peers have output, too */
    LEAVE_TIMEOUT_MAX_MS = 1000, /* for one connection, if close_timeout_ms has no limit */
};

/* --- start ------------------------------------------------------------------------------------ */

/* Starts `made` and registers it. On failure it is released. */
static goipc_error start(goipci_endpoint *made, const goipci_role *role, const char *name,
                         const void *config, const goipc_allocator *allocator,
                         goipc_failure *failure)
{
    goipc_error error;

    made->role_functions = role;
    error = role->start(made, name, config, failure);
    if (error != GOIPC_ERROR_OK) {
        goipci_release(allocator, made, role->size);
        return error;
    }
    error = goipci_registry_add(made); /* last: from now on a signal handler may use it */
    if (error != GOIPC_ERROR_OK) {
        goipci_driver_close(made);
    }
    return error;
}

goipc_error goipci_driver_start(const goipci_role *role, const char *name, const void *config,
                                const goipc_options *options, goipci_endpoint **endpoint)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(options->allocator);
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipci_endpoint *made = goipci_allocate_zeroed(allocator, role->size);
    const goipc_error error =
        made == NULL ? GOIPC_ERROR_MEMORY : start(made, role, name, config, allocator, &failure);

    *endpoint = error == GOIPC_ERROR_OK ? made : NULL;
    failure.error = error;
    if (error != GOIPC_ERROR_OK && failure.text[0] == '\0') {
        snprintf(failure.text, sizeof failure.text, "cannot start \"%.100s\": %s", name,
                 goipc_error_text(error));
    }
    if (options->failure != NULL) {
        *options->failure = failure;
    }
    return error;
}

/* --- read ------------------------------------------------------------------------------------- */

static goipc_error read_some(goipci_endpoint *endpoint, int32_t timeout_ms, int64_t deadline_ms,
                             goipc_message *messages, size_t capacity, size_t *count)
{
    const goipci_role *role = endpoint->role_functions;
    int32_t left = timeout_ms;
    bool polled = false;

    for (;;) {
        goipc_error error = role->gather(endpoint, messages, capacity, count);

        if (error != GOIPC_ERROR_OK || *count > 0) {
            return error;
        }
        if (polled && left == 0) {
            return timeout_ms == 0 ? GOIPC_ERROR_WOULD_BLOCK : GOIPC_ERROR_TIMEOUT;
        }
        if (timeout_ms > 0) {
            deadline_ms = deadline_ms != 0 ? deadline_ms : goipci_deadline_after(timeout_ms);
            left = goipci_deadline_left(deadline_ms);
        }
        error = goipci_endpoint_check_process(endpoint);
        if (error == GOIPC_ERROR_OK) {
            error = role->run_once(endpoint, left);
        }
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        polled = true;
    }
}

goipc_error goipci_driver_read(goipci_endpoint *endpoint, int32_t timeout_ms,
                               goipc_message *messages, size_t capacity, size_t *count)
{
    const goipci_role *role = endpoint->role_functions;
    int64_t deadline_ms = 0;
    goipc_error error;

    assert(messages != NULL && count != NULL);
    *count = 0;
    if (timeout_ms < GOIPC_FOREVER || capacity == 0) {
        return goipci_endpoint_note(endpoint, GOIPC_ERROR_ARGUMENT);
    }
    error = goipci_endpoint_enter_read(endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    /* Check here, too: a peer that never stops sending would keep this loop from waiting. */
    error = atomic_load(&endpoint->interrupted)
                ? GOIPC_ERROR_INTERRUPTED
                : role->begin_read(endpoint, timeout_ms, &deadline_ms);
    if (error == GOIPC_ERROR_OK) {
        error = read_some(endpoint, timeout_ms, deadline_ms, messages, capacity, count);
        role->end_read(endpoint);
    }
    return goipci_endpoint_exit_read(endpoint, error, timeout_ms);
}

/* --- flush ------------------------------------------------------------------------------------ */

/* The first connection with output, with a reference. It moves to the end of the list, so that the
 * next call returns another one. */
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

/* Sends to every peer what fits at once. Then it waits for each peer in turn, at most
 * FLUSH_SLICE_MS, so that a peer that does not read does not delay the others. */
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
        /* The output of a disconnected peer is dropped; its status change reports that. */
        if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_TIMEOUT &&
            goipc_error_classify(error) != GOIPC_ERROR_CLASS_PEER) {
            return error;
        }
        at_once -= at_once > 0 ? 1 : 0;
    }
    return GOIPC_ERROR_OK;
}

goipc_error goipci_driver_flush(goipci_endpoint *endpoint, int32_t timeout_ms)
{
    goipc_error error;

    if (timeout_ms < GOIPC_FOREVER) {
        return goipci_endpoint_note(endpoint, GOIPC_ERROR_ARGUMENT);
    }
    error = goipci_endpoint_enter(endpoint);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    atomic_store(&endpoint->corked, false);
    error = flush_all(endpoint, goipci_deadline_after(timeout_ms));
    if (error == GOIPC_ERROR_TIMEOUT && timeout_ms == 0) {
        error = GOIPC_ERROR_WOULD_BLOCK;
    }
    return goipci_endpoint_exit_wait(endpoint, error);
}

/* --- leaving and closing ---------------------------------------------------------------------- */

bool goipci_driver_leave(goipci_connection *connection, goipc_error why)
{
    goipci_endpoint *endpoint = connection->endpoint;
    const int32_t timeout_ms = endpoint->options.close_timeout_ms;

    goipci_connection_leave(
        connection, why,
        goipci_deadline_after(timeout_ms == GOIPC_FOREVER ? LEAVE_TIMEOUT_MAX_MS : timeout_ms));
    goipci_list_append(&endpoint->leaving, connection);
    return goipci_connection_linger(connection, goipci_system_clock_ms());
}

/* Closes all connections concurrently, until the deadline. */
static void finish_leaving(goipci_endpoint *endpoint)
{
    const int64_t deadline_ms = goipci_deadline_after(endpoint->options.close_timeout_ms);
    goipci_list *leaving = &endpoint->leaving;
    goipci_ready ready[READY_COUNT];
    goipci_connection *at = leaving->first;
    size_t count;

    while (at != NULL) {
        goipci_connection *next = at->links[GOIPCI_LIST_PHASE].next;

        if (at->phase < GOIPCI_PHASE_FLUSHING) {
            goipci_connection_leave(at, GOIPC_ERROR_CLOSED, deadline_ms);
        }
        if (goipci_connection_linger(at, goipci_system_clock_ms())) {
            goipci_connection_destroy(at);
        }
        at = next;
    }
    while (leaving->first != NULL) {
        const int32_t left = goipci_deadline_left(leaving->last->deadline_ms);

        const goipc_error error =
            goipci_poller_wait(endpoint->poller, left, ready, READY_COUNT, &count);

        if (error == GOIPC_ERROR_INTERRUPTED) {
            goipci_poller_resume(endpoint->poller); /* no thread is inside a call any more */
            continue;
        }
        if (error != GOIPC_ERROR_OK || left == 0) {
            goipci_connection_destroy(leaving->first);
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            goipci_connection *connection = ready[i].context;

            if (goipci_connection_linger(connection, goipci_system_clock_ms())) {
                goipci_connection_destroy(connection);
            }
        }
    }
}

static void release(goipci_endpoint *endpoint)
{
    const goipc_allocator *allocator = endpoint->allocator;
    const goipci_role *role = endpoint->role_functions;

    role->wipe(endpoint);
    goipci_registry_remove(endpoint, goipci_endpoint_check_process(endpoint) == GOIPC_ERROR_OK);
    goipci_endpoint_wipe(endpoint);
    goipci_release(allocator, endpoint, role->size);
}

/* For a child after fork, where the sockets belong to the parent: closes the copies, sends
 * nothing. */
static void abandon(goipci_endpoint *endpoint)
{
    /* If other threads were inside calls at the fork, their locks stay taken in the child forever:
     * then the memory is not freed. */
    if (atomic_load(&endpoint->inside) > 0) {
        return;
    }
    goipci_poller_abandon(endpoint->poller);
    endpoint->role_functions->begin_close(endpoint, true);
    while (endpoint->leaving.first != NULL) {
        goipci_connection_destroy(endpoint->leaving.first);
    }
    release(endpoint);
}

void goipci_driver_close(goipci_endpoint *endpoint)
{
    if (goipci_endpoint_check_process(endpoint) != GOIPC_ERROR_OK) {
        abandon(endpoint);
        return;
    }
    goipci_endpoint_evict(endpoint);
    goipci_poller_resume(endpoint->poller);
    endpoint->role_functions->begin_close(endpoint, false);
    finish_leaving(endpoint);
    goipci_endpoint_evict(endpoint);
    release(endpoint);
}
