#!/usr/bin/env bash
# Build and push the workers' image and, from it, one launcher's image a template.
#
#   REPOSITORY=europe-docker.pkg.dev/PROJECT/nightshelf TAG=2026-02-01 dataflow_templates/image/build.sh
#
# TAG names one state of the program for good: take a new one for every build. PUSH=no builds only.
set -euo pipefail

: "${REPOSITORY:?set it to the repository of the images, such as europe-docker.pkg.dev/PROJECT/nightshelf}"
: "${TAG:?set it to a new name for this build, such as a date or a commit}"
PUSH="${PUSH:-yes}"

cd "$(dirname "$0")/../.."
worker="${REPOSITORY}/worker:${TAG}"
build=(docker build --platform linux/amd64 --file dataflow_templates/image/Dockerfile)

"${build[@]}" --target worker --tag "${worker}" .
images=("${worker}")
for metadata in dataflow_templates/metadata/*.json; do
  template="$(basename "${metadata}" .json)"
  launcher="${REPOSITORY}/${template//_/-}:${TAG}"
  "${build[@]}" --target launcher --build-arg "TEMPLATE=${template}" --build-arg "WORKER=${worker}" --tag "${launcher}" .
  images+=("${launcher}")
done

if [ "${PUSH}" = yes ]; then
  for image in "${images[@]}"; do
    docker push "${image}"
  done
fi
