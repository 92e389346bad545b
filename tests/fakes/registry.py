#!/usr/bin/env python3
"""A registry that lies on demand, for tests. Python's standard library only, loopback only.

It listens on five ephemeral ports of 127.0.0.1 and prints them as one line of JSON:
  main   the registry, plain HTTP      other  a second host (redirect target), plain HTTP
  token  a token server, plain HTTP    tls    the registry, HTTPS (with --certificate and --key)
  proxy  an HTTP proxy whose CONNECT always leads to `tls`
It ends when its standard input does, so a test that dies leaves nothing behind.

Each further line on standard input is one JSON command, answered by one line of JSON:
  {"set": SPEC}  replaces everything and forgets the log
  {"log": true}  gives {"requests": [...]}: what was asked of any port since then

SPEC (all optional):
  "repositories": {PATH: {"manifests": {TAG_OR_DIGEST: {"body", "type", "digest"}},
                          "blobs": {DIGEST: BASE64}}}
  "directory": a folder with PATH/manifests/NAME and blobs/sha256/HEX, asked after "repositories"
  "auth": {"kind": "basic" | "bearer", "user", "password", "anonymous": bool, "realm", "service",
           "scope", "uses": how many requests a token is good for, "challenges": [raw header values],
           "identity": refresh token that the OAuth2 POST wants, "answer": raw token answer}
  "faults": [{"port", "method", "path": regular expression, "times", "skip", "action", ...}]
Actions: status (status, body, headers), headers (headers), ignore_range, wrong_range (shift, total),
  truncate (after), short (after), longer (extra), endless, drip (size, pause), stall (after), swap, type
  (type), redirect (to_port or to, status), close, etag (etag), no_length.
"""
import argparse
import base64
import hashlib
import http.server
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
import urllib.parse

SHUTDOWN = threading.Event()


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.ports = {}
        self.counter = 0  # of tokens: no two are alike as long as this runs
        self.set({})

    def set(self, spec):
        with self.lock:
            self.spec = spec
            self.log = []
            self.tokens = {}
            self.faults = [dict(f, left=f.get("times", 1 << 30), to_skip=f.get("skip", 0))
                           for f in spec.get("faults", [])]

    def take_faults(self, port, method, path):
        taken = []
        with self.lock:
            for fault in self.faults:
                if fault.get("port", port) != port or fault.get("method", method) != method:
                    continue
                if not re.search(fault.get("path", ""), path) or fault["left"] <= 0:
                    continue
                if fault["to_skip"] > 0:
                    fault["to_skip"] -= 1
                    continue
                fault["left"] -= 1
                taken.append(fault)
        return {fault["action"]: fault for fault in taken}


STATE = State()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    port_name = "main"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def record(self, body=""):
        with STATE.lock:
            STATE.log.append({"port": self.port_name, "method": self.command, "path": self.path,
                              "body": body, "peer": self.client_address[1],
                              "headers": {k.lower(): v for k, v in self.headers.items()}})

    def answer(self, status, body=b"", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message, headers=()):
        body = json.dumps({"errors": [{"code": code, "message": message}]})
        self.answer(status, body, [("Content-Type", "application/json"), *headers])

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            self.close_connection = True

    def do_GET(self):
        self.handle_request("")

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        self.handle_request(self.rfile.read(length).decode())

    def handle_request(self, body):
        self.record(body)
        faults = STATE.take_faults(self.port_name, self.command, self.path)
        if "close" in faults:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if "status" in faults:
            fault = faults["status"]
            self.answer(fault["status"], fault.get("body", ""), fault.get("headers", {}).items())
            return
        if "redirect" in faults:
            self.redirect(faults["redirect"])
            return
        if self.port_name == "token":
            self.serve_token(body)
            return
        # The second host stands for an object store: it wants no registry's credentials.
        if self.port_name != "other" and not self.is_authorized():
            self.refuse()
            return
        self.serve(faults)

    def redirect(self, fault):
        to = fault.get("to", "")
        if "to_port" in fault:
            to = "http://127.0.0.1:%d%s" % (STATE.ports[fault["to_port"]], self.path)
        self.answer(fault.get("status", 307), "", [("Location", to)])

    # --- authorization ---

    def is_authorized(self):
        auth = STATE.spec.get("auth")
        if not auth:
            return True
        given = self.headers.get("Authorization", "")
        if auth["kind"] == "basic":
            wanted = auth["user"] + ":" + auth["password"]
            return given == "Basic " + base64.b64encode(wanted.encode()).decode()
        if given.startswith("Bearer ") and given[7:] == auth.get("ready_token"):
            return True
        with STATE.lock:
            token = STATE.tokens.get(given[7:]) if given.startswith("Bearer ") else None
            if token is None or token["uses"] <= 0:
                return False
            if self.wanted_scope() not in token["scopes"]:
                return False
            token["uses"] -= 1
            return True

    def wanted_scope(self):
        match = re.match(r"/v2/(.+)/(manifests|blobs)/", self.path)
        default = "repository:%s:pull" % (match.group(1) if match else "")
        return STATE.spec["auth"].get("scope", default)

    def refuse(self):
        auth = STATE.spec["auth"]
        challenges = auth.get("challenges")
        if challenges is None and auth["kind"] == "basic":
            challenges = ['Basic realm="a, \\"quoted\\" realm"']
        elif challenges is None:
            realm = auth.get("realm", "http://127.0.0.1:%d/token" % STATE.ports["token"])
            extra = ""
            if self.headers.get("Authorization", "").startswith("Bearer "):
                extra = ',error="%s"' % auth.get("error", "invalid_token")
            challenges = ['Bearer realm="%s",service="%s",scope="%s"%s' %
                          (realm, auth.get("service", "fake"), self.wanted_scope(), extra)]
        self.error(401, "UNAUTHORIZED", "authentication required",
                   [("WWW-Authenticate", c) for c in challenges])

    def serve_token(self, body):
        auth = STATE.spec.get("auth", {})
        time.sleep(auth.get("token_pause", 0))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if self.command == "POST":
            form = urllib.parse.parse_qs(body)
            if form.get("refresh_token") != [auth.get("identity")]:
                self.answer(401, '{"details": "incorrect refresh token"}')
                return
            scopes = " ".join(form.get("scope", [])).split()
        else:
            given = self.headers.get("Authorization", "")
            wanted = "%s:%s" % (auth.get("user"), auth.get("password"))
            if given and given != "Basic " + base64.b64encode(wanted.encode()).decode():
                self.answer(401, '{"details": "incorrect username or password"}')
                return
            if not given and not auth.get("anonymous", True):
                self.error(401, "DENIED", "requested access to the resource is denied")
                return
            scopes = query.get("scope", [])
        if "answer" in auth:
            self.answer(200, auth["answer"])
            return
        with STATE.lock:
            STATE.counter += 1
            token = "token-%d" % STATE.counter
            granted = [] if auth.get("grant_nothing") else scopes
            STATE.tokens[token] = {"scopes": granted, "uses": auth.get("uses", 1 << 30)}
        name = "access_token" if self.command == "POST" else "token"
        self.answer(200, json.dumps({name: token, "expires_in": auth.get("expires_in", 300)}))

    # --- content ---

    def serve(self, faults):
        path = urllib.parse.urlsplit(self.path).path
        match = re.match(r"/v2/(.+)/(manifests|blobs)/([^/]+)$", path)
        if path == "/v2/":
            self.answer(200, "{}")
            return
        if not match:
            self.error(404, "NOT_FOUND", "page not found")
            return
        repository, kind, name = match.groups()
        if kind == "manifests":
            self.serve_manifest(repository, name, faults)
        else:
            self.serve_blob(repository, name, faults)

    def file_of(self, *parts):
        folder = STATE.spec.get("directory")
        path = os.path.join(folder, *parts) if folder else None
        if not path or not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return file.read()

    def serve_manifest(self, repository, name, faults):
        known = STATE.spec.get("repositories", {}).get(repository)
        entry = (known or {}).get("manifests", {}).get(name)
        if entry is None:
            body = self.file_of(repository, "manifests", name)
            if body is not None:
                entry = {"body": body.decode(), "type": json.loads(body).get("mediaType", "")}
        if entry is None and known is None:
            self.error(404, "NAME_UNKNOWN", "repository name not known to registry")
            return
        if entry is None:
            self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        body = entry["body"].encode()
        headers = [("Content-Type", faults.get("type", entry).get("type", ""))]
        digest = entry.get("digest", "sha256:" + hashlib.sha256(body).hexdigest())
        if digest:
            headers.append(("Docker-Content-Digest", digest))
        self.send_content(body, headers, faults)

    def serve_blob(self, repository, name, faults):
        known = STATE.spec.get("repositories", {}).get(repository, {})
        encoded = known.get("blobs", {}).get(name)
        if encoded is not None:
            body = base64.b64decode(encoded)
        else:
            body = self.file_of("blobs", *name.split(":", 1))
        if body is None:
            self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        self.send_content(body, [("Content-Type", "application/octet-stream")], faults)

    def send_content(self, body, headers, faults):
        if "swap" in faults:
            body = bytes(byte ^ 0xFF for byte in body)
        headers = headers + list(faults.get("headers", {}).get("headers", {}).items())
        if "etag" in faults:
            headers.append(("ETag", faults["etag"]["etag"]))
        status, total, first = 200, len(body), 0
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        if asked and "ignore_range" not in faults:
            first = int(asked.group(1))
            if first >= total:
                self.answer(416, "", [("Content-Range", "bytes */%d" % total)])
                return
            fault = faults.get("wrong_range", {})
            shown = first + fault.get("shift", 0)
            status, body = 206, body[first:]
            headers.append(("Content-Range", "bytes %d-%d/%s" %
                            (shown, shown + len(body) - 1, fault.get("total", total))))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_body(body, faults)

    def send_body(self, body, faults):
        if "endless" in faults or "short" in faults or "longer" in faults:
            self.send_chunked(body, faults)
            return
        if "no_length" in faults:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if "truncate" in faults or "stall" in faults:
            fault = faults.get("truncate") or faults["stall"]
            self.wfile.write(body[:fault["after"]])
            self.wfile.flush()
            if "stall" in faults:
                self.wait_for_hangup(60)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif "drip" in faults:
            fault = faults["drip"]
            for at in range(0, len(body), fault["size"]):
                self.wfile.write(body[at:at + fault["size"]])
                self.wfile.flush()
                time.sleep(fault["pause"])
        else:
            self.wfile.write(body)

    def send_chunked(self, body, faults):
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if "short" in faults:
            body = body[:faults["short"]["after"]]
        if "longer" in faults:
            body += b"x" * faults["longer"]["extra"]
        self.write_chunk(body)
        while "endless" in faults and not SHUTDOWN.is_set():
            self.write_chunk(b"y" * 65536)
        self.wfile.write(b"0\r\n\r\n")

    def write_chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def wait_for_hangup(self, seconds):
        select.select([self.connection], [], [], seconds)


class Proxy(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        with STATE.lock:
            STATE.log.append({"port": "proxy", "method": "CONNECT", "path": self.path, "body": "",
                              "headers": {k.lower(): v for k, v in self.headers.items()}})
        with socket.create_connection(("127.0.0.1", STATE.ports["tls"])) as upstream:
            self.send_response(200)
            self.end_headers()
            pair = [self.connection, upstream]
            while True:
                for ready in select.select(pair, [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    pair[1 - pair.index(ready)].sendall(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


def start(name, handler, context=None):
    server = Server(("127.0.0.1", 0), type(name, (handler,), {"port_name": name}))
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    STATE.ports[name] = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--directory", help='as "directory" of the specification')
    arguments = parser.parse_args()
    for name in ("main", "other", "token"):
        start(name, Handler)
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
        start("tls", Handler, context)
        start("proxy", Proxy)
    if arguments.directory:
        STATE.set({"directory": arguments.directory})
    print(json.dumps(STATE.ports), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "set" in command:
            STATE.set(command["set"])
            print(json.dumps({"ok": True}), flush=True)
        else:
            with STATE.lock:
                print(json.dumps({"requests": STATE.log}), flush=True)
    SHUTDOWN.set()


if __name__ == "__main__":
    main()
