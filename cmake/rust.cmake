# The one Rust static library (rust/), built by cargo as an IMPORTED target: minerva_rust.
#
# All build trees share one cargo folder: sanitizers and compilers of C++ do not reach into Rust, so
# that the crates are compiled once (cargo locks the folder against a second build).
set(MINERVA_CARGO_DIR "${PROJECT_SOURCE_DIR}/build/cargo" CACHE PATH "cargo's target folder")

find_program(MINERVA_CARGO cargo HINTS $ENV{CARGO_HOME}/bin $ENV{HOME}/.cargo/bin REQUIRED)

set(minerva_rust_dir ${PROJECT_SOURCE_DIR}/rust)
set(minerva_rust_lib ${MINERVA_CARGO_DIR}/release/libminerva_rust.a)

# The touch is for ninja: cargo leaves a fresh library as old as it was. Flags and the job server of
# whoever called ninja are not for cargo.
add_custom_command(
  OUTPUT ${minerva_rust_lib}
  COMMAND ${CMAKE_COMMAND} -E env --unset=RUSTFLAGS --unset=MAKEFLAGS
          ${MINERVA_CARGO} build --quiet --release --locked
          --manifest-path ${minerva_rust_dir}/Cargo.toml --target-dir ${MINERVA_CARGO_DIR}
  COMMAND ${CMAKE_COMMAND} -E touch ${minerva_rust_lib}
  DEPENDS ${minerva_rust_dir}/Cargo.toml ${minerva_rust_dir}/Cargo.lock
  DEPFILE ${MINERVA_CARGO_DIR}/release/libminerva_rust.d
  COMMENT "Building the Rust library with cargo"
  USES_TERMINAL
  VERBATIM)
add_custom_target(minerva_rust_build DEPENDS ${minerva_rust_lib})

add_library(minerva_rust STATIC IMPORTED GLOBAL)
set_target_properties(minerva_rust PROPERTIES
  IMPORTED_LOCATION ${minerva_rust_lib}
  INTERFACE_INCLUDE_DIRECTORIES ${minerva_rust_dir}/include
  INTERFACE_LINK_LIBRARIES "Threads::Threads;m;dl;rt;gcc_s")
add_dependencies(minerva_rust minerva_rust_build)
