/* SPDX-License-Identifier: MIT */
/*
 * goipc: the protocol of golang-ipc (version byte 2) in C.
 *
 * Two programs on one machine exchange typed messages over a Unix domain socket or a Windows named
 * pipe, encrypted unless both sides are told otherwise. spec/goipc.md is the protocol; this header
 * is the manual of the library. Sections, in layer order:
 *
 *   1 errors      2 constants    3 wire codec   4 crypto    5 allocator
 *   6 session (the engine without I/O)          7 log and counters    8 endpoints (server, client)
 *
 * CONVENTIONS, said once
 *
 * MUST       A caller that breaks a MUST of this header has undefined behaviour; debug builds
 *            assert.
 * Results    Functions that can fail return goipc_error and give everything else through pointers,
 *            which are written only on GOIPC_ERROR_OK unless the function says otherwise. The
 *            hundreds digit says whose fault it is: 1xx the caller (LOCAL), 2xx the peer (PEER),
 *            3xx the system (SYSTEM).
 * Units      `_size` and `capacity` are bytes, `_count` things, `_ms` milliseconds.
 * Time       A timeout of GOIPC_FOREVER waits without end; 0 never waits. In a configuration 0 is
 *            the documented default, GOIPC_FOREVER no limit, GOIPC_NO_WAIT not at all.
 * NULL       Pointers MUST NOT be NULL unless the function says so. `_free` and `_close` take NULL.
 *            Data of size 0 may be NULL.
 * Ownership  What a function creates, its `_free` or `_close` ends. Everything passed in is
 *            borrowed for the duration of the call, and copied where it is needed longer; crypto
 *            tables, allocators and log contexts MUST outlive every object that was given them.
 * Lifetime   Message data is borrowed: valid until the next read on the same endpoint or its
 *            _close, whatever is written meanwhile (of a session: until its next
 *            goipc_session_next_event or goipc_session_input).
 * Threads    A session: one thread at a time, except that after CONNECTED its receiving half
 *            (input, input_commit, input_end, next_event) and its sending half (send, output,
 *            output_consume) may be used by one thread each. An endpoint: one reading thread and
 *            any number of writing threads at once. `_stop` and `_interrupt` from any thread and
 *            from a signal handler, also during and after `_close`. `_close` frees the endpoint
 *            when all calls have returned, so no other call may start any more. The way to end:
 *            call `_stop`, join the threads that use the endpoint (their calls return CLOSED),
 *            then call `_close` once.
 * Fork       An endpoint or session belongs to the process that made it; sealing in a child would
 *            repeat nonces. Endpoints notice: in the child every call that reads, writes, flushes
 *            or disconnects fails with GOIPC_ERROR_FORKED and changes nothing for the parent,
 *            `_interrupt` and `_resume` do nothing, and `_close` frees the child's copy and tells
 *            nobody.
 * Zero       Every configuration may be zero-initialised: encrypted, 3 MiB messages, peers of the
 *            same user (or root) only. NULL for a configuration means the same.
 * Growth     Later versions with the same major number add functions, values of enums, and fields
 *            in place of `reserved`; sizes and offsets stay. So a program runs with every later
 *            library of its major version. It MUST leave `reserved` zero, and MUST ignore statuses
 *            and events that it does not know. A configuration whose `reserved` is not zero comes
 *            from a later header and is refused with ARGUMENT.
 *
 * PARAMETERS, said once
 *
 * server       What goipc_server_start made and goipc_server_close has not ended.
 * client       What goipc_client_start made and goipc_client_close has not ended; for functions of
 *              a server, the id of one of its clients.
 * session      What goipc_session_new made and goipc_session_free has not ended.
 * name         1 to 97 bytes (see goipc_server_start), ended by a NUL.
 * config       Copied as far as it is needed longer. NULL means every default.
 * timeout_ms   Milliseconds to wait at most; GOIPC_FOREVER without end, 0 not at all.
 * message      Written on OK. Its data is borrowed until the next read on the same endpoint.
 * messages     An array. Of a read: room for `capacity`, the first `count` are written, their data
 *              is borrowed until the next read on the same endpoint. Of a write: `count` to be
 *              written.
 * count        How many messages: written by a read, given to a write.
 * to           A client's id from a message, or GOIPC_CLIENT_ALL.
 * taken        How many were handed over, also on failure. Where the connection has ended (a PEER
 *              or SYSTEM error), what became of those is not known, as of any that were on their
 *              way.
 * type         1 to 2^32 - 1, the sender's own numbers.
 * data         `data_size` bytes, borrowed for the call; NULL is allowed where there are none.
 * data_size    Bytes of message data, without type and framing.
 * capacity     Room in bytes; of a batch read, in messages.
 * out          Where bytes are written to.
 * out_size     Bytes written.
 * in           Where bytes are read from, `in_size` of them.
 * in_size      Bytes at `in`.
 * user         Kept, never followed.
 * missed       Room for `capacity` ids; NULL is allowed with capacity 0.
 * missed_count Written on every return: how many clients did not get the message.
 * bytes        `size` bytes that are overwritten; NULL is allowed where there are none.
 * size         Bytes.
 * key          32 bytes of an AES-256 key.
 * nonce        12 bytes that were never used with this key.
 * crypto       A table of functions, borrowed for the call.
 * event        Written on every return; its data is borrowed as section 6 says.
 * counters     Written.
 * failure      Written; its text is a copy.
 * error        Any value.
 * status       Any value.
 */
#ifndef GOIPC_H
#define GOIPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one place that holds the version; CMake, pkg-config and the manual pages read it from
 * here. */
#define GOIPC_VERSION_MAJOR 1
#define GOIPC_VERSION_MINOR 0
#define GOIPC_VERSION_PATCH 0

#if defined(GOIPC_STATIC)
#define GOIPC_API
#elif defined(_WIN32) && defined(GOIPC_BUILDING)
#define GOIPC_API __declspec(dllexport)
#elif defined(_WIN32)
#define GOIPC_API __declspec(dllimport)
#elif defined(__GNUC__)
#define GOIPC_API __attribute__((visibility("default")))
#else
#define GOIPC_API
#endif

#if defined(__GNUC__)
#define GOIPC_MUST_USE __attribute__((warn_unused_result))
#else
#define GOIPC_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "1.0.0": the version of the library that is running, which may differ from the header's. */
GOIPC_API const char *goipc_version(void);

/* ------------------------------------------------------------------------------------------------
 * 1 Errors
 */

/* One list, so that enum, names, texts and tests cannot drift apart: X(NAME, value, text). */
#define GOIPC_ERROR_LIST(X)                                                                        \
    X(OK, 0, "ok")                                                                                 \
    X(ARGUMENT, 100, "argument or configuration value out of range")                               \
    X(NAME, 101, "endpoint name is empty, too long, or holds '/' or a NUL byte")                   \
    X(TYPE_RESERVED, 102, "message type 0 is reserved")                                            \
    X(MESSAGE_SIZE, 103, "message is larger than the peer accepts")                                \
    X(STATE, 104, "call is not allowed now")                                                       \
    X(CLOSED, 105, "endpoint is closed")                                                           \
    X(INTERRUPTED, 106, "interrupted; resume or close the endpoint")                               \
    X(TIMEOUT, 107, "deadline passed")                                                             \
    X(WOULD_BLOCK, 108, "would have to wait")                                                      \
    X(NOT_CONNECTED, 109, "no such client, or not connected")                                      \
    X(CRYPTO_UNAVAILABLE, 110, "crypto back end is not built in, or not allowed under FIPS")       \
    X(MESSAGE_LIMIT, 111, "2^32 - 1 messages are sealed under this key; reconnect")                \
    X(FORKED, 112, "endpoint belongs to another process; open one after fork")                     \
    X(CAPACITY, 113, "output capacity is too small")                                               \
    X(QUEUE_FULL, 114, "queue for this peer is full")                                              \
    X(VERSION, 200, "peer speaks another protocol version")                                        \
    X(ENCRYPTION, 201, "peer's encryption setting does not match ours")                            \
    X(REPLY, 202, "peer refused the handshake with an unknown reply")                              \
    X(PUBLIC_KEY, 203, "peer's public key is not a valid P-384 point, or is our own")              \
    X(DECRYPT, 204, "frame does not authenticate")                                                 \
    X(FRAME_SIZE, 205, "frame length out of bounds")                                               \
    X(TRUNCATED, 206, "peer closed inside a message")                                              \
    X(REFLECTED, 207, "peer sent one of our own frames back")                                      \
    X(DISCONNECTED, 208, "peer closed the connection")                                             \
    X(HANDSHAKE_TIMEOUT, 209, "peer did not finish the handshake in time")                         \
    X(CREDENTIALS, 210, "peer runs as a user that is not allowed")                                 \
    X(MESSAGE_COUNT, 211, "peer sealed more than 2^32 - 1 messages under one key")                 \
    X(MEMORY, 300, "out of memory")                                                                \
    X(RANDOM, 301, "the system's random source failed")                                            \
    X(SYSTEM, 302, "a system call failed")                                                         \
    X(ADDRESS_IN_USE, 303, "a live server already listens at this name")                           \
    X(NOT_FOUND, 304, "no server listens at this name")                                            \
    X(PERMISSION, 305, "permission denied")                                                        \
    X(PATH_BLOCKED, 306, "something that is not our stale socket is in the way")                   \
    X(RESOURCES, 307, "out of file descriptors or another system resource")                        \
    X(CRYPTO, 308, "the crypto back end failed")                                                   \
    X(NAME_LOST, 309, "the server's name was removed or replaced")

/* What went wrong; GOIPC_ERROR_OK when nothing did. */
typedef enum goipc_error {
#define GOIPC_ERROR_ENUM(name, value, text) GOIPC_ERROR_##name = value,
    GOIPC_ERROR_LIST(GOIPC_ERROR_ENUM)
#undef GOIPC_ERROR_ENUM
} goipc_error;

/* Whose fault an error is. */
typedef enum goipc_error_class {
    GOIPC_ERROR_CLASS_OK = 0,    /* no error */
    GOIPC_ERROR_CLASS_LOCAL = 1, /* the caller's slip; the object is as it was */
    GOIPC_ERROR_CLASS_PEER = 2,  /* the peer broke the protocol or went away; the connection ends */
    GOIPC_ERROR_CLASS_SYSTEM = 3, /* memory, randomness or a system call */
} goipc_error_class;

/* "FRAME_SIZE": a static string, also for values not in the list. */
GOIPC_API const char *goipc_error_name(goipc_error error);
/* "frame length out of bounds": a static string, also for values not in the list. */
GOIPC_API const char *goipc_error_text(goipc_error error);
/* Whose fault it is, by the hundreds digit; SYSTEM for values not in the list. */
GOIPC_API goipc_error_class goipc_error_classify(goipc_error error);

/* ------------------------------------------------------------------------------------------------
 * 2 Constants
 */

#define GOIPC_PROTOCOL_VERSION 2u           /* the first byte of HELLO */
#define GOIPC_MESSAGE_SIZE_DEFAULT 3145728u /* 3 MiB of data, golang-ipc's default */
#define GOIPC_MESSAGE_SIZE_FLOOR 1024u      /* a configured maximum below this means the default */
#define GOIPC_MESSAGE_SIZE_CEILING 4294967263u /* 2^32 - 1 less the 32 bytes that sealing adds */
#define GOIPC_HELLO_SIZE 2u                    /* version, encryption flag */
#define GOIPC_REPLY_SIZE 1u                    /* of both replies */
#define GOIPC_FRAME_LENGTH_SIZE 4u             /* the length prefix */
#define GOIPC_FRAME_TYPE_SIZE 4u               /* the message type */
#define GOIPC_NONCE_SIZE 12u                   /* before sealed bytes */
#define GOIPC_TAG_SIZE 16u                     /* behind sealed bytes */
#define GOIPC_SEAL_OVERHEAD 28u                /* nonce and tag */
#define GOIPC_KEY_SIZE 32u                     /* AES-256 */
#define GOIPC_SHA256_SIZE 32u                  /* a digest */
#define GOIPC_P384_PRIVATE_SIZE 48u            /* a scalar, big-endian */
#define GOIPC_P384_PUBLIC_SIZE 97u             /* 04, X, Y */
#define GOIPC_P384_SHARED_SIZE 48u             /* X of the shared point, padded */

#define GOIPC_FOREVER (-1) /* a timeout: without end */
#define GOIPC_NO_WAIT (-2) /* a timeout in a configuration: not at all */

/* Which side of a connection. */
typedef enum goipc_role {
    GOIPC_ROLE_SERVER = 0, /* listens, and speaks first */
    GOIPC_ROLE_CLIENT = 1, /* dials */
} goipc_role;

/* golang-ipc's numbers. */
typedef enum goipc_status {
    GOIPC_STATUS_NOT_CONNECTED = 0, /* a client that has not dialled yet */
    GOIPC_STATUS_LISTENING = 1,     /* a server without clients */
    GOIPC_STATUS_CONNECTING = 2,    /* a client, for the first time */
    GOIPC_STATUS_CONNECTED = 3,     /* messages may flow */
    GOIPC_STATUS_RECONNECTING = 4,  /* a client that has lost its server */
    GOIPC_STATUS_CLOSED = 5,        /* this side has closed */
    GOIPC_STATUS_CLOSING = 6,       /* golang-ipc's only */
    GOIPC_STATUS_ERROR = 7,         /* a client that has failed for good */
    GOIPC_STATUS_TIMEOUT = 8,       /* a client whose timeout_ms is over */
    GOIPC_STATUS_DISCONNECTED = 9,  /* the other side has gone */
} goipc_status;

/* golang-ipc's texts ("Connected", "Reconnecting", ...; "Status not found" for other values):
 * static strings. */
GOIPC_API const char *goipc_status_text(goipc_status status);

/* What this side wants; the value 0 is the safe one. */
typedef enum goipc_encryption {
    GOIPC_ENCRYPTION_REQUIRE = 0, /* server: encrypts; client: refuses a server that does not */
    GOIPC_ENCRYPTION_OPTIONAL =
        1,                    /* client only: follows the server, as golang-ipc's `false` does */
    GOIPC_ENCRYPTION_OFF = 2, /* server: plain; client: refuses a server that encrypts */
} goipc_encryption;

/* ------------------------------------------------------------------------------------------------
 * 3 Wire codec: pure functions, no state, no allocation
 */

/* Section 5. */
typedef struct goipc_allocator goipc_allocator;

/* Writes `value` big-endian. */
GOIPC_API void goipc_wire_put_u32(uint8_t out[4], uint32_t value);
/* Reads four bytes at `in` as a big-endian number. */
GOIPC_API uint32_t goipc_wire_get_u32(const uint8_t in[4]);

/* Bytes that a message of `data_size` takes on the wire, length prefix included, `encrypted` or
 * not, to `frame_size`.
 * Errors: MESSAGE_SIZE (data_size above GOIPC_MESSAGE_SIZE_CEILING). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_wire_frame_size(bool encrypted, size_t data_size,
                                                           size_t *frame_size);

/* Writes one plain frame. `out` and `data` MUST NOT overlap.
 * Errors: TYPE_RESERVED (type 0), MESSAGE_SIZE (data_size above GOIPC_MESSAGE_SIZE_CEILING),
 * CAPACITY (the frame does not fit). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_wire_encode_plain(uint32_t type, const void *data,
                                                             size_t data_size, uint8_t *out,
                                                             size_t capacity, size_t *out_size);

/* How much of a frame is there. */
typedef enum goipc_decode {
    GOIPC_DECODE_MORE = 0, /* `needed` bytes in all are needed to go on */
    GOIPC_DECODE_DONE = 1, /* the whole frame is there: `needed` bytes */
} goipc_decode;

/* What is known of a frame from its first four bytes. */
typedef struct goipc_frame_header {
    uint32_t body_size; /* what the length prefix says: bytes that follow it */
} goipc_frame_header;

/* Judges the length prefix of a frame as soon as its four bytes are there, before anything is
 * buffered or allocated for the body, which is to have from `body_size_min` to `body_size_max`
 * bytes. Too few bytes is no error: `result` is MORE, and `needed` says how many bytes are needed
 * in all. `header` is written once the prefix is known.
 * Errors: FRAME_SIZE (outside these bounds). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_wire_decode_header(const uint8_t *in, size_t in_size,
                                                              uint32_t body_size_min,
                                                              uint32_t body_size_max,
                                                              goipc_decode *result, size_t *needed,
                                                              goipc_frame_header *header);

/* ------------------------------------------------------------------------------------------------
 * 4 Crypto
 *
 * A table of functions is the whole seam. libtomcrypt is always there; OpenSSL 3, nettle and IPSec
 * MB (Intel's Multi-Buffer Crypto for IPsec, x86-64 only, AES-256-GCM only) where they were found
 * at build time and this processor can run them. The curve (with SHA-256 and randomness) and the
 * cipher are chosen apart. A caller may bring its own table (or wrap one, to script `random` in a
 * test). Zero stripping, nonces, counting and limits are the core's, never the table's. Every
 * function MUST be safe to call from several threads on different aead objects.
 */
/* A back end. The first argument of every function is `context`. */
typedef struct goipc_crypto {
    const char *name; /* such as "openssl" or "nettle+ipsec-mb" */
    void *context;    /* first argument of every function below */

    /* Fills `out` from the system's random source. It MUST fail (RANDOM) rather than give less. */
    goipc_error (*random)(void *context, uint8_t *out, size_t size);

    /* The public key of a scalar. Errors: ARGUMENT (0, or not below the order), MEMORY, CRYPTO. */
    goipc_error (*p384_public)(void *context, const uint8_t private_key[48],
                               uint8_t public_key[97]);

    /* X of the shared point, padded to 48 bytes. MUST refuse with PUBLIC_KEY every point that is
     * not 04, X < p, Y < p, on the curve. Errors: PUBLIC_KEY, ARGUMENT (scalar), MEMORY, CRYPTO. */
    goipc_error (*p384_shared)(void *context, const uint8_t private_key[48],
                               const uint8_t peer_public_key[97], uint8_t shared_x[48]);

    /* `in` may be NULL when in_size is 0. Errors: MEMORY, CRYPTO. */
    goipc_error (*sha256)(void *context, const uint8_t *in, size_t in_size, uint8_t out[32]);

    /* A keyed AES-256-GCM object for one direction, used by one thread at a time; aead_free ends
     * it. Errors: MEMORY, CRYPTO. */
    goipc_error (*aead_new)(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                            void **aead);

    /* Seals head (4 bytes) followed by data into out (4 + data_size bytes) and tag, without
     * associated data. `out + 4 == data` is allowed, any other overlap is not. Errors: CRYPTO. */
    goipc_error (*aead_seal)(void *context, void *aead, const uint8_t nonce[12],
                             const uint8_t head[4], const uint8_t *data, size_t data_size,
                             uint8_t *out, uint8_t tag[16]);

    /* Opens in into out (in_size bytes; `in == out` is allowed). On DECRYPT out holds zeros.
     * Errors: DECRYPT, CRYPTO. */
    goipc_error (*aead_open)(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                             size_t in_size, const uint8_t tag[16], uint8_t *out);

    /* Wipes and releases; NULL is allowed. */
    void (*aead_free)(void *context, const goipc_allocator *allocator, void *aead);

    /* The same in parts, so that a large message can be on its way while it is being sealed or
     * opened. All four, or NULL: then every message is sealed and opened as a whole. One message at
     * a time per object; aead_start, aead_seal and aead_open forget one that was not finished. */

    /* Begins a message: its type, then its data. Errors: CRYPTO. */
    goipc_error (*aead_start)(void *context, void *aead, const uint8_t nonce[12], bool opens);
    /* The next part (`in == out` is allowed): a multiple of 16 bytes, or the last one. What was
     * opened MUST NOT be used before aead_finish_open has said OK. Errors: CRYPTO. */
    goipc_error (*aead_update)(void *context, void *aead, const uint8_t *in, size_t in_size,
                               uint8_t *out);
    /* Ends a message and gives its tag. Errors: CRYPTO. */
    goipc_error (*aead_finish_seal)(void *context, void *aead, uint8_t tag[16]);
    /* Ends a message. On DECRYPT the caller wipes what the updates gave. Errors: DECRYPT,
     * CRYPTO. */
    goipc_error (*aead_finish_open)(void *context, void *aead, const uint8_t tag[16]);
    void (*reserved[8])(void); /* NULL */
} goipc_crypto;

/* The static table of libtomcrypt. NULL where the library was built without it. This and the next
 * three set up all back ends once, from any number of threads: see SECURITY.md for what that
 * changes in libtommath and GMP. */
GOIPC_API const goipc_crypto *goipc_crypto_tomcrypt(void);
/* The static table of OpenSSL. NULL where the library was built without it, or where the OpenSSL
 * that is running lacks an algorithm. */
GOIPC_API const goipc_crypto *goipc_crypto_openssl(void);
/* What NULL in a configuration means, decided once: the curve of nettle, else OpenSSL, else
 * libtomcrypt; the cipher of IPSec MB, else OpenSSL, else nettle, else libtomcrypt. Its `name` says
 * which. Where OpenSSL's configuration asks for FIPS (default_properties = fips=yes), only what its
 * FIPS provider computes, "openssl-fips", and NULL without that provider: encrypted endpoints and
 * sessions then fail with CRYPTO_UNAVAILABLE. */
GOIPC_API const goipc_crypto *goipc_crypto_default(void);

/* By its name: CURVE+CIPHER, or one name where both are of the same library. CURVE is "nettle",
 * "openssl" or "tomcrypt", CIPHER is one of these or "ipsec-mb". "openssl-fips" asks for FIPS. NULL
 * for a library that is not built in, that this processor cannot run, or that FIPS does not
 * allow. */
GOIPC_API const goipc_crypto *goipc_crypto_by_name(const char *name);

/* Known answers for every function of the table: call it once at start-up where policy asks for it.
 * Errors: CRYPTO (an answer is wrong, or the back end failed), PUBLIC_KEY (a valid key was
 * refused), DECRYPT (a valid frame was refused), ARGUMENT (a valid scalar was refused), MEMORY,
 * RANDOM. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_self_test(const goipc_crypto *crypto);

/* Overwrites with zeros in a way that no compiler removes. */
GOIPC_API void goipc_wipe(void *bytes, size_t size);

/* Two ways to hash the shared X are in the field: golang-ipc strips leading zero bytes, some ports
 * hash all 48. They differ for one connection in 256. */
typedef enum goipc_key_form {
    GOIPC_KEY_FORM_MINIMAL = 0, /* the protocol */
    GOIPC_KEY_FORM_FIXED = 1,   /* Node-type ports */
} goipc_key_form;

/* SHA-256 over `shared_x` (48 bytes, big-endian) in the given `form`, to `key`.
 * Errors: MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_derive_key(const goipc_crypto *crypto,
                                                             const uint8_t shared_x[48],
                                                             goipc_key_form form, uint8_t key[32]);

/* One sealed frame with a given key and nonce, for codecs, vectors and tools. Sessions do not use
 * these: they keep keyed objects and never repeat a nonce, which here is the caller's duty.
 * seal: `out` and `data` MUST NOT overlap. Type 0 is allowed (it must be possible to test for it).
 * Errors: MESSAGE_SIZE (data_size above GOIPC_MESSAGE_SIZE_CEILING), CAPACITY (the frame does not
 * fit), MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_seal_frame(
    const goipc_crypto *crypto, const uint8_t key[32], const uint8_t nonce[12], uint32_t type,
    const void *data, size_t data_size, uint8_t *out, size_t capacity, size_t *out_size);

/* open: opens the `body` of a frame (what follows its length, `body_size` bytes) in place; `data`
 * points into it afterwards, `type` and `data_size` are written.
 * Errors: FRAME_SIZE (fewer than 32 bytes), DECRYPT, MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_open_frame(const goipc_crypto *crypto,
                                                             const uint8_t key[32], uint8_t *body,
                                                             size_t body_size, uint32_t *type,
                                                             const uint8_t **data,
                                                             size_t *data_size);

/* ------------------------------------------------------------------------------------------------
 * 5 Allocator
 */

/* Where memory comes from. Both functions may be called from several threads at once. */
struct goipc_allocator {
    void *context; /* first argument of both */
    /* Suitably aligned memory, or NULL. size is never 0. */
    void *(*allocate)(void *context, size_t size);
    /* size is what was asked for; NULL never comes. */
    void (*release)(void *context, void *memory, size_t size);
};

/* ------------------------------------------------------------------------------------------------
 * 6 Session: one connection's protocol engine, without I/O
 *
 * The owner moves bytes and asks what they meant:
 *
 *     for (;;) {
 *         goipc_session_next_event(session, &event);     an error: flush output once, then close
 *         goipc_session_output(session, &out, &size);    write them, then output_consume
 *         NEED_INPUT: goipc_session_input, read into it, goipc_session_input_commit
 *         CONNECTED:  goipc_session_send is allowed from now on
 *         MESSAGE:    a whole, authenticated message
 *         CLOSED:     input_end came between two frames: the peer closed in order
 *     }
 *
 * An owner that asks again once its output is written, before it waits for input, lets a client
 * draw its key pair while the server draws its own. Who does not is served as well, later.
 *
 * A PEER or SYSTEM error of next_event is sticky: it comes again for ever, no input is accepted and
 * nothing is delivered. Output queued before it (a handshake reply) is still to be written. A LOCAL
 * error, and MEMORY from input or send, leaves the session as it was.
 */
/* The engine of one connection. */
typedef struct goipc_session goipc_session;

/* What a session is told. */
typedef struct goipc_session_config {
    goipc_role role;             /* which side it is */
    goipc_encryption encryption; /* a server cannot have OPTIONAL */
    uint32_t message_size_max;   /* bytes of data we accept; below 1024: the default, 3 MiB */
    uint32_t queue_size_max;     /* bytes of output held before send says WOULD_BLOCK; 0: 4 MiB */
    const goipc_crypto *crypto;  /* NULL: goipc_crypto_default() */
    const goipc_allocator *allocator; /* NULL: malloc and free */
    uintptr_t reserved[8];            /* 0 */
} goipc_session_config;

/* What goipc_session_next_event found. */
typedef enum goipc_event_type {
    GOIPC_EVENT_NEED_INPUT = 0, /* nothing, until more input is committed */
    GOIPC_EVENT_CONNECTED = 1,  /* once, before any message */
    GOIPC_EVENT_MESSAGE = 2,    /* a whole message; sealed ones have been authenticated */
    GOIPC_EVENT_CONTROL = 3,    /* a frame of type 0 was discarded */
    GOIPC_EVENT_CLOSED = 4,     /* the peer closed between two frames */
} goipc_event_type;

/* One of them. */
typedef struct goipc_event {
    goipc_event_type type; /* says which of the others are written */
    uint32_t message_type; /* MESSAGE: 1 to 2^32 - 1 */
    const uint8_t *data;   /* MESSAGE: borrowed until the next next_event or input; never NULL */
    size_t data_size;      /* MESSAGE: bytes at data */
    uintptr_t reserved[4]; /* 0 */
} goipc_event;

/* The server's HELLO is queued at once. config may be NULL (a server with every default).
 * Errors: ARGUMENT (unknown enum value, a server with OPTIONAL, a maximum above
 * GOIPC_MESSAGE_SIZE_CEILING, or on a 32-bit system above a fourth of the address space),
 * MEMORY, CRYPTO_UNAVAILABLE (`crypto` is NULL and there is no default). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_new(const goipc_session_config *config,
                                                       goipc_session **session);
/* Ends a session, wipes its keys, frees; NULL is allowed. What it lent is invalid afterwards. */
GOIPC_API void goipc_session_free(goipc_session *session);

/* Room for at least one byte, owned by the session, from `in` on; valid until the next call on its
 * receiving half. `capacity` is written: the room grows with what arrives, never with what a length
 * prefix claims.
 * Errors: the sticky one, STATE (after input_end), CAPACITY (next_event was not called until
 * NEED_INPUT), MEMORY. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_input(goipc_session *session, uint8_t **in,
                                                         size_t *capacity);
/* `size` bytes of that room are filled; MUST NOT exceed the capacity given.
 * Errors: the sticky one. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_input_commit(goipc_session *session,
                                                                size_t size);
/* The peer will send no more. next_event delivers what is whole, then CLOSED, or TRUNCATED in the
 * middle of a frame, or DISCONNECTED before the handshake is complete.
 * Errors: the sticky one. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_input_end(goipc_session *session);

/* The next thing that the input means. Its errors are sticky.
 * Errors: VERSION, ENCRYPTION, REPLY, PUBLIC_KEY, DECRYPT, FRAME_SIZE, TRUNCATED (the input ended
 * inside a frame), REFLECTED, MESSAGE_COUNT, DISCONNECTED (the input ended before the handshake was
 * complete), MEMORY, RANDOM, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_next_event(goipc_session *session,
                                                              goipc_event *event);

/* Queues one message whole, or not at all. An empty queue takes any allowed message.
 * Errors: TYPE_RESERVED, MESSAGE_SIZE (the peer's announced maximum for a client, our own for a
 * server), STATE (before CONNECTED), WOULD_BLOCK (queue full: write output first), MESSAGE_LIMIT,
 * MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_send(goipc_session *session, uint32_t type,
                                                        const void *data, size_t data_size);

/* Bytes to be written: `size` of them from `out` on, both written by this call, owned by the
 * session and valid until the next call on its sending half. */
GOIPC_API void goipc_session_output(goipc_session *session, const uint8_t **out, size_t *size);
/* `size` of them are written; MUST NOT exceed what output gave. */
GOIPC_API void goipc_session_output_consume(goipc_session *session, size_t size);

/* The sticky error of the receiving half, or OK. */
GOIPC_API goipc_error goipc_session_error(const goipc_session *session);
/* Valid after CONNECTED: whether frames are sealed. */
GOIPC_API bool goipc_session_is_encrypted(const goipc_session *session);
/* Valid after CONNECTED: the most bytes of data that one outgoing message holds. */
GOIPC_API uint32_t goipc_session_send_size_max(const goipc_session *session);

/* ------------------------------------------------------------------------------------------------
 * 7 Log and counters
 */

/* How bad it is. */
typedef enum goipc_log_level {
    GOIPC_LOG_ERROR = 0,   /* the endpoint cannot go on */
    GOIPC_LOG_WARNING = 1, /* a peer was refused or failed; the endpoint goes on */
    GOIPC_LOG_INFO = 2,    /* connected, disconnected, retrying */
} goipc_log_level;

/* Called from the thread that is inside an endpoint call, without locks that the endpoint's other
 * functions need, except that it MUST NOT call back into the endpoint. text is one line without a
 * newline, valid during the call; it never holds message data or key material. */
typedef void (*goipc_log)(void *context, goipc_log_level level, const char *text);

/* Totals since start. Sizes are those of message data. */
typedef struct goipc_counters {
    uint64_t messages_in;  /* given to the application */
    uint64_t messages_out; /* taken from it; what is corked counts when it is flushed or lost */
    uint64_t bytes_in;     /* of data, likewise */
    uint64_t bytes_out;    /* of data, likewise */
    uint64_t connects;     /* handshakes completed */
    uint64_t refusals;     /* peers turned away: no room, credentials, failed or late handshake */
    uint64_t failures;     /* established connections that ended with an error */
    uint64_t reserved[9];  /* 0 */
} goipc_counters;

/* Why something failed, in words for a person: what, the name or path, why, what to do. */
typedef struct goipc_failure {
    goipc_error error;     /* what a function returned for it */
    int system_error;      /* errno or GetLastError(), 0 where no system call was involved */
    char text[512];        /* one line, ended by a NUL */
    uintptr_t reserved[4]; /* 0 */
} goipc_failure;

/* ------------------------------------------------------------------------------------------------
 * 8 Endpoints
 *
 * StartServer, StartClient, Read, Write, Status, StatusCode and Close of golang-ipc are
 * goipc_server_start, goipc_client_start, _read, _write, goipc_status_text(_status), _status and
 * _close. No thread of the library's own: everything moves inside calls, most of it inside _read,
 * which accepts and dials, does handshakes, retries, and sends what is queued.
 */

/* One name that is listened at, with all its clients. */
typedef struct goipc_server goipc_server;
/* One connection to a server, made again when it is lost. */
typedef struct goipc_client goipc_client;

/* Names one client of one server: never 0, never used twice by the same server. */
typedef uint64_t goipc_client_id;
#define GOIPC_CLIENT_ALL ((goipc_client_id)0) /* whom to write to: every client */

#define GOIPC_MESSAGE_STATUS (-1) /* golang-ipc's MsgType of a status change */

/* What a read gives: a message, or a change of status. */
typedef struct goipc_message {
    int64_t type;        /* 1 to 2^32 - 1: data. GOIPC_MESSAGE_STATUS: status says what changed */
    const uint8_t *data; /* borrowed until the next read on this endpoint; never NULL */
    size_t data_size;    /* bytes at data; 0 for a status change */
    goipc_status status; /* data: CONNECTED */
    goipc_error error;   /* DISCONNECTED status: why (DISCONNECTED for an orderly close), else OK */
    goipc_client_id client; /* on a server: whose message or status; 0 on a client */
    void *user;             /* on a server: by goipc_server_set_user for this client, or NULL */
    uintptr_t reserved[2];  /* 0 */
} goipc_message;

/* One message of a batch to be written. */
typedef struct goipc_outgoing {
    uint32_t type;    /* 1 to 2^32 - 1 */
    const void *data; /* borrowed for the call; NULL is allowed where data_size is 0 */
    size_t data_size; /* bytes at data */
} goipc_outgoing;

/* Whom an endpoint talks to, judged from the kernel's word before the first byte. */
typedef enum goipc_peers {
    GOIPC_PEERS_DEFAULT = 0, /* SAME_USER; for a server with unmask_permissions, ANY */
    GOIPC_PEERS_SAME_USER =
        1,                /* our effective user, or root (Windows: our user or an administrator) */
    GOIPC_PEERS_ANY = 2,  /* everybody whom the permissions let in */
    GOIPC_PEERS_LIST = 3, /* SAME_USER and the users listed */
} goipc_peers;

/* What both kinds of endpoint are told. */
typedef struct goipc_options {
    goipc_encryption encryption; /* REQUIRE unless told otherwise */
    uint32_t
        message_size_max; /* most data of one message we accept; below 1024: the default, 3 MiB */
    uint32_t queue_size_max; /* bytes queued per connection before a write has to wait; 0: 4 MiB */
    int32_t handshake_timeout_ms; /* 0: 10,000 */
    int32_t write_timeout_ms;     /* how long a write waits for room; 0: 10,000 */
    int32_t close_timeout_ms;     /* how long _close goes on sending what is queued; 0: 1,000 */
    int32_t spin_us;              /* microseconds, at most 1,000,000, that a read looks again and
                                     again before it sleeps, which spares both sides a sleep where
                                     answers come sooner; where they mostly do not, it is seldom
                                     tried. 0: 20, or none where this process has one processor;
                                     GOIPC_NO_WAIT: none */
    const char *directory;        /* of the socket; NULL: "/tmp", as golang-ipc. Not on Windows */
    bool abstract;                /* Linux: an abstract socket "goipc/NAME", no file at all */
    goipc_peers peers;            /* whom to talk to */
    const uint32_t *peer_users;   /* LIST: user ids, copied (not on Windows) */
    size_t peer_user_count;       /* how many */
    const goipc_crypto *crypto;   /* NULL: goipc_crypto_default() */
    const goipc_allocator *allocator; /* NULL: malloc and free */
    goipc_log log;                    /* NULL: none */
    void *log_context;                /* first argument of log */
    goipc_failure *failure;           /* NULL, or written when _start fails */
    uintptr_t reserved[16];           /* 0 */
} goipc_options;

/* What a server's write does when the queue of a client (queue_size_max) has no room. */
typedef enum goipc_full_policy {
    GOIPC_FULL_DEFAULT =
        0, /* WAIT with clients_max 1 or a write_timeout_ms of its own, else REPORT */
    GOIPC_FULL_REPORT = 1,     /* returns QUEUE_FULL at once; the client misses this message */
    GOIPC_FULL_DISCONNECT = 2, /* the same, and disconnects the client with QUEUE_FULL */
    GOIPC_FULL_WAIT =
        3, /* waits for write_timeout_ms: a client that does not read delays the rest */
} goipc_full_policy;

/* What a server is told. */
typedef struct goipc_server_config {
    goipc_options options;   /* what both kinds of endpoint are told */
    uint32_t clients_max;    /* served at once; 0: 1, as golang-ipc. More are closed at once */
    bool unmask_permissions; /* every user may connect (0777): golang-ipc's UnmaskPermissions */
    uint32_t socket_mode;    /* permission bits; 0: 0600, or 0777 with unmask_permissions */
    goipc_full_policy full_policy; /* when the queue of a client is full */
    bool rebind_name; /* binds again, a second later, when its name was removed: not while another
                         server or file stands there */
    uintptr_t reserved[8]; /* 0 */
} goipc_server_config;

/* What a client is told. */
typedef struct goipc_client_config {
    goipc_options options; /* what both kinds of endpoint are told */
    int32_t timeout_ms;    /* total time for connecting, and for each reconnecting; 0: no limit */
    int32_t
        retry_interval_ms; /* longest pause between two attempts; 0: 1,000. The first retry comes
                                  within 2 ms, then pauses double, with jitter, up to this */
    bool reconnect_off;    /* end with DISCONNECTED when the connection is lost */
    uintptr_t reserved[8]; /* 0 */
} goipc_client_config;

/* --- server --- */

/* Binds NAME (1 to 97 bytes on Linux with the default directory; no '/', no NUL) and listens. A
 * stale socket of our own is replaced; anything else in the way is left alone and named in
 * failure.text. goipc_server_close ends what it makes.
 * Errors: ARGUMENT (of the configuration), NAME, MEMORY, ADDRESS_IN_USE, PATH_BLOCKED, PERMISSION,
 * NOT_FOUND (no such directory), RESOURCES, SYSTEM, CRYPTO_UNAVAILABLE (`crypto` is NULL and there
 * is no default). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_start(const char *name,
                                                        const goipc_server_config *config,
                                                        goipc_server **server);

/* The next message or status change of any client, in the order each client sent it; clients take
 * turns, and go before handshakes: however many peers connect, a message waits for one step of one
 * handshake, one or two milliseconds. A client that fails or leaves costs one status message and
 * nothing else. A status of client 0 is about the server: ERROR with error NAME_LOST, once, when its
 * name was removed or replaced (checked every second), and LISTENING when it is bound again. A read
 * that repeats a permanent error pauses up to 100 ms, so that a loop that ignores errors does not
 * spin.
 * Errors: ARGUMENT (timeout_ms below GOIPC_FOREVER), WOULD_BLOCK (timeout 0), TIMEOUT, INTERRUPTED,
 * CLOSED, STATE (another thread is reading), FORKED, RESOURCES, SYSTEM. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_read(goipc_server *server, int32_t timeout_ms,
                                                       goipc_message *message);
/* The same for up to `capacity` (at least 1) messages at once, without waiting for more than the
 * first. All their data is borrowed until the next read.
 * Errors: those of goipc_server_read, ARGUMENT (timeout_ms below GOIPC_FOREVER, or capacity 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_read_batch(goipc_server *server,
                                                             int32_t timeout_ms,
                                                             goipc_message *messages,
                                                             size_t capacity, size_t *count);

/* What a write of a server or a client returns, and what that means for the message:
 *
 *   OK                       taken: sent, or queued. Later calls and _close send what is queued.
 *                            To know that the system has it all, call _flush before the process
 *                            ends: what is queued then is lost.
 *   QUEUE_FULL, WOULD_BLOCK, not taken, no part of it was sent; the connection goes on.
 *   TIMEOUT, INTERRUPTED, any other LOCAL error
 *   PEER and SYSTEM errors   not taken; the connection has ended, and messages that were still
 *                            queued are lost with it. The DISCONNECTED status reports it.
 *
 * Nothing is sent twice. */

/* Writes one message to a client, or to all with GOIPC_CLIENT_ALL. If the queue of a client has no
 * room, full_policy decides. With GOIPC_CLIENT_ALL every client that can take the message gets it;
 * the first error of the others is returned; OK if no client is connected.
 * Errors: TYPE_RESERVED, MESSAGE_SIZE, NOT_CONNECTED, QUEUE_FULL, TIMEOUT, WOULD_BLOCK
 * (write_timeout_ms is GOIPC_NO_WAIT), INTERRUPTED, CLOSED, MESSAGE_LIMIT, FORKED, MEMORY, CRYPTO,
 * SYSTEM, the PEER error that ended the connection. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write(goipc_server *server, goipc_client_id to,
                                                        uint32_t type, const void *data,
                                                        size_t data_size);
/* Many messages in as few system calls as possible, in order. `taken` says how many were handed
 * over, also on failure.
 * Errors: those of goipc_server_write. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write_batch(goipc_server *server,
                                                              goipc_client_id to,
                                                              const goipc_outgoing *messages,
                                                              size_t count, size_t *taken);
/* As goipc_server_write_batch, but waits up to timeout_ms for room, whatever the policy.
 * Errors: those of goipc_server_write, ARGUMENT (timeout_ms below GOIPC_FOREVER), WOULD_BLOCK
 * (timeout 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write_within(goipc_server *server,
                                                               goipc_client_id to,
                                                               const goipc_outgoing *messages,
                                                               size_t count, int32_t timeout_ms,
                                                               size_t *taken);
/* Writes one message to all clients and says which of them did not get it: their ids go to
 * `missed`, at most `capacity` of them, their number to `missed_count`, also on failure.
 * Returns the first error of the clients that missed it. Errors: those of goipc_server_write. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write_each(goipc_server *server, uint32_t type,
                                                             const void *data, size_t data_size,
                                                             goipc_client_id *missed,
                                                             size_t capacity, size_t *missed_count);
/* Bytes queued for a client that the system has not taken; 0 if there is no such client. */
GOIPC_API size_t goipc_server_queued(goipc_server *server, goipc_client_id client);
/* Keeps a pointer of the application for a client. It comes back in `user` of every later message
 * of this client, the last one being its DISCONNECTED status. The library never follows it.
 * Errors: NOT_CONNECTED (no such client), CLOSED, FORKED. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_set_user(goipc_server *server,
                                                           goipc_client_id client, void *user);
/* From cork to flush writes only gather, up to queue_size_max. */
GOIPC_API void goipc_server_cork(goipc_server *server);
/* Ends the cork, sends all that is queued for any client, and waits up to timeout_ms for it. What
 * is not out by then stays queued.
 * Errors: ARGUMENT (timeout_ms below GOIPC_FOREVER), TIMEOUT, WOULD_BLOCK (timeout 0), INTERRUPTED,
 * CLOSED, FORKED, MEMORY, CRYPTO, SYSTEM. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_flush(goipc_server *server, int32_t timeout_ms);

/* Ends one client's connection after sending what is queued for it, within close_timeout_ms, while
 * reads go on. Its DISCONNECTED status comes from a read, with error CLOSED.
 * Errors: NOT_CONNECTED (no such client), CLOSED, FORKED. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_disconnect(goipc_server *server,
                                                             goipc_client_id client);

/* Who a peer is, by the kernel's word; -1 where the system does not tell. */
typedef struct goipc_credentials {
    int64_t user;          /* effective user id when it connected */
    int64_t group;         /* effective group id, likewise */
    int64_t process;       /* process id, which may be another's by now */
    uintptr_t reserved[4]; /* 0 */
} goipc_credentials;
/* Who a client is, to `credentials`. Errors: NOT_CONNECTED (no such client). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_credentials(goipc_server *server,
                                                              goipc_client_id client,
                                                              goipc_credentials *credentials);

/* LISTENING without clients, CONNECTED with at least one, CLOSED after goipc_server_stop. */
GOIPC_API goipc_status goipc_server_status(goipc_server *server);
/* Clients that are connected now. */
GOIPC_API size_t goipc_server_client_count(goipc_server *server);
/* Totals since start. */
GOIPC_API void goipc_server_counters(goipc_server *server, goipc_counters *counters);
/* The last error that a call on this server returned or a client met, in words; OK and an empty
 * text if there was none. */
GOIPC_API void goipc_server_failure(goipc_server *server, goipc_failure *failure);
/* errno (GetLastError() on Windows) of the last failure: goipc_server_failure in short. */
GOIPC_API int goipc_server_system_error(goipc_server *server);

/* For event loops: a descriptor that polls readable when goipc_server_read would make progress; -1
 * on Windows and where there is none. The server's own: never read from it or close it. Read with
 * timeout 0 until WOULD_BLOCK before waiting for it. */
GOIPC_API intptr_t goipc_server_poll_fd(goipc_server *server);
/* How many milliseconds to wait for that descriptor at most; GOIPC_FOREVER: no timer runs, 0: there
 * is work left, since a read with timeout 0 does one step of one handshake at most. For the thread
 * that reads. */
GOIPC_API int32_t goipc_server_poll_timeout_ms(goipc_server *server);

/* Ends all work with this server, from any thread or a signal handler: calls that wait, and every
 * later call that reads, writes, flushes or disconnects, return CLOSED. What is queued is sent by
 * goipc_server_close, which follows once the threads that use the server have ended. NULL and a
 * server that was closed are ignored. */
GOIPC_API void goipc_server_stop(goipc_server *server);
/* Makes every call that waits on this endpoint, and every read, return INTERRUPTED, now and from
 * now on, until resume. Async-signal-safe; a server that was closed is ignored. */
GOIPC_API void goipc_server_interrupt(goipc_server *server);
/* Ends the interrupt. */
GOIPC_API void goipc_server_resume(goipc_server *server);

/* Stops listening, sends what is queued for at most close_timeout_ms, drains and closes every
 * connection, unlinks the socket if it is still ours, frees; NULL is allowed. */
GOIPC_API void goipc_server_close(goipc_server *server);

/* --- client --- */

/* Makes a client for NAME. It dials inside the first read or write (a server that is not there yet
 * is tried again until timeout_ms). goipc_client_close ends what it makes.
 * Errors: ARGUMENT (of the configuration), NAME, MEMORY, RESOURCES, SYSTEM, CRYPTO_UNAVAILABLE
 * (`crypto` is NULL and there is no default). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_start(const char *name,
                                                        const goipc_client_config *config,
                                                        goipc_client **client);

/* The next message or status change (CONNECTING, CONNECTED, DISCONNECTED with the reason,
 * RECONNECTING, TIMEOUT). A lost connection is dialled again unless reconnect_off. What ends the
 * client for good comes back from every later call.
 * Errors: those of goipc_server_read, TIMEOUT (timeout_ms of this call is over, or for good that of
 * the configuration, after the status message), VERSION (for good), ENCRYPTION (for good), REPLY
 * (for good), PUBLIC_KEY (for good), DECRYPT (for good), REFLECTED (for good), CREDENTIALS (for
 * good), DISCONNECTED (for good, with reconnect_off). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_read(goipc_client *client, int32_t timeout_ms,
                                                       goipc_message *message);
/* The same for up to `capacity` (at least 1) messages at once, without waiting for more than the
 * first. All their data is borrowed until the next read.
 * Errors: those of goipc_client_read, ARGUMENT (timeout_ms below GOIPC_FOREVER, or capacity 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_read_batch(goipc_client *client,
                                                             int32_t timeout_ms,
                                                             goipc_message *messages,
                                                             size_t capacity, size_t *count);

/* Writes one message, after connecting if necessary. Waits at most write_timeout_ms in all: for the
 * connection, for room in the queue, and until the system has the message. What the system does not
 * have by then is queued, and the write returns OK: see the table at goipc_server_write.
 * Errors: those of goipc_server_write, NOT_CONNECTED (write_timeout_ms is
 * GOIPC_NO_WAIT and there is no connection), VERSION (for good), ENCRYPTION (for good), REPLY (for
 * good), PUBLIC_KEY (for good), DECRYPT (for good), REFLECTED (for good), CREDENTIALS (for
 * good). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_write(goipc_client *client, uint32_t type,
                                                        const void *data, size_t data_size);
/* Many messages in as few system calls as possible, in order. `taken` says how many were handed
 * over, also on failure.
 * Errors: those of goipc_client_write. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_write_batch(goipc_client *client,
                                                              const goipc_outgoing *messages,
                                                              size_t count, size_t *taken);
/* As goipc_client_write_batch, but waits up to timeout_ms instead of write_timeout_ms.
 * Errors: those of goipc_client_write, ARGUMENT (timeout_ms below GOIPC_FOREVER), WOULD_BLOCK
 * (timeout 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_write_within(goipc_client *client,
                                                               const goipc_outgoing *messages,
                                                               size_t count, int32_t timeout_ms,
                                                               size_t *taken);
/* Bytes queued that the system has not taken; 0 while not CONNECTED. */
GOIPC_API size_t goipc_client_queued(goipc_client *client);
/* From cork to flush writes only gather, up to queue_size_max. */
GOIPC_API void goipc_client_cork(goipc_client *client);
/* Ends the cork, sends all that is queued, and waits up to timeout_ms for it.
 * Errors: those of goipc_server_flush. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_flush(goipc_client *client, int32_t timeout_ms);

/* The last status that was told, or that is about to be told by a read. */
GOIPC_API goipc_status goipc_client_status(goipc_client *client);
/* The most bytes of data that one message to this server holds; 0 while not CONNECTED. */
GOIPC_API uint32_t goipc_client_send_size_max(goipc_client *client);
/* Whether frames are sealed; false while not CONNECTED. */
GOIPC_API bool goipc_client_is_encrypted(goipc_client *client);
/* Totals since start, over all connections. */
GOIPC_API void goipc_client_counters(goipc_client *client, goipc_counters *counters);
/* The last error that a call on this client returned or a connection met, in words; OK and an empty
 * text if there was none. */
GOIPC_API void goipc_client_failure(goipc_client *client, goipc_failure *failure);
/* errno (GetLastError() on Windows) of the last failure: goipc_client_failure in short. */
GOIPC_API int goipc_client_system_error(goipc_client *client);
/* For event loops, as goipc_server_poll_fd: polls readable when goipc_client_read would make
 * progress. */
GOIPC_API intptr_t goipc_client_poll_fd(goipc_client *client);
/* How many milliseconds to wait for that descriptor at most; GOIPC_FOREVER: no timer runs, 0: there
 * is something to read. */
GOIPC_API int32_t goipc_client_poll_timeout_ms(goipc_client *client);
/* As goipc_server_stop. */
GOIPC_API void goipc_client_stop(goipc_client *client);
/* As goipc_server_interrupt. */
GOIPC_API void goipc_client_interrupt(goipc_client *client);
/* Ends the interrupt. */
GOIPC_API void goipc_client_resume(goipc_client *client);
/* Sends what is queued for at most close_timeout_ms, drains, closes, frees; NULL is allowed. */
GOIPC_API void goipc_client_close(goipc_client *client);

#ifdef __cplusplus
}
#endif

#endif
