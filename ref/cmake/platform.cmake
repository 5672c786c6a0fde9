# SPDX-License-Identifier: MIT
# One set of files for each family of systems stands behind system.h, lock.h and transport.h; no other
# file knows which. GOIPC_POLLER is what endpoints wait with.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(socket linux)
    set(poller epoll)
elseif(APPLE OR CMAKE_SYSTEM_NAME MATCHES "BSD|DragonFly")
    set(socket bsd)
    set(poller kqueue)
else()
    set(socket bsd)
    set(poller poll)
endif()

if(WIN32)
    set(GOIPC_SYSTEM_SOURCES src/system_windows.c src/lock_windows.c)
    set(GOIPC_TRANSPORT_SOURCES src/identity_windows.c src/transport_windows.c
        src/poller_windows.c)
else()
    set(GOIPC_POLLER ${poller} CACHE STRING "What endpoints wait with: epoll, kqueue or poll")
    set(GOIPC_SYSTEM_SOURCES src/system_unix.c src/lock_unix.c)
    set(GOIPC_TRANSPORT_SOURCES src/socket_${socket}.c src/transport_unix.c
        src/poller_${GOIPC_POLLER}.c)
endif()

if(MSVC)
    add_compile_options(/experimental:c11atomics) # for <stdatomic.h>, from Visual Studio 2022 17.5 on
endif()
