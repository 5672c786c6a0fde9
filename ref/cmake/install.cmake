# SPDX-License-Identifier: MIT
# Library, header, CMake package, pkg-config file. What a static library needs besides itself becomes
# part of both package files; a shared one carries it.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/goipc)
set(BUILD_SHARED_LIBS_VALUE OFF)
set(GOIPC_PC_CFLAGS " -DGOIPC_STATIC=1")
set(GOIPC_PC_PRIVATE "Requires: ${GOIPC_PC_REQUIRES}\nLibs.private: ${GOIPC_PC_LIBS} -pthread")
if(BUILD_SHARED_LIBS)
    set(BUILD_SHARED_LIBS_VALUE ON)
    set(GOIPC_PC_CFLAGS "")
    set(GOIPC_PC_PRIVATE "Requires.private: ${GOIPC_PC_REQUIRES}\nLibs.private: ${GOIPC_PC_LIBS} -pthread")
endif()

install(TARGETS goipc EXPORT goipc-targets)
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
