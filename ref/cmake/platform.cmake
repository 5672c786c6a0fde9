# SPDX-License-Identifier: MIT
# The files of src/platform: what the core needs (core/system.h) and what endpoints need (clock.h,
# lock.h and transport.h of src/endpoint).
if(WIN32)
    set(GOIPC_SYSTEM_SOURCES src/platform/windows/system.c)
    set(GOIPC_PLATFORM_SOURCES
        src/platform/windows/clock.c
        src/platform/windows/lock.c
        src/platform/windows/identity.c
        src/platform/windows/transport.c
        src/platform/windows/listener.c
        src/platform/windows/poller.c)
else()
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        set(socket linux)
        set(poller epoll)
    elseif(APPLE OR CMAKE_SYSTEM_NAME MATCHES "BSD|DragonFly")
        set(socket bsd)
        set(poller kqueue)
    else()
        message(FATAL_ERROR "goipc has no poller for ${CMAKE_SYSTEM_NAME}, only for systems with epoll, "
            "kqueue or completion ports; the contract to fulfil is ref/src/endpoint/transport.h")
    endif()
    set(GOIPC_SYSTEM_SOURCES src/platform/unix/system.c)
    set(GOIPC_PLATFORM_SOURCES
        src/platform/unix/clock.c
        src/platform/unix/lock.c
        src/platform/unix/socket_${socket}.c
        src/platform/unix/transport.c
        src/platform/unix/listener.c
        src/platform/unix/poller_${poller}.c)
endif()

if(MSVC)
    add_compile_options(/experimental:c11atomics) # for <stdatomic.h>, from Visual Studio 2022 17.5 on
endif()
