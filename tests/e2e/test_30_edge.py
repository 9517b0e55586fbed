"""`slipway edge`: proxying, holding, retry, refusals, tunnels, drain and pages, against peers that misbehave."""
import hashlib
import http.client
import itertools
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from conftest import ROOT, SLIPWAY, free_port, wait_until

sys.path.insert(0, str(ROOT / "tests/lib"))
from upstream import Upstream  # noqa: E402


class Edge:
    def __init__(self, folder, upstream, *args):
        self.folder, self.upstream, self.args = folder, upstream, args
        self.port, self.admin, self.log = free_port(), folder / "admin.sock", folder / "edge.log"
        self.pages = folder / "pages"
        self.pages.mkdir(exist_ok=True)
        self.process = None

    def start(self, descriptors=None):
        ready, told = os.pipe()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [SLIPWAY, "edge", "--listen", f"127.0.0.1:{self.port}", "--upstream", self.upstream, "--pages", self.pages,
                 "--admin", self.admin, *self.args],
                pass_fds=[told], stdin=subprocess.DEVNULL, stderr=log, env={**os.environ, "SLIPWAY_READY_FD": str(told)},
                preexec_fn=descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))))
        os.close(told)
        line = os.read(ready, 100)
        os.close(ready)
        assert line == b"1", self.log.read_text()
        return self

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            status = self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process = None
        text = self.log.read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text[-4000:]
        assert status == 0, text[-2000:]

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def http(self, timeout=15):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path, method="GET", body=None, headers=None, host=None):
        c = self.http()
        try:
            all_headers = dict(headers or {})
            if host:
                all_headers["Host"] = host
            c.request(method, path, body=body, headers=all_headers)
            r = c.getresponse()
            r.data = r.read()
            return r
        finally:
            c.close()

    def raw(self, data, seconds=10):
        """Sends bytes; returns all that comes until the edge closes or falls silent for a while."""
        with self.connect() as s:
            s.sendall(data)
            return read_all(s, seconds)

    def metrics(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.admin))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")
            text = read_all(s, 10).decode()
        assert text.startswith("HTTP/1.1 200 "), text
        return {m[1]: float(m[2]) for m in re.finditer(r"^slipway_edge_(\S+) (\S+)$", text, re.M)}

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) * 1024


def read_all(s, seconds=10):
    s.settimeout(seconds)
    got = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except ConnectionResetError:
        return got
    except socket.timeout:
        return got


def read_until(s, end, seconds=10):
    s.settimeout(seconds)
    got = b""
    while end not in got:
        piece = s.recv(65536)
        assert piece, got
        got += piece
    return got


@pytest.fixture
def up(tmp_path):
    u = Upstream(tmp_path / "up.sock").start()
    yield u
    u.go.set()
    u.stop()


@pytest.fixture
def edge(tmp_path, up):
    e = Edge(tmp_path, up.where, "--workers", "1").start()
    yield e
    e.stop()


@pytest.fixture
def make_edge(tmp_path):
    made = []

    def make(*args):
        made.append(Edge(tmp_path, *args))
        return made[-1]

    yield make
    for e in made:
        e.stop()


@pytest.fixture
def tcp_pair(tmp_path):
    u = Upstream(free_port()).start()
    e = Edge(tmp_path, u.where, "--workers", "1").start()
    yield e, u
    e.stop()
    u.go.set()
    u.stop()


# ---- passing on

def test_requests_and_answers_pass(edge, up):
    r = edge.get("/some/path?a=1&b=%20", headers={"X-Mine": "yes", "Cookie": "a=b"})
    assert r.status == 200 and r.getheader("Content-Type") == "application/json"
    seen = json.loads(r.data)
    headers = dict((k.lower(), v) for k, v in seen["headers"])
    assert seen["path"] == "/some/path?a=1&b=%20"
    assert headers["x-mine"] == "yes" and headers["cookie"] == "a=b"
    assert headers["host"] == f"127.0.0.1:{edge.port}"
    assert headers["x-forwarded-for"] == "127.0.0.1" and headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == headers["host"] and len(headers["x-request-id"]) > 8


def test_forwarding_and_hop_by_hop_headers_are_not_trusted(edge, up):
    data = (f"GET /echo HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
            f"X-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n"
            f"Connection: X-Drop, close\r\nX-Drop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\n\r\n")
    answer = edge.raw(data.encode())
    seen = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    names = [k.lower() for k, _ in seen["headers"]]
    headers = dict((k.lower(), v) for k, v in seen["headers"])
    assert headers["x-forwarded-for"] == "127.0.0.1" and headers["x-forwarded-host"] == "a.example"
    assert headers["x-forwarded-proto"] == "http" and headers["x-request-id"] != "mine"
    assert not {"forwarded", "x-real-ip", "x-drop", "connection", "te", "keep-alive", "proxy-connection"} & set(names)
    assert len(names) == len(set(names))
    answer = edge.get("/hop")
    assert answer.getheader("X-Kept") == "1"
    assert not answer.getheader("X-Secret") and not answer.getheader("Keep-Alive")


def test_absolute_form_names_the_host(edge, up):
    answer = edge.raw(b"GET http://real.example:81/echo?q HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n")
    if answer.startswith(b"HTTP/1.1 400"):
        return  # two hosts that differ: refusing is as safe
    seen = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    hosts = [v for k, v in seen["headers"] if k.lower() == "host"]
    assert hosts == ["real.example:81"] and seen["path"] == "/echo?q"


def test_connections_are_kept_on_both_sides(edge, up):
    c = edge.http()
    for i in range(20):
        c.request("GET", f"/echo/{i}")
        assert json.loads(c.getresponse().read())["path"] == f"/echo/{i}"
    c.close()
    assert up.connections == 1
    assert edge.metrics()["connections_total"] <= 3


def test_pipelined_requests_are_answered_in_order(edge, up):
    data = b"".join(b"GET /echo/%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(50))
    data += b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = edge.raw(data)
    assert re.findall(rb'"path": "([^"]+)"', answer) == [b"/echo/%d" % i for i in range(50)] + [b"/last"]


def test_request_split_anywhere(edge, up):
    data = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    want = hashlib.sha256(b"abcde").hexdigest().encode()
    for cut in range(1, len(data), 7):
        with edge.connect() as s:
            s.sendall(data[:cut])
            time.sleep(0.002)
            s.sendall(data[cut:])
            assert want in read_all(s), cut


def test_head_and_bodiless_answers(edge, up):
    answer = edge.raw(b"HEAD /head/1234 HTTP/1.1\r\nHost: x\r\n\r\nGET /empty/204 HTTP/1.1\r\nHost: x\r\n\r\n"
                      b"GET /empty/304 HTTP/1.1\r\nHost: x\r\n\r\nGET /close HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 4 and b"Content-Length: 1234\r\n" in answer
    assert answer.endswith(b"bye")


def test_bodies_of_all_framings(edge, up):
    body = os.urandom(300000)
    want = hashlib.sha256(body).hexdigest()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        seen = json.loads(edge.get("/echo", method, body).data)
        assert (seen["method"], seen["body"]["sha256"]) == (method, want)
        seen = json.loads(edge.get("/echo", method, iter([body[:1000], body[1000:]])).data)
        assert (seen["method"], seen["body"]["sha256"]) == (method, want)
        framing = [k.lower() for k, _ in seen["headers"] if k.lower() in ("transfer-encoding", "content-length")]
        assert framing == ["transfer-encoding"]
    assert edge.get("/until-close").data == b"all until the end"
    r = edge.get("/trailers")
    assert r.data == b"abc"


def test_trailers_pass_but_not_framing_ones(edge, up):
    answer = edge.raw(b"GET /trailers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"0\r\nX-Sum: 42\r\n\r\n"), answer


def test_http_1_0_clients(edge, up):
    answer = edge.raw(b"GET /trailers HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nabc") and b"chunked" not in answer
    answer = edge.raw(b"GET /hint HTTP/1.0\r\nHost: x\r\n\r\n")
    assert b" 103 " not in answer and answer.endswith(b"after the hint")
    with edge.connect() as s:
        for _ in range(3):
            s.sendall(b"GET /close HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            assert b"Connection: keep-alive\r\n" in read_until(s, b"bye")


def test_interim_answers_pass(edge, up):
    answer = edge.raw(b"GET /hint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 103 ") and b"Link: </a.css>" in answer and answer.endswith(b"after the hint")


def test_expect_continue(edge, up, tmp_path):
    """The upstream here never says 100: the edge must not wait for it either; curl sends after a second at most."""
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2000000)
    done = subprocess.run(["curl", "-sS", "-m", "20", "-H", "Expect: 100-continue", "--data-binary", f"@{big}",
                           f"http://127.0.0.1:{edge.port}/echo"], capture_output=True, text=True)
    assert json.loads(done.stdout)["body"]["length"] == 2000000, done.stderr


def test_event_streams_are_not_held_back(edge, up):
    with edge.connect() as s:
        s.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(s, b"data: first", 5)
        up.go.set()
        read_until(s, b"data: second\n\n\r\n0\r\n\r\n", 5)


def test_early_answer_while_the_body_is_sent(edge, up):
    with edge.connect() as s:
        s.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        sent, answer = 0, b""
        s.settimeout(10)
        try:
            while sent < 3000000:
                sent += s.send(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_all(s)
        assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"too large")


def test_websocket_and_half_close(edge, up):
    with edge.connect() as s:
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        got = read_until(s, b"first")
        head, rest = got.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 ") and b"\r\nUpgrade: websocket" in head and b"\r\nConnection: Upgrade" in head
        assert rest == b"welcomefirst"
        payload = os.urandom(3000000)
        threading.Thread(target=s.sendall, args=(payload,), daemon=True).start()
        got = b""
        while len(got) < len(payload):
            got += s.recv(1 << 20)
        assert got == payload
        s.shutdown(socket.SHUT_WR)
        assert s.recv(10) == b""
    assert edge.metrics()["tunnels_total"] == 1


def test_h2c_upgrade_does_not_pass(edge, up):
    answer = edge.raw(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
                      b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
    seen = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert not {"upgrade", "http2-settings"} & {k.lower() for k, _ in seen["headers"]}


def test_an_upgrade_nobody_asked_for_is_refused(edge, up):
    assert edge.raw(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 502 ")


# ---- size

def test_large_bodies_stream_with_little_memory(edge, up):
    size = 200 * 1000 * 1000
    edge.get("/echo")
    before = edge.rss()
    most = [0]
    stop = threading.Event()

    def watch():
        while not stop.wait(0.02):
            most[0] = max(most[0], edge.rss())

    t = threading.Thread(target=watch)
    t.start()
    try:
        c = edge.http(60)
        c.request("GET", f"/big/{size}")
        r = c.getresponse()
        got = 0
        while piece := r.read(1 << 20):
            got += len(piece)
        assert got == size
        c.close()
        c = edge.http(60)
        c.request("PUT", "/echo", body=(b"x" * (1 << 20) for _ in range(100)))
        assert json.loads(c.getresponse().read())["body"]["length"] == 100 << 20
        c.close()
    finally:
        stop.set()
        t.join()
    assert most[0] - before < 8 << 20, (before, most[0])


def test_slow_reader_holds_the_upstream_back(edge, up):
    """Back-pressure: an answer nobody reads is not taken in."""
    before = edge.rss()
    with edge.connect() as s:
        s.sendall(b"GET /big/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(5)
        s.recv(1000)
        time.sleep(0.5)
        assert edge.rss() - before < 8 << 20
        assert edge.metrics()["sent_bytes_total"] < 20000000
        got = 1000
        while got < 100000000:
            piece = s.recv(1 << 20)
            assert piece
            got += len(piece)


# ---- refusals

SMUGGLING = {
    "length and chunked": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length list": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "signed length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "hex length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
    "underscore length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\nabc",
    "empty length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc",
    "huge length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
    "other coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "xchunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "vertical tab": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "tab before colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length\t: 3\r\n\r\nabc",
    "folded line": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space first": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare LF in fields": b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 3\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "bad host": b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "user in host": b"GET / HTTP/1.1\r\nHost: me@x\r\n\r\n",
    "hex chunk prefix": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "signed chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "underscore chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0_3\r\nabc\r\n0\r\n\r\n",
    "space before chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
    "LF in chunk extension": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
    "LF after chunk size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "chunk too long": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "chunk overflow": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "control in target": b"GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower case version": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_requests_are_refused(smuggling_edge, name):
    edge, up = smuggling_edge
    before = up.count("/evil")
    answer = edge.raw(SMUGGLING[name] + b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n", 5)
    status = answer.split(b"\r\n", 1)[0]
    assert re.match(rb"HTTP/1.1 (400|501|505) ", status), answer
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert up.count("/evil") == before


@pytest.fixture(scope="module")
def smuggling_edge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smuggling")
    u = Upstream(folder / "up.sock").start()
    e = Edge(folder, u.where, "--workers", "1").start()
    yield e, u
    e.stop()
    u.stop()


def test_large_heads_are_refused(smuggling_edge):
    edge, _ = smuggling_edge
    assert edge.raw(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 414 ")
    assert edge.raw(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 40000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert edge.raw(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n").startswith(b"HTTP/1.1 431 ")
    # just below the limit passes
    ok = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"A: " + b"b" * 30000 + b"\r\n\r\n"
    assert edge.raw(ok).startswith(b"HTTP/1.1 200 ")


def test_connect_is_refused(smuggling_edge):
    assert smuggling_edge[0].raw(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n").startswith(
        b"HTTP/1.1 405 ")


def test_errors_in_the_form_the_client_accepts(edge, up):
    up.stop()
    edge.stop()
    edge.args = ("--workers", "1", "--hold", "50ms")
    edge.start()
    r = edge.get("/api/v4/projects")
    assert r.status == 503 and "503" in json.loads(r.data)["message"] and r.getheader("Retry-After")
    r = edge.get("/", headers={"Accept": "text/html,*/*"})
    assert r.getheader("Content-Type").startswith("text/html") and b"<h1>503" in r.data
    r = edge.get("/", headers={"Accept": "*/*"})
    assert r.getheader("Content-Type").startswith("text/plain") and r.data.startswith(b"503 ")
    assert edge.get("/", "HEAD").data == b""


# ---- limits of time

@pytest.fixture
def quick_edge(tmp_path, up):
    e = Edge(tmp_path, up.where, "--workers", "1", "--head-time", "300ms", "--idle-time", "400ms", "--body-time", "300ms",
             "--write-time", "500ms", "--answer-time", "400ms", "--tunnel-time", "400ms", "--hold", "300ms").start()
    yield e
    e.stop()


def closed_within(s, seconds):
    start = time.monotonic()
    data = read_all(s, seconds)
    return data, time.monotonic() - start


def test_slow_head_gets_408(quick_edge):
    with quick_edge.connect() as s:
        for byte in b"GET / HTTP/1.1\r\n":
            try:
                s.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
        data, _ = closed_within(s, 5)
    assert data.startswith(b"HTTP/1.1 408 ")


def test_idle_connection_is_closed_without_a_word(quick_edge):
    with quick_edge.connect() as s:
        data, took = closed_within(s, 5)
        assert data == b"" and 0.3 < took < 3
    with quick_edge.connect() as s:
        s.sendall(b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
        data, took = closed_within(s, 5)
        assert data.endswith(b"bye") and 0.3 < took < 3


def test_slow_body_gets_408(quick_edge, up):
    with quick_edge.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(40):
            try:
                s.sendall(b"x")
            except OSError:
                break
            time.sleep(0.03)
        data, _ = closed_within(s, 5)
    assert data.startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: quick_edge.metrics()["upstream_connections"] == 0, 5, "upstream connection closed")


def test_silent_upstream_gets_504(quick_edge, up):
    assert quick_edge.get("/slow/3").status == 504


def test_stalled_reader_is_cut(quick_edge, up):
    with quick_edge.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /big/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: quick_edge.metrics()["cut_total"] == 1, 8, "cut")
        wait_until(lambda: quick_edge.metrics()["upstream_connections"] == 0, 5, "upstream let go")


def test_silent_tunnel_is_closed(quick_edge, up):
    with quick_edge.connect() as s:
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        _, took = closed_within(s, 5)
        assert took < 3


def test_client_that_left_frees_the_upstream(edge, up):
    s = edge.connect()
    s.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: up.count("/wait") == 1, 5, "request arrived")
    s.close()
    wait_until(lambda: edge.metrics()["upstream_connections"] == 0, 5, "upstream let go")
    assert edge.metrics()["aborted_total"] == 1


def test_client_that_closed_its_side_gets_its_answer(edge, up):
    with edge.connect() as s:
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        assert read_all(s).startswith(b"HTTP/1.1 200 ")


# ---- an upstream that fails

def test_broken_answers(edge, up):
    assert edge.get("/garbage").status == 502
    assert edge.get("/both").status == 502
    assert edge.get("/echo").status == 200


@pytest.mark.parametrize("path", ["/die", "/die-chunked"])
def test_an_answer_cut_short_is_seen_as_such(edge, up, path):
    c = edge.http()
    c.request("GET", path)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        c.getresponse().read()
    assert up.count(path) == 1


def test_surplus_bytes_never_reach_another_request(edge, up):
    for _ in range(30):
        assert edge.get("/surplus").data == b"fine"
        assert b"EVIL" not in edge.get("/echo").data
    assert edge.metrics()["upstream_surplus_total"] > 0


def test_get_is_repeated_post_is_not(edge, up):
    assert edge.get("/no-answer-once/a").data == b"second"
    assert up.count("/no-answer-once/a") == 2
    r = edge.get("/no-answer-once/b", "POST", b"x")
    assert r.status == 502 and up.count("/no-answer-once/b") == 1
    r = edge.get("/no-answer-once/c", "POST", b"x", {"Idempotency-Key": "1"})
    assert r.data == b"second"
    body = os.urandom(20000)
    assert edge.get("/no-answer-once/d", "PUT", body).data == b"second"
    # what no buffer holds any more cannot be sent again
    r = edge.get("/no-answer-once/e", "PUT", os.urandom(300000))
    assert r.status == 502 and up.count("/no-answer-once/e") == 1
    m = edge.metrics()
    assert m['retries_total{reason="idempotent"}'] == 3 and m["retries_denied_total"] == 2


def test_repeats_are_bounded(edge, up):
    assert edge.get("/no-answer").status == 502
    assert up.count("/no-answer") == 4


def stopped(pid):
    return all(open(f"/proc/{pid}/task/{t}/stat").read().rsplit(")", 1)[1].split()[0] == "T"
               for t in os.listdir(f"/proc/{pid}/task"))


def stale_post(edge, up):
    """A POST that meets a pooled connection whose peer closed it at that very moment."""
    c = edge.http()
    c.request("GET", "/echo")
    c.getresponse().read()
    wait_until(lambda: all(not x.busy for x in up.open), 5, "idle")
    os.kill(edge.process.pid, signal.SIGSTOP)
    wait_until(lambda: stopped(edge.process.pid), 5, "stopped")
    c.request("POST", "/stale", body=b"important")
    time.sleep(0.05)
    up.drop_idle()
    wait_until(lambda: not up.open, 5, "closed")
    time.sleep(0.05)
    os.kill(edge.process.pid, signal.SIGCONT)
    r = c.getresponse()
    r.read()
    c.close()
    return r.status


def test_post_on_a_connection_that_was_just_closed_unix(edge, up):
    assert stale_post(edge, up) == 200
    assert up.count("/stale") == 1


def test_post_on_a_connection_that_was_just_closed_tcp(tcp_pair):
    edge, up = tcp_pair
    assert stale_post(edge, up) == 200
    assert up.count("/stale") == 1


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_restart_of_the_upstream_costs_nothing(kind, request):
    edge, up = request.getfixturevalue("tcp_pair") if kind == "tcp" else (
        request.getfixturevalue("edge"), request.getfixturevalue("up"))
    stop, failures, done = threading.Event(), [], [0]
    number = itertools.count()

    def client(method):
        c = edge.http(15)
        while not stop.is_set():
            try:
                c.request(method, f"/slow/0.005/{next(number)}", body=b"x" if method == "POST" else None)
                r = c.getresponse()
                r.read()
                if r.status != 200:
                    failures.append((method, r.status))
                done[0] += 1
            except OSError as error:
                failures.append((method, repr(error)))
                c.close()

    threads = [threading.Thread(target=client, args=(m,)) for m in ["GET"] * 6 + ["POST"] * 2]
    for t in threads:
        t.start()
    try:
        for i in range(6):
            time.sleep(0.1)
            up.stop(graceful=True)
            time.sleep(0.1 if i % 2 else 0.3)
            up.start()
        time.sleep(0.2)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert done[0] > 100
    gets = [f for f in failures if f[0] == "GET"]
    assert not gets, (gets[:5], edge.log.read_text()[-2000:])
    posts = [f for f in failures if f[0] == "POST"]
    assert len(posts) <= 1, posts  # one may have crossed with the end of its connection: never repeated
    executed = [path for method, path in up.executed if method == "POST"]
    assert len(executed) == len(set(executed)), "a POST was executed twice"


def test_killed_upstream_costs_no_get(edge, up):
    stop, failures, done = threading.Event(), [], [0]

    def client():
        while not stop.is_set():
            r = edge.get("/slow/0.01")
            done[0] += 1
            if r.status != 200:
                failures.append((r.status, r.data))

    threads = [threading.Thread(target=client) for _ in range(6)]
    for t in threads:
        t.start()
    for _ in range(5):
        time.sleep(0.1)
        up.stop()
        time.sleep(0.1)
        up.start()
    time.sleep(0.1)
    stop.set()
    for t in threads:
        t.join()
    assert done[0] > 50 and not failures, failures[:5]


def test_hold_is_bounded(make_edge, tmp_path):
    edge = make_edge(f"unix:{tmp_path}/none.sock", "--workers", "1", "--hold", "300ms", "--hold-max", "3").start()
    results = []
    threads = [threading.Thread(target=lambda: results.append((edge.get("/x").status, time.monotonic())))
               for _ in range(6)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [s for s, _ in results] == [503] * 6
    early = [t for _, t in results if t - start < 0.25]
    assert len(early) == 3
    edge.stop()


# ---- stopping

def test_drain_under_load_loses_nothing(edge, up):
    """Keep-alive clients: every request that is sent is answered; a closed connection was announced."""
    failures, answered, closing = [], [0], threading.Event()

    def client():
        c = edge.http()
        while True:
            try:
                c.request("GET", "/slow/0.002")
            except ConnectionRefusedError:
                return
            try:
                r = c.getresponse()
                r.read()
                answered[0] += r.status == 200
                if r.getheader("Connection") == "close":
                    c.close()
                    if not closing.is_set():
                        failures.append("closed early")
            except OSError as error:
                failures.append(repr(error))
                return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(0.4)
    closing.set()
    start = time.monotonic()
    edge.stop()
    assert time.monotonic() - start < 5
    for t in threads:
        t.join(10)
    assert answered[0] > 50 and not failures, failures[:5]


def test_drain_waits_for_the_last_answer(edge, up):
    got = []
    t = threading.Thread(target=lambda: got.append(edge.get("/wait")))
    t.start()
    wait_until(lambda: up.count("/wait") == 1, 5, "request arrived")
    edge.process.send_signal(signal.SIGTERM)
    wait_until(lambda: b"draining" in edge.log.read_bytes(), 5, "draining")
    time.sleep(0.8)
    assert edge.process.poll() is None
    up.go.set()
    t.join()
    assert got[0].status == 200 and got[0].data == b"waited" and got[0].getheader("Connection") == "close"
    edge.stop()


def test_drain_has_an_end(make_edge, up):
    edge = make_edge(up.where, "--workers", "2", "--drain", "700ms").start()
    with edge.connect() as s:
        s.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: up.count("/wait") == 1, 5, "request arrived")
        start = time.monotonic()
        edge.stop()
        assert time.monotonic() - start < 3
        assert read_all(s) == b""


def test_second_signal_cuts(edge, up):
    with edge.connect() as s:
        s.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: up.count("/wait") == 1, 5, "request arrived")
        edge.process.send_signal(signal.SIGINT)
        wait_until(lambda: b"draining" in edge.log.read_bytes(), 5, "draining")
        start = time.monotonic()
        edge.stop()
        assert time.monotonic() - start < 3


def test_drain_ends_event_streams_between_events(edge, up):
    with edge.connect() as s:
        s.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(s, b"data: first\n\n\r\n")
        start = time.monotonic()
        edge.process.send_signal(signal.SIGTERM)
        assert read_all(s) == b"0\r\n\r\n"
        edge.stop()
        assert time.monotonic() - start < 3


def test_health_tells_of_draining(edge, up):
    assert edge.get("/-/edge/health").status == 200
    t = threading.Thread(target=lambda: edge.get("/wait"))
    t.start()
    wait_until(lambda: up.count("/wait") == 1, 5, "request arrived")
    edge.process.send_signal(signal.SIGTERM)
    wait_until(lambda: b"draining" in edge.log.read_bytes(), 5, "draining")
    assert edge.get("/-/edge/health").status == 503
    up.go.set()
    t.join()
    edge.stop()


def test_wrong_options_say_so(tmp_path):
    def run(*args):
        return subprocess.run([SLIPWAY, "edge", *args], capture_output=True, text=True, timeout=20)
    assert run("--upstrea", "x").returncode == 2
    done = run("--listen", "nonsense", "--upstream", "unix:/x")
    assert done.returncode != 0 and "ADDRESS:PORT" in done.stderr
    done = run("--hold", "soon")
    assert done.returncode == 2 and "--hold" in done.stderr
    done = run("--listen", "127.0.0.1:0")
    assert done.returncode != 0 and "upstream" in done.stderr
    done = run("--listen", "127.0.0.1:0", "--upstream", "unix:/x", "--pages", str(tmp_path / "none"))
    assert done.returncode != 0 and "none" in done.stderr


# ---- pages

HOST = "team.pages.localhost"


def publish(edge, project, job, files, live=None):
    public = edge.pages / f"@store/{project}/{job}/public"
    for name, data in files.items():
        path = public / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    link = edge.pages / "@live/team" / (live or "site")
    link.parent.mkdir(parents=True, exist_ok=True)
    depth = len(link.relative_to(edge.pages).parts) - 1
    temp = edge.pages / f"@temp{os.getpid()}"
    temp.symlink_to("../" * depth + f"@store/{project}/{job}/public")
    os.replace(temp, link)


def page(edge, path, method="GET", **headers):
    return edge.get(path, method, headers={k.replace("_", "-"): v for k, v in headers.items()}, host=f"{HOST}:{edge.port}")


def test_pages_are_served(edge):
    publish(edge, 1, 1, {"index.html": "<h1>home</h1>", "a/index.html": "folder", "about.html": "about", "style.css": "x{}",
                         "404.html": "own missing", "data.bin": bytes(range(256)) * 1000, "empty.txt": ""})
    publish(edge, 2, 2, {"index.html": "nested"}, "sub/group/deep")
    publish(edge, 3, 3, {"index.html": "the root"}, HOST)
    r = page(edge, "/site/")
    assert r.status == 200 and r.data == b"<h1>home</h1>"
    assert r.getheader("Content-Type") == "text/html; charset=utf-8"
    assert r.getheader("X-Content-Type-Options") == "nosniff" and r.getheader("Cache-Control") == "no-cache"
    assert page(edge, "/site?q=1").getheader("Location") == "/site/?q=1"
    assert page(edge, "/site/a").getheader("Location") == "/site/a/" and page(edge, "/site/a").status == 302
    assert page(edge, "/site/a/").data == b"folder"
    assert page(edge, "/site/about").data == b"about"
    r = page(edge, "/site/none")
    assert r.status == 404 and r.data == b"own missing"
    assert page(edge, "/sub/group/deep/").data == b"nested"
    assert page(edge, "/").data == b"the root"
    r = page(edge, "/sub/none")
    assert r.status == 404
    r = page(edge, "/site/data.bin")
    assert r.data == bytes(range(256)) * 1000 and r.getheader("Content-Type") == "application/octet-stream"
    assert page(edge, "/site/empty.txt").data == b""
    r = page(edge, "/site/data.bin", "HEAD")
    assert r.getheader("Content-Length") == "256000" and r.data == b""
    r = page(edge, "/site/", "POST")
    assert r.status == 405 and r.getheader("Allow") == "GET, HEAD"
    assert edge.get("/site/", host=f"nobody.pages.localhost:{edge.port}").status == 404


def test_conditional_and_range_requests(edge):
    data = os.urandom(200000)
    publish(edge, 1, 1, {"data.bin": data})
    r = page(edge, "/site/data.bin")
    tag, date = r.getheader("ETag"), r.getheader("Last-Modified")
    assert tag.startswith('"') and r.getheader("Accept-Ranges") == "bytes"
    r = page(edge, "/site/data.bin", If_None_Match=tag)
    assert r.status == 304 and r.data == b"" and r.getheader("ETag") == tag
    assert page(edge, "/site/data.bin", If_Modified_Since=date).status == 304
    assert page(edge, "/site/data.bin", If_Match='"other"').status == 412
    for first, last in [(0, 0), (5, 99), (1000, 150000), (199999, 199999)]:
        r = page(edge, "/site/data.bin", Range=f"bytes={first}-{last}")
        assert r.status == 206 and r.data == data[first:last + 1]
        assert r.getheader("Content-Range") == f"bytes {first}-{last}/200000"
    assert page(edge, "/site/data.bin", Range="bytes=-5").data == data[-5:]
    r = page(edge, "/site/data.bin", Range="bytes=200000-")
    assert r.status == 416 and r.getheader("Content-Range") == "bytes */200000"
    assert page(edge, "/site/data.bin", Range="bytes=0-5", If_Range=tag).status == 206
    assert page(edge, "/site/data.bin", Range="bytes=0-5", If_Range='"old"').status == 200


def test_curl_resumes_and_decompresses(edge, tmp_path):
    import gzip
    data = os.urandom(100000)
    publish(edge, 1, 1, {"f.bin": data, "t.txt": "plain text", "t.txt.gz": gzip.compress(b"plain text")})
    part = tmp_path / "part"
    part.write_bytes(data[:40000])
    base = ["curl", "-sS", "--resolve", f"{HOST}:{edge.port}:127.0.0.1"]
    url = f"http://{HOST}:{edge.port}/site"
    subprocess.run([*base, "-C", "-", "-o", part, f"{url}/f.bin"], check=True, timeout=20)
    assert part.read_bytes() == data
    done = subprocess.run([*base, "-i", "--compressed", f"{url}/t.txt"], capture_output=True, text=True, timeout=20)
    assert "Content-Encoding: gzip" in done.stdout and done.stdout.endswith("plain text") and "Vary: Accept-Encoding" in done.stdout


@pytest.mark.parametrize("path", ["/site/../../secret", "/site/%2e%2e/%2e%2e/secret", "/site/..%2f..%2fsecret", "/site/%00",
                                  "/site/a%0d%0ab", "/%2e%2e/@store/1/1/public/index.html", "/./site/", "/site/%"])
def test_paths_cannot_leave_the_site(edge, path):
    publish(edge, 1, 1, {"index.html": "x"})
    (edge.pages / "secret").write_text("secret")
    assert page(edge, path).status == 400


def test_links_cannot_leave_the_site(edge):
    publish(edge, 1, 1, {"index.html": "x"})
    public = edge.pages / "@store/1/1/public"
    (edge.pages / "secret").write_text("secret")
    (public / "up").symlink_to("../../../../secret")
    (public / "abs").symlink_to("/etc/passwd")
    (public / "proc").symlink_to("/proc/self/environ")
    (public / "dir").symlink_to("../../../..")
    (public / "inside").symlink_to("index.html")
    for name in ("up", "abs", "proc", "dir/secret"):
        assert page(edge, f"/site/{name}").status == 404, name
    assert page(edge, "/site/inside").data == b"x"


def test_redirects_stay_on_the_host(edge):
    publish(edge, 3, 3, {"evil.example/index.html": "x", "\\evil/index.html": "y"}, HOST)
    assert page(edge, "//evil.example").getheader("Location") == "/evil.example/"
    assert page(edge, "/%5Cevil").getheader("Location") == "/%5Cevil/"


def test_swap_under_load_is_never_a_mixture(edge):
    def site(n):
        return {"index.html": f"{n:06d}" * 2000, "about.html": f"about {n}"}
    publish(edge, 1, 0, site(0))
    stop, bad, seen = threading.Event(), [], set()

    def reader():
        c = edge.http()
        while not stop.is_set():
            c.request("GET", "/site/", headers={"Host": f"{HOST}:{edge.port}"})
            r = c.getresponse()
            data = r.read()
            if r.status != 200 or len(set(data[i:i + 6] for i in range(0, len(data), 6))) != 1:
                bad.append((r.status, data[:40]))
            seen.add(data[:6])

    threads = [threading.Thread(target=reader) for _ in range(4)]
    for t in threads:
        t.start()
    for n in range(1, 120):
        publish(edge, 1, n, site(n))
        old = edge.pages / f"@store/1/{n - 1}/public"
        for f in old.iterdir():
            f.unlink()
        old.rmdir()
    stop.set()
    for t in threads:
        t.join()
    assert not bad, bad[:3]
    assert len(seen) > 5


def cpu_seconds(pid):
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) for t in os.listdir(f"/proc/{pid}/task")) / 1e9


def test_waiting_costs_no_cpu(edge, up):
    """Whatever a connection waits for, it is not asked again and again."""
    up.go.clear()
    sockets = [edge.connect() for _ in range(6)]
    idle, ws, wait, reader, half, body = sockets
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ws.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    read_until(ws, b"welcome")
    wait.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /echo/pipelined HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
    reader.sendall(b"GET /big/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    half.sendall(b"GET / HTTP/1.1\r\nHo")
    body.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    wait_until(lambda: up.count("/wait") == 1, 5, "request arrived")
    time.sleep(0.5)
    before = cpu_seconds(edge.process.pid)
    time.sleep(1)
    assert cpu_seconds(edge.process.pid) - before < 0.05
    for s in sockets:
        s.close()
    up.go.set()


def test_running_out_of_descriptors_passes(make_edge, up):
    edge = make_edge(up.where, "--workers", "1", "--hold", "300ms").start(descriptors=64)
    sockets = []
    for _ in range(120):
        s = edge.connect()
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        sockets.append(s)
    time.sleep(0.3)
    before = cpu_seconds(edge.process.pid)
    time.sleep(0.5)
    assert cpu_seconds(edge.process.pid) - before < 0.1
    for s in sockets:
        s.close()
    wait_until(lambda: edge.get("/echo").status == 200, 10, "service again")
    publish(edge, 1, 1, {"index.html": "x"})
    assert page(edge, "/site/").data == b"x"
    edge.stop()


def test_many_connections_cost_little(edge, up):
    """Idle connections hold no buffer."""
    sockets = []
    try:
        for _ in range(50):
            s = edge.connect()
            s.sendall(b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
            sockets.append(s)
        before = edge.rss()
        for _ in range(600):
            s = edge.connect()
            s.sendall(b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until(s, b"bye")
            sockets.append(s)
        assert edge.metrics()["connections"] >= 650
        assert edge.rss() - before < 4 << 20
    finally:
        for s in sockets:
            s.close()
