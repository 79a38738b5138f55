"""The night as an Airflow graph: the same jobs in the same order as workflow.yaml, for those who have Airflow already.

Put it into the DAGs folder of an Airflow 2.4 or later with apache-airflow-providers-google, and set the variables below.
An example: it knows neither bootstrap nights nor models of an earlier date; the first night of a new warehouse is made with
the workflow or with `nightshelf run`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow import DAG
from airflow.models.baseoperator import chain
from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator

PROJECT = "{{ var.value.nightshelf_project }}"
REGION = "{{ var.value.nightshelf_region }}"
TEMPLATES = "{{ var.value.nightshelf_templates }}"  # gs://bucket/templates
COMMON = {"warehouse": "{{ var.value.nightshelf_warehouse }}"}
NIGHT = "{{ ds }}"  # start of the day the run stands for: the run of a day begins when the day is over
WEEK_AGO = "{{ macros.ds_add(ds, -7) }}"

JOBS = [
    (
        "ingest",
        {
            "format": "parquet",
            "input": "{{ var.value.nightshelf_log }}/date={{ ds }}/*.parquet",
            "mapping": "{{ var.value.nightshelf_mapping }}",
            # what the day showed and what listeners said to it, so that nights learn from it; leave out what nobody logs
            "impressions": "{{ var.value.nightshelf_impressions }}/date={{ ds }}.parquet",
            "feedback": "{{ var.value.nightshelf_feedback }}/date={{ ds }}.parquet",
            "end_date": NIGHT,
        },
    ),
    ("check", {"date": NIGHT}),
    ("features", {"date": NIGHT}),
    ("exclusions", {"date": NIGHT}),
    ("outcomes", {"date": NIGHT}),
    ("try_models", {"date": NIGHT}),
    ("beliefs", {"date": NIGHT}),
    ("train", {"date": NIGHT}),
    ("train_ranker", {"date": NIGHT}),
    ("score", {"date": NIGHT}),
    ("blend", {"date": NIGHT}),
    ("prompt", {"date": NIGHT}),
    ("evaluate", {"date": WEEK_AGO}),
    ("experiments", {"date": NIGHT}),
    ("publish", {"date": NIGHT, "to": "{{ var.value.nightshelf_publish_to }}"}),
    ("export", {"date": NIGHT, "to": "{{ var.value.nightshelf_export_to }}"}),
]

with DAG(
    dag_id="nightshelf_night",
    schedule="30 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5), "depends_on_past": True},
) as dag:
    tasks = {
        template: DataflowStartFlexTemplateOperator(
            task_id=template,
            project_id=PROJECT,
            location=REGION,
            wait_until_finished=True,
            body={
                "launchParameter": {
                    "jobName": f"nightshelf-{template.replace('_', '-')}-{{{{ ds_nodash }}}}",
                    "containerSpecGcsPath": f"{TEMPLATES}/{template}.json",
                    "parameters": {**COMMON, **parameters},
                }
            },
        )
        for template, parameters in JOBS
    }
    # Measuring an earlier night and reading experiments stand in nobody's way: publish waits for the scores only.
    aside = ("evaluate", "experiments")
    chain(*(task for name, task in tasks.items() if name not in aside))
    chain(tasks["score"], [tasks[name] for name in aside])
