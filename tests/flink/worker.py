"""What a task manager runs to start one Python worker: the part of Beam's container entry point that needs no container.

Run as a file by the workers' own interpreter (`python -I worker.py --id=... --provision_endpoint=...`) and never imported from
here: a worker has nothing but what is installed.
"""

from __future__ import annotations

import argparse
import os


def provision(endpoint: str, worker: str) -> dict[str, str]:
    """The variables that Beam's worker reads, as the runner's provision service answers for the worker of this id."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
    from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor
    from google.protobuf import json_format, text_format

    with grpc.insecure_channel(endpoint) as channel:
        named = grpc.intercept_channel(channel, WorkerIdInterceptor(worker))
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(named)
        info = service.GetProvisionInfo(beam_provision_api_pb2.GetProvisionInfoRequest(), timeout=60).info
    return {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
    }


def main() -> None:
    """Start the worker and stay until the runner ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    flags, _ = parser.parse_known_args()
    os.environ.update(provision(flags.provision_endpoint, flags.id))

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


if __name__ == "__main__":
    main()
