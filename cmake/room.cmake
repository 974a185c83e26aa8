# minerva_room(NAME [DEPS target...] [SYSTEM target...])
#
# One target a room (ARCHITECTURE.md). Every x.cc of the folder that calls it belongs to the library
# minerva_NAME; x_test.cc to the test program NAME_test, x_bench.cc to NAME_bench, and x_fuzz.cc is
# a fuzz entry of its own: a libFuzzer binary with -DMINERVA_FUZZ=ON, and in every other build a
# program that replays its corpus (fuzz/corpus/x) in the ordinary test run.
#
# Targets over all rooms: minerva_tests, minerva_tests_LABEL (fast, threads, slow, ...),
# minerva_fuzzers, minerva_benches. .ci/run builds only those of the tests that it then runs.

# Rooms whose own tests start threads: these run under ThreadSanitizer (label threads).
set(MINERVA_ROOMS_WITH_THREADS base engine process backend child native fake models serve http)

add_custom_target(minerva_tests)
add_custom_target(minerva_fuzzers)
add_custom_target(minerva_benches)

function(minerva_room name)
  cmake_parse_arguments(ARG "" "" "DEPS;SYSTEM;TEST_DEPS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cc)
  # A folder with a CMakeLists.txt of its own is a room of its own (backend/native and so on).
  file(GLOB subrooms RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} */CMakeLists.txt)
  foreach(sub ${subrooms})
    get_filename_component(dir ${sub} DIRECTORY)
    list(FILTER all EXCLUDE REGEX "^${dir}/")
  endforeach()
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cc$")
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    list(FILTER sources EXCLUDE REGEX "_linux\\.cc$")
  endif()

  if(sources)
    add_library(minerva_${name} STATIC ${sources})
    target_include_directories(minerva_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(minerva_${name} PUBLIC ${ARG_DEPS} ${ARG_SYSTEM})
  else()
    add_library(minerva_${name} INTERFACE)
    target_include_directories(minerva_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(minerva_${name} INTERFACE ${ARG_DEPS} ${ARG_SYSTEM})
  endif()

  if(MINERVA_TESTS AND tests)
    set(labels fast)
    if(name IN_LIST MINERVA_ROOMS_WITH_THREADS)
      list(APPEND labels threads)
    endif()
    minerva_test(${name}_test SOURCES ${tests} DEPS minerva_${name} ${ARG_TEST_DEPS}
                 LABEL ${labels})
  endif()
  if(MINERVA_TESTS)
    foreach(fuzzer ${fuzzers})
      get_filename_component(stem ${fuzzer} NAME_WE)
      minerva_fuzzer(${stem} ${fuzzer} minerva_${name} ${ARG_TEST_DEPS})
    endforeach()
  endif()
  if(MINERVA_TESTS AND benches)
    add_executable(${name}_bench EXCLUDE_FROM_ALL ${benches})
    target_link_libraries(${name}_bench PRIVATE minerva_${name} ${ARG_TEST_DEPS} minerva_gbench)
    add_dependencies(minerva_benches ${name}_bench)
  endif()
endfunction()

# minerva_test(NAME SOURCES file... DEPS target... [LABEL label...] [TIMEOUT seconds] [BINARY])
#
# Labels: fast (the default: part of ./dev test), slow and external (only ./dev test --all, and one
# at a time, since they may measure), threads (also under ThreadSanitizer). BINARY: the test starts
# the minerva binary, whose path it gets as the macro MINERVA_BINARY.
function(minerva_test name)
  cmake_parse_arguments(ARG "BINARY" "TIMEOUT" "SOURCES;DEPS;LABEL" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_definitions(${name} PRIVATE MINERVA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} minerva_gtest)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  minerva_test_properties(${name} "${ARG_LABEL}" "${ARG_TIMEOUT}")
  if(ARG_BINARY)
    target_compile_definitions(${name} PRIVATE MINERVA_BINARY="$<TARGET_FILE:minerva>")
    add_dependencies(${name} minerva)
  endif()
  minerva_count_test(${name} "${ARG_LABEL}")
endfunction()

# minerva_script_test(NAME SCRIPT file [LABEL label...] [TIMEOUT seconds])
#
# A test in Python, run from the source root with MINERVA_PYTHON where ./dev set it (the environment
# with the packages of tools/packages/python.txt), else python3. Its minerva is MINERVA_BINARY.
# Exit code 77 after a line "NOT RUN: reason" counts as skipped.
function(minerva_script_test name)
  cmake_parse_arguments(ARG "" "SCRIPT;TIMEOUT" "LABEL" ${ARGN})
  add_test(NAME ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
           COMMAND sh -c "exec \"\${MINERVA_PYTHON:-python3}\" \"$1\"" sh
                   ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT})
  minerva_test_properties(${name} "${ARG_LABEL}" "${ARG_TIMEOUT}")
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
  if(TARGET minerva)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT MINERVA_BINARY=$<TARGET_FILE:minerva>)
  endif()
endfunction()

function(minerva_test_properties name labels timeout)
  if(NOT labels)
    set(labels fast)
  endif()
  # The longest takes 70 s under AddressSanitizer on two idle processors; a machine may be slower.
  if(NOT timeout)
    set(timeout 900)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout})
  if("slow" IN_LIST labels OR "external" IN_LIST labels)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

# Puts a test program into the targets over all rooms.
function(minerva_count_test name labels)
  if(NOT labels)
    set(labels fast)
  endif()
  add_dependencies(minerva_tests ${name})
  foreach(label ${labels})
    if(NOT TARGET minerva_tests_${label})
      add_custom_target(minerva_tests_${label})
    endif()
    add_dependencies(minerva_tests_${label} ${name})
  endforeach()
endfunction()

# A fuzz entry: libFuzzer binary, or a replay of its corpus as a test.
function(minerva_fuzzer stem source)
  string(REGEX REPLACE "_fuzz$" "" what ${stem})
  set(corpus ${PROJECT_SOURCE_DIR}/fuzz/corpus/${what})
  if(MINERVA_FUZZ)
    add_executable(${stem} ${source})
    target_link_libraries(${stem} PRIVATE ${ARGN})
    target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
    add_dependencies(minerva_fuzzers ${stem})
  else()
    add_executable(${stem}_replay ${source} ${PROJECT_SOURCE_DIR}/fuzz/replay_main.cc)
    target_link_libraries(${stem}_replay PRIVATE ${ARGN})
    add_test(NAME ${stem}_replay COMMAND ${stem}_replay ${corpus})
    minerva_test_properties(${stem}_replay "fast;fuzz" 300)
    minerva_count_test(${stem}_replay "fast;fuzz")
  endif()
endfunction()
