"""Git over HTTP next to nginx + fcgiwrap + git http-backend: many refs, and a large clone."""
import contextlib
import os
import pathlib
import shutil
import time

from common import Figure, Skip, free_port, median, need, nginx, running, wait_for_path, wait_for_port
from platform_figures import Api, Platform, guarded, run_git

REFS = 20000
MEGABYTES = 50
MOST_SECONDS = 40  # per figure


def make_one(path):
    run_git("init", "-q", "-b", "main", path)
    run_git("commit", "-q", "--allow-empty", "-m", "one", cwd=path)


def add_refs(bare):
    """Branches written into the stored repository at once, as a repacked repository has them."""
    sha = run_git("rev-parse", "main", cwd=bare).strip()
    text = "# pack-refs with: peeled fully-peeled sorted \n"
    text += "".join(f"{sha} refs/heads/branch-{i:06d}\n" for i in range(REFS))
    (bare / "packed-refs.new").write_text(text + f"{sha} refs/heads/main\n")
    os.replace(bare / "packed-refs.new", bare / "packed-refs")


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
    where = folder / "peer"
    where.mkdir()
    port, log, sock = free_port(), folder / "peer.log", where / "fcgi.sock"
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


def stored(platform, before):
    """The folder in which the platform keeps the repository that was not there before."""
    found = repositories(platform) - before
    if len(found) != 1:
        raise Skip("the stored repository was not found below repos/")
    return found.pop()


def repositories(platform):
    return {d.parent for d in platform.state.glob("repos/**/objects") if (d.parent / "HEAD").exists()}


def alternate(rounds, sides, action):
    """Medians in milliseconds; on a slow machine fewer rounds, so that the bench stays bounded."""
    times = {name: [] for name, _ in sides}
    began = time.monotonic()
    for i in range(rounds):
        if i >= 2 and time.monotonic() - began > MOST_SECONDS:
            break
        for name, url in sides if i % 2 else reversed(sides):
            start = time.monotonic()
            action(url)
            times[name].append((time.monotonic() - start) * 1000)
    return median(times["own"]), median(times["peer"])


def figures(slipway, folder):
    platform = Platform(slipway, folder)
    platform.start()
    try:
        token = platform.token()
        root = folder / "root"
        root.mkdir()

        def both(name, make, more=None):
            """The same repository on both sides; returns the platform's address of it."""
            source = folder / name
            source.mkdir()
            make(source)
            before = repositories(platform)
            project = Api(platform.port, token).json("POST", "projects", {"name": name, "visibility": "public"})
            url = platform.url(token, project["path_with_namespace"])
            run_git("push", "-q", url, "main", cwd=source)
            bare = stored(platform, before)
            if more:
                more(bare)
            shutil.copytree(bare, root / f"{name}.git", symlinks=True)
            # Read without a password, as the peer is: git would ask twice otherwise.
            return f"http://127.0.0.1:{platform.port}/{project['path_with_namespace']}.git"

        def ls_remote(figure):
            own = both("bench-refs", make_one, add_refs)
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
                    run_git("-c", "core.fsync=none", "clone", "-q", "--bare", url, folder / "clone")
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
