#!/usr/bin/env bash
# Runs a command in a container, on this checkout and its results folder, as the user who calls it.
#
#   docker/run.sh cpu python src/main.py --config=agp --env-config=topk
#   docker/run.sh 0 python src/main.py --config=agp --env-config=topk with device=cuda
#
# The first word is cpu, all, or GPUs: 0, or 0,1, or an id as `nvidia-smi -L` prints it. Variables that are read:
#   SACRED_MONGO_URL   reaches the run through the environment, never through a command line
#   RESULTS            the results folder, if it is not results/
#   DOCKER_NETWORK     host, if not set: addresses such as 127.0.0.1 mean the same as outside
#   DOCKER_IMAGE       agp:cpu or agp:cuda, if not set
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  echo "docker/run.sh: $1" >&2
  exit 2
}

[ "$#" -ge 2 ] || fail "two things are needed: where, and what. Write docker/run.sh <gpu|cpu> <command...>"
where="$1"
shift
options=()
case "$where" in
  cpu) image=agp:cpu build=cpu ;;
  all) image=agp:cuda build=cu130 options+=(--gpus all) ;;
  [0-9]* | GPU-* | MIG-*) image=agp:cuda build=cu130 options+=(--gpus "\"device=$where\"") ;;
  *) fail "'$where' is neither cpu nor a GPU. Write docker/run.sh <gpu|cpu> <command...>, such as docker/run.sh cpu $where" ;;
esac
image="${DOCKER_IMAGE:-$image}"

command -v docker >/dev/null || fail "there is no docker here. Install Docker, or run the command without it."
docker image inspect "$image" >/dev/null || fail "there is no image $image. Build it: docker/build.sh $build"

results="${RESULTS:-$root/results}"
mkdir -p "$results"
results="$(cd "$results" && pwd -P)"

if [ -t 0 ] && [ -t 1 ]; then
  options+=(--interactive --tty)
fi
user="$(id -un 2>/dev/null || id -u)"
name="agp-$user-$where-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')"
name="${name//[^a-zA-Z0-9_.-]/-}"
echo "Container $name. To end it in good order: docker stop $name" >&2

# --init: signals reach the command, which would ignore them as a container's first process.
exec docker run --rm --init --stop-timeout 120 --name "$name" \
  --user "$(id -u):$(id -g)" --env "USER=$user" --env SACRED_MONGO_URL \
  --network "${DOCKER_NETWORK:-host}" --security-opt no-new-privileges \
  --mount "type=bind,source=$root,target=/agp" --mount "type=bind,source=$results,target=/agp/results" \
  "${options[@]}" "$image" "$@"
