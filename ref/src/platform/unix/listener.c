/* SPDX-License-Identifier: MIT */
/*
 * The listener of transport.h on AF_UNIX stream sockets.
 *
 * HOW A NAME IS TAKEN
 *
 * golang-ipc removes whatever has the path and binds there. That deletes live servers and foreign
 * files. Here only a dead socket of this user is removed, and the socket is bound at the
 * name itself, so that /proc/net/unix, ss and systemd-tmpfiles see the path that clients use:
 *
 *   1 Open the directory. Refuse it when another user may replace files in it.
 *   2 flock() the directory: of two servers of this library, one goes first.
 *   3 Look at the name. Anything but a socket of this user is left alone: PATH_BLOCKED.
 *   4 Ask that socket with a datagram connect, which a stream socket never accepts. EPROTOTYPE: a
 *     process has it bound (ADDRESS_IN_USE). ECONNREFUSED: no process has, and none ever will
 *     again, because every bind makes a new inode. A stream connect would not do: a golang-ipc
 *     server stops when a connection ends without a handshake, and on BSD a full accept queue
 *     refuses as well.
 *   5 Unlink the dead socket, if the name still leads to its inode.
 *   6 Set the mode of the socket, then bind it at the name. The system gives the name this mode,
 *     reduced by the umask. If another process was faster, go back to 3.
 *   7 If the umask narrowed the mode, set it through a descriptor of the name. Then listen: before
 *     that no client can connect, so the mode is never wider than configured.
 *
 * The directory stays open until close, which removes the name only while it leads to our inode.
 *
 * Any process that can open the directory can hold its lock forever, and some file systems have no
 * locks. After half a second the listener continues without the lock. Then step 5 has a race of two
 * system calls, in which a second server of this user could bind and lose its name. That server
 * detects it with goipci_listener_has_name.
 */
#define _DARWIN_C_SOURCE
#define _DEFAULT_SOURCE /* for flock; _XOPEN_SOURCE as well would hide it on FreeBSD */

#include "platform/unix/socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    BACKLOG = 511,         /* capped by the system; a burst of clients must not see EAGAIN */
    ATTEMPT_COUNT_MAX = 8, /* against other processes that bind and remove the name */
    LOCK_TRY_COUNT_MAX = 250,
    LOCK_PAUSE_MS = 2, /* half a second in all; a server holds the lock far shorter than that */
    PERMISSIONS = 0777,
};

struct goipci_listener {
    const goipc_allocator *allocator;
    goipci_address address;
    int descriptor;
    int spare;     /* closed when no other descriptor is free, see accept */
    int directory; /* of the name; -1 for an abstract socket */
    bool named;    /* bound at `address`; device and inode are valid */
    dev_t device;
    ino_t inode;
};

/* --- failures --------------------------------------------------------------------------------- */

GOIPCI_PRINTF(4, 5)
static goipc_error fail(goipc_failure *failure, goipc_error error, int system_error,
                        const char *format, ...)
{
    va_list arguments;

    failure->error = error;
    failure->system_error = system_error;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return error;
}

/* "cannot DO PATH: why", for calls whose errno explains the failure. */
static goipc_error fail_system(goipc_failure *failure, const char *what, const char *path)
{
    const int system_error = errno;
    char why[128];

    goipci_system_error_text(system_error, why, sizeof why);
    return fail(failure, goipci_error_of(system_error), system_error, "cannot %s %s: %s", what,
                path, why);
}

static goipc_error fail_in_use(goipc_failure *failure, const char *path)
{
    return fail(failure, GOIPC_ERROR_ADDRESS_IN_USE, EADDRINUSE,
                "cannot listen at %s: a live server already listens there; stop it, or choose "
                "another name",
                path);
}

/* --- step 1: the directory -------------------------------------------------------------------- */

static const char *name_of(const goipci_listener *listener)
{
    return strrchr(listener->address.text, '/') + 1; /* address_init put the slash there */
}

/* Refuses a directory in which another user could replace the socket. */
static goipc_error check_directory(const goipci_listener *listener, goipc_failure *failure)
{
    const char *path = listener->address.text;
    struct stat status;

    if (fstat(listener->directory, &status) != 0) {
        return fail_system(failure, "look at the directory of", path);
    }
    if (!goipci_user_is_known(status.st_uid)) {
        return fail(failure, GOIPC_ERROR_PERMISSION, 0,
                    "cannot listen at %s: the owner of its directory is not known in this user "
                    "namespace, where user %ld may be any user; use a directory of this user",
                    path, (long)status.st_uid);
    }
    if (status.st_uid != 0 && status.st_uid != geteuid()) {
        return fail(failure, GOIPC_ERROR_PERMISSION, 0,
                    "cannot listen at %s: its directory belongs to user %ld, who could replace the "
                    "socket; use a directory of this user or of root",
                    path, (long)status.st_uid);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0) {
        return fail(failure, GOIPC_ERROR_PERMISSION, 0,
                    "cannot listen at %s: the mode %04o of its directory lets other users replace "
                    "the socket; take that right away (chmod go-w), set the sticky bit (chmod +t), "
                    "or use another directory",
                    path, (unsigned)status.st_mode & 07777u);
    }
    return GOIPC_ERROR_OK;
}

static goipc_error open_directory(goipci_listener *listener, goipc_failure *failure)
{
    char path[GOIPCI_ADDRESS_SIZE];
    const size_t size = (size_t)(name_of(listener) - listener->address.text);

    memcpy(path, listener->address.text, size); /* with the slash: "/" is one, too */
    path[size] = '\0';
    listener->directory = goipci_directory_open(path);
    if (listener->directory < 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR;

        fail_system(failure, "use the directory of", listener->address.text);
        failure->error = missing ? GOIPC_ERROR_NOT_FOUND : failure->error;
        return failure->error;
    }
    return check_directory(listener, failure);
}

/* --- step 2: the lock ------------------------------------------------------------------------- */

/* Continues without the lock after half a second, or at once if the file system has none. */
static void lock_directory(int directory)
{
    for (int i = 0; i < LOCK_TRY_COUNT_MAX; i++) {
        if (flock(directory, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR)) {
            return;
        }
        (void)poll(NULL, 0, LOCK_PAUSE_MS); /* if a signal ends it, flock is tried earlier */
    }
}

/* --- steps 3 to 5: what has the name ---------------------------------------------------------- */

static bool look_at_name(const goipci_listener *listener, struct stat *status)
{
    return fstatat(listener->directory, name_of(listener), status, AT_SYMLINK_NOFOLLOW) == 0;
}

static const char *kind_of(const struct stat *status)
{
    if (S_ISDIR(status->st_mode)) {
        return "directory";
    }
    return S_ISLNK(status->st_mode) ? "symbolic link" : "file that is not a socket";
}

static goipc_error check_owner(const goipci_listener *listener, const struct stat *status,
                               goipc_failure *failure)
{
    const char *path = listener->address.text;

    if (!S_ISSOCK(status->st_mode)) {
        return fail(failure, GOIPC_ERROR_PATH_BLOCKED, 0,
                    "cannot listen at %s: a %s is in the way and was left alone; remove it, or "
                    "choose another name",
                    path, kind_of(status));
    }
    if (status->st_uid != geteuid()) {
        return fail(failure, GOIPC_ERROR_PATH_BLOCKED, 0,
                    "cannot listen at %s: a socket of user %ld is in the way and was left alone; "
                    "have its owner remove it, or choose another name",
                    path, (long)status->st_uid);
    }
    return GOIPC_ERROR_OK;
}

/* Removes the dead socket that `seen` describes. Removes nothing if the name has another inode
 * now: then bind fails, and the name is checked again. */
static goipc_error remove_dead(const goipci_listener *listener, const struct stat *seen,
                               goipc_failure *failure)
{
    struct stat now;

    if (!look_at_name(listener, &now) || now.st_dev != seen->st_dev || now.st_ino != seen->st_ino) {
        return GOIPC_ERROR_OK;
    }
    if (unlinkat(listener->directory, name_of(listener), 0) != 0 && errno != ENOENT) {
        return fail_system(failure, "remove the dead socket", listener->address.text);
    }
    return GOIPC_ERROR_OK;
}

/* Steps 4 and 5. */
static goipc_error clear_socket(const goipci_listener *listener, const struct stat *seen,
                                goipc_failure *failure)
{
    switch (goipci_socket_probe(&listener->address)) {
    case 0:
    case EPROTOTYPE:
        return fail_in_use(failure, listener->address.text);
    case ENOENT:
        return GOIPC_ERROR_OK;
    case ECONNREFUSED:
        return remove_dead(listener, seen, failure);
    default:
        return fail_system(failure, "find out which process listens at", listener->address.text);
    }
}

/* Steps 3 to 5. OK: the name was free a moment ago. */
static goipc_error clear_name(const goipci_listener *listener, goipc_failure *failure)
{
    struct stat status;
    const int held = goipci_name_hold(listener->directory, name_of(listener), &status);
    goipc_error error;

    if (held < 0) {
        return errno == ENOENT ? GOIPC_ERROR_OK
                               : fail_system(failure, "look at", listener->address.text);
    }
    error = check_owner(listener, &status, failure);
    if (error == GOIPC_ERROR_OK) {
        error = clear_socket(listener, &status, failure);
    }
    close(held);
    return error;
}

/* --- steps 6 and 7: bind, mode, listen -------------------------------------------------------- */

/* *taken is false when another process has the name. */
static goipc_error bind_name(goipci_listener *listener, bool *taken, goipc_failure *failure)
{
    struct sockaddr_un address;
    const socklen_t size = goipci_address_fill(&address, &listener->address);

    *taken = bind(listener->descriptor, (const struct sockaddr *)&address, size) == 0;
    if (*taken || errno == EADDRINUSE) {
        return GOIPC_ERROR_OK;
    }
    return fail_system(failure, "bind", listener->address.text);
}

/* Steps 3 to 6, repeated up to ATTEMPT_COUNT_MAX times. */
static goipc_error take_name(goipci_listener *listener, goipc_failure *failure)
{
    goipc_error error = GOIPC_ERROR_OK;
    bool taken = false;

    for (int i = 0; error == GOIPC_ERROR_OK && !taken; i++) {
        if (i == ATTEMPT_COUNT_MAX) {
            return fail(failure, GOIPC_ERROR_ADDRESS_IN_USE, EADDRINUSE,
                        "cannot listen at %s: other processes keep taking the name",
                        listener->address.text);
        }
        error = clear_name(listener, failure);
        if (error == GOIPC_ERROR_OK) {
            error = bind_name(listener, &taken, failure);
        }
    }
    return error;
}

/* Records the inode of the name, and sets its full mode. req: EP-016 */
static goipc_error settle_name(goipci_listener *listener, mode_t mode, goipc_failure *failure)
{
    const char *path = listener->address.text;
    struct stat status;

    if (!look_at_name(listener, &status) || !S_ISSOCK(status.st_mode)) {
        return fail(failure, GOIPC_ERROR_ADDRESS_IN_USE, 0,
                    "cannot listen at %s: another process took the name away at once", path);
    }
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    listener->named = true;
    if ((status.st_mode & PERMISSIONS) == mode) {
        return GOIPC_ERROR_OK;
    }
    if (!goipci_name_set_mode(listener->directory, name_of(listener), &status, mode)) {
        return fail_system(failure, "set the mode of", path);
    }
    if (!look_at_name(listener, &status) || (status.st_mode & PERMISSIONS & ~mode) != 0) {
        return fail(failure, GOIPC_ERROR_PERMISSION, 0,
                    "cannot listen at %s: its file system does not keep the mode %04o; use another "
                    "directory",
                    path, (unsigned)mode);
    }
    return GOIPC_ERROR_OK;
}

static goipc_error start_listening(goipci_listener *listener, goipc_failure *failure)
{
    return listen(listener->descriptor, BACKLOG) == 0
               ? GOIPC_ERROR_OK
               : fail_system(failure, "listen at", listener->address.text);
}

static goipc_error listen_at_path(goipci_listener *listener, mode_t mode, goipc_failure *failure)
{
    goipc_error error = open_directory(listener, failure);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    goipci_socket_set_mode(listener->descriptor, mode);
    lock_directory(listener->directory);
    error = take_name(listener, failure);
    if (error == GOIPC_ERROR_OK) {
        error = settle_name(listener, mode, failure);
    }
    if (error == GOIPC_ERROR_OK) {
        error = start_listening(listener, failure);
    }
    (void)flock(listener->directory, LOCK_UN); /* fails if it was not locked */
    return error;
}

static goipc_error listen_at_abstract(goipci_listener *listener, goipc_failure *failure)
{
    bool taken;
    goipc_error error = bind_name(listener, &taken, failure);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    return taken ? start_listening(listener, failure)
                 : fail_in_use(failure, listener->address.text);
}

/* --- the contract ----------------------------------------------------------------------------- */

static int open_spare(const goipci_listener *listener)
{
    return goipci_descriptor_copy(listener->descriptor); /* /dev/null may be missing */
}

goipc_error goipci_listener_open(const goipc_allocator *allocator, const goipci_address *address,
                                 uint32_t mode, goipci_listener **listener, goipc_failure *failure)
{
    goipci_listener *made = goipci_allocate_zeroed(allocator, sizeof *made);
    goipc_error error;

    *listener = NULL;
    if (made == NULL) {
        return fail(failure, GOIPC_ERROR_MEMORY, 0, "cannot listen at %s: out of memory",
                    address->text);
    }
    made->allocator = allocator;
    made->address = *address;
    made->directory = -1;
    made->descriptor = goipci_socket_new();
    made->spare = made->descriptor < 0 ? -1 : open_spare(made);
    if (made->spare < 0) {
        error = fail_system(failure, "open a socket for", address->text);
    } else if (address->abstract) {
        error = listen_at_abstract(made, failure);
    } else {
        error = listen_at_path(made, (mode_t)mode, failure);
    }
    if (error != GOIPC_ERROR_OK) {
        goipci_listener_close(made, true);
        return error;
    }
    *listener = made;
    return GOIPC_ERROR_OK;
}

int goipci_listener_descriptor(const goipci_listener *listener)
{
    return listener->descriptor;
}

static bool is_our_inode(const goipci_listener *listener, const struct stat *status)
{
    return status->st_dev == listener->device && status->st_ino == listener->inode;
}

bool goipci_listener_has_name(const goipci_listener *listener)
{
    struct stat status;

    /* By the full path, as clients use it: the directory may have been renamed. */
    return listener->address.abstract ||
           (lstat(listener->address.text, &status) == 0 && is_our_inode(listener, &status));
}

static int accept_waiting(const goipci_listener *listener)
{
    int descriptor;

    do {
        descriptor = goipci_socket_accept(listener->descriptor);
    } while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED));
    return descriptor;
}

/* Without a free descriptor the waiting connection would keep the listener ready, and the client
 * would hang. Closing the spare descriptor permits accepting and closing the connection. */
static goipc_error turn_away(goipci_listener *listener)
{
    goipc_error error = GOIPC_ERROR_RESOURCES;
    int descriptor;

    if (listener->spare < 0) {
        return GOIPC_ERROR_SYSTEM;
    }
    close(listener->spare);
    descriptor = accept_waiting(listener);
    if (descriptor >= 0) {
        close(descriptor);
    } else {
        /* Without a free descriptor accept fails even if no connection waits. */
        error =
            errno == EAGAIN || errno == EWOULDBLOCK ? GOIPC_ERROR_WOULD_BLOCK : GOIPC_ERROR_SYSTEM;
    }
    listener->spare = open_spare(listener);
    return error;
}

goipc_error goipci_listener_accept(goipci_listener *listener, goipci_stream **stream,
                                   int *system_error)
{
    int descriptor;

    *stream = NULL;
    *system_error = 0;
    if (listener->spare < 0) {
        listener->spare = open_spare(listener); /* reopen it if that failed last time */
    }
    descriptor = accept_waiting(listener);
    if (descriptor >= 0) {
        return goipci_stream_adopt(listener->allocator, descriptor, stream);
    }
    *system_error = errno;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    return goipci_error_of(errno) == GOIPC_ERROR_RESOURCES ? turn_away(listener)
                                                           : GOIPC_ERROR_SYSTEM;
}

void goipci_listener_close(goipci_listener *listener, bool remove)
{
    const int descriptors[] = {listener == NULL ? -1 : listener->descriptor,
                               listener == NULL ? -1 : listener->spare,
                               listener == NULL ? -1 : listener->directory};
    struct stat status;

    if (listener == NULL) {
        return;
    }
    if (remove && listener->named && look_at_name(listener, &status) &&
        is_our_inode(listener, &status)) {
        /* Fails if the directory is not writable any more; the next server finds a dead socket. */
        (void)unlinkat(listener->directory, name_of(listener), 0);
    }
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        if (descriptors[i] >= 0) {
            close(descriptors[i]);
        }
    }
    goipci_release(listener->allocator, listener, sizeof *listener);
}
