"""Git over HTTP next to nginx + fcgiwrap + git http-backend: many refs, and a large clone."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import time

from common import Figure, Skip, free_port, median, need, nginx, running, wait_for_path, wait_for_port
from platform_figures import Api, Platform, guarded, run_git

REFS = 20000
MEGABYTES = 50


def make_refs(path):
    run_git("init", "-q", "-b", "main", path)
    run_git("commit", "-q", "--allow-empty", "-m", "one", cwd=path)
    sha = run_git("rev-parse", "HEAD", cwd=path).strip()
    with open(path / ".git/packed-refs", "w") as f:
        f.write("# pack-refs with: peeled fully-peeled sorted \n")
        for i in range(REFS):
            f.write(f"{sha} refs/heads/branch-{i:06d}\n")


def make_large(path):
    run_git("init", "-q", "-b", "main", path)
    for i in range(MEGABYTES):
        (path / f"file-{i:03d}").write_bytes(os.urandom(1000000))
    run_git("add", ".", cwd=path)
    run_git("commit", "-q", "-m", "large", cwd=path)


@contextlib.contextmanager
def peer(folder, root):
    """nginx + fcgiwrap + git http-backend over the bare repositories below `root`; gives its address."""
    backend = pathlib.Path(run_git("--exec-path").strip()) / "git-http-backend"
    if not backend.exists():
        raise Skip("git http-backend is not installed")
    port, log, sock = free_port(), folder / "peer.log", folder / "fcgi.sock"
    where = folder / "peer"
    where.mkdir()
    with running([need("fcgiwrap"), "-c", "4", "-s", f"unix:{sock}"], log):
        wait_for_path(sock)
        with running(nginx(where, f"""
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    fastcgi_pass unix:{sock};
                    fastcgi_buffering off;
                    fastcgi_param SCRIPT_FILENAME {backend};
                    fastcgi_param GIT_HTTP_EXPORT_ALL "";
                    fastcgi_param GIT_PROJECT_ROOT {root};
                    fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
                    fastcgi_param PATH_INFO $uri;
                    fastcgi_param QUERY_STRING $query_string;
                    fastcgi_param REQUEST_METHOD $request_method;
                    fastcgi_param CONTENT_TYPE $content_type;
                    fastcgi_param CONTENT_LENGTH $content_length;
                    fastcgi_param REMOTE_ADDR $remote_addr;
                }}
            }}""", log), log) as p:
            wait_for_port(port, process=p)
            yield f"http://127.0.0.1:{port}"


def stored(platform, source, folder, name):
    """The repository's folder as the platform stores it, or a bare clone when it is found nowhere."""
    for refs in platform.state.glob("repos/**/packed-refs"):
        if refs.read_text().count("\n") > REFS // 2 and name == "bench-refs":
            return refs.parent
    for d in platform.state.glob("repos/**/objects"):
        if name == "bench-large" and sum(f.stat().st_size for f in d.rglob("*") if f.is_file()) > MEGABYTES * 900000:
            return d.parent
    bare = folder / f"{name}-bare"
    run_git("clone", "-q", "--mirror", source, bare)
    return bare


def alternate(rounds, sides, action):
    times = {name: [] for name, _ in sides}
    for i in range(rounds):
        for name, url in sides if i % 2 else reversed(sides):
            start = time.monotonic()
            action(url)
            times[name].append((time.monotonic() - start) * 1000)
    return median(times["own"]), median(times["peer"])


def push(platform, api, token, name, source):
    project = api.json("POST", "projects", {"name": name})
    url = platform.url(token, project["path_with_namespace"])
    run_git("push", "-q", url, "refs/heads/*:refs/heads/*", cwd=source)
    return url


def figures(slipway, folder):
    platform = Platform(slipway, folder)
    platform.start()
    try:
        token = platform.token()
        api = Api(platform.port, token)
        root = folder / "root"
        root.mkdir()

        def both(name, make):
            source = folder / name
            source.mkdir()
            make(source)
            own = push(platform, api, token, name, source)
            # The peer serves a copy of the very same folder.
            shutil.copytree(stored(platform, source, folder, name), root / f"{name}.git", symlinks=True)
            return own

        def ls_remote(figure):
            own = both("bench-refs", make_refs)
            with peer(folder, root) as base:
                def action(url):
                    n = run_git("ls-remote", url).count("\n")
                    if n < REFS:
                        raise Skip(f"{n} refs instead of {REFS}")
                figure.value, figure.peer = alternate(9, [("own", own), ("peer", f"{base}/bench-refs.git")], action)
            shutil.rmtree(folder / "peer")

        def clone(figure):
            own = both("bench-large", make_large)
            with peer(folder, root) as base:
                def action(url):
                    run_git("clone", "-q", "--bare", url, folder / "clone")
                    shutil.rmtree(folder / "clone")
                figure.value, figure.peer = alternate(5, [("own", own), ("peer", f"{base}/bench-large.git")], action)

        f = guarded(Figure(f"git ls-remote, {REFS:,} refs", "ms", target_ratio=1.0), ls_remote)
        f.peer_name = "http-backend"
        yield f
        f = guarded(Figure(f"git clone, {MEGABYTES} MB", "ms", target_ratio=1.0), clone)
        f.peer_name = "http-backend"
        yield f
    finally:
        platform.stop()
