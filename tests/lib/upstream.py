"""An upstream server that misbehaves on request: plain sockets, one thread per connection, the path says what to do."""
import hashlib
import json
import os
import socket
import struct
import threading
import time


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body


class Upstream:
    """address: a path for a unix socket, or a port on 127.0.0.1."""

    def __init__(self, address):
        self.address = address
        self.executed = []  # (method, path) of every complete request, in order of arrival
        self.connections = 0
        self.go = threading.Event()  # what /wait and /stream wait for
        self.broken = []  # clients that went away while an answer was written
        self.open = set()
        self.lock = threading.Lock()
        self.listener = None
        self.draining = self.ending = False
        self.acceptor = None
        self.last_busy = 0

    @property
    def where(self):
        return f"127.0.0.1:{self.address}" if isinstance(self.address, int) else f"unix:{self.address}"

    def start(self):
        self.draining = False
        if isinstance(self.address, int):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", self.address))
        else:
            try:
                os.unlink(self.address)
            except FileNotFoundError:
                pass
            s = socket.socket(socket.AF_UNIX)
            s.bind(str(self.address))
        s.listen(512)
        self.listener = s
        self.ending = False
        self.acceptor = threading.Thread(target=self.accept, args=(s,), daemon=True)
        self.acceptor.start()
        return self

    def stop(self, graceful=False):
        """Refuses new connections and drops the open ones. Graceful, as a good server does it: answers carry
        Connection: close and the idle connections are dropped once nothing has come for a moment."""
        self.draining = graceful
        if self.listener:
            if not graceful:
                self.listener.shutdown(socket.SHUT_RDWR)
            self.ending = True
            self.acceptor.join()
            self.listener.close()
            self.listener = None
        end = time.monotonic() + 5
        while graceful and time.monotonic() < end and (
                any(c.busy for c in list(self.open)) or time.monotonic() - self.last_busy < 0.05):
            time.sleep(0.002)
        for c in list(self.open):
            c.drop()

    def drop_idle(self):
        for c in list(self.open):
            if not c.busy:
                c.drop()

    def accept(self, listener):
        """Once told to end it takes what the backlog still has: whoever connected is served."""
        listener.settimeout(0.01)
        while True:
            try:
                if self.ending:
                    listener.setblocking(False)
                sock, _ = listener.accept()
            except (socket.timeout, BlockingIOError):
                if self.ending:
                    listener.close()
                    return
                continue
            except OSError:
                return
            sock.setblocking(True)
            c = Connection(self, sock)
            with self.lock:
                self.connections += 1
                self.open.add(c)
            threading.Thread(target=c.run, daemon=True).start()

    def count(self, path):
        return sum(1 for _, p in list(self.executed) if p == path)


class Connection:
    def __init__(self, server, sock):
        self.server, self.sock, self.busy = server, sock, False
        self.file = sock.makefile("rb")

    def drop(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def read_request(self):
        line = self.file.readline()
        if not line:
            return None
        self.busy = True
        self.server.last_busy = time.monotonic()
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while True:
            line = self.file.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, value = line.split(":", 1)
            headers.append((name, value.strip()))
        return Request(method, path, headers, None)

    def read_body(self, r):
        names = {n.lower(): v for n, v in r.headers}
        digest, total = hashlib.sha256(), 0
        if names.get("transfer-encoding") == "chunked":
            while True:
                n = int(self.file.readline(), 16)
                data = self.file.read(n)
                self.file.readline()
                digest.update(data)
                total += n
                if n == 0:
                    break
        left = int(names.get("content-length", 0))
        while left:
            data = self.file.read(min(left, 1 << 16))
            if not data:
                return False
            digest.update(data)
            total += len(data)
            left -= len(data)
        r.body = {"length": total, "sha256": digest.hexdigest()}
        return True

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, body, status="200 OK", headers=()):
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n" + "".join(f"{h}\r\n" for h in headers) + "\r\n"
        self.send(head.encode() + body)

    def run(self):
        try:
            while True:
                r = self.read_request()
                if not r:
                    return
                what = r.path.split("?")[0].strip("/").split("/")
                if what[0] != "early" and not self.read_body(r):
                    return
                self.server.executed.append((r.method, r.path))
                if getattr(self, "do_" + what[0].replace("-", "_"), self.do_echo)(r, *what[1:]):
                    return
                self.busy = False
        except (OSError, ValueError):
            self.server.broken.append(time.monotonic())
        finally:
            self.busy = False
            self.server.open.discard(self)
            self.file.close()
            self.sock.close()

    # each: true when the connection ends

    def do_echo(self, r, *rest):
        self.answer(json.dumps({"method": r.method, "path": r.path, "headers": r.headers, "body": r.body}).encode()
                    if r.method != "HEAD" else b"", headers=["Content-Type: application/json"])

    def do_head(self, r, n):
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n".encode())

    def do_slow(self, r, seconds, *rest):
        time.sleep(float(seconds))
        last = self.server.draining
        self.answer(b"slow", headers=["Connection: close"] if last else [])
        return last

    def do_wait(self, r, *rest):
        self.server.go.wait(20)
        self.answer(b"waited")

    def do_no_answer(self, r, *rest):
        return True

    def do_reset(self, r, *rest):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True

    def do_no_answer_once(self, r, *rest):
        if self.server.count(r.path) == 1:
            return True
        self.answer(b"second")

    def do_die(self, r, *rest):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        return True

    def do_die_chunked(self, r, *rest):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        return True

    def do_surplus(self, r, *rest):
        self.answer(b"fine")
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")

    def do_garbage(self, r, *rest):
        self.send(b"SSH-2.0-nothing\r\n\r\n")
        return True

    def do_both(self, r, *rest):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    def do_stream(self, r, *rest):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"d\r\ndata: first\n\n\r\n")
        self.server.go.wait(20)
        self.send(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")

    def do_trailers(self, r, *rest):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                  b"2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 42\r\nCache-Control: no-store\r\n\r\n")

    def do_hint(self, r, *rest):
        self.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        time.sleep(0.05)
        self.answer(b"after the hint")

    def do_until_close(self, r, *rest):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall until the end")
        return True

    def do_close(self, r, *rest):
        self.answer(b"bye", headers=["Connection: close"])
        return True

    def do_hop(self, r, *rest):
        self.answer(b"x", headers=["Connection: X-Secret", "X-Secret: 1", "Keep-Alive: timeout=9", "X-Kept: 1",
                                   "Proxy-Connection: close"])

    def do_empty(self, r, status):
        self.send(f"HTTP/1.1 {status} Thing\r\n\r\n".encode())

    def do_big(self, r, n):
        left, piece = int(n), bytes(range(256)) * 256
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
        while left:
            self.send(piece[:min(left, len(piece))])
            left -= min(left, len(piece))

    def do_early(self, r, *rest):
        self.answer(b"too large", "413 Content Too Large", ["Connection: close"])
        self.sock.shutdown(socket.SHUT_WR)
        while self.sock.recv(65536):
            pass
        return True

    def do_ws(self, r, *rest):
        self.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  b"Sec-WebSocket-Accept: test\r\n\r\nwelcome")
        while True:
            data = self.sock.recv(65536)
            if not data:
                return True
            self.sock.sendall(data)
