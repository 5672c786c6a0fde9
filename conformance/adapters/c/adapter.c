/* SPDX-License-Identifier: MIT */
/* HP/1 adapter for the C reference: docs/harness-protocol.md. The main thread reads requests; one
 * more thread reads messages from the endpoint, reports them and echoes. */
#include "codec.h"
#include "core/internal.h" /* for goipci_nonces alone: see scripted_random */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above this the event carries a digest. */
enum { DATA_IN_FULL_MAX = 1024, SEED_SIZE = GOIPC_P384_PRIVATE_SIZE };

static goipc_crypto crypto; /* the chosen back end with `random` scripted */
static const goipc_crypto *real_crypto;

/* What the hooks of level 2 have set. */
static struct {
    pthread_mutex_t lock;
    bool has_private_key; /* `private_key` is the next one */
    uint8_t private_key[SEED_SIZE];
    bool has_sealed; /* the next connection starts at `sealed` */
    uint32_t sealed;
    bool may_fail; /* only `draws_left` more draws succeed */
    uint32_t draws_left;
    uint32_t failed; /* draws that have failed */
} script = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The one open endpoint: a server or a client, or neither. */
static struct {
    pthread_mutex_t lock;
    goipc_server *server;
    goipc_client *client;
    pthread_t reader;
    bool echo;
    goipc_client_id newest;
    goipc_client_id connection; /* a client's number for its connection, advanced by each */
} endpoint = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Static_assert(offsetof(goipci_nonces, prefix) == 0, "what is drawn is what it begins with");

/* What is drawn tells by its size what it is: 48 bytes are a private key, 8 the first part of a
 * connection's nonces, behind which stands their counter, already set. Called under the lock. */
static goipc_error scripted_draw(void *context, uint8_t *out, size_t size)
{
    if (script.may_fail && script.draws_left == 0) {
        script.failed++;
        return GOIPC_ERROR_RANDOM;
    }
    script.draws_left -= script.may_fail ? 1 : 0;
    if (script.has_private_key && size == SEED_SIZE) {
        memcpy(out, script.private_key, size);
        script.has_private_key = false;
        return GOIPC_ERROR_OK;
    }
    if (script.has_sealed && size == sizeof((goipci_nonces *)0)->prefix) {
        ((goipci_nonces *)(void *)out)->next = script.sealed;
        script.has_sealed = false;
    }
    return real_crypto->random(context, out, size);
}

static goipc_error scripted_random(void *context, uint8_t *out, size_t size)
{
    goipc_error error;

    pthread_mutex_lock(&script.lock);
    error = scripted_draw(context, out, size);
    pthread_mutex_unlock(&script.lock);
    return error;
}

/* --- events ----------------------------------------------------------------------------------- */

static void event_state(const char *state, goipc_client_id connection)
{
    cJSON *event = cJSON_CreateObject();

    cJSON_AddStringToObject(event, "ev", "state");
    cJSON_AddStringToObject(event, "state", state);
    cJSON_AddNumberToObject(event, "conn", (double)connection);
    line_write(event);
}

static void event_error(goipc_error error, goipc_client_id connection)
{
    cJSON *event = cJSON_CreateObject();

    cJSON_AddStringToObject(event, "ev", "error");
    cJSON_AddNumberToObject(event, "conn", (double)connection);
    cJSON_AddStringToObject(event, "class", error_class(error));
    cJSON_AddStringToObject(event, "message", goipc_error_text(error));
    line_write(event);
}

static void event_message(const goipc_message *message, goipc_client_id connection)
{
    cJSON *event = cJSON_CreateObject();
    uint8_t digest[GOIPC_SHA256_SIZE];

    cJSON_AddStringToObject(event, "ev", "message");
    cJSON_AddNumberToObject(event, "conn", (double)connection);
    cJSON_AddNumberToObject(event, "type", (double)message->type);
    cJSON_AddNumberToObject(event, "len", (double)message->data_size);
    if (message->data_size <= DATA_IN_FULL_MAX) {
        add_hex(event, "data", message->data, message->data_size);
    } else if (crypto.sha256(crypto.context, message->data, message->data_size, digest) ==
               GOIPC_ERROR_OK) {
        add_hex(event, "sha256", digest, sizeof digest);
    }
    line_write(event);
}

/* --- the reading thread ------------------------------------------------------------------------
 */

static bool echoes(void)
{
    bool echo;

    pthread_mutex_lock(&endpoint.lock);
    echo = endpoint.echo;
    pthread_mutex_unlock(&endpoint.lock);
    return echo;
}

static void set_newest(goipc_client_id client)
{
    pthread_mutex_lock(&endpoint.lock);
    endpoint.newest = client;
    pthread_mutex_unlock(&endpoint.lock);
}

/* What a message is to the runner; the connection's number is the server's client id, or a count.
 */
static void report(const goipc_message *message, goipc_client_id connection)
{
    if (message->type != GOIPC_MESSAGE_STATUS) {
        event_message(message, connection);
    } else if (message->status == GOIPC_STATUS_CONNECTED) {
        set_newest(connection);
        event_state("connected", connection);
    } else if (message->status == GOIPC_STATUS_DISCONNECTED) {
        if (message->error != GOIPC_ERROR_OK && message->error != GOIPC_ERROR_DISCONNECTED) {
            event_error(message->error, connection);
        }
        event_state("disconnected", connection);
    }
}

static void *read_server(void *unused)
{
    goipc_message message;
    goipc_error error;

    (void)unused;
    for (;;) {
        error = goipc_server_read(endpoint.server, GOIPC_FOREVER, &message);
        if (error != GOIPC_ERROR_OK) {
            return NULL;
        }
        report(&message, message.client);
        if (message.type != GOIPC_MESSAGE_STATUS && echoes()) {
            /* A client that is gone by now is told of by its status message. */
            (void)!goipc_server_write(endpoint.server, message.client, (uint32_t)message.type,
                                      message.data, message.data_size);
        }
    }
}

/* Reads until the handshake has ended. */
static goipc_error await_connected(goipc_client *client)
{
    goipc_message message;
    goipc_error error;

    do {
        error = goipc_client_read(client, GOIPC_FOREVER, &message);
    } while (error == GOIPC_ERROR_OK && message.status != GOIPC_STATUS_CONNECTED);
    return error;
}

static void reply_connected(const cJSON *request)
{
    cJSON *reply = reply_new(request, true);

    endpoint.connection++;
    cJSON_AddNumberToObject(reply, "conn", (double)endpoint.connection);
    cJSON_AddNumberToObject(reply, "max_message_size", goipc_client_send_size_max(endpoint.client));
    cJSON_AddBoolToObject(reply, "encrypted", goipc_client_is_encrypted(endpoint.client));
    line_write(reply);
    event_state("connected", endpoint.connection);
}

/* Answers the connect request, which it owns, so that the main thread can go on reading. */
static void *read_client(void *context)
{
    cJSON *request = context;
    goipc_message message;
    goipc_error error = await_connected(endpoint.client);

    if (error == GOIPC_ERROR_OK) {
        reply_connected(request);
    } else {
        reply_goipc(request, error);
    }
    cJSON_Delete(request);
    while (error == GOIPC_ERROR_OK) {
        error = goipc_client_read(endpoint.client, GOIPC_FOREVER, &message);
        if (error != GOIPC_ERROR_OK) {
            break;
        }
        if (message.type == GOIPC_MESSAGE_STATUS && message.status == GOIPC_STATUS_CONNECTED) {
            endpoint.connection++;
        }
        report(&message, endpoint.connection);
        if (message.type != GOIPC_MESSAGE_STATUS && echoes()) {
            (void)!goipc_client_write(endpoint.client, (uint32_t)message.type, message.data,
                                      message.data_size);
        }
    }
    return NULL;
}

/* --- endpoints ---------------------------------------------------------------------------------
 */

static void close_endpoint(void)
{
    if (endpoint.server != NULL) {
        goipc_server_interrupt(endpoint.server);
        pthread_join(endpoint.reader, NULL);
        goipc_server_close(endpoint.server);
    }
    if (endpoint.client != NULL) {
        goipc_client_interrupt(endpoint.client);
        pthread_join(endpoint.reader, NULL);
        goipc_client_resume(endpoint.client); /* close still has to send what is queued */
        goipc_client_close(endpoint.client);
    }
    endpoint.server = NULL;
    endpoint.client = NULL;
}

static bool read_options(const cJSON *request, goipc_options *options, goipc_failure *failure)
{
    const char *encryption = field_text(request, "encryption");
    const char *directory =
        field_text(cJSON_GetObjectItemCaseSensitive(request, "endpoint"), "directory");

    if (strcmp(encryption, "optional") == 0) {
        options->encryption = GOIPC_ENCRYPTION_OPTIONAL;
    } else if (strcmp(encryption, "off") == 0) {
        options->encryption = GOIPC_ENCRYPTION_OFF;
    } else if (strcmp(encryption, "required") == 0) {
        options->encryption = GOIPC_ENCRYPTION_REQUIRE;
    } else if (strcmp(encryption, "default") != 0) { /* which is what nobody set */
        reply_error(request, "other", "encryption is required, optional, off or default");
        return false;
    }
    options->message_size_max = (uint32_t)field_number(request, "max_message_size", 0);
    options->handshake_timeout_ms = (int32_t)field_number(request, "handshake_timeout_ms", 0);
    options->directory = directory[0] != '\0' ? directory : NULL;
    options->crypto = &crypto;
    options->failure = failure;
    endpoint.echo = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "echo"));
    endpoint.newest = 0;
    return true;
}

static void start_reader(void *(*read)(void *context), void *context)
{
    if (pthread_create(&endpoint.reader, NULL, read, context) != 0) {
        fprintf(stderr, "adapter: no thread\n");
        exit(1);
    }
}

static const char *endpoint_name(const cJSON *request)
{
    return field_text(cJSON_GetObjectItemCaseSensitive(request, "endpoint"), "name");
}

static void serve(const cJSON *request)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config config = {.clients_max = (uint32_t)field_number(request, "clients_max", 0)};
    const char *directory, *name = endpoint_name(request);
    char path[512];
    cJSON *reply, *where;
    goipc_error error;

    close_endpoint();
    if (!read_options(request, &config.options, &failure)) {
        return;
    }
    error = goipc_server_start(name, &config, &endpoint.server);
    if (error != GOIPC_ERROR_OK) {
        reply_error(request, error_class(error), failure.text);
        return;
    }
    directory = config.options.directory != NULL ? config.options.directory : "/tmp";
    snprintf(path, sizeof path, "%s/%s.sock", directory, name);
    reply = reply_new(request, true);
    where = cJSON_AddObjectToObject(reply, "endpoint");
    cJSON_AddStringToObject(where, "transport", "unix");
    cJSON_AddStringToObject(where, "path", path);
    line_write(reply);
    start_reader(read_server, NULL);
}

static void connect_to_server(const cJSON *request)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_client_config config = {
        .timeout_ms = (int32_t)field_number(request, "timeout_ms", 0),
        .reconnect_off = !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "reconnect"))};
    goipc_error error;

    close_endpoint();
    if (!read_options(request, &config.options, &failure)) {
        return;
    }
    error = goipc_client_start(endpoint_name(request), &config, &endpoint.client);
    if (error != GOIPC_ERROR_OK) {
        reply_goipc(request, error);
        return;
    }
    start_reader(read_client, cJSON_Duplicate(request, true));
}

/* `data` repeated; in memory that the caller frees. */
static uint8_t *repeated(const uint8_t *data, size_t size, size_t count)
{
    uint8_t *all = malloc(size * count + 1);

    for (size_t i = 0; all != NULL && i < count; i++) {
        memcpy(all + i * size, data, size);
    }
    return all;
}

static goipc_client_id wanted_connection(const cJSON *request)
{
    goipc_client_id newest;

    pthread_mutex_lock(&endpoint.lock);
    newest = endpoint.newest;
    pthread_mutex_unlock(&endpoint.lock);
    return (goipc_client_id)field_number(request, "conn", (double)newest);
}

static void send_message(const cJSON *request)
{
    const uint32_t type = (uint32_t)field_number(request, "type", 0);
    const size_t count = (size_t)field_number(request, "repeat", 1);
    const goipc_client_id to = wanted_connection(request);
    goipc_error error = GOIPC_ERROR_NOT_CONNECTED;
    uint8_t *data = NULL, *all = NULL;
    size_t size;

    if (!field_bytes(request, "data", &data, &size) ||
        (all = repeated(data, size, count)) == NULL) {
        error = GOIPC_ERROR_ARGUMENT;
    } else if (endpoint.server != NULL && to != GOIPC_CLIENT_ALL) {
        error = goipc_server_write(endpoint.server, to, type, all, size * count);
    } else if (endpoint.client != NULL) {
        error = goipc_client_write(endpoint.client, type, all, size * count);
    }
    free(data);
    free(all);
    reply_goipc(request, error);
}

static void close_connection(const cJSON *request)
{
    if (strcmp(field_text(request, "how"), "abort") == 0) {
        reply_unsupported(request, "connections are always drained");
    } else if (endpoint.server != NULL) {
        reply_goipc(request, goipc_server_disconnect(endpoint.server, wanted_connection(request)));
    } else if (endpoint.client != NULL) {
        const goipc_client_id connection = endpoint.connection;

        close_endpoint();
        event_state("disconnected", connection);
        reply_ok(request);
    } else {
        reply_goipc(request, GOIPC_ERROR_NOT_CONNECTED);
    }
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void hello(const cJSON *request)
{
    static const char *const roles[] = {"server", "client", "codec"};
    static const char *const caps[] = {"enc",
                                       "plain",
                                       "enc-optional",
                                       "reconnect",
                                       "multi-client",
                                       "handshake-timeout",
                                       "directory",
                                       "max-receive",
                                       "hooks.rng",
                                       "hooks.sealed",
                                       "hooks.random-fails",
                                       "enc-default"};
    cJSON *reply = reply_new(request, true);
    cJSON *implementation = cJSON_AddObjectToObject(reply, "impl");

    cJSON_AddNumberToObject(reply, "hp", 1);
    cJSON_AddStringToObject(implementation, "name", "goipc");
    cJSON_AddStringToObject(implementation, "version", goipc_version());
    cJSON_AddStringToObject(implementation, "language", "c");
    cJSON_AddStringToObject(implementation, "crypto", real_crypto->name);
    cJSON_AddItemToObject(reply, "roles",
                          cJSON_CreateStringArray(roles, sizeof roles / sizeof roles[0]));
    cJSON_AddItemToObject(reply, "caps",
                          cJSON_CreateStringArray(caps, sizeof caps / sizeof caps[0]));
    cJSON_AddStringToObject(reply, "isolation", "connection");
    line_write(reply);
}

static void set_seed(const cJSON *request)
{
    const double sealed = field_number(request, "sealed", 0);
    uint8_t private_key[SEED_SIZE];
    const bool has_key = cJSON_HasObjectItem(request, "private_key");

    if (cJSON_HasObjectItem(request, "nonces")) {
        reply_unsupported(request, "nonces are a random prefix and a counter");
        return;
    }
    if ((has_key && !field_exact(request, "private_key", private_key, sizeof private_key)) ||
        sealed < 0 || sealed > UINT32_MAX) {
        reply_error(request, "other", "private_key is 48 bytes in hexadecimal, sealed has 32 bits");
        return;
    }
    pthread_mutex_lock(&script.lock);
    if (has_key) {
        memcpy(script.private_key, private_key, sizeof private_key);
        script.has_private_key = true;
    }
    script.sealed = (uint32_t)sealed; /* `opened` concerns random nonces, which are not used here */
    script.has_sealed = cJSON_HasObjectItem(request, "sealed");
    pthread_mutex_unlock(&script.lock);
    reply_ok(request);
}

static void set_random(const cJSON *request)
{
    cJSON *reply = reply_new(request, true);

    pthread_mutex_lock(&script.lock);
    script.may_fail = cJSON_HasObjectItem(request, "draws");
    script.draws_left = (uint32_t)field_number(request, "draws", 0);
    cJSON_AddNumberToObject(reply, "failed", script.failed);
    script.failed = 0;
    pthread_mutex_unlock(&script.lock);
    line_write(reply);
}

static void set_echo(const cJSON *request)
{
    pthread_mutex_lock(&endpoint.lock);
    endpoint.echo = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "on"));
    pthread_mutex_unlock(&endpoint.lock);
    reply_ok(request);
}

/* What the system knows, the runner reads from the system; this is what only the library counts. */
static void tell_counters(const cJSON *request)
{
    goipc_counters counters = {.refusals = 0};
    cJSON *reply = reply_new(request, true);

    if (endpoint.server != NULL) {
        goipc_server_counters(endpoint.server, &counters);
    }
    cJSON_AddNumberToObject(reply, "refusals", (double)counters.refusals);
    line_write(reply);
}

static void decode(const cJSON *request)
{
    codec_decode(request, &crypto);
}

static void encode(const cJSON *request)
{
    codec_encode(request, &crypto);
}

static void kdf(const cJSON *request)
{
    codec_kdf(request, &crypto);
}

static void answer(const cJSON *request)
{
    static const struct {
        const char *command;
        void (*answer)(const cJSON *request);
    } rows[] = {
        {"hello", hello},       {"serve", serve},       {"connect", connect_to_server},
        {"send", send_message}, {"echo", set_echo},     {"close", close_connection},
        {"seed", set_seed},     {"decode", decode},     {"encode", encode},
        {"kdf", kdf},           {"random", set_random}, {"stats", tell_counters},
    };
    const char *command = field_text(request, "cmd");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].command, command) == 0) {
            rows[i].answer(request);
            return;
        }
    }
    reply_unsupported(request, "unknown command");
}

static bool choose_crypto(int argc, char **argv)
{
    real_crypto = goipc_crypto_default();
    if (argc == 3 && strcmp(argv[1], "--crypto") == 0) {
        real_crypto = goipc_crypto_by_name(argv[2]);
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--crypto CURVE+CIPHER]\n", argv[0]);
        return false;
    }
    if (real_crypto == NULL) {
        fprintf(stderr, "adapter: crypto back end %s is not built in\n", argv[2]);
        return false;
    }
    crypto = *real_crypto;
    crypto.random = scripted_random;
    return true;
}

int main(int argc, char **argv)
{
    char *line;
    bool stop = false;

    if (!choose_crypto(argc, argv)) {
        return 2;
    }
    while (!stop && (line = line_read()) != NULL) {
        cJSON *request = cJSON_Parse(line);

        stop = strcmp(field_text(request, "cmd"), "stop") == 0;
        if (stop) {
            close_endpoint();
            reply_ok(request);
        } else if (cJSON_IsObject(request)) {
            answer(request);
        } else {
            fprintf(stderr, "adapter: not a JSON object: %s\n", line);
        }
        cJSON_Delete(request);
        free(line);
    }
    close_endpoint();
    return 0;
}
