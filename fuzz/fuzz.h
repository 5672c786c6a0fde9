/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: reading choices from the input, a crypto table whose randomness and
 * failures are scripted, an allocator that counts and can fail, and a driver for one session. */
#ifndef GOIPC_FUZZ_H
#define GOIPC_FUZZ_H

#include "core/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that does not hold ends the process, which is what every fuzzer understands. */
#define FUZZ_REQUIRE(condition)                                                                    \
    ((condition) ? (void)0 : fuzz_violated(__FILE__, __LINE__, #condition))

_Noreturn void fuzz_violated(const char *file, int line, const char *condition);

/* --- input ------------------------------------------------------------------------------------ */

/* What is left of the input. Taking from an empty one gives zeros. */
typedef struct fuzz_bytes {
    const uint8_t *at;
    size_t size;
} fuzz_bytes;

uint8_t fuzz_take_u8(fuzz_bytes *bytes);
uint32_t fuzz_take_u32(fuzz_bytes *bytes);
/* At most `size` bytes of it; *taken says how many. */
const uint8_t *fuzz_take(fuzz_bytes *bytes, size_t size, size_t *taken);

/* --- memory ----------------------------------------------------------------------------------- */

typedef struct fuzz_memory {
    goipc_allocator allocator;
    size_t live;
    size_t live_max;
    size_t count;
    size_t fail_at; /* the allocation that fails, counted from 1; 0: none */
} fuzz_memory;

void fuzz_memory_init(fuzz_memory *memory, size_t fail_at);

/* --- crypto ----------------------------------------------------------------------------------- */

/* One end's crypto. Points of known keys come from tables, which makes a handshake cost
 * microseconds; everything else is the real back end's. */
typedef struct fuzz_script {
    goipc_crypto table;
    const goipc_crypto *real;
    const uint8_t *private_key; /* what a draw of 48 bytes gives */
    uint8_t nonce_fill;         /* what every byte of any other draw is */
    size_t bad_draws;           /* so many draws of a scalar give 0 first */
    size_t count;
    size_t fail_at; /* the fallible call that fails, counted from 1; 0: none */
} fuzz_script;

void fuzz_script_init(fuzz_script *script, const goipc_crypto *real, const uint8_t *private_key,
                      uint8_t nonce_fill);

/* --- a session and what it runs on ------------------------------------------------------------ */

/* The first SETUP_SIZE bytes of most inputs: flags, N of the allocation that fails, N of the crypto
 * call that fails, how many bytes are fed at once (0: all). */
enum {
    FUZZ_SETUP_SIZE = 4,
    FUZZ_FLAG_PLAIN = 1,    /* server: OFF */
    FUZZ_FLAG_OPTIONAL = 2, /* client: OPTIONAL (with PLAIN: OFF) */
    FUZZ_FLAG_TOMCRYPT = 4, /* else the default back end */
    FUZZ_FLAG_ZERO_X = 8,   /* the client's key is the one whose shared X starts with a zero byte */
    FUZZ_FLAG_SMALL = 16,   /* a maximum of 1,024 bytes instead of 3 MiB */
    FUZZ_FLAG_FAULTS = 32,  /* bytes 1 and 2 count */
    FUZZ_FLAG_TINY_QUEUE = 64,
    FUZZ_FLAG_BAD_DRAW = 128,
    FUZZ_SMALL_MAX = 1024,
    FUZZ_TINY_QUEUE_MAX = 100,
    FUZZ_SERVER_FILL = 0xa5, /* of the server's nonce prefix, whose top bit is set */
    FUZZ_CLIENT_FILL = 0x25,
};

/* What a session may hold: itself, two AES states with tables, its first room and the handshake;
 * and while a buffer grows, the old bytes and the doubled new ones. */
enum { FUZZ_MEMORY_BASE = 150 * 1024 + 4 * 1024, FUZZ_MEMORY_FACTOR = 8 };

typedef struct fuzz_setup {
    goipc_session_config config;
    fuzz_memory memory;
    fuzz_script script;
    uint8_t flags;
    size_t chunk;
} fuzz_setup;

/* Keeps pointers into *setup: it must not move afterwards. */
void fuzz_setup_read(fuzz_setup *setup, fuzz_bytes *bytes, goipc_role role);
/* The session, or NULL where a scripted fault forbade it. */
goipc_session *fuzz_setup_session(fuzz_setup *setup);
/* Frees the session; nothing may be left. */
void fuzz_setup_end(fuzz_setup *setup, goipc_session *session);

/* What a session did, for comparisons. */
typedef struct fuzz_trace {
    uint32_t events; /* FNV-1a over event types, message types and data */
    uint32_t output; /* FNV-1a over what it wanted to send */
    size_t event_count;
    size_t message_count;
    bool connected;
    goipc_error error; /* OK: CLOSED was given */
} fuzz_trace;

void fuzz_trace_init(fuzz_trace *trace);
/* Feeds what is left of the input, then its end, at most `chunk` bytes at once; checks what must
 * hold for every event and for the state that an error leaves. A chunk of SIZE_MAX feeds all that
 * fits. */
void fuzz_run(const fuzz_setup *setup, goipc_session *session, fuzz_bytes bytes, size_t chunk,
              fuzz_trace *trace);
/* Copies all of `bytes` in, without taking events. */
goipc_error fuzz_feed(goipc_session *session, const uint8_t *bytes, size_t size);
void fuzz_digest(uint32_t *digest, const void *bytes, size_t size);

#endif
