/* SPDX-License-Identifier: MIT */
/*
 * transport.h on AF_UNIX stream sockets.
 *
 * HOW A NAME IS TAKEN
 *
 * golang-ipc removes whatever has the path and binds there, which deletes live servers and foreign
 * files and leaves a moment in which anybody may step in. Here nothing is removed that is not our
 * own dead socket, and the name appears in one step, ready to be connected to, with its final mode:
 *
 *   1 lstat the path. Something that is not a socket, or is not ours, is in the way: PATH_BLOCKED.
 *   2 A socket of ours is asked with connect. Refused means that its server is dead. Anything else
 *     means that it lives: ADDRESS_IN_USE.
 *   3 In a directory only we can enter (mkdtemp, next to the path so that it is the same file
 *     system), bind, chmod, listen.
 *   4 The dead socket, if any, is moved into that directory, and looked at and asked again there:
 *     somebody may have put something else in its place since step 1. (The inode would not tell,
 *     since file systems use numbers again.) Only a socket of ours that is dead even here is
 *     removed. Anything else gets its name back by link(), which leaves alone whoever has taken
 *     the name meanwhile; if it is a socket that lives: ADDRESS_IN_USE.
 *   5 link() gives our socket its name, and fails if somebody has taken it meanwhile: again from 1.
 *
 * From the first step to the last, flock() on the directory keeps out other servers of ours: in
 * step 4 a live one could otherwise be without its name for a moment, and for good if a third took
 * it. Whoever can open the directory can hold that lock for ever, and some file systems have none,
 * so after a while it is done without.
 *
 * close() removes the name only while it still leads to the inode that we made.
 */
#define _DARWIN_C_SOURCE
#define _DEFAULT_SOURCE /* flock, too; _XOPEN_SOURCE beside it would hide that on FreeBSD */

#include "platform/unix/socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 511,         /* capped by the system; a burst of clients must not see EAGAIN */
    PIECE_COUNT_MAX = 4,   /* of one write */
    ATTEMPT_COUNT_MAX = 8, /* to win the name against others who come and go */
    LOCK_TRY_COUNT_MAX = 250,
    LOCK_PAUSE_MS = 2 /* half a second in all; holding it takes the others far less than that */
};

#define DIRECTORY_DEFAULT "/tmp"
#define SUFFIX ".sock"
#define PRIVATE_TEMPLATE ".goipc-XXXXXX"
#define PATH_SIZE_MAX (sizeof((struct sockaddr_un *)NULL)->sun_path)

_Static_assert(GOIPCI_ADDRESS_SIZE > sizeof((struct sockaddr_un *)NULL)->sun_path,
               "an address holds every path the system takes");

/* --- errors and words ------------------------------------------------------------------------- */

goipc_error goipci_error_of(int system_error)
{
    switch (system_error) {
    case ENOMEM:
        return GOIPC_ERROR_MEMORY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
        return GOIPC_ERROR_RESOURCES;
    case EACCES:
    case EPERM:
    case EROFS:
        return GOIPC_ERROR_PERMISSION;
    default:
        return GOIPC_ERROR_SYSTEM;
    }
}

void goipci_system_error_text(int system_error, char *out, size_t capacity)
{
    assert(out != NULL && capacity > 0);
    if (strerror_r(system_error, out, capacity) != 0) {
        snprintf(out, capacity, "error %d", system_error);
    }
}

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

/* "cannot DO at PATH: why", for calls whose errno says it all. */
static goipc_error fail_system(goipc_failure *failure, const char *what, const char *path)
{
    const int system_error = errno;
    char why[128];

    goipci_system_error_text(system_error, why, sizeof why);
    return fail(failure, goipci_error_of(system_error), system_error, "cannot %s %s: %s", what,
                path, why);
}

/* --- addresses -------------------------------------------------------------------------------- */

goipc_error goipci_address_init(goipci_address *address, const char *name, const char *directory,
                                bool abstract)
{
    const char *place = directory != NULL ? directory : DIRECTORY_DEFAULT;
    const size_t place_size = strlen(place);
    const char *slash = place_size > 0 && place[place_size - 1] == '/' ? "" : "/";
    int size;

    assert(address != NULL && name != NULL);
    address->abstract = abstract;
    size = abstract
               ? snprintf(address->text, sizeof address->text, "@goipc/%s", name)
               : snprintf(address->text, sizeof address->text, "%s%s%s" SUFFIX, place, slash, name);
    if (abstract && !goipci_socket_has_abstract) {
        return GOIPC_ERROR_ARGUMENT;
    }
    /* One byte stays for the NUL, which some systems require of a path. */
    if (size < 0 || (size_t)size >= PATH_SIZE_MAX || place_size == 0) {
        return GOIPC_ERROR_NAME;
    }
    if (name[0] == '\0' || strchr(name, '/') != NULL) {
        return GOIPC_ERROR_NAME;
    }
    return GOIPC_ERROR_OK;
}

static socklen_t fill_address(struct sockaddr_un *out, const char *text, bool abstract)
{
    const size_t size = strlen(text);

    assert(size < PATH_SIZE_MAX);
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, text, size);
    if (abstract) {
        out->sun_path[0] = '\0'; /* where the text has '@' */
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    }
    return (socklen_t)sizeof *out;
}

static int connect_socket(int socket, const goipci_address *address)
{
    struct sockaddr_un target;
    const socklen_t size = fill_address(&target, address->text, address->abstract);
    int result;

    do {
        result = connect(socket, (const struct sockaddr *)&target, size);
    } while (result != 0 && errno == EINTR);
    /* On its way is as good as there: the server speaks first. Interrupted and asked again, the
     * system may say that it is there already. */
    return result == 0 || errno == EINPROGRESS || errno == EISCONN ? 0 : -1;
}

/* --- streams ---------------------------------------------------------------------------------- */

typedef struct unix_stream {
    goipci_stream stream;
    const goipc_allocator *allocator;
} unix_stream;

static goipc_error read_stream(goipci_stream *stream, uint8_t *out, size_t capacity, size_t *size,
                               int *system_error)
{
    ssize_t result;

    assert(capacity > 0);
    *size = 0;
    *system_error = 0;
    do {
        result = recv((int)stream->handle, out, capacity, 0);
    } while (result < 0 && errno == EINTR);
    if (result >= 0) {
        *size = (size_t)result;
        return GOIPC_ERROR_OK;
    }
    *system_error = errno;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    /* Closed with our bytes unread, or never there: what was sent before has been given. */
    if (errno == ECONNRESET || errno == EPIPE || errno == ENOTCONN || errno == ECONNREFUSED) {
        return GOIPC_ERROR_OK;
    }
    return GOIPC_ERROR_SYSTEM;
}

static ssize_t send_pieces(int socket, const goipci_bytes *pieces, size_t piece_count)
{
    struct iovec vectors[PIECE_COUNT_MAX];
    struct msghdr message = {.msg_iov = vectors};

    if (piece_count == 1) {
        /* What small messages come to. Without the vector the kernel spends a tenth less on them.
         * */
        return send(socket, pieces[0].bytes, pieces[0].size, goipci_socket_send_flags);
    }
    for (size_t i = 0; i < piece_count; i++) {
        /* struct iovec is for both ways; sendmsg only reads. */
        vectors[i].iov_base = (void *)(uintptr_t)pieces[i].bytes;
        vectors[i].iov_len = pieces[i].size;
        message.msg_iovlen++; /* size_t here, int there */
    }
    return sendmsg(socket, &message, goipci_socket_send_flags);
}

static goipc_error write_stream(goipci_stream *stream, const goipci_bytes *pieces,
                                size_t piece_count, size_t *size, int *system_error)
{
    ssize_t result;

    assert(piece_count > 0 && piece_count <= PIECE_COUNT_MAX);
    *size = 0;
    *system_error = 0;
    do {
        result = send_pieces((int)stream->handle, pieces, piece_count);
    } while (result < 0 && errno == EINTR);
    if (result >= 0) {
        *size = (size_t)result;
        return GOIPC_ERROR_OK;
    }
    *system_error = errno;
    /* ENOBUFS: the system is short of memory for buffers at the moment. */
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
        return GOIPC_ERROR_DISCONNECTED;
    }
    return GOIPC_ERROR_SYSTEM;
}

/* Both ways: closing with unread input would reset the connection, which crashes a golang-ipc
 * server (1.2.4). Now the peer can add no more to it, and what is there can be read to its end.
 * What we wrote stays with the peer, whether we close or not. */
static void finish_stream(goipci_stream *stream)
{
    (void)shutdown((int)stream->handle, SHUT_RDWR); /* fails when the peer is gone: as good */
}

static void close_stream(goipci_stream *stream)
{
    unix_stream *self = (unix_stream *)(void *)stream;
    const goipc_allocator *allocator = self->allocator;

    close((int)stream->handle);
    goipci_release(allocator, self, sizeof *self);
}

static const goipci_stream_functions stream_functions = {
    read_stream,
    write_stream,
    finish_stream,
    close_stream,
};

/* Takes the descriptor, also on failure. */
static goipc_error new_stream(const goipc_allocator *allocator, int descriptor,
                              goipci_stream **stream)
{
    unix_stream *made = goipci_allocate_zeroed(allocator, sizeof *made);

    if (made == NULL) {
        close(descriptor);
        return GOIPC_ERROR_MEMORY;
    }
    made->stream.functions = &stream_functions;
    made->stream.handle = descriptor;
    made->allocator = allocator;
    *stream = &made->stream;
    return GOIPC_ERROR_OK;
}

static goipc_error dial_error(int system_error)
{
    switch (system_error) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
    case ECONNRESET:
        return GOIPC_ERROR_NOT_FOUND;
    case EAGAIN: /* the queue of the listener is full */
        return GOIPC_ERROR_WOULD_BLOCK;
    default:
        return goipci_error_of(system_error);
    }
}

goipc_error goipci_stream_dial(const goipc_allocator *allocator, const goipci_address *address,
                               goipci_stream **stream, int *system_error)
{
    int descriptor = goipci_socket_new();

    *stream = NULL;
    *system_error = 0;
    if (descriptor < 0) {
        *system_error = errno;
        return goipci_error_of(errno);
    }
    if (connect_socket(descriptor, address) != 0) {
        *system_error = errno;
        close(descriptor);
        return dial_error(*system_error);
    }
    return new_stream(allocator, descriptor, stream);
}

goipc_error goipci_stream_check_peer(goipci_stream *stream, const goipc_options *options,
                                     goipc_peers peers, goipc_credentials *credentials)
{
    *credentials = (goipc_credentials){.user = -1, .group = -1, .process = -1};
    if (!goipci_socket_peer((int)stream->handle, credentials)) {
        return peers == GOIPC_PEERS_ANY ? GOIPC_ERROR_OK : GOIPC_ERROR_SYSTEM;
    }
    if (peers == GOIPC_PEERS_ANY || credentials->user == 0 ||
        credentials->user == (int64_t)geteuid()) {
        return GOIPC_ERROR_OK;
    }
    for (size_t i = 0; peers == GOIPC_PEERS_LIST && i < options->peer_user_count; i++) {
        if (credentials->user == (int64_t)options->peer_users[i]) {
            return GOIPC_ERROR_OK;
        }
    }
    return GOIPC_ERROR_CREDENTIALS;
}

goipc_error goipci_stream_wait(goipci_stream *stream, const goipci_poller *poller, unsigned events,
                               int32_t timeout_ms)
{
    struct pollfd looks[2] = {
        {.fd = (int)stream->handle},
        {.fd = goipci_poller_interrupt_descriptor(poller), .events = POLLIN},
    };
    int result;

    looks[0].events = (short)(((events & GOIPCI_READABLE) != 0 ? POLLIN : 0) |
                              ((events & GOIPCI_WRITABLE) != 0 ? POLLOUT : 0));
    result = poll(looks, 2, timeout_ms);
    if (result < 0) {
        return errno == EINTR ? GOIPC_ERROR_OK : goipci_error_of(errno);
    }
    if (looks[1].revents != 0) {
        return GOIPC_ERROR_INTERRUPTED;
    }
    return result == 0 ? GOIPC_ERROR_TIMEOUT : GOIPC_ERROR_OK;
}

/* --- listeners -------------------------------------------------------------------------------- */

struct goipci_listener {
    const goipc_allocator *allocator;
    goipci_address address;
    int descriptor;
    int spare;  /* an open descriptor to give up when there is no other, see accept */
    bool named; /* address leads to our inode, as far as we know */
    dev_t device;
    ino_t inode;
};

/* What opening a listener works with. */
typedef struct opening {
    const goipci_address *address;
    goipc_failure *failure;
    char directory[PATH_SIZE_MAX];  /* private, "" if none */
    char path[GOIPCI_ADDRESS_SIZE]; /* of our socket in it */
    goipci_address aside;           /* of the dead one in it */
    bool has_dead;                  /* there is a dead socket */
} opening;

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Where the path lies, with a slash at the end; its size. */
static size_t parent_directory(const goipci_address *address, char out[GOIPCI_ADDRESS_SIZE])
{
    const char *slash = strrchr(address->text, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - address->text) + 1;

    memcpy(out, address->text, size);
    out[size] = '\0';
    return size;
}

/* A descriptor that holds the lock, or -1: then it goes without. */
static int lock_directory(const goipci_address *address)
{
    char directory[GOIPCI_ADDRESS_SIZE];
    int descriptor;

    (void)parent_directory(address, directory);
    descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1; /* one may be allowed to make files in it and not to read it */
    }
    for (int i = 0; i < LOCK_TRY_COUNT_MAX; i++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
            return descriptor;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            break;
        }
        (void)poll(NULL, 0, LOCK_PAUSE_MS); /* interrupted, it asks a little earlier */
    }
    close(descriptor);
    return -1;
}

static void unlock_directory(int descriptor)
{
    if (descriptor < 0) {
        return;
    }
    /* Closing is not enough where a child was forked meanwhile: it has the same lock open. */
    (void)flock(descriptor, LOCK_UN);
    close(descriptor);
}

/* Whether the socket at `where` is dead: in step 2 the address, in step 4 what was moved aside. */
static goipc_error probe(const opening *work, const goipci_address *where,
                         const goipc_allocator *allocator, bool *dead, goipci_stream **live)
{
    int system_error;
    goipc_error error = goipci_stream_dial(allocator, where, live, &system_error);

    *dead = error == GOIPC_ERROR_NOT_FOUND;
    if (*dead) {
        return GOIPC_ERROR_OK;
    }
    if (error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK) {
        return fail(work->failure, GOIPC_ERROR_ADDRESS_IN_USE, EADDRINUSE,
                    "cannot listen at %s: a live server already listens there; stop it, or choose "
                    "another name",
                    work->address->text);
    }
    errno = system_error;
    return fail_system(work->failure, "find out who listens at", work->address->text);
}

static bool is_own_socket(const struct stat *status)
{
    return S_ISSOCK(status->st_mode) && status->st_uid == geteuid();
}

/* Steps 1 and 2: what is at the path. */
static goipc_error inspect(opening *work, const goipc_allocator *allocator, goipci_stream **live)
{
    const char *path = work->address->text;
    struct stat status;
    bool dead;
    goipc_error error;

    work->has_dead = false;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? GOIPC_ERROR_OK : fail_system(work->failure, "look at", path);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return fail(work->failure, GOIPC_ERROR_PATH_BLOCKED, 0,
                    "cannot listen at %s: a %s is in the way and was left alone; remove it, or "
                    "choose another name",
                    path,
                    S_ISDIR(status.st_mode)   ? "directory"
                    : S_ISLNK(status.st_mode) ? "symbolic link"
                                              : "file that is not a socket");
    }
    if (status.st_uid != geteuid()) {
        return fail(work->failure, GOIPC_ERROR_PATH_BLOCKED, 0,
                    "cannot listen at %s: a socket of user %ld is in the way and was left alone; "
                    "have its owner remove it, or choose another name",
                    path, (long)status.st_uid);
    }
    error = probe(work, work->address, allocator, &dead, live);
    work->has_dead = error == GOIPC_ERROR_OK && dead;
    return error;
}

/* Refuses a directory in which anybody could replace our socket. */
static goipc_error check_directory(opening *work, const char *directory)
{
    struct stat status;

    if (stat(directory, &status) != 0) {
        const goipc_error error = errno == ENOENT ? GOIPC_ERROR_NOT_FOUND : GOIPC_ERROR_OK;

        fail_system(work->failure, "use the directory of", work->address->text);
        work->failure->error = error != GOIPC_ERROR_OK ? error : work->failure->error;
        return work->failure->error;
    }
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        return fail(work->failure, GOIPC_ERROR_PERMISSION, 0,
                    "cannot listen at %s: every user may replace files in that directory; set its "
                    "sticky bit (chmod +t), or use another one",
                    work->address->text);
    }
    return GOIPC_ERROR_OK;
}

/* Step 3, first half: the private directory next to the path. */
static goipc_error make_private_directory(opening *work)
{
    char parent[GOIPCI_ADDRESS_SIZE];
    const size_t size = parent_directory(work->address, parent);
    goipc_error error = check_directory(work, parent);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (size + sizeof PRIVATE_TEMPLATE "/s" > PATH_SIZE_MAX) {
        return fail(work->failure, GOIPC_ERROR_NAME, 0,
                    "cannot listen at %s: the directory is too long for a socket path",
                    work->address->text);
    }
    memcpy(work->directory, parent, size);
    memcpy(work->directory + size, PRIVATE_TEMPLATE, sizeof PRIVATE_TEMPLATE);
    if (mkdtemp(work->directory) == NULL) {
        error = fail_system(work->failure, "make a directory next to", work->address->text);
        work->directory[0] = '\0';
        return error;
    }
    snprintf(work->path, sizeof work->path, "%s/s", work->directory);
    snprintf(work->aside.text, sizeof work->aside.text, "%s/d", work->directory);
    return GOIPC_ERROR_OK;
}

/* Leaves nothing of ours behind. */
static void remove_private_directory(opening *work)
{
    if (work->directory[0] == '\0') {
        return;
    }
    (void)unlink(work->path);       /* fails when it was never made */
    (void)unlink(work->aside.text); /* a dead socket of ours, or nothing */
    (void)rmdir(work->directory);
    work->directory[0] = '\0';
}

static goipc_error bind_and_listen(opening *work, goipci_listener *listener, const char *path,
                                   uint32_t mode)
{
    struct sockaddr_un address;
    const bool abstract = work->address->abstract;
    const socklen_t size = fill_address(&address, path, abstract);
    struct stat status;

    if (bind(listener->descriptor, (const struct sockaddr *)&address, size) != 0) {
        if (errno == EADDRINUSE) {
            return fail(work->failure, GOIPC_ERROR_ADDRESS_IN_USE, errno,
                        "cannot listen at %s: a live server already listens there; stop it, or "
                        "choose another name",
                        work->address->text);
        }
        return fail_system(work->failure, "bind", work->address->text);
    }
    if (!abstract) {
        if (chmod(path, (mode_t)mode) != 0 || lstat(path, &status) != 0) {
            return fail_system(work->failure, "set the mode of", work->address->text);
        }
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    if (listen(listener->descriptor, BACKLOG) != 0) {
        return fail_system(work->failure, "listen at", work->address->text);
    }
    return GOIPC_ERROR_OK;
}

/* Step 4, when it was not dead after all. What is not a socket of ours is never removed. */
static goipc_error put_back(opening *work, bool own_socket)
{
    const char *aside = work->aside.text;
    bool taken;

    if (link(aside, work->address->text) == 0) {
        (void)unlink(aside); /* tried again with the directory, should it fail */
        return GOIPC_ERROR_OK;
    }
    taken = errno == EEXIST || access(work->address->text, F_OK) == 0;
    if (taken && own_socket) {
        (void)unlink(aside); /* without its name nobody finds it */
        return GOIPC_ERROR_OK;
    }
    /* A file system without hard links, or something that cannot have two names. */
    if (!taken && rename(aside, work->address->text) == 0) {
        return GOIPC_ERROR_OK;
    }
    fail(work->failure, goipci_error_of(errno), errno,
         "cannot listen at %s, nor put back what came there meanwhile: it is now %s",
         work->address->text, aside);
    work->aside.text[0] = '\0'; /* not to be removed */
    return work->failure->error;
}

/* Step 4. OK with something else in the way is settled by inspecting again. */
static goipc_error move_dead_aside(opening *work, const goipc_allocator *allocator,
                                   goipci_stream **live)
{
    goipc_error error = GOIPC_ERROR_OK;
    bool own_socket, dead = false;
    struct stat moved;

    if (rename(work->address->text, work->aside.text) != 0) {
        return errno == ENOENT ? GOIPC_ERROR_OK
                               : fail_system(work->failure, "replace", work->address->text);
    }
    own_socket = lstat(work->aside.text, &moved) == 0 && is_own_socket(&moved);
    if (own_socket) {
        error = probe(work, &work->aside, allocator, &dead, live);
    }
    if (dead) {
        (void)unlink(work->aside.text); /* tried again with the directory, should it fail */
        return GOIPC_ERROR_OK;
    }
    return put_back(work, own_socket) == GOIPC_ERROR_OK ? error : work->failure->error;
}

/* Step 5. *taken is false when somebody else has the name meanwhile. */
static goipc_error take_name(opening *work, bool *taken)
{
    *taken = link(work->path, work->address->text) == 0;
    if (*taken || errno == EEXIST) {
        return GOIPC_ERROR_OK;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) {
        return fail_system(work->failure, "give the socket its name", work->address->text);
    }
    /* A file system without hard links: rename replaces what appeared since step 1, so look once
     * more right before. */
    if (access(work->address->text, F_OK) == 0) {
        return GOIPC_ERROR_OK;
    }
    *taken = rename(work->path, work->address->text) == 0;
    return *taken ? GOIPC_ERROR_OK
                  : fail_system(work->failure, "give the socket its name", work->address->text);
}

/* Steps 4 and 5, as often as it takes. */
static goipc_error win_name(opening *work, goipci_listener *listener, goipci_stream **live)
{
    goipc_error error = GOIPC_ERROR_OK;

    for (int i = 0; error == GOIPC_ERROR_OK && !listener->named; i++) {
        if (i == ATTEMPT_COUNT_MAX) {
            return fail(work->failure, GOIPC_ERROR_ADDRESS_IN_USE, EADDRINUSE,
                        "cannot listen at %s: others keep taking the name", work->address->text);
        }
        if (i > 0) {
            error = inspect(work, listener->allocator, live);
        }
        if (error == GOIPC_ERROR_OK && work->has_dead) {
            error = move_dead_aside(work, listener->allocator, live);
        }
        if (error == GOIPC_ERROR_OK) {
            error = take_name(work, &listener->named);
        }
    }
    return error;
}

static goipc_error listen_at_path(opening *work, goipci_listener *listener, uint32_t mode,
                                  goipci_stream **live)
{
    const int lock = lock_directory(work->address);
    goipc_error error = inspect(work, listener->allocator, live);

    if (error == GOIPC_ERROR_OK) {
        error = make_private_directory(work);
    }
    if (error == GOIPC_ERROR_OK) {
        error = bind_and_listen(work, listener, work->path, mode);
    }
    if (error == GOIPC_ERROR_OK) {
        error = win_name(work, listener, live);
    }
    unlock_directory(lock);
    return error;
}

goipc_error goipci_listener_open(const goipc_allocator *allocator, const goipci_address *address,
                                 uint32_t mode, goipci_listener **listener, goipci_stream **live,
                                 goipc_failure *failure)
{
    goipci_listener *made = goipci_allocate_zeroed(allocator, sizeof *made);
    opening work = {.address = address, .failure = failure};
    goipc_error error;

    *listener = NULL;
    *live = NULL;
    if (made == NULL) {
        return fail(failure, GOIPC_ERROR_MEMORY, 0, "cannot listen at %s: out of memory",
                    address->text);
    }
    made->allocator = allocator;
    made->address = *address;
    made->spare = open_spare();
    made->descriptor = made->spare < 0 ? -1 : goipci_socket_new();
    if (made->descriptor < 0) {
        error = fail_system(failure, "open a socket for", address->text);
    } else if (address->abstract) {
        error = bind_and_listen(&work, made, address->text, mode);
    } else {
        error = listen_at_path(&work, made, mode, live);
    }
    remove_private_directory(&work);
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

static int accept_waiting(const goipci_listener *listener)
{
    int descriptor;

    do {
        descriptor = goipci_socket_accept(listener->descriptor);
    } while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED));
    return descriptor;
}

/* Out of descriptors: the waiting connection would keep the listener ready and the client hanging.
 * Giving up the spare makes room to take it and close it. */
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
        /* Without a descriptor accept complains even when nobody waits. */
        error =
            errno == EAGAIN || errno == EWOULDBLOCK ? GOIPC_ERROR_WOULD_BLOCK : GOIPC_ERROR_SYSTEM;
    }
    listener->spare = open_spare();
    return error;
}

goipc_error goipci_listener_accept(goipci_listener *listener, goipci_stream **stream,
                                   int *system_error)
{
    int descriptor;

    *stream = NULL;
    *system_error = 0;
    if (listener->spare < 0) {
        listener->spare = open_spare(); /* somebody was faster last time */
    }
    descriptor = accept_waiting(listener);
    if (descriptor >= 0) {
        return new_stream(listener->allocator, descriptor, stream);
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
    struct stat status;

    if (listener == NULL) {
        return;
    }
    if (remove && listener->named && lstat(listener->address.text, &status) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode) {
        (void)unlink(listener->address.text); /* the directory may have lost its w bit: no harm */
    }
    if (listener->descriptor >= 0) {
        close(listener->descriptor);
    }
    if (listener->spare >= 0) {
        close(listener->spare);
    }
    goipci_release(listener->allocator, listener, sizeof *listener);
}
