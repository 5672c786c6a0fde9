# SPDX-License-Identifier: MIT
# Link-time optimisation of what programs link: a small message passes through five files, and the calls
# between them are a sixth of its instructions. With GCC alone, which puts ordinary code beside its own
# form (fat objects), so that the static library links with every compiler.
option(GOIPC_IPO "Optimise the library across its files, in optimised builds with GCC" ON)
set(GOIPC_HAVE_IPO OFF)
if(GOIPC_IPO AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE MATCHES "Rel"
    AND NOT CMAKE_CROSSCOMPILING AND NOT GOIPC_SANITIZE AND NOT GOIPC_COVERAGE)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT GOIPC_HAVE_IPO LANGUAGES C)
endif()

function(goipc_optimise_whole target)
    if(GOIPC_HAVE_IPO)
        set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
        target_compile_options(${target} PRIVATE -ffat-lto-objects)
    endif()
endfunction()
