# SPDX-License-Identifier: MIT
# The specification, the conformance suite and the implementations that it judges.
foreach(row
        "requirements|requirements.py --check|every sentence with MUST has its ID, and every ID its sentence"
        "generated|generate.py --check|what is generated from the specification is fresh"
        "text|check.py --text|the specification is consistent"
        "vectors|vectors.py --check|the vectors are fresh, and hold for another cryptography"
        "header|header.py --check|header and specification say the same"
        "abnf|check_abnf.py|the grammar takes the vectors"
        "ksy|check_ksy.py|the Kaitai description takes the vectors"
        "lua|check_lua.py|the dissector for Wireshark shows the vectors"
        "go|check_go.py|the vectors hold for Go's cryptography")
    string(REPLACE "|" ";" row "${row}")
    list(GET row 0 part)
    list(GET row 1 command)
    list(GET row 2 expect)
    separate_arguments(command)
    set(sets quick)
    if(part MATCHES "ksy|lua") # with programs that only --all installs
        set(sets default)
    endif()
    check(spec.${part} SETS ${sets} EXPECT ${expect} COMMAND ${python} spec/tools/${command})
endforeach()
check(spec.coverage SETS quick EXPECT "every requirement is joined with code, tests and cases" LOCKS docs
    COMMAND ${python} spec/tools/check.py --coverage)

# The suite as others install and run it takes long, and has caught little.
set(installed test_packaging test_ci_files test_tutorial)
list(TRANSFORM installed REPLACE "(.+)" "--ignore=conformance/tests/\\1.py")
pytest(conformance.tests SETS default EXPECT "the suite does what its own tests ask for" BUILDS adapter go COST 250
    TIMEOUT 1800 TESTS conformance/tests ${installed})
check(conformance.register SETS quick EXPECT "every case is registered" COMMAND ${suite} register --check)
check(conformance.doctor.c SETS quick EXPECT "the adapter of the reference is sound" BUILDS adapter
    COMMAND ${suite} doctor -- ${adapter_c})
check(conformance.doctor.go SETS default EXPECT "the adapter over golang-ipc is sound" BUILDS go NEEDS go=golang-go
    COMMAND ${suite} doctor -- ${adapter_go})
check(conformance.doctor.python SETS quick EXPECT "the adapter of the implementation in Python is sound"
    COMMAND ${suite} doctor -- ${python} conformance/adapters/python/adapter.py)
check(conformance.mutants SETS quick EXPECT "every planted fault still applies" COMMAND ${python} conformance/mutants/run.py --check)
check(conformance SETS default EXPECT "the reference passes the suite, and golang-ipc deviates as recorded"
    BUILDS adapter go LOCKS conformance COST 200 TIMEOUT 900 COMMAND ${suite} project --root . --quiet)
check(generated.reference SETS quick EXPECT "generated conversations find nothing in the reference" BUILDS adapter
    COST 30 COMMAND ${suite} generate --profile quick -- ${adapter_c})
pytest(adapter-python.tests SETS quick EXPECT "the package for Python does what its tests ask for, and its types hold"
    TESTS ports/python/tests) # alone, since pytest reads the settings beside the tests
pytest(adapter-windows.tests SETS quick EXPECT "the adapter over Wine does what its tests ask for"
    TESTS conformance/adapters/windows)
check(adapter-python.suite SETS default EXPECT "the package for Python passes every case" COST 150 TIMEOUT 900
    COMMAND ${suite} run --strict --quiet --isolate connection -- ${python} conformance/adapters/python/adapter.py)
set(node_suite ${suite} run --strict --quiet)
set(node_adapter node ports/node/conformance/adapter.js)
check(node.tests SETS default EXPECT "the package for Node does what its tests ask for, and its types hold" NEEDS node npm
    BUILDS go COST 60 TIMEOUT 900 COMMAND ${python} ports/node/check.py tests)
check(node.suite.part SETS default EXPECT "the package for Node passes the cases of the plain exchange" NEEDS node COST 30
    COMMAND ${node_suite} "hs.complete" "frame.*" "api.*" "codec.*" -- ${node_adapter})
check(interop.go SETS quick EXPECT "Go is laid out and vetted, and its tests pass" NEEDS go=golang-go BUILDS go
    COMMAND ${python} interop/check_go.py)
pytest(interop.tests SETS quick EXPECT "the exchanges are judged rightly" BUILDS adapter go LOCKS interop TESTS interop)
check(interop.quick SETS quick EXPECT "goipc and golang-ipc exchange messages, both ways" NEEDS go=golang-go
    BUILDS adapter go LOCKS interop
    COMMAND ${python} interop/run.py --quick --plain --results build/interop/results-quick.json)

# ---- all --------------------------------------------------------------------------------------------
pytest(adapter-python.acceptance EXPECT "the built wheel, golang-ipc's own programs, and a chat of all languages"
    NEEDS go=golang-go BUILDS adapter go COST 100 TIMEOUT 900 TESTS ports/python/acceptance)
check(adapter-python.processes EXPECT "the package for Python passes every case in a process of its own" COST 300
    TIMEOUT 1800
    COMMAND ${suite} run --strict --quiet -- ${python} conformance/adapters/python/adapter.py)
list(TRANSFORM installed REPLACE "--ignore=" "")
pytest(conformance.installed EXPECT "the suite works as a wheel, in the jobs of others and as the tutorial says"
    BUILDS adapter go COST 100 TIMEOUT 1800 TESTS ${installed})
pytest(spec.selftest EXPECT "the tools of the specification do what their tests ask for" TESTS spec/tools/test)
check(spec.docs EXPECT "the rendered specification is whole" LOCKS docs COMMAND ${python} spec/tools/check_docs.py)
check(interop.full EXPECT "goipc and golang-ipc exchange every kind of message, both ways" NEEDS go=golang-go
    BUILDS adapter go LOCKS interop COMMAND ${python} interop/run.py --plain)
check(results EXPECT "README.md says what the last complete runs gave" AFTER conformance interop.full windows
    COMMAND ${python} ref/doc/documents.py --results)
check(conformance.mutants.killed EXPECT "every planted fault is found by the suite" LOCKS mutants ALONE TIMEOUT 3600
    COMMAND ${python} conformance/mutants/run.py)
check(conformance.fork EXPECT "the fork deviates as recorded" NEEDS go=golang-go BUILDS adapter go LOCKS conformance
    TIMEOUT 1200 COMMAND ${suite} project --root . --quiet --only golang-ipc-joe-at-startupmedia-1.3.5)
check(conformance.stability EXPECT "ten runs of the suite say the same" BUILDS adapter ALONE TIMEOUT 3600
    COMMAND ${python} conformance/stability.py --times 10 -- ref)
check(generated.reference.long EXPECT "2,000 generated conversations find nothing in the reference" BUILDS adapter
    COST 600 TIMEOUT 3600
    COMMAND ${suite} generate --examples 2000 --seed 2 -- ${adapter_c} --crypto tomcrypt)
check(generated.golang-ipc EXPECT "the known faults of golang-ipc are found" NEEDS go=golang-go BUILDS go COST 120
    TIMEOUT 900
    COMMAND ${suite} generate --role server --examples 800 --must-find "crashed after bad-length.zero"
    --must-find "crashed after bad-length.short" --must-find "crashed after bad-handshake.key-off-curve"
    --must-find "refused-new-peer after bad-handshake" -- ${adapter_go})
check(node.versions EXPECT "the package passes its tests on the oldest Node that it is for, and on the newest" NEEDS node npm
    BUILDS go COST 120 TIMEOUT 1800 COMMAND ${python} ports/node/check.py tests 18 latest)
check(node.suite EXPECT "the package for Node passes every case" NEEDS node COST 150 TIMEOUT 1200
    COMMAND ${node_suite} -- ${node_adapter})
check(node.fuzz EXPECT "a minute of inputs drawn at random finds nothing in the package for Node" NEEDS node npm COST 60
    COMMAND ${python} ports/node/check.py fuzz 60)
check(node.windows EXPECT "the package for Node exchanges messages over named pipes, under Wine" LOCKS cross interop
    AFTER windows COST 300 TIMEOUT 3600 NEEDS npm x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64 wine wineserver=wine64
    COMMAND sh -c "sh ref/platforms/windows/build.sh && exec ${python} ports/node/check.py windows")
