"""The edge next to nginx: CPU time per request, proxied and static, and what idle connections weigh."""
import contextlib
import os
import socket
import time

from common import Figure, Skip, cpu_seconds, free_port, median, nginx, pss_bytes, running, wait_for_port, wrk

ROUNDS = 4
SECONDS = 2


def figures(slipway, folder):
    with contextlib.ExitStack() as stack:
        log = folder / "edge.log"
        backend, front, own = free_port(), free_port(), free_port()
        answer = "x" * 1000
        stack.enter_context(running(nginx(sub(folder, "backend"), f"""
            server {{ listen 127.0.0.1:{backend} backlog=4096; keepalive_timeout 600; location / {{ return 200 "{answer}"; }} }}
            """, log), log))
        pages = folder / "pages"
        public = pages / "@store/1/1/public"
        public.mkdir(parents=True)
        (public / "file.html").write_text("y" * 4000)
        (pages / "@live/team").mkdir(parents=True)
        (pages / "@live/team/site").symlink_to("../../@store/1/1/public")
        peer = stack.enter_context(running(nginx(sub(folder, "front"), f"""
            sendfile on; tcp_nopush on; open_file_cache max=1000; open_file_cache_valid 60s;
            upstream up {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 100000000; }}
            server {{
                listen 127.0.0.1:{front} backlog=4096; keepalive_timeout 600;
                location / {{
                    proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
                    proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
                    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
                    proxy_set_header X-Request-Id $request_id;
                }}
                location /site/ {{ alias {public}/; }}
            }}""", log), log))
        edge = stack.enter_context(running(
            [slipway, "edge", "--listen", f"127.0.0.1:{own}", "--upstream", f"127.0.0.1:{backend}", "--pages", pages,
             "--workers", "1"], log))
        for port in (backend, front, own):
            wait_for_port(port)
        yield from compare(
            Figure("edge: CPU per proxied request, 1 KB", "us", target_ratio=1.15),
            [("own", edge.pid, f"http://127.0.0.1:{own}/", ()), ("nginx", peer.pid, f"http://127.0.0.1:{front}/", ())])
        yield from compare(
            Figure("edge: CPU per page, 4 KB file", "us"),
            [("own", edge.pid, f"http://127.0.0.1:{own}/site/file.html", ["Host: team.pages.localhost"]),
             ("nginx", peer.pid, f"http://127.0.0.1:{front}/site/file.html", ())])
        yield idle_memory(edge, own)


def sub(folder, name):
    path = folder / name
    path.mkdir()
    return path


def compare(figure, sides):
    cost = {name: [] for name, *_ in sides}
    for i in range(ROUNDS):
        for name, pid, url, headers in sides if i % 2 else reversed(sides):
            before = cpu_seconds(pid)
            got = wrk(url, SECONDS, connections=64, headers=headers)
            if got["errors"]:
                raise Skip(f"{name}: {got['errors']} failed requests")
            cost[name].append((cpu_seconds(pid) - before) / got["requests"] * 1e6)
    figure.value, figure.peer, figure.peer_name = median(cost["own"]), median(cost["nginx"]), "nginx"
    yield figure


def idle_memory(edge, port):
    figure = Figure("edge: memory of 5,000 idle connections", "MB", target=8)
    sockets = []
    try:
        for _ in range(5000):
            s = socket.create_connection(("127.0.0.1", port), timeout=5)
            sockets.append(s)
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            got = b""
            while b"\r\n\r\nxxx" not in got:
                got += s.recv(4096)
        time.sleep(0.2)
        figure.value = pss_bytes(edge.pid) / 1e6
    except OSError as error:
        figure.note = f"{os.strerror(error.errno or 0)} after {len(sockets)} connections"
    finally:
        for s in sockets:
            s.close()
    return figure
