/* SPDX-License-Identifier: MIT */
/* Goal: on macOS a client that has gone before it is accepted costs only itself. Method:
 * socket_bsd.c is compiled here, on Linux, with what Linux lacks, and the linker puts a setsockopt
 * in the way (--wrap) that answers as macOS does. */
#define _GNU_SOURCE

#include "endpoint/transport.h"
#include "endpoint_pair.h"

#define SO_NOSIGPIPE 0x1022 /* as on macOS */
int getpeereid(int socket, uid_t *user, gid_t *group);

#include "../src/platform/unix/socket_bsd.c" /* NOLINT(bugprone-suspicious-include) */

static int option_error;     /* of setsockopt */
static int option_error_due; /* so many times */
static int option_count;

int __wrap_setsockopt(int socket, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int socket, int level, int name, const void *value, socklen_t size)
{
    EXPECT(socket >= 0 && level == SOL_SOCKET && name == SO_NOSIGPIPE);
    EXPECT(size == sizeof(int) && *(const int *)value == 1);
    option_count++;
    if (option_error_due > 0) {
        option_error_due--;
        errno = option_error;
        return -1;
    }
    return 0;
}

int getpeereid(int socket, uid_t *user, gid_t *group)
{
    (void)socket;
    *user = geteuid();
    *group = getegid();
    return 0;
}

static goipci_listener *listen_at(const char *name)
{
    goipci_address address;
    goipci_listener *listener;
    goipc_failure failure;

    EXPECT(goipci_address_init(&address, name, NULL, false) == GOIPC_ERROR_OK);
    EXPECT(goipci_listener_open(goipci_allocator_or_default(NULL), &address, 0600, &listener,
                                &failure) == GOIPC_ERROR_OK);
    return listener;
}

/* Two clients wait; for the first setsockopt fails. What accept says then. */
static void expect_accept(int error, goipc_error expected, int expected_system_error)
{
    char name[64];
    goipci_listener *listener = listen_at(test_name(name));
    const int gone = raw_connect(name), second = raw_connect(name);
    goipci_stream *stream;
    int system_error;
    char byte;

    option_error = error;
    option_error_due = 1;
    option_count = 0;
    EXPECT(goipci_listener_accept(listener, &stream, &system_error) == expected);
    EXPECT(system_error == expected_system_error);
    EXPECT(recv(gone, &byte, 1, MSG_DONTWAIT) == 0); /* closed, not kept */
    if (stream == NULL) {
        EXPECT(goipci_listener_accept(listener, &stream, &system_error) == GOIPC_ERROR_OK);
    }
    EXPECT(option_count == 2);
    raw_send(second, "x", 1);
    EXPECT(recv((int)stream->handle, &byte, 1, 0) == 1 && byte == 'x');
    stream->functions->close(stream);
    EXPECT(goipci_listener_accept(listener, &stream, &system_error) == GOIPC_ERROR_WOULD_BLOCK);
    close(gone);
    close(second);
    goipci_listener_close(listener, true);
}

/* accept itself gives EINVAL for a socket that does not listen: no reason to try again. */
static void test_invalid_listener(void)
{
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

    EXPECT(descriptor >= 0);
    EXPECT(goipci_socket_accept(descriptor) == -1 && errno == EINVAL);
    close(descriptor);
}

int main(void)
{
    expect_accept(EINVAL, GOIPC_ERROR_OK, 0);
    expect_accept(ENOPROTOOPT, GOIPC_ERROR_SYSTEM, ENOPROTOOPT);
    test_invalid_listener();
    printf("ok %d checks\n", test_checks);
    return 0;
}
