"""Serve an exported file over HTTP, with ONNX Runtime, Pillow and the standard library alone.

    activitynet export RUN/model model.onnx
    python examples/export_and_serve.py model.onnx [--port 8000]
    curl --data-binary @photo.jpg http://127.0.0.1:8000

It is a beginning: it listens on this machine only, and takes one photo after the other.
"""

from __future__ import annotations

import argparse
import io
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

LARGEST = 20_000_000
"""Bytes of a photo."""


def make_server(file: Path, port: int) -> HTTPServer:
    session = onnxruntime.InferenceSession(file)
    classes = json.loads(session.get_modelmeta().custom_metadata_map["activitynet.card"])["classes"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= LARGEST:
                return self.answer(413, {"error": f"send a photo of at most {LARGEST} bytes"})
            try:
                photo = ImageOps.exif_transpose(Image.open(io.BytesIO(self.rfile.read(length)))).convert(
                    "RGB"
                )
            except Exception:  # whatever is wrong with a stranger's bytes
                return self.answer(400, {"error": "this is no photo that can be read"})
            (probabilities,) = session.run(["probabilities"], {"images": np.asarray(photo)[None]})
            order = probabilities[0].argsort()[::-1][:5]
            return self.answer(200, {classes[index]: float(probabilities[0][index]) for index in order})

        def answer(self, status: int, value: dict[str, object]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return HTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an exported file over HTTP.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    with make_server(options.file, options.port) as server:
        print(f"http://127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
