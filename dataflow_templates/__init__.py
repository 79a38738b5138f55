"""Every job as a Dataflow Flex Template, the image they run in, and the night as a workflow over them.

options.py        what each template can be told: PipelineOptions, strings only
templates.py      the templates by name: options, and the job they start
launch.py         the launching program: strings in, a graph out
metadata.py       metadata/*.json from the options, container specs from the metadata
image/            one Dockerfile for launchers and workers; build.sh, deploy.sh
night/            the night as a workflow, its schedule, the same as an Airflow graph
"""
