#!/usr/bin/env bash
# Builds the image that docker/run.sh runs commands in.
#
#   docker/build.sh            agp:cpu
#   docker/build.sh cu130      agp:cuda, with PyTorch for CUDA 13.0: any variant that PyTorch publishes
#   docker/build.sh cpu ...    further options for `docker build`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

variant="${1:-cpu}"
case "$variant" in
  cpu) tag=agp:cpu ;;
  cu[0-9]*) tag=agp:cuda ;;
  *)
    echo "docker/build.sh: '$variant' is no variant of PyTorch. Write cpu, or one for CUDA such as cu130." >&2
    exit 2
    ;;
esac
exec docker build --file docker/Dockerfile --tag "$tag" \
  --build-arg "TORCH_INDEX=https://download.pytorch.org/whl/$variant" "${@:2}" .
