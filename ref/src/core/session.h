/* SPDX-License-Identifier: MIT */
/* The session's memory, shared by record.c, handshake.c and session.c, each of which calls only
 * those before it. No other file looks inside. */
#ifndef GOIPC_SESSION_H
#define GOIPC_SESSION_H

#include "core/crypto_backend.h"
#include "core/internal.h"
#include "core/system.h"

/* The messages of the handshake in their order on the wire, then the frames. */
typedef enum goipci_step {
    GOIPCI_STEP_HELLO,
    GOIPCI_STEP_HELLO_REPLY,
    GOIPCI_STEP_SERVER_KEY,
    GOIPCI_STEP_CLIENT_KEY,
    GOIPCI_STEP_LIMIT,
    GOIPCI_STEP_LIMIT_REPLY,
    GOIPCI_STEP_FRAMES,
} goipci_step;

struct goipc_session {
    /* Fixed at birth. */
    const goipc_crypto *crypto;
    const goipc_allocator *allocator;
    goipc_role role;
    goipc_encryption encryption;
    uint32_t message_size_max; /* of what we receive */
    uint32_t queue_size_max;

    /* Settled by the handshake, constant once CONNECTED has been given. */
    goipci_step step;
    goipci_curve_policy curve_policy;
    bool waits_for_curve; /* an operation was deferred */
    bool key_pair_attempted;
    goipc_error key_pair_error; /* of generating it early; returned when SERVER_KEY arrives */
    bool encrypted;
    bool has_alternative; /* the shared X starts with a zero byte: two key forms are possible */
    bool has_limit_nonce; /* a client's, on a sealed connection */
    uint32_t send_size_max;
    uint8_t limit_nonce[GOIPC_NONCE_SIZE];        /* of LIMIT; a frame with it is LIMIT replayed */
    uint8_t private_key[GOIPC_P384_PRIVATE_SIZE]; /* wiped as soon as the key is derived */
    uint8_t public_key[GOIPC_P384_PUBLIC_SIZE];
    uint8_t key[GOIPC_KEY_SIZE];             /* the protocol's form */
    uint8_t alternative_key[GOIPC_KEY_SIZE]; /* the fixed form, while has_alternative */

    /* The receiving half. */
    goipci_buffer in;
    size_t held_size; /* bytes at the front of `in` that the last event lent out */
    size_t room_size; /* how much input to ask for: follows what arrives */
    size_t room_given;
    void *aead_in;
    size_t opened_size; /* how much of its ciphertext is plaintext already, not authenticated yet */
    goipc_error error;
    uint32_t opened_count;
    goipci_flag peer_uses_alternative; /* set here, looked at by the sending half */
    bool input_ended;
    bool key_settled; /* a received frame has shown which key form the peer uses */
    bool is_opening;  /* the frame at the front of `in` is being opened while it arrives */

    /* The sending half. */
    goipci_buffer out;
    goipci_nonces nonces;
    void *aead_out;
    const uint8_t *lent; /* the rest of a message that is sent from its owner's memory, and goes */
    size_t lent_size;    /* out behind `out`; what is in `out` then belongs to the same message */
    bool sends_alternative;
};

/* --- record.c: sealed frames ------------------------------------------------------------------ */

enum {
    GOIPCI_SEALED_PART_SIZE = 32 * 1024, /* sealed, then written, while it is in the caches */
    /* What a frame that is sealed in parts begins with: type and data share the first block, so
     * that the parts that follow are whole blocks, too. */
    GOIPCI_SEALED_START_SIZE =
        (int)(GOIPC_FRAME_LENGTH_SIZE + GOIPC_NONCE_SIZE) + (int)GOIPCI_AES_BLOCK_SIZE,
};

/* Queues a sealed frame. `head` is the type of a message, or the limit in LIMIT. */
GOIPC_MUST_USE goipc_error goipci_record_seal(goipc_session *session, uint32_t head,
                                              const uint8_t *data, size_t data_size);
/* Begins a sealed frame whose data, more than 12 bytes, are sealed from the caller's memory, and
 * queues its start. */
GOIPC_MUST_USE goipc_error goipci_record_seal_start(goipc_session *session, uint32_t type,
                                                    const uint8_t *data, size_t data_size);
/* Queues the next `size` bytes of that frame, sealed, and the tag behind the last of them. */
GOIPC_MUST_USE goipc_error goipci_record_seal_part(goipc_session *session, size_t size);
/* Opens the body of a frame in place; the plaintext is where the ciphertext was. */
GOIPC_MUST_USE goipc_error goipci_record_open(goipc_session *session, uint8_t *body,
                                              size_t body_size);
/* Opens in place what pays of a large frame of which `arrived_size` bytes, not all, have arrived.
 */
GOIPC_MUST_USE goipc_error goipci_record_open_part(goipc_session *session, uint8_t *body,
                                                   size_t arrived_size, size_t body_size);

/* --- handshake.c ------------------------------------------------------------------------------ */

/* Does what can be done of the handshake with the input that is there. *need_input says that it
 * waits for the peer; otherwise step is GOIPCI_STEP_FRAMES. Errors: those of next_event. */
GOIPC_MUST_USE goipc_error goipci_handshake_run(goipc_session *session, bool *need_input);

#endif
