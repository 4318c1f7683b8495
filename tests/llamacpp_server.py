"""llama.cpp's own server on loopback, for the client's tests: `python llamacpp_server.py MODEL.gguf KEY [CONTEXT]`.

Prints its address, serves until its input ends. A process of its own: a model that crashes takes no test with it.
"""

from __future__ import annotations

import sys

import xllamacpp


def main(model: str, key: str, context: str = "512") -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.n_gpu_layers = int(context), 2, 0
    params.fit_params = params.warmup = params.ui = False
    params.verbosity = 0
    params.use_jinja = params.enable_chat_template = True
    params.hostnames, params.api_keys = ["127.0.0.1"], [key]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
