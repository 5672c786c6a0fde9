/* SPDX-License-Identifier: MIT */
/* Addresses and streams of transport.h on AF_UNIX stream sockets; listener.c has the
 * listener. */
#define _DARWIN_C_SOURCE
#define _DEFAULT_SOURCE

#include "platform/unix/socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PIECE_COUNT_MAX = 4, /* of one write */
    FIRST_DESCRIPTOR = 3,
};

#define DIRECTORY_DEFAULT "/tmp"
#define SUFFIX ".sock"
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

/* --- descriptors ------------------------------------------------------------------------------ */

/* A process may have closed its standard input, output or error. A socket with that number would
 * receive the program's output, and would be read as its input. */
int goipci_descriptor_above_stdio(int descriptor)
{
    int above;
    int saved;

    if (descriptor < 0 || descriptor >= FIRST_DESCRIPTOR) {
        return descriptor;
    }
    above = goipci_descriptor_copy(descriptor);
    saved = errno;
    close(descriptor);
    errno = saved;
    return above;
}

int goipci_descriptor_copy(int descriptor)
{
    return fcntl(descriptor, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
}

/* --- addresses -------------------------------------------------------------------------------- */

/* Writes the directory of the socket to `out`. A relative one is made absolute, so that the address
 * does not depend on later changes of the working directory. False if it does not fit. */
static bool place_of(const char *directory, char out[GOIPCI_ADDRESS_SIZE])
{
    const char *place = directory != NULL ? directory : DIRECTORY_DEFAULT;
    size_t size = 0;
    int added;

    out[0] = '\0';
    if (place[0] != '/') {
        if (getcwd(out, GOIPCI_ADDRESS_SIZE) == NULL) {
            return false;
        }
        size = strlen(out);
    }
    added = snprintf(out + size, GOIPCI_ADDRESS_SIZE - size, "%s%s%s", size > 0 ? "/" : "", place,
                     place[0] != '\0' && place[strlen(place) - 1] == '/' ? "" : "/");
    return place[0] != '\0' && added >= 0 && (size_t)added < GOIPCI_ADDRESS_SIZE - size;
}

goipc_error goipci_address_init(goipci_address *address, const char *name, const char *directory,
                                bool abstract)
{
    char place[GOIPCI_ADDRESS_SIZE];
    const bool has_place = place_of(directory, place);
    int size;

    assert(address != NULL && name != NULL);
    address->abstract = abstract;
    size = abstract ? snprintf(address->text, sizeof address->text, "@goipc/%s", name)
                    : snprintf(address->text, sizeof address->text, "%s%s" SUFFIX, place, name);
    if (abstract && !goipci_socket_has_abstract) {
        return GOIPC_ERROR_ARGUMENT;
    }
    /* One byte stays for the NUL, which some systems require of a path. */
    if (size < 0 || (size_t)size >= PATH_SIZE_MAX || (!has_place && !abstract)) {
        return GOIPC_ERROR_NAME;
    }
    if (name[0] == '\0' || strchr(name, '/') != NULL) {
        return GOIPC_ERROR_NAME;
    }
    return GOIPC_ERROR_OK;
}

socklen_t goipci_address_fill(struct sockaddr_un *out, const goipci_address *address)
{
    const size_t size = strlen(address->text);

    assert(size < PATH_SIZE_MAX);
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, address->text, size);
    if (address->abstract) {
        out->sun_path[0] = '\0'; /* the text has '@' here */
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    }
    return (socklen_t)sizeof *out;
}

int goipci_socket_probe(const goipci_address *address)
{
    struct sockaddr_un target;
    const socklen_t size = goipci_address_fill(&target, address);
    const int descriptor = goipci_socket_new_datagram();
    int result = 0;

    if (descriptor < 0) {
        return errno;
    }
    if (connect(descriptor, (const struct sockaddr *)&target, size) != 0) {
        result = errno;
    }
    close(descriptor);
    errno = result;
    return result;
}

static int connect_socket(int socket, const goipci_address *address)
{
    struct sockaddr_un target;
    const socklen_t size = goipci_address_fill(&target, address);
    int result;

    do {
        result = connect(socket, (const struct sockaddr *)&target, size);
    } while (result != 0 && errno == EINTR);
    /* A connection in progress counts as connected: the server sends first. After an interrupted
     * call the system may report that the socket is already connected. */
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
    /* The peer closed with our bytes unread, or was never connected. Earlier input was
     * delivered. */
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
    /* ENOBUFS: the system has no memory for buffers at the moment. */
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
        return GOIPC_ERROR_DISCONNECTED;
    }
    return GOIPC_ERROR_SYSTEM;
}

/* Shuts down both directions: closing with unread input would reset the connection, which crashes a
 * golang-ipc server (1.2.4). After this the peer can send no more, and the rest can be read to its
 * end. The peer can still read all bytes that we wrote. */
static void finish_stream(goipci_stream *stream)
{
    (void)shutdown((int)stream->handle, SHUT_RDWR); /* fails only if the peer has disconnected */
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

goipc_error goipci_stream_adopt(const goipc_allocator *allocator, int descriptor,
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
    case EAGAIN: /* the listener's queue is full */
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
    return goipci_stream_adopt(allocator, descriptor, stream);
}

goipc_error goipci_stream_check_peer(goipci_stream *stream, const goipc_options *options,
                                     goipc_peers peers, goipc_credentials *credentials)
{
    *credentials = (goipc_credentials){.user = -1, .group = -1, .process = -1};
    if (!goipci_socket_peer((int)stream->handle, credentials)) {
        return peers == GOIPC_PEERS_ANY ? GOIPC_ERROR_OK : GOIPC_ERROR_SYSTEM;
    }
    if (peers != GOIPC_PEERS_ANY && !goipci_user_is_known(credentials->user)) {
        credentials->user = -1;
        return GOIPC_ERROR_CREDENTIALS;
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
