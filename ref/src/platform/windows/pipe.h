/* SPDX-License-Identifier: MIT */
/* Declarations that the Windows files share: pipes, their operations and the completion port. */
#ifndef GOIPC_PIPE_H
#define GOIPC_PIPE_H

#include "endpoint/transport.h"

#include <windows.h>

/* --- the port (poller.c) ---------------------------------------------------------------------- */

typedef struct goipci_item goipci_item;

/* Something that can be watched: a pipe, or a listener with all its waiting pipes. */
struct goipci_item {
    goipci_item *previous; /* in one of the port's lists; NULL in none */
    goipci_item *next;
    bool watched;
    unsigned wanted;
    void *context;
    /* Returns the ready subset of `events`. For the others it starts the overlapped operation
     * whose completion signals them. *silent becomes true if that operation sends no packet to
     * the port. */
    unsigned (*look)(goipci_item *item, unsigned events, bool *silent);
};

/* A completion port with the list of items that may be ready. It is freed after the last pipe that
 * is bound to it, which may be later than the poller: Windows cannot unbind a pipe. */
typedef struct goipci_port {
    const goipc_allocator *allocator;
    HANDLE handle;
    volatile LONG references; /* the poller, and every bound pipe that is not closed */
    SRWLOCK lock; /* guards the fields below, and `item` and `closed` of every bound pipe */
    goipci_item candidates; /* head of the ring of items that may be ready */
    goipci_item closed;     /* head of the ring of closed pipes with packets still to come */
    unsigned waiting_count; /* threads that are blocked in a wait */
} goipci_port;

void goipci_port_hold(goipci_port *port);
void goipci_port_release(goipci_port *port);
/* Makes every wait poll the item again. The caller must not hold the port's lock. */
void goipci_port_look_again(goipci_port *port, goipci_item *item);
/* The caller holds the port's lock. */
void goipci_item_link(goipci_item *head, goipci_item *item);
void goipci_item_unlink(goipci_item *item);

/* --- pipes (transport.c) ---------------------------------------------------------------------- */

typedef struct goipci_pipe goipci_pipe;

enum {
    GOIPCI_PROBE_SIZE = 4096,       /* a small message arrives complete in the waiting read */
    GOIPCI_WRITE_SIZE = 64 * 1024,  /* bytes that one write takes */
    GOIPCI_WRITE_SIZE_SMALL = 1024, /* the same if there is no memory for more */
};

typedef struct goipci_operation {
    OVERLAPPED overlapped; /* first: the address in a packet is that of the operation */
    goipci_pipe *pipe;
    HANDLE done;  /* manual-reset event, set when the operation completes */
    bool pending; /* started, and its result was not taken yet */
    bool posts;   /* its completion also sends a packet to the port */
} goipci_operation;

struct goipci_pipe {
    goipci_stream stream; /* first; its handle is the address of the pipe */
    const goipc_allocator *allocator;
    HANDLE handle;
    bool is_server_end;
    bool restricted;       /* server end: only our user and administrators can open the pipe */
    goipci_port *port;     /* NULL until it is watched; both locks are held to change it */
    bool skips;            /* an operation that completes at once sends no packet */
    volatile LONG packets; /* of operations of this pipe, still to arrive at the port */

    SRWLOCK read_lock;
    goipci_operation reading; /* the waiting read; before that, the wait for a client */
    uint8_t probe[GOIPCI_PROBE_SIZE];
    size_t probe_at;
    size_t probe_size;
    DWORD read_failure; /* sticky; 0 while there is none */

    SRWLOCK write_lock; /* after read_lock where both are taken */
    goipci_operation writing;
    uint8_t *write_bytes; /* GOIPCI_WRITE_SIZE, or NULL */
    uint8_t write_small[GOIPCI_WRITE_SIZE_SMALL];
    DWORD write_failure;
    bool finished;

    goipci_item own_item;
    goipci_item *item; /* own_item, or the listener's while waiting for a client */
    bool closed;       /* freed with the last packet */
};

/* An operation is pending from begin until take returns true. The caller of each of these holds the
 * pipe's lock for that operation (read_lock or write_lock). */
void goipci_operation_begin(goipci_operation *operation);
/* Evaluates the return value of the system call that started the operation. Returns the error if it
 * failed at once, or 0. */
DWORD goipci_operation_begun(goipci_operation *operation, BOOL completed, DWORD error);
/* Whether the operation has completed; then its result. */
bool goipci_operation_take(goipci_operation *operation, DWORD *size, DWORD *error);

enum { GOIPCI_PATH_UNITS = 257 }; /* of a pipe's path, with its end */
/* The path in UTF-16. False for invalid UTF-8 or a path that is too long. */
bool goipci_path_widen(const char *path, wchar_t out[GOIPCI_PATH_UNITS]);

/* Makes a pipe of a handle and takes ownership of it, also on failure. Errors: MEMORY,
 * RESOURCES. */
GOIPC_MUST_USE goipc_error goipci_pipe_new(const goipc_allocator *allocator, HANDLE handle,
                                           goipci_pipe **pipe, int *system_error);
/* Binds the pipe to the port, once. Errors: RESOURCES, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_pipe_bind(goipci_pipe *pipe, goipci_port *port);
void goipci_pipe_release(goipci_pipe *pipe);
goipci_pipe *goipci_pipe_of_stream(goipci_stream *stream);

/* --- listeners (listener.c) ------------------------------------------------------------------- */

enum { GOIPCI_WAITING_PIPES = 4 }; /* as many clients can connect at the same moment */

struct goipci_listener {
    const goipc_allocator *allocator;
    goipci_address address;
    bool restricted;
    PSECURITY_DESCRIPTOR security;
    SRWLOCK lock; /* guards the fields below */
    goipci_port *port;
    goipci_pipe *waiting[GOIPCI_WAITING_PIPES];
    size_t next_at; /* index at which the next accept starts to search */
    goipci_item item;
};

GOIPC_MUST_USE goipc_error goipci_listener_bind(goipci_listener *listener, goipci_port *port);

/* --- identity (identity.c) -------------------------------------------------------------------- */

/* A security descriptor, to be released with LocalFree. Our user, administrators and the system
 * have full access. With `everyone`, any authenticated user may read and write. NULL on failure. */
PSECURITY_DESCRIPTOR goipci_security_new(bool everyone);

/* Converts a GetLastError() value. */
goipc_error goipci_error_of_windows(DWORD error);
/* Whether the value means that the other end was closed. */
bool goipci_is_disconnect(DWORD error);

#endif
