/* SPDX-License-Identifier: MIT */
/* socket.h for Linux. */
#define _GNU_SOURCE /* accept4, struct ucred */

#include "platform/unix/socket.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

const int goipci_socket_send_flags = MSG_NOSIGNAL;
const bool goipci_socket_has_abstract = true;

int goipci_socket_new(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int goipci_socket_accept(int listener)
{
    /* req: SC-005 */
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

bool goipci_socket_peer(int socket, goipc_credentials *credentials)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    credentials->user = peer.uid;
    credentials->group = peer.gid;
    credentials->process = peer.pid;
    return true;
}

bool goipci_wake_open(int ends[2])
{
    ends[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ends[1] = ends[0];
    return ends[0] >= 0;
}

void goipci_wake_close(int ends[2])
{
    if (ends[0] >= 0) {
        close(ends[0]);
    }
    ends[0] = -1;
    ends[1] = -1;
}

void goipci_wake_set(const int ends[2])
{
    const uint64_t one = 1;
    const int saved = errno;

    /* It fails only when the counter is full, and then it is readable as it should be. */
    (void)!write(ends[1], &one, sizeof one);
    errno = saved;
}

void goipci_wake_clear(const int ends[2])
{
    uint64_t count;

    (void)!read(ends[0], &count, sizeof count); /* fails when there is nothing to clear */
}
