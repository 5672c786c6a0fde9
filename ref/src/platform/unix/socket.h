/* SPDX-License-Identifier: MIT */
/* What transport_unix.c and its pollers share, and what differs between families of POSIX systems
 * (socket_linux.c, socket_bsd.c). */
#ifndef GOIPC_SOCKET_H
#define GOIPC_SOCKET_H

#include "endpoint/transport.h"

/* All of these give a descriptor that is closed on exec and does not block, or -1 with errno. A
 * write to a socket they gave never raises SIGPIPE when GOIPCI_SEND_FLAGS go with it. */
int goipci_socket_new(void);
int goipci_socket_accept(int listener);
extern const int goipci_socket_send_flags;

/* Whether the system has sockets that are names without files. */
extern const bool goipci_socket_has_abstract;

/* The user at the other end. False with errno. */
bool goipci_socket_peer(int socket, goipc_credentials *credentials);

/* A descriptor that can be made readable from a signal handler: ends[0] is waited for, ends[1]
 * (which may be the same) is written to. False with errno. */
bool goipci_wake_open(int ends[2]);
void goipci_wake_close(int ends[2]);
void goipci_wake_set(const int ends[2]); /* async-signal-safe, leaves errno alone */
void goipci_wake_clear(const int ends[2]);

/* Which error an errno is when nothing more is known. */
goipc_error goipci_error_of(int system_error);

/* What the pollers watch. */
int goipci_listener_descriptor(const goipci_listener *listener);
/* What a thread watches that waits for one stream alone. */
int goipci_poller_interrupt_descriptor(const goipci_poller *poller);

#endif
