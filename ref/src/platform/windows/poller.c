/* SPDX-License-Identifier: MIT */
/*
 * The poller of transport.h with an I/O completion port.
 *
 * A completion packet only adds its pipe or listener to the candidate list. A wait polls each
 * candidate. Polling starts an overlapped operation for every wanted event that is not ready. Hence
 * an item outside the list always has a pending operation for each wanted event, and the cost of a
 * wait depends only on the candidates. Readiness is level-triggered: a ready item stays a candidate
 * until a poll finds it not ready.
 *
 * A closed pipe may still have packets in the port. Its memory stays until the last of them was
 * taken, or the port is freed.
 */
#include "endpoint/clock.h"
#include "platform/windows/pipe.h"

#include <assert.h>

enum {
    PACKETS_AT_ONCE = 64,
    SILENT_WAIT_MS = 10, /* how often to poll an operation that started before its pipe was bound */
};

struct goipci_poller {
    const goipc_allocator *allocator;
    goipci_port *port;
    HANDLE interrupt; /* manual-reset event, for threads that wait for one stream */
    volatile LONG interrupted;
    volatile LONG kicked;
};

/* --- rings of items --------------------------------------------------------------------------- */

static void init_ring(goipci_item *head)
{
    head->previous = head;
    head->next = head;
}

void goipci_item_link(goipci_item *head, goipci_item *item)
{
    assert(head->previous != NULL);
    if (item->next != NULL) {
        return;
    }
    item->previous = head->previous;
    item->next = head;
    head->previous->next = item;
    head->previous = item;
}

void goipci_item_unlink(goipci_item *item)
{
    if (item->next == NULL) {
        return;
    }
    item->previous->next = item->next;
    item->next->previous = item->previous;
    item->previous = NULL;
    item->next = NULL;
}

/* --- the port --------------------------------------------------------------------------------- */

static goipci_port *new_port(const goipc_allocator *allocator)
{
    goipci_port *port = goipci_allocate_zeroed(allocator, sizeof *port);

    if (port == NULL) {
        return NULL;
    }
    port->allocator = allocator;
    port->references = 1;
    InitializeSRWLock(&port->lock);
    init_ring(&port->candidates);
    init_ring(&port->closed);
    port->handle = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    return port;
}

void goipci_port_hold(goipci_port *port)
{
    (void)InterlockedIncrement(&port->references);
}

static goipci_pipe *pipe_of_item(goipci_item *item)
{
    return (goipci_pipe *)(void *)((uint8_t *)item - offsetof(goipci_pipe, own_item));
}

void goipci_port_release(goipci_port *port)
{
    const goipc_allocator *allocator = port->allocator;

    if (InterlockedDecrement(&port->references) != 0) {
        return;
    }
    if (port->handle != NULL) {
        (void)CloseHandle(port->handle); /* this also drops its packets */
    }
    while (port->closed.next != &port->closed) {
        goipci_pipe *pipe = pipe_of_item(port->closed.next);

        goipci_item_unlink(&pipe->own_item);
        goipci_pipe_release(pipe);
    }
    goipci_release(allocator, port, sizeof *port);
}

static void wake(const goipci_port *port)
{
    /* It fails only without kernel memory; then the wait ends at its timeout. */
    (void)PostQueuedCompletionStatus(port->handle, 0, 0, NULL);
}

void goipci_port_look_again(goipci_port *port, goipci_item *item)
{
    bool somebody_waits;

    AcquireSRWLockExclusive(&port->lock);
    if (item->watched) {
        goipci_item_link(&port->candidates, item);
    }
    somebody_waits = port->waiting_count > 0;
    ReleaseSRWLockExclusive(&port->lock);
    if (somebody_waits) {
        wake(port);
    }
}

/* Handles one packet: an operation of this pipe has completed. The port's lock is held. */
static void take_packet(goipci_port *port, goipci_operation *operation)
{
    goipci_pipe *pipe = operation->pipe;
    const LONG left = InterlockedDecrement(&pipe->packets);

    assert(left >= 0);
    if (pipe->closed) {
        if (left == 0) {
            goipci_item_unlink(&pipe->own_item);
            goipci_pipe_release(pipe);
        }
        return;
    }
    if (pipe->item->watched) {
        goipci_item_link(&port->candidates, pipe->item);
    }
}

/* Waits at most `timeout_ms` for the first packet, and takes all that have arrived. */
static DWORD pump(goipci_port *port, DWORD timeout_ms)
{
    OVERLAPPED_ENTRY entries[PACKETS_AT_ONCE];
    ULONG count = 0;
    ULONG i;

    if (!GetQueuedCompletionStatusEx(port->handle, entries, PACKETS_AT_ONCE, &count, timeout_ms,
                                     FALSE)) {
        const DWORD error = GetLastError();

        return error == WAIT_TIMEOUT ? 0 : error;
    }
    AcquireSRWLockExclusive(&port->lock);
    for (i = 0; i < count; i++) {
        if (entries[i].lpOverlapped != NULL) { /* NULL: a wake */
            take_packet(port, (goipci_operation *)(void *)entries[i].lpOverlapped);
        }
    }
    ReleaseSRWLockExclusive(&port->lock);
    return 0;
}

/* Polls each candidate once. Ready candidates move to the end of the ring, so that all take
 * turns. */
static size_t collect(goipci_port *port, goipci_ready *ready, size_t capacity, bool *silent)
{
    goipci_item *last = port->candidates.previous;
    bool is_last = last == &port->candidates;
    size_t count = 0;

    *silent = false;
    while (!is_last && count < capacity) {
        goipci_item *item = port->candidates.next;
        bool item_silent = false;
        unsigned events;

        is_last = item == last;
        goipci_item_unlink(item);
        events = item->look(item, item->wanted, &item_silent);
        if (events != 0) {
            ready[count].context = item->context;
            ready[count].events = events;
            count++;
        }
        if (events != 0 || item_silent) {
            goipci_item_link(&port->candidates, item);
        }
        *silent = *silent || item_silent;
    }
    return count;
}

/* --- transport.h ------------------------------------------------------------------------------ */

goipc_error goipci_poller_new(const goipc_allocator *allocator, goipci_poller **poller,
                              int *system_error)
{
    goipci_poller *made = goipci_allocate_zeroed(allocator, sizeof *made);

    *system_error = 0;
    *poller = NULL;
    if (made == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    made->allocator = allocator;
    made->port = new_port(allocator);
    if (made->port == NULL) {
        goipci_release(allocator, made, sizeof *made);
        return GOIPC_ERROR_MEMORY;
    }
    made->interrupt = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (made->interrupt == NULL || made->port->handle == NULL) {
        *system_error = (int)GetLastError();
        goipci_poller_free(made);
        return GOIPC_ERROR_RESOURCES;
    }
    *poller = made;
    return GOIPC_ERROR_OK;
}

void goipci_poller_free(goipci_poller *poller)
{
    if (poller == NULL) {
        return;
    }
    if (poller->interrupt != NULL) {
        (void)CloseHandle(poller->interrupt);
    }
    goipci_port_release(poller->port);
    goipci_release(poller->allocator, poller, sizeof *poller);
}

static bool is_interrupted(const goipci_poller *poller)
{
    return InterlockedCompareExchange((volatile LONG *)(uintptr_t)&poller->interrupted, 0, 0) != 0;
}

void goipci_poller_abandon(goipci_poller *poller)
{
    (void)poller; /* Windows has no fork */
}

static void set_watch(goipci_port *port, goipci_item *item, unsigned events, void *context)
{
    AcquireSRWLockExclusive(&port->lock);
    item->watched = events != 0;
    item->wanted = events;
    item->context = context;
    if (!item->watched) {
        goipci_item_unlink(item);
    }
    ReleaseSRWLockExclusive(&port->lock);
    if (events != 0) {
        goipci_port_look_again(port, item);
    }
}

goipc_error goipci_poller_watch(goipci_poller *poller, goipci_stream *stream, unsigned events,
                                void *context, bool *known)
{
    goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    const goipc_error error = goipci_pipe_bind(pipe, poller->port);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    *known = true;
    set_watch(poller->port, &pipe->own_item, events, context);
    return GOIPC_ERROR_OK;
}

void goipci_poller_forget(goipci_poller *poller, goipci_stream *stream, bool *known)
{
    if (*known) {
        set_watch(poller->port, &goipci_pipe_of_stream(stream)->own_item, 0, NULL);
    }
    *known = false;
}

goipc_error goipci_poller_watch_listener(goipci_poller *poller, goipci_listener *listener, bool on,
                                         void *context, bool *known)
{
    const goipc_error error = goipci_listener_bind(listener, poller->port);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    *known = true;
    set_watch(poller->port, &listener->item, on ? (unsigned)GOIPCI_READABLE : 0, context);
    return GOIPC_ERROR_OK;
}

void goipci_poller_forget_listener(goipci_poller *poller, goipci_listener *listener, bool *known)
{
    if (*known) {
        set_watch(poller->port, &listener->item, 0, NULL);
        *known = false;
    }
}

/* The rest of `timeout_ms`, counted from `start_ms`, as a timeout of Windows. */
static DWORD time_left(int32_t timeout_ms, int64_t start_ms)
{
    int64_t left;

    if (timeout_ms < 0) {
        return INFINITE;
    }
    left = timeout_ms - (goipci_system_clock_ms() - start_ms);
    return left > 0 ? (DWORD)left : 0;
}

/* Blocks until a packet arrives, unless a candidate was added since the last poll. */
static DWORD block(goipci_port *port, DWORD timeout_ms, bool silent)
{
    bool has_candidates;
    DWORD error;

    if (silent && timeout_ms > SILENT_WAIT_MS) {
        timeout_ms = SILENT_WAIT_MS;
    }
    AcquireSRWLockExclusive(&port->lock);
    has_candidates = port->candidates.next != &port->candidates;
    port->waiting_count++;
    ReleaseSRWLockExclusive(&port->lock);
    error = pump(port, has_candidates && !silent ? 0 : timeout_ms);
    AcquireSRWLockExclusive(&port->lock);
    port->waiting_count--;
    ReleaseSRWLockExclusive(&port->lock);
    return error;
}

static goipc_error pass_interrupt_on(goipci_poller *poller)
{
    bool somebody_waits;

    AcquireSRWLockShared(&poller->port->lock);
    somebody_waits = poller->port->waiting_count > 0;
    ReleaseSRWLockShared(&poller->port->lock);
    if (somebody_waits) {
        wake(poller->port);
    }
    return GOIPC_ERROR_INTERRUPTED;
}

goipc_error goipci_poller_wait(goipci_poller *poller, int32_t timeout_ms, goipci_ready *ready,
                               size_t capacity, size_t *count)
{
    goipci_port *port = poller->port;
    const int64_t start_ms = goipci_system_clock_ms();
    DWORD error = pump(port, 0);

    assert(capacity > 0);
    *count = 0;
    for (;;) {
        bool silent;
        DWORD left;

        if (is_interrupted(poller)) {
            return pass_interrupt_on(poller);
        }
        if (error != 0) {
            return GOIPC_ERROR_SYSTEM;
        }
        AcquireSRWLockExclusive(&port->lock);
        *count = collect(port, ready, capacity, &silent);
        ReleaseSRWLockExclusive(&port->lock);
        left = time_left(timeout_ms, start_ms);
        if (*count > 0 || InterlockedExchange(&poller->kicked, 0) != 0 || left == 0) {
            return GOIPC_ERROR_OK;
        }
        error = block(port, left, silent);
    }
}

intptr_t goipci_poller_descriptor(const goipci_poller *poller)
{
    (void)poller; /* a completion port is no waitable handle */
    return -1;
}

void goipci_poller_interrupt(goipci_poller *poller)
{
    const DWORD error = GetLastError();

    if (InterlockedExchange(&poller->interrupted, 1) == 0) {
        (void)SetEvent(poller->interrupt);
        wake(poller->port);
    }
    SetLastError(error);
}

void goipci_poller_resume(goipci_poller *poller)
{
    (void)InterlockedExchange(&poller->interrupted, 0);
    (void)ResetEvent(poller->interrupt);
}

void goipci_poller_kick(goipci_poller *poller)
{
    if (InterlockedExchange(&poller->kicked, 1) == 0) {
        wake(poller->port);
    }
}

/* The event handles of the pending operations, to wait for. */
static DWORD list_handles(const goipci_pipe *pipe, const goipci_poller *poller, unsigned events,
                          HANDLE handles[3])
{
    DWORD count = 0;

    handles[count++] = poller->interrupt;
    if ((events & GOIPCI_READABLE) != 0) {
        handles[count++] = pipe->reading.done;
    }
    if ((events & GOIPCI_WRITABLE) != 0 || pipe->finished) {
        handles[count++] = pipe->writing.done;
    }
    return count;
}

goipc_error goipci_stream_wait(goipci_stream *stream, const goipci_poller *poller, unsigned events,
                               int32_t timeout_ms)
{
    goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    const int64_t start_ms = goipci_system_clock_ms();

    assert(events != 0);
    for (;;) {
        HANDLE handles[3];
        bool silent = false;
        DWORD left;
        DWORD result;

        if (is_interrupted(poller)) {
            return GOIPC_ERROR_INTERRUPTED;
        }
        if (pipe->own_item.look(&pipe->own_item, events, &silent) != 0) {
            return GOIPC_ERROR_OK;
        }
        left = time_left(timeout_ms, start_ms);
        if (left == 0) {
            return GOIPC_ERROR_TIMEOUT;
        }
        result = WaitForMultipleObjects(list_handles(pipe, poller, events, handles), handles, FALSE,
                                        left);
        if (result == WAIT_FAILED) {
            return GOIPC_ERROR_SYSTEM;
        }
    }
}
