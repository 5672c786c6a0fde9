/* SPDX-License-Identifier: MIT */
/*
 * One side of an interoperability run by goipc, through its public header alone:
 *
 *   interop_peer [--crypto NAME] server|client NAME on|optional|off MAX exchange SIZE:TYPE,...
 *   interop_peer [--crypto NAME] server|client NAME on|optional|off MAX handshakes COUNT fresh|same
 *   interop_peer [--crypto NAME] server|client NAME on|optional|off MAX burst COUNT
 *   interop_peer [--crypto NAME] server|client NAME on|optional|off MAX refusal
 *
 * What the tasks are is said in interop/go/peer/peer.go, whose twin this is; the two agree on the
 * content of every message without telling each other. A server of ours takes all connections at
 * one endpoint, so "fresh" (an endpoint per connection) is for its client side only.
 */
#include "goipc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_TIMEOUT_MS = 60000,
    CONNECT_TIMEOUT_MS = 20000,
    /* Between two looks at the counter of refused peers, which no message announces. */
    REFUSAL_LOOK_MS = 20,
    HANDSHAKE_DATA_SIZE = 5,
    CLIENTS_MAX = 64,
    NAME_CAPACITY = 256,
};

typedef struct peer {
    bool is_server;
    const char *name;
    goipc_encryption encryption;
    uint32_t message_size_max;
    const goipc_crypto *crypto;
    goipc_server *server;
    goipc_client *client;
    goipc_client_id to; /* of a server: whom it talks to */
    uint8_t *content;   /* room for message_size_max + 1 bytes */
} peer;

/* One size and type; sent and received count this side's messages. */
typedef struct cell {
    uint32_t size;
    uint32_t type;
    unsigned sent;
    unsigned received;
} cell;

static void fail(const char *what, const char *why)
{
    printf("{\"error\": \"%s: %s\"}\n", what, why);
    fflush(stdout);
    exit(1);
}

static void require(const char *what, goipc_error error)
{
    if (error != GOIPC_ERROR_OK) {
        fail(what, goipc_error_text(error));
    }
}

static void say_ready(void)
{
    puts("{\"ready\": true}");
    fflush(stdout);
}

/* Takes a number and the character after it off the front of *text. */
static uint32_t take_u32(const char **text, char *after)
{
    char *end;
    unsigned long value = strtoul(*text, &end, 10);

    if (end == *text || value > UINT32_MAX) {
        fail("not a number", *text);
    }
    *after = *end;
    *text = *end == '\0' ? end : end + 1;
    return (uint32_t)value;
}

static uint32_t parse_u32(const char *text)
{
    char after;
    uint32_t value = take_u32(&text, &after);

    if (after != '\0') {
        fail("not a number", text);
    }
    return value;
}

static void peer_open(peer *p, const char *name)
{
    goipc_failure failure;
    const goipc_options options = {
        .encryption = p->encryption,
        .message_size_max = p->message_size_max,
        .crypto = p->crypto,
        .failure = &failure,
    };
    goipc_error error;

    if (p->is_server) {
        const goipc_server_config config = {.options = options, .clients_max = CLIENTS_MAX};

        error = goipc_server_start(name, &config, &p->server);
    } else {
        const goipc_client_config config = {
            .options = options,
            .timeout_ms = CONNECT_TIMEOUT_MS,
            .reconnect_off = true,
        };

        error = goipc_client_start(name, &config, &p->client);
    }
    if (error != GOIPC_ERROR_OK) {
        fail("start", failure.text);
    }
}

static void peer_close(peer *p)
{
    goipc_server_close(p->server);
    goipc_client_close(p->client);
    p->server = NULL;
    p->client = NULL;
}

static goipc_error peer_write(peer *p, uint32_t type, const void *data, size_t data_size)
{
    if (p->is_server) {
        return goipc_server_write(p->server, p->to, type, data, data_size);
    }
    return goipc_client_write(p->client, type, data, data_size);
}

static goipc_error peer_read(peer *p, goipc_message *message)
{
    if (p->is_server) {
        return goipc_server_read(p->server, READ_TIMEOUT_MS, message);
    }
    return goipc_client_read(p->client, READ_TIMEOUT_MS, message);
}

static goipc_error await_connected(peer *p)
{
    goipc_message message;

    for (;;) {
        goipc_error error = peer_read(p, &message);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        if (message.type != GOIPC_MESSAGE_STATUS) {
            fail("read", "a message came before the status CONNECTED");
        }
        if (message.status == GOIPC_STATUS_DISCONNECTED) {
            return message.error;
        }
        if (message.status == GOIPC_STATUS_CONNECTED) {
            p->to = message.client;
            return GOIPC_ERROR_OK;
        }
    }
}

/* The next message with data; a connection that ends is its error. */
static goipc_error receive(peer *p, goipc_message *message)
{
    for (;;) {
        goipc_error error = peer_read(p, message);

        if (error != GOIPC_ERROR_OK || message->type != GOIPC_MESSAGE_STATUS) {
            return error;
        }
        if (message->status == GOIPC_STATUS_DISCONNECTED) {
            return message->error;
        }
    }
}

/* What a message of this size and type holds, by who sends it first. */
static void make_content(uint8_t *out, uint32_t size, uint32_t type, bool from_server)
{
    uint32_t state = size * 2654435761u ^ type * 40503u;

    if (from_server) {
        state ^= 0x5bd1e995u;
    }
    for (uint32_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (uint8_t)(state >> 24);
    }
}

static const char *check(const goipc_message *message, uint32_t type, const uint8_t *data,
                         uint32_t size)
{
    if (message->type != (int64_t)type) {
        return "another type arrived";
    }
    if (message->data_size != size) {
        return "another size arrived";
    }
    if (memcmp(message->data, data, size) != 0) {
        return "the data arrived changed";
    }
    return NULL;
}

static const char *cell_send(cell *c, peer *p)
{
    goipc_error error = peer_write(p, c->type, p->content, c->size);

    if (error != GOIPC_ERROR_OK) {
        return goipc_error_text(error);
    }
    c->sent++;
    return NULL;
}

static const char *cell_receive(cell *c, peer *p)
{
    goipc_message message;
    const char *wrong;
    goipc_error error = receive(p, &message);

    if (error != GOIPC_ERROR_OK) {
        return goipc_error_text(error);
    }
    wrong = check(&message, c->type, p->content, c->size);
    c->received += wrong == NULL;
    return wrong;
}

/* Both halves of a cell: the client begins the first, the server the second. */
static const char *cell_trade(cell *c, peer *p)
{
    const char *wrong = NULL;

    for (int half = 0; half < 2 && wrong == NULL; half++) {
        bool from_server = half == 1;
        bool begins = from_server == p->is_server;

        make_content(p->content, c->size, c->type, from_server);
        wrong = begins ? cell_send(c, p) : cell_receive(c, p);
        if (wrong == NULL) {
            wrong = begins ? cell_receive(c, p) : cell_send(c, p);
        }
    }
    return wrong;
}

static void exchange_cell(peer *p, uint32_t size, uint32_t type)
{
    cell c = {size, type, 0, 0};
    const char *wrong = cell_trade(&c, p);

    printf("{\"size\": %" PRIu32 ", \"type\": %" PRIu32 ", \"sent\": %u, \"received\": %u, "
           "\"ok\": %s}\n",
           c.size, c.type, c.sent, c.received, wrong == NULL ? "true" : "false");
    fflush(stdout);
    if (wrong != NULL) {
        fail("exchange", wrong);
    }
}

static void exchange_all(peer *p, const char *plan)
{
    char after = ',';

    while (after == ',') {
        uint32_t size = take_u32(&plan, &after);
        uint32_t type = after == ':' ? take_u32(&plan, &after) : 0;

        if (size > p->message_size_max || type == 0) {
            fail("plan", plan);
        }
        exchange_cell(p, size, type);
    }
    if (after != '\0') {
        fail("plan", plan);
    }
}

/* A message of one byte too many has to be refused by the library, and to leave the connection be.
 */
static void try_too_large(peer *p)
{
    goipc_error error = peer_write(p, 1, p->content, (size_t)p->message_size_max + 1);

    printf("{\"size\": %" PRIu32 ", \"type\": 1, \"refused\": %s, \"text\": \"%s\"}\n",
           p->message_size_max + 1, error == GOIPC_ERROR_MESSAGE_SIZE ? "true" : "false",
           goipc_error_text(error));
    fflush(stdout);
}

/* The server has everything, so it ends the connection. */
static void end_connection(peer *p)
{
    goipc_message message;

    if (!p->is_server && receive(p, &message) != GOIPC_ERROR_DISCONNECTED) {
        fail("end", "the server did not close the connection in order");
    }
    peer_close(p);
}

static void exchange(peer *p, const char *plan)
{
    peer_open(p, p->name);
    if (p->is_server) {
        say_ready();
    }
    require("connect", await_connected(p));
    if (!p->is_server) {
        printf("{\"encrypted\": %s}\n", goipc_client_is_encrypted(p->client) ? "true" : "false");
    }
    try_too_large(p);
    exchange_all(p, plan);
    end_connection(p);
}

/* Sizes from nothing to more than a socket takes at once, large ones here and there. */
static uint32_t burst_size(uint32_t index)
{
    return index % 50 == 49 ? 65536 + index : index * 7919 % 5000;
}

static const char *burst_one_way(peer *p, uint32_t count, bool from_server, cell *total)
{
    const char *wrong = NULL;

    for (uint32_t i = 0; i < count && wrong == NULL; i++) {
        total->size = burst_size(i);
        total->type = i + 1;
        make_content(p->content, total->size, total->type, from_server);
        wrong = from_server == p->is_server ? cell_send(total, p) : cell_receive(total, p);
    }
    return wrong;
}

static void burst(peer *p, uint32_t count)
{
    cell total = {0, 0, 0, 0};
    cell last = {0, 1, 0, 0}; /* tells the server that all of its messages are there */
    const char *wrong;

    if (burst_size(count) > p->message_size_max) {
        fail("burst", "more messages than the maximum size allows for");
    }
    peer_open(p, p->name);
    if (p->is_server) {
        say_ready();
    }
    require("connect", await_connected(p));
    wrong = burst_one_way(p, count, false, &total);
    if (wrong == NULL) {
        wrong = burst_one_way(p, count, true, &total);
    }
    if (wrong == NULL) {
        wrong = p->is_server ? cell_receive(&last, p) : cell_send(&last, p);
    }
    if (wrong != NULL) {
        fail("burst", wrong);
    }
    printf("{\"burst\": %" PRIu32 ", \"sent\": %u, \"received\": %u, \"ok\": true}\n", count,
           total.sent, total.received);
    fflush(stdout);
    end_connection(p);
}

static void say_handshakes(uint32_t count, const cell *c)
{
    printf("{\"handshakes\": %" PRIu32 ", \"sent\": %u, \"received\": %u, \"ok\": true}\n", count,
           c->sent, c->received);
    fflush(stdout);
}

static void fail_connection(uint32_t index, const char *why)
{
    char what[32];

    (void)snprintf(what, sizeof what, "connection %" PRIu32, index); /* fits */
    fail(what, why);
}

/* The end of one connection may be reported after the beginning of the next, so this takes status
 * changes and messages as they come and counts both. */
static void serve_handshakes(peer *p, uint32_t count)
{
    cell c = {HANDSHAKE_DATA_SIZE, 0, 0, 0};
    uint32_t ended = 0;

    peer_open(p, p->name);
    say_ready();
    while (c.sent < count || ended < count) {
        goipc_message message;
        const char *wrong = NULL;
        goipc_error error = peer_read(p, &message);

        if (error != GOIPC_ERROR_OK) {
            fail_connection(c.sent, goipc_error_text(error));
        }
        if (message.type == GOIPC_MESSAGE_STATUS) {
            if (message.status != GOIPC_STATUS_DISCONNECTED) {
                continue;
            }
            ended++;
            if (message.error != GOIPC_ERROR_DISCONNECTED) {
                fail_connection(c.sent, goipc_error_text(message.error));
            }
            continue;
        }
        c.type = c.sent + 1;
        make_content(p->content, c.size, c.type, false);
        p->to = message.client;
        wrong = check(&message, c.type, p->content, c.size);
        c.received++;
        if (wrong == NULL) {
            wrong = cell_send(&c, p);
        }
        if (wrong != NULL) {
            fail_connection(c.sent, wrong);
        }
    }
    say_handshakes(count, &c);
    peer_close(p);
}

static void make_handshakes(peer *p, uint32_t count, bool fresh)
{
    cell c = {HANDSHAKE_DATA_SIZE, 0, 0, 0};
    char name[NAME_CAPACITY];

    for (uint32_t i = 0; i < count; i++) {
        const char *wrong;
        goipc_error error;

        if (snprintf(name, sizeof name, fresh ? "%s.%" PRIu32 : "%s", p->name, i) >=
            (int)sizeof name) {
            fail("name too long", p->name);
        }
        peer_open(p, name);
        error = await_connected(p);
        if (error != GOIPC_ERROR_OK) {
            fail_connection(i, goipc_error_text(error));
        }
        c.type = i + 1;
        make_content(p->content, c.size, c.type, false);
        wrong = cell_send(&c, p);
        if (wrong == NULL) {
            wrong = cell_receive(&c, p);
        }
        if (wrong != NULL) {
            fail_connection(i, wrong);
        }
        peer_close(p);
    }
    say_handshakes(count, &c);
}

/* The handshake has to fail, and the library has to say so. */
static void expect_refusal(peer *p)
{
    goipc_message message;
    goipc_error error;

    peer_open(p, p->name);
    if (!p->is_server) {
        error = await_connected(p);
        if (error == GOIPC_ERROR_OK) {
            fail("refusal", "connected, although the two sides do not agree on encryption");
        }
        printf("{\"refused\": %s, \"text\": \"%s\"}\n",
               error == GOIPC_ERROR_ENCRYPTION ? "true" : "false", goipc_error_text(error));
        peer_close(p);
        return;
    }
    say_ready();
    for (;;) {
        goipc_counters counters;

        error = goipc_server_read(p->server, REFUSAL_LOOK_MS, &message);
        if (error == GOIPC_ERROR_OK && message.status == GOIPC_STATUS_CONNECTED) {
            fail("refusal", "connected, although the two sides do not agree on encryption");
        }
        if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_TIMEOUT) {
            require("read", error);
        }
        goipc_server_counters(p->server, &counters);
        if (counters.refusals > 0) {
            break;
        }
    }
    puts("{\"refused\": true, \"text\": \"counted as a refusal\"}");
    peer_close(p);
}

static goipc_encryption parse_encryption(const char *text)
{
    if (strcmp(text, "on") == 0) {
        return GOIPC_ENCRYPTION_REQUIRE;
    }
    if (strcmp(text, "optional") == 0) {
        return GOIPC_ENCRYPTION_OPTIONAL;
    }
    if (strcmp(text, "off") == 0) {
        return GOIPC_ENCRYPTION_OFF;
    }
    fail("encryption is on, optional or off, not", text);
    return GOIPC_ENCRYPTION_REQUIRE;
}

static void perform(peer *p, int argument_count, char *const *arguments)
{
    const char *task = arguments[0];

    if (strcmp(task, "exchange") == 0 && argument_count == 2) {
        exchange(p, arguments[1]);
        return;
    }
    if (strcmp(task, "burst") == 0 && argument_count == 2) {
        burst(p, parse_u32(arguments[1]));
        return;
    }
    if (strcmp(task, "handshakes") == 0 && argument_count == 3) {
        uint32_t count = parse_u32(arguments[1]);
        bool fresh = strcmp(arguments[2], "fresh") == 0;

        if (!p->is_server) {
            make_handshakes(p, count, fresh);
            return;
        }
        if (!fresh) {
            serve_handshakes(p, count);
            return;
        }
    }
    if (strcmp(task, "refusal") == 0 && argument_count == 1) {
        expect_refusal(p);
        return;
    }
    fail("no such task, or wrong arguments", task);
}

int main(int argc, char **argv)
{
    peer p = {.crypto = NULL};

    if (argc > 2 && strcmp(argv[1], "--crypto") == 0) {
        p.crypto = goipc_crypto_by_name(argv[2]);
        if (p.crypto == NULL) {
            printf("{\"unavailable\": \"crypto back end %s is not built in\"}\n", argv[2]);
            return 77; /* what test drivers take for "skipped" */
        }
        argc -= 2;
        argv += 2;
    }
    if (argc < 6) {
        fail("usage", "[--crypto NAME] server|client NAME on|optional|off MAX TASK ...");
    }
    p.is_server = strcmp(argv[1], "server") == 0;
    p.name = argv[2];
    p.encryption = parse_encryption(argv[3]);
    p.message_size_max = parse_u32(argv[4]);
    p.content = calloc(1, (size_t)p.message_size_max + 1);
    if (p.content == NULL) {
        fail("memory", "out of it");
    }
    perform(&p, argc - 5, argv + 5);
    free(p.content);
    puts("{\"done\": true}");
    return 0;
}
