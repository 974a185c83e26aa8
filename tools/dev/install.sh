# Sourced by ./dev and .ci/run: installs what is missing, says so, and does nothing twice.
# Everything it says goes to stderr, since the output of some verbs is read by programs.

venv=${MINERVA_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/minerva/venv}
rust_minimum=87 # of 1.x: the oldest that the pinned crates build with
PATH=$PATH:$HOME/.cargo/bin

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

install_toolchain() {
  install_debian_packages
  check_rust
}

install_debian_packages() {
  local wanted missing have
  mapfile -t wanted < <(sed -e 's/#.*//' -e '/^ *$/d' "$root/tools/packages/debian.txt")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    if [[ ${MINERVA_SKIP_INSTALL:-} == 1 ]]; then return; fi
    die "this system has no apt-get, so nothing was installed. Minerva is built on Debian 12 with:
  ${wanted[*]}
Install what corresponds to them here, then set MINERVA_SKIP_INSTALL=1."
  fi
  have=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
  mapfile -t missing < <(
    comm -23 <(printf '%s\n' "${wanted[@]}" | sort) <(sed -n 's/^ii *//p' <<<"$have" | sort -u)
  )
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing Debian packages: ${missing[*]}"
  apt_get update -qq
  apt_get install -qq -y --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install the packages above; Debian 12 (bookworm) has them all"
}

apt_get() {
  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || die "not root and no sudo: run as root: apt-get $*"
    as_root=(sudo)
  fi
  # apt's own lines go to stderr, and it must not read what was piped into ./dev.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$@" >&2 </dev/null
}

check_rust() {
  local how="install Rust 1.$rust_minimum or newer with rustup (https://rustup.rs), then run this
again; Debian 12's own rustc is too old for the pinned crates (Cargo.lock)"
  command -v cargo >/dev/null || die "cargo was not found; $how"
  local version
  version=$(cargo --version | cut -d' ' -f2)
  [[ $version =~ ^1\.([0-9]+)\. ]] || die "cargo says version '$version', which is not 1.x"
  [[ ${BASH_REMATCH[1]} -ge $rust_minimum ]] || die "cargo is $version; $how"
}

# An environment with pip in it, for the model fetcher; the packages of the tests come on demand.
install_python() {
  install_debian_packages
  [[ -x $venv/bin/pip ]] && return
  say "making a Python environment in $venv"
  /usr/bin/python3 -m venv "$venv"
}

install_python_packages() {
  install_python
  local list=$root/tools/packages/python.txt stamp=$venv/minerva-packages.sha256
  local hash
  hash=$(sha256sum <"$list")
  [[ -f $stamp && $(<"$stamp") == "$hash" ]] && return
  say "installing Python packages: $(sed -e 's/#.*//' -e '/^ *$/d' "$list" | paste -sd' ')"
  "$venv/bin/pip" install -q --disable-pip-version-check --no-deps -r "$list" >&2
  printf '%s\n' "$hash" >"$stamp"
}

fetch_model() {
  install_python
  "$venv/bin/python" "$root/tools/fetch_model.py" "$1"
}
