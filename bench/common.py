"""What every figure needs: processes that end with the bench, their CPU time and memory, medians, the table."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Skip(Exception):
    """The figure cannot be had here; the text says why."""


class Figure:
    """One row of the table. `better`: "less" or "more"; target and peer in the same unit."""

    def __init__(self, name, unit, better="less", target=None, target_ratio=None):
        self.name, self.unit, self.better = name, unit, better
        self.target, self.target_ratio = target, target_ratio
        self.value = self.peer = None
        self.peer_name = self.note = ""

    def ratio(self):
        """How many times better than the peer."""
        if self.value is None or self.peer is None:
            return None
        return self.peer / self.value if self.better == "less" else self.value / self.peer

    def met(self):
        if self.value is None:
            return None
        ok = True
        if self.target is not None:
            ok = self.value <= self.target if self.better == "less" else self.value >= self.target
        if self.target_ratio is not None and self.ratio() is not None:
            ok = ok and self.ratio() >= self.target_ratio
        return ok


def median(values):
    return statistics.median(values)


def need(program):
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{program} is not installed")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, seconds=10, process=None):
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end or (process and process.poll() is not None):
                raise Skip(f"nothing listens on port {port}") from None
            time.sleep(0.005)


def wait_for_path(path, seconds=10):
    end = time.monotonic() + seconds
    while not pathlib.Path(path).exists():
        if time.monotonic() > end:
            raise Skip(f"{path} did not appear")
        time.sleep(0.005)


@contextlib.contextmanager
def running(args, log, **more):
    """A process in a session of its own, ended with SIGTERM, then SIGKILL, together with what it started."""
    with open(log, "ab") as out:
        p = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=more.pop("stdout", out), stderr=out,
                             start_new_session=True, **more)
    try:
        yield p
    finally:
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(15)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        if p.stdout:
            p.stdout.close()


def tree(pid):
    """The process and all its descendants."""
    children = {}
    for d in pathlib.Path("/proc").iterdir():
        if d.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                ppid = int((d / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(ppid, []).append(int(d.name))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def cpu_seconds(pid):
    """Time on a CPU of the process tree, in nanosecond resolution."""
    total = 0
    for p in tree(pid):
        with contextlib.suppress(OSError):
            for t in pathlib.Path(f"/proc/{p}/task").iterdir():
                with contextlib.suppress(OSError):
                    total += int((t / "schedstat").read_text().split()[0])
    return total / 1e9


def pss_bytes(pid):
    total = 0
    for p in tree(pid):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def wrk(url, seconds, connections=64, threads=1, headers=()):
    """Requests per second, p99 in ms, errors, requests."""
    args = [need("wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for h in headers:
        args += ["-H", h]
    out = subprocess.run([*args, url], capture_output=True, text=True, timeout=seconds + 30).stdout
    result = {"rps": 0.0, "p99": 0.0, "errors": 0, "requests": 0}
    units = {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}
    for line in out.splitlines():
        words = line.split()
        if line.startswith("Requests/sec:"):
            result["rps"] = float(words[1])
        elif words and words[0] == "99%":
            number = words[1].rstrip("usmh")
            result["p99"] = float(number) * units.get(words[1][len(number):], 1)
        elif "requests in" in line:
            result["requests"] = int(words[0])
        elif "Non-2xx" in line:
            result["errors"] += int(words[-1])
        elif "Socket errors" in line:
            result["errors"] += sum(int(w.strip(",")) for w in words if w.strip(",").isdigit())
    if not result["requests"]:
        raise Skip(f"wrk got no answer from {url}")
    return result


def nginx(folder, http, log, workers=1):
    """Arguments of an nginx that keeps everything in `folder`."""
    conf = folder / "nginx.conf"
    conf.write_text(f"""
{'user root;' if os.geteuid() == 0 else ''}
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {log} error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    client_max_body_size 0;
    {http}
}}
""")
    return [need("nginx"), "-p", folder, "-c", conf, "-e", log]


def show(value, unit):
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def print_table(figures):
    rows = [("figure", "measured", "target", "peer", "ratio", "")]
    for f in figures:
        if f.value is None:
            rows.append((f.name, "skipped", "", "", "", f.note))
            continue
        target = []
        if f.target is not None:
            target.append(("<= " if f.better == "less" else ">= ") + show(f.target, f.unit))
        if f.target_ratio is not None:
            target.append(f">= {f.target_ratio:g}x")
        ratio = f.ratio()
        rows.append((f.name, show(f.value, f.unit), ", ".join(target), f"{f.peer_name} {show(f.peer, f.unit)}".strip(),
                     f"{ratio:.2f}x" if ratio else "", {True: "met", False: "MISSED", None: ""}[f.met()]
                     + (f"; {f.note}" if f.note else "")))
    widths = [max(len(r[i]) for r in rows) for i in range(5)]
    for i, r in enumerate(rows):
        print("  ".join(c.ljust(w) for c, w in zip(r, widths)) + "  " + r[5])
        if i == 0:
            print("  ".join("-" * w for w in widths))
