# Sourced by ./dev: clang-format, rustfmt and clang-tidy.

# What git has or would take, less what was just removed.
cpp_sources() {
  (cd "$root" && git ls-files -co --exclude-standard -- '*.cc' '*.h' | xargs -r ls -d 2>/dev/null) ||
    true
}

format_sources() {
  local cpp=(-i) rust=()
  case ${1:-} in
    '') ;;
    --check) cpp=(--dry-run -Werror) rust=(--check) ;;
    *) die "fmt takes --check or nothing, not '$1'" ;;
  esac
  (cd "$root" && cpp_sources | xargs -r -P "$(nproc)" -n 20 clang-format-19 "${cpp[@]}")
  # A minimal Rust comes without rustfmt.
  if cargo fmt --version >/dev/null 2>&1; then
    (cd "$root/rust" && cargo fmt -- "${rust[@]}")
  fi
}

# Without arguments: what differs from the last commit, since all of the tree takes many minutes.
tidy_sources() {
  configure_preset release
  local files=("$@")
  if [[ ${1:-} == --all ]]; then
    mapfile -t files < <(cpp_sources | grep '\.cc$')
  elif [[ $# == 0 ]]; then
    mapfile -t files < <(cd "$root" && git diff --name-only --diff-filter=d HEAD -- '*.cc' &&
      git ls-files -o --exclude-standard -- '*.cc')
  fi
  [[ ${#files[@]} -gt 0 ]] || { say "no changed .cc file; --all checks every one" && return; }
  (cd "$root" && printf '%s\n' "${files[@]}" |
    xargs -P "$(nproc)" -n 1 clang-tidy-19 -p build/release --quiet --warnings-as-errors='*' \
      2> >(grep -v ' warnings generated' >&2))
}
