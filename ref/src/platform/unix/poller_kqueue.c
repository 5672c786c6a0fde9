/* SPDX-License-Identifier: MIT */
/* The poller on kqueue. */
#define _DARWIN_C_SOURCE

#include "platform/unix/socket.h"

#include <assert.h>
#include <errno.h>
#include <sys/event.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct goipci_poller {
    const goipc_allocator *allocator;
    int queue;
    int interrupt[2];
    int kick[2];
};

enum { READY_COUNT_MAX = 64 };

/* Adds or removes one filter; removing a filter that does not exist is no failure. */
static bool change(goipci_poller *poller, int descriptor, int16_t filter, bool on, void *context)
{
    struct kevent event;

    EV_SET(&event, (uintptr_t)descriptor, filter, on ? EV_ADD : EV_DELETE, 0, 0, context);
    return kevent(poller->queue, &event, 1, NULL, 0, NULL) == 0 || (!on && errno == ENOENT);
}

static bool watch_wake(goipci_poller *poller, int ends[2])
{
    return goipci_wake_open(ends) && change(poller, ends[0], EVFILT_READ, true, ends);
}

goipc_error goipci_poller_new(const goipc_allocator *allocator, goipci_poller **poller,
                              int *system_error)
{
    goipci_poller *made = goipci_allocate_zeroed(allocator, sizeof *made);

    *poller = NULL;
    *system_error = 0;
    if (made == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    *made = (goipci_poller){.allocator = allocator, .interrupt = {-1, -1}, .kick = {-1, -1}};
    made->queue = goipci_descriptor_above_stdio(
        kqueue()); /* closed on exec and not inherited by fork, on all of them */
    if (made->queue < 0 || !watch_wake(made, made->interrupt) || !watch_wake(made, made->kick)) {
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
    if (poller->queue >= 0) {
        close(poller->queue);
    }
    goipci_release(poller->allocator, poller, sizeof *poller);
}

void goipci_poller_abandon(goipci_poller *poller)
{
    poller->queue = -1; /* a child does not inherit the queue; its number may be reused */
}

goipc_error goipci_poller_watch(goipci_poller *poller, goipci_stream *stream, unsigned events,
                                void *context, bool *known)
{
    const int descriptor = (int)stream->handle;

    if (!change(poller, descriptor, EVFILT_READ, (events & GOIPCI_READABLE) != 0, context) ||
        !change(poller, descriptor, EVFILT_WRITE, (events & GOIPCI_WRITABLE) != 0, context)) {
        return goipci_error_of(errno);
    }
    *known = true;
    return GOIPC_ERROR_OK;
}

void goipci_poller_forget(goipci_poller *poller, goipci_stream *stream, bool *known)
{
    if (*known) {
        (void)change(poller, (int)stream->handle, EVFILT_READ, false, NULL);
        (void)change(poller, (int)stream->handle, EVFILT_WRITE, false, NULL);
        *known = false;
    }
}

goipc_error goipci_poller_watch_listener(goipci_poller *poller, goipci_listener *listener, bool on,
                                         void *context, bool *known)
{
    if (!change(poller, goipci_listener_descriptor(listener), EVFILT_READ, on, context)) {
        return goipci_error_of(errno);
    }
    *known = true;
    return GOIPC_ERROR_OK;
}

void goipci_poller_forget_listener(goipci_poller *poller, goipci_listener *listener, bool *known)
{
    if (*known) {
        (void)change(poller, goipci_listener_descriptor(listener), EVFILT_READ, false, NULL);
        *known = false;
    }
}

/* A stream that is readable and writable is reported twice, which is harmless. */
static bool translate(goipci_poller *poller, const struct kevent *events, size_t event_count,
                      goipci_ready *ready, size_t *count)
{
    bool interrupted = false;

    for (size_t i = 0; i < event_count; i++) {
        if (events[i].udata == poller->interrupt) {
            interrupted = true;
        } else if (events[i].udata == poller->kick) {
            goipci_wake_clear(poller->kick);
        } else {
            const bool ended = (events[i].flags & EV_EOF) != 0;

            ready[*count].context = (void *)events[i].udata;
            ready[*count].events =
                (events[i].filter == EVFILT_WRITE ? GOIPCI_WRITABLE : GOIPCI_READABLE) |
                (ended ? GOIPCI_READABLE | GOIPCI_ENDED : 0u);
            (*count)++;
        }
    }
    return interrupted;
}

goipc_error goipci_poller_wait(goipci_poller *poller, int32_t timeout_ms, goipci_ready *ready,
                               size_t capacity, size_t *count)
{
    struct kevent events[READY_COUNT_MAX];
    const struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L};
    int result;

    assert(capacity > 0 && timeout_ms >= GOIPC_FOREVER);
    *count = 0;
    capacity = capacity < READY_COUNT_MAX ? capacity : READY_COUNT_MAX;
    do {
        result = kevent(poller->queue, NULL, 0, events, (int)capacity,
                        timeout_ms == GOIPC_FOREVER ? NULL : &timeout);
    } while (result < 0 && errno == EINTR && timeout_ms == 0);
    if (result < 0) {
        return errno == EINTR ? GOIPC_ERROR_OK : goipci_error_of(errno);
    }
    return translate(poller, events, (size_t)result, ready, count) ? GOIPC_ERROR_INTERRUPTED
                                                                   : GOIPC_ERROR_OK;
}

intptr_t goipci_poller_descriptor(const goipci_poller *poller)
{
    return poller->queue;
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
