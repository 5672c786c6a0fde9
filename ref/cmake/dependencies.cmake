# SPDX-License-Identifier: MIT
# Finds what the library links. Sets GOIPC_LIBRARIES (in link order), GOIPC_INCLUDE_DIRS, GOIPC_HAVE_OPENSSL,
# GOIPC_HAVE_NETTLE, GOIPC_HAVE_IPSEC_MB, and for the installed package files GOIPC_PC_REQUIRES (pkg-config modules) and GOIPC_PC_LIBS.
if(NOT WIN32) # whose own threads need no library
    set(THREADS_PREFER_PTHREAD_FLAG ON)
    find_package(Threads REQUIRED)
endif()

# libtomcrypt ships no CMake package of its own in its 1.18 releases.
find_path(GOIPC_TOMCRYPT_INCLUDE_DIR tomcrypt.h)
find_library(GOIPC_TOMCRYPT_LIBRARY tomcrypt)
find_path(GOIPC_TOMMATH_INCLUDE_DIR tommath.h PATH_SUFFIXES libtommath)
find_library(GOIPC_TOMMATH_LIBRARY tommath)
mark_as_advanced(GOIPC_TOMCRYPT_INCLUDE_DIR GOIPC_TOMCRYPT_LIBRARY
    GOIPC_TOMMATH_INCLUDE_DIR GOIPC_TOMMATH_LIBRARY)
foreach(part TOMCRYPT_INCLUDE_DIR TOMCRYPT_LIBRARY TOMMATH_INCLUDE_DIR TOMMATH_LIBRARY)
    if(NOT GOIPC_${part})
        message(FATAL_ERROR "libtomcrypt or libtommath is missing (no GOIPC_${part}); "
            "Debian: apt install libtomcrypt-dev libtommath-dev")
    endif()
endforeach()

set(GOIPC_LIBRARIES ${GOIPC_TOMCRYPT_LIBRARY} ${GOIPC_TOMMATH_LIBRARY})
set(GOIPC_INCLUDE_DIRS ${GOIPC_TOMCRYPT_INCLUDE_DIR} ${GOIPC_TOMMATH_INCLUDE_DIR})
set(GOIPC_PC_LIBS "-ltomcrypt -ltommath")
set(GOIPC_PC_REQUIRES "")

set(GOIPC_HAVE_OPENSSL OFF)
set(GOIPC_NO_OPENSSL "_none") # the file that says so
if(GOIPC_OPENSSL)
    find_package(OpenSSL 3.0 QUIET COMPONENTS Crypto)
    if(OpenSSL_FOUND OR OPENSSL_FOUND)
        set(GOIPC_HAVE_OPENSSL ON)
        set(GOIPC_NO_OPENSSL "")
        list(APPEND GOIPC_LIBRARIES OpenSSL::Crypto)
        set(GOIPC_PC_REQUIRES "libcrypto >= 3.0")
    else()
        message(STATUS "OpenSSL 3 not found: goipc is built without it")
    endif()
endif()

# Finds the header and the library of every PART (name header library), each as GOIPC_<name>_INCLUDE_DIR and
# GOIPC_<name>_LIBRARY, and links them where all are there. Sets GOIPC_HAVE_<back end>.
function(goipc_find_back_end back_end title)
    set(GOIPC_HAVE_${back_end} OFF PARENT_SCOPE)
    if(NOT GOIPC_${back_end})
        return()
    endif()
    set(libraries ${GOIPC_LIBRARIES})
    set(directories ${GOIPC_INCLUDE_DIRS})
    set(pc_libs "${GOIPC_PC_LIBS}")
    foreach(part ${ARGN})
        string(REPLACE ":" ";" part ${part})
        list(GET part 0 name)
        list(GET part 1 header)
        list(GET part 2 library)
        find_path(GOIPC_${name}_INCLUDE_DIR ${header})
        find_library(GOIPC_${name}_LIBRARY ${library})
        mark_as_advanced(GOIPC_${name}_INCLUDE_DIR GOIPC_${name}_LIBRARY)
        if(NOT GOIPC_${name}_INCLUDE_DIR OR NOT GOIPC_${name}_LIBRARY)
            message(STATUS "${title} not found (${header}, ${library}): goipc is built without it")
            return()
        endif()
        list(APPEND libraries ${GOIPC_${name}_LIBRARY})
        list(APPEND directories ${GOIPC_${name}_INCLUDE_DIR})
        string(APPEND pc_libs " -l${library}")
    endforeach()
    set(GOIPC_LIBRARIES ${libraries} PARENT_SCOPE)
    set(GOIPC_INCLUDE_DIRS ${directories} PARENT_SCOPE)
    set(GOIPC_PC_LIBS "${pc_libs}" PARENT_SCOPE)
    set(GOIPC_HAVE_${back_end} ON PARENT_SCOPE)
endfunction()

goipc_find_back_end(NETTLE nettle HOGWEED:nettle/ecc.h:hogweed NETTLE:nettle/gcm.h:nettle GMP:gmp.h:gmp)
if(CMAKE_SIZEOF_VOID_P EQUAL 8 AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    goipc_find_back_end(IPSEC_MB "IPSec MB" IPSEC_MB:intel-ipsec-mb.h:IPSec_MB)
endif()
if(NOT WIN32)
    list(APPEND GOIPC_LIBRARIES Threads::Threads)
else()
    # Randomness; tokens and access lists.
    list(APPEND GOIPC_LIBRARIES bcrypt advapi32)
    string(APPEND GOIPC_PC_LIBS " -lbcrypt -ladvapi32")
endif()
