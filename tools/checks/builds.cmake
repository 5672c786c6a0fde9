# SPDX-License-Identifier: MIT
# What the checks use. Each is built once, before the first check that needs it, and holds no more than they need.
build(adapter "gcc builds the adapter of the reference without a warning" release TARGETS goipc-adapter-c)
build(release "gcc builds everything without a warning" release)
build(sanitize "clang builds everything without a warning, with its sanitizers" sanitize NEEDS clang)
build(tsan "gcc builds the tests of endpoints and threads with ThreadSanitizer" tsan TARGETS endpoint_tests)
check(build.go SETUP go EXPECT "the adapter over golang-ipc builds" COUNTS exit NEEDS go=golang-go COST 1000 LOCKS go
    COMMAND sh -c "cd conformance/adapters/go && go build -o ${root}/build/go/goipc-adapter-go .")
