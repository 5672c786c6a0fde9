/* SPDX-License-Identifier: MIT */
/* Declarations that the files of the core share, or that the endpoints use in addition to goipc.h,
 * in the order of the files. Never installed. */
#ifndef GOIPC_INTERNAL_H
#define GOIPC_INTERNAL_H

#include "goipc.h"

#include <assert.h>

/* Lets the compiler check printf formats. MinGW has two sets of them: this one is GNU's. */
#if defined(__MINGW32__)
#define GOIPCI_PRINTF(format_at, first_at) __attribute__((format(gnu_printf, format_at, first_at)))
#elif defined(__GNUC__)
#define GOIPCI_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define GOIPCI_PRINTF(format_at, first_at)
#endif

/* --- configurations (error.c) ---------------------------------------------------------------- */

/* Whether all elements of a `reserved` field are zero, as goipc.h requires. */
bool goipci_is_unused(const uintptr_t *reserved, size_t count);
#define GOIPCI_IS_UNUSED(config)                                                                   \
    goipci_is_unused((config)->reserved, sizeof(config)->reserved / sizeof(config)->reserved[0])

/* --- allocator (buffer.c) ------------------------------------------------------------------- */

/* Returns `allocator`, or the one of malloc and free for NULL. */
const goipc_allocator *goipci_allocator_or_default(const goipc_allocator *allocator);
void *goipci_allocate_zeroed(const goipc_allocator *allocator, size_t size);
/* Wipes, then releases; NULL is allowed. */
void goipci_release(const goipc_allocator *allocator, void *memory, size_t size);

/* --- buffer.c: capped growable bytes with two cursors ---------------------------------------- */

/* Invariant (goipci_buffer_valid): read_at <= write_at <= capacity <= capacity_max.
 * bytes[read_at .. write_at) are not consumed yet. */
typedef struct goipci_buffer {
    const goipc_allocator *allocator;
    uint8_t *bytes; /* NULL while capacity is 0 */
    size_t capacity;
    size_t capacity_max;
    size_t read_at;
    size_t write_at;
} goipci_buffer;

bool goipci_buffer_valid(const goipci_buffer *buffer);
void goipci_buffer_init(goipci_buffer *buffer, const goipc_allocator *allocator,
                        size_t capacity_max);
void goipci_buffer_wipe(goipci_buffer *buffer);
/* Inline: both are called several times for each message. */
static inline size_t goipci_buffer_size(const goipci_buffer *buffer)
{
    assert(goipci_buffer_valid(buffer));
    return buffer->write_at - buffer->read_at;
}
static inline const uint8_t *goipci_buffer_bytes(const goipci_buffer *buffer)
{
    assert(goipci_buffer_valid(buffer));
    return buffer->bytes == NULL ? NULL : buffer->bytes + buffer->read_at;
}
/* Ensures that `size` bytes fit after write_at: moves the contents to the front, or doubles the
 * capacity, to at most capacity_max. Pointers into the buffer are invalid afterwards.
 * Errors: CAPACITY (beyond capacity_max), MEMORY; then the contents are unchanged. */
GOIPC_MUST_USE goipc_error goipci_buffer_reserve(goipci_buffer *buffer, size_t size);
/* The free space after write_at and its size in bytes. */
uint8_t *goipci_buffer_room(goipci_buffer *buffer, size_t *capacity);
void goipci_buffer_commit(goipci_buffer *buffer, size_t size);
/* Reserves and copies. Errors: CAPACITY, MEMORY. */
GOIPC_MUST_USE goipc_error goipci_buffer_append(goipci_buffer *buffer, const uint8_t *bytes,
                                                size_t size);
void goipci_buffer_consume(goipci_buffer *buffer, size_t size);
/* Releases the memory of an empty buffer that has grown beyond `capacity_kept`. */
void goipci_buffer_shrink(goipci_buffer *buffer, size_t capacity_kept);

/* --- crypto.c: what is the same for every back end -------------------------------------------- */

/* Constant-time in the bytes, not in the size. */
bool goipci_equal(const uint8_t *left, const uint8_t *right, size_t size);
/* Generates a private key: reads 48 random bytes until they are a scalar in 1..n-1. Errors:
 * RANDOM. */
GOIPC_MUST_USE goipc_error goipci_private_key_draw(const goipc_crypto *crypto,
                                                   uint8_t private_key[48]);
/* The back end of a configuration. Without encryption none is called, so any is returned. With
 * encryption: NULL if FIPS is required but not available. */
const goipc_crypto *goipci_crypto_of(const goipc_crypto *configured, goipc_encryption encryption);
/* Generates a key pair; under FIPS, inside OpenSSL's provider. Errors: RANDOM, MEMORY, CRYPTO. */
GOIPC_MUST_USE goipc_error goipci_key_pair(const goipc_crypto *crypto, uint8_t private_key[48],
                                           uint8_t public_key[97]);

/* The nonces that we send: 8 random bytes, whose top bit is our role (server 1), and a counter.
 * They never repeat. Those of a server and a client never collide. A reflected frame is recognised
 * by its prefix. */
typedef struct goipci_nonces {
    uint8_t prefix[8];
    uint32_t next; /* counter of the next nonce; UINT32_MAX: used up, after 2^32 - 1 messages */
} goipci_nonces;

GOIPC_MUST_USE goipc_error goipci_nonces_init(goipci_nonces *nonces, const goipc_crypto *crypto,
                                              goipc_role role);
/* Errors: MESSAGE_LIMIT. */
GOIPC_MUST_USE goipc_error goipci_nonces_next(goipci_nonces *nonces, uint8_t nonce[12]);
/* Whether `nonce` has our prefix. The counter is not compared: another thread may be advancing it.
 * A peer's random nonce has our prefix with probability 2^-64. */
bool goipci_nonces_is_ours(const goipci_nonces *nonces, const uint8_t nonce[12]);

/* --- handshake.c and session.c: functions for endpoints only ---------------------------------- */

/* Bytes that the next handshake message still lacks, or 0 when the handshake is complete. Call it
 * only after next_event gave NEED_INPUT. (handshake.c) */
size_t goipci_handshake_missing(const goipc_session *session);

/* When a handshake may do a curve operation, which costs as much as a thousand messages. */
typedef enum goipci_curve_policy {
    GOIPCI_CURVE_NOW,
    GOIPCI_CURVE_ONCE,  /* one now; then LATER */
    GOIPCI_CURVE_LATER, /* later: NEED_INPUT with waits_for_curve; give no input until then */
    GOIPCI_CURVE_NEVER, /* the peer has disconnected: next_event gives DISCONNECTED */
} goipci_curve_policy;
/* Takes effect with the next call of next_event. (handshake.c) */
void goipci_handshake_set_curve_policy(goipc_session *session, goipci_curve_policy policy);
bool goipci_handshake_waits_for_curve(const goipc_session *session);
/* Whether the handshake has generated its key pair, the first curve operation. */
bool goipci_handshake_has_key_pair(const goipc_session *session);

/* From this size on copying costs more than a second buffer in each write. */
enum { GOIPCI_LENT_SIZE_MIN = 16 * 1024 };
/* Whether a message of this size should be sent from the caller's memory instead of a copy. */
bool goipci_session_should_send_in_place(const goipc_session *session, size_t data_size);
/* Sends a message from the caller's memory. Plain data are written from there. Sealed data (more
 * than 12 bytes, with a back end that works in parts) are sealed from there part by part, while the
 * output is sent. The memory must stay valid until has_lent is false. Errors as for
 * goipc_session_send; WOULD_BLOCK while there is unsent output. */
GOIPC_MUST_USE goipc_error goipci_session_lend(goipc_session *session, uint32_t type,
                                               const void *data, size_t data_size);
bool goipci_session_has_lent(const goipc_session *session);
/* Copies the unsent rest of a lent message to the queue. goipc_session_send must not be called
 * while has_lent is true. Errors: MEMORY, CRYPTO; then half a frame is queued, and nothing can be
 * sent any more. */
GOIPC_MUST_USE goipc_error goipci_session_copy_pending_write(goipc_session *session);
/* The output as two pieces: queued bytes, then lent bytes. Either may be empty; both are when all
 * output was sent. Errors as for copy_pending_write. */
GOIPC_MUST_USE goipc_error goipci_session_output_pieces(goipc_session *session,
                                                        const uint8_t *pieces[2], size_t sizes[2]);
/* Removes the first `size` bytes of these pieces, after they were sent. */
void goipci_session_output_sent(goipc_session *session, size_t size);
/* Drops all output. */
void goipci_session_output_drop(goipc_session *session);
/* Whether there is unsent output, queued or lent. */
bool goipci_session_has_output(const goipc_session *session);
/* The number of queued bytes. */
size_t goipci_session_output_size(const goipc_session *session);
/* Whether next_event could give something other than NEED_INPUT without more input. */
bool goipci_session_has_event(const goipc_session *session);
/* For a thread other than the application's reader that has to read on: moves the buffer with the
 * borrowed messages to `kept` and copies the unread input to a new buffer. Errors: MEMORY; then
 * nothing has changed. */
GOIPC_MUST_USE goipc_error goipci_session_detach_read_buffer(goipc_session *session,
                                                             goipci_buffer *kept);
/* Releases memory that an idle session does not need. */
void goipci_session_trim(goipc_session *session);

#endif
