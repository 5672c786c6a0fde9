# SPDX-License-Identifier: MIT
# The reference, its documents, and the tools themselves.
pytest(tools SETS quick EXPECT "the tools do what their tests ask for" TESTS tools fuzz ref/test/test_msvc.py ref/platforms)
ctest(ctest.release release SETS quick EXPECT "every C test passes in the build that programs link" BUILDS release
    COST 60 TIMEOUT 900)
ctest(ctest.sanitize sanitize SETS default NEEDS clang BUILDS sanitize COST 120 TIMEOUT 1200
    EXPECT "every C test passes with clang's AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer")
ctest(ctest.tsan tsan SETS default EXPECT "no data race in the tests of endpoints and threads" BUILDS tsan COST 120
    TIMEOUT 1200 BEFORE tools/checks/steady.sh CTEST -L endpoint)
check(documents SETS quick EXPECT "the programs and commands in the documents are real" BUILDS release
    COMMAND ${python} ref/doc/documents.py)
check(ref.api SETS quick EXPECT "the header describes every function, parameter, error and member"
    COMMAND ${python} ref/doc/api.py --check)
check(ref.storeys SETS quick EXPECT "includes and calls point from platform to endpoint to core" BUILDS release
    COMMAND ${python} tools/storeys.py)
check(ref.size SETS quick EXPECT "the core is as large as ref/doc/size.md says" BUILDS release
    COMMAND ${python} ref/doc/size.py --check)
check(ref.nist SETS quick EXPECT "every back end gives the answers of NIST's vectors" BUILDS release
    COMMAND ${python} ref/test/nist.py)
check(bench.guard SETS default EXPECT "a message costs no more instructions, system calls and allocations than recorded"
    NEEDS valgrind BUILDS release LOCKS bench COMMAND ${python} ref/bench/guard.py)
pytest(bench.tests SETS quick EXPECT "the bench's own arithmetic is right" BUILDS release LOCKS bench TESTS ref/bench)
check(fuzz SETS default EXPECT "no fuzz target finds anything, but the one with a planted fault does" NEEDS clang
    BUILDS sanitize LOCKS fuzz COST 60 COMMAND ${python} fuzz/run.py --seconds 5)

# ---- all: long, or caught nothing that the above does not catch --------------------------------------
build(asan "gcc builds everything with AddressSanitizer" asan)
build(tsan.whole "gcc builds everything with ThreadSanitizer" tsan)
build(valgrind "gcc builds everything without optimisation" valgrind)
ctest(ctest.asan asan EXPECT "every C test passes with gcc's AddressSanitizer" BUILDS asan COST 200 TIMEOUT 1800)
ctest(ctest.tsan.whole tsan EXPECT "no data race in any C test" BUILDS tsan.whole COST 300 TIMEOUT 1800 BEFORE tools/checks/steady.sh)
# With fewer repetitions: GOIPC_TEST_SLOW.
ctest(valgrind valgrind EXPECT "memcheck finds nothing in any C test" NEEDS valgrind BUILDS valgrind COST 600
    TIMEOUT 2400 BEFORE env GOIPC_TEST_SLOW=1 CTEST -LE "no-valgrind|install")
ctest(soak release EXPECT "100,000 hostile connections, 10,000 reconnects and 1,000 kills of each side are survived"
    BUILDS release ALONE TIMEOUT 3600 CTEST -C soak -L soak)
check(consumers EXPECT "programs of every kind of build find and link goipc" COUNTS exit NEEDS meson COST 300 TIMEOUT 1800
    COMMAND sh -c "ref/test/test_install.sh \"$PWD\" \"$PWD/build/consumers\" all")
check(musl EXPECT "the library and the program work with musl, without shared libraries" COUNTS exit NEEDS musl-gcc=musl-tools
    LOCKS cross COST 300 TIMEOUT 1800 COMMAND sh -c "ref/test/test_musl.sh \"$PWD/build/musl-test\"")
check(ref.coverage EXPECT "every branch of the layers without an operating system is taken by a test" COST 120
    TIMEOUT 900 COUNTS exit COMMAND ref/test/coverage.sh)
check(constant_time EXPECT "no branch and no address depends on a secret" NEEDS valgrind BUILDS release COUNTS exit
    COMMAND build/release/ref/test/test_constant_time ref/test/constant_time.supp)
check(fuzz.long EXPECT "no fuzz target finds anything in ten minutes" NEEDS clang BUILDS sanitize LOCKS fuzz ALONE
    TIMEOUT 9000 COMMAND ${python} fuzz/run.py --seconds 600 --record build/fuzz-figures.json)
check(fuzz.coverage EXPECT "the corpora reach 95 % of the core" NEEDS clang llvm-cov=llvm COST 60 AFTER fuzz
    COMMAND ${python} fuzz/run.py --coverage)
check(inject EXPECT "the program survives every system call that fails" NEEDS strace BUILDS asan COST 300 TIMEOUT 2400
    COMMAND ${python} ref/test/inject.py)
foreach(part exhaustive contracts model)
    check(proofs.${part} EXPECT "what is proved holds, and fails where the proof is broken on purpose" COST 200
        TIMEOUT 1800 COMMAND ${python} proofs/run.py --only ${part})
endforeach()
