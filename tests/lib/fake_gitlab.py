"""The server's half of GitLab's runner protocol, small and strict, for tests of a runner alone.

It checks what a runner sends (tokens, Content-Range, order of calls) and records violations in `complaints`,
so a test can assert that there were none. Repositories are served with `git http-backend`.
"""
import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import zlib
from base64 import b64decode

RUNNER_TOKEN = "glrt-fake-runner-token"


class Job:
    def __init__(self, payload):
        self.payload = payload
        self.id = payload["id"]
        self.token = payload["token"]
        self.state = "pending"
        self.trace = bytearray()
        self.job_status = "running"     # what Job-Status says
        self.reason = None
        self.exit_code = None
        self.updates = []               # bodies of PUTs
        self.patches = []               # (time, start, length)
        self.uploads = []               # (query, filename, bytes)
        self.archive = None             # what GET artifacts answers
        self.taken_at = None
        self.first_byte_at = None

    @property
    def text(self):
        return self.trace.decode("utf-8", "replace")

    @property
    def ended(self):
        return self.state in ("success", "failed")


class FakeGitLab:
    def __init__(self, repos=None, hold=20.0):
        self.repos, self.hold = repos, hold
        self.lock = threading.Condition()
        self.jobs, self.queue, self.complaints = {}, [], []
        self.version, self.next_id, self.asked = 1, 100, 0
        self.interval = 3
        self.faults = []                # callables (method, path) -> status or None, asked for each call
        self.accept_after = 0           # this many final PUTs are answered 202 first
        self.port = 0
        self.connections = set()
        self.httpd = None
        self.start()

    # -- life ------------------------------------------------------------------------------------
    def start(self):
        owner = self

        class Handler(FakeHandler):
            server_state = owner

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.httpd.daemon_threads = True
        self.port = self.httpd.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.stopping = False
        threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """As a crash: the listener goes, held requests end."""
        self.stopping = True
        self.httpd.shutdown()
        self.httpd.server_close()
        with self.lock:
            self.lock.notify_all()
            open_now, self.connections = self.connections, set()
        for c in open_now:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # -- what tests do ---------------------------------------------------------------------------
    def add_job(self, script=None, after_script=None, project="group/proj", project_id=7, sha=None, ref="main",
                repo=None, variables=(), artifacts=(), dependencies=(), timeout=60, depth=20, features=None, **more):
        with self.lock:
            self.next_id += 1
            jid = self.next_id
            token = f"job-token-{jid}-abcdef"
            steps = [{"name": "script", "script": script or ["true"], "timeout": timeout, "when": "on_success",
                      "allow_failure": False}]
            if after_script:
                steps.append({"name": "after_script", "script": after_script, "timeout": timeout, "when": "always",
                              "allow_failure": True})
            url = f"http://gitlab-ci-token:{token}@127.0.0.1:{self.port}/{repo}.git" if repo else ""
            base = [{"key": "CI_JOB_ID", "value": str(jid), "public": True},
                    {"key": "CI_JOB_TOKEN", "value": token, "public": False, "masked": True}]
            if not repo:
                base.append({"key": "GIT_STRATEGY", "value": "empty", "public": True})
            payload = {
                "id": jid, "token": token, "allow_git_fetch": True,
                "job_info": {"name": f"job{jid}", "stage": "test", "project_id": project_id, "project_name": "proj",
                             "project_full_path": project, "pipeline_id": 1},
                "git_info": {"repo_url": url, "ref": ref, "sha": sha or "0" * 40, "before_sha": "0" * 40,
                             "ref_type": "branch", "depth": depth,
                             "refspecs": [f"+refs/heads/{ref}:refs/remotes/origin/{ref}"]},
                "runner_info": {"timeout": timeout},
                "variables": base + list(variables), "steps": steps, "image": None, "services": None,
                "artifacts": list(artifacts) or None, "cache": [], "credentials": [],
                "dependencies": list(dependencies),
                "features": features if features is not None else {"trace_sections": True, "failure_reasons": []},
                **more}
            job = Job(payload)
            self.jobs[jid] = job
            self.queue.append(job)
            self.version += 1
            self.lock.notify_all()
            return job

    def wait(self, condition, seconds=30, what="condition"):
        end = time.monotonic() + seconds
        with self.lock:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, f"not within {seconds} s: {what}"
                self.lock.wait(min(left, 0.1))

    def finished(self, job, seconds=30):
        self.wait(lambda: job.ended, seconds, f"job {job.id} to end; its log so far:\n{job.text}")
        return job

    def complain(self, text):
        self.complaints.append(text)


class FakeHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1   # an answer leaves in one piece
    server_state = None

    def setup(self):
        super().setup()
        self.connection.settimeout(30)
        with self.server_state.lock:
            self.server_state.connections.add(self.connection)

    def finish(self):
        with self.server_state.lock:
            self.server_state.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=(), content_type="application/json"):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        if body:
            self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = b""
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                part = self.rfile.read(n)
                self.rfile.readline()
                if not n:
                    return out
                out += part
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass  # the connection was cut, which tests do on purpose

    def handle_any(self):
        s = self.server_state
        path, _, query = self.path.partition("?")
        for fault in list(s.faults):
            status = fault(self.command, path)
            if status == "drop":
                self.close_connection = True
                self.connection.close()
                return
            if status:
                self.body()
                self.answer(status, {"message": "fault"})
                return
        if path.startswith("/api/v4/"):
            self.api(path[len("/api/v4/"):], urllib.parse.parse_qs(query))
        else:
            self.git(path, query)

    def do_GET(self):
        self.handle_any()

    do_POST = do_PUT = do_PATCH = do_GET

    # -- the protocol ----------------------------------------------------------------------------
    def api(self, path, query):
        s = self.server_state
        if self.command == "POST" and path == "runners/verify":
            ok = json.loads(self.body()).get("token") == RUNNER_TOKEN
            return self.answer(200, {"id": 1, "token": RUNNER_TOKEN}) if ok else self.answer(403)
        if self.command == "POST" and path == "runners":
            if json.loads(self.body()).get("token") != "registration":
                return self.answer(403)
            return self.answer(201, {"id": 1, "token": RUNNER_TOKEN})
        if self.command == "POST" and path == "jobs/request":
            return self.request_job(json.loads(self.body()))
        m = re.fullmatch(r"jobs/(\d+)(/trace|/artifacts)?", path)
        job = m and s.jobs.get(int(m.group(1)))
        if not job:
            self.body()
            return self.answer(404, {"message": "404 Not found"})
        if m.group(2) == "/trace" and self.command == "PATCH":
            return self.patch(job)
        if m.group(2) == "/artifacts":
            return self.upload(job, query) if self.command == "POST" else self.download(job)
        if self.command == "PUT":
            return self.update(job, json.loads(self.body()))
        self.answer(405)

    def request_job(self, body):
        s = self.server_state
        if body.get("token") != RUNNER_TOKEN:
            return self.answer(403)
        if self.headers.get("RUNNER-TOKEN") != RUNNER_TOKEN:
            s.complain("jobs/request without RUNNER-TOKEN")
        if not body.get("info", {}).get("features", {}).get("cancel_gracefully"):
            s.complain("jobs/request without features")
        with s.lock:
            s.asked += 1
            deadline = time.monotonic() + s.hold
            if body.get("last_update") == str(s.version):
                while not s.queue and not s.stopping and time.monotonic() < deadline:
                    s.lock.wait(0.5)
            if s.stopping:
                self.close_connection = True
                return None
            job = s.queue.pop(0) if s.queue else None
            version = str(s.version)
            if job:
                job.state = "assigned"
                job.taken_at = time.monotonic()
        if not job:
            return self.answer(204, headers=[("X-GitLab-Last-Update", version)])
        return self.answer(201, job.payload, [("X-GitLab-Last-Update", version)])

    def may(self, job, token):
        if token == job.token and job.job_status != "gone":
            return True
        self.answer(403, {"message": "403 Forbidden"})
        return False

    def hints(self, job):
        s = self.server_state
        return [("Job-Status", job.job_status), ("X-GitLab-Trace-Update-Interval", str(s.interval))]

    def patch(self, job):
        s = self.server_state
        data = self.body()
        if not self.may(job, self.headers.get("JOB-TOKEN")):
            return None
        m = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", ""))
        if not m or int(m.group(2)) - int(m.group(1)) + 1 != len(data):
            s.complain(f"bad Content-Range {self.headers.get('Content-Range')} for {len(data)} bytes")
            return self.answer(400)
        if self.headers.get("Content-Type") != "text/plain":
            s.complain("trace that is not text/plain")
        with s.lock:
            if job.state == "assigned":
                s.complain("PATCH before PUT state=running")
            if int(m.group(1)) != len(job.trace):
                return self.answer(416, headers=[("Range", f"0-{len(job.trace)}"), *self.hints(job)])
            job.trace += data
            now = time.monotonic()
            job.patches.append((now, int(m.group(1)), len(data)))
            job.first_byte_at = job.first_byte_at or now
            s.lock.notify_all()
            size = len(job.trace)
        return self.answer(202, headers=[("Range", f"0-{size}"), *self.hints(job)])

    def update(self, job, body):
        s = self.server_state
        if not self.may(job, body.get("token")):
            return None
        with s.lock:
            job.updates.append(body)
            if body["state"] == "running":
                if job.state == "assigned":
                    job.state = "running"
                s.lock.notify_all()
                return self.answer(200, headers=self.hints(job))
            if body["state"] not in ("success", "failed"):
                return self.answer(400)
            want = "crc32:%08x" % zlib.crc32(bytes(job.trace))
            # Only a job whose runner was killed ends without a word about its trace.
            if "output" not in body and body.get("failure_reason") != "runner_system_failure":
                s.complain(f"job {job.id} ended without its trace's checksum")
            if "output" in body and body["output"] != {"checksum": want, "bytesize": len(job.trace)}:
                job.trace = bytearray()
                return self.answer(412, headers=self.hints(job))
            if s.accept_after > 0:
                s.accept_after -= 1
                return self.answer(202, headers=self.hints(job))
            if job.ended:
                s.complain(f"job {job.id} ended twice")
            job.state, job.reason, job.exit_code = body["state"], body.get("failure_reason"), body.get("exit_code")
            s.lock.notify_all()
        return self.answer(200, headers=self.hints(job))

    def upload(self, job, query):
        s = self.server_state
        data = self.body()
        if not self.may(job, self.headers.get("JOB-TOKEN")):
            return None
        m = re.match(r"multipart/form-data; boundary=(.+)", self.headers.get("Content-Type", ""))
        if not m:
            s.complain("artifacts not sent as multipart")
            return self.answer(400)
        head, _, rest = data.partition(b"\r\n\r\n")
        content = rest[:rest.rindex(b"\r\n--" + m.group(1).encode())]
        disposition = re.search(rb'name="file"; filename="([^"]*)"', head)
        if not disposition:
            s.complain("multipart part is not `file` with a filename")
            return self.answer(400)
        with s.lock:
            job.uploads.append(({k: v[0] for k, v in query.items()}, disposition.group(1).decode(), content))
            s.lock.notify_all()
        return self.answer(201, {"id": 1})

    def download(self, job):
        if not self.may(job, self.headers.get("JOB-TOKEN")):
            return None
        if job.archive is None:
            return self.answer(404)
        return self.answer(200, job.archive, content_type="application/zip")

    # -- repositories ----------------------------------------------------------------------------
    def git(self, path, query):
        s = self.server_state
        body = self.body()
        auth = self.headers.get("Authorization", "")
        user = b64decode(auth[6:]).decode() if auth.startswith("Basic ") else ""
        if not any(user == f"gitlab-ci-token:{j.token}" for j in s.jobs.values()):
            return self.answer(401, b"no", [("WWW-Authenticate", 'Basic realm="git"')])
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(s.repos), "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "ci", "REMOTE_ADDR": "127.0.0.1",
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, content = out.partition(b"\r\n\r\n")
        status, headers, kind = 200, [], "text/plain"
        for line in head.decode().split("\r\n"):
            k, _, v = line.partition(": ")
            if k == "Status":
                status = int(v.split()[0])
            elif k == "Content-Type":
                kind = v
            elif k:
                headers.append((k, v))
        return self.answer(status, content, headers, kind)
