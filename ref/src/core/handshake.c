/* SPDX-License-Identifier: MIT */
/* The handshake: one table for both roles. A row is one message, with the function that sends it
 * and the function that receives it. Each message is queued complete, so that it leaves in one
 * write: golang-ipc reads each with a single read. Each message is accepted in any number of
 * pieces. */
#include "core/session.h"

#include <assert.h>
#include <string.h>

/* Values of HELLO's second byte and of HELLO_REPLY. */
enum { FLAG_PLAIN = 0, FLAG_ENCRYPTED = 1 };
enum { REPLY_OK = 0, REPLY_VERSION = 1, REPLY_ENCRYPTION = 2 };

enum {
    LIMIT_BODY_PLAIN = 4,
    LIMIT_BODY_SEALED = LIMIT_BODY_PLAIN + GOIPC_SEAL_OVERHEAD,
};

static goipc_error queue(goipc_session *session, const uint8_t *bytes, size_t size)
{
    return goipci_buffer_append(&session->out, bytes, size);
}

/* --- HELLO: version and encryption flag ------------------------------------------------------- */

/* req: HS-001 */
static goipc_error send_hello(goipc_session *session)
{
    const uint8_t hello[GOIPC_HELLO_SIZE] = {
        GOIPC_PROTOCOL_VERSION,
        session->encrypted ? FLAG_ENCRYPTED : FLAG_PLAIN,
    };

    return queue(session, hello, sizeof hello);
}

/* Whether a client with the option `wanted` accepts the server's encryption flag.
 * req: HS-012, HS-013, HS-014, HS-015 */
static bool flag_is_acceptable(goipc_encryption wanted, uint8_t flag)
{
    switch (wanted) { /* GCOVR_EXCL_BR_LINE: goipc_session_new refuses other values */
    case GOIPC_ENCRYPTION_REQUIRE:
        return flag == FLAG_ENCRYPTED;
    case GOIPC_ENCRYPTION_OPTIONAL:
        return flag == FLAG_ENCRYPTED || flag == FLAG_PLAIN;
    case GOIPC_ENCRYPTION_OFF:
        return flag == FLAG_PLAIN;
    }
    return false; /* GCOVR_EXCL_LINE: for compilers that do not know the enum is complete */
}

/* req: HS-020, ER-003 */
static goipc_error refuse(goipc_session *session, uint8_t reply, goipc_error reason)
{
    goipc_error error = queue(session, &reply, sizeof reply);

    return error != GOIPC_ERROR_OK ? error : reason;
}

/* req: HS-017, HS-018 */
static goipc_error receive_hello(goipc_session *session, uint8_t *in)
{
    /* Check the version first: in another version the second byte may mean something else. */
    if (in[0] != GOIPC_PROTOCOL_VERSION) {
        return refuse(session, REPLY_VERSION, GOIPC_ERROR_VERSION);
    }
    if (!flag_is_acceptable(session->encryption, in[1])) {
        return refuse(session, REPLY_ENCRYPTION, GOIPC_ERROR_ENCRYPTION);
    }
    session->encrypted = in[1] == FLAG_ENCRYPTED;
    return GOIPC_ERROR_OK;
}

/* --- HELLO_REPLY ------------------------------------------------------------------------------ */

/* req: HS-019 */
static goipc_error send_hello_reply(goipc_session *session)
{
    const uint8_t reply = REPLY_OK;

    return queue(session, &reply, sizeof reply);
}

/* req: HS-021, HS-022, HS-023 */
static goipc_error receive_hello_reply(goipc_session *session, uint8_t *in)
{
    (void)session; /* every receiver has the same signature */
    switch (in[0]) {
    case REPLY_OK:
        return GOIPC_ERROR_OK;
    case REPLY_VERSION:
        return GOIPC_ERROR_VERSION;
    case REPLY_ENCRYPTION:
        return GOIPC_ERROR_ENCRYPTION;
    default:
        return GOIPC_ERROR_REPLY;
    }
}

/* --- SERVER_KEY and CLIENT_KEY ---------------------------------------------------------------- */

/* Called before each curve operation. WOULD_BLOCK: not now; the handshake calls again later. */
static goipc_error check_curve_policy(goipc_session *session)
{
    if (session->curve_policy == GOIPCI_CURVE_NEVER) {
        return GOIPC_ERROR_DISCONNECTED;
    }
    if (session->curve_policy == GOIPCI_CURVE_LATER) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    if (session->curve_policy == GOIPCI_CURVE_ONCE) {
        session->curve_policy = GOIPCI_CURVE_LATER;
    }
    return GOIPC_ERROR_OK;
}

/* req: KD-001, KD-004 */
static goipc_error draw_key_pair(goipc_session *session)
{
    goipc_error error = check_curve_policy(session);

    if (error == GOIPC_ERROR_OK) {
        error = goipci_key_pair(session->crypto, session->private_key, session->public_key);
    }
    return error;
}

/* req: KD-011, KD-013, KD-014 */
static goipc_error derive_keys(goipc_session *session,
                               const uint8_t shared_x[GOIPC_P384_SHARED_SIZE])
{
    goipc_error error =
        goipc_crypto_derive_key(session->crypto, shared_x, GOIPC_KEY_FORM_MINIMAL, session->key);

    /* Ports that hash all 48 bytes derive another key exactly if X starts with a zero byte. */
    session->has_alternative = shared_x[0] == 0;
    if (error == GOIPC_ERROR_OK && session->has_alternative) {
        error = goipc_crypto_derive_key(session->crypto, shared_x, GOIPC_KEY_FORM_FIXED,
                                        session->alternative_key);
    }
    if (error == GOIPC_ERROR_OK) {
        error = goipci_nonces_init(&session->nonces, session->crypto, session->role);
    }
    return error;
}

/* req: KD-005, KD-017 */
static goipc_error agree(goipc_session *session,
                         const uint8_t peer_public_key[GOIPC_P384_PUBLIC_SIZE])
{
    uint8_t shared_x[GOIPC_P384_SHARED_SIZE];
    goipc_error error;

    /* A peer that returns our own public key does not know the private key. It could only reflect
     * our frames. */
    if (memcmp(peer_public_key, session->public_key, sizeof session->public_key) == 0) {
        return GOIPC_ERROR_PUBLIC_KEY;
    }
    error = check_curve_policy(session);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = session->crypto->p384_shared(session->crypto->context, session->private_key,
                                         peer_public_key, shared_x);
    if (error == GOIPC_ERROR_OK) {
        error = derive_keys(session, shared_x);
    }
    goipc_wipe(shared_x, sizeof shared_x);
    goipc_wipe(session->private_key, sizeof session->private_key);
    return error;
}

static goipc_error send_server_key(goipc_session *session)
{
    const goipc_error error = draw_key_pair(session);

    return error != GOIPC_ERROR_OK
               ? error
               : queue(session, session->public_key, sizeof session->public_key);
}

/* The server's key is checked before our key is queued: a bad key gets no answer. */
static goipc_error receive_server_key(goipc_session *session, uint8_t *in)
{
    return agree(session, in);
}

static goipc_error send_client_key(goipc_session *session)
{
    return queue(session, session->public_key, sizeof session->public_key);
}

static goipc_error receive_client_key(goipc_session *session, uint8_t *in)
{
    return agree(session, in);
}

/* --- LIMIT: the server's maximum message size ------------------------------------------------- */

/* req: HS-030, HS-031, LM-002 */
static goipc_error send_limit(goipc_session *session)
{
    uint8_t limit[GOIPC_FRAME_LENGTH_SIZE + LIMIT_BODY_PLAIN];

    if (session->encrypted) {
        return goipci_record_seal(session, session->message_size_max, NULL, 0);
    }
    goipc_wire_put_u32(limit, LIMIT_BODY_PLAIN);
    goipc_wire_put_u32(limit + GOIPC_FRAME_LENGTH_SIZE, session->message_size_max);
    return queue(session, limit, sizeof limit);
}

/* req: HS-033, LM-010 */
static goipc_error receive_limit(goipc_session *session, uint8_t *in)
{
    uint8_t *body = in + GOIPC_FRAME_LENGTH_SIZE;
    uint8_t *limit = body;
    uint32_t size_max;
    goipc_error error;

    if (session->encrypted) {
        error = goipci_record_open(session, body, LIMIT_BODY_SEALED);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        memcpy(session->limit_nonce, body, sizeof session->limit_nonce);
        session->has_limit_nonce = true;
        limit = body + GOIPC_NONCE_SIZE;
    }
    size_max = goipc_wire_get_u32(limit);
    session->send_size_max =
        size_max < GOIPC_MESSAGE_SIZE_CEILING ? size_max : GOIPC_MESSAGE_SIZE_CEILING;
    return GOIPC_ERROR_OK;
}

/* --- LIMIT_REPLY ------------------------------------------------------------------------------ */

/* req: HS-032, HS-035 */
static goipc_error send_limit_reply(goipc_session *session)
{
    return send_hello_reply(session);
}

/* req: HS-036 */
static goipc_error receive_limit_reply(goipc_session *session, uint8_t *in)
{
    /* golang-ipc ignores this byte, so its value has no meaning. */
    (void)session;
    (void)in;
    return GOIPC_ERROR_OK;
}

/* --- the table -------------------------------------------------------------------------------- */

typedef struct message_row {
    goipc_role writer;
    bool only_encrypted;
    size_t size_plain;
    size_t size_encrypted;
    goipc_error (*send)(goipc_session *session);
    goipc_error (*receive)(goipc_session *session, uint8_t *in);
    goipc_error (*prepare)(goipc_session *session); /* or NULL; at most one row of a role has it */
} message_row;

static const message_row rows[] = {
    [GOIPCI_STEP_HELLO] = {GOIPC_ROLE_SERVER, false, GOIPC_HELLO_SIZE, GOIPC_HELLO_SIZE, send_hello,
                           receive_hello, NULL},
    [GOIPCI_STEP_HELLO_REPLY] = {GOIPC_ROLE_CLIENT, false, GOIPC_REPLY_SIZE, GOIPC_REPLY_SIZE,
                                 send_hello_reply, receive_hello_reply, NULL},
    [GOIPCI_STEP_SERVER_KEY] = {GOIPC_ROLE_SERVER, true, 0, GOIPC_P384_PUBLIC_SIZE, send_server_key,
                                receive_server_key, draw_key_pair},
    [GOIPCI_STEP_CLIENT_KEY] = {GOIPC_ROLE_CLIENT, true, 0, GOIPC_P384_PUBLIC_SIZE, send_client_key,
                                receive_client_key, NULL},
    [GOIPCI_STEP_LIMIT] = {GOIPC_ROLE_SERVER, false, GOIPC_FRAME_LENGTH_SIZE + LIMIT_BODY_PLAIN,
                           GOIPC_FRAME_LENGTH_SIZE + LIMIT_BODY_SEALED, send_limit, receive_limit,
                           NULL},
    [GOIPCI_STEP_LIMIT_REPLY] = {GOIPC_ROLE_CLIENT, false, GOIPC_REPLY_SIZE, GOIPC_REPLY_SIZE,
                                 send_limit_reply, receive_limit_reply, NULL},
};

_Static_assert(sizeof rows / sizeof rows[0] == GOIPCI_STEP_FRAMES, "a row for every step");

/* LIMIT has a length prefix, which is checked as soon as it has arrived, as for any frame.
 * req: HS-034 */
static goipc_error check_limit_length(const goipc_session *session, const uint8_t *in,
                                      size_t in_size)
{
    const uint32_t body_size = session->encrypted ? LIMIT_BODY_SEALED : LIMIT_BODY_PLAIN;
    goipc_decode result;
    goipc_frame_header header;
    size_t needed;

    return goipc_wire_decode_header(in, in_size, body_size, body_size, &result, &needed, &header);
}

/* Generates the client's key pair once: as soon as our output is empty, while the server generates
 * its own, or else when SERVER_KEY has arrived. A failure is reported only when SERVER_KEY arrives,
 * so that results do not depend on timing. */
static void prepare(goipc_session *session, const message_row *row, bool need_input)
{
    const bool has_time = goipci_buffer_size(&session->out) == 0 && !session->input_ended;

    if (row->prepare != NULL && !session->key_pair_attempted && (has_time || !need_input)) {
        session->key_pair_attempted = true;
        session->key_pair_error = row->prepare(session);
    }
}

/* req: HS-002, HS-004 */
static goipc_error receive_row(goipc_session *session, const message_row *row, bool *need_input)
{
    const size_t size = session->encrypted ? row->size_encrypted : row->size_plain;
    const size_t in_size = goipci_buffer_size(&session->in);
    goipc_error error;

    if (session->step == GOIPCI_STEP_LIMIT) {
        error = check_limit_length(session, goipci_buffer_bytes(&session->in), in_size);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    *need_input = in_size < size;
    prepare(session, row, *need_input);
    if (*need_input) {
        return GOIPC_ERROR_OK;
    }
    if (session->key_pair_error != GOIPC_ERROR_OK) {
        return session->key_pair_error;
    }
    /* The buffer belongs to the session, so the message may be decrypted in place. */
    error = row->receive(session, session->in.bytes + session->in.read_at);
    if (error != GOIPC_ERROR_WOULD_BLOCK) {
        goipci_buffer_consume(&session->in, size);
    }
    return error;
}

/* req: HS-001, HS-003, HS-025, HS-028 */
goipc_error goipci_handshake_run(goipc_session *session, bool *need_input)
{
    assert(session != NULL && need_input != NULL);
    *need_input = false;
    session->waits_for_curve = false;
    while (session->step < GOIPCI_STEP_FRAMES) {
        const message_row *row = &rows[session->step];
        goipc_error error = GOIPC_ERROR_OK;

        if (row->only_encrypted && !session->encrypted) {
            session->step++;
            continue;
        }
        if (row->writer == session->role) {
            error = row->send(session);
        } else {
            error = receive_row(session, row, need_input);
        }
        if (error == GOIPC_ERROR_WOULD_BLOCK) {
            session->waits_for_curve = true;
            *need_input = true;
            return GOIPC_ERROR_OK;
        }
        if (error != GOIPC_ERROR_OK || *need_input) {
            return error;
        }
        session->step++;
    }
    return GOIPC_ERROR_OK;
}

size_t goipci_handshake_missing(const goipc_session *session)
{
    const message_row *row;

    if (session->step == GOIPCI_STEP_FRAMES) {
        return 0;
    }
    row = &rows[session->step];
    assert(row->writer != session->role && (session->encrypted || !row->only_encrypted));
    return (session->encrypted ? row->size_encrypted : row->size_plain) -
           goipci_buffer_size(&session->in);
}

void goipci_handshake_set_curve_policy(goipc_session *session, goipci_curve_policy policy)
{
    assert(session->role == GOIPC_ROLE_SERVER); /* a client never defers its curve operations */
    session->curve_policy = policy;
}

bool goipci_handshake_waits_for_curve(const goipc_session *session)
{
    return session->waits_for_curve;
}

bool goipci_handshake_has_key_pair(const goipc_session *session)
{
    return session->public_key[0] != 0;
}
