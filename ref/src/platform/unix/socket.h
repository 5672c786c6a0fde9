/* SPDX-License-Identifier: MIT */
/* What transport.c, listener.c and the pollers share, and what differs between families of POSIX
 * systems (socket_linux.c, socket_bsd.c). */
#ifndef GOIPC_SOCKET_H
#define GOIPC_SOCKET_H

#include "endpoint/transport.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Moves a new descriptor out of the way of standard input, output and error. Takes it, also on
 * failure. Every descriptor of the library passes through here. -1 with errno. */
int goipci_descriptor_above_stdio(int descriptor);
/* A second descriptor of the same, closed on exec, above standard error. -1 with errno. */
int goipci_descriptor_copy(int descriptor);

/* These give a descriptor that is closed on exec and does not block, or -1 with errno. Writing to
 * such a socket with goipci_socket_send_flags never raises SIGPIPE. */
int goipci_socket_new(void);
int goipci_socket_new_datagram(void);
int goipci_socket_accept(int listener);
extern const int goipci_socket_send_flags;

/* A directory to look into, also one that may be entered but not read. -1 with errno. */
int goipci_directory_open(const char *path);
/* What stands at `name`, never following a link, and a descriptor. Until that is closed, the system
 * does not give the inode's number to another file (on BSD it may). -1 with errno. */
int goipci_name_hold(int directory, const char *name, struct stat *status);
/* Before bind: the mode of the socket, which bind gives to the name, less the umask. Does nothing
 * where the system takes no such mode: there bind uses 0777, and listen comes after the mode. */
void goipci_socket_set_mode(int socket, mode_t mode);
/* After bind: the mode of `name` in `directory`, if it is still the inode that `expected`
 * describes; never follows a link. False with errno. */
bool goipci_name_set_mode(int directory, const char *name, const struct stat *expected,
                          mode_t mode);

/* The address as the system wants it; its size in bytes. */
socklen_t goipci_address_fill(struct sockaddr_un *out, const goipci_address *address);
/* Whether a process has the address bound, by a datagram connect, which disturbs no server: 0 or
 * EPROTOTYPE: one has. ECONNREFUSED: none has. ENOENT: nothing is there. Else: not known. errno has
 * the same. */
int goipci_socket_probe(const goipci_address *address);
/* Makes a stream of a connected socket. Takes the descriptor, also on failure. Errors: MEMORY. */
GOIPC_MUST_USE goipc_error goipci_stream_adopt(const goipc_allocator *allocator, int descriptor,
                                               goipci_stream **stream);

/* Whether the system has sockets that are names without files. */
extern const bool goipci_socket_has_abstract;

/* The user at the other end. False with errno. */
bool goipci_socket_peer(int socket, goipc_credentials *credentials);
/* Whether `user` names one user. In a user namespace the kernel gives one number, 65534 as a rule,
 * to every user that the namespace does not know. */
bool goipci_user_is_known(int64_t user);

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
