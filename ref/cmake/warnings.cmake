# SPDX-License-Identifier: MIT
# An interface target, linked PRIVATE: neither warnings nor instrumentation reach a consumer.
add_library(goipc_warnings INTERFACE)
target_compile_options(goipc_warnings INTERFACE
    $<$<C_COMPILER_ID:GNU,Clang,AppleClang>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion
        -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wcast-align
        -Wpointer-arith -Wundef -Wvla -Wswitch-enum -Wformat=2 -Wwrite-strings>
    $<$<C_COMPILER_ID:MSVC>:/W4>
    $<$<AND:$<BOOL:${GOIPC_WERROR}>,$<C_COMPILER_ID:GNU,Clang,AppleClang>>:-Werror>
    $<$<AND:$<BOOL:${GOIPC_WERROR}>,$<C_COMPILER_ID:MSVC>>:/WX>)
if(GOIPC_SANITIZE)
    target_compile_options(goipc_warnings INTERFACE -fsanitize=${GOIPC_SANITIZE}
        -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
    target_link_options(goipc_warnings INTERFACE -fsanitize=${GOIPC_SANITIZE})
endif()
if(GOIPC_COVERAGE)
    target_compile_options(goipc_warnings INTERFACE --coverage -fprofile-update=atomic -O0 -g)
    target_link_options(goipc_warnings INTERFACE --coverage)
endif()
