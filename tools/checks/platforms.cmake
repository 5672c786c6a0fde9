# SPDX-License-Identifier: MIT
# Other systems and processors; none of it is part of the default set.
check(windows EXPECT "the build for Windows works under Wine" LOCKS cross interop COST 1500 TIMEOUT 3600
    NEEDS x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64 wine wineserver=wine64 COMMAND ${python} tools/windows/run.py)
check(macos EXPECT "everything builds for macOS on both processors" LOCKS cross COST 300 TIMEOUT 1800
    COMMAND ${python} tools/macos/run.py)
foreach(row "msan|clang" "i686|i686-linux-gnu-gcc=gcc-i686-linux-gnu"
        "s390x|s390x-linux-gnu-gcc=gcc-s390x-linux-gnu")
    string(REPLACE "|" ";" row "${row}")
    list(GET row 0 target)
    list(GET row 1 needs)
    check(emulation.${target} EXPECT "the tests and corpora of the core pass as ${target}" NEEDS ${needs} LOCKS cross
        COST 1000 TIMEOUT 10800 COMMAND ${python} tools/emulation/run.py ${target})
endforeach()
