/* SPDX-License-Identifier: MIT */
/* Functions that transport.c, listener.c and the pollers share. Those that differ between POSIX
 * systems are in socket_linux.c and socket_bsd.c. */
#ifndef GOIPC_SOCKET_H
#define GOIPC_SOCKET_H

#include "endpoint/transport.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Moves a new descriptor out of the way of standard input, output and error. Takes it, also on
 * failure. Every descriptor of the library passes through here. -1 with errno. */
int goipci_descriptor_above_stdio(int descriptor);
/* A duplicate, closed on exec, above standard error. -1 with errno. */
int goipci_descriptor_copy(int descriptor);

/* These return a descriptor that is closed on exec and non-blocking, or -1 with errno. Writing to
 * such a socket with goipci_socket_send_flags never raises SIGPIPE. */
int goipci_socket_new(void);
int goipci_socket_new_datagram(void);
int goipci_socket_accept(int listener);
extern const int goipci_socket_send_flags;

/* Opens a directory, also one that may be entered but not read. -1 with errno. */
int goipci_directory_open(const char *path);
/* Reads the status of `name` without following a link, and returns a descriptor. Until that is
 * closed, the system does not reuse the inode number (on BSD it may). -1 with errno. */
int goipci_name_hold(int directory, const char *name, struct stat *status);
/* Before bind: sets the mode that bind gives to the name, reduced by the umask. Does nothing on
 * systems without such a mode: there bind uses 0777, and the mode is set before listen. */
void goipci_socket_set_mode(int socket, mode_t mode);
/* After bind: sets the mode of `name` in `directory`, if it is still the inode that `expected`
 * describes; never follows a link. False with errno. */
bool goipci_name_set_mode(int directory, const char *name, const struct stat *expected,
                          mode_t mode);

/* Fills in the system's address; returns its size in bytes. */
socklen_t goipci_address_fill(struct sockaddr_un *out, const goipci_address *address);
/* Whether a process has the address bound, by a datagram connect, which disturbs no server: 0 or
 * EPROTOTYPE: one has. ECONNREFUSED: none has. ENOENT: no file exists. Else: unknown. errno has the
 * same value. */
int goipci_socket_probe(const goipci_address *address);
/* Makes a stream of a connected socket. Takes ownership of the descriptor, also on failure. Errors:
 * MEMORY. */
GOIPC_MUST_USE goipc_error goipci_stream_adopt(const goipc_allocator *allocator, int descriptor,
                                               goipci_stream **stream);

/* Whether the system has abstract sockets: names without files. */
extern const bool goipci_socket_has_abstract;

/* The user at the other end. False with errno. */
bool goipci_socket_peer(int socket, goipc_credentials *credentials);
/* Whether `user` identifies one user. In a user namespace the kernel reports one number, usually
 * 65534, for every user that the namespace does not map. */
bool goipci_user_is_known(int64_t user);

/* A descriptor that a signal handler can make readable: wait for ends[0], write to ends[1], which
 * may be the same. False with errno. */
bool goipci_wake_open(int ends[2]);
void goipci_wake_close(int ends[2]);
void goipci_wake_set(const int ends[2]); /* async-signal-safe, leaves errno alone */
void goipci_wake_clear(const int ends[2]);

/* Converts an errno without further context. */
goipc_error goipci_error_of(int system_error);

/* The descriptor that the pollers watch. */
int goipci_listener_descriptor(const goipci_listener *listener);
/* The descriptor for a thread that waits for one stream. */
int goipci_poller_interrupt_descriptor(const goipci_poller *poller);

#endif
