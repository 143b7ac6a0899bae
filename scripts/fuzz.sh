#!/usr/bin/env bash
# Throws bytes at everything that reads what others send: each fuzz target for SECONDS (60), one
# after the other, from the seeds in fuzz/seeds and what earlier runs found worth keeping.
#
#     scripts/fuzz.sh [SECONDS [TARGET...]]
#
# Prints what each target did as a table, and ends with 1 if any has found something: what it was is
# in fuzz/artifacts/TARGET, how it went in fuzz/artifacts/TARGET.log. What is mended becomes a seed,
# which `cargo test` runs too. Takes a nightly compiler, cargo-fuzz and a C++ compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
if [[ ! $seconds =~ ^[1-9][0-9]*$ ]]; then
    echo "error: '$seconds' is no number of seconds, try scripts/fuzz.sh 60" >&2
    exit 2
fi
shift || true

missing() {
    echo "error: $1 was not found, get it $2" >&2
    exit 127
}
PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
command -v cargo >/dev/null || missing cargo "from https://rustup.rs"
cargo +nightly --version >/dev/null 2>&1 ||
    missing "a nightly compiler" "by: rustup toolchain install nightly --profile minimal"
cargo fuzz --version >/dev/null 2>&1 || missing cargo-fuzz "by: cargo install cargo-fuzz --locked"
command -v "${CXX:-c++}" >/dev/null || missing "a C++ compiler" "by: apt-get install g++"

# The longest input that makes sense: a bit over the limit that the code has, where it has one.
longest() {
    case $1 in
        request_head) echo 17000 ;;
        exchange_answer) echo 16384 ;;
        dns_answer | replay_file) echo 66000 ;;
        *) echo 4096 ;;
    esac
}

mapfile -t targets < <(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' fuzz/Cargo.toml)
if (($# > 0)); then
    targets=("$@")
fi
mkdir -p fuzz/artifacts
cargo +nightly fuzz build >&2
# The programs themselves, so that what is edited meanwhile does not matter.
programs=${CARGO_TARGET_DIR:-fuzz/target}/$(rustc -vV | sed -n 's/^host: //p')/release

row='%-16s %12s %8s %9s %8s %9s\n'
# shellcheck disable=SC2059
printf "$row" target executions "per s" coverage corpus findings
status=0
for target in "${targets[@]}"; do
    log=fuzz/artifacts/$target.log
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    # A finding is also what takes longer than 5 s or one block of memory of 64 MiB.
    outcome=0
    "$programs/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" \
        -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=5 \
        -malloc_limit_mb=64 -rss_limit_mb=2048 -print_final_stats=1 \
        >"$log" 2>&1 || outcome=$?
    # Of a run that was cut short, what the last line says.
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p; s/^#\([0-9]*\).*/\1/p' "$log" | tail -n 1)
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    corpus=$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    findings=0
    if ((outcome != 0)); then
        findings=1
        status=1
        echo "error: $target ended with $outcome, see $log" >&2
    fi
    # shellcheck disable=SC2059
    printf "$row" "$target" "${executions:-?}" "$((${executions:-0} / seconds))" \
        "${coverage:-?}" "${corpus:-?}" "$findings"
done
exit "$status"
