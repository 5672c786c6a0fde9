/* SPDX-License-Identifier: MIT */
/*
 * transport.h's listeners with named pipes.
 *
 * A client can connect as long as one instance of the pipe waits for it. The listener keeps
 * GOIPCI_WAITING_PIPES of them. It opens a new instance before it hands one out, so that the name
 * is never free for another process to take. While no instance waits, a client gets
 * ERROR_PIPE_BUSY, which means: try again.
 */
#include "platform/windows/pipe.h"

#include <assert.h>
#include <stdio.h>

enum {
    PIPE_QUOTA = 64 * 1024, /* bytes each direction holds before a write has to wait */
    OTHER_USERS = 0007,     /* permission bits of all other users */
};

/* Starts to wait for a client. */
static goipc_error await_client(goipci_pipe *pipe, int *system_error)
{
    BOOL completed;
    DWORD error;

    AcquireSRWLockExclusive(&pipe->read_lock);
    goipci_operation_begin(&pipe->reading);
    completed = ConnectNamedPipe(pipe->handle, &pipe->reading.overlapped);
    error = goipci_operation_begun(&pipe->reading, completed, GetLastError());
    ReleaseSRWLockExclusive(&pipe->read_lock);
    /* A client may have connected already, and even disconnected: a read reports that. */
    if (error == 0 || error == ERROR_PIPE_CONNECTED || error == ERROR_NO_DATA) {
        return GOIPC_ERROR_OK;
    }
    *system_error = (int)error;
    return goipci_error_of_windows(error);
}

/* Whether a client has connected. True also if the wait failed: a read reports that. */
static bool has_client(goipci_pipe *pipe)
{
    DWORD size;
    DWORD error = 0;
    int system_error;
    bool done;

    AcquireSRWLockExclusive(&pipe->read_lock);
    done = !pipe->reading.pending || goipci_operation_take(&pipe->reading, &size, &error);
    ReleaseSRWLockExclusive(&pipe->read_lock);
    if (error == ERROR_OPERATION_ABORTED) { /* the thread that started the wait has ended */
        return await_client(pipe, &system_error) != GOIPC_ERROR_OK || !pipe->reading.pending;
    }
    return done;
}

/* One more instance of the pipe, waiting for a client. */
static goipc_error open_instance(goipci_listener *listener, bool first, goipci_pipe **pipe,
                                 int *system_error)
{
    SECURITY_ATTRIBUTES attributes = {sizeof attributes, listener->security, FALSE};
    wchar_t path[GOIPCI_PATH_UNITS];
    HANDLE handle;
    goipc_error error;

    *pipe = NULL;
    *system_error = 0;
    if (!goipci_path_widen(listener->address.text, path)) {
        return GOIPC_ERROR_SYSTEM;
    }
    handle = CreateNamedPipeW(
        path,
        PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0u),
        /* req: EP-018, EP-019, EP-020 */
        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, PIPE_QUOTA, PIPE_QUOTA, 0, &attributes);
    if (handle == INVALID_HANDLE_VALUE) {
        *system_error = (int)GetLastError();
        return goipci_error_of_windows((DWORD)*system_error);
    }
    error = goipci_pipe_new(listener->allocator, handle, pipe, system_error);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    (*pipe)->is_server_end = true;
    (*pipe)->restricted = listener->restricted;
    (*pipe)->item = &listener->item;
    error = listener->port == NULL ? GOIPC_ERROR_OK : goipci_pipe_bind(*pipe, listener->port);
    if (error == GOIPC_ERROR_OK) {
        error = await_client(*pipe, system_error);
    }
    if (error != GOIPC_ERROR_OK) {
        (*pipe)->stream.functions->close(&(*pipe)->stream);
        *pipe = NULL;
    }
    return error;
}

static unsigned look_at_listener(goipci_item *item, unsigned events, bool *silent)
{
    goipci_listener *listener =
        (goipci_listener *)(void *)((uint8_t *)item - offsetof(goipci_listener, item));
    unsigned ready = 0;
    size_t i;

    (void)events;
    AcquireSRWLockExclusive(&listener->lock);
    for (i = 0; i < GOIPCI_WAITING_PIPES; i++) {
        if (has_client(listener->waiting[i])) {
            ready = GOIPCI_READABLE;
        } else if (!listener->waiting[i]->reading.posts) {
            *silent = true;
        }
    }
    ReleaseSRWLockExclusive(&listener->lock);
    return ready;
}

/* The text of an error; `exists` is whether a pipe of that name exists. */
static goipc_error explain(goipc_error error, const char *path, int system_error, bool exists,
                           goipc_failure *failure)
{
    char text[160];

    if (error == GOIPC_ERROR_PERMISSION || error == GOIPC_ERROR_WOULD_BLOCK) {
        error = exists ? GOIPC_ERROR_ADDRESS_IN_USE : GOIPC_ERROR_PERMISSION;
    }
    failure->error = error;
    failure->system_error = system_error;
    if (error == GOIPC_ERROR_ADDRESS_IN_USE) {
        (void)snprintf(failure->text, sizeof failure->text,
                       "cannot listen at %s: a live server already listens there; stop it or "
                       "choose another name",
                       path);
        return error;
    }
    goipci_system_error_text(system_error, text, sizeof text);
    (void)snprintf(failure->text, sizeof failure->text, "cannot listen at %s: %s (%s)", path,
                   goipc_error_text(error), text);
    return error;
}

/* A pipe that exists has a server: its name vanishes with its last instance. This check does not
 * connect. */
static bool pipe_exists(const char *path)
{
    wchar_t wide[GOIPCI_PATH_UNITS];

    return goipci_path_widen(path, wide) &&
           (WaitNamedPipeW(wide, NMPWAIT_NOWAIT) || GetLastError() != ERROR_FILE_NOT_FOUND);
}

goipc_error goipci_listener_open(const goipc_allocator *allocator, const goipci_address *address,
                                 uint32_t mode, goipci_listener **listener, goipc_failure *failure)
{
    goipci_listener *made = goipci_allocate_zeroed(allocator, sizeof *made);
    goipc_error error = GOIPC_ERROR_OK;
    int system_error = 0;
    size_t i;

    *listener = NULL;
    if (made == NULL) {
        return explain(GOIPC_ERROR_MEMORY, address->text, ERROR_NOT_ENOUGH_MEMORY, false, failure);
    }
    made->allocator = allocator;
    made->address = *address;
    made->restricted = (mode & OTHER_USERS) == 0;
    made->item.look = look_at_listener;
    InitializeSRWLock(&made->lock);
    made->security = goipci_security_new(!made->restricted);
    if (made->security == NULL) {
        system_error = (int)GetLastError();
        error = goipci_error_of_windows((DWORD)system_error);
    } else if (pipe_exists(address->text)) {
        /* FILE_FLAG_FIRST_PIPE_INSTANCE makes the same check without a race; Wine ignores it. */
        system_error = ERROR_ACCESS_DENIED;
        error = GOIPC_ERROR_PERMISSION;
    }
    for (i = 0; i < GOIPCI_WAITING_PIPES && error == GOIPC_ERROR_OK; i++) {
        error = open_instance(made, i == 0, &made->waiting[i], &system_error);
    }
    if (error != GOIPC_ERROR_OK) {
        goipci_listener_close(made, true);
        return explain(error, address->text, system_error, pipe_exists(address->text), failure);
    }
    *listener = made;
    return GOIPC_ERROR_OK;
}

bool goipci_listener_has_name(const goipci_listener *listener)
{
    (void)listener; /* the name of a pipe exists as long as an instance */
    return true;
}

goipc_error goipci_listener_bind(goipci_listener *listener, goipci_port *port)
{
    goipc_error error = GOIPC_ERROR_OK;
    size_t i;

    AcquireSRWLockExclusive(&listener->lock);
    if (listener->port == NULL) {
        for (i = 0; i < GOIPCI_WAITING_PIPES && error == GOIPC_ERROR_OK; i++) {
            error = goipci_pipe_bind(listener->waiting[i], port);
        }
        if (error == GOIPC_ERROR_OK) {
            listener->port = port;
            goipci_port_hold(port);
        }
    }
    ReleaseSRWLockExclusive(&listener->lock);
    return error;
}

/* Disconnects the client and waits for the next at the same instance. */
static goipc_error turn_away(goipci_pipe *pipe, goipc_error error, int *system_error)
{
    int again_error = 0;

    (void)DisconnectNamedPipe(pipe->handle);
    if (await_client(pipe, &again_error) != GOIPC_ERROR_OK) {
        *system_error = again_error;
        return GOIPC_ERROR_SYSTEM;
    }
    return error;
}

static goipc_error accept_locked(goipci_listener *listener, goipci_pipe **pipe, int *system_error)
{
    size_t i;

    for (i = 0; i < GOIPCI_WAITING_PIPES; i++) {
        const size_t at = (listener->next_at + i) % GOIPCI_WAITING_PIPES;
        goipci_pipe *candidate = listener->waiting[at];
        goipci_pipe *next;
        goipc_error error;

        if (!has_client(candidate)) {
            continue;
        }
        error = open_instance(listener, false, &next, system_error);
        if (error != GOIPC_ERROR_OK) {
            return turn_away(candidate, error, system_error);
        }
        listener->waiting[at] = next;
        listener->next_at = (at + 1) % GOIPCI_WAITING_PIPES;
        *pipe = candidate;
        return GOIPC_ERROR_OK;
    }
    return GOIPC_ERROR_WOULD_BLOCK;
}

goipc_error goipci_listener_accept(goipci_listener *listener, goipci_stream **stream,
                                   int *system_error)
{
    goipci_pipe *pipe = NULL;
    goipc_error error;

    *stream = NULL;
    *system_error = 0;
    AcquireSRWLockExclusive(&listener->lock);
    error = accept_locked(listener, &pipe, system_error);
    ReleaseSRWLockExclusive(&listener->lock);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (pipe->port == NULL) {
        pipe->item = &pipe->own_item;
    } else { /* the waiting thread takes its packets */
        AcquireSRWLockExclusive(&pipe->port->lock);
        pipe->item = &pipe->own_item;
        ReleaseSRWLockExclusive(&pipe->port->lock);
    }
    *stream = &pipe->stream;
    return GOIPC_ERROR_OK;
}

void goipci_listener_close(goipci_listener *listener, bool remove)
{
    size_t i;

    (void)remove; /* a pipe's name vanishes with its last instance */
    if (listener == NULL) {
        return;
    }
    if (listener->port != NULL) {
        AcquireSRWLockExclusive(&listener->port->lock);
        goipci_item_unlink(&listener->item);
        listener->item.watched = false;
        ReleaseSRWLockExclusive(&listener->port->lock);
    }
    for (i = 0; i < GOIPCI_WAITING_PIPES; i++) {
        if (listener->waiting[i] != NULL) {
            goipci_stream *stream = &listener->waiting[i]->stream;

            stream->functions->close(stream);
        }
    }
    if (listener->port != NULL) {
        goipci_port_release(listener->port);
    }
    if (listener->security != NULL) {
        (void)LocalFree(listener->security);
    }
    goipci_release(listener->allocator, listener, sizeof *listener);
}
