/* SPDX-License-Identifier: MIT */
/* The poller on poll, for systems with neither epoll nor kqueue. Its waits cost as much as there is
 * to watch, and it has no descriptor of its own to offer. */
#define _XOPEN_SOURCE 700

#include "lock.h"
#include "socket.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

typedef struct watched {
    int descriptor;
    unsigned events;
    void *context;
} watched;

struct goipci_poller {
    const goipc_allocator *allocator;
    int interrupt[2];
    int kick[2];

    goipci_lock lock; /* guards what follows; `looks` is the waiting thread's while it waits */
    watched *entries;
    size_t count;
    size_t capacity;
    struct pollfd *looks;
    size_t look_capacity;
};

enum { CAPACITY_FIRST = 16, WAKE_COUNT = 2 };

goipc_error goipci_poller_new(const goipc_allocator *allocator, goipci_poller **poller,
                              int *system_error)
{
    goipci_poller *made = goipci_allocate_zeroed(allocator, sizeof *made);
    goipc_error error;

    *poller = NULL;
    *system_error = 0;
    if (made == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    *made = (goipci_poller){.allocator = allocator, .interrupt = {-1, -1}, .kick = {-1, -1}};
    error = goipci_lock_init(&made->lock);
    if (error != GOIPC_ERROR_OK) {
        goipci_release(allocator, made, sizeof *made);
        return error;
    }
    if (!goipci_wake_open(made->interrupt) || !goipci_wake_open(made->kick)) {
        *system_error = errno;
        goipci_poller_free(made);
        return goipci_error_of(*system_error);
    }
    *poller = made;
    return GOIPC_ERROR_OK;
}

void goipci_poller_free(goipci_poller *poller)
{
    if (poller == NULL) {
        return;
    }
    goipci_wake_close(poller->interrupt);
    goipci_wake_close(poller->kick);
    goipci_release(poller->allocator, poller->entries, poller->capacity * sizeof *poller->entries);
    goipci_release(poller->allocator, poller->looks, poller->look_capacity * sizeof *poller->looks);
    goipci_lock_wipe(&poller->lock);
    goipci_release(poller->allocator, poller, sizeof *poller);
}

void goipci_poller_abandon(goipci_poller *poller)
{
    (void)poller; /* nothing is shared with another process but the wake descriptors */
}

static size_t find(const goipci_poller *poller, int descriptor)
{
    size_t at = 0;

    while (at < poller->count && poller->entries[at].descriptor != descriptor) {
        at++;
    }
    return at;
}

/* Room for `count` entries of `size` bytes, at least doubled. */
static bool grow(const goipci_poller *poller, void **memory, size_t *capacity, size_t count,
                 size_t size)
{
    size_t wanted = *capacity == 0 ? CAPACITY_FIRST : *capacity;
    void *grown;

    if (count <= *capacity) {
        return true;
    }
    while (wanted < count) {
        wanted *= 2;
    }
    grown = goipci_allocate_zeroed(poller->allocator, wanted * size);
    if (grown == NULL) {
        return false;
    }
    if (*capacity > 0) {
        memcpy(grown, *memory, *capacity * size);
    }
    goipci_release(poller->allocator, *memory, *capacity * size);
    *memory = grown;
    *capacity = wanted;
    return true;
}

static goipc_error watch(goipci_poller *poller, int descriptor, unsigned events, void *context,
                         bool *known)
{
    void *entries;
    size_t at;
    bool room;

    goipci_lock_take(&poller->lock);
    at = find(poller, descriptor);
    entries = poller->entries;
    room = grow(poller, &entries, &poller->capacity, at + 1, sizeof *poller->entries);
    poller->entries = entries;
    if (room) {
        poller->entries[at] = (watched){descriptor, events, context};
        poller->count += at == poller->count ? 1 : 0;
        *known = true;
    }
    goipci_lock_give(&poller->lock);
    goipci_poller_kick(poller); /* whoever waits does so with the old list */
    return room ? GOIPC_ERROR_OK : GOIPC_ERROR_MEMORY;
}

goipc_error goipci_poller_watch(goipci_poller *poller, goipci_stream *stream, unsigned events,
                                void *context, bool *known)
{
    if (events == 0) {
        goipci_poller_forget(poller, stream, known);
        return GOIPC_ERROR_OK;
    }
    return watch(poller, (int)stream->handle, events, context, known);
}

static void forget(goipci_poller *poller, int descriptor, bool *known)
{
    size_t at;

    if (!*known) {
        return;
    }
    goipci_lock_take(&poller->lock);
    at = find(poller, descriptor);
    assert(at < poller->count);
    poller->entries[at] = poller->entries[--poller->count];
    goipci_lock_give(&poller->lock);
    *known = false;
}

void goipci_poller_forget(goipci_poller *poller, goipci_stream *stream, bool *known)
{
    forget(poller, (int)stream->handle, known);
}

goipc_error goipci_poller_watch_listener(goipci_poller *poller, goipci_listener *listener, bool on,
                                         void *context, bool *known)
{
    return watch(poller, goipci_listener_descriptor(listener), on ? GOIPCI_READABLE : 0u, context,
                 known);
}

void goipci_poller_forget_listener(goipci_poller *poller, goipci_listener *listener, bool *known)
{
    forget(poller, goipci_listener_descriptor(listener), known);
}

/* Copies what is watched into `looks`, after the two wake descriptors. False without memory. */
static bool prepare(goipci_poller *poller, size_t *look_count)
{
    void *looks = poller->looks;
    bool room;

    goipci_lock_take(&poller->lock);
    *look_count = poller->count + WAKE_COUNT;
    room = grow(poller, &looks, &poller->look_capacity, *look_count, sizeof *poller->looks);
    poller->looks = looks;
    for (size_t i = 0; room && i < poller->count; i++) {
        const watched *entry = &poller->entries[i];

        /* A negative descriptor is passed over; a silent one would tell of its hang-up. */
        poller->looks[WAKE_COUNT + i] = (struct pollfd){
            .fd = entry->events == 0 ? -1 : entry->descriptor,
            .events = (short)(((entry->events & GOIPCI_READABLE) != 0 ? POLLIN : 0) |
                              ((entry->events & GOIPCI_WRITABLE) != 0 ? POLLOUT : 0)),
        };
    }
    goipci_lock_give(&poller->lock);
    if (room) {
        poller->looks[0] = (struct pollfd){.fd = poller->interrupt[0], .events = POLLIN};
        poller->looks[1] = (struct pollfd){.fd = poller->kick[0], .events = POLLIN};
    }
    return room;
}

static unsigned told_events(const struct pollfd *look)
{
    const bool failed = (look->revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;

    return (failed || (look->revents & POLLIN) != 0 ? GOIPCI_READABLE : 0u) |
           (failed || (look->revents & POLLOUT) != 0 ? GOIPCI_WRITABLE : 0u) |
           ((look->revents & POLLHUP) != 0 ? GOIPCI_ENDED : 0u);
}

/* Only what is still watched is told: other threads may have changed the list meanwhile. */
static void translate(goipci_poller *poller, size_t look_count, goipci_ready *ready,
                      size_t capacity, size_t *count)
{
    goipci_lock_take(&poller->lock);
    for (size_t i = WAKE_COUNT; i < look_count && *count < capacity; i++) {
        const struct pollfd *look = &poller->looks[i];
        size_t at;

        if (look->fd < 0 || look->revents == 0) {
            continue;
        }
        at = find(poller, look->fd);
        if (at < poller->count) {
            ready[(*count)++] = (goipci_ready){poller->entries[at].context, told_events(look)};
        }
    }
    goipci_lock_give(&poller->lock);
}

goipc_error goipci_poller_wait(goipci_poller *poller, int32_t timeout_ms, goipci_ready *ready,
                               size_t capacity, size_t *count)
{
    size_t look_count;
    int result;

    assert(capacity > 0 && timeout_ms >= GOIPC_FOREVER);
    *count = 0;
    if (!prepare(poller, &look_count)) {
        return GOIPC_ERROR_MEMORY;
    }
    do {
        result = poll(poller->looks, (nfds_t)look_count, timeout_ms);
    } while (result < 0 && errno == EINTR && timeout_ms == 0);
    if (result < 0) {
        return errno == EINTR ? GOIPC_ERROR_OK : goipci_error_of(errno);
    }
    if (poller->looks[1].revents != 0) {
        goipci_wake_clear(poller->kick);
    }
    if (poller->looks[0].revents != 0) {
        return GOIPC_ERROR_INTERRUPTED;
    }
    translate(poller, look_count, ready, capacity, count);
    return GOIPC_ERROR_OK;
}

intptr_t goipci_poller_descriptor(const goipci_poller *poller)
{
    (void)poller;
    return -1;
}

void goipci_poller_interrupt(goipci_poller *poller)
{
    goipci_wake_set(poller->interrupt);
}

void goipci_poller_resume(goipci_poller *poller)
{
    goipci_wake_clear(poller->interrupt);
}

void goipci_poller_kick(goipci_poller *poller)
{
    goipci_wake_set(poller->kick);
}

int goipci_poller_interrupt_descriptor(const goipci_poller *poller)
{
    return poller->interrupt[0];
}
