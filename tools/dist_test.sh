#!/usr/bin/env bash
# Test with several processes on this machine, one a GPU (or, without a GPU, on the CPU):
#     tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
# They meet at a free port, or at PORT. On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
TOOLS=$(dirname "$0")
# Where make has made an environment, it comes first.
PATH="$TOOLS/../.venv/bin:$PATH"

exec python -m mmgradsplit.cli.launch "$3" "$TOOLS/test.py" "$1" "$2" --launcher pytorch "${@:4}"
