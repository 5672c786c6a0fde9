/* SPDX-License-Identifier: MIT */
/* socket.h for macOS and the BSDs, with functions that all of them have. */
#define _DARWIN_C_SOURCE

#include "platform/unix/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(MSG_NOSIGNAL)
const int goipci_socket_send_flags = MSG_NOSIGNAL;
#else
const int goipci_socket_send_flags = 0;
#endif
const bool goipci_socket_has_abstract = false;

/* Another thread may fork and exec before the descriptor is marked close-on-exec. No atomic
 * alternative exists on all of these systems. */
static bool mark(int descriptor)
{
    const int flags = fcntl(descriptor, F_GETFL);

    return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

#if defined(SO_NOSIGPIPE)
static bool silence(int socket)
{
    const int on = 1;

    return setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0;
}
#else
static bool silence(int socket)
{
    (void)socket;
    return true; /* MSG_NOSIGNAL does it */
}
#endif

static int prepared(int made)
{
    const int socket = goipci_descriptor_above_stdio(made);
    int saved;

    if (socket < 0 || (mark(socket) && silence(socket))) {
        return socket;
    }
    saved = errno;
    close(socket);
    errno = saved;
    return -1;
}

int goipci_socket_new(void)
{
    return prepared(socket(AF_UNIX, SOCK_STREAM, 0));
}

int goipci_socket_new_datagram(void)
{
    return prepared(socket(AF_UNIX, SOCK_DGRAM, 0));
}

int goipci_directory_open(const char *path)
{
    return goipci_descriptor_above_stdio(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

int goipci_name_hold(int directory, const char *name, struct stat *status)
{
    /* These systems have no descriptor for a socket's inode; a duplicate of the directory's is
     * returned instead. */
    return fstatat(directory, name, status, AT_SYMLINK_NOFOLLOW) == 0
               ? goipci_descriptor_copy(directory)
               : -1;
}

void goipci_socket_set_mode(int socket, mode_t mode)
{
    (void)socket; /* these systems refuse fchmod of a socket */
    (void)mode;
}

bool goipci_name_set_mode(int directory, const char *name, const struct stat *expected, mode_t mode)
{
    /* By name, since these systems have no descriptor for a socket file. Another user cannot
     * replace it: see step 1 of listener.c. A link is not followed. */
    (void)expected;
    return fchmodat(directory, name, mode, AT_SYMLINK_NOFOLLOW) == 0;
}

int goipci_socket_accept(int listener)
{
    const int made = accept(listener, NULL, NULL);
    const int accepted = made < 0 ? made : prepared(made);

    if (made < 0 || accepted >= 0) {
        return accepted;
    }
    /* On macOS, setting SO_NOSIGPIPE fails with this error if the peer has already disconnected.
     * That ends this connection, not the listener. (From accept it means that the socket does not
     * listen.) */
    errno = errno == EINVAL ? ECONNABORTED : errno;
    return -1;
}

bool goipci_socket_peer(int socket, goipc_credentials *credentials)
{
    uid_t user;
    gid_t group;

    if (getpeereid(socket, &user, &group) != 0) {
        return false;
    }
    credentials->user = user;
    credentials->group = group;
    credentials->process = -1;
    return true;
}

bool goipci_user_is_known(int64_t user)
{
    (void)user; /* these systems have no user namespaces */
    return true;
}

bool goipci_wake_open(int ends[2])
{
    if (pipe(ends) != 0) {
        ends[0] = -1;
        ends[1] = -1;
        return false;
    }
    ends[0] = goipci_descriptor_above_stdio(ends[0]);
    ends[1] = goipci_descriptor_above_stdio(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0 && mark(ends[0]) && mark(ends[1])) {
        return true;
    }
    goipci_wake_close(ends);
    return false;
}

void goipci_wake_close(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
        }
        ends[i] = -1;
    }
}

void goipci_wake_set(const int ends[2])
{
    const char byte = 1;
    const int saved = errno;

    (void)!write(ends[1], &byte, 1); /* fails only when the pipe is full, thus readable */
    errno = saved;
}

void goipci_wake_clear(const int ends[2])
{
    char bytes[256];

    while (read(ends[0], bytes, sizeof bytes) > 0) {
    }
}
