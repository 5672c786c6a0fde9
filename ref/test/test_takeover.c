/* SPDX-License-Identifier: MIT */
/* Goal: whatever others do between the steps of taking a dead server's name, no live one loses its
 * name, no foreign file is removed, and nobody who took the name meanwhile is pushed out. Method:
 * the linker puts __wrap_ functions in the way (--wrap), which do at the one moment what others
 * would have to be very lucky to do. */
#define _GNU_SOURCE

#include "endpoint/transport.h"
#include "endpoint_pair.h"

#include <fcntl.h>
#include <sys/file.h>

/* What is at the path when it is moved aside, instead of the dead socket seen before. */
typedef enum intruder {
    INTRUDER_NONE,
    INTRUDER_LIVE,
    INTRUDER_DEAD,
    INTRUDER_FILE,
} intruder;

typedef struct scene {
    intruder intruder;
    bool same_inode;  /* the intruder has the dead socket's number */
    bool third;       /* another server takes the name while the intruder is aside */
    bool no_links;    /* the file system has no hard links */
    bool no_way_back; /* nothing can be given the name any more */
    int lock_error;   /* of flock; 0: it works */
    /* What has happened: */
    int rename_count;
    bool was_locked; /* when the dead socket was moved */
    struct stat dead;
    int intruder_socket;
    int third_socket;
} scene;

static scene now;
static char directory[64];
static char path[108];

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_lstat(const char *file, struct stat *status);
int __wrap_lstat(const char *file, struct stat *status);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_flock(int descriptor, int operation);
int __wrap_flock(int descriptor, int operation);

static int bind_at_path(bool live)
{
    const struct sockaddr_un address = raw_address(path);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT(descriptor >= 0);
    EXPECT(bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0);
    if (live) {
        EXPECT(listen(descriptor, 5) == 0);
        return descriptor;
    }
    close(descriptor);
    return -1;
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

static void intrude(void)
{
    if (now.intruder == INTRUDER_NONE) {
        return;
    }
    EXPECT(unlink(path) == 0);
    if (now.intruder == INTRUDER_FILE) {
        const int descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

        EXPECT(descriptor >= 0 && write(descriptor, "precious", 8) == 8);
        close(descriptor);
        return;
    }
    now.intruder_socket = bind_at_path(now.intruder == INTRUDER_LIVE);
}

int __wrap_rename(const char *from, const char *to)
{
    int result;

    if (++now.rename_count > 1 && now.no_way_back) {
        errno = EIO;
        return -1;
    }
    if (now.rename_count > 1) {
        return __real_rename(from, to);
    }
    EXPECT(strcmp(from, path) == 0);
    now.was_locked = is_locked();
    intrude();
    result = __real_rename(from, to);
    if (now.third) {
        now.third_socket = bind_at_path(true);
    }
    return result;
}

int __wrap_lstat(const char *file, struct stat *status)
{
    const int result = __real_lstat(file, status);

    if (result == 0 && strcmp(file, path) == 0 && now.rename_count == 0) {
        now.dead = *status;
    }
    if (result == 0 && now.same_inode && now.rename_count == 1 && strcmp(file, path) != 0) {
        status->st_dev = now.dead.st_dev;
        status->st_ino = now.dead.st_ino;
    }
    return result;
}

int __wrap_link(const char *from, const char *to)
{
    if (now.no_links || now.no_way_back) {
        errno = now.no_links ? EPERM : EIO;
        return -1;
    }
    return __real_link(from, to);
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

/* Whether a connection to the path comes out at this listening socket. */
static bool answers_at_path(int listener)
{
    const int dialled = raw_try_connect(path);
    char byte = 0;
    int taken;

    EXPECT(dialled >= 0 && fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    raw_send(dialled, "?", 1);
    while ((taken = accept(listener, NULL, NULL)) >= 0 && byte != '?') {
        (void)!recv(taken, &byte, 1, MSG_DONTWAIT); /* others came and sent nothing */
        close(taken);
    }
    close(dialled);
    return byte == '?';
}

static bool is_precious(void)
{
    struct stat status;

    return __real_lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 8;
}

static goipc_error open_at_path(scene planned, goipci_listener **listener, goipci_stream **live,
                                goipc_failure *failure)
{
    goipci_address address;
    goipc_error error;

    now = planned;
    now.intruder_socket = -1;
    now.third_socket = -1;
    EXPECT(goipci_address_init(&address, "name", directory, false) == GOIPC_ERROR_OK);
    EXPECT(strcmp(address.text, path) == 0);
    *failure = (goipc_failure){.error = GOIPC_ERROR_OK};
    (void)bind_at_path(false);
    error = goipci_listener_open(goipci_allocator_or_default(NULL), &address, 0600, listener, live,
                                 failure);
    EXPECT(now.rename_count > 0);
    EXPECT(failure->error == error);
    EXPECT(error == GOIPC_ERROR_OK || (*listener == NULL && strstr(failure->text, path) != NULL));
    EXPECT(!is_locked());
    return error;
}

static void leave_scene(void)
{
    if (now.intruder_socket >= 0) {
        close(now.intruder_socket);
    }
    if (now.third_socket >= 0) {
        close(now.third_socket);
    }
    EXPECT(unlink(path) == 0);
    EXPECT(test_count_entries(directory) == 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* The intruder gets its name back, or a third server keeps it; either is in use, and the stream
 * that showed it is handed out. */
static void test_live_server_is_moved_aside(void)
{
    for (unsigned i = 0; i < 8; i++) {
        const scene planned = {.intruder = INTRUDER_LIVE,
                               .same_inode = (i & 1) != 0,
                               .no_links = (i & 2) != 0,
                               .third = (i & 4) != 0};
        goipci_listener *listener;
        goipci_stream *live;
        goipc_failure failure;

        EXPECT(open_at_path(planned, &listener, &live, &failure) == GOIPC_ERROR_ADDRESS_IN_USE);
        EXPECT(live != NULL);
        live->functions->close(live);
        EXPECT(test_count_entries(directory) == 1);
        EXPECT(answers_at_path(planned.third ? now.third_socket : now.intruder_socket));
        leave_scene();
    }
}

static void test_file_is_moved_aside(void)
{
    for (unsigned i = 0; i < 4; i++) {
        const scene planned = {
            .intruder = INTRUDER_FILE, .same_inode = (i & 1) != 0, .no_links = (i & 2) != 0};
        goipci_listener *listener;
        goipci_stream *live;
        goipc_failure failure;

        EXPECT(open_at_path(planned, &listener, &live, &failure) == GOIPC_ERROR_PATH_BLOCKED);
        EXPECT(live == NULL && test_count_entries(directory) == 1 && is_precious());
        leave_scene();
    }
}

/* Where it can be given its name no more, it stays where it is, and the failure says where. */
static void test_no_way_back(void)
{
    static const scene rows[] = {
        {.intruder = INTRUDER_LIVE, .same_inode = true, .no_way_back = true},
        {.intruder = INTRUDER_FILE, .no_way_back = true},
        {.intruder = INTRUDER_FILE, .third = true},
        {.intruder = INTRUDER_FILE, .third = true, .no_links = true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipci_listener *listener;
        goipci_stream *live;
        goipc_failure failure;
        char *aside;

        EXPECT(open_at_path(rows[i], &listener, &live, &failure) == GOIPC_ERROR_SYSTEM ||
               rows[i].no_links);
        EXPECT(failure.system_error != 0);
        EXPECT((live != NULL) == (rows[i].intruder == INTRUDER_LIVE));
        if (live != NULL) {
            live->functions->close(live);
        }
        EXPECT(!rows[i].third || answers_at_path(now.third_socket));
        EXPECT(test_count_entries(directory) == (rows[i].third ? 2u : 1u));
        aside = strstr(failure.text, "it is now ");
        EXPECT(aside != NULL);
        aside += strlen("it is now ");
        EXPECT(__real_rename(aside, path) == 0);
        EXPECT(rows[i].intruder == INTRUDER_FILE ? is_precious()
                                                 : answers_at_path(now.intruder_socket));
        *strrchr(aside, '/') = '\0';
        EXPECT(rmdir(aside) == 0);
        leave_scene();
    }
}

static void test_name_is_taken(void)
{
    static const scene rows[] = {
        {.intruder = INTRUDER_NONE},
        {.intruder = INTRUDER_NONE, .no_links = true},
        {.intruder = INTRUDER_DEAD},
        {.intruder = INTRUDER_DEAD, .same_inode = true},
        {.intruder = INTRUDER_DEAD, .no_links = true},
        {.intruder = INTRUDER_NONE, .lock_error = ENOTSUP},
        {.intruder = INTRUDER_NONE, .lock_error = EBADF}, /* NFS wants it open for writing */
        {.intruder = INTRUDER_NONE, .lock_error = EWOULDBLOCK},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipci_listener *listener;
        goipci_stream *live;
        goipc_failure failure;
        int dialled;

        EXPECT(open_at_path(rows[i], &listener, &live, &failure) == GOIPC_ERROR_OK);
        EXPECT(live == NULL && test_count_entries(directory) == 1);
        EXPECT(now.was_locked == (rows[i].lock_error == 0));
        dialled = raw_try_connect(path);
        EXPECT(dialled >= 0);
        close(dialled);
        goipci_listener_close(listener, true);
        EXPECT(test_count_entries(directory) == 0);
    }
}

int main(void)
{
    snprintf(directory, sizeof directory, "/tmp/t-takeover-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/name.sock", directory);
    EXPECT(mkdir(directory, 0700) == 0);
    test_name_is_taken();
    test_live_server_is_moved_aside();
    test_file_is_moved_aside();
    test_no_way_back();
    EXPECT(rmdir(directory) == 0);
    printf("ok %d checks\n", test_checks);
    return 0;
}
