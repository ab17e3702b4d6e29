#!/usr/bin/env bash
# Train on a Slurm cluster, one process a GPU:
#     [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#         tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
set -euo pipefail
if [ $# -lt 4 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
TOOLS=$(dirname "$0")
# Where make has made an environment, it comes first.
PATH="$TOOLS/../.venv/bin:$PATH"
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}

# Two jobs may share a machine: each has a port of its own.
export MASTER_PORT="${MASTER_PORT:-$((20000 + RANDOM % 10000))}"

# SRUN_ARGS is a list of arguments, so it is split at spaces.
# shellcheck disable=SC2086
exec srun --partition="$1" --job-name="$2" --gres="gpu:$GPUS_PER_NODE" --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$TOOLS/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
