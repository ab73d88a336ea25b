"""An image registry for tests that replaces another one. It serves the images
of an uncompressed archive in the format of `docker save`. It needs no
authentication and listens only on the given address. Python's standard library
only."""

import hashlib
import http.server
import json
import re
import tarfile
import threading

OCI = "application/vnd.oci.image"
CHUNK = 1 << 20


class Registry:
    """Serves from `start` to `stop`; `pulls` counts the requests for a manifest of each
    image."""

    def __init__(self, archive):
        self.archive, self.blobs, self.manifests, self.pulls = archive, {}, {}, {}
        self.server = None
        with tarfile.open(archive) as tar:
            members = {m.name.removeprefix("./"): m for m in tar}
            for image in json.load(tar.extractfile(members["manifest.json"])):
                def descriptor(name, kind):
                    # In such an archive, the names of files contain their digests.
                    digest, m = "sha256:" + name.split(".")[0], members[name]
                    self.blobs[digest] = (m.offset_data, m.size)
                    return {"mediaType": f"{OCI}.{kind}", "digest": digest, "size": m.size}

                body = json.dumps({
                    "schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": descriptor(image["Config"], "config.v1+json"),
                    "layers": [descriptor(name, "layer.v1.tar") for name in image["Layers"]]}).encode()
                for tag in image["RepoTags"]:
                    name, version = tag.split("/", 1)[1].rsplit(":", 1)
                    for reference in (version, "sha256:" + hashlib.sha256(body).hexdigest()):
                        self.manifests[name, reference] = body

    def start(self, address, port):
        """Listens on a port of the address and returns its URL."""
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://{address}:{self.server.server_port}"

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def answer(self, request):
        path = request.path.split("?")[0]
        if path == "/v2/":
            return self.respond(request, 200, b"{}", "application/json")
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if found and found.group(2) == "manifests":
            body = self.manifests.get((found.group(1), found.group(3)))
            if body:
                self.pulls[found.group(1)] = self.pulls.get(found.group(1), 0) + 1
                return self.respond(request, 200, body, f"{OCI}.manifest.v1+json")
        elif found and found.group(3) in self.blobs:
            return self.blob(request, *self.blobs[found.group(3)])
        return self.respond(request, 404, b'{"errors":[{"code":"NOT_FOUND"}]}', "application/json")

    @staticmethod
    def respond(request, status, body, kind):
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        if kind.startswith(OCI):
            request.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)

    def blob(self, request, offset, size):
        """Sends the whole blob, or the part of it that the header `Range` requests."""
        begin = 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
        if wanted and int(wanted.group(1)) < size:
            begin, last = int(wanted.group(1)), int(wanted.group(2) or size - 1)
            end = min(last + 1, size)
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        else:
            end = size
            request.send_response(200)
        request.send_header("Content-Type", "application/octet-stream")
        request.send_header("Content-Length", str(end - begin))
        request.end_headers()
        if request.command != "GET":
            return
        with open(self.archive, "rb") as f:
            f.seek(offset + begin)
            left = end - begin
            while left:
                data = f.read(min(CHUNK, left))
                request.wfile.write(data)
                left -= len(data)
