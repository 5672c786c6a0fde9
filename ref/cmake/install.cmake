# SPDX-License-Identifier: MIT
# Libraries, header, CMake package, pkg-config files, documents, examples. No file that is installed holds a path of this
# machine: a prefix can be moved, and packages can be built in one place and used in another.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/goipc)

# --- libraries: one export set each, so that a prefix may hold any of them ---
set(kinds ${libraries})
if(GOIPC_CORE)
    list(APPEND kinds goipc_core)
endif()
foreach(library ${kinds})
    get_target_property(kind ${library} EXPORT_NAME)
    install(TARGETS ${library} EXPORT goipc-${kind}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT goipc-${kind} NAMESPACE goipc:: FILE goipc-${kind}-targets.cmake DESTINATION ${config_dir})
endforeach()
install(FILES include/goipc.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# --- CMake package ---
configure_package_config_file(cmake/goipc-config.cmake.in goipc-config.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/goipc-config-version.cmake
    VERSION ${PROJECT_VERSION} COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/goipc-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/goipc-config-version.cmake DESTINATION ${config_dir})

# --- pkg-config: goipc.pc is the shared library, and with --static the archive; goipc-static.pc is the archive ---
set(GOIPC_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(GOIPC_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
set(GOIPC_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
# Relative to itself, so that it is right wherever cmake --install --prefix puts it.
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" AND NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    file(RELATIVE_PATH GOIPC_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    set(GOIPC_PC_PREFIX "\${pcfiledir}/${GOIPC_PC_UP}")
    set(GOIPC_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(GOIPC_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(names "")
foreach(name ${GOIPC_LINK_NAMES})
    if(NOT (name STREQUAL "crypto" AND GOIPC_PC_REQUIRES)) # libcrypto's own module names it
        string(APPEND names " -l${name}")
    endif()
endforeach()
string(APPEND names " -pthread")
set(archives "")
foreach(name ${GOIPC_ARCHIVE_NAMES})
    string(APPEND archives " -l${name}")
endforeach()

# Whoever has only the archive needs all it is made of, also without pkg-config --static.
set(archive_cflags " -DGOIPC_STATIC=1")
set(archive_rest "Requires: ${GOIPC_PC_REQUIRES}\nLibs.private:${archives}")
if(GOIPC_SHARED)
    set(GOIPC_PC_CFLAGS "")
    set(GOIPC_PC_LIBS "-lgoipc")
    set(GOIPC_PC_REST "Requires.private: ${GOIPC_PC_REQUIRES}\nLibs.private:${names}${archives}")
else()
    set(GOIPC_PC_CFLAGS "${archive_cflags}")
    set(GOIPC_PC_LIBS "-lgoipc${names}")
    set(GOIPC_PC_REST "${archive_rest}")
endif()
configure_file(cmake/goipc.pc.in goipc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/goipc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(GOIPC_STATIC)
    set(GOIPC_PC_CFLAGS "${archive_cflags}")
    set(GOIPC_PC_LIBS "-l:libgoipc.a${names}")
    if(APPLE) # whose linker looks for names only
        set(GOIPC_PC_LIBS "\${libdir}/libgoipc.a${names}")
    endif()
    set(GOIPC_PC_REST "${archive_rest}")
    configure_file(cmake/goipc.pc.in goipc-static.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/goipc-static.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

# --- documents ---
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
    ${PROJECT_SOURCE_DIR}/SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES example/echo_server.c example/echo_client.c example/eventloop.c example/libuv_client.c
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES doc/goipc.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
# A page for each function, which leads to the page of all.
file(STRINGS include/goipc.h declarations REGEX "goipc_[a-z0-9_]+\\(")
string(REGEX MATCHALL "GOIPC_API [^(]*goipc_[a-z0-9_]+\\(|GOIPC_MUST_USE [^(]*goipc_[a-z0-9_]+\\(" declarations
    "${declarations}")
foreach(declaration ${declarations})
    string(REGEX MATCH "goipc_[a-z0-9_]+\\($" function "${declaration}")
    string(REGEX REPLACE "\\($" "" function "${function}")
    set(page ${CMAKE_CURRENT_BINARY_DIR}/man3/${function}.3)
    file(CONFIGURE OUTPUT ${page} CONTENT ".so man3/goipc.3\n")
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
endforeach()
# The manual of the library as HTML, rendered from its header.
find_program(GOIPC_DOXYGEN doxygen)
find_package(Python3 QUIET COMPONENTS Interpreter)
mark_as_advanced(GOIPC_DOXYGEN)
option(GOIPC_DOCS "Render and install the manual of the library, where doxygen is found" ON)
if(GOIPC_DOCS AND GOIPC_DOXYGEN AND Python3_Interpreter_FOUND)
    set(pages ${CMAKE_CURRENT_BINARY_DIR}/api)
    add_custom_command(OUTPUT ${pages}/index.html
        COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/doc/api.py --output ${pages}
        DEPENDS include/goipc.h doc/api.py COMMENT "Rendering the manual of the library" VERBATIM)
    add_custom_target(goipc_pages ALL DEPENDS ${pages}/index.html)
    install(DIRECTORY ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
