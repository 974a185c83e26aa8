# One place for every compiler flag. Results must not depend on the compiler's mood: no contraction
# of a*b+c into an fma that the source does not ask for, no fast-math (docs/numerics.md).
add_compile_options(-Wall -Wextra -Wconversion -Werror -ffp-contract=off -fno-math-errno
                    -fno-omit-frame-pointer)
add_compile_definitions($<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these inside libstdc++ itself under -O2 with sanitizers or coroutines.
  add_compile_options(-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds
                      -Wno-restrict -Wno-dangling-pointer)
endif()
if(MINERVA_SANITIZE)
  # Line tables are all that a sanitizer's report needs, and half the size of -g to compile and link.
  # No NDEBUG: MINERVA_DCHECK is on.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
  add_compile_options(-fsanitize=${MINERVA_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MINERVA_SANITIZE})
endif()
if(MINERVA_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  find_program(LLD ld.lld-19 ld.lld)
  if(LLD)
    add_link_options(-fuse-ld=lld)
  endif()
endif()
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)
