#!/usr/bin/env bash
# Train with several processes on this machine, one a GPU (or, without a GPU, on the CPU):
#     tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# They meet at a free port, or at PORT. On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
TOOLS=$(dirname "$0")
# Where make has made an environment, it comes first.
PATH="$TOOLS/../.venv/bin:$PATH"

exec python -m mmgradsplit.cli.launch "$2" "$TOOLS/train.py" "$1" --launcher pytorch "${@:3}"
