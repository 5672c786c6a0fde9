/* SPDX-License-Identifier: MIT */
/*
 * transport.h's streams with named pipes: \\.\pipe\NAME, byte mode, overlapped.
 *
 * READINESS FROM COMPLETION
 *
 * A pipe that has nothing to read keeps a read of its own under way, into `probe`. That it
 * completes means "readable"; what it brought is given first, and then whatever more is in the pipe
 * is read straight into the caller's room, which cannot block: nobody else reads. A write copies at
 * most GOIPCI_WRITE_SIZE bytes and lets them go; while they are on their way the pipe is not
 * writable.
 *
 * THE END
 *
 * A pipe cannot be closed by half. What was written stays readable for the other side after our end
 * has closed, so after finish there is nothing to wait for but our own last write: as soon as it is
 * done our end is closed, and reading says that the end is there.
 *
 * Windows cancels what a thread has under way when the thread ends, unless the handle is bound to a
 * completion port, as every pipe of an endpoint is. A waiting read is begun again in any case. Wine
 * cancels writes of bound pipes, too: there a thread has to outlive its last write.
 */
#include "platform/windows/pipe.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum {
    NAME_UNITS_MAX = 256 - 9, /* what `\\.\pipe\` leaves of the 256 that Windows allows */
    READ_ATTEMPTS = 16,       /* reads in a row that may end without a byte */
};

/* --- addresses -------------------------------------------------------------------------------- */

static bool name_is_valid(const char *name)
{
    /* Windows resolves "." and ".." in these paths, and takes '/' for the separator it ends at. */
    return name[0] != '\0' && strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* The path in UTF-16. Invalid UTF-8 has none. */
bool goipci_path_widen(const char *path, wchar_t out[GOIPCI_PATH_UNITS])
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, out, GOIPCI_PATH_UNITS) > 0;
}

/* req: EP-001, EP-002, EP-003, EP-004, EP-017 */
goipc_error goipci_address_init(goipci_address *address, const char *name, const char *directory,
                                bool abstract)
{
    wchar_t path[GOIPCI_PATH_UNITS];
    const int size = snprintf(address->text, sizeof address->text, "\\\\.\\pipe\\%s", name);

    (void)directory; /* pipes all live in one place */
    address->abstract = false;
    if (abstract) {
        return GOIPC_ERROR_ARGUMENT;
    }
    if (size < 0 || (size_t)size >= sizeof address->text || !name_is_valid(name) ||
        !goipci_path_widen(address->text, path)) {
        return GOIPC_ERROR_NAME;
    }
    return GOIPC_ERROR_OK;
}

/* --- operations ------------------------------------------------------------------------------- */

/* An operation is under way from begin to the take that does not say WOULD_BLOCK. Either lock of
 * the pipe, the one that belongs to the operation, is held. */

/* An event whose lowest bit is set keeps the completion from the port. */
static HANDLE without_packet(HANDLE event)
{
    return (HANDLE)((ULONG_PTR)event | 1u);
}

void goipci_operation_begin(goipci_operation *operation)
{
    goipci_pipe *pipe = operation->pipe;

    assert(!operation->pending);
    memset(&operation->overlapped, 0, sizeof operation->overlapped);
    (void)ResetEvent(operation->done);
    operation->pending = true;
    operation->posts = pipe->port != NULL;
    if (operation->posts) {
        operation->overlapped.hEvent = operation->done;
        (void)InterlockedIncrement(&pipe->packets);
    } else { /* it leaves no packet either when the pipe is bound before it completes */
        operation->overlapped.hEvent = without_packet(operation->done);
    }
}

/* What the system call that started it said. Gives the error with which it failed at once, or 0. */
DWORD goipci_operation_begun(goipci_operation *operation, BOOL completed, DWORD error)
{
    goipci_pipe *pipe = operation->pipe;
    const bool failed = !completed && error != ERROR_IO_PENDING;

    if (operation->posts && (failed || (completed && pipe->skips))) {
        (void)InterlockedDecrement(&pipe->packets); /* none will come */
    }
    if (failed) {
        operation->pending = false;
        return error;
    }
    return 0;
}

/* The result, if it is there. */
bool goipci_operation_take(goipci_operation *operation, DWORD *size, DWORD *error)
{
    *size = 0;
    *error = 0;
    if (!GetOverlappedResult(operation->pipe->handle, &operation->overlapped, size, FALSE)) {
        *error = GetLastError();
        if (*error == ERROR_IO_INCOMPLETE) {
            return false;
        }
    }
    operation->pending = false;
    return true;
}

/* Ends an operation whose result no longer matters. Its memory is the system's until then. */
static void cancel(goipci_operation *operation)
{
    DWORD size;

    if (!operation->pending) {
        return;
    }
    (void)CancelIoEx(operation->pipe->handle, &operation->overlapped);
    (void)GetOverlappedResult(operation->pipe->handle, &operation->overlapped, &size, TRUE);
    operation->pending = false;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void note_read_result(goipci_pipe *pipe, DWORD size, DWORD error)
{
    pipe->probe_at = 0;
    pipe->probe_size = error == 0 ? size : 0;
    if (error != 0) {
        pipe->read_failure = error;
    }
}

static bool has_read_result(const goipci_pipe *pipe)
{
    return pipe->probe_at < pipe->probe_size || pipe->read_failure != 0;
}

/* Starts the waiting read. False: it failed at once, and the reason is noted. */
static bool start_reading(goipci_pipe *pipe)
{
    BOOL completed;
    DWORD error;

    goipci_operation_begin(&pipe->reading);
    completed =
        ReadFile(pipe->handle, pipe->probe, GOIPCI_PROBE_SIZE, NULL, &pipe->reading.overlapped);
    error = goipci_operation_begun(&pipe->reading, completed, GetLastError());
    if (error != 0) {
        note_read_result(pipe, 0, error);
    }
    return error == 0;
}

/* Sees to it that there is a result, or else that a read is under way. True also when there may be
 * one: a peer that writes nothing, many times, is not followed for ever. */
static bool update_reading(goipci_pipe *pipe)
{
    int attempts;

    for (attempts = 0; attempts < READ_ATTEMPTS && !has_read_result(pipe); attempts++) {
        DWORD size;
        DWORD error;

        if (!pipe->reading.pending && !start_reading(pipe)) {
            return true;
        }
        if (!goipci_operation_take(&pipe->reading, &size, &error)) {
            return false;
        }
        /* Windows cancels what a thread began when the thread ends. */
        if (error != ERROR_OPERATION_ABORTED) {
            note_read_result(pipe, size, error);
        }
    }
    return true;
}

static size_t give_probe(goipci_pipe *pipe, uint8_t *out, size_t capacity)
{
    const size_t left = pipe->probe_size - pipe->probe_at;
    const size_t size = left < capacity ? left : capacity;

    if (size > 0) {
        memcpy(out, pipe->probe + pipe->probe_at, size);
        pipe->probe_at += size;
    }
    return size;
}

/* Reads what is in the pipe, without waiting. How it ends is the waiting read's to find out. */
static size_t read_at_once(goipci_pipe *pipe, uint8_t *out, size_t capacity)
{
    OVERLAPPED overlapped;
    DWORD available = 0;
    DWORD size = 0;
    DWORD wanted;
    BOOL started;

    if (pipe->reading.pending || pipe->read_failure != 0 || capacity == 0 ||
        !PeekNamedPipe(pipe->handle, NULL, 0, NULL, &available, NULL) || available == 0) {
        return 0;
    }
    wanted = available < capacity ? available : (DWORD)capacity;
    memset(&overlapped, 0, sizeof overlapped);
    overlapped.hEvent = without_packet(pipe->reading.done);
    started = ReadFile(pipe->handle, out, wanted, NULL, &overlapped);
    if (!started && GetLastError() != ERROR_IO_PENDING) {
        return 0;
    }
    /* The bytes are there, so this does not wait. */
    return GetOverlappedResult(pipe->handle, &overlapped, &size, TRUE) ? size : 0;
}

static bool write_is_idle(goipci_pipe *pipe);

/* Whether finish was called and all that was written is on its way to the peer, who is then told by
 * closing our end. read_lock is held. */
static bool is_finished(goipci_pipe *pipe)
{
    bool finished;

    AcquireSRWLockExclusive(&pipe->write_lock);
    finished = pipe->finished && write_is_idle(pipe);
    ReleaseSRWLockExclusive(&pipe->write_lock);
    if (finished && pipe->handle != INVALID_HANDLE_VALUE) {
        cancel(&pipe->reading);
        (void)CloseHandle(pipe->handle);
        pipe->handle = INVALID_HANDLE_VALUE;
    }
    return finished;
}

static goipc_error read_locked(goipci_pipe *pipe, uint8_t *out, size_t capacity, size_t *size,
                               int *system_error)
{
    *size = 0;
    if (is_finished(pipe)) {
        return GOIPC_ERROR_OK;
    }
    /* Taking from the waiting read that is under way, or without one straight from the pipe. */
    if (pipe->reading.pending) {
        (void)update_reading(pipe);
    }
    *size = give_probe(pipe, out, capacity);
    *size += read_at_once(pipe, out + *size, capacity - *size);
    if (*size == 0 && update_reading(pipe)) {
        *size = give_probe(pipe, out, capacity);
    }
    if (*size > 0) {
        return GOIPC_ERROR_OK;
    }
    if (pipe->read_failure == 0) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    if (goipci_is_disconnect(pipe->read_failure)) {
        return GOIPC_ERROR_OK;
    }
    *system_error = (int)pipe->read_failure;
    return GOIPC_ERROR_SYSTEM;
}

static goipc_error read_pipe(goipci_stream *stream, uint8_t *out, size_t capacity, size_t *size,
                             int *system_error)
{
    goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    goipc_error error;

    assert(out != NULL && capacity > 0);
    *system_error = 0;
    AcquireSRWLockExclusive(&pipe->read_lock);
    error = read_locked(pipe, out, capacity, size, system_error);
    ReleaseSRWLockExclusive(&pipe->read_lock);
    return error;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Takes the result of the last write if it is there. True also after a failure: the next write will
 * say so. */
static bool write_is_idle(goipci_pipe *pipe)
{
    DWORD size;
    DWORD error;

    if (!pipe->writing.pending) {
        return true;
    }
    if (!goipci_operation_take(&pipe->writing, &size, &error)) {
        return false;
    }
    if (error != 0) {
        pipe->write_failure = error;
    }
    return true;
}

static size_t gather(const goipci_bytes *pieces, size_t piece_count, uint8_t *out, size_t capacity)
{
    size_t done = 0;
    size_t i;

    for (i = 0; i < piece_count && done < capacity; i++) {
        const size_t room = capacity - done;
        const size_t size = pieces[i].size < room ? pieces[i].size : room;

        if (size > 0) {
            memcpy(out + done, pieces[i].bytes, size);
            done += size;
        }
    }
    return done;
}

/* Where bytes wait that are on their way. Without memory for many, a few at a time. */
static uint8_t *write_room(goipci_pipe *pipe, size_t *capacity)
{
    if (pipe->write_bytes == NULL) {
        pipe->write_bytes = goipci_allocate_zeroed(pipe->allocator, GOIPCI_WRITE_SIZE);
    }
    *capacity =
        pipe->write_bytes != NULL ? (size_t)GOIPCI_WRITE_SIZE : (size_t)GOIPCI_WRITE_SIZE_SMALL;
    return pipe->write_bytes != NULL ? pipe->write_bytes : pipe->write_small;
}

static goipc_error write_locked(goipci_pipe *pipe, const goipci_bytes *pieces, size_t piece_count,
                                size_t *size)
{
    uint8_t *room;
    size_t capacity;
    BOOL completed;
    DWORD error;

    assert(!pipe->finished);
    if (!write_is_idle(pipe)) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    if (pipe->write_failure == 0) {
        room = write_room(pipe, &capacity);
        *size = gather(pieces, piece_count, room, capacity);
        goipci_operation_begin(&pipe->writing);
        completed = WriteFile(pipe->handle, room, (DWORD)*size, NULL, &pipe->writing.overlapped);
        error = goipci_operation_begun(&pipe->writing, completed, GetLastError());
        if (error == 0) {
            return GOIPC_ERROR_OK;
        }
        *size = 0;
        pipe->write_failure = error;
    }
    return goipci_is_disconnect(pipe->write_failure) ? GOIPC_ERROR_DISCONNECTED
                                                     : GOIPC_ERROR_SYSTEM;
}

static goipc_error write_pipe(goipci_stream *stream, const goipci_bytes *pieces, size_t piece_count,
                              size_t *size, int *system_error)
{
    goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    goipc_error error;

    assert(piece_count > 0);
    *size = 0;
    AcquireSRWLockExclusive(&pipe->write_lock);
    error = write_locked(pipe, pieces, piece_count, size);
    *system_error = error == GOIPC_ERROR_OK ? 0 : (int)pipe->write_failure;
    ReleaseSRWLockExclusive(&pipe->write_lock);
    return error;
}

/* --- the end of a pipe ------------------------------------------------------------------------ */

static void finish_pipe(goipci_stream *stream)
{
    goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    goipci_port *port;

    AcquireSRWLockExclusive(&pipe->read_lock);
    AcquireSRWLockExclusive(&pipe->write_lock);
    pipe->finished = true;
    port = pipe->port;
    ReleaseSRWLockExclusive(&pipe->write_lock);
    (void)is_finished(pipe);
    ReleaseSRWLockExclusive(&pipe->read_lock);
    if (port != NULL) {
        goipci_port_look_again(port, &pipe->own_item); /* it may be "readable" now */
    }
}

void goipci_pipe_release(goipci_pipe *pipe)
{
    goipci_release(pipe->allocator, pipe->write_bytes, GOIPCI_WRITE_SIZE);
    goipci_release(pipe->allocator, pipe, sizeof *pipe);
}

static void close_handles(goipci_pipe *pipe)
{
    cancel(&pipe->reading);
    cancel(&pipe->writing);
    if (pipe->handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(pipe->handle);
    }
    if (pipe->reading.done != NULL) {
        (void)CloseHandle(pipe->reading.done);
    }
    if (pipe->writing.done != NULL) {
        (void)CloseHandle(pipe->writing.done);
    }
}

static void close_pipe(goipci_stream *stream)
{
    goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    goipci_port *port = pipe->port;
    bool has_packets;

    close_handles(pipe);
    if (port == NULL) {
        goipci_pipe_release(pipe);
        return;
    }
    AcquireSRWLockExclusive(&port->lock);
    goipci_item_unlink(&pipe->own_item);
    pipe->own_item.watched = false;
    pipe->closed = true;
    has_packets = pipe->packets > 0;
    if (has_packets) {
        goipci_item_link(&port->closed, &pipe->own_item);
    }
    ReleaseSRWLockExclusive(&port->lock);
    if (!has_packets) {
        goipci_pipe_release(pipe);
    }
    goipci_port_release(port);
}

/* --- making pipes ----------------------------------------------------------------------------- */

static const goipci_stream_functions pipe_functions = {read_pipe, write_pipe, finish_pipe,
                                                       close_pipe};

goipci_pipe *goipci_pipe_of_stream(goipci_stream *stream)
{
    return (goipci_pipe *)stream->handle;
}

/* Whether the peer is known to have gone, also while something of what it wrote is still to be
 * read. read_lock is held and nothing is under way. */
static bool has_hung_up(const goipci_pipe *pipe)
{
    if (pipe->handle == INVALID_HANDLE_VALUE || pipe->reading.pending) {
        return false;
    }
    return goipci_is_disconnect(pipe->read_failure) ||
           (!PeekNamedPipe(pipe->handle, NULL, 0, NULL, NULL, NULL) &&
            goipci_is_disconnect(GetLastError()));
}

static unsigned look_at_pipe(goipci_item *item, unsigned events, bool *silent)
{
    goipci_pipe *pipe = (goipci_pipe *)(void *)((uint8_t *)item - offsetof(goipci_pipe, own_item));
    unsigned ready = 0;

    if ((events & GOIPCI_READABLE) != 0) {
        AcquireSRWLockExclusive(&pipe->read_lock);
        if (is_finished(pipe) || update_reading(pipe)) {
            ready |= GOIPCI_READABLE | (has_hung_up(pipe) ? GOIPCI_ENDED : 0u);
        } else {
            *silent = *silent || !pipe->reading.posts;
        }
        ReleaseSRWLockExclusive(&pipe->read_lock);
    }
    AcquireSRWLockExclusive(&pipe->write_lock);
    if (!write_is_idle(pipe)) {
        *silent = *silent || !pipe->writing.posts;
    } else if ((events & GOIPCI_WRITABLE) != 0) {
        ready |= GOIPCI_WRITABLE;
    }
    ReleaseSRWLockExclusive(&pipe->write_lock);
    return ready;
}

/* A pipe around a handle, which it owns from here on, also where this fails. */
goipc_error goipci_pipe_new(const goipc_allocator *allocator, HANDLE handle, goipci_pipe **pipe,
                            int *system_error)
{
    goipci_pipe *made = goipci_allocate_zeroed(allocator, sizeof *made);

    *pipe = NULL;
    *system_error = 0;
    if (made == NULL) {
        (void)CloseHandle(handle);
        return GOIPC_ERROR_MEMORY;
    }
    made->stream.functions = &pipe_functions;
    made->stream.handle = (intptr_t)made;
    made->allocator = allocator;
    made->handle = handle;
    InitializeSRWLock(&made->read_lock);
    InitializeSRWLock(&made->write_lock);
    made->reading.pipe = made;
    made->writing.pipe = made;
    made->own_item.look = look_at_pipe;
    made->item = &made->own_item;
    made->reading.done = CreateEventW(NULL, TRUE, FALSE, NULL);
    made->writing.done = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (made->reading.done == NULL || made->writing.done == NULL) {
        *system_error = (int)GetLastError();
        close_pipe(&made->stream);
        return GOIPC_ERROR_RESOURCES;
    }
    *pipe = made;
    return GOIPC_ERROR_OK;
}

goipc_error goipci_pipe_bind(goipci_pipe *pipe, goipci_port *port)
{
    goipc_error error = GOIPC_ERROR_OK;

    AcquireSRWLockExclusive(&pipe->read_lock);
    AcquireSRWLockExclusive(&pipe->write_lock);
    assert(pipe->port == NULL || pipe->port == port); /* one poller for life */
    if (pipe->port == NULL) {
        if (CreateIoCompletionPort(pipe->handle, port->handle, 0, 0) == NULL) {
            error = goipci_error_of_windows(GetLastError());
        } else {
            pipe->skips = SetFileCompletionNotificationModes(pipe->handle,
                                                             FILE_SKIP_COMPLETION_PORT_ON_SUCCESS);
            pipe->port = port;
            goipci_port_hold(port);
        }
    }
    ReleaseSRWLockExclusive(&pipe->write_lock);
    ReleaseSRWLockExclusive(&pipe->read_lock);
    return error;
}

goipc_error goipci_stream_dial(const goipc_allocator *allocator, const goipci_address *address,
                               goipci_stream **stream, int *system_error)
{
    wchar_t path[GOIPCI_PATH_UNITS];
    goipci_pipe *pipe;
    HANDLE handle;
    goipc_error error;

    *stream = NULL;
    *system_error = 0;
    if (!goipci_path_widen(address->text, path)) {
        return GOIPC_ERROR_SYSTEM;
    }
    /* A server may learn who we are, and may not act as us. */
    handle = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                         FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION,
                         NULL); /* req: EP-021 */
    if (handle == INVALID_HANDLE_VALUE) {
        *system_error = (int)GetLastError();
        return goipci_error_of_windows((DWORD)*system_error);
    }
    error = goipci_pipe_new(allocator, handle, &pipe, system_error);
    if (error == GOIPC_ERROR_OK) {
        *stream = &pipe->stream;
    }
    return error;
}
