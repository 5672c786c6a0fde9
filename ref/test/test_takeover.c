/* SPDX-License-Identifier: MIT */
/* Goal: whatever other processes do between the steps of taking a dead server's name, no foreign
 * file is removed, no process that took the name meanwhile loses it, and no file outside of the
 * directory changes. Method: the linker puts __wrap_ functions in the way (--wrap), which act in
 * the gap between two steps as an unlucky neighbour would. */
#define _GNU_SOURCE

#include "endpoint/transport.h"
#include "endpoint_pair.h"

#include <fcntl.h>
#include <sys/file.h>

/* What another process puts in place of the dead socket. */
typedef enum intruder {
    INTRUDER_NONE,
    INTRUDER_LIVE,  /* a listening socket */
    INTRUDER_BOUND, /* a socket that is bound and does not listen yet */
    INTRUDER_DEAD,
    INTRUDER_FILE,
    INTRUDER_LINK, /* a symbolic link to a victim's file */
} intruder;

/* When it does so. */
typedef enum moment {
    MOMENT_PROBE, /* after the dead socket was looked at, before it is asked */
    MOMENT_BIND,  /* after the dead socket was removed, before bind */
    MOMENT_MODE,  /* after bind, before the mode is set */
} moment;

typedef struct scene {
    intruder intruder;
    moment moment;
    int lock_error; /* of flock; 0: it works */
    mode_t mask;    /* the umask; a wide one makes the mode a step of its own */
    goipc_error expected;
    /* What has happened: */
    bool acted;
    bool bound;
    bool was_locked; /* at bind */
    int socket;
} scene;

static scene now;
static char directory[64];
static char path[108];
static char victim[108];

int __real_bind(int descriptor, const struct sockaddr *address, socklen_t size);
int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t size);
int __real_connect(int descriptor, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int descriptor, const struct sockaddr *address, socklen_t size);
int __real_openat(int at, const char *file, int flags, ...);
int __wrap_openat(int at, const char *file, int flags, ...);
int __real_flock(int descriptor, int operation);
int __wrap_flock(int descriptor, int operation);

static int bind_at_path(intruder kind)
{
    const struct sockaddr_un address = raw_address(path);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT(descriptor >= 0);
    EXPECT(__real_bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0);
    if (kind == INTRUDER_DEAD) {
        close(descriptor);
        return -1;
    }
    EXPECT(kind == INTRUDER_BOUND || listen(descriptor, 5) == 0);
    return descriptor;
}

static bool is_locked(void)
{
    const int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool held;

    EXPECT(descriptor >= 0);
    held = __real_flock(descriptor, LOCK_EX | LOCK_NB) != 0;
    close(descriptor);
    return held;
}

static void make_file(const char *file)
{
    const int descriptor = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    EXPECT(descriptor >= 0 && write(descriptor, "precious", 8) == 8);
    close(descriptor);
}

static void intrude(moment at)
{
    if (now.acted || now.intruder == INTRUDER_NONE || now.moment != at) {
        return;
    }
    now.acted = true;
    EXPECT(unlink(path) == 0 || errno == ENOENT);
    if (now.intruder == INTRUDER_FILE) {
        make_file(path);
    } else if (now.intruder == INTRUDER_LINK) {
        EXPECT(symlink(victim, path) == 0);
    } else {
        now.socket = bind_at_path(now.intruder);
    }
}

int __wrap_connect(int descriptor, const struct sockaddr *address, socklen_t size)
{
    intrude(MOMENT_PROBE);
    return __real_connect(descriptor, address, size);
}

int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t size)
{
    now.was_locked = is_locked();
    intrude(MOMENT_BIND);
    now.bound = __real_bind(descriptor, address, size) == 0;
    return now.bound ? 0 : -1;
}

int __wrap_openat(int at, const char *file, int flags, ...)
{
    if (now.bound) {
        intrude(MOMENT_MODE);
    }
    return __real_openat(at, file, flags);
}

int __wrap_flock(int descriptor, int operation)
{
    if (now.lock_error != 0) {
        errno = now.lock_error;
        return -1;
    }
    return __real_flock(descriptor, operation);
}

/* --- what came of it -------------------------------------------------------------------------- */

static bool is_precious(const char *file)
{
    struct stat status;

    return lstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 8 &&
           (status.st_mode & 07777) == 0600;
}

static bool is_socket_at_path(void)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Whether a connection to the path comes out at the intruder's socket, as the first one: the server
 * that asked for life did not connect. */
static bool answers_first(void)
{
    const int dialled = raw_try_connect(path);
    char byte = 0;
    int taken;

    EXPECT(dialled >= 0 && fcntl(now.socket, F_SETFL, O_NONBLOCK) == 0);
    raw_send(dialled, "?", 1);
    taken = accept(now.socket, NULL, NULL);
    EXPECT(taken >= 0 && recv(taken, &byte, 1, 0) == 1 && byte == '?');
    EXPECT(accept(now.socket, NULL, NULL) < 0);
    close(taken);
    close(dialled);
    return true;
}

static goipc_error open_at_path(scene planned, goipci_listener **listener, goipc_failure *failure)
{
    goipci_address address;
    goipc_error error;
    mode_t mask;

    now = planned;
    now.socket = -1;
    EXPECT(goipci_address_init(&address, "name", directory, false) == GOIPC_ERROR_OK);
    EXPECT(strcmp(address.text, path) == 0);
    *failure = (goipc_failure){.error = GOIPC_ERROR_OK};
    (void)bind_at_path(INTRUDER_DEAD);
    mask = umask(planned.mask);
    error =
        goipci_listener_open(goipci_allocator_or_default(NULL), &address, 0666, listener, failure);
    EXPECT(umask(mask) == planned.mask);
    EXPECT(now.acted == (planned.intruder != INTRUDER_NONE));
    EXPECT(failure->error == error);
    EXPECT(error == GOIPC_ERROR_OK || (*listener == NULL && strstr(failure->text, path) != NULL));
    EXPECT(!is_locked());
    EXPECT(is_precious(victim));
    return error;
}

static void expect_served(goipci_listener *listener)
{
    const int dialled = raw_try_connect(path);
    struct stat status;

    EXPECT(dialled >= 0);
    close(dialled);
    EXPECT(lstat(path, &status) == 0 && (status.st_mode & 07777) == 0666);
    EXPECT(goipci_listener_has_name(listener));
    goipci_listener_close(listener, true);
    EXPECT(test_count_entries(directory) == 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_name_is_taken(void)
{
    static const scene rows[] = {
        {.intruder = INTRUDER_NONE},
        {.intruder = INTRUDER_NONE, .mask = 0777},
        {.intruder = INTRUDER_DEAD, .moment = MOMENT_PROBE},
        {.intruder = INTRUDER_DEAD, .moment = MOMENT_BIND},
        {.intruder = INTRUDER_NONE, .lock_error = ENOTSUP},
        {.intruder = INTRUDER_NONE, .lock_error = EBADF}, /* NFS wants it open for writing */
        {.intruder = INTRUDER_NONE, .lock_error = EWOULDBLOCK},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipci_listener *listener;
        goipc_failure failure;

        EXPECT(open_at_path(rows[i], &listener, &failure) == GOIPC_ERROR_OK);
        EXPECT(now.was_locked == (rows[i].lock_error == 0));
        expect_served(listener);
    }
}

/* Whatever came in between stays as it is, and the failure says what it is. */
static void test_intruder_keeps_the_name(void)
{
    static const scene rows[] = {
        {.intruder = INTRUDER_LIVE, .moment = MOMENT_PROBE, .expected = GOIPC_ERROR_ADDRESS_IN_USE},
        {.intruder = INTRUDER_LIVE, .moment = MOMENT_BIND, .expected = GOIPC_ERROR_ADDRESS_IN_USE},
        {.intruder = INTRUDER_LIVE,
         .moment = MOMENT_BIND,
         .lock_error = EWOULDBLOCK,
         .expected = GOIPC_ERROR_ADDRESS_IN_USE},
        {.intruder = INTRUDER_BOUND,
         .moment = MOMENT_PROBE,
         .expected = GOIPC_ERROR_ADDRESS_IN_USE},
        {.intruder = INTRUDER_BOUND,
         .moment = MOMENT_BIND,
         .lock_error = EWOULDBLOCK,
         .expected = GOIPC_ERROR_ADDRESS_IN_USE},
        {.intruder = INTRUDER_FILE, .moment = MOMENT_PROBE, .expected = GOIPC_ERROR_PATH_BLOCKED},
        {.intruder = INTRUDER_FILE, .moment = MOMENT_BIND, .expected = GOIPC_ERROR_PATH_BLOCKED},
        {.intruder = INTRUDER_LINK, .moment = MOMENT_BIND, .expected = GOIPC_ERROR_PATH_BLOCKED},
        /* The mode goes to our own socket or to nothing: never where a link leads. */
        {.intruder = INTRUDER_LINK,
         .moment = MOMENT_MODE,
         .mask = 0777,
         .expected = GOIPC_ERROR_SYSTEM},
        {.intruder = INTRUDER_FILE,
         .moment = MOMENT_MODE,
         .mask = 0777,
         .expected = GOIPC_ERROR_SYSTEM},
        {.intruder = INTRUDER_LIVE,
         .moment = MOMENT_MODE,
         .mask = 0777,
         .expected = GOIPC_ERROR_SYSTEM},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipci_listener *listener;
        goipc_failure failure;

        EXPECT(open_at_path(rows[i], &listener, &failure) == rows[i].expected);
        EXPECT(test_count_entries(directory) == 1);
        if (rows[i].intruder == INTRUDER_LIVE) {
            EXPECT(is_socket_at_path() && (now.moment == MOMENT_MODE || answers_first()));
        } else if (rows[i].intruder == INTRUDER_BOUND) {
            EXPECT(is_socket_at_path());
        } else {
            EXPECT(rows[i].intruder == INTRUDER_LINK || is_precious(path) ||
                   rows[i].moment == MOMENT_MODE);
        }
        if (now.socket >= 0) {
            close(now.socket);
        }
        EXPECT(unlink(path) == 0);
    }
}

int main(void)
{
    snprintf(directory, sizeof directory, "/tmp/t-takeover-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/name.sock", directory);
    snprintf(victim, sizeof victim, "/tmp/t-takeover-%ld-victim", (long)getpid());
    EXPECT(mkdir(directory, 0700) == 0);
    make_file(victim);
    test_name_is_taken();
    test_intruder_keeps_the_name();
    EXPECT(unlink(victim) == 0);
    EXPECT(rmdir(directory) == 0);
    printf("ok %d checks\n", test_checks);
    return 0;
}
