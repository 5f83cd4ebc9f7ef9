"""A server of one file by HTTPS, and the ways in which one may misbehave: the first level of the address says which.

    serve_file.py FILE CERTIFICATE KEY

Prints its port. `/count` tells what was asked for so far: JSON, a list of [path, Range].
"""

import json, socket, ssl, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILE, CERTIFICATE, KEY = sys.argv[1:4]
asked = []


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers and "Transfer_Encoding" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self):
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do_GET(self):
        manner, span = self.path.split("/")[1], self.headers.get("Range")
        if manner == "count":
            return self.answer(200, json.dumps(asked).encode())
        asked.append([self.path, span])
        times = sum(path == self.path for path, _ in asked)
        body = open(FILE, "rb").read()
        start = int(span[len("bytes="):].rstrip("-")) if span and manner != "deaf" else 0
        etag = f'"{len(body)}-{times}"' if manner == "changing" else f'"{len(body)}"'
        if self.headers.get("If-Range") not in (None, etag):
            start = 0
        part, total = body[start:], len(body)
        headers = {"ETag": etag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
        status = 206 if start else 200
        half = part[: max(len(part) // 2, 1)]
        if manner == "redirect":
            self.answer(302, Location=f"/{self.path.split('/', 2)[2]}")
        elif manner == "circle":
            self.answer(302, Location=self.path)
        elif manner == "plain":
            self.answer(302, Location=f"http://localhost:{self.server.server_port}/file")
        elif manner == "missing":
            self.answer(404)
        elif manner == "busy" and times < 2:
            self.answer(503)
        elif manner in ("cutting", "deaf", "changing") and times < 3:
            # Says that all of it comes, and goes away half-way.
            self.answer(status, half, Content_Length=str(len(part)), **headers)
            self.cut()
        elif manner == "endless":
            self.answer(status, Transfer_Encoding="chunked")
            block = b"%x\r\n%s\r\n" % (1 << 16, bytes(1 << 16))
            try:
                while True:
                    self.wfile.write(block)
            except OSError:
                self.close_connection = True
        elif manner == "longer":
            self.answer(200, body + b"more")
        elif manner == "wrong":
            self.answer(200, bytes(len(body)), **headers)
        elif manner == "silent":
            self.answer(200, half, Content_Length=str(len(part)))
            self.rfile.read(1)
        else:
            self.answer(status, part, **headers)


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
