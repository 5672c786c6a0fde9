/* SPDX-License-Identifier: MIT */
/*
 * A second process, the guardian, renames the server's socket and renames it back. It waits for the
 * end of a pipe that only the tap holds open, so that it acts however the tap ends: by a signal, by
 * SIGKILL, or in order. If the guardian is killed as well, the next tap of that name puts it back.
 *
 * The name is put back by link(), which fails where a socket has the name. If that is the dead
 * socket of a killed tap it is removed first, under the lock on the directory with which servers of
 * this library take a name. A live socket there belongs to another server and keeps the name.
 */
#define _DARWIN_C_SOURCE
#define _DEFAULT_SOURCE /* flock */

#include "tap_name.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOCK_TRY_COUNT_MAX = 250, LOCK_PAUSE_MS = 2 };

typedef enum socket_state { SOCKET_ABSENT, SOCKET_DEAD, SOCKET_LIVE, SOCKET_OTHER } socket_state;

/* --- sockets ---------------------------------------------------------------------------------- */

static socket_state look_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    bool refused;
    int fd;

    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? SOCKET_ABSENT : SOCKET_OTHER;
    }
    if (!S_ISSOCK(status.st_mode) || strlen(path) >= sizeof address.sun_path) {
        return SOCKET_OTHER;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return SOCKET_OTHER;
    }
    (void)!fcntl(fd, F_SETFL, O_NONBLOCK);
    refused = connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 &&
              errno == ECONNREFUSED;
    close(fd);
    return refused ? SOCKET_DEAD : SOCKET_LIVE;
}

/* A descriptor that holds the lock, or -1: then it goes without. */
static int lock_directory(const char *directory)
{
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; fd >= 0 && i < LOCK_TRY_COUNT_MAX; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            break;
        }
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
    }
    return fd;
}

static const char *directory_of(const cli_settings *settings)
{
    return settings->options.directory != NULL ? settings->options.directory : "/tmp";
}

/* Gives the socket at `moved` its name again. False, with errno, when the name is taken. */
static bool put_back(const tap_name *self, const char *directory)
{
    const int lock = lock_directory(directory);
    bool done;

    if (look_at(self->path) == SOCKET_DEAD) {
        (void)unlink(self->path); /* the tap's own, after it was killed */
    }
    done = link(self->moved, self->path) == 0 && unlink(self->moved) == 0;
    if (!done && (errno == EPERM || errno == ENOTSUP || errno == EMLINK)) {
        /* A file system without hard links. */
        done = look_at(self->path) == SOCKET_ABSENT && rename(self->moved, self->path) == 0;
    }
    if (lock >= 0) {
        const int saved_errno = errno;

        (void)flock(lock, LOCK_UN);
        close(lock);
        errno = saved_errno;
    }
    return done;
}

static bool say_not_back(const tap_name *self)
{
    cli_say("the server's socket stays at %s: %s has %s", self->moved,
            errno == EEXIST ? "another server" : strerror(errno), self->path);
    return false;
}

/* What a tap that was killed together with its guardian has left. */
static bool recover(const tap_name *self, const char *directory)
{
    const socket_state moved = look_at(self->moved);

    if (moved == SOCKET_ABSENT) {
        return true;
    }
    if (moved == SOCKET_OTHER) {
        cli_say("%s is in the way and no socket; remove it", self->moved);
        return false;
    }
    if (moved == SOCKET_DEAD) {
        (void)unlink(self->moved); /* of a server that has ended */
        return true;
    }
    if (look_at(self->path) == SOCKET_LIVE) {
        cli_say("servers listen at both %s and %s: another tap runs, or a tap was killed and a new "
                "server took the name; stop one of the two",
                self->path, self->moved);
        return false;
    }
    if (!put_back(self, directory)) {
        return say_not_back(self);
    }
    cli_say("put back %s, which a killed tap had left at %s", self->path, self->moved);
    return true;
}

/* --- the guardian ----------------------------------------------------------------------------- */

/* Moves the name away. 0, or errno. */
static int move_away(const tap_name *self)
{
    struct stat status;

    if (lstat(self->path, &status) != 0) {
        return errno;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return ENOTSOCK;
    }
    return rename(self->path, self->moved) == 0 ? 0 : errno;
}

static int guard(const tap_name *self, const char *directory, int lifeline, int report)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    int error;
    char byte;

    (void)setsid(); /* signals of the terminal go to the tap alone */
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], &ignore, NULL);
    }
    (void)dup2(lifeline, STDIN_FILENO);  /* who waits for the end of the tap's output */
    (void)dup2(lifeline, STDOUT_FILENO); /* must not wait for ours */
    error = move_away(self);
    if (write(report, &error, sizeof error) != (ssize_t)sizeof error || error != 0) {
        return error == 0 && !put_back(self, directory) ? CLI_EXIT_FAILED : CLI_EXIT_OK;
    }
    while (read(lifeline, &byte, 1) < 0 && errno == EINTR) {
    }
    return put_back(self, directory) || say_not_back(self) ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

/* --- the tap ---------------------------------------------------------------------------------- */

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* Forks the guardian and waits until it has moved the name. 0, or errno. */
static int start_guardian(tap_name *self, const char *directory)
{
    int lifeline[2], report[2], error = EIO;

    if (pipe(lifeline) != 0) {
        return errno;
    }
    if (pipe(report) != 0) {
        error = errno;
        close_both(lifeline);
        return error;
    }
    self->guardian = fork();
    if (self->guardian == 0) {
        close(lifeline[1]);
        close(report[0]);
        _exit(guard(self, directory, lifeline[0], report[1]));
    }
    error = self->guardian < 0 ? errno : EIO;
    close(lifeline[0]);
    close(report[1]);
    self->lifeline = lifeline[1];
    if (self->guardian > 0) {
        while (read(report[0], &error, sizeof error) < 0 && errno == EINTR) {
        }
    }
    close(report[0]);
    if (error != 0) {
        close(self->lifeline);
    }
    return error;
}

bool tap_name_take(tap_name *self, const cli_settings *settings)
{
    const char *directory = directory_of(settings);
    int error;

    *self = (tap_name){.lifeline = -1};
    if (snprintf(self->target, sizeof self->target, "%s-tapped", settings->name) >=
            (int)sizeof self->target ||
        snprintf(self->moved, sizeof self->moved, "%s/%s.sock", directory, self->target) >=
            (int)sizeof((struct sockaddr_un *)NULL)->sun_path) {
        cli_say("cannot tap %s: the path of its second name would be too long; have the server "
                "listen at another name, and run tap NAME OTHER",
                settings->name);
        return false;
    }
    snprintf(self->path, sizeof self->path, "%s/%s.sock", directory, settings->name);
    if (!recover(self, directory)) {
        return false;
    }
    error = start_guardian(self, directory);
    if (error == ENOENT) {
        cli_say("no server listens at %s; start it first, or check name and directory", self->path);
    } else if (error != 0) {
        cli_say("cannot take the place of %s: %s", self->path, strerror(error));
    }
    return error == 0;
}

bool tap_name_give_back(tap_name *self)
{
    int status = 0;

    close(self->lifeline);
    while (waitpid(self->guardian, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status) == CLI_EXIT_OK;
    }
    cli_say("the process that puts the name back was killed; run tap again to put it back");
    return false;
}
