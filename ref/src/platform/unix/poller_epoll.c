/* SPDX-License-Identifier: MIT */
/* The poller on epoll. */
#include "platform/unix/socket.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

struct goipci_poller {
    const goipc_allocator *allocator;
    int epoll;
    int interrupt[2];
    int kick[2];
};

enum { READY_COUNT_MAX = 64 };

static bool watch_wake(goipci_poller *poller, int ends[2])
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = ends}};

    return goipci_wake_open(ends) && epoll_ctl(poller->epoll, EPOLL_CTL_ADD, ends[0], &event) == 0;
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
    made->epoll = goipci_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (made->epoll < 0 || !watch_wake(made, made->interrupt) || !watch_wake(made, made->kick)) {
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
    if (poller->epoll >= 0) {
        close(poller->epoll);
    }
    goipci_release(poller->allocator, poller, sizeof *poller);
}

void goipci_poller_abandon(goipci_poller *poller)
{
    /* Parent and child share the epoll instance, and with it the list of watched descriptors. */
    close(poller->epoll);
    poller->epoll = -1;
}

static goipc_error watch(goipci_poller *poller, int descriptor, uint32_t events, void *context,
                         bool *known)
{
    struct epoll_event event = {.events = events, .data = {.ptr = context}};

    if (epoll_ctl(poller->epoll, *known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) != 0) {
        return goipci_error_of(errno);
    }
    *known = true;
    return GOIPC_ERROR_OK;
}

goipc_error goipci_poller_watch(goipci_poller *poller, goipci_stream *stream, unsigned events,
                                void *context, bool *known)
{
    const uint32_t readable = (events & GOIPCI_READABLE) != 0 ? EPOLLIN : 0;
    const uint32_t writable = (events & GOIPCI_WRITABLE) != 0 ? EPOLLOUT : 0;

    /* epoll reports a hang-up again and again, even without requested events. So a stream without
     * requested events is removed. */
    if (events == 0) {
        goipci_poller_forget(poller, stream, known);
        return GOIPC_ERROR_OK;
    }
    return watch(poller, (int)stream->handle, readable | writable, context, known);
}

static void forget(goipci_poller *poller, int descriptor, bool *known)
{
    struct epoll_event unused = {.events = 0};

    if (*known) {
        /* It cannot fail for a registered and open descriptor. */
        (void)epoll_ctl(poller->epoll, EPOLL_CTL_DEL, descriptor, &unused);
        *known = false;
    }
}

void goipci_poller_forget(goipci_poller *poller, goipci_stream *stream, bool *known)
{
    forget(poller, (int)stream->handle, known);
}

goipc_error goipci_poller_watch_listener(goipci_poller *poller, goipci_listener *listener, bool on,
                                         void *context, bool *known)
{
    return watch(poller, goipci_listener_descriptor(listener), on ? EPOLLIN : 0, context, known);
}

void goipci_poller_forget_listener(goipci_poller *poller, goipci_listener *listener, bool *known)
{
    forget(poller, goipci_listener_descriptor(listener), known);
}

/* The events of epoll without the wake descriptors. True if the interrupt is set. */
static bool translate(goipci_poller *poller, const struct epoll_event *events, size_t event_count,
                      goipci_ready *ready, size_t *count)
{
    bool interrupted = false;

    for (size_t i = 0; i < event_count; i++) {
        if (events[i].data.ptr == poller->interrupt) {
            interrupted = true;
        } else if (events[i].data.ptr == poller->kick) {
            goipci_wake_clear(poller->kick);
        } else {
            const uint32_t told = events[i].events;
            const bool failed = (told & (EPOLLERR | EPOLLHUP)) != 0;

            ready[*count].context = events[i].data.ptr;
            ready[*count].events = (failed || (told & EPOLLIN) != 0 ? GOIPCI_READABLE : 0u) |
                                   (failed || (told & EPOLLOUT) != 0 ? GOIPCI_WRITABLE : 0u) |
                                   ((told & EPOLLHUP) != 0 ? GOIPCI_ENDED : 0u);
            (*count)++;
        }
    }
    return interrupted;
}

goipc_error goipci_poller_wait(goipci_poller *poller, int32_t timeout_ms, goipci_ready *ready,
                               size_t capacity, size_t *count)
{
    struct epoll_event events[READY_COUNT_MAX];
    int result = -1;

    assert(capacity > 0 && timeout_ms >= GOIPC_FOREVER);
    *count = 0;
    capacity = capacity < READY_COUNT_MAX ? capacity : READY_COUNT_MAX;
    do {
        result = epoll_wait(poller->epoll, events, (int)capacity, timeout_ms);
        /* A poll (timeout 0) is repeated after a signal: it must report what is ready. */
    } while (result < 0 && errno == EINTR && timeout_ms == 0);
    if (result < 0) {
        /* A signal: the caller checks its deadline and waits again. */
        return errno == EINTR ? GOIPC_ERROR_OK : goipci_error_of(errno);
    }
    return translate(poller, events, (size_t)result, ready, count) ? GOIPC_ERROR_INTERRUPTED
                                                                   : GOIPC_ERROR_OK;
}

intptr_t goipci_poller_descriptor(const goipci_poller *poller)
{
    return poller->epoll;
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
