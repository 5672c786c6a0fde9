/* SPDX-License-Identifier: MIT */
/* endpoint.h */
#include "endpoint/endpoint.h"
#include "endpoint/registry.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    HANDSHAKE_TIMEOUT_DEFAULT_MS = 10000,
    WRITE_TIMEOUT_DEFAULT_MS = 10000,
    CLOSE_TIMEOUT_DEFAULT_MS = 1000,
    PEER_USER_COUNT_MAX = 65536,
    REPEAT_PAUSE_MS = 100, /* documented in goipc.h */
    EVICT_TICK_MS = 1,
    SPIN_DEFAULT_US = 20, /* as long as a sleep and its wake-up take */
    SPIN_MAX_US = 1000000,
    SPIN_PAUSE_MAX = 255, /* so under 1 % of the waits pay for a useless spin */
};

/* --- birth and death -------------------------------------------------------------------------- */

/* What is wrong with the options, or NULL. */
static const char *check_options(const goipc_options *options, goipc_role role)
{
    if (!GOIPCI_IS_UNUSED(options)) {
        return "options.reserved is not zero, as if set by a later version of the header";
    }
    if (options->encryption < GOIPC_ENCRYPTION_REQUIRE ||
        options->encryption > GOIPC_ENCRYPTION_OFF) {
        return "encryption is not a value of goipc_encryption";
    }
    if (role == GOIPC_ROLE_SERVER && options->encryption == GOIPC_ENCRYPTION_OPTIONAL) {
        return "encryption OPTIONAL is for clients: the server decides";
    }
    if (options->message_size_max > GOIPC_MESSAGE_SIZE_CEILING) {
        return "message_size_max is above GOIPC_MESSAGE_SIZE_CEILING";
    }
    if (options->handshake_timeout_ms < GOIPC_FOREVER) {
        return "handshake_timeout_ms is negative";
    }
    if (options->write_timeout_ms < GOIPC_NO_WAIT || options->close_timeout_ms < GOIPC_NO_WAIT) {
        return "write_timeout_ms or close_timeout_ms is negative";
    }
    if (options->spin_us == GOIPC_FOREVER || options->spin_us < GOIPC_NO_WAIT ||
        options->spin_us > SPIN_MAX_US) {
        return "spin_us is negative or above 1,000,000";
    }
    if (options->peers < GOIPC_PEERS_DEFAULT || options->peers > GOIPC_PEERS_LIST) {
        return "peers is not a value of goipc_peers";
    }
    if (options->peers == GOIPC_PEERS_LIST && options->peer_user_count > 0 &&
        (options->peer_users == NULL || options->peer_user_count > PEER_USER_COUNT_MAX)) {
        return "peer_users is NULL or too long";
    }
    return NULL;
}

static int32_t or_default(int32_t value, int32_t value_default)
{
    return value == 0 ? value_default : value;
}

/* On a single processor a spin would keep the peer from answering. */
static int32_t default_spin_us(void)
{
    return goipci_system_is_parallel() ? SPIN_DEFAULT_US : GOIPC_NO_WAIT;
}

static goipc_error copy_options(goipci_endpoint *endpoint, const goipc_options *options)
{
    const size_t size = options->peer_user_count * sizeof options->peer_users[0];
    goipc_options *own = &endpoint->options;
    uint32_t *users;

    *own = *options;
    own->handshake_timeout_ms =
        or_default(options->handshake_timeout_ms, HANDSHAKE_TIMEOUT_DEFAULT_MS);
    own->write_timeout_ms = or_default(options->write_timeout_ms, WRITE_TIMEOUT_DEFAULT_MS);
    own->close_timeout_ms = or_default(options->close_timeout_ms, CLOSE_TIMEOUT_DEFAULT_MS);
    own->spin_us = or_default(options->spin_us, default_spin_us());
    own->crypto = goipci_crypto_of(options->crypto, options->encryption);
    own->allocator = endpoint->allocator;
    own->directory = NULL; /* the address contains it */
    own->failure = NULL;
    own->peer_users = NULL;
    if (own->crypto == NULL) {
        return GOIPC_ERROR_CRYPTO_UNAVAILABLE;
    }
    if (options->peers != GOIPC_PEERS_LIST || options->peer_user_count == 0) {
        own->peer_user_count = 0;
        return GOIPC_ERROR_OK;
    }
    users = goipci_allocate_zeroed(endpoint->allocator, size);
    if (users == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    memcpy(users, options->peer_users, size);
    own->peer_users = users;
    return GOIPC_ERROR_OK;
}

static void release_peer_users(goipci_endpoint *endpoint)
{
    goipci_release(endpoint->allocator, (void *)(uintptr_t)endpoint->options.peer_users,
                   endpoint->options.peer_user_count * sizeof endpoint->options.peer_users[0]);
}

static goipc_error init_system(goipci_endpoint *endpoint, int *system_error)
{
    goipc_error error = goipci_poller_new(endpoint->allocator, &endpoint->poller, system_error);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = goipci_lock_init(&endpoint->lock);
    if (error == GOIPC_ERROR_OK) {
        error = goipci_condition_init(&endpoint->changed);
        if (error != GOIPC_ERROR_OK) {
            goipci_lock_wipe(&endpoint->lock);
        }
    }
    if (error != GOIPC_ERROR_OK) {
        goipci_poller_free(endpoint->poller);
    }
    return error;
}

GOIPCI_PRINTF(4, 5)
static goipc_error explain(goipc_failure *failure, goipc_error error, int system_error,
                           const char *format, ...)
{
    va_list arguments;

    failure->error = error;
    failure->system_error = system_error;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return error;
}

static goipc_error init_address(goipci_endpoint *endpoint, const char *name,
                                const goipc_options *options, goipc_failure *failure)
{
    const goipc_error error =
        goipci_address_init(&endpoint->address, name, options->directory, options->abstract);

    if (error == GOIPC_ERROR_ARGUMENT) {
        return explain(failure, error, 0,
                       "abstract sockets are not supported on this system (name \"%.100s\")", name);
    }
    if (error == GOIPC_ERROR_NAME) {
        return explain(failure, error, 0,
                       "\"%.120s\" cannot name an endpoint: a name is not empty, holds no '/', and "
                       "with its directory fits into a socket path (%.200s)",
                       name, endpoint->address.text);
    }
    return error;
}

goipc_error goipci_endpoint_init(goipci_endpoint *endpoint, goipc_role role, const char *name,
                                 const goipc_options *options, goipc_failure *failure)
{
    const char *objection = check_options(options, role);
    int system_error = 0;
    goipc_error error;

    endpoint->allocator = goipci_allocator_or_default(options->allocator);
    endpoint->role = role;
    goipci_system_watch_forks();
    endpoint->process = goipci_system_process();
    endpoint->queued.kind = GOIPCI_LIST_QUEUED;
    endpoint->leaving.kind = GOIPCI_LIST_PHASE;
    if (objection != NULL) {
        return explain(failure, GOIPC_ERROR_ARGUMENT, 0, "%s, for \"%.100s\"", objection, name);
    }
    error = init_address(endpoint, name, options, failure);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    endpoint->peers =
        options->peers == GOIPC_PEERS_DEFAULT ? GOIPC_PEERS_SAME_USER : options->peers;
    error = copy_options(endpoint, options);
    if (error == GOIPC_ERROR_OK) {
        error = init_system(endpoint, &system_error);
    }
    if (error != GOIPC_ERROR_OK) {
        release_peer_users(endpoint);
        return explain(failure, error, system_error, "cannot make an endpoint for %s: %s",
                       endpoint->address.text, goipc_error_text(error));
    }
    return GOIPC_ERROR_OK;
}

void goipci_endpoint_wipe(goipci_endpoint *endpoint)
{
    assert(atomic_load(&endpoint->inside) == 0);
    release_peer_users(endpoint);
    goipci_poller_free(endpoint->poller);
    goipci_condition_wipe(&endpoint->changed);
    goipci_lock_wipe(&endpoint->lock);
}

/* req: SE-015 */
goipc_error goipci_endpoint_check_process(const goipci_endpoint *endpoint)
{
    return goipci_system_process() == endpoint->process ? GOIPC_ERROR_OK : GOIPC_ERROR_FORKED;
}

/* --- threads inside calls --------------------------------------------------------------------- */

goipc_error goipci_endpoint_enter(goipci_endpoint *endpoint)
{
    const goipc_error error = goipci_endpoint_check_process(endpoint);

    if (error != GOIPC_ERROR_OK) {
        return error; /* before any access to memory or descriptors shared with the parent */
    }
    /* Increment `inside`, then read `closing`; evict stores `closing`, then reads `inside`.
     * Sequential consistency guarantees that at least one side sees the other's write. */
    atomic_fetch_add(&endpoint->inside, 1);
    if (!goipci_endpoint_is_stopped(endpoint)) {
        return GOIPC_ERROR_OK;
    }
    goipci_endpoint_exit(endpoint);
    return GOIPC_ERROR_CLOSED;
}

bool goipci_endpoint_is_stopped(const goipci_endpoint *endpoint)
{
    return atomic_load(&endpoint->stopped) || atomic_load(&endpoint->closing);
}

goipc_error goipci_endpoint_note(goipci_endpoint *endpoint, goipc_error error)
{
    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_FORKED) {
        atomic_store_explicit(&endpoint->last_error, (int)error, memory_order_relaxed);
    }
    return error;
}

void goipci_endpoint_exit(goipci_endpoint *endpoint)
{
    if (!atomic_load(&endpoint->closing)) {
        /* The endpoint may be freed right after this: it must not be used again. */
        atomic_fetch_sub(&endpoint->inside, 1);
        return;
    }
    goipci_lock_take(&endpoint->lock);
    atomic_fetch_sub(&endpoint->inside, 1);
    goipci_condition_wake_all(&endpoint->changed);
    goipci_lock_give(&endpoint->lock);
}

goipc_error goipci_endpoint_exit_wait(goipci_endpoint *endpoint, goipc_error error)
{
    if (error == GOIPC_ERROR_INTERRUPTED && goipci_endpoint_is_stopped(endpoint)) {
        error = GOIPC_ERROR_CLOSED;
    }
    (void)goipci_endpoint_note(endpoint, error);
    goipci_endpoint_exit(endpoint);
    return error;
}

void goipci_endpoint_enter_look(goipci_endpoint *endpoint)
{
    atomic_fetch_add(&endpoint->inside, 1);
}

goipc_error goipci_endpoint_enter_read(goipci_endpoint *endpoint)
{
    const goipc_error error = goipci_endpoint_enter(endpoint);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (atomic_exchange(&endpoint->reading, true)) {
        (void)goipci_endpoint_note(endpoint, GOIPC_ERROR_STATE);
        goipci_endpoint_exit(endpoint);
        return GOIPC_ERROR_STATE;
    }
    return GOIPC_ERROR_OK;
}

/* Errors that the next read would return again at once. */
static bool is_permanent(goipc_error error)
{
    return error != GOIPC_ERROR_OK && error != GOIPC_ERROR_TIMEOUT &&
           error != GOIPC_ERROR_WOULD_BLOCK && error != GOIPC_ERROR_ARGUMENT &&
           error != GOIPC_ERROR_CLOSED;
}

static void pause_reader(goipci_endpoint *endpoint, int32_t timeout_ms)
{
    goipci_lock_take(&endpoint->lock);
    if (!goipci_endpoint_is_stopped(endpoint)) {
        goipci_condition_wait(&endpoint->changed, &endpoint->lock,
                              goipci_timeout_min(timeout_ms, REPEAT_PAUSE_MS));
    }
    goipci_lock_give(&endpoint->lock);
}

goipc_error goipci_endpoint_exit_read(goipci_endpoint *endpoint, goipc_error error,
                                      int32_t timeout_ms)
{
    if (error != GOIPC_ERROR_OK) {
        if (is_permanent(error) && error == endpoint->repeated && timeout_ms != 0) {
            pause_reader(endpoint, timeout_ms);
        }
        endpoint->repeated = error;
        if (goipci_endpoint_is_stopped(endpoint)) {
            error = GOIPC_ERROR_CLOSED;
        }
        /* A read that timed out keeps an earlier failure: that one says more. */
        if ((error != GOIPC_ERROR_TIMEOUT && error != GOIPC_ERROR_WOULD_BLOCK) ||
            atomic_load_explicit(&endpoint->last_error, memory_order_relaxed) == GOIPC_ERROR_OK) {
            (void)goipci_endpoint_note(endpoint, error);
        }
    } else if (endpoint->repeated != GOIPC_ERROR_OK) {
        endpoint->repeated = GOIPC_ERROR_OK;
    }
    atomic_store(&endpoint->reading, false);
    goipci_endpoint_exit(endpoint);
    return error;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* Polls without sleeping. After a spin that found nothing, the next waits do not spin: the number
 * of skipped waits doubles. A spin that found something halves it. So spinning costs little where
 * it seldom helps. */
static goipc_error spin(goipci_endpoint *endpoint, int64_t until_us, goipci_ready *ready,
                        size_t capacity, size_t *count)
{
    goipc_error error;

    do {
        error = goipci_poller_wait(endpoint->poller, 0, ready, capacity, count);
    } while (error == GOIPC_ERROR_OK && *count == 0 && goipci_system_clock_us() < until_us);
    endpoint->spin_pause = *count > 0 ? endpoint->spin_pause / 2 : endpoint->spin_pause * 2 + 1;
    if (endpoint->spin_pause > SPIN_PAUSE_MAX) {
        endpoint->spin_pause = SPIN_PAUSE_MAX;
    }
    endpoint->spin_rest = endpoint->spin_pause;
    return error;
}

goipc_error goipci_endpoint_wait(goipci_endpoint *endpoint, int32_t timeout_ms, goipci_ready *ready,
                                 size_t capacity, size_t *count)
{
    const int64_t spin_us = endpoint->options.spin_us;

    if (spin_us > 0 && timeout_ms != 0 && endpoint->spin_rest > 0) {
        endpoint->spin_rest--;
    } else if (spin_us > 0 && timeout_ms != 0) {
        const int64_t now_us = goipci_system_clock_us();
        const bool fits = timeout_ms == GOIPC_FOREVER || spin_us < (int64_t)timeout_ms * 1000;
        const goipc_error error =
            spin(endpoint, now_us + (fits ? spin_us : (int64_t)timeout_ms * 1000), ready, capacity,
                 count);

        if (error != GOIPC_ERROR_OK || *count > 0) {
            return error;
        }
        timeout_ms = fits ? timeout_ms : 0; /* the caller checks its deadline */
    }
    return goipci_poller_wait(endpoint->poller, timeout_ms, ready, capacity, count);
}

static void interrupt(goipci_endpoint *endpoint)
{
    atomic_store(&endpoint->interrupted, true);
    goipci_poller_interrupt(endpoint->poller);
}

void goipci_endpoint_evict(goipci_endpoint *endpoint)
{
    atomic_store(&endpoint->closing, true);
    interrupt(endpoint);
    goipci_lock_take(&endpoint->lock);
    goipci_condition_wake_all(&endpoint->changed);
    /* A thread that read `closing` as false exits without waking this one: check again soon. */
    while (atomic_load(&endpoint->inside) > 0) {
        goipci_condition_wait(&endpoint->changed, &endpoint->lock, EVICT_TICK_MS);
    }
    goipci_lock_give(&endpoint->lock);
}

/* Interrupt and stop. Both may run in a signal handler, so they take no lock. */
static void interrupt_and(goipci_endpoint *endpoint, bool stops)
{
    if (!goipci_registry_use(endpoint)) {
        return; /* it is closed already */
    }
    /* In a child after fork, waking the poller would wake the parent's. */
    if (goipci_endpoint_check_process(endpoint) == GOIPC_ERROR_OK) {
        if (stops) {
            atomic_store(&endpoint->stopped, true);
        }
        interrupt(endpoint);
    }
    goipci_registry_done();
}

void goipci_endpoint_interrupt(goipci_endpoint *endpoint)
{
    interrupt_and(endpoint, false);
}

void goipci_endpoint_stop(goipci_endpoint *endpoint)
{
    interrupt_and(endpoint, true);
}

static void end_interrupt(goipci_endpoint *endpoint)
{
    atomic_store(&endpoint->interrupted, false);
    goipci_poller_resume(endpoint->poller);
    /* Another thread may have interrupted or closed meanwhile: then interrupt the poller again. */
    if (atomic_load(&endpoint->interrupted) || goipci_endpoint_is_stopped(endpoint)) {
        goipci_poller_interrupt(endpoint->poller);
    }
}

void goipci_endpoint_resume(goipci_endpoint *endpoint)
{
    /* In a child the interrupt belongs to the parent; during close, to the closing thread. */
    if (goipci_endpoint_enter(endpoint) == GOIPC_ERROR_OK) {
        end_interrupt(endpoint);
        goipci_endpoint_exit(endpoint);
    }
}

void goipci_endpoint_cork(goipci_endpoint *endpoint)
{
    goipci_endpoint_enter_look(endpoint);
    atomic_store(&endpoint->corked, true);
    goipci_endpoint_exit(endpoint);
}

intptr_t goipci_endpoint_poll_fd(goipci_endpoint *endpoint)
{
    intptr_t descriptor;

    goipci_endpoint_enter_look(endpoint);
    descriptor = goipci_poller_descriptor(endpoint->poller);
    goipci_endpoint_exit(endpoint);
    return descriptor;
}
