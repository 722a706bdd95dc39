# Compiler flags every target shares, carried by the interface target sluice_flags.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(THREADS_PREFER_PTHREAD_FLAG ON)

option(SLUICE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(SLUICE_SANITIZE "" CACHE STRING "Comma list for -fsanitize=")

find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE)
  # ccache keeps what was compiled with a precompiled header only when told that its macros and time do not matter.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${SLUICE_CCACHE})
endif()

# Assertions (SLUICE_ASSERT) stay on in release; -O2 -g without NDEBUG.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g")

add_library(sluice_flags INTERFACE)
target_include_directories(sluice_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror
  -fno-omit-frame-pointer -fstack-protector-strong)
# x86-64-v2 (SSE4.2, POPCNT) is the oldest machine worth a sender; every server since 2010 has it.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(sluice_flags INTERFACE -march=x86-64-v2)
endif()
# A field that a designated initializer leaves out has the default its struct gives it: that is the idiom here.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(sluice_flags INTERFACE -Wno-missing-designated-field-initializers)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(sluice_flags INTERFACE -Wno-missing-field-initializers)
  # g++ 12 reports false positives here when coroutine frames are inlined (GCC bugs 105562, 108000).
  target_compile_options(sluice_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict -Wno-array-bounds
                                                -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(SLUICE_SANITIZE)
  # Reports name functions and lines; more debug information only takes time to make.
  target_compile_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -g1)
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
  target_compile_definitions(sluice_flags INTERFACE SLUICE_SANITIZED=1)
endif()
if(SLUICE_FUZZ)
  target_compile_options(sluice_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  find_program(SLUICE_LLD NAMES ld.lld-19 ld.lld)
  if(SLUICE_LLD)
    target_link_options(sluice_flags INTERFACE -fuse-ld=lld)
  endif()
endif()
