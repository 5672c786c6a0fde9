/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include "keys.h"

#define FNV_START 2166136261u

_Noreturn void fuzz_violated(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: property violated: %s\n", file, line, condition);
    abort();
}

/* --- input ------------------------------------------------------------------------------------ */

uint8_t fuzz_take_u8(fuzz_bytes *bytes)
{
    size_t taken;
    const uint8_t *at = fuzz_take(bytes, 1, &taken);

    return taken == 1 ? *at : 0;
}

uint32_t fuzz_take_u32(fuzz_bytes *bytes)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        value = value << 8 | fuzz_take_u8(bytes);
    }
    return value;
}

const uint8_t *fuzz_take(fuzz_bytes *bytes, size_t size, size_t *taken)
{
    const uint8_t *at = bytes->at;

    *taken = size < bytes->size ? size : bytes->size;
    if (*taken > 0) {
        bytes->at += *taken;
        bytes->size -= *taken;
    }
    return at;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void *allocate(void *context, size_t size)
{
    fuzz_memory *memory = context;

    FUZZ_REQUIRE(size > 0);
    memory->count++;
    if (memory->count == memory->fail_at) {
        return NULL;
    }
    memory->live += size;
    memory->live_max = memory->live_max < memory->live ? memory->live : memory->live_max;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    fuzz_memory *memory = context;

    FUZZ_REQUIRE(block != NULL && size <= memory->live);
    /* Whatever is given back must have been wiped. */
    FUZZ_REQUIRE(*(const uint8_t *)block == 0);
    FUZZ_REQUIRE(memcmp(block, (const uint8_t *)block + 1, size - 1) == 0);
    memory->live -= size;
    free(block);
}

void fuzz_memory_init(fuzz_memory *memory, size_t fail_at)
{
    *memory = (fuzz_memory){.allocator = {memory, allocate, release}, .fail_at = fail_at};
}

/* --- crypto ----------------------------------------------------------------------------------- */

static bool fails(fuzz_script *script)
{
    script->count++;
    return script->count == script->fail_at;
}

static goipc_error scripted_random(void *context, uint8_t *out, size_t size)
{
    fuzz_script *script = context;

    if (fails(script)) {
        memset(out, 0, size);
        return GOIPC_ERROR_RANDOM;
    }
    if (size != GOIPC_P384_PRIVATE_SIZE) {
        memset(out, script->nonce_fill, size);
    } else if (script->bad_draws > 0) {
        script->bad_draws--;
        memset(out, 0, size);
    } else {
        memcpy(out, script->private_key, size);
    }
    return GOIPC_ERROR_OK;
}

static const struct {
    const uint8_t *private_key;
    const uint8_t *public_key;
} known_pairs[] = {
    {fuzz_server_private, fuzz_server_public},
    {fuzz_client_private, fuzz_client_public},
    {fuzz_zero_private, fuzz_zero_public},
};

static goipc_error scripted_public(void *context, const uint8_t private_key[48],
                                   uint8_t public_key[97])
{
    fuzz_script *script = context;

    if (fails(script)) {
        return GOIPC_ERROR_CRYPTO;
    }
    for (size_t i = 0; i < sizeof known_pairs / sizeof known_pairs[0]; i++) {
        if (memcmp(private_key, known_pairs[i].private_key, GOIPC_P384_PRIVATE_SIZE) == 0) {
            memcpy(public_key, known_pairs[i].public_key, GOIPC_P384_PUBLIC_SIZE);
            return GOIPC_ERROR_OK;
        }
    }
    return script->real->p384_public(script->real->context, private_key, public_key);
}

static const struct {
    const uint8_t *private_key;
    const uint8_t *peer_public_key;
    const uint8_t *shared_x;
} known_secrets[] = {
    {fuzz_server_private, fuzz_client_public, fuzz_shared_x},
    {fuzz_client_private, fuzz_server_public, fuzz_shared_x},
    {fuzz_server_private, fuzz_zero_public, fuzz_zero_shared_x},
    {fuzz_zero_private, fuzz_server_public, fuzz_zero_shared_x},
};

static goipc_error scripted_shared(void *context, const uint8_t private_key[48],
                                   const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    fuzz_script *script = context;

    if (fails(script)) {
        return GOIPC_ERROR_CRYPTO;
    }
    for (size_t i = 0; i < sizeof known_secrets / sizeof known_secrets[0]; i++) {
        if (memcmp(private_key, known_secrets[i].private_key, GOIPC_P384_PRIVATE_SIZE) == 0 &&
            memcmp(peer_public_key, known_secrets[i].peer_public_key, GOIPC_P384_PUBLIC_SIZE) ==
                0) {
            memcpy(shared_x, known_secrets[i].shared_x, GOIPC_P384_SHARED_SIZE);
            return GOIPC_ERROR_OK;
        }
    }
    return script->real->p384_shared(script->real->context, private_key, peer_public_key, shared_x);
}

static goipc_error scripted_sha256(void *context, const uint8_t *in, size_t in_size,
                                   uint8_t out[32])
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->sha256(script->real->context, in, in_size, out);
}

static goipc_error scripted_aead_new(void *context, const goipc_allocator *allocator,
                                     const uint8_t key[32], void **aead)
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->aead_new(script->real->context, allocator, key, aead);
}

static goipc_error scripted_aead_seal(void *context, void *aead, const uint8_t nonce[12],
                                      const uint8_t head[4], const uint8_t *data, size_t data_size,
                                      uint8_t *out, uint8_t tag[16])
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->aead_seal(script->real->context, aead, nonce, head, data,
                                                   data_size, out, tag);
}

static goipc_error scripted_aead_open(void *context, void *aead, const uint8_t nonce[12],
                                      const uint8_t *in, size_t in_size, const uint8_t tag[16],
                                      uint8_t *out)
{
    fuzz_script *script = context;

    return fails(script)
               ? GOIPC_ERROR_CRYPTO
               : script->real->aead_open(script->real->context, aead, nonce, in, in_size, tag, out);
}

static void scripted_aead_free(void *context, const goipc_allocator *allocator, void *aead)
{
    fuzz_script *script = context;

    script->real->aead_free(script->real->context, allocator, aead);
}

static goipc_error scripted_aead_start(void *context, void *aead, const uint8_t nonce[12],
                                       bool opens)
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->aead_start(script->real->context, aead, nonce, opens);
}

static goipc_error scripted_aead_update(void *context, void *aead, const uint8_t *in,
                                        size_t in_size, uint8_t *out)
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->aead_update(script->real->context, aead, in, in_size, out);
}

static goipc_error scripted_aead_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->aead_finish_seal(script->real->context, aead, tag);
}

static goipc_error scripted_aead_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    fuzz_script *script = context;

    return fails(script) ? GOIPC_ERROR_CRYPTO
                         : script->real->aead_finish_open(script->real->context, aead, tag);
}

void fuzz_script_init(fuzz_script *script, const goipc_crypto *real, const uint8_t *private_key,
                      uint8_t nonce_fill)
{
    *script = (fuzz_script){
        .table =
            {
                .name = "scripted",
                .context = script,
                .random = scripted_random,
                .p384_public = scripted_public,
                .p384_shared = scripted_shared,
                .sha256 = scripted_sha256,
                .aead_new = scripted_aead_new,
                .aead_seal = scripted_aead_seal,
                .aead_open = scripted_aead_open,
                .aead_free = scripted_aead_free,
                .aead_start = scripted_aead_start,
                .aead_update = scripted_aead_update,
                .aead_finish_seal = scripted_aead_finish_seal,
                .aead_finish_open = scripted_aead_finish_open,
            },
        .real = real,
        .private_key = private_key,
        .nonce_fill = nonce_fill,
    };
}

/* --- a session -------------------------------------------------------------------------------- */

static goipc_encryption encryption_of(uint8_t flags, goipc_role role)
{
    if (role == GOIPC_ROLE_SERVER) {
        return flags & FUZZ_FLAG_PLAIN ? GOIPC_ENCRYPTION_OFF : GOIPC_ENCRYPTION_REQUIRE;
    }
    if (flags & FUZZ_FLAG_OPTIONAL) {
        return flags & FUZZ_FLAG_PLAIN ? GOIPC_ENCRYPTION_OFF : GOIPC_ENCRYPTION_OPTIONAL;
    }
    /* A client that takes what comes lets the same input be plain or sealed. */
    return flags & FUZZ_FLAG_PLAIN ? GOIPC_ENCRYPTION_OPTIONAL : GOIPC_ENCRYPTION_REQUIRE;
}

void fuzz_setup_read(fuzz_setup *setup, fuzz_bytes *bytes, goipc_role role)
{
    const uint8_t flags = fuzz_take_u8(bytes);
    const size_t memory_fail_at = fuzz_take_u8(bytes);
    const size_t crypto_fail_at = fuzz_take_u8(bytes);
    const bool faults = (flags & FUZZ_FLAG_FAULTS) != 0;
    const uint8_t *client_key = flags & FUZZ_FLAG_ZERO_X ? fuzz_zero_private : fuzz_client_private;

    setup->flags = flags;
    setup->chunk = fuzz_take_u8(bytes);
    setup->chunk = setup->chunk == 0 ? SIZE_MAX : setup->chunk;
    fuzz_memory_init(&setup->memory, faults ? memory_fail_at : 0);
    fuzz_script_init(&setup->script,
                     flags & FUZZ_FLAG_TOMCRYPT ? goipc_crypto_tomcrypt() : goipc_crypto_default(),
                     role == GOIPC_ROLE_SERVER ? fuzz_server_private : client_key,
                     role == GOIPC_ROLE_SERVER ? FUZZ_SERVER_FILL : FUZZ_CLIENT_FILL);
    setup->script.fail_at = faults ? crypto_fail_at : 0;
    setup->script.bad_draws = flags & FUZZ_FLAG_BAD_DRAW ? (faults ? 64 : 2) : 0;
    setup->config = (goipc_session_config){
        .role = role,
        .encryption = encryption_of(flags, role),
        .message_size_max = flags & FUZZ_FLAG_SMALL ? FUZZ_SMALL_MAX : 0,
        .queue_size_max = flags & FUZZ_FLAG_TINY_QUEUE ? FUZZ_TINY_QUEUE_MAX : 0,
        .crypto = &setup->script.table,
        .allocator = &setup->memory.allocator,
    };
}

static bool has_faults(const fuzz_setup *setup)
{
    return setup->memory.fail_at != 0 || setup->script.fail_at != 0;
}

goipc_session *fuzz_setup_session(fuzz_setup *setup)
{
    goipc_session *session;
    goipc_error error = goipc_session_new(&setup->config, &session);

    if (error != GOIPC_ERROR_OK) {
        FUZZ_REQUIRE(has_faults(setup) && session == NULL);
        FUZZ_REQUIRE(goipc_error_classify(error) == GOIPC_ERROR_CLASS_SYSTEM);
        fuzz_setup_end(setup, NULL);
    }
    return session;
}

void fuzz_setup_end(fuzz_setup *setup, goipc_session *session)
{
    goipc_session_free(session);
    FUZZ_REQUIRE(setup->memory.live == 0);
}

void fuzz_digest(uint32_t *digest, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++) {
        *digest = (*digest ^ at[i]) * 16777619u;
    }
}

void fuzz_trace_init(fuzz_trace *trace)
{
    *trace = (fuzz_trace){.events = FNV_START, .output = FNV_START};
}

goipc_error fuzz_feed(goipc_session *session, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        uint8_t *in;
        size_t room;
        goipc_error error = goipc_session_input(session, &in, &room);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        FUZZ_REQUIRE(in != NULL && room > 0);
        room = room < size ? room : size;
        memcpy(in, bytes, room);
        error = goipc_session_input_commit(session, room);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        bytes += room;
        size -= room;
    }
    return GOIPC_ERROR_OK;
}

/* One piece of input, or its end. */
static goipc_error feed_piece(goipc_session *session, fuzz_bytes *bytes, size_t chunk)
{
    uint8_t *in;
    size_t room, taken;
    const uint8_t *from;
    goipc_error error;

    if (bytes->size == 0) {
        return goipc_session_input_end(session);
    }
    error = goipc_session_input(session, &in, &room);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    FUZZ_REQUIRE(in != NULL && room > 0);
    from = fuzz_take(bytes, room < chunk ? room : chunk, &taken);
    memcpy(in, from, taken);
    return goipc_session_input_commit(session, taken);
}

static void take_output(goipc_session *session, fuzz_trace *trace)
{
    const uint8_t *out;
    size_t size;

    goipc_session_output(session, &out, &size);
    FUZZ_REQUIRE(size == goipci_session_output_size(session));
    fuzz_digest(&trace->output, out, size);
    goipc_session_output_consume(session, size);
}

static void check_event(const fuzz_setup *setup, goipc_session *session, const goipc_event *event,
                        fuzz_trace *trace)
{
    const uint32_t size_max =
        setup->flags & FUZZ_FLAG_SMALL ? FUZZ_SMALL_MAX : GOIPC_MESSAGE_SIZE_DEFAULT;

    switch (event->type) {
    case GOIPC_EVENT_CONNECTED:
        FUZZ_REQUIRE(!trace->connected);
        trace->connected = true;
        if (setup->config.encryption == GOIPC_ENCRYPTION_REQUIRE) {
            FUZZ_REQUIRE(goipc_session_is_encrypted(session));
        }
        if (setup->config.encryption == GOIPC_ENCRYPTION_OFF) {
            FUZZ_REQUIRE(!goipc_session_is_encrypted(session));
        }
        break;
    case GOIPC_EVENT_MESSAGE:
        FUZZ_REQUIRE(trace->connected && event->message_type != 0 && event->data != NULL);
        FUZZ_REQUIRE(event->data_size <= size_max);
        trace->message_count++;
        break;
    case GOIPC_EVENT_CONTROL:
        FUZZ_REQUIRE(trace->connected && event->message_type == 0);
        break;
    case GOIPC_EVENT_CLOSED:
        FUZZ_REQUIRE(trace->connected);
        break;
    case GOIPC_EVENT_NEED_INPUT:
        FUZZ_REQUIRE(!goipci_session_has_event(session));
        return;
    }
    trace->event_count++;
    fuzz_digest(&trace->events, (const uint8_t[]){(uint8_t)event->type}, 1);
    fuzz_digest(&trace->events, &event->message_type, sizeof event->message_type);
    fuzz_digest(&trace->events, event->data, event->data_size);
}

/* What an error leaves: it comes again, nothing more goes in or comes out. */
static void check_sticky(const fuzz_setup *setup, goipc_session *session, goipc_error error)
{
    const goipc_error_class blame = goipc_error_classify(error);
    goipc_event event;
    uint8_t *in;
    size_t room;

    FUZZ_REQUIRE(blame == GOIPC_ERROR_CLASS_PEER ||
                 (blame == GOIPC_ERROR_CLASS_SYSTEM && has_faults(setup)) ||
                 (error == GOIPC_ERROR_RANDOM && setup->script.bad_draws == 0 &&
                  (setup->flags & FUZZ_FLAG_BAD_DRAW) != 0));
    FUZZ_REQUIRE(goipc_session_error(session) == error);
    FUZZ_REQUIRE(goipc_session_next_event(session, &event) == error);
    FUZZ_REQUIRE(event.type == GOIPC_EVENT_NEED_INPUT && event.data == NULL);
    FUZZ_REQUIRE(goipc_session_input(session, &in, &room) == error);
    FUZZ_REQUIRE(goipc_session_input_commit(session, 0) == error);
    FUZZ_REQUIRE(goipc_session_input_end(session) == error);
    FUZZ_REQUIRE(goipci_session_has_event(session));
}

void fuzz_run(const fuzz_setup *setup, goipc_session *session, fuzz_bytes bytes, size_t chunk,
              fuzz_trace *trace)
{
    const size_t input_size = bytes.size;
    /* Every event but the first three kinds consumes input; a NEED_INPUT is followed by a piece. */
    size_t turns_left = 2 * input_size + 16;
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    bool out_of_memory = false;

    while (trace->error == GOIPC_ERROR_OK && event.type != GOIPC_EVENT_CLOSED) {
        FUZZ_REQUIRE(turns_left-- > 0);
        FUZZ_REQUIRE(goipci_buffer_valid(&session->in) && goipci_buffer_valid(&session->out));
        trace->error = goipc_session_next_event(session, &event);
        take_output(session, trace);
        if (trace->error == GOIPC_ERROR_OK) {
            check_event(setup, session, &event, trace);
        }
        if (trace->error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT) {
            trace->error = feed_piece(session, &bytes, chunk);
            if (trace->error == GOIPC_ERROR_MEMORY) {
                /* Of input, this is no end: the session is as it was, and the next try succeeds. */
                FUZZ_REQUIRE(setup->memory.fail_at != 0 && !out_of_memory);
                out_of_memory = true;
                trace->error = GOIPC_ERROR_OK;
                turns_left++;
            }
            FUZZ_REQUIRE(trace->error == GOIPC_ERROR_OK);
        }
    }
    if (trace->error != GOIPC_ERROR_OK) {
        check_sticky(setup, session, trace->error);
    }
}
