/* SPDX-License-Identifier: MIT */
/* Property: whatever bytes a client sends, cut however, a server session neither crashes nor leaks
 * nor hangs; it delivers nothing before CONNECTED and nothing after an error, blames the peer (or a
 * fault that was scripted), wipes what it releases, and holds memory in proportion to what arrived,
 * never to what a length prefix claims. */
#include "fuzz.h"

/* Also: any configuration gives a session or is refused as an argument. */
static void check_config(fuzz_bytes bytes)
{
    /* Where size_t has 32 bits, less than the wire allows fits into memory. */
    const size_t size_max =
        SIZE_MAX / 4 < GOIPC_MESSAGE_SIZE_CEILING ? SIZE_MAX / 4 : GOIPC_MESSAGE_SIZE_CEILING;
    const goipc_session_config config = {
        .role = (goipc_role)(fuzz_take_u8(&bytes) % 3),
        .encryption = (goipc_encryption)(fuzz_take_u8(&bytes) % 4),
        .message_size_max = fuzz_take_u8(&bytes) * 0x01010101u,
    };
    const bool good =
        config.role <= GOIPC_ROLE_CLIENT && config.encryption <= GOIPC_ENCRYPTION_OFF &&
        (config.role != GOIPC_ROLE_SERVER || config.encryption != GOIPC_ENCRYPTION_OPTIONAL) &&
        config.message_size_max <= size_max;
    goipc_session *session;

    FUZZ_REQUIRE(goipc_session_new(&config, &session) ==
                 (good ? GOIPC_ERROR_OK : GOIPC_ERROR_ARGUMENT));
    FUZZ_REQUIRE(good == (session != NULL));
    goipc_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};
    fuzz_setup setup;
    fuzz_trace trace;
    goipc_session *session;

    check_config(bytes);
    fuzz_setup_read(&setup, &bytes, GOIPC_ROLE_SERVER);
    session = fuzz_setup_session(&setup);
    if (session == NULL) {
        return 0;
    }
    fuzz_trace_init(&trace);
    fuzz_run(&setup, session, bytes, setup.chunk, &trace);
    FUZZ_REQUIRE(setup.memory.live_max <= FUZZ_MEMORY_BASE + FUZZ_MEMORY_FACTOR * size);
    goipci_session_trim(session);
    fuzz_setup_end(&setup, session);
    return 0;
}
