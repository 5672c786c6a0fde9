/* SPDX-License-Identifier: MIT */
/* The session's fields, shared by record.c, handshake.c and session.c. Each of these files calls
 * only the files named before it. No other file uses the fields. */
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
    /* Constant. */
    const goipc_crypto *crypto;
    const goipc_allocator *allocator;
    goipc_role role;
    goipc_encryption encryption;
    uint32_t message_size_max; /* of messages that we receive */
    uint32_t queue_size_max;

    /* Set by the handshake, constant after CONNECTED. */
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
    size_t held_size;  /* bytes at the front of `in` that the last event points to */
    size_t room_size;  /* bytes to offer to a read: doubles while reads fill it */
    size_t room_given; /* bytes that the last input call offered */
    void *aead_in;
    size_t opened_size; /* bytes decrypted, but not authenticated yet */
    goipc_error error;
    uint32_t opened_count;
    goipci_flag peer_uses_alternative; /* set here, read by the sending half */
    bool input_ended;
    bool key_settled; /* a received frame has shown which key form the peer uses */
    bool is_opening;  /* the frame at the front of `in` is being opened while it arrives */

    /* The sending half. */
    goipci_buffer out;
    goipci_nonces nonces;
    void *aead_out;
    const uint8_t
        *lent;        /* unsent rest of a message in the caller's memory; it is sent after `out`, */
    size_t lent_size; /* which then holds only the start of the same message */
    bool sends_alternative;
};

/* --- record.c: sealed frames ------------------------------------------------------------------ */

enum {
    GOIPCI_SEALED_PART_SIZE = 32 * 1024, /* small enough to be written while it is in the caches */
    /* Size of the first part of a frame that is sealed in parts. The type and the first data share
     * one AES block, so that all other parts are complete blocks. */
    GOIPCI_SEALED_START_SIZE =
        (int)(GOIPC_FRAME_LENGTH_SIZE + GOIPC_NONCE_SIZE) + (int)GOIPCI_AES_BLOCK_SIZE,
};

/* Queues a sealed frame. `head` is the type of a message, or the limit in LIMIT. */
GOIPC_MUST_USE goipc_error goipci_record_seal(goipc_session *session, uint32_t head,
                                              const uint8_t *data, size_t data_size);
/* Queues the start of a sealed frame. The rest of `data`, which has more than 12 bytes, is sealed
 * later from the caller's memory. */
GOIPC_MUST_USE goipc_error goipci_record_seal_start(goipc_session *session, uint32_t type,
                                                    const uint8_t *data, size_t data_size);
/* Seals and queues the next `size` bytes of that frame, and the tag after the last byte. */
GOIPC_MUST_USE goipc_error goipci_record_seal_part(goipc_session *session, size_t size);
/* Opens the body of a frame in place; the plaintext is where the ciphertext was. */
GOIPC_MUST_USE goipc_error goipci_record_open(goipc_session *session, uint8_t *body,
                                              size_t body_size);
/* Decrypts in place the first part of a large frame of which only `arrived_size` bytes are here.
 * Does nothing while the new bytes are too few to be worth a call. */
GOIPC_MUST_USE goipc_error goipci_record_open_part(goipc_session *session, uint8_t *body,
                                                   size_t arrived_size, size_t body_size);

/* --- handshake.c ------------------------------------------------------------------------------ */

/* Runs the handshake until it needs more input (*need_input is true) or is complete (step is
 * GOIPCI_STEP_FRAMES). Errors: those of next_event. */
GOIPC_MUST_USE goipc_error goipci_handshake_run(goipc_session *session, bool *need_input);

#endif
