/* SPDX-License-Identifier: MIT */
/* What the Windows files share: pipes, their operations and the port that completions arrive at. */
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
    /* Which of `events` are ready now, after starting the operations that will tell of those that
     * are not. *silent becomes true when such an operation completes without a word to the port. */
    unsigned (*look)(goipci_item *item, unsigned events, bool *silent);
};

/* A completion port with the list of what may be ready. It outlives the poller while pipes that are
 * bound to it live: Windows never unbinds a pipe. */
typedef struct goipci_port {
    const goipc_allocator *allocator;
    HANDLE handle;
    volatile LONG references; /* the poller, and every bound pipe that is not closed */
    SRWLOCK lock;             /* guards what follows, and `item` and `closed` of every bound pipe */
    goipci_item candidates;   /* head of the ring of items that may be ready */
    goipci_item closed;       /* head of the ring of closed pipes with packets still to come */
    unsigned waiting_count;   /* threads that are blocked in a wait */
} goipci_port;

void goipci_port_hold(goipci_port *port);
void goipci_port_release(goipci_port *port);
/* Makes every wait look at the item again. The port's lock is not held. */
void goipci_port_look_again(goipci_port *port, goipci_item *item);
/* With the port's lock held. */
void goipci_item_link(goipci_item *head, goipci_item *item);
void goipci_item_unlink(goipci_item *item);

/* --- pipes (transport.c) ---------------------------------------------------------------------- */

typedef struct goipci_pipe goipci_pipe;

enum {
    GOIPCI_PROBE_SIZE = 4096, /* a small message arrives whole with the read that waits for it */
    GOIPCI_WRITE_SIZE = 64 * 1024,  /* what one write takes */
    GOIPCI_WRITE_SIZE_SMALL = 1024, /* without memory for more */
};

typedef struct goipci_operation {
    OVERLAPPED overlapped; /* first: the address in a packet is that of the operation */
    goipci_pipe *pipe;
    HANDLE done;  /* manual-reset event, set when the operation completes */
    bool pending; /* started, and its result not yet taken */
    bool posts;   /* its completion arrives at the port, too */
} goipci_operation;

struct goipci_pipe {
    goipci_stream stream; /* first; its handle is the address of the pipe */
    const goipc_allocator *allocator;
    HANDLE handle;
    bool is_server_end;
    bool restricted;       /* server end: only our user and administrators can open the pipe */
    goipci_port *port;     /* NULL until it is watched; both locks are held to change it */
    bool skips;            /* an operation that completes at once leaves no packet */
    volatile LONG packets; /* to arrive at the port, for operations of this pipe */

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

/* An operation is under way from begin to the take that gives true. The pipe's lock that the
 * operation belongs to is held around each of these. */
void goipci_operation_begin(goipci_operation *operation);
/* What the system call that started it returned. Gives the error if it failed at once, or 0. */
DWORD goipci_operation_begun(goipci_operation *operation, BOOL completed, DWORD error);
/* The result, if it is there. */
bool goipci_operation_take(goipci_operation *operation, DWORD *size, DWORD *error);

enum { GOIPCI_PATH_UNITS = 257 }; /* of a pipe's path, with its end */
/* The path in UTF-16. False for invalid UTF-8 or a path that is too long. */
bool goipci_path_widen(const char *path, wchar_t out[GOIPCI_PATH_UNITS]);

/* A pipe around a handle, which it owns from here on, also on failure. Errors: MEMORY, RESOURCES.
 */
GOIPC_MUST_USE goipc_error goipci_pipe_new(const goipc_allocator *allocator, HANDLE handle,
                                           goipci_pipe **pipe, int *system_error);
/* Binds the pipe to the port, once. Errors: RESOURCES, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_pipe_bind(goipci_pipe *pipe, goipci_port *port);
void goipci_pipe_release(goipci_pipe *pipe);
goipci_pipe *goipci_pipe_of_stream(goipci_stream *stream);

/* --- listeners (listener.c) ------------------------------------------------------------------- */

enum { GOIPCI_WAITING_PIPES = 4 }; /* as many clients find the door open at the same moment */

struct goipci_listener {
    const goipc_allocator *allocator;
    goipci_address address;
    bool restricted;
    PSECURITY_DESCRIPTOR security;
    SRWLOCK lock; /* guards what follows */
    goipci_port *port;
    goipci_pipe *waiting[GOIPCI_WAITING_PIPES];
    size_t next_at; /* where the next accept begins to look */
    goipci_item item;
};

GOIPC_MUST_USE goipc_error goipci_listener_bind(goipci_listener *listener, goipci_port *port);

/* --- identity (identity.c) -------------------------------------------------------------------- */

/* A security descriptor for LocalFree: our user, administrators and the system may do all; with
 * `everyone`, any authenticated user may read and write. NULL on failure. */
PSECURITY_DESCRIPTOR goipci_security_new(bool everyone);

/* What a GetLastError() value means. */
goipc_error goipci_error_of_windows(DWORD error);
/* Whether it says that the other end is gone. */
bool goipci_is_disconnect(DWORD error);

#endif
