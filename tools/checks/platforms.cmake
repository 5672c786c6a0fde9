# SPDX-License-Identifier: MIT
# Other systems and processors; none of it is part of the default set.
set(windows_needs x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64 wine wineserver=wine64)
set(windows LOCKS wine interop BUILDS windows NEEDS ${windows_needs})
set(under_wine ${python} ref/platforms/windows/under_wine.py)
set(adapter_windows build/windows/static/conformance/goipc-adapter-c.exe)
check(build.windows SETUP windows EXPECT "mingw-w64 builds everything for Windows without a warning" COUNTS exit
    NEEDS ${windows_needs} LOCKS cross TIMEOUT 1800 COMMAND ref/platforms/windows/build.sh)
check(windows.msvc EXPECT "no source for Windows uses what Microsoft's compiler refuses" BUILDS windows
    NEEDS clang ${windows_needs} COMMAND ${python} ref/test/msvc.py)
ctest(windows.unit windows/static EXPECT "the C tests pass under Wine" ${windows} COST 200 TIMEOUT 1800 EACH 1800
    BEFORE ${under_wine} CTEST -L unit)
check(windows.cli EXPECT "goipc.exe works, static and with the DLL" ${windows}
    COMMAND ${under_wine} ${python} -m pytest -q -p no:cacheprovider --junit-xml={junit} ref/platforms/windows/check_cli.py)
# A handshake under Wine takes some 30 ms.
check(windows.interop EXPECT "goipc and golang-ipc exchange messages under Wine" ${windows} COST 300 TIMEOUT 900
    COMMAND ${under_wine} ${python} interop/run.py --wine --plain -j 2 --handshakes 300 --adapter ${adapter_windows})
check(windows.interop-dll EXPECT "the DLL and golang-ipc exchange messages under Wine" ${windows} COST 300 TIMEOUT 900
    COMMAND ${under_wine} ${python} interop/run.py --wine --plain -j 2 --quick --results build/windows/interop-dll.json
    --adapter build/windows/dll/bin/goipc-adapter-c.exe)
# What cannot be seen through the relay.
set(not_visible
    "res.*: the suite measures the process it talks to, which is not the one under Wine"
    "end.in-use: about a file in the way of a socket. test_endpoints_windows.c asks it of a pipe"
    "end.occupied: about a file in the way of a socket"
    "end.removed: about the file of a socket"
    "close.no-reset: a pipe has no half and no reset. A reset seen here is that of the relay's socket"
    "end.name.too-long: about the longest path of a socket. test_transport_windows.c asks it of a pipe")
list(TRANSFORM not_visible REPLACE "^([^:]*):.*" "!\\1" OUTPUT_VARIABLE left_out)
# Starting a program under Wine takes long on a busy machine, hence the scale; it changes nothing that is asked.
check(windows.suite EXPECT "the library for Windows passes the suite under Wine" ${windows} COST 1200 TIMEOUT 2700
    SKIPS ${not_visible}
    COMMAND ${under_wine} ${suite} run -q -j 3 --timeout-scale 10 --json build/windows/conformance.json
    --expect conformance/adapters/windows/relay.toml ${left_out} -- ${python} conformance/adapters/windows/adapter.py
    ${adapter_windows})
check(macos EXPECT "everything builds for macOS on both processors, and the library for FreeBSD" LOCKS cross COST 300 TIMEOUT 1800
    COMMAND ${python} ref/platforms/macos/run.py)
foreach(row "msan|clang" "i686|i686-linux-gnu-gcc=gcc-i686-linux-gnu"
        "s390x|s390x-linux-gnu-gcc=gcc-s390x-linux-gnu;qemu-s390x=qemu-user")
    string(REPLACE "|" ";" row "${row}")
    list(POP_FRONT row target)
    # The limits are for a wedge, not for a slow machine: an emulator on a busy one needs half an hour for one test.
    ctest(emulation.${target} ${target} EXPECT "the tests and corpora of the core pass as ${target}" NEEDS ${row}
        LOCKS cross COST 1000 TIMEOUT 10800 EACH 5400 BEFORE ref/platforms/emulation/run.sh ${target} CTEST -L core)
endforeach()
