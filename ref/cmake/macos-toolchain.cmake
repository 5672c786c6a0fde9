# SPDX-License-Identifier: MIT
# macOS from another system with Zig's C compiler, which brings the system's headers and library stubs.
# GOIPC_ZIG is the zig program, GOIPC_MACOS_ARCHITECTURE x86_64 or aarch64; wrappers are written to the build directory
# because CMake takes only single words for the archiver.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${GOIPC_MACOS_ARCHITECTURE})
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GOIPC_ZIG GOIPC_MACOS_ARCHITECTURE)

set(wrappers ${CMAKE_BINARY_DIR}/zig)
foreach(tool ar ranlib)
    if(NOT EXISTS ${wrappers}/${tool})
        file(WRITE ${wrappers}/${tool} "#!/bin/sh\nexec '${GOIPC_ZIG}' ${tool} \"$@\"\n")
        file(CHMOD ${wrappers}/${tool} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    endif()
endforeach()
set(CMAKE_C_COMPILER ${GOIPC_ZIG} cc)
set(CMAKE_C_COMPILER_TARGET ${GOIPC_MACOS_ARCHITECTURE}-macos)
set(CMAKE_AR ${wrappers}/ar)
set(CMAKE_RANLIB ${wrappers}/ranlib)
set(CMAKE_OSX_SYSROOT "")
# Only for installing, which nobody does from here; CMake insists on finding one.
set(CMAKE_INSTALL_NAME_TOOL /bin/true)
set(CMAKE_FIND_ROOT_PATH ${CMAKE_CURRENT_LIST_DIR}/../../build/macos/${GOIPC_MACOS_ARCHITECTURE}/deps)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_CURRENT_LIST_DIR}/../../build/macos/${GOIPC_MACOS_ARCHITECTURE}/deps/lib/pkgconfig) # and nothing of this system
