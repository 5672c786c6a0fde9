/* SPDX-License-Identifier: MIT */
/*
 * transport.h's streams with named pipes: \\.\pipe\NAME, byte mode, overlapped.
 *
 * READINESS FROM COMPLETION
 *
 * A pipe without input keeps an overlapped read pending, into `probe`. When that read completes,
 * the pipe is readable. The bytes of `probe` are returned first. The rest of the input is then read
 * into the caller's buffer, which cannot block because no other thread reads. A write copies at
 * most GOIPCI_WRITE_SIZE bytes and starts to send them. The pipe is not writable until they were
 * sent.
 *
 * THE END
 *
 * Windows cannot half-close a pipe, but written bytes stay readable after our end was closed. So
 * finish waits only for our last write. When it completes, our end is closed, and reads return the
 * end of the stream.
 *
 * When a thread ends, Windows cancels its pending operations, unless the handle is bound to a
 * completion port, as every pipe of an endpoint is. A cancelled read is started again in any case.
 * Wine also cancels writes of bound pipes: there a thread must not end before its last write.
 */
#include "platform/windows/pipe.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum {
    NAME_UNITS_MAX = 256 - 9, /* 256 is the limit of Windows, 9 the length of `\\.\pipe\` */
    READ_ATTEMPTS = 16,       /* reads in a row that may return no byte */
};

/* --- addresses -------------------------------------------------------------------------------- */

static bool name_is_valid(const char *name)
{
    /* Windows resolves "." and ".." in these paths, and treats '/' as a separator. */
    return name[0] != '\0' && strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* The path in UTF-16. False for invalid UTF-8. */
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

    (void)directory; /* all pipes have one directory */
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

/* An operation is pending from begin until take returns true. The pipe's lock for that operation is
 * held. */

/* An event handle with its lowest bit set: the completion sends no packet to the port. */
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
    } else { /* no packet either if the pipe is bound before the operation completes */
        operation->overlapped.hEvent = without_packet(operation->done);
    }
}

/* Evaluates the system call that started the operation. Returns its error if it failed at once. */
DWORD goipci_operation_begun(goipci_operation *operation, BOOL completed, DWORD error)
{
    goipci_pipe *pipe = operation->pipe;
    const bool failed = !completed && error != ERROR_IO_PENDING;

    if (operation->posts && (failed || (completed && pipe->skips))) {
        (void)InterlockedDecrement(&pipe->packets); /* it sends no packet */
    }
    if (failed) {
        operation->pending = false;
        return error;
    }
    return 0;
}

/* Whether the operation has completed; then its result. */
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

/* Cancels an operation and waits for its end. Until then the system uses its memory. */
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

/* Starts the waiting read. False if it failed at once; read_failure has the reason. */
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

/* Ensures that there is a result (true) or a pending read (false). Also true after READ_ATTEMPTS
 * empty reads: a peer that writes 0 bytes again and again must not keep us in this loop. */
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
        /* When a thread ends, Windows cancels the operations that it started. */
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

/* Reads from the pipe without waiting. The waiting read reports the end of the stream. */
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
    /* The bytes have arrived, so this does not block. */
    return GetOverlappedResult(pipe->handle, &overlapped, &size, TRUE) ? size : 0;
}

static bool write_is_idle(goipci_pipe *pipe);

/* Whether finish was called and the last write has completed. Then closes our end, which tells the
 * peer. read_lock is held. */
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
    /* Reads the result of the waiting read, or directly from the pipe if none is pending. */
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

/* Whether the last write has completed. True also if it failed: the next write reports that. */
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

/* The buffer of the pending write. If there is no memory for a large one, a small one. */
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
        goipci_port_look_again(port, &pipe->own_item); /* it may be readable now */
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

/* Whether the peer has closed its end, even if unread input remains. read_lock is held, and no read
 * is pending. */
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

/* Makes a pipe of a handle and takes ownership of it, also on failure. */
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
    assert(pipe->port == NULL || pipe->port == port); /* a pipe cannot change its poller */
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
    /* The server may identify us, but not impersonate us. */
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
