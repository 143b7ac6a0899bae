#!/usr/bin/env bash
# Fuzzes every parser of foreign input: runs each fuzz target for SECONDS (60), one after the other,
# starting from the seeds in fuzz/seeds and the corpus of earlier runs.
#
#     scripts/fuzz.sh [SECONDS [TARGET...]]
#
# Prints a table of the targets, and exits with 1 if any has findings: the input is in
# fuzz/artifacts/TARGET, the log in fuzz/artifacts/TARGET.log. The input of a fixed finding becomes a
# seed, which `cargo test` runs, too. Needs a nightly compiler, cargo-fuzz and a C++ compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
if [[ ! $seconds =~ ^[1-9][0-9]*$ ]]; then
    echo "error: invalid SECONDS '$seconds': expected a whole number from 1, such as 60" >&2
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

# The longest useful input: slightly over the limit in the code, if it has one.
longest() {
    case $1 in
        request_head) echo 17000 ;;
        exchange_answer) echo 16384 ;;
        dns_answer | nats_codec | replay_file) echo 66000 ;;
        *) echo 4096 ;;
    esac
}

mapfile -t targets < <(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' fuzz/Cargo.toml)
if (($# > 0)); then
    targets=("$@")
fi
mkdir -p fuzz/artifacts
cargo +nightly fuzz build >&2
# Runs the programs themselves, so that edits during the run do not matter.
programs=${CARGO_TARGET_DIR:-fuzz/target}/$(rustc -vV | sed -n 's/^host: //p')/release

row='%-16s %12s %8s %9s %8s %9s\n'
# shellcheck disable=SC2059
printf "$row" target executions "per s" coverage corpus findings
status=0
for target in "${targets[@]}"; do
    log=fuzz/artifacts/$target.log
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    # An input that takes longer than 5 s or allocates 64 MiB at once is a finding, too.
    outcome=0
    "$programs/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" \
        -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=5 \
        -malloc_limit_mb=64 -rss_limit_mb=2048 -print_final_stats=1 \
        >"$log" 2>&1 || outcome=$?
    # For a run that was cut short, the number in the last line.
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
