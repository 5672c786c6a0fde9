/* SPDX-License-Identifier: MIT */
/* Property: what a session says and delivers does not depend on how its input was cut up. */
#include "fuzz.h"
#include "keys.h"

enum { IS_CLIENT = 1, ENDS_LARGE = 2, LARGE_CHOICES_SIZE = 8, LARGE_DATA_SIZE_END = 70 * 1000 };

/* A sealed frame that is opened part by part does not fit an input: its last 8 bytes are replaced
 * by one, of a size and perhaps with a changed byte that they choose. */
static uint8_t *end_large(fuzz_bytes bytes, size_t *size)
{
    const size_t kept = bytes.size - LARGE_CHOICES_SIZE;
    fuzz_bytes choices = {bytes.at + kept, LARGE_CHOICES_SIZE};
    const size_t data_size = fuzz_take_u32(&choices) % LARGE_DATA_SIZE_END;
    const uint32_t change = fuzz_take_u32(&choices);
    const size_t capacity = 36 + data_size;
    const bool zero_x = (bytes.at[0] & FUZZ_FLAG_ZERO_X) != 0;
    const goipc_crypto *crypto = goipc_crypto_default();
    uint8_t *all = malloc(kept + capacity), *data = malloc(data_size + 1);
    uint8_t key[GOIPC_KEY_SIZE];
    const uint8_t nonce[GOIPC_NONCE_SIZE] = {0x66};
    size_t frame_size;

    FUZZ_REQUIRE(all != NULL && data != NULL);
    for (size_t i = 0; i < data_size; i++) {
        data[i] = (uint8_t)(i + i / 256);
    }
    FUZZ_REQUIRE(goipc_crypto_derive_key(crypto, zero_x ? fuzz_zero_shared_x : fuzz_shared_x,
                                         GOIPC_KEY_FORM_MINIMAL, key) == GOIPC_ERROR_OK);
    memcpy(all, bytes.at, kept);
    FUZZ_REQUIRE(goipc_crypto_seal_frame(crypto, key, nonce, 1, data, data_size, all + kept,
                                         capacity, &frame_size) == GOIPC_ERROR_OK);
    if (change % 2 != 0) {
        all[kept + change / 2 % frame_size] ^= 1;
    }
    free(data);
    *size = kept + frame_size;
    return all;
}

static fuzz_trace run(fuzz_bytes bytes, uint8_t choice, size_t chunk)
{
    const goipc_role role = choice & IS_CLIENT ? GOIPC_ROLE_CLIENT : GOIPC_ROLE_SERVER;
    fuzz_setup setup;
    fuzz_trace trace;
    goipc_session *session;

    fuzz_trace_init(&trace);
    fuzz_setup_read(&setup, &bytes, role);
    setup.memory.fail_at = 0; /* how often memory is asked for does depend on the cuts */
    if (choice & ENDS_LARGE) {
        setup.script.fail_at = 0; /* and in how many parts a frame is opened */
    }
    session = fuzz_setup_session(&setup);
    if (session == NULL) {
        trace.error = GOIPC_ERROR_MEMORY;
        return trace;
    }
    fuzz_run(&setup, session, bytes, chunk == 0 ? setup.chunk : chunk, &trace);
    fuzz_setup_end(&setup, session);
    return trace;
}

static void compare(const fuzz_trace *left, const fuzz_trace *right)
{
    FUZZ_REQUIRE(left->error == right->error);
    FUZZ_REQUIRE(left->connected == right->connected);
    FUZZ_REQUIRE(left->event_count == right->event_count);
    FUZZ_REQUIRE(left->events == right->events);
    FUZZ_REQUIRE(left->output == right->output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};
    uint8_t choice = fuzz_take_u8(&bytes);
    uint8_t *large = NULL;
    fuzz_trace whole, single, pieces;

    if (bytes.size < FUZZ_SETUP_SIZE + LARGE_CHOICES_SIZE) {
        choice &= IS_CLIENT;
    }
    if (choice & ENDS_LARGE) {
        bytes.at = large = end_large(bytes, &bytes.size);
    }
    whole = run(bytes, choice, SIZE_MAX);
    single = run(bytes, choice, 1);
    pieces = run(bytes, choice, 0);
    compare(&whole, &single);
    compare(&whole, &pieces);
    if (choice & ENDS_LARGE) {
        pieces = run(bytes, choice, 4096 + bytes.at[3] * (size_t)64);
        compare(&whole, &pieces);
    }
    free(large);
    return 0;
}
