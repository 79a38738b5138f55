#!/usr/bin/env bash
# Deploy what build.sh built: container specs into the bucket, the night's workflow, its schedule.
#
#   PROJECT=music REGION=europe-west1 BUCKET=music-nights REPOSITORY=europe-docker.pkg.dev/music/nightshelf TAG=2026-02-01 \
#   SERVICE_ACCOUNT=nights@music.iam.gserviceaccount.com WAREHOUSE=gs://music-nights/warehouse DATASET=shelves \
#   LOG='gs://music-log/date={date}/*.parquet' dataflow_templates/image/deploy.sh [templates] [workflow] [schedule]
#
# Without an argument all three. May be repeated: everything is replaced by what stands here.
set -euo pipefail

for name in PROJECT REGION BUCKET; do
  : "${!name:?set PROJECT, REGION and BUCKET; the head of this file shows all names}"
done
export PROJECT REGION BUCKET
PYTHON="${PYTHON:-.venv/bin/python}"
WORKFLOW=nightshelf-night

cd "$(dirname "$0")/../.."
if [ "$#" -eq 0 ]; then
  set -- templates workflow schedule
fi

scratch="$(mktemp -d)"
trap 'rm -rf "${scratch}"' EXIT

templates() {
  : "${REPOSITORY:?set it as for build.sh}" "${TAG:?set it as for build.sh}"
  "${PYTHON}" -m dataflow_templates.metadata --images "${REPOSITORY}:${TAG}" --out "${scratch}/templates"
  gcloud storage cp "${scratch}"/templates/*.json "gs://${BUCKET}/templates/" --project "${PROJECT}"
}

workflow() {
  : "${SERVICE_ACCOUNT:?set it to the account that launches the jobs}"
  gcloud workflows deploy "${WORKFLOW}" --source dataflow_templates/night/workflow.yaml \
    --location "${REGION}" --service-account "${SERVICE_ACCOUNT}" --project "${PROJECT}"
}

schedule() {
  : "${SERVICE_ACCOUNT:?set it to the account that starts the workflow}"
  export SERVICE_ACCOUNT
  local job verb=create
  job="$("${PYTHON}" -m dataflow_templates.schedule name)"
  "${PYTHON}" -m dataflow_templates.schedule > "${scratch}/body.json"
  if gcloud scheduler jobs describe "${job}" --location "${REGION}" --project "${PROJECT}" > /dev/null 2>&1; then
    verb=update
  fi
  gcloud scheduler jobs "${verb}" http "${job}" --location "${REGION}" --project "${PROJECT}" \
    --schedule "$("${PYTHON}" -m dataflow_templates.schedule schedule)" \
    --time-zone "$("${PYTHON}" -m dataflow_templates.schedule time_zone)" \
    --uri "https://workflowexecutions.googleapis.com/v1/projects/${PROJECT}/locations/${REGION}/workflows/${WORKFLOW}/executions" \
    --http-method POST --message-body-from-file "${scratch}/body.json" \
    --oauth-service-account-email "${SERVICE_ACCOUNT}"
}

for part in "$@"; do
  case "${part}" in
    templates | workflow | schedule) "${part}" ;;
    *)
      echo "expected templates, workflow or schedule, found ${part}" >&2
      exit 2
      ;;
  esac
done
