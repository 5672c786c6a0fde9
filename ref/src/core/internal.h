/* SPDX-License-Identifier: MIT */
/* What the files of the core share, and what endpoints need of it beside goipc.h: goipci_ names, in
 * the order of the files. Never installed. */
#ifndef GOIPC_INTERNAL_H
#define GOIPC_INTERNAL_H

#include "goipc.h"

#include <assert.h>

/* Lets the compiler check formats; which family of them, it chooses itself on Windows. */
#if defined(__MINGW32__)
#define GOIPCI_PRINTF(format_at, first_at) __attribute__((format(gnu_printf, format_at, first_at)))
#elif defined(__GNUC__)
#define GOIPCI_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define GOIPCI_PRINTF(format_at, first_at)
#endif

/* --- configurations (error.c) ---------------------------------------------------------------- */

/* Whether all slots of a `reserved` field are zero, as goipc.h demands. */
bool goipci_is_unused(const uintptr_t *reserved, size_t count);
#define GOIPCI_IS_UNUSED(config)                                                                   \
    goipci_is_unused((config)->reserved, sizeof(config)->reserved / sizeof(config)->reserved[0])

/* --- allocator (buffer.c) ------------------------------------------------------------------- */

/* malloc and free; what NULL in a configuration means. */
const goipc_allocator *goipci_allocator_or_default(const goipc_allocator *allocator);
void *goipci_allocate_zeroed(const goipc_allocator *allocator, size_t size);
/* Wipes, then releases; NULL is allowed. */
void goipci_release(const goipc_allocator *allocator, void *memory, size_t size);

/* --- buffer.c: capped growable bytes with two cursors ---------------------------------------- */

/* Invariant (goipci_buffer_valid): read_at <= write_at <= capacity <= capacity_max.
 * bytes[read_at .. write_at) wait to be consumed. */
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
/* These two are asked several times for each message. */
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
/* Makes room for `size` bytes behind write_at, moving what waits to the front or growing by
 * doubling; at most to capacity_max. Pointers into the buffer are invalid afterwards.
 * Errors: CAPACITY (beyond capacity_max), MEMORY; the contents stay. */
GOIPC_MUST_USE goipc_error goipci_buffer_reserve(goipci_buffer *buffer, size_t size);
/* Where to write, and how many bytes there are room for. */
uint8_t *goipci_buffer_room(goipci_buffer *buffer, size_t *capacity);
void goipci_buffer_commit(goipci_buffer *buffer, size_t size);
/* Reserves and copies. Errors: CAPACITY, MEMORY. */
GOIPC_MUST_USE goipc_error goipci_buffer_append(goipci_buffer *buffer, const uint8_t *bytes,
                                                size_t size);
void goipci_buffer_consume(goipci_buffer *buffer, size_t size);
/* Releases the memory of an empty buffer that has grown beyond `capacity_kept`. */
void goipci_buffer_shrink(goipci_buffer *buffer, size_t capacity_kept);

/* --- system.h's contract is apart: randomness, clock, locks ----------------------------------- */

/* --- crypto.c: what is the same for every back end -------------------------------------------- */

/* Constant-time in the bytes, not in the size. */
bool goipci_equal(const uint8_t *left, const uint8_t *right, size_t size);
/* Draws 48 bytes until they are a scalar in 1..n-1. Errors: RANDOM. */
GOIPC_MUST_USE goipc_error goipci_private_key_draw(const goipc_crypto *crypto,
                                                   uint8_t private_key[48]);
/* The table of a configuration. Without encryption nothing is computed, so that any table will do;
 * with it, NULL where FIPS is asked for and not there. */
const goipc_crypto *goipci_crypto_of(const goipc_crypto *configured, goipc_encryption encryption);
/* Draws a key pair; under FIPS, inside OpenSSL's provider. Errors: RANDOM, MEMORY, CRYPTO. */
GOIPC_MUST_USE goipc_error goipci_key_pair(const goipc_crypto *crypto, uint8_t private_key[48],
                                           uint8_t public_key[97]);

/* Our own nonces: 8 random bytes, whose top bit is our role (server 1), and a counter. They never
 * repeat, two such peers never collide, and a frame of ours that comes back is recognised in
 * O(1). */
typedef struct goipci_nonces {
    uint8_t prefix[8];
    uint32_t next; /* counter of the next nonce; UINT32_MAX: used up, after 2^32 - 1 messages */
} goipci_nonces;

GOIPC_MUST_USE goipc_error goipci_nonces_init(goipci_nonces *nonces, const goipc_crypto *crypto,
                                              goipc_role role);
/* Errors: MESSAGE_LIMIT. */
GOIPC_MUST_USE goipc_error goipci_nonces_next(goipci_nonces *nonces, uint8_t nonce[12]);
/* Whether `nonce` carries our prefix. The counter is not looked at: nobody else uses our prefix (a
 * random nonce hits it once in 2^64), and another thread may be advancing it. */
bool goipci_nonces_is_ours(const goipci_nonces *nonces, const uint8_t nonce[12]);

/* --- what endpoints need of handshake.c and session.c beside the public interface ------------- */

/* How many bytes the message of the handshake that is being received still lacks, or 0 once the
 * handshake is done: for after next_event gave NEED_INPUT. (handshake.c) */
size_t goipci_handshake_missing(const goipc_session *session);

/* What a handshake does before a curve operation, which costs as much as a thousand messages. */
typedef enum goipci_curve_policy {
    GOIPCI_CURVE_NOW,
    GOIPCI_CURVE_ONCE,  /* one now, the next later */
    GOIPCI_CURVE_LATER, /* NEED_INPUT, and waits_for_curve; no more input until it was allowed */
    GOIPCI_CURVE_NEVER, /* DISCONNECTED: the peer has gone */
} goipci_curve_policy;
/* From the next next_event on. (handshake.c) */
void goipci_handshake_set_curve_policy(goipc_session *session, goipci_curve_policy policy);
bool goipci_handshake_waits_for_curve(const goipc_session *session);
/* Whether there was such an operation at all. */
bool goipci_handshake_has_key_pair(const goipc_session *session);

/* From here on copying costs more than a second piece. */
enum { GOIPCI_LENT_SIZE_MIN = 16 * 1024 };
/* Whether a message of this size should be sent from the caller's memory instead of a copy. */
bool goipci_session_should_send_in_place(const goipc_session *session, size_t data_size);
/* Sends a message from its owner's memory: plain data are written from there, sealed ones (more
 * than 12 bytes, with a table that works in parts) are sealed from there part by part, as the parts
 * before them go out. The memory stays lent until has_lent says no. Errors as for
 * goipc_session_send; WOULD_BLOCK while output waits. */
GOIPC_MUST_USE goipc_error goipci_session_lend(goipc_session *session, uint32_t type,
                                               const void *data, size_t data_size);
bool goipci_session_has_lent(const goipc_session *session);
/* Takes what is still lent into the queue. While something is lent, goipc_session_send must not be
 * called. Errors: MEMORY, CRYPTO; then half a frame is out, and nothing can be sent any more. */
GOIPC_MUST_USE goipc_error goipci_session_copy_pending_write(goipc_session *session);
/* The output as two pieces, of which any may be empty: queued bytes, then lent ones. Both are empty
 * when all is out. Errors as for
 * copy_pending_write. */
GOIPC_MUST_USE goipc_error goipci_session_output_pieces(goipc_session *session,
                                                        const uint8_t *pieces[2], size_t sizes[2]);
/* Drops `size` bytes of these pieces, which were sent. */
void goipci_session_output_sent(goipc_session *session, size_t size);
/* Drops all output. */
void goipci_session_output_drop(goipc_session *session);
/* Whether output waits, queued or lent. */
bool goipci_session_has_output(const goipc_session *session);
/* Bytes that are queued. */
size_t goipci_session_output_size(const goipc_session *session);
/* Whether next_event could give something other than NEED_INPUT without more input. */
bool goipci_session_has_event(const goipc_session *session);
/* For a thread other than the application's reader that has to read on: moves the buffer with the
 * borrowed messages to `kept` and copies the unread input to a new buffer. Errors: MEMORY; then
 * nothing has changed. */
GOIPC_MUST_USE goipc_error goipci_session_detach_read_buffer(goipc_session *session,
                                                             goipci_buffer *kept);
/* Gives back memory that an idle session does not need. */
void goipci_session_trim(goipc_session *session);

#endif
