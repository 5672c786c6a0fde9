# SPDX-License-Identifier: MIT
# Finds what the library links. Sets GOIPC_LIBRARIES (in link order), GOIPC_INCLUDE_DIRS, GOIPC_HAVE_OPENSSL, and for the
# installed package files GOIPC_PC_REQUIRES (pkg-config modules) and GOIPC_PC_LIBS.
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
        message(STATUS "OpenSSL 3 not found: goipc is built with libtomcrypt alone")
    endif()
endif()
if(NOT WIN32)
    list(APPEND GOIPC_LIBRARIES Threads::Threads)
else()
    # Randomness; tokens and access lists.
    list(APPEND GOIPC_LIBRARIES bcrypt advapi32)
    string(APPEND GOIPC_PC_LIBS " -lbcrypt -ladvapi32")
endif()
