#!/usr/bin/env bash
# Counts the instructions of the steps in a tick's life (benches/micro) under valgrind and compares
# them with benches/micro/budget.txt. Unlike times, they do not vary on a busy machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'HELP'
Compares the instructions per step with their budget.

Usage: scripts/budget.sh [--write] [CASE...]

Options:
  --write     write the counts to benches/micro/budget.txt as the new budget
  -h, --help  print this

Exit status: 0 if all are within budget, 1 if one is not or has none, 2 if an argument is
invalid, 77 if valgrind is missing.
HELP
}

# By how much a count may differ from its budget: compilers and C libraries differ.
readonly TOLERANCE_PERCENT=10
readonly BUDGET=benches/micro/budget.txt

write=false
cases=()
for word in "$@"; do
    case $word in
        -h | --help) usage; exit 0 ;;
        --write) write=true ;;
        -*) echo "error: unexpected argument '$word', see --help" >&2; exit 2 ;;
        *) cases+=("$word") ;;
    esac
done
if ! command -v valgrind >/dev/null; then
    echo "error: valgrind is missing, get it from your system's packages" >&2
    exit 77
fi

built=$(cargo bench --bench micro --no-run --message-format=json |
    sed -n 's/.*"name":"micro".*"executable":"\([^"]*\)".*/\1/p')
[[ -x $built ]] || { echo "error: cargo did not build benches/micro" >&2; exit 1; }
if ((${#cases[@]} == 0)); then
    mapfile -t cases < <("$built" --list)
fi

# instructions CASE TIMES: counts those of the whole process
instructions() {
    local printed
    if ! printed=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$built" "$1" --times "$2" 2>&1 >/dev/null); then
        printf 'error: %s failed:\n%s\n' "$1" "$printed" >&2
        return 1
    fi
    sed -n 's/.*Collected : \([0-9]*\)$/\1/p' <<<"$printed"
}

over=0
unknown=()
new=()
printf '%-18s %14s %10s\n' "step" "instructions" "budget"
for name in "${cases[@]}"; do
    times=$(sed -n "s/^$name [0-9]* \([0-9]*\)\$/\1/p" "$BUDGET" 2>/dev/null || true)
    budget=$(sed -n "s/^$name \([0-9]*\) [0-9]*\$/\1/p" "$BUDGET" 2>/dev/null || true)
    times=${times:-1000}
    # The difference of two runs excludes starting and setting up.
    once=$(instructions "$name" "$times")
    twice=$(instructions "$name" $((2 * times)))
    count=$(((twice - once + times / 2) / times))
    new+=("$name $count $times")
    verdict=""
    if [[ -z $budget ]]; then
        verdict="  no budget"
        unknown+=("$name")
    elif ((count * 100 > budget * (100 + TOLERANCE_PERCENT))); then
        verdict="  OVER"
        over=1
    elif ((count * 100 < budget * (100 - TOLERANCE_PERCENT))); then
        verdict="  less: --write makes it the budget"
    fi
    printf '%-18s %14d %10s%s\n' "$name" "$count" "${budget:--}" "$verdict"
done

if $write; then
    for line in "${new[@]}"; do
        grep -v "^${line%% *} " "$BUDGET" >"$BUDGET.new" || true
        printf '%s\n' "$line" >>"$BUDGET.new"
        mv "$BUDGET.new" "$BUDGET"
    done
    exit 0
fi
if ((${#unknown[@]})); then
    echo "error: no budget in $BUDGET for ${unknown[*]}, write it with --write" >&2
    exit 1
fi
if ((over)); then
    echo "error: a step takes over $TOLERANCE_PERCENT % more instructions than $BUDGET allows" >&2
    exit 1
fi
