# SPDX-License-Identifier: MIT
# Library, header, CMake package, pkg-config file. What a static library needs besides itself becomes
# part of both package files; a shared one carries it.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/goipc)
set(BUILD_SHARED_LIBS_VALUE OFF)

# Whoever has only the static library needs all it is made of, also without pkg-config --static.
set(GOIPC_PC_CFLAGS " -DGOIPC_STATIC=1")
set(GOIPC_PC_STATIC_LIBS " ${GOIPC_PC_LIBS} -pthread")
set(GOIPC_PC_PRIVATE "Requires: ${GOIPC_PC_REQUIRES}")
if(BUILD_SHARED_LIBS)
    set(BUILD_SHARED_LIBS_VALUE ON)
    set(GOIPC_PC_CFLAGS "")
    set(GOIPC_PC_STATIC_LIBS "")
    set(GOIPC_PC_PRIVATE "Requires.private: ${GOIPC_PC_REQUIRES}\nLibs.private: ${GOIPC_PC_LIBS} -pthread")
endif()
# Relative to itself, so that it is right wherever cmake --install --prefix puts it.
set(GOIPC_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(GOIPC_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
set(GOIPC_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" AND NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    file(RELATIVE_PATH GOIPC_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    set(GOIPC_PC_PREFIX "\${pcfiledir}/${GOIPC_PC_UP}")
    set(GOIPC_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(GOIPC_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()

install(TARGETS goipc EXPORT goipc-targets)
# A target file of its own: it needs the libraries that a shared goipc has within itself.
install(TARGETS goipc_core EXPORT goipc-core-targets)
install(EXPORT goipc-core-targets NAMESPACE goipc:: DESTINATION ${config_dir})
install(FILES include/goipc.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT goipc-targets NAMESPACE goipc:: DESTINATION ${config_dir})
configure_package_config_file(cmake/goipc-config.cmake.in goipc-config.cmake
    INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/goipc-config-version.cmake
    VERSION ${PROJECT_VERSION} COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/goipc-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/goipc-config-version.cmake DESTINATION ${config_dir})
configure_file(cmake/goipc.pc.in goipc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/goipc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES doc/goipc.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES doc/goipc.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
