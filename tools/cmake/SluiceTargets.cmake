# Targets with a layer. A layer is a property; an arrow the table does not allow is a configure error.
#
#   sluice_library(net_smtp LAYER net SOURCES a.cc b.cc DEPS base EXTERNAL wolfssl)
#   sluice_program(sluice-load LAYER bench SOURCES main.cc DEPS engine_runtime)
#   sluice_test(net_smtp_client SOURCES client_test.cc DEPS net_smtp)          one gtest program, one ctest entry
#                                                                              (SHARDS N: N entries;
#                                                                              PRECOMPILED h: what all sources share)
#   sluice_fuzzer(smtp_reply SOURCES reply_fuzz.cc DEPS net_smtp)              with libFuzzer where a preset has it;
#                                                                              else a test with a few fixed inputs
find_package(Threads REQUIRED)

set(SLUICE_MAY_USE_base base)
set(SLUICE_MAY_USE_policy base policy)
set(SLUICE_MAY_USE_net base net)
set(SLUICE_MAY_USE_engine base policy net engine)
set(SLUICE_MAY_USE_tools base policy net engine tools)
set(SLUICE_MAY_USE_bench base policy net engine bench)
set(SLUICE_MAY_USE_tests base policy net engine tools bench tests)

function(sluice_check_layers name layer)
  if(NOT DEFINED SLUICE_MAY_USE_${layer})
    message(FATAL_ERROR "${name}: unknown layer '${layer}'")
  endif()
  foreach(dep IN LISTS ARGN)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "${name} (${layer}) names ${dep}, which is not defined yet: "
                          "either a typing error or an arrow that points upwards")
    endif()
    get_target_property(below ${dep} SLUICE_LAYER)
    if(NOT below IN_LIST SLUICE_MAY_USE_${layer})
      message(FATAL_ERROR "${name} (${layer}) may not use ${dep} (${below}); see docs/architecture.md, layers")
    endif()
  endforeach()
endfunction()

function(sluice_library name)
  cmake_parse_arguments(A "" "LAYER" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  sluice_check_layers(${name} ${A_LAYER} ${A_DEPS})
  add_library(${name} STATIC ${A_SOURCES})
  set_target_properties(${name} PROPERTIES SLUICE_LAYER ${A_LAYER})
  target_link_libraries(${name} PUBLIC sluice_flags ${A_DEPS} ${A_EXTERNAL})
endfunction()

# What runs on a customer's machine, and what measures it: all that sluice_program() makes.
add_custom_target(programs)

function(sluice_program name)
  cmake_parse_arguments(A "" "LAYER" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  sluice_check_layers(${name} ${A_LAYER} ${A_DEPS})
  add_executable(${name} ${A_SOURCES})
  set_target_properties(${name} PROPERTIES SLUICE_LAYER ${A_LAYER})
  target_link_libraries(${name} PRIVATE sluice_flags ${A_DEPS} ${A_EXTERNAL} Threads::Threads)
  add_dependencies(programs ${name})
  # A release is a tenth of the size without its symbols. Debuggers and perf find them beside it.
  if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND NOT SLUICE_SANITIZE AND CMAKE_OBJCOPY)
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND ${CMAKE_OBJCOPY} --only-keep-debug $<TARGET_FILE:${name}> $<TARGET_FILE:${name}>.debug
      COMMAND ${CMAKE_OBJCOPY} --strip-unneeded --add-gnu-debuglink=$<TARGET_FILE:${name}>.debug $<TARGET_FILE:${name}>
      VERBATIM)
  endif()
endfunction()

function(sluice_test name)
  cmake_parse_arguments(A "" "SHARDS;PRECOMPILED" "SOURCES;DEPS;EXTERNAL;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  sluice_check_layers(${name}_test tests ${A_DEPS})
  add_executable(${name}_test ${A_SOURCES})
  set_target_properties(${name}_test PROPERTIES SLUICE_LAYER tests RUNTIME_OUTPUT_DIRECTORY
                                                                   ${CMAKE_BINARY_DIR}/tests)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # EXPECT_ behind an if: g++ alone complains, and only tests do it.
    target_compile_options(${name}_test PRIVATE -Wno-dangling-else)
  endif()
  # What a test does itself takes no time, its compilation does: half of it with -Og, most of it under sanitizers.
  target_compile_options(${name}_test PRIVATE $<$<CONFIG:Debug>:-O0>)
  target_link_libraries(${name}_test PRIVATE sluice_flags ${A_DEPS} ${A_EXTERNAL} GTest::gmock GTest::gtest
                                             GTest::gtest_main Threads::Threads)
  if(A_PRECOMPILED)
    target_precompile_headers(${name}_test PRIVATE ${A_PRECOMPILED})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      target_compile_options(${name}_test PRIVATE "SHELL:-Xclang -fno-pch-timestamp") # for ccache
    endif()
  endif()
  if(NOT A_SHARDS)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
    set(tests ${name})
  else()
    # Long ones first: the others fit in beside them.
    foreach(shard RANGE 1 ${A_SHARDS})
      math(EXPR index "${shard} - 1")
      add_test(NAME ${name}_${shard} COMMAND ${name}_test)
      set_tests_properties(${name}_${shard} PROPERTIES TIMEOUT 900 COST 1000 ENVIRONMENT
                                                       "GTEST_TOTAL_SHARDS=${A_SHARDS};GTEST_SHARD_INDEX=${index}")
      list(APPEND tests ${name}_${shard})
    endforeach()
  endif()
  if(A_LABELS)
    set_tests_properties(${tests} PROPERTIES LABELS "${A_LABELS}")
  endif()
endfunction()

function(sluice_fuzzer name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  sluice_check_layers(${name}_fuzz tests ${A_DEPS})
  add_executable(${name}_fuzz ${A_SOURCES})
  set_target_properties(${name}_fuzz PROPERTIES SLUICE_LAYER tests RUNTIME_OUTPUT_DIRECTORY
                                                                   ${CMAKE_BINARY_DIR}/fuzz)
  target_link_libraries(${name}_fuzz PRIVATE sluice_flags ${A_DEPS} ${A_EXTERNAL})
  if(SLUICE_FUZZ)
    target_link_libraries(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  else()
    # Compiled by every preset and compiler: what breaks one shows where the change is made.
    target_link_libraries(${name}_fuzz PRIVATE fuzz_replay)
    target_compile_options(${name}_fuzz PRIVATE $<$<CONFIG:Debug>:-O0>)
    add_test(NAME fuzz_${name} COMMAND ${name}_fuzz)
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 60)
  endif()
endfunction()
