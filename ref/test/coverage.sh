#!/bin/sh
# SPDX-License-Identifier: MIT
# Asks for every line and branch of the core to be taken by the tests of the core. Without assertions: a failed one is no
# branch that a test may take. A branch that no test can take says so on its line: GCOVR_EXCL_BR_LINE and the reason.
set -eu
cd "$(dirname "$0")/../.."
tests='^ref\.(error|wire|buffer|system|crypto.*|.*crypt_failures|(openssl|nettle|ipsec_mb)_failures|vectors|session.*)$'
tools/checks/build.sh coverage
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -R "$tests" -j "${GOIPC_JOBS:-2}" --output-on-failure --no-tests=error
exec gcovr --root . --filter ref/src/core/ --gcov-ignore-parse-errors=suspicious_hits.warn --txt-metric branch --txt - \
    --fail-under-branch 100 --fail-under-line 100 build/coverage/ref/CMakeFiles/goipc_testing.dir
