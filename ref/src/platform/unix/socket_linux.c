/* SPDX-License-Identifier: MIT */
/* socket.h for Linux. */
#define _GNU_SOURCE /* accept4, struct ucred, O_PATH */

#include "platform/unix/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { OVERFLOW_USER_DEFAULT = 65534 };

const int goipci_socket_send_flags = MSG_NOSIGNAL;
const bool goipci_socket_has_abstract = true;

int goipci_socket_new(void)
{
    return goipci_descriptor_above_stdio(
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int goipci_socket_new_datagram(void)
{
    return goipci_descriptor_above_stdio(
        socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int goipci_socket_accept(int listener)
{
    /* req: SC-005 */
    return goipci_descriptor_above_stdio(
        accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

int goipci_directory_open(const char *path)
{
    const int flags = O_DIRECTORY | O_CLOEXEC;
    int descriptor = open(path, flags | O_RDONLY);

    if (descriptor < 0 && errno == EACCES) {
        descriptor = open(path, flags | O_PATH); /* usable for look-ups, not for locking */
    }
    return goipci_descriptor_above_stdio(descriptor);
}

void goipci_socket_set_mode(int socket, mode_t mode)
{
    /* If a system-call filter forbids this, the mode is set only after bind. */
    (void)!fchmod(socket, mode);
}

int goipci_name_hold(int directory, const char *name, struct stat *status)
{
    const int descriptor =
        goipci_descriptor_above_stdio(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    int saved;

    if (descriptor < 0 || fstat(descriptor, status) == 0) {
        return descriptor;
    }
    saved = errno;
    close(descriptor);
    errno = saved;
    return -1;
}

bool goipci_name_set_mode(int directory, const char *name, const struct stat *expected, mode_t mode)
{
    struct stat status;
    const int descriptor = goipci_name_hold(directory, name, &status);
    char path[64];
    bool changed;
    int saved;

    if (descriptor < 0) {
        return false;
    }
    /* fchmod takes no descriptor of this kind. The link in /proc leads to the inode itself. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    errno = ESTALE;
    changed = S_ISSOCK(status.st_mode) && status.st_uid == geteuid() &&
              status.st_dev == expected->st_dev && status.st_ino == expected->st_ino &&
              chmod(path, mode) == 0;
    saved = errno;
    close(descriptor);
    errno = saved;
    return changed;
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

/* Up to three numbers of a file in /proc; how many there are. */
static int read_numbers(const char *path, unsigned long numbers[3])
{
    const int descriptor = goipci_descriptor_above_stdio(open(path, O_RDONLY | O_CLOEXEC));
    char text[128];
    char *at = text;
    ssize_t size;

    if (descriptor < 0) {
        return 0;
    }
    size = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    text[size < 0 ? 0 : size] = '\0';
    for (int i = 0; i < 3; i++) {
        char *end;
        const unsigned long number = strtoul(at, &end, 10);

        if (end == at) {
            return i;
        }
        numbers[i] = number;
        at = end;
    }
    return 3;
}

bool goipci_user_is_known(int64_t user)
{
    unsigned long overflow[3] = {OVERFLOW_USER_DEFAULT, 0, 0};
    unsigned long map[3];

    (void)read_numbers("/proc/sys/kernel/overflowuid", overflow);
    if (user != (int64_t)overflow[0]) {
        return true;
    }
    /* Outside of user namespaces all numbers map to themselves, and 65534 is a normal user. */
    return read_numbers("/proc/self/uid_map", map) == 3 && map[0] == 0 && map[1] == 0 &&
           map[2] == UINT32_MAX;
}

bool goipci_wake_open(int ends[2])
{
    ends[0] = goipci_descriptor_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
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
