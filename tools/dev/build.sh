# Sourced by ./dev and .ci/run: configure, build and test a preset of CMakePresets.json.

# Only when the presets changed or nothing is there yet: ninja notices every later change of a
# CMakeLists.txt itself.
configure_preset() {
  [[ ! $root/build/$1/build.ninja -nt $root/CMakePresets.json ]] || return 0
  (cd "$root" && cmake --preset "$1" --log-level=WARNING) >&2
}

# build_preset PRESET [TARGET...]
build_preset() {
  local preset=$1
  shift
  configure_preset "$preset" && ninja -C "$root/build/$preset" --quiet "$@" >&2
}

# Leaves the release binary at build/minerva: a hard link, so that a running one is not overwritten.
build_binary() {
  build_preset release minerva
  ln -f "$root/build/release/src/app/minerva" "$root/build/minerva"
}

# run_tests PRESET [ctest arguments]
run_tests() {
  local preset=$1
  shift
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  local symbolizer=external_symbolizer_path=/usr/bin/llvm-symbolizer-19
  export ASAN_OPTIONS=${ASAN_OPTIONS:-$symbolizer} TSAN_OPTIONS=${TSAN_OPTIONS:-$symbolizer}
  ctest --test-dir "$root/build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "$@"
}

# repeat_tests PRESET SECONDS [ctest arguments]: until one fails or the time is over.
repeat_tests() {
  local preset=$1 end=$((SECONDS + $2)) round=0
  shift 2
  while ((SECONDS < end)); do
    run_tests "$preset" --quiet "$@" || die "round $((round + 1)) failed"
    round=$((round + 1))
  done
  say "$round rounds of $preset tests passed"
}

# New inputs go to build/fuzz/corpus, so that a run does not change the tree; a finding stays beside
# them, and belongs into fuzz/corpus once it is mended.
fuzz_all() {
  local seconds=$1 fuzzer name found
  while read -r fuzzer; do
    name=$(basename "$fuzzer" _fuzz)
    found=$root/build/fuzz/corpus/$name
    mkdir -p "$found"
    say "fuzzing $name for $seconds s"
    "$fuzzer" -max_total_time="$seconds" -artifact_prefix="$found/" -print_final_stats=1 \
      "$found" "$root/fuzz/corpus/$name"
  done < <(find "$root/build/fuzz/src" "$root/build/fuzz/tests" -name '*_fuzz' -type f -executable)
}
