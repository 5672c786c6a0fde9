/* SPDX-License-Identifier: MIT */
/* Property: what a session says and delivers does not depend on how its input was cut up. */
#include "fuzz.h"

static fuzz_trace run(fuzz_bytes bytes, goipc_role role, size_t chunk)
{
    fuzz_setup setup;
    fuzz_trace trace;
    goipc_session *session;

    fuzz_trace_init(&trace);
    fuzz_setup_read(&setup, &bytes, role);
    setup.memory.fail_at = 0; /* how often memory is asked for does depend on the cuts */
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
    const goipc_role role = fuzz_take_u8(&bytes) & 1 ? GOIPC_ROLE_CLIENT : GOIPC_ROLE_SERVER;
    const fuzz_trace whole = run(bytes, role, SIZE_MAX);
    const fuzz_trace single = run(bytes, role, 1);
    const fuzz_trace pieces = run(bytes, role, 0);

    compare(&whole, &single);
    compare(&whole, &pieces);
    return 0;
}
