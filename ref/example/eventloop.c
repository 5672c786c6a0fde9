/* SPDX-License-Identifier: MIT */
/* A server in an event loop of one's own, here plain poll with a second thing to wait for: each
 * line of standard input goes to all clients. eventloop [NAME] */
#include <goipc.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Everything that is there now; the descriptor tells when there is more. */
static goipc_error handle_messages(goipc_server *server)
{
    goipc_message message;
    goipc_error error;

    while ((error = goipc_server_read(server, 0, &message)) == GOIPC_ERROR_OK) {
        if (message.type == GOIPC_MESSAGE_STATUS) {
            printf("client %llu: %s\n", (unsigned long long)message.client,
                   goipc_status_text(message.status));
        } else {
            printf("client %llu: %.*s\n", (unsigned long long)message.client,
                   (int)message.data_size, (const char *)message.data);
        }
    }
    fflush(stdout);
    return error;
}

/* What of standard input is not sent yet. A longer line goes in parts. */
typedef struct input {
    char bytes[1024];
    size_t size;
} input;

static void send_first(input *lines, size_t size, size_t skip, goipc_server *server)
{
    if (goipc_server_write(server, GOIPC_CLIENT_ALL, 1, lines->bytes, size) != GOIPC_ERROR_OK) {
        fputs("not everybody got it\n", stderr);
    }
    lines->size -= size + skip;
    memmove(lines->bytes, lines->bytes + size + skip, lines->size);
}

/* Sends all lines that are there; false at the end. (stdio would keep lines back that poll does not
 * know of.) */
static bool handle_input(input *lines, goipc_server *server)
{
    const char *newline;
    const ssize_t size =
        read(STDIN_FILENO, lines->bytes + lines->size, sizeof lines->bytes - lines->size);

    if (size < 0 && errno == EINTR) {
        return true;
    }
    lines->size += size > 0 ? (size_t)size : 0;
    while ((newline = memchr(lines->bytes, '\n', lines->size)) != NULL) {
        send_first(lines, (size_t)(newline - lines->bytes), 1, server);
    }
    if (lines->size == sizeof lines->bytes || (size <= 0 && lines->size > 0)) {
        send_first(lines, lines->size, 0, server);
    }
    return size > 0;
}

int main(int argc, char **argv)
{
    /* A write that would have to wait fails instead, so that the loop never stands still. */
    const goipc_server_config config = {.clients_max = 100,
                                        .options.write_timeout_ms = GOIPC_NO_WAIT};
    input lines = {.size = 0};
    goipc_server *server;

    if (goipc_server_start(argc > 1 ? argv[1] : "demo", &config, &server) != GOIPC_ERROR_OK) {
        return 1;
    }
    while (handle_messages(server) == GOIPC_ERROR_WOULD_BLOCK) {
        struct pollfd looks[2] = {
            {.fd = (int)goipc_server_poll_fd(server), .events = POLLIN},
            {.fd = STDIN_FILENO, .events = POLLIN},
        };

        if (poll(looks, 2, goipc_server_poll_timeout_ms(server)) < 1 || looks[1].revents == 0) {
            continue;
        }
        if (!handle_input(&lines, server)) {
            break;
        }
    }
    goipc_server_close(server);
    return 0;
}
