/* SPDX-License-Identifier: MIT */
/* What a session of goipc::core holds: prints `BACK_END STATE BYTES` for a client session after the
 * handshake, after its first messages, and in the middle of a message of 1 MiB. All memory that a
 * session asks for passes through the allocator that counts here. */
#include <goipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE = 1024 * 1024 };

static void *take(void *context, size_t size)
{
    size_t *held = context;

    *held += size;
    return malloc(size);
}

static void give_back(void *context, void *memory, size_t size)
{
    size_t *held = context;

    *held -= size;
    free(memory);
}

static void must(goipc_error error)
{
    if (error != GOIPC_ERROR_OK) {
        fprintf(stderr, "session_memory: %s\n", goipc_error_text(error));
        exit(1);
    }
}

/* Moves at most `limit` bytes from one session to the other. Returns how many. */
static size_t move(goipc_session *from, goipc_session *to, size_t limit)
{
    size_t moved = 0;

    for (;;) {
        const uint8_t *out;
        uint8_t *in;
        size_t size, capacity;
        goipc_event event;

        goipc_session_output(from, &out, &size);
        size = size < limit - moved ? size : limit - moved;
        if (size == 0) {
            return moved;
        }
        must(goipc_session_input(to, &in, &capacity));
        size = size < capacity ? size : capacity;
        memcpy(in, out, size);
        must(goipc_session_input_commit(to, size));
        goipc_session_output_consume(from, size);
        moved += size;
        must(goipc_session_next_event(to, &event));
    }
}

static void measure(const char *name, const goipc_crypto *crypto)
{
    size_t held = 0;
    const goipc_allocator counting = {.context = &held, .allocate = take, .release = give_back};
    const goipc_session_config server_config = {.role = GOIPC_ROLE_SERVER, .crypto = crypto};
    const goipc_session_config client_config = {
        .role = GOIPC_ROLE_CLIENT, .crypto = crypto, .allocator = &counting};
    goipc_session *server, *client;
    uint8_t *message = calloc(1, MESSAGE_SIZE);

    if (message == NULL) {
        must(GOIPC_ERROR_MEMORY);
    }
    must(goipc_session_new(&server_config, &server));
    must(goipc_session_new(&client_config, &client));
    while (move(server, client, SIZE_MAX) + move(client, server, SIZE_MAX) > 0) {
    }
    printf("%s idle %zu\n", name, held);
    must(goipc_session_send(client, 1, "x", 1));
    must(goipc_session_send(server, 1, "x", 1));
    (void)move(client, server, SIZE_MAX);
    (void)move(server, client, SIZE_MAX);
    printf("%s used %zu\n", name, held);
    must(goipc_session_send(server, 1, message, MESSAGE_SIZE));
    (void)move(server, client, MESSAGE_SIZE);
    printf("%s receiving %zu\n", name, held);
    (void)move(server, client, SIZE_MAX);
    goipc_session_free(client);
    goipc_session_free(server);
    free(message);
    if (held != 0) {
        fprintf(stderr, "session_memory: %zu bytes were not given back\n", held);
        exit(1);
    }
}

int main(void)
{
    static const char *const names[] = {"tomcrypt", "openssl", "nettle"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const goipc_crypto *crypto = goipc_crypto_by_name(names[i]);

        if (crypto != NULL) {
            measure(names[i], crypto);
        }
    }
    return 0;
}
