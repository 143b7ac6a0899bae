#!/usr/bin/env bash
# The high-load test: for each N, N clients against their own server, beside the figures of the
# Python original, from which this project descends. See --help.
set -euo pipefail

usage() {
    cat <<'END'
Usage: scripts/highload.sh [N...]

Starts a server with simulated prices on a free port, connects N clients to it for each N, and prints
their measurements beside the figures of the Python (Tornado) original.

  N           how many clients, a whole number from 1 [default: 10 100 1000]
  -h, --help  print this

Environment:
  DURATION    length of each run in seconds [default: 5]

Server and client run on separate cores if there are two and `taskset` is installed.
Exits with 1 if a client could not measure or counted an error, with 2 if an argument is invalid.

Example: DURATION=60 scripts/highload.sh 1000
END
}

main() {
    read_arguments "$@"
    root=$(CDPATH='' cd -P -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    raise_descriptors
    choose_cores
    # Builds what is missing now, not during the measurement.
    "$root/server" --help >/dev/null
    "$root/client" --help >/dev/null

    scratch=$(mktemp -d)
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    start_server
    for clients in "${counts[@]}"; do
        run_client "$clients"
    done
    print_table
    return "$failed"
}

read_arguments() {
    counts=()
    for argument in "$@"; do
        case $argument in
            -h | --help)
                usage
                exit 0
                ;;
            '' | *[!0-9]* | 0* | ???????*)
                echo "error: invalid number of clients '$argument': expected 1 to 999999" >&2
                usage >&2
                exit 2
                ;;
        esac
        counts+=("$argument")
    done
    [[ ${#counts[@]} -gt 0 ]] || counts=(10 100 1000)
    duration=${DURATION:-5}
    case $duration in
        '' | *[!0-9]* | 0* | ???????*)
            echo "error: invalid DURATION '$duration': expected a whole number of seconds from 1" >&2
            exit 2
            ;;
    esac
    server_pid='' client_pid='' failed=0
}

# A client takes one descriptor here and one in the server, and both need some more.
raise_descriptors() {
    local count need=0
    for count in "${counts[@]}"; do
        ((count + 100 <= need)) || need=$((count + 100))
    done
    enough_descriptors "$need" && return
    ulimit -n "$need" 2>/dev/null || ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true
    enough_descriptors "$need" ||
        echo "warning: $need descriptors are needed, but the limit is $(ulimit -n) (see ulimit -n)" >&2
}

enough_descriptors() {
    [[ $(ulimit -n) == unlimited ]] || (($(ulimit -n) >= $1))
}

# The first and the last allowed core: neighbours may be two threads of one.
choose_cores() {
    pin_server=() pin_client=()
    local cores='' first last
    if command -v taskset >/dev/null; then
        cores=$(taskset -cp $$ 2>/dev/null) || cores=''
    fi
    cores=${cores##*: }
    first=${cores%%[-,]*} last=${cores##*[-,]}
    if [[ $first != "$last" ]]; then
        pin_server=(taskset -c "$first") pin_client=(taskset -c "$last")
        pinned="server on core $first, client on core $last"
    else
        pinned="server and client share their cores"
    fi
}

start_server() {
    # The launcher replaces itself by the server, so this is the server's own process id.
    ${pin_server[@]+"${pin_server[@]}"} "$root/server" --port 0 --source sim --interval 250ms \
        >"$scratch/server.out" 2>"$scratch/server.log" &
    server_pid=$!
    local give_up=$((SECONDS + 10))
    until port=$(listening_port) && [[ -n $port ]]; do
        if ! kill -0 "$server_pid" 2>/dev/null || ((SECONDS >= give_up)); then
            echo "error: the server did not start to listen; its log:" >&2
            cat "$scratch/server.log" >&2
            exit 1
        fi
        sleep 0.05
    done
}

listening_port() {
    sed -n 's/.*listening on 127\.0\.0\.1:\([0-9][0-9]*\)$/\1/p' "$scratch/server.log" | head -n 1
}

run_client() {
    local report=$scratch/$1.json status=0
    echo "$1 clients for $duration s..." >&2
    # In the background, as a signal would have to wait for a child in the foreground.
    ${pin_client[@]+"${pin_client[@]}"} "$root/client" --url "ws://127.0.0.1:$port/" \
        --clients "$1" --duration "$duration" --json >"$report" &
    client_pid=$!
    wait "$client_pid" || status=$?
    client_pid=''
    if ((status != 0)); then
        echo "error: with $1 clients the client ended with $status" >&2
        failed=1
    fi
    [[ $(figure "$report" errors total) == 0 ]] || failed=1
    if ! kill -0 "$server_pid" 2>/dev/null; then
        echo "error: the server has ended; its log:" >&2
        cat "$scratch/server.log" >&2
        exit 1
    fi
}

# figure FILE SECTION NAME: a number of the client's report, {"SECTION":{"NAME":1.5,...},...}, or -.
figure() {
    awk -v section="\"$2\"" -v name="\"$3\"" '
        { text = text $0 }
        END {
            number = "-"
            gsub(/[ \t\r]/, "", text)
            if (start = index(text, section ":{")) {
                text = substr(text, start + length(section) + 2)
                sub(/}.*/, "", text)
                if (start = index("," text, "," name ":")) {
                    text = substr(text, start + length(name) + 1)
                    if (match(text, /^-?[0-9.]+([eE][-+]?[0-9]+)?/)) number = substr(text, 1, RLENGTH)
                }
            }
            print number
        }' "$1"
}

print_table() {
    local count
    echo
    echo "Simulated prices every 250 ms, $duration s each, $pinned."
    echo "original: the Python (Tornado) server, whose clients waited for its fetch of each price."
    echo
    printf '%-24s' 'clients'
    for count in "${counts[@]}"; do
        printf '%11s%11s' "$count" ''
    done
    printf '\n%-24s' ''
    for count in "${counts[@]}"; do
        printf '%11s%11s' 'ours' 'original'
    done
    echo
    row 'response time mean (s)' response_s mean 6 1 0.2627 0.2681 0.3345
    row '              median' response_s median 6 1 0.2628 0.2683 0.3318
    row '              stdev' response_s stdev 6 1 0.0002 0.0005 0.0443
    row '              max' response_s max 6 1 - - -
    row 'delivery p99 (ms)' delivery_us p99 3 0.001 - - -
    row 'errors' errors total 0 1 0 0 93
}

# row TITLE SECTION NAME DECIMALS FACTOR, then the original's figures for 10, 100 and 1000 clients.
row() {
    local title=$1 section=$2 name=$3 decimals=$4 factor=$5 count ours original
    printf '%-24s' "$title"
    for count in "${counts[@]}"; do
        ours=$(figure "$scratch/$count.json" "$section" "$name")
        [[ $ours == - ]] ||
            ours=$(awk -v x="$ours" -v f="$factor" -v d="$decimals" 'BEGIN { printf "%.*f", d, x * f }')
        case $count in
            10) original=$6 ;;
            100) original=$7 ;;
            1000) original=$8 ;;
            *) original=- ;;
        esac
        printf '%11s%11s' "$ours" "$original"
    done
    echo
}

clean_up() {
    local status=$? pid
    trap - EXIT
    trap '' INT TERM HUP
    for pid in $client_pid $server_pid; do
        stop "$pid"
    done
    rm -rf "$scratch"
    exit "$status"
}

# Asks first, and kills after five seconds.
stop() {
    local give_up=$((SECONDS + 5))
    kill "$1" 2>/dev/null || return 0
    while kill -0 "$1" 2>/dev/null && ((SECONDS < give_up)); do
        sleep 0.02
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

main "$@"
