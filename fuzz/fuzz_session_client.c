/* SPDX-License-Identifier: MIT */
/* Property: whatever bytes a server sends, cut however, a client session neither crashes nor leaks
 * nor hangs; it delivers nothing before CONNECTED and nothing after an error, blames the peer (or a
 * fault that was scripted), wipes what it releases, and holds memory in proportion to what arrived,
 * never to what a length prefix claims. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};
    fuzz_setup setup;
    fuzz_trace trace;
    goipc_session *session;

    fuzz_setup_read(&setup, &bytes, GOIPC_ROLE_CLIENT);
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
