/* SPDX-License-Identifier: MIT */
/*
 * goipc: the protocol of golang-ipc (version byte 2) in C.
 *
 * Two programs on one machine exchange typed messages over a Unix domain socket or a Windows named
 * pipe, encrypted by default. spec/goipc.md specifies the protocol; this header is the manual of
 * the library. Sections, in layer order:
 *
 *   1 errors      2 constants    3 wire codec   4 crypto    5 allocator
 *   6 session (the protocol without I/O)        7 log and counters    8 endpoints (server, client)
 *
 * CONVENTIONS
 *
 * MUST       Breaking a MUST of this header is undefined behaviour; debug builds assert.
 * Results    Functions that can fail return goipc_error. They write their other results through
 *            pointers, on GOIPC_ERROR_OK only unless the function says otherwise. The hundreds
 *            digit is the class of the error: 1xx the caller (LOCAL), 2xx the peer (PEER), 3xx the
 *            system (SYSTEM).
 * Units      `_size` and `capacity` are bytes, `_count` is a number of things, `_ms` milliseconds.
 * Time       As a timeout, GOIPC_FOREVER waits without limit and 0 does not wait. In a
 *            configuration, 0 is the documented default, GOIPC_FOREVER no limit, and GOIPC_NO_WAIT
 *            does not wait.
 * NULL       Pointers MUST NOT be NULL unless the function says so. `_free` and `_close` accept
 *            NULL. Data of size 0 may be NULL.
 * Ownership  The `_free` or `_close` function of an object frees it. Arguments are borrowed for the
 *            call; the library copies what it needs longer. Crypto tables, allocators and log
 *            contexts MUST outlive every object that uses them.
 * Lifetime   Message data is borrowed. It stays valid until the next read on the same endpoint or
 *            its _close; writes do not affect it. (Of a session: until its next
 *            goipc_session_next_event or goipc_session_input.)
 * Threads    A session is used by one thread at a time. After CONNECTED two threads may share it:
 *            one for its receiving half (input, input_commit, input_end, next_event), one for its
 *            sending half (send, output, output_consume). Endpoints: see section 8.
 * Fork       A session MUST NOT be used in a child after fork: sealing there would repeat nonces.
 *            Endpoints: see section 8.
 * Zero       A configuration may be zero-initialised or NULL. Both mean: encrypted, messages of at
 *            most 3 MiB, peers of the same user or root only.
 * Growth     Later versions with the same major number may add functions, enum values, and fields
 *            in place of `reserved`; sizes and offsets do not change. A program therefore runs with
 *            every later library of its major version. It MUST set `reserved` to zero and MUST
 *            ignore statuses and events that it does not know. A configuration whose `reserved` is
 *            not zero was made for a later library and is refused with ARGUMENT.
 *
 * PARAMETERS that mean the same in every function
 *
 * server       A server from goipc_server_start that is not closed yet.
 * client       A client from goipc_client_start that is not closed yet; for functions of a server,
 *              the id of one of its clients.
 * session      A session from goipc_session_new that is not freed yet.
 * name         1 to 97 bytes (see goipc_server_start) and a terminating NUL.
 * config       Copied. NULL means every default.
 * timeout_ms   Longest wait in milliseconds; GOIPC_FOREVER: no limit, 0: does not wait.
 * message      Written on OK. Its data is borrowed until the next read on the same endpoint.
 * messages     An array. A read writes the first `count` of its `capacity` elements; their data is
 *              borrowed until the next read on the same endpoint. A write reads `count` elements.
 * count        Number of messages: written by a read, given to a write.
 * to           The id of a client, from a message, or GOIPC_CLIENT_ALL.
 * taken        Number of messages accepted, also on failure. After a PEER or SYSTEM error it is
 *              unknown whether accepted messages, or earlier ones still queued, reached the peer.
 * type         1 to 2^32 - 1; the application defines what it means.
 * data         `data_size` bytes, borrowed for the call; may be NULL if data_size is 0.
 * data_size    Bytes of message data, without type and framing.
 * capacity     Size of the buffer in bytes; of a batch read, in messages.
 * out          The buffer to write to.
 * out_size     Number of bytes written.
 * in           The buffer to read from.
 * in_size      Bytes at `in`.
 * user         A pointer of the application; stored, never dereferenced.
 * missed       An array of `capacity` ids; may be NULL if capacity is 0.
 * missed_count Number of clients that did not get the message; written on every return.
 * bytes        `size` bytes to overwrite; may be NULL if size is 0.
 * size         Number of bytes.
 * key          An AES-256 key, 32 bytes.
 * nonce        12 bytes that were never used with this key.
 * crypto       A table of functions, borrowed for the call.
 * event        Written on every return; its data is borrowed (section 6).
 * counters     Receives the totals.
 * failure      Receives the failure; its text is a copy.
 * error        Any value.
 * status       Any value.
 */
#ifndef GOIPC_H
#define GOIPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of the project. CMake, pkg-config and the manual pages read it from here. */
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

/* "1.0.0": the version of the library at run time, which may differ from that of the header. */
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
    X(PATH_BLOCKED, 306, "path exists and is not a stale socket of this user")                     \
    X(RESOURCES, 307, "out of file descriptors or another system resource")                        \
    X(CRYPTO, 308, "the crypto back end failed")                                                   \
    X(NAME_LOST, 309, "the server's name was removed or replaced")

/* The result of a call: GOIPC_ERROR_OK or an error. */
typedef enum goipc_error {
#define GOIPC_ERROR_ENUM(name, value, text) GOIPC_ERROR_##name = value,
    GOIPC_ERROR_LIST(GOIPC_ERROR_ENUM)
#undef GOIPC_ERROR_ENUM
} goipc_error;

/* The class of an error: who caused it. */
typedef enum goipc_error_class {
    GOIPC_ERROR_CLASS_OK = 0,     /* no error */
    GOIPC_ERROR_CLASS_LOCAL = 1,  /* caller error; the object is unchanged */
    GOIPC_ERROR_CLASS_PEER = 2,   /* the peer broke the protocol or disconnected; connection ends */
    GOIPC_ERROR_CLASS_SYSTEM = 3, /* memory, randomness or a system call */
} goipc_error_class;

/* "FRAME_SIZE": a static string, also for values not in the list. */
GOIPC_API const char *goipc_error_name(goipc_error error);
/* "frame length out of bounds": a static string, also for values not in the list. */
GOIPC_API const char *goipc_error_text(goipc_error error);
/* The class, by the hundreds digit; SYSTEM for values not in the list. */
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

#define GOIPC_FOREVER (-1) /* a timeout: no limit */
#define GOIPC_NO_WAIT (-2) /* a timeout in a configuration: does not wait */

/* Which side of a connection. */
typedef enum goipc_role {
    GOIPC_ROLE_SERVER = 0, /* listens, and sends first */
    GOIPC_ROLE_CLIENT = 1, /* dials */
} goipc_role;

/* golang-ipc's numbers. */
typedef enum goipc_status {
    GOIPC_STATUS_NOT_CONNECTED = 0, /* a client that has not dialled yet */
    GOIPC_STATUS_LISTENING = 1,     /* a server without clients */
    GOIPC_STATUS_CONNECTING = 2,    /* a client, for the first time */
    GOIPC_STATUS_CONNECTED = 3,     /* messages can be exchanged */
    GOIPC_STATUS_RECONNECTING = 4,  /* a client that has lost its server */
    GOIPC_STATUS_CLOSED = 5,        /* this side has closed */
    GOIPC_STATUS_CLOSING = 6,       /* golang-ipc's only */
    GOIPC_STATUS_ERROR = 7,         /* a client that has failed permanently */
    GOIPC_STATUS_TIMEOUT = 8,       /* a client whose timeout_ms has passed */
    GOIPC_STATUS_DISCONNECTED = 9,  /* the peer has disconnected */
} goipc_status;

/* golang-ipc's texts ("Connected", "Reconnecting", ...; "Status not found" for other values):
 * static strings. */
GOIPC_API const char *goipc_status_text(goipc_status status);

/* The encryption setting of this side. The value 0 is the safe one. */
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

/* Writes to `frame_size` how many bytes a message of `data_size` takes on the wire, including the
 * length prefix, if `encrypted` or not.
 * Errors: MESSAGE_SIZE (data_size above GOIPC_MESSAGE_SIZE_CEILING). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_wire_frame_size(bool encrypted, size_t data_size,
                                                           size_t *frame_size);

/* Writes one plain frame. `out` and `data` MUST NOT overlap.
 * Errors: TYPE_RESERVED (type 0), MESSAGE_SIZE (data_size above GOIPC_MESSAGE_SIZE_CEILING),
 * CAPACITY (the frame does not fit). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_wire_encode_plain(uint32_t type, const void *data,
                                                             size_t data_size, uint8_t *out,
                                                             size_t capacity, size_t *out_size);

/* Whether a frame is complete. */
typedef enum goipc_decode {
    GOIPC_DECODE_MORE = 0, /* more input is needed: `needed` bytes in all */
    GOIPC_DECODE_DONE = 1, /* the frame is complete: `needed` bytes */
} goipc_decode;

/* The content of the first four bytes of a frame. */
typedef struct goipc_frame_header {
    uint32_t body_size; /* value of the length prefix: bytes that follow it */
} goipc_frame_header;

/* Checks the length prefix of a frame once its four bytes are there, before the caller buffers or
 * allocates anything for the body. The body must have `body_size_min` to `body_size_max` bytes.
 * Too few bytes are no error: `result` is MORE, and `needed` is the number of bytes needed in all.
 * `header` is written once the prefix is complete.
 * Errors: FRAME_SIZE (outside these bounds). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_wire_decode_header(const uint8_t *in, size_t in_size,
                                                              uint32_t body_size_min,
                                                              uint32_t body_size_max,
                                                              goipc_decode *result, size_t *needed,
                                                              goipc_frame_header *header);

/* ------------------------------------------------------------------------------------------------
 * 4 Crypto
 *
 * A back end is a table of functions. Four libraries are used if they were found at build time and
 * this processor can run them: libtomcrypt, OpenSSL 3, nettle, and IPSec MB (Intel's Multi-Buffer
 * Crypto for IPsec: x86-64 only, AES-256-GCM only). The curve (with SHA-256 and randomness) and the
 * cipher are chosen separately. A program may supply its own table, or wrap one, for example to
 * control `random` in a test. Key derivation with zero stripping, nonces, message counting and
 * limits are in the library itself, not in the table. Every function MUST be safe to call from
 * several threads on different aead objects.
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

    /* A keyed AES-256-GCM object for one direction, used by one thread at a time; aead_free frees
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

    /* The same in parts, so that the start of a large message can be sent or received while the
     * rest is still to be sealed or opened. Set all four, or leave all NULL: then every message is
     * sealed and opened as a whole. An object handles one message at a time; aead_start, aead_seal
     * and aead_open discard an unfinished one. */

    /* Begins a message: its type, then its data. Errors: CRYPTO. */
    goipc_error (*aead_start)(void *context, void *aead, const uint8_t nonce[12], bool opens);
    /* The next part (`in == out` is allowed): a multiple of 16 bytes, or the last one. Opened data
     * MUST NOT be used before aead_finish_open has returned OK. Errors: CRYPTO. */
    goipc_error (*aead_update)(void *context, void *aead, const uint8_t *in, size_t in_size,
                               uint8_t *out);
    /* Ends a message and gives its tag. Errors: CRYPTO. */
    goipc_error (*aead_finish_seal)(void *context, void *aead, uint8_t tag[16]);
    /* Ends a message. On DECRYPT the caller wipes the output of the updates. Errors: DECRYPT,
     * CRYPTO. */
    goipc_error (*aead_finish_open)(void *context, void *aead, const uint8_t tag[16]);
    void (*reserved[8])(void); /* NULL */
} goipc_crypto;

/* The static table of libtomcrypt, or NULL if the library was built without it. This function,
 * goipc_crypto_openssl, goipc_crypto_default and goipc_crypto_by_name set up all back ends on first
 * use. They are thread-safe. SECURITY.md describes what the set-up changes in libtommath and
 * GMP. */
GOIPC_API const goipc_crypto *goipc_crypto_tomcrypt(void);
/* The static table of OpenSSL, or NULL if the library was built without it or the OpenSSL at run
 * time lacks an algorithm. */
GOIPC_API const goipc_crypto *goipc_crypto_openssl(void);
/* The back end that NULL in a configuration selects, chosen once. Curve: nettle, else OpenSSL, else
 * libtomcrypt. Cipher: IPSec MB, else OpenSSL, else nettle, else libtomcrypt. `name` is the choice.
 * If OpenSSL's configuration requires FIPS (default_properties = fips=yes), the back end is
 * "openssl-fips", which uses the FIPS provider only. Without that provider the result is NULL, and
 * encrypted endpoints and sessions fail with CRYPTO_UNAVAILABLE. */
GOIPC_API const goipc_crypto *goipc_crypto_default(void);

/* A back end by its name: CURVE+CIPHER, or one name if both are from the same library. CURVE is
 * "nettle", "openssl" or "tomcrypt"; CIPHER is one of these or "ipsec-mb". "openssl-fips" requires
 * FIPS. Returns NULL if a library is not built in, this processor cannot run it, or FIPS does not
 * allow it. */
GOIPC_API const goipc_crypto *goipc_crypto_by_name(const char *name);

/* Tests every function of the table with known answers. Call it once at start-up if a policy
 * requires it.
 * Errors: CRYPTO (an answer is wrong, or the back end failed), PUBLIC_KEY (a valid key was
 * refused), DECRYPT (a valid frame was refused), ARGUMENT (a valid scalar was refused), MEMORY,
 * RANDOM. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_self_test(const goipc_crypto *crypto);

/* Overwrites with zeros in a way that no compiler removes. */
GOIPC_API void goipc_wipe(void *bytes, size_t size);

/* Implementations hash the shared X in two ways: golang-ipc strips leading zero bytes, some ports
 * hash all 48 bytes. The results differ in one connection of 256. */
typedef enum goipc_key_form {
    GOIPC_KEY_FORM_MINIMAL = 0, /* the protocol */
    GOIPC_KEY_FORM_FIXED = 1,   /* Node-type ports */
} goipc_key_form;

/* SHA-256 over `shared_x` (48 bytes, big-endian) in the given `form`, to `key`.
 * Errors: MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_derive_key(const goipc_crypto *crypto,
                                                             const uint8_t shared_x[48],
                                                             goipc_key_form form, uint8_t key[32]);

/* Seals one frame with the given key and nonce, for codecs, test vectors and tools. The caller MUST
 * NOT repeat a nonce with a key. Sessions do not use this function.
 * `out` and `data` MUST NOT overlap. Type 0 is allowed, so that tests can send it.
 * Errors: MESSAGE_SIZE (data_size above GOIPC_MESSAGE_SIZE_CEILING), CAPACITY (the frame does not
 * fit), MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_seal_frame(
    const goipc_crypto *crypto, const uint8_t key[32], const uint8_t nonce[12], uint32_t type,
    const void *data, size_t data_size, uint8_t *out, size_t capacity, size_t *out_size);

/* Opens the `body` of a frame (the `body_size` bytes after its length prefix) in place. Writes
 * `type` and `data_size`; `data` then points into the body.
 * Errors: FRAME_SIZE (fewer than 32 bytes), DECRYPT, MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_crypto_open_frame(const goipc_crypto *crypto,
                                                             const uint8_t key[32], uint8_t *body,
                                                             size_t body_size, uint32_t *type,
                                                             const uint8_t **data,
                                                             size_t *data_size);

/* ------------------------------------------------------------------------------------------------
 * 5 Allocator
 */

/* The source of memory. Both functions may be called from several threads at once. */
struct goipc_allocator {
    void *context; /* first argument of both */
    /* Suitably aligned memory, or NULL. size is never 0. */
    void *(*allocate)(void *context, size_t size);
    /* size is the size that was allocated. memory is never NULL. */
    void (*release)(void *context, void *memory, size_t size);
};

/* ------------------------------------------------------------------------------------------------
 * 6 Session: the protocol of one connection, without I/O
 *
 * The owner moves the bytes; the session tells what they mean:
 *
 *     for (;;) {
 *         goipc_session_next_event(session, &event);     an error: flush output once, then close
 *         goipc_session_output(session, &out, &size);    write them, then output_consume
 *         NEED_INPUT: goipc_session_input, read into it, goipc_session_input_commit
 *         CONNECTED:  goipc_session_send is allowed from now on
 *         MESSAGE:    a complete message, authenticated if encrypted
 *         CLOSED:     input_end came between two frames: the peer closed cleanly
 *     }
 *
 * After writing all output, call next_event once more before waiting for input: a client then
 * generates its key pair while the server generates its own. This is optional and saves time only.
 *
 * A PEER or SYSTEM error of next_event is sticky: every later call returns it, input is refused,
 * and nothing more is delivered. Output queued before it (a handshake reply) must still be written.
 * A LOCAL error, and MEMORY from input or send, leaves the session unchanged.
 */
/* The protocol state of one connection. */
typedef struct goipc_session goipc_session;

/* Configuration of a session. */
typedef struct goipc_session_config {
    goipc_role role;             /* server or client */
    goipc_encryption encryption; /* a server cannot have OPTIONAL */
    uint32_t message_size_max;   /* bytes of data we accept; below 1024: the default, 3 MiB */
    uint32_t queue_size_max; /* bytes of queued output before send returns WOULD_BLOCK; 0: 4 MiB */
    const goipc_crypto *crypto;       /* NULL: goipc_crypto_default() */
    const goipc_allocator *allocator; /* NULL: malloc and free */
    uintptr_t reserved[8];            /* 0 */
} goipc_session_config;

/* Result of goipc_session_next_event. */
typedef enum goipc_event_type {
    GOIPC_EVENT_NEED_INPUT = 0, /* no event until more input is committed */
    GOIPC_EVENT_CONNECTED = 1,  /* once, before any message */
    GOIPC_EVENT_MESSAGE = 2,    /* a complete message, authenticated if encrypted */
    GOIPC_EVENT_CONTROL = 3,    /* a frame of type 0 was discarded */
    GOIPC_EVENT_CLOSED = 4,     /* the peer closed between two frames */
} goipc_event_type;

/* An event from goipc_session_next_event. */
typedef struct goipc_event {
    goipc_event_type type; /* decides which other fields are written */
    uint32_t message_type; /* MESSAGE: 1 to 2^32 - 1 */
    const uint8_t *data;   /* MESSAGE: borrowed until the next next_event or input; never NULL */
    size_t data_size;      /* MESSAGE: bytes at data */
    uintptr_t reserved[4]; /* 0 */
} goipc_event;

/* Makes a session. A server's HELLO is queued at once. config may be NULL (a server with every
 * default).
 * Errors: ARGUMENT (unknown enum value, a server with OPTIONAL, a maximum above
 * GOIPC_MESSAGE_SIZE_CEILING, or on a 32-bit system above a fourth of the address space),
 * MEMORY, CRYPTO_UNAVAILABLE (`crypto` is NULL and there is no default). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_new(const goipc_session_config *config,
                                                       goipc_session **session);
/* Wipes the keys and frees the session and all data borrowed from it; NULL is allowed. */
GOIPC_API void goipc_session_free(goipc_session *session);

/* Returns a buffer for input: `in` points to it, `capacity` is its size, at least one byte. The
 * session owns it; it is valid until the next call on the receiving half. The buffer grows with
 * the bytes that arrive, never with the value of a length prefix.
 * Errors: the sticky one, STATE (after input_end), CAPACITY (input is still unprocessed; call
 * next_event until it gives NEED_INPUT), MEMORY. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_input(goipc_session *session, uint8_t **in,
                                                         size_t *capacity);
/* The first `size` bytes of that buffer are filled; size MUST NOT exceed its capacity.
 * Errors: the sticky one. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_input_commit(goipc_session *session,
                                                                size_t size);
/* Reports the end of input. next_event delivers complete messages, then CLOSED; or TRUNCATED if
 * the input ended inside a frame, or DISCONNECTED if it ended before the handshake was complete.
 * Errors: the sticky one. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_input_end(goipc_session *session);

/* The next event of the input. Its errors are sticky.
 * Errors: VERSION, ENCRYPTION, REPLY, PUBLIC_KEY, DECRYPT, FRAME_SIZE, TRUNCATED (the input ended
 * inside a frame), REFLECTED, MESSAGE_COUNT, DISCONNECTED (the input ended before the handshake was
 * complete), MEMORY, RANDOM, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_next_event(goipc_session *session,
                                                              goipc_event *event);

/* Queues the whole message or nothing of it. An empty queue takes any allowed message.
 * Errors: TYPE_RESERVED, MESSAGE_SIZE (the peer's announced maximum for a client, our own for a
 * server), STATE (before CONNECTED), WOULD_BLOCK (queue full: write output first), MESSAGE_LIMIT,
 * MEMORY, CRYPTO. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_session_send(goipc_session *session, uint32_t type,
                                                        const void *data, size_t data_size);

/* Returns the output to be written: `out` points to it, `size` is its length in bytes. The session
 * owns it; it is valid until the next call on the sending half. */
GOIPC_API void goipc_session_output(goipc_session *session, const uint8_t **out, size_t *size);
/* The first `size` bytes of the output have been written; size MUST NOT exceed its length. */
GOIPC_API void goipc_session_output_consume(goipc_session *session, size_t size);

/* The sticky error of the receiving half, or OK. */
GOIPC_API goipc_error goipc_session_error(const goipc_session *session);
/* Valid after CONNECTED: whether frames are sealed. */
GOIPC_API bool goipc_session_is_encrypted(const goipc_session *session);
/* Valid after CONNECTED: most bytes of data of one outgoing message. */
GOIPC_API uint32_t goipc_session_send_size_max(const goipc_session *session);

/* ------------------------------------------------------------------------------------------------
 * 7 Log and counters
 */

/* Severity of a log line. */
typedef enum goipc_log_level {
    GOIPC_LOG_ERROR = 0,   /* the endpoint cannot continue */
    GOIPC_LOG_WARNING = 1, /* a peer was refused or failed; the endpoint continues */
    GOIPC_LOG_INFO = 2,    /* connected, disconnected, retrying */
} goipc_log_level;

/* Called on the thread that is inside an endpoint call. It MUST NOT call a function of that
 * endpoint. It does not block the calls of other threads. text is one line without a newline, valid
 * during the call; it never contains message data or key material. */
typedef void (*goipc_log)(void *context, goipc_log_level level, const char *text);

/* Totals since start. Sizes are those of message data. */
typedef struct goipc_counters {
    uint64_t messages_in;  /* delivered to the application */
    uint64_t messages_out; /* accepted from it; corked messages count when flushed or lost */
    uint64_t bytes_in;     /* of data, likewise */
    uint64_t bytes_out;    /* of data, likewise */
    uint64_t connects;     /* handshakes completed */
    uint64_t refusals;     /* peers refused: no slot, credentials, failed or late handshake */
    uint64_t failures;     /* established connections that ended with an error */
    uint64_t reserved[9];  /* 0 */
} goipc_counters;

/* A failure for people to read: what failed, the name or path, the cause, the remedy. */
typedef struct goipc_failure {
    goipc_error error;     /* the error that a function returned */
    int system_error;      /* errno or GetLastError(), 0 if no system call failed */
    char text[512];        /* one line, ended by a NUL */
    uintptr_t reserved[4]; /* 0 */
} goipc_failure;

/* ------------------------------------------------------------------------------------------------
 * 8 Endpoints
 *
 * StartServer, StartClient, Read, Write, Status, StatusCode and Close of golang-ipc are
 * goipc_server_start, goipc_client_start, _read, _write, goipc_status_text(_status), _status and
 * _close. The library has no threads of its own and works inside calls only. Most of the work is
 * done inside _read: it accepts and dials, does handshakes, retries, and sends queued messages.
 *
 * Threads:
 *
 *     call                        may run
 *     _read, _read_batch,         in one thread at a time for each endpoint; a second reader gets
 *     _poll_timeout_ms            STATE
 *     _write..., _flush, _cork,   in any number of threads, also while another thread reads
 *     _disconnect, queries
 *     _stop, _interrupt           in any thread and in a signal handler, also during and after
 *                                 _close
 *     _close                      once, in any thread
 *
 * To end an endpoint: call _stop, join the threads that use it (their calls return CLOSED), then
 * call _close once. If calls are still running, _close waits for them before it frees the endpoint.
 * No call but _stop and _interrupt may start after _close has been called.
 *
 * Fork: an endpoint belongs to the process that made it, since sealing in a child would repeat
 * nonces. In a child, calls that read, write, flush or disconnect fail with FORKED and do not
 * affect the parent. _stop, _interrupt and _resume do nothing. _close frees the copy of the child
 * and sends nothing.
 */

/* A listening endpoint with all its clients. */
typedef struct goipc_server goipc_server;
/* A connection to a server, made again when it is lost. */
typedef struct goipc_client goipc_client;

/* Identifies one client of one server: never 0, never used twice by the same server. */
typedef uint64_t goipc_client_id;
#define GOIPC_CLIENT_ALL ((goipc_client_id)0) /* write to every client */

#define GOIPC_MESSAGE_STATUS (-1) /* golang-ipc's MsgType of a status change */

/* The result of a read: a message, or a change of status. */
typedef struct goipc_message {
    int64_t type;           /* 1 to 2^32 - 1: data. GOIPC_MESSAGE_STATUS: see status */
    const uint8_t *data;    /* borrowed until the next read on this endpoint; never NULL */
    size_t data_size;       /* bytes at data; 0 for a status change */
    goipc_status status;    /* the new status; CONNECTED if this is data */
    goipc_error error;      /* cause of a DISCONNECTED (cleanly: DISCONNECTED) or ERROR; else OK */
    goipc_client_id client; /* on a server: the client that this is about; 0 on a client */
    void *user;             /* on a server: set by goipc_server_set_user for this client, or NULL */
    uintptr_t reserved[2];  /* 0 */
} goipc_message;

/* One message of a batch to be written. */
typedef struct goipc_outgoing {
    uint32_t type;    /* 1 to 2^32 - 1 */
    const void *data; /* borrowed for the call; NULL is allowed where data_size is 0 */
    size_t data_size; /* bytes at data */
} goipc_outgoing;

/* Users whose processes are accepted as peers, checked with the kernel's peer credentials before
 * the first byte. */
typedef enum goipc_peers {
    GOIPC_PEERS_DEFAULT = 0, /* SAME_USER; for a server with unmask_permissions, ANY */
    GOIPC_PEERS_SAME_USER =
        1,                /* our effective user, or root (Windows: our user or an administrator) */
    GOIPC_PEERS_ANY = 2,  /* every user that the permissions of the socket admit */
    GOIPC_PEERS_LIST = 3, /* SAME_USER and the users listed */
} goipc_peers;

/* Options of servers and clients. */
typedef struct goipc_options {
    goipc_encryption encryption; /* default: REQUIRE */
    uint32_t message_size_max;   /* most bytes of data per message accepted; below 1024: 3 MiB */
    uint32_t queue_size_max; /* most bytes queued per connection, see goipc_full_policy; 0: 4 MiB */
    int32_t handshake_timeout_ms; /* 0: 10,000 */
    int32_t write_timeout_ms;     /* longest wait of a write; 0: 10,000 */
    int32_t close_timeout_ms;     /* longest time that _close sends queued messages; 0: 1,000 */
    int32_t spin_us;              /* microseconds (at most 1,000,000) that a read polls before it
                                     blocks, which saves a sleep on both sides. After polls that
                                     found nothing, the next waits skip polling. 0: 20, or none if
                                     this process has one processor; GOIPC_NO_WAIT: none */
    const char *directory; /* of the socket; NULL: "/tmp", like golang-ipc. Unused on Windows */
    bool abstract;         /* Linux: an abstract socket "goipc/NAME" instead of a file */
    goipc_peers peers;     /* which peers are accepted */
    const uint32_t *peer_users;       /* LIST: user ids, copied. Unused on Windows */
    size_t peer_user_count;           /* number of peer_users */
    const goipc_crypto *crypto;       /* NULL: goipc_crypto_default() */
    const goipc_allocator *allocator; /* NULL: malloc and free */
    goipc_log log;                    /* NULL: none */
    void *log_context;                /* first argument of log */
    goipc_failure *failure;           /* written when _start fails; may be NULL */
    uintptr_t reserved[16];           /* 0 */
} goipc_options;

/* What a write of a server does if the queue of a client (queue_size_max) is full. */
typedef enum goipc_full_policy {
    GOIPC_FULL_DEFAULT = 0, /* WAIT if clients_max is 1 or write_timeout_ms is set, else REPORT */
    GOIPC_FULL_REPORT = 1,  /* returns QUEUE_FULL at once; the client misses this message */
    GOIPC_FULL_DISCONNECT = 2, /* as REPORT, and disconnects the client with QUEUE_FULL */
    GOIPC_FULL_WAIT = 3,       /* waits at most write_timeout_ms; a slow client delays the others */
} goipc_full_policy;

/* Configuration of a server. */
typedef struct goipc_server_config {
    goipc_options options;   /* options of servers and clients */
    uint32_t clients_max;    /* most clients at a time; 0: 1. Further ones are closed at once */
    bool unmask_permissions; /* every user may connect (0777): golang-ipc's UnmaskPermissions */
    uint32_t socket_mode;    /* permission bits; 0: 0600, or 0777 with unmask_permissions */
    goipc_full_policy full_policy; /* what a write does if the queue of a client is full */
    bool rebind_name; /* binds again, a second later, if its name was removed and is not taken */
    uintptr_t reserved[8]; /* 0 */
} goipc_server_config;

/* Configuration of a client. */
typedef struct goipc_client_config {
    goipc_options options;     /* options of servers and clients */
    int32_t timeout_ms;        /* total time of connecting, and of each reconnecting; 0: no limit */
    int32_t retry_interval_ms; /* longest pause between two attempts; 0: 1,000. The first retry
                                  comes within 2 ms; then pauses double, with jitter */
    bool reconnect_off;        /* a lost connection ends the client with DISCONNECTED */
    uintptr_t reserved[8];     /* 0 */
} goipc_client_config;

/* --- server --- */

/* Binds NAME (1 to 97 bytes on Linux with the default directory; no '/', no NUL) and listens. A
 * stale socket of this user is replaced. Anything else at the path is left alone and named in
 * failure.text. goipc_server_close frees the server.
 * Errors: ARGUMENT (of the configuration), NAME, MEMORY, ADDRESS_IN_USE, PATH_BLOCKED, PERMISSION,
 * NOT_FOUND (no such directory), RESOURCES, SYSTEM, CRYPTO_UNAVAILABLE (`crypto` is NULL and there
 * is no default). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_start(const char *name,
                                                        const goipc_server_config *config,
                                                        goipc_server **server);

/* The next message or status change of any client. Messages of one client arrive in the order in
 * which it sent them. Clients are served round-robin and before handshakes: a message waits for at
 * most one handshake step (1 to 2 ms), however many peers connect. A client that fails or
 * disconnects is reported by one status message and does not affect the others. A status of client
 * 0 is about the server: ERROR with error NAME_LOST, once, when its name was removed or replaced
 * (checked every second), and LISTENING when it is bound again. A read that returns the same
 * permanent error again first pauses up to 100 ms, so that a loop that ignores errors does not
 * spin.
 * Errors: ARGUMENT (timeout_ms below GOIPC_FOREVER), WOULD_BLOCK (timeout 0), TIMEOUT, INTERRUPTED,
 * CLOSED, STATE (another thread is reading), FORKED, RESOURCES, SYSTEM. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_read(goipc_server *server, int32_t timeout_ms,
                                                       goipc_message *message);
/* Reads up to `capacity` (at least 1) messages at once. Waits for the first one only. The data of
 * all is borrowed until the next read.
 * Errors: those of goipc_server_read, ARGUMENT (timeout_ms below GOIPC_FOREVER, or capacity 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_read_batch(goipc_server *server,
                                                             int32_t timeout_ms,
                                                             goipc_message *messages,
                                                             size_t capacity, size_t *count);

/* Results of a write of a server or a client:
 *
 *     result                    the message             the connection
 *     OK                        accepted: sent or       not affected
 *                               queued
 *     LOCAL errors: TIMEOUT,    not accepted, nothing   not affected; QUEUE_FULL closes it with
 *     QUEUE_FULL, WOULD_BLOCK,  of it was sent          GOIPC_FULL_DISCONNECT
 *     INTERRUPTED and others
 *     PEER and SYSTEM errors    not accepted            ended; messages still queued are lost. The
 *                                                       DISCONNECTED status reports it.
 *
 * Later calls and _close send queued messages. If the process ends before, they are lost: call
 * _flush to wait until the system has all of them. Nothing is sent twice. */

/* Writes one message to a client, or to all with GOIPC_CLIENT_ALL. If the queue of a client is
 * full, full_policy decides. With GOIPC_CLIENT_ALL the message goes to every client that can accept
 * it. The result is the first error of the other clients, or OK if no client is connected.
 * Errors: TYPE_RESERVED, MESSAGE_SIZE, NOT_CONNECTED, QUEUE_FULL, TIMEOUT, WOULD_BLOCK
 * (write_timeout_ms is GOIPC_NO_WAIT), INTERRUPTED, CLOSED, MESSAGE_LIMIT, FORKED, MEMORY, CRYPTO,
 * SYSTEM, the PEER error that ended the connection. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write(goipc_server *server, goipc_client_id to,
                                                        uint32_t type, const void *data,
                                                        size_t data_size);
/* Writes many messages in order, in as few system calls as possible. `taken` is the number that was
 * accepted, also on failure.
 * Errors: those of goipc_server_write. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write_batch(goipc_server *server,
                                                              goipc_client_id to,
                                                              const goipc_outgoing *messages,
                                                              size_t count, size_t *taken);
/* As goipc_server_write_batch, but waits up to timeout_ms if a queue is full, with every policy.
 * Errors: those of goipc_server_write, ARGUMENT (timeout_ms below GOIPC_FOREVER), WOULD_BLOCK
 * (timeout 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write_within(goipc_server *server,
                                                               goipc_client_id to,
                                                               const goipc_outgoing *messages,
                                                               size_t count, int32_t timeout_ms,
                                                               size_t *taken);
/* Writes one message to all clients and reports those that did not get it: at most `capacity` of
 * their ids in `missed`, their number in `missed_count`, also on failure. Returns the first error
 * of these clients. Errors: those of goipc_server_write. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_write_each(goipc_server *server, uint32_t type,
                                                             const void *data, size_t data_size,
                                                             goipc_client_id *missed,
                                                             size_t capacity, size_t *missed_count);
/* Bytes queued for a client that the system has not taken; 0 if there is no such client. */
GOIPC_API size_t goipc_server_queued(goipc_server *server, goipc_client_id client);
/* Stores a pointer of the application for a client. Every later message of this client has it in
 * `user`, up to its DISCONNECTED status. The library never dereferences it.
 * Errors: NOT_CONNECTED (no such client), CLOSED, FORKED. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_set_user(goipc_server *server,
                                                           goipc_client_id client, void *user);
/* Until the next flush, writes only queue their messages, up to queue_size_max. */
GOIPC_API void goipc_server_cork(goipc_server *server);
/* Ends the cork, sends what is queued for every client, and waits up to timeout_ms until the system
 * has it. What the system does not have by then stays queued.
 * Errors: ARGUMENT (timeout_ms below GOIPC_FOREVER), TIMEOUT, WOULD_BLOCK (timeout 0), INTERRUPTED,
 * CLOSED, FORKED, MEMORY, CRYPTO, SYSTEM. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_flush(goipc_server *server, int32_t timeout_ms);

/* Closes the connection of one client after sending what is queued for it, for at most
 * close_timeout_ms. Later reads do this work and return its DISCONNECTED status with error CLOSED.
 * Errors: NOT_CONNECTED (no such client), CLOSED, FORKED. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_disconnect(goipc_server *server,
                                                             goipc_client_id client);

/* The peer of a connection as the kernel reports it; -1 if the system does not report it. */
typedef struct goipc_credentials {
    int64_t user;          /* effective user id when it connected */
    int64_t group;         /* effective group id when it connected */
    int64_t process;       /* process id; the system may have reused it since */
    uintptr_t reserved[4]; /* 0 */
} goipc_credentials;
/* Writes the credentials of a client to `credentials`. Errors: NOT_CONNECTED (no such client). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_server_credentials(goipc_server *server,
                                                              goipc_client_id client,
                                                              goipc_credentials *credentials);

/* LISTENING without clients, CONNECTED with at least one, CLOSED once goipc_server_stop or
 * goipc_server_close has begun. */
GOIPC_API goipc_status goipc_server_status(goipc_server *server);
/* Clients that are connected now. */
GOIPC_API size_t goipc_server_client_count(goipc_server *server);
/* Totals since start. */
GOIPC_API void goipc_server_counters(goipc_server *server, goipc_counters *counters);
/* The last error that a call on this server returned or that ended a client, with its text. OK and
 * an empty text if there was none. */
GOIPC_API void goipc_server_failure(goipc_server *server, goipc_failure *failure);
/* errno (GetLastError() on Windows) of the last failure, as in goipc_server_failure. */
GOIPC_API int goipc_server_system_error(goipc_server *server);

/* For event loops: a descriptor that polls readable when goipc_server_read would make progress; -1
 * if there is none, as on Windows. It belongs to the server: do not read from it or close it. Call
 * goipc_server_read with timeout 0 until it returns WOULD_BLOCK, then wait for the descriptor. */
GOIPC_API intptr_t goipc_server_poll_fd(goipc_server *server);
/* Longest time in milliseconds to wait for that descriptor. GOIPC_FOREVER: no timer is running. 0:
 * call goipc_server_read again now, since a read with timeout 0 does at most one handshake step.
 * Call this in the reading thread only. */
GOIPC_API int32_t goipc_server_poll_timeout_ms(goipc_server *server);

/* Ends the use of this server, from any thread or a signal handler: waiting calls, and every later
 * call that reads, writes, flushes or disconnects, return CLOSED. Queued messages are sent by
 * goipc_server_close, which the program calls after joining the threads that use the server. NULL
 * and a closed server are ignored. */
GOIPC_API void goipc_server_stop(goipc_server *server);
/* Until resume, every waiting call on this endpoint and every read return INTERRUPTED.
 * Async-signal-safe. A closed server is ignored. */
GOIPC_API void goipc_server_interrupt(goipc_server *server);
/* Ends the interrupt. */
GOIPC_API void goipc_server_resume(goipc_server *server);

/* Stops listening, sends queued messages for at most close_timeout_ms, drains and closes every
 * connection, unlinks the socket if it is still this server's, and frees the server. NULL is
 * allowed. */
GOIPC_API void goipc_server_close(goipc_server *server);

/* --- client --- */

/* Permanent errors of a client. After one of these, every later read and write returns it again.
 *
 *     error                                  cause
 *     VERSION, ENCRYPTION, REPLY             client and server do not match
 *     PUBLIC_KEY, DECRYPT, REFLECTED         the server, or an attacker, broke the protocol
 *     CREDENTIALS                            the server runs as a user that is not allowed
 *     TIMEOUT, after the TIMEOUT status      timeout_ms of the configuration has passed
 *     DISCONNECTED, with reconnect_off       the connection was lost
 *
 * Call goipc_client_close, and start a new client to try again. */

/* Makes a client for NAME. The first read or write dials; if no server listens yet, the client
 * tries again until timeout_ms has passed. goipc_client_close frees the client.
 * Errors: ARGUMENT (of the configuration), NAME, MEMORY, RESOURCES, SYSTEM, CRYPTO_UNAVAILABLE
 * (`crypto` is NULL and there is no default). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_start(const char *name,
                                                        const goipc_client_config *config,
                                                        goipc_client **client);

/* The next message or status change (CONNECTING, CONNECTED, DISCONNECTED with the cause,
 * RECONNECTING, TIMEOUT). A lost connection is dialled again unless reconnect_off.
 * Errors: those of goipc_server_read, TIMEOUT (timeout_ms of this call has passed; or permanently,
 * after the status message, that of the configuration), VERSION (permanent), ENCRYPTION
 * (permanent), REPLY (permanent), PUBLIC_KEY (permanent), DECRYPT (permanent), REFLECTED
 * (permanent), CREDENTIALS (permanent), DISCONNECTED (permanent, with reconnect_off). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_read(goipc_client *client, int32_t timeout_ms,
                                                       goipc_message *message);
/* Reads up to `capacity` (at least 1) messages at once. Waits for the first one only. The data of
 * all is borrowed until the next read.
 * Errors: those of goipc_client_read, ARGUMENT (timeout_ms below GOIPC_FOREVER, or capacity 0). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_read_batch(goipc_client *client,
                                                             int32_t timeout_ms,
                                                             goipc_message *messages,
                                                             size_t capacity, size_t *count);

/* Writes one message. Connects first if necessary, then queues the message and tries to send it,
 * for at most write_timeout_ms in all. If the system has not taken all of it by then, the write
 * still returns OK, and later calls send the rest: see the table above goipc_server_write.
 * Errors: those of goipc_server_write, NOT_CONNECTED (write_timeout_ms is GOIPC_NO_WAIT and there
 * is no connection), VERSION (permanent), ENCRYPTION (permanent), REPLY (permanent), PUBLIC_KEY
 * (permanent), DECRYPT (permanent), REFLECTED (permanent), CREDENTIALS (permanent). */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_write(goipc_client *client, uint32_t type,
                                                        const void *data, size_t data_size);
/* Writes many messages in order, in as few system calls as possible. `taken` is the number that was
 * accepted, also on failure.
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
/* Until the next flush, writes only queue their messages, up to queue_size_max. */
GOIPC_API void goipc_client_cork(goipc_client *client);
/* Ends the cork, sends all that is queued, and waits up to timeout_ms for it.
 * Errors: those of goipc_server_flush. */
GOIPC_API GOIPC_MUST_USE goipc_error goipc_client_flush(goipc_client *client, int32_t timeout_ms);

/* The current status; the next read may still have to report it. */
GOIPC_API goipc_status goipc_client_status(goipc_client *client);
/* Most bytes of data of one message to this server; 0 while not CONNECTED. */
GOIPC_API uint32_t goipc_client_send_size_max(goipc_client *client);
/* Whether frames are sealed; false while not CONNECTED. */
GOIPC_API bool goipc_client_is_encrypted(goipc_client *client);
/* Totals since start, over all connections. */
GOIPC_API void goipc_client_counters(goipc_client *client, goipc_counters *counters);
/* The last error that a call on this client returned or that ended a connection, with its text. OK
 * and an empty text if there was none. */
GOIPC_API void goipc_client_failure(goipc_client *client, goipc_failure *failure);
/* errno (GetLastError() on Windows) of the last failure, as in goipc_client_failure. */
GOIPC_API int goipc_client_system_error(goipc_client *client);
/* For event loops, as goipc_server_poll_fd: polls readable when goipc_client_read would make
 * progress. */
GOIPC_API intptr_t goipc_client_poll_fd(goipc_client *client);
/* Longest time in milliseconds to wait for that descriptor. GOIPC_FOREVER: no timer is running. 0:
 * call goipc_client_read now, since a status change is pending or a timer is due. */
GOIPC_API int32_t goipc_client_poll_timeout_ms(goipc_client *client);
/* As goipc_server_stop. */
GOIPC_API void goipc_client_stop(goipc_client *client);
/* As goipc_server_interrupt. */
GOIPC_API void goipc_client_interrupt(goipc_client *client);
/* Ends the interrupt. */
GOIPC_API void goipc_client_resume(goipc_client *client);
/* Sends queued messages for at most close_timeout_ms, drains and closes the connection, and frees
 * the client. NULL is allowed. */
GOIPC_API void goipc_client_close(goipc_client *client);

#ifdef __cplusplus
}
#endif

#endif
