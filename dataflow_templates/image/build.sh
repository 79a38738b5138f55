#!/usr/bin/env bash
# Build and push the workers' image and, from it, the command's and one launcher's image a template.
#
#   REPOSITORY=europe-docker.pkg.dev/PROJECT/nightshelf TAG=2026-02-01 dataflow_templates/image/build.sh
#
# TAG names one state of the program for good: take a new one for every build. PUSH=no builds only. What the images are made of is
# named by digest in bases.txt; one that is not there yet is asked for and written there: commit it with the build.
set -euo pipefail

: "${REPOSITORY:?set it to the repository of the images, such as europe-docker.pkg.dev/PROJECT/nightshelf}"
: "${TAG:?set it to a new name for this build, such as a date or a commit}"
PUSH="${PUSH:-yes}"

cd "$(dirname "$0")/../.."
worker="${REPOSITORY}/worker:${TAG}"
build=(docker build --platform linux/amd64 --file dataflow_templates/image/Dockerfile)
bases=dataflow_templates/image/bases.txt
pinned="$(mktemp)"
trap 'rm -f "${pinned}"' EXIT
while read -r argument image digest; do
  if [ "${digest}" = - ]; then
    digest="$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "${image}" < /dev/null)"
  fi
  if ! [[ "${digest}" =~ ^sha256:[0-9a-f]{64}$ ]]; then
    echo "build.sh: expected a digest of ${image} (sha256: and 64 digits), found '${digest}'; mend its line in ${bases}" >&2
    exit 1
  fi
  echo "${argument} ${image} ${digest}" >> "${pinned}"
  build+=(--build-arg "${argument}=${image}@${digest}")
done < "${bases}"
cmp -s "${pinned}" "${bases}" || cat "${pinned}" > "${bases}"

"${build[@]}" --target worker --tag "${worker}" .
"${build[@]}" --target command --tag "${REPOSITORY}/nightshelf:${TAG}" .
images=("${worker}" "${REPOSITORY}/nightshelf:${TAG}")
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
