"""The REST API and the runner protocol, spoken by real clients: python3-gitlab, git, requests, and a runner written
from the protocol's description. Every JSON reply is compared with the shape that openapi.json declares for it."""
import concurrent.futures
import io
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import uuid
import zipfile
import zlib
from urllib.parse import quote, urlsplit

import gitlab
import pytest
import requests

from conftest import commit_files, git, wait_until

CI = """
default: {tags: [TAG]}
build: {stage: build, script: [make], artifacts: {paths: [out.txt], expire_in: 1 week}}
test: {stage: test, script: [make test], after_script: [echo bye]}
deploy: {stage: deploy, when: manual, script: [make deploy]}
"""


# ---- the declared shapes ----

class Shapes:
    """Finds the operation of a request in openapi.json and compares the reply with its schema."""

    def __init__(self, document):
        self.document = document
        self.paths = []
        for path, operations in document["paths"].items():
            tail = max((m.end() for m in re.finditer(r"\{[^}]*\}", path)), default=0) == len(path)
            pattern = re.sub(r"\\\{(\w+)\\\}", lambda m: "(.+)" if tail and m.group(1) == "artifact_path" else "([^/]+)",
                             re.escape(path))
            self.paths.append((path.count("{"), re.compile(pattern + "$"), operations))
        self.paths.sort(key=lambda p: p[0])
        self.seen = set()

    def check(self, response):
        path = urlsplit(response.request.url).path
        if not path.startswith("/api/v4/"):
            return
        path = path.removeprefix("/api/v4")
        method = response.request.method.lower()
        operation = next((o[method] for _, p, o in self.paths if p.match(path) and method in o), None)
        if operation is None or not str(response.status_code) in operation["responses"]:
            return
        self.seen.add((method, operation["summary"]))
        content = operation["responses"][str(response.status_code)].get("content", {}).get("application/json")
        if content and method != "head":
            problems = list(self.compare(response.json(), content["schema"], "$"))
            assert not problems, f"{method} {path}: {problems}"

    def compare(self, value, schema, where):
        if schema.get("nullable") and value is None:
            return
        for part in schema.get("allOf", []):
            yield from self.compare(value, part, where)
        if "$ref" in schema:
            yield from self.compare(value, self.document["components"]["schemas"][schema["$ref"].split("/")[-1]], where)
            return
        kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float)}
        kind = schema.get("type")
        if kind and (not isinstance(value, kinds[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
            yield f"{where}: {value!r} is not of type {kind}"
        elif kind == "array":
            for i, item in enumerate(value):
                yield from self.compare(item, schema["items"], f"{where}[{i}]")
        elif kind == "object" and "properties" in schema:
            for name in schema.get("required", []):
                if name not in value:
                    yield f"{where}: no field {name}"
            for name, item in value.items():
                if name not in schema["properties"]:
                    yield f"{where}: undeclared field {name}"
                else:
                    yield from self.compare(item, schema["properties"][name], f"{where}.{name}")


# ---- the server and its clients ----

class Server:
    """Where the API is, and who may speak to it."""

    def __init__(self, url, token):
        self.url, self.token, self.state = url, token, None
        self.shapes = Shapes(requests.get(f"{url}/api/v4/openapi.json", timeout=30).json())
        self.session = self.client(token)

    def client(self, token=None, **headers):
        session = requests.Session()
        session.trust_env = False
        if token:
            session.headers["PRIVATE-TOKEN"] = token
        session.headers.update(headers)
        session.hooks["response"].append(lambda r, **_: self.shapes.check(r))
        return session

    def call(self, method, path, status=None, session=None, **args):
        r = (session or self.session).request(method, f"{self.url}/api/v4/{path}", timeout=60, **args)
        assert status is None or r.status_code == status, f"{method} {path}: {r.status_code} {r.text[:600]}"
        return r

    def json(self, method, path, status=200, **args):
        return self.call(method, path, status, **args).json()

    def gitlab(self, token=None):
        gl = gitlab.Gitlab(self.url, private_token=token or self.token, session=self.client())
        gl.auth()
        return gl

    def user(self, **more):
        name = "u" + uuid.uuid4().hex[:10]
        user = self.json("POST", "users", 201, json={"username": name, "name": name, "email": f"{name}@example.org",
                                                     "password": "a long pass-phrase", **more})
        token = self.json("POST", f"users/{user['id']}/personal_access_tokens", 201,
                          json={"name": "t", "scopes": ["api"]})["token"]
        return user, token

    def project(self, **more):
        return self.json("POST", "projects", 201, json={"name": "p" + uuid.uuid4().hex[:10], **more})

    def push(self, tmp_path, files, project=None, message="a commit"):
        """Makes a project (unless given) and pushes files to it by git over HTTP."""
        project = project or self.project()
        sha = commit_files(tmp_path / "work", files, message)
        url = project["http_url_to_repo"].replace("://", f"://x:{self.token}@", 1)
        git("push", "-q", url, "HEAD:refs/heads/main", cwd=tmp_path / "work")
        return project, sha

    def pipeline(self, project, sha):
        found = wait_until(lambda: self.json("GET", f"projects/{project['id']}/pipelines", params={"sha": sha}),
                           what="pipeline")
        return self.json("GET", f"projects/{project['id']}/pipelines/{found[0]['id']}")

    def jobs(self, project, pipeline):
        jobs = self.json("GET", f"projects/{project['id']}/pipelines/{pipeline['id']}/jobs")
        return {j["name"]: j for j in jobs}


class Runner:
    """The runner's side of the protocol, as gitlab-runner speaks it."""

    def __init__(self, server, tags=None, **settings):
        self.server = server
        self.tag = "t" + uuid.uuid4().hex[:8]  # keeps the platform's own runner, and other tests', away from the jobs
        tags = tags or [self.tag]
        made = server.json("POST", "user/runners", 201, json={
            "runner_type": "instance_type", "tag_list": ",".join(tags), "run_untagged": False, **settings})
        self.id, self.token = made["id"], made["token"]
        self.http = server.client()
        self.last_update = None

    def request(self, timeout=120):
        body = {"token": self.token, "system_id": "s_test", "info": {"name": "test", "features": {
            "trace_checksum": True, "cancel_gracefully": True}}}
        if self.last_update:
            body["last_update"] = self.last_update
        r = self.http.post(f"{self.server.url}/api/v4/jobs/request", json=body, timeout=timeout)
        self.last_update = r.headers.get("X-GitLab-Last-Update")
        return r

    def take(self, seconds=20):
        """Asks until a job comes, and says that it runs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            r = self.request()
            if r.status_code == 201:
                job = r.json()
                assert self.put(job, "running").status_code == 200
                return job
            assert r.status_code == 204, r.text
        pytest.fail("no job came")

    def put(self, job, state, trace=None, **more):
        body = {"token": job["token"], "state": state, **more}
        if trace is not None:
            body["output"] = {"checksum": f"crc32:{zlib.crc32(trace):08x}", "bytesize": len(trace)}
        return self.http.put(f"{self.server.url}/api/v4/jobs/{job['id']}", json=body, timeout=60)

    def patch(self, job, data, start=0, content_range=None):
        headers = {"JOB-TOKEN": job["token"], "Content-Type": "text/plain",
                   "Content-Range": content_range or f"{start}-{start + len(data) - 1}"}
        return self.http.patch(f"{self.server.url}/api/v4/jobs/{job['id']}/trace", data=data, headers=headers,
                               timeout=60)

    def upload(self, job, data, name="artifacts.zip", **query):
        return self.http.post(f"{self.server.url}/api/v4/jobs/{job['id']}/artifacts", params=query,
                              headers={"JOB-TOKEN": job["token"]}, files={"file": (name, data)}, timeout=120)

    def finish(self, job, trace=b"done\n", state="success", files=None, **more):
        assert self.patch(job, trace).status_code == 202
        if files:
            assert self.upload(job, make_zip(files)).status_code == 201
        r = self.put(job, state, trace, **more)
        assert r.status_code == 200, r.text

    def ci(self, text=CI):
        return text.replace("TAG", self.tag)

    def forget(self):
        self.http.delete(f"{self.server.url}/api/v4/runners", json={"token": self.token}, timeout=30)


def make_zip(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in files.items():
            if isinstance(name, zipfile.ZipInfo):
                z.writestr(name, text)
            else:
                z.writestr(name, text)
    return out.getvalue()


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    program = os.environ.get("SLIPWAY_API_SERVER")  # the small server of tests/lib, for work on the API alone
    if not program:
        platform = request.getfixturevalue("platform")
        server = Server(platform.url, platform.token(scopes="api,write_repository,create_runner"))
        server.pages_dir = platform.state / "pages"
        yield server
        return
    state = tmp_path_factory.mktemp("api") / "state"
    log = open(state.parent / "log", "w+")
    process = subprocess.Popen([program, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    said = dict(process.stdout.readline().split() for _ in range(3))
    server = Server(f"http://127.0.0.1:{said['port']}", said["token"])
    server.state = state
    server.pages_dir = state / "pages"
    yield server
    process.stdin.close()
    status = process.wait(20)
    log.seek(0)
    assert status == 0, log.read()[-6000:]


@pytest.fixture
def runner(server):
    runner = Runner(server)
    yield runner
    runner.forget()


# ---- who one is ----

def test_who_am_i(server):
    me = server.json("GET", "user")
    assert me["username"] == "root" and me["is_admin"] is True and me["state"] == "active"
    for headers in ({"Authorization": f"Bearer {server.token}"}, {"PRIVATE-TOKEN": server.token}):
        assert server.json("GET", "user", session=server.client(**headers))["id"] == me["id"]
    assert server.json("GET", f"user?private_token={server.token}", session=server.client())["id"] == me["id"]
    version = server.json("GET", "version")
    assert re.match(r"\d+\.\d+\.\d+", version["version"])


@pytest.mark.parametrize("token", ["", "glpat-wrong", "glpat-" + "x" * 300, "x" * 4000, "glrt-x", "glcbt-x"])
def test_wrong_tokens(server, token):
    r = server.call("GET", "user", 401, session=server.client(token))
    assert r.json() == {"message": "401 Unauthorized"}


def test_expired_and_revoked_tokens(server):
    user, token = server.user()
    own = server.client(token)
    assert server.json("GET", "user", session=own)["id"] == user["id"]
    listed = server.json("GET", "personal_access_tokens", session=own)
    assert [t["active"] for t in listed] == [True] and "token" not in listed[0]
    itself = server.json("GET", "personal_access_tokens/self", session=own)
    assert itself["id"] == listed[0]["id"]
    server.call("DELETE", "personal_access_tokens/self", 204, session=own)
    server.call("GET", "user", 401, session=own)
    server.call("POST", f"users/{user['id']}/personal_access_tokens", 400,
                json={"name": "late", "scopes": ["api"], "expires_at": "2001-01-01"})
    again = server.json("POST", f"users/{user['id']}/personal_access_tokens", 201,
                        json={"name": "again", "scopes": ["read_user"], "expires_at": "2099-01-01"})
    assert again["expires_at"] == "2099-01-01" and again["scopes"] == ["read_user"]
    other = server.client(again["token"])
    assert server.json("GET", "user", session=other)["id"] == user["id"]
    r = server.call("GET", "projects/1/pipelines", 403, session=other)
    assert r.json()["error"] == "insufficient_scope"
    server.call("DELETE", f"personal_access_tokens/{again['id']}", 204)
    server.call("GET", "user", 401, session=other)
    # A block ends it all, at once.
    _, token = server.user()
    third = server.client(token)
    uid = server.json("GET", "user", session=third)["id"]
    server.call("POST", f"users/{uid}/block", 201)
    server.call("GET", "user", 401, session=third)
    server.call("POST", f"users/{uid}/unblock", 201)
    server.call("GET", "user", 200, session=third)


def test_a_session_needs_its_csrf_token_to_write(server):
    """The user interface's own calls: a cookie reads, only cookie and token together write."""
    if server.state:
        pytest.skip("the small server has no user interface")
    user, _ = server.user()
    browser = server.client()
    form = browser.get(f"{server.url}/users/sign_in", timeout=30).text
    secret = re.search(r'name="csrf_token" value="([^"]+)"', form).group(1)
    r = browser.post(f"{server.url}/users/sign_in", timeout=30, data={
        "csrf_token": secret, "login": user["username"], "password": "a long pass-phrase"})
    assert r.status_code == 200, r.text
    assert server.json("GET", "user", session=browser)["id"] == user["id"]
    name = {"name": "c" + uuid.uuid4().hex[:8]}
    assert "X-CSRF-Token" in server.call("POST", "projects", 403, session=browser, json=name).text
    server.call("POST", "projects", 403, session=browser, json=name, headers={"X-CSRF-Token": "x" * 43})
    page = browser.get(f"{server.url}/projects/new", timeout=30).text
    own = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
    server.call("POST", "projects", 201, session=browser, json=name, headers={"X-CSRF-Token": own})


def test_users_are_made_by_administrators(server):
    user, token = server.user()
    plain = server.client(token)
    body = {"username": "someone", "name": "S", "email": "s@example.org", "password": "a long pass-phrase"}
    server.call("POST", "users", 403, session=plain, json=body)
    r = server.call("POST", "users", 409, json={**body, "username": user["username"]})
    assert "taken" in r.text
    assert server.call("POST", "users", 400, json={"username": "x"}).json()["error"].startswith("email is missing")
    server.call("POST", "users", 400, json={**body, "username": "../x"})
    found = server.json("GET", "users", params={"username": user["username"]})
    assert [u["id"] for u in found] == [user["id"]]
    assert "email" not in server.json("GET", "users/1", session=plain)
    assert server.call("GET", "users/999999", 404).json()["message"] == "404 User Not Found"


# ---- projects ----

def test_projects(server):
    name = "My Project " + uuid.uuid4().hex[:8]
    p = server.json("POST", "projects", 201, json={"name": name, "description": "d", "visibility": "internal"})
    assert p["path"] == name.lower().replace(" ", "-") and p["visibility"] == "internal" and p["empty_repo"] is True
    assert p["path_with_namespace"] == f"root/{p['path']}"
    by_path = server.json("GET", "projects/" + quote(p["path_with_namespace"], safe=""))
    assert by_path["id"] == p["id"] and by_path["permissions"]["project_access"]["access_level"] == 50
    r = server.call("POST", "projects", 400, json={"name": name, "path": p["path"]})
    assert r.json()["message"]["path"] == ["has already been taken"]
    r = server.call("POST", "projects", 400, json={})
    assert r.json() == {"error": "name, path are missing, at least one parameter must be provided"}
    r = server.call("POST", "projects", 400, json={"name": "x", "visibility": "secret"})
    assert r.json() == {"error": "visibility does not have a valid value"}
    changed = server.json("PUT", f"projects/{p['id']}", json={"description": "new", "build_timeout": 1200})
    assert changed["description"] == "new" and changed["build_timeout"] == 1200 and changed["name"] == name
    assert server.json("POST", f"projects/{p['id']}/archive", 201)["archived"] is True
    assert server.json("POST", f"projects/{p['id']}/unarchive", 201)["archived"] is False
    assert server.json("DELETE", f"projects/{p['id']}", 202) == {"message": "202 Accepted"}
    assert server.call("GET", f"projects/{p['id']}", 404).json() == {"message": "404 Project Not Found"}


def test_who_sees_a_project(server):
    _, token = server.user()
    other, nobody = server.client(token), server.client()
    private, public = server.project(), server.project(visibility="public")
    assert server.call("GET", f"projects/{private['id']}", 404, session=other).json()["message"] == \
        "404 Project Not Found"
    server.call("GET", f"projects/{private['id']}", 404, session=nobody)
    assert "permissions" not in server.json("GET", f"projects/{public['id']}", session=nobody)
    server.call("DELETE", f"projects/{public['id']}", 403, session=other)
    server.call("DELETE", f"projects/{public['id']}", 401, session=nobody)
    server.call("GET", f"projects/{public['id']}/variables", 403, session=other)
    ids = [p["id"] for p in server.json("GET", "projects?per_page=100", session=nobody)]
    assert public["id"] in ids and private["id"] not in ids


def test_pages_of_a_list(server):
    group = server.json("POST", "groups", 201, json={"name": "g", "path": "g" + uuid.uuid4().hex[:8]})
    for _ in range(5):
        server.project(namespace_id=group["id"])
    where = f"groups/{group['id']}/projects"
    seen, page = [], "1"
    while page:
        r = server.call("GET", where, 200, params={"per_page": 2, "page": page, "search": "p"})
        assert r.headers["X-Total"] == "5" and r.headers["X-Total-Pages"] == "3"
        assert r.headers["X-Per-Page"] == "2" and r.headers["X-Page"] == page
        seen += [p["id"] for p in r.json()]
        page = r.headers["X-Next-Page"]
        assert ("next" in r.links) == bool(page)
        if page:
            assert server.call("GET", r.links["next"]["url"].split("/api/v4/")[1], 200).headers["X-Page"] == page
    assert len(set(seen)) == 5
    assert r.headers["X-Prev-Page"] == "2"
    assert server.call("GET", where, 200, params={"page": 9}).json() == []
    for bad in ({"page": 0}, {"page": -1}, {"page": "x"}, {"per_page": 0}, {"page": "9" * 30}):
        assert "page" in server.call("GET", where, 400, params=bad).json()["error"]
    assert server.call("GET", where, 200, params={"per_page": 5000}).headers["X-Per-Page"] == "100"


def test_members(server):
    user, token = server.user()
    p = server.project()
    other = server.client(token)
    where = f"projects/{p['id']}/members"
    added = server.json("POST", where, 201, json={"user_id": user["id"], "access_level": 30})
    assert added["id"] == user["id"] and added["access_level"] == 30 and added["expires_at"] is None
    server.call("POST", where, 409, json={"user_id": user["id"], "access_level": 30})
    assert server.json("GET", f"projects/{p['id']}", session=other)["permissions"]["project_access"]["access_level"] == 30
    server.call("POST", where, 403, session=other, json={"user_id": user["id"], "access_level": 50})
    changed = server.json("PUT", f"{where}/{user['id']}", json={"access_level": 10, "expires_at": "2099-01-01"})
    assert changed["access_level"] == 10 and changed["expires_at"] == "2099-01-01"
    server.call("PUT", f"{where}/{user['id']}", 400, json={"access_level": 33})
    everybody = {m["id"]: m["access_level"] for m in server.json("GET", f"{where}/all")}
    assert everybody[user["id"]] == 10
    assert server.json("GET", f"{where}/all/{user['id']}")["access_level"] == 10
    server.call("DELETE", f"{where}/{user['id']}", 204)
    server.call("DELETE", f"{where}/{user['id']}", 404)
    server.call("GET", f"projects/{p['id']}", 404, session=other)


def test_variables(server):
    p = server.project()
    where = f"projects/{p['id']}/variables"
    v = server.json("POST", where, 201, json={"key": "KEY", "value": "multi\nline", "protected": True})
    assert v["value"] == "multi\nline" and v["protected"] is True and v["environment_scope"] == "*"
    assert server.call("POST", where, 400, json={"key": "KEY", "value": "x"}).json()["message"]["key"] == \
        ["(KEY) has already been taken"]
    server.call("POST", where, 400, json={"key": "bad key", "value": "x"})
    server.call("POST", where, 400, json={"key": "SHORT", "value": "x", "masked": True})
    server.json("POST", where, 201, json={"key": "KEY", "value": "y", "environment_scope": "production"})
    server.call("GET", f"{where}/KEY", 409)
    assert server.json("GET", f"{where}/KEY?filter[environment_scope]=production")["value"] == "y"
    assert server.json("PUT", f"{where}/KEY?filter[environment_scope]=production", data={"value": "z"})["value"] == "z"
    hidden = server.json("POST", where, 201, json={"key": "H", "value": "secret-value", "masked_and_hidden": True})
    assert hidden["value"] is None and hidden["hidden"] is True
    assert len(server.json("GET", where)) == 3
    server.call("DELETE", f"{where}/H", 204)
    server.call("GET", f"{where}/H", 404)


def test_groups(server):
    path = "g" + uuid.uuid4().hex[:8]
    group = server.json("POST", "groups", 201, json={"name": "Group", "path": path, "visibility": "public"})
    sub = server.json("POST", "groups", 201, json={"name": "Sub", "path": "sub", "parent_id": group["id"]})
    assert sub["full_path"] == f"{path}/sub" and sub["parent_id"] == group["id"]
    p = server.project(namespace_id=sub["id"], path="deep")
    assert p["path_with_namespace"] == f"{path}/sub/deep" and p["namespace"]["kind"] == "group"
    assert server.json("GET", "projects/" + quote(f"{path}/sub/deep", safe=""))["id"] == p["id"]
    assert [g["id"] for g in server.json("GET", f"groups/{group['id']}/subgroups")] == [sub["id"]]
    assert path in [n["full_path"] for n in server.json("GET", "namespaces", params={"search": path})]
    server.call("DELETE", f"groups/{group['id']}", 400)


# ---- repositories ----

def test_repository(server, tmp_path):
    text = "hello\nworld\n"
    p, first = server.push(tmp_path, {"README.md": text, "dir/a b.txt": "x", "dir/run": "#!/bin/sh\n"})
    _, second = server.push(tmp_path, {"README.md": text + "more\n", "bin.dat": b"\x00\x01\xff"}, p, "second\n\nbody")
    where = f"projects/{p['id']}/repository"
    tree = server.json("GET", f"{where}/tree")
    assert [(e["type"], e["name"], e["mode"]) for e in tree] == [
        ("tree", "dir", "040000"), ("blob", "README.md", "100644"), ("blob", "bin.dat", "100644")]
    assert [e["path"] for e in server.json("GET", f"{where}/tree?path=dir")] == ["dir/a b.txt", "dir/run"]
    assert len(server.json("GET", f"{where}/tree?recursive=true&ref={first}")) == 4
    server.call("GET", f"{where}/tree?path=nowhere", 404)
    server.call("GET", f"{where}/tree?ref=nowhere", 404)
    file = server.json("GET", f"{where}/files/README%2Emd?ref=main")
    assert file["last_commit_id"] == second and file["size"] == len(text) + 5 and file["encoding"] == "base64"
    raw = server.call("GET", f"{where}/files/dir%2Fa%20b.txt/raw", 200)
    assert raw.text == "x" and raw.headers["X-Gitlab-File-Path"] == "dir/a b.txt"
    assert server.call("GET", f"{where}/files/bin.dat/raw", 200).content == b"\x00\x01\xff"
    head = server.call("HEAD", f"{where}/files/README.md?ref={first}", 200)
    assert head.content == b"" and head.headers["X-Gitlab-Size"] == str(len(text))
    server.call("GET", f"{where}/files/dir?ref=main", 404)
    blob = server.json("GET", f"{where}/blobs/{tree[1]['id']}")
    assert blob["size"] == file["size"]
    commits = server.call("GET", f"{where}/commits", 200)
    assert [c["id"] for c in commits.json()] == [second, first]
    assert [c["id"] for c in server.json("GET", f"{where}/commits?path=dir&ref_name=main")] == [first]
    commit = server.json("GET", f"{where}/commits/main")
    assert commit["id"] == second and commit["title"] == "second" and commit["stats"]["additions"] == 1
    assert commit["parent_ids"] == [first] and commit["message"] == "second\n\nbody\n"
    diffs = server.json("GET", f"{where}/commits/{second}/diff")
    changed = {d["new_path"]: d for d in diffs}
    assert changed["README.md"]["diff"].startswith("@@ -1,2 +1,3 @@") and changed["bin.dat"]["new_file"] is True
    compare = server.json("GET", f"{where}/compare?from={first}&to=main")
    assert [c["id"] for c in compare["commits"]] == [second] and len(compare["diffs"]) == 2
    server.call("GET", f"{where}/commits/{'0' * 40}", 404)


def test_branches_and_tags(server, tmp_path):
    p, sha = server.push(tmp_path, {"a": "1"})
    where = f"projects/{p['id']}/repository"
    branches = server.json("GET", f"{where}/branches")
    assert [(b["name"], b["default"], b["protected"]) for b in branches] == [("main", True, True)]
    made = server.json("POST", f"{where}/branches", 201, json={"branch": "feature/x", "ref": "main"})
    assert made["commit"]["id"] == sha and made["protected"] is False
    server.call("POST", f"{where}/branches", 400, json={"branch": "feature/x", "ref": "main"})
    server.call("POST", f"{where}/branches", 400, json={"branch": "y", "ref": "nowhere"})
    for bad in ("a..b", "-x", "a b", "x.lock", "a~1", "@{"):
        server.call("POST", f"{where}/branches", 400, json={"branch": bad, "ref": "main"})
    assert server.json("GET", f"{where}/branches/feature%2Fx")["name"] == "feature/x"
    assert git("ls-remote", p["http_url_to_repo"].replace("://", f"://x:{server.token}@", 1),
               "refs/heads/feature/x").stdout.split()[0] == sha
    server.call("DELETE", f"{where}/branches/feature%2Fx", 204)
    server.call("GET", f"{where}/branches/feature%2Fx", 404)
    server.call("DELETE", f"{where}/branches/main", 403)
    tag = server.json("POST", f"{where}/tags", 201, json={"tag_name": "v1.0", "ref": "main"})
    assert tag["target"] == sha and server.json("GET", f"{where}/tags/v1.0")["commit"]["id"] == sha
    refs = server.json("GET", f"{where}/commits/{sha}/refs")
    assert {(r["type"], r["name"]) for r in refs} == {("branch", "main"), ("tag", "v1.0")}
    server.call("DELETE", f"{where}/tags/v1.0", 204)
    assert server.json("GET", f"{where}/tags") == []


def test_hostile_commits_fit_a_page(server, tmp_path):
    """A hundred commits that say a megabyte each, and a difference of very long lines."""
    work = tmp_path / "work"
    commit_files(work, {"lines": "\n".join("x" * 5000 for _ in range(20000))}, "first")
    (tmp_path / "message").write_text("title\n\n" + ("y" * 999 + "\n") * 900)
    for _ in range(80):
        git("commit", "-q", "--allow-empty", "-F", tmp_path / "message", cwd=work)
    p = server.project()
    git("push", "-q", p["http_url_to_repo"].replace("://", f"://x:{server.token}@", 1), "HEAD:refs/heads/main", cwd=work)
    where = f"projects/{p['id']}/repository"
    commits = server.json("GET", f"{where}/commits?per_page=100")
    assert len(commits) == 81 and commits[0]["title"] == "title" and len(commits[0]["message"]) >= 60000
    first = commits[-1]["id"]
    diff = server.json("GET", f"{where}/commits/{first}/diff")
    assert diff[0]["new_path"] == "lines" and len(diff[0]["diff"]) < 30000000
    assert server.json("GET", f"{where}/commits/{first}")["id"] == first
    assert server.json("GET", f"{where}/compare?from={first}&to=main")["commits"]


def test_archived_projects_are_read_only(server, tmp_path):
    p, _ = server.push(tmp_path, {"a": "1"})
    server.call("POST", f"projects/{p['id']}/archive", 201)
    where = f"projects/{p['id']}"
    for method, path, body in (("POST", "repository/branches", {"branch": "x", "ref": "main"}),
                               ("POST", "pipeline", {"ref": "main"}), ("POST", "variables", {"key": "K", "value": "v"})):
        assert "archived" in server.call(method, f"{where}/{path}", 403, json=body).text
    assert server.json("GET", f"{where}/repository/branches")[0]["name"] == "main"
    server.call("POST", f"{where}/unarchive", 201)
    server.call("POST", f"{where}/repository/branches", 201, json={"branch": "x", "ref": "main"})


def test_protected_branches(server, tmp_path):
    p, _ = server.push(tmp_path, {"a": "1"})
    where = f"projects/{p['id']}/protected_branches"
    assert [b["name"] for b in server.json("GET", where)] == ["main"]
    rule = server.json("POST", where, 201, json={"name": "release/*", "push_access_level": 0})
    assert rule["push_access_levels"][0]["access_level"] == 0
    server.call("POST", where, 409, json={"name": "release/*"})
    server.call("POST", where, 400, json={"name": "x", "push_access_level": 7})
    r = server.call("POST", f"projects/{p['id']}/repository/branches", json={"branch": "release/1", "ref": "main"})
    assert r.status_code == 403, r.text
    assert server.json("PATCH", f"{where}/main", json={"allow_force_push": True})["allow_force_push"] is True
    server.call("DELETE", f"{where}/release%2F%2A", 204)
    server.call("POST", f"projects/{p['id']}/repository/branches", 201, json={"branch": "release/1", "ref": "main"})


def test_empty_repository(server):
    p = server.project()
    where = f"projects/{p['id']}/repository"
    assert server.json("GET", f"{where}/branches") == [] and server.json("GET", f"{where}/commits") == []
    server.call("GET", f"{where}/tree", 404)
    server.call("GET", f"{where}/files/README.md", 404)
    server.call("POST", f"{where}/branches", 400, json={"branch": "x", "ref": "main"})
    r = server.call("POST", f"projects/{p['id']}/pipeline", 400, json={"ref": "main"})
    assert r.json()["message"]["base"]


# ---- the whole way, with python-gitlab ----

def test_python_gitlab(server, runner, tmp_path):
    gl = server.gitlab()
    project = gl.projects.create({"name": "py" + uuid.uuid4().hex[:8]})
    raw, sha = server.push(tmp_path, {".gitlab-ci.yml": runner.ci(), "README.md": "hi"},
                           server.json("GET", f"projects/{project.id}"))
    pipeline = wait_until(lambda: project.pipelines.list(sha=sha), what="pipeline")[0]
    jobs = {j.name: j for j in pipeline.jobs.list(all=True)}
    assert {n: j.status for n, j in jobs.items()} == {"build": "pending", "test": "created", "deploy": "created"}
    job = runner.take()
    assert job["job_info"]["name"] == "build"
    runner.finish(job, b"hello \xc3\xa9\n", files={"out.txt": "the result", "dir/b": "2" * 100000})
    build = project.jobs.get(job["id"])
    assert build.status == "success" and build.trace() == b"hello \xc3\xa9\n"
    assert build.artifacts_file["filename"] == "artifacts.zip" and build.commit["id"] == sha
    with zipfile.ZipFile(io.BytesIO(build.artifacts())) as z:
        assert z.read("out.txt") == b"the result"
    assert build.artifact("dir/b") == b"2" * 100000
    build.keep_artifacts()
    assert project.jobs.get(job["id"]).artifacts_expire_at is None
    # A failed job, retried as a new one.
    job = runner.take()
    assert job["job_info"]["name"] == "test" and [d["name"] for d in job["dependencies"]] == ["build"]
    runner.finish(job, state="failed", failure_reason="script_failure", exit_code=2)
    failed = project.jobs.get(job["id"])
    assert failed.status == "failed" and failed.failure_reason == "script_failure"
    assert project.pipelines.get(pipeline.id).status == "failed"
    again = failed.retry()
    assert again["id"] != failed.id and again["status"] == "pending"
    job = runner.take()
    assert job["id"] == again["id"]
    runner.finish(job)
    assert project.pipelines.get(pipeline.id).status in ("manual", "success")
    deploy = project.jobs.get(jobs["deploy"].id)
    assert deploy.status == "manual"
    deploy.play()
    job = runner.take()
    # Cancel while it runs: the runner learns it from the next patch, and confirms.
    project.jobs.get(job["id"]).cancel()
    r = runner.patch(job, b"working\n")
    assert r.status_code == 202 and r.headers["Job-Status"] == "canceling"
    assert runner.put(job, "failed", b"working\n", failure_reason="script_failure").status_code == 200
    assert project.jobs.get(job["id"]).status == "canceled"
    project.jobs.get(failed.id).erase()
    assert project.jobs.get(failed.id).trace() == b""
    # Pipelines by hand, with variables; canceled as a whole.
    made = project.pipelines.create({"ref": "main", "variables": [{"key": "GREETING", "value": "hello"}]})
    assert [v.key for v in made.variables.list()] == ["GREETING"]
    job = runner.take()
    assert {v["key"]: v["value"] for v in job["variables"]}["GREETING"] == "hello"
    made.cancel()
    assert runner.put(job, "failed", failure_reason="script_failure").status_code == 200
    assert wait_until(lambda: project.pipelines.get(made.id).status == "canceled", what="cancel")
    made.retry()
    assert project.pipelines.get(made.id).status in ("pending", "running")
    made.delete()
    with pytest.raises(gitlab.GitlabGetError):
        project.pipelines.get(made.id)
    assert server.json("GET", f"projects/{project.id}/pipelines/latest")["id"] == pipeline.id
    project.delete()


# ---- the runner protocol ----

@pytest.fixture
def job_of(server, runner, tmp_path):
    """A running job of a fresh project."""
    p, sha = server.push(tmp_path, {".gitlab-ci.yml": runner.ci()})
    job = runner.take()
    assert job["git_info"]["sha"] == sha
    yield p, job
    runner.put(job, "failed", failure_reason="script_failure")
    for j in server.jobs(p, server.pipeline(p, sha)).values():
        server.call("POST", f"projects/{p['id']}/jobs/{j['id']}/cancel")


def test_runners(server):
    server.call("POST", "runners", 403, session=server.client(), json={"token": "x"})
    r = Runner(server, tags=("one", "two"), description="d", maximum_timeout=1200)
    anybody = server.client()
    verified = server.json("POST", "runners/verify", 200, session=anybody, json={"token": r.token, "system_id": "s_1"})
    assert verified["id"] == r.id
    server.call("POST", "runners/verify", 403, session=anybody, json={"token": "glrt-wrong"})
    server.call("POST", "jobs/request", 403, session=anybody, json={"token": "glrt-wrong"})
    server.call("POST", "jobs/request", 403, session=anybody, json={})
    shown = server.json("GET", f"runners/{r.id}")
    assert shown["tag_list"] == ["one", "two"] and shown["run_untagged"] is False and shown["online"] is True
    assert server.json("PUT", f"runners/{r.id}", json={"paused": True, "tag_list": ["three"]})["tag_list"] == ["three"]
    assert r.id in [x["id"] for x in server.json("GET", "runners/all?per_page=100")]
    new = server.json("POST", "runners/reset_authentication_token", 201, session=anybody, json={"token": r.token})
    server.call("POST", "runners/verify", 403, session=anybody, json={"token": r.token})
    _, token = server.user()
    server.call("POST", "user/runners", 403, session=server.client(token), json={"runner_type": "instance_type"})
    server.call("GET", f"runners/{r.id}", 403, session=server.client(token))
    server.call("POST", "user/runners", 400, json={"runner_type": "instance_type", "run_untagged": False})
    server.call("DELETE", "runners", 204, session=anybody, json={"token": new["token"]})
    server.call("GET", f"runners/{r.id}", 404)
    server.call("GET", "runners/router/discovery", 501, session=anybody)


def test_a_waiting_runner_gets_a_job_at_once(server, runner, tmp_path):
    assert runner.request().status_code == 204  # learns the queue's version
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(runner.request)
        time.sleep(0.3)
        assert not waiting.done()  # held
        p, sha = server.push(tmp_path, {".gitlab-ci.yml": runner.ci()})
        r = waiting.result(20)
    got = time.time()
    assert r.status_code == 201
    job = r.json()
    queued = job["job_info"]["time_in_queue_seconds"]
    assert 0 <= queued < 0.5, f"the job waited {queued} s for a runner that was there"
    assert got
    assert runner.put(job, "running").status_code == 200
    server.call("POST", f"projects/{p['id']}/jobs/{job['id']}/cancel", 201)
    runner.put(job, "failed", failure_reason="script_failure")


def test_the_job_that_a_runner_gets(server, job_of, tmp_path):
    p, job = job_of
    info = job["git_info"]
    assert info["ref"] == "main" and info["ref_type"] == "branch" and info["depth"] > 0
    pipeline = job["job_info"]["pipeline_id"]
    assert info["refspecs"] == [f"+refs/pipelines/{pipeline}:refs/pipelines/{pipeline}",
                                "+refs/heads/main:refs/remotes/origin/main"]
    git("init", "-q", tmp_path / "clone")
    git("fetch", "-q", "--depth", str(info["depth"]), info["repo_url"], *info["refspecs"], cwd=tmp_path / "clone")
    assert git("rev-parse", f"refs/pipelines/{pipeline}", cwd=tmp_path / "clone").stdout.strip() == info["sha"]
    assert job["steps"][0]["script"] == ["make"] and job["steps"][0]["timeout"] > 0
    assert job["artifacts"][0]["paths"] == ["out.txt"] and job["artifacts"][0]["artifact_format"] == "zip"
    variables = {v["key"]: v for v in job["variables"]}
    assert variables["CI_PROJECT_PATH"]["value"] == p["path_with_namespace"]
    assert variables["CI_JOB_TOKEN"]["value"] == job["token"] and variables["CI_JOB_TOKEN"]["public"] is False
    assert variables["CI_JOB_ID"]["value"] == str(job["id"])
    assert job["features"]["failure_reasons"] and "glpat-" in job["features"]["token_mask_prefixes"]
    own = server.json("GET", "job", session=server.client(**{"JOB-TOKEN": job["token"]}))
    assert own["id"] == job["id"] and own["status"] == "running"
    # The job's token opens little else.
    server.call("GET", "user", 403, session=server.client(**{"JOB-TOKEN": job["token"]}))


def test_the_trace(server, runner, job_of):
    p, job = job_of
    r = runner.patch(job, b"0123456789")
    assert r.status_code == 202 and r.headers["Range"] == "0-10" and r.headers["Job-Status"] == "running"
    assert int(r.headers["X-GitLab-Trace-Update-Interval"]) > 0
    for start in (0, 5, 11, 1000):
        r = runner.patch(job, b"abc", start)
        assert r.status_code == 416 and r.headers["Range"] == "0-10"
    assert runner.patch(job, b"abc", 10).headers["Range"] == "0-13"
    trace = server.call("GET", f"projects/{p['id']}/jobs/{job['id']}/trace", 200)
    assert trace.content == b"0123456789abc" and trace.headers["Content-Type"].startswith("text/plain")
    for bad in ("x", "13", "13-", "-1", "13-14", "20-13", "13-99999999999999999999"):
        assert runner.patch(job, b"abc", content_range=bad).status_code == 400, bad
    wrong = {**job, "token": "glcbt-wrong"}
    assert runner.patch(wrong, b"abc", 13).status_code == 403
    assert runner.patch({**job, "id": 999999}, b"abc", 13).status_code == 403
    assert runner.put(wrong, "success").status_code == 403


def test_a_trace_that_differs_is_sent_again(server, runner, job_of):
    p, job = job_of
    whole = b"the whole log\n"
    assert runner.patch(job, whole[:5]).status_code == 202
    assert runner.put(job, "success", whole).status_code == 412  # not everything arrived
    r = runner.patch(job, whole)  # from 0, as the protocol says
    assert r.status_code == 202 and r.headers["Range"] == f"0-{len(whole)}"
    assert runner.put(job, "success", whole[::-1]).status_code == 412  # same length, other bytes
    assert runner.patch(job, whole).status_code == 202
    assert runner.put(job, "success", whole).status_code == 200
    assert server.json("GET", f"projects/{p['id']}/jobs/{job['id']}")["status"] == "success"
    late = runner.patch(job, b"late", len(whole))
    assert late.status_code == 403


def test_a_trace_that_is_too_long_fails_the_job(server, runner, job_of):
    if not server.state:
        pytest.skip("the limit of the real server is 100 MiB")
    p, job = job_of
    assert runner.patch(job, b"x" * 1000000).status_code == 202
    assert runner.patch(job, b"x" * 1000000, 1000000).status_code == 403
    shown = server.json("GET", f"projects/{p['id']}/jobs/{job['id']}")
    assert (shown["status"], shown["failure_reason"]) == ("failed", "trace_size_exceeded")


def test_artifacts(server, runner, job_of):
    p, job = job_of
    data = make_zip({"public/index.html": "<h1>hi</h1>", "empty": ""})
    r = runner.upload(job, data, expire_in="never", artifact_format="zip", artifact_type="archive")
    assert r.status_code == 201, r.text
    own = server.client(**{"JOB-TOKEN": job["token"]})
    assert server.call("GET", f"jobs/{job['id']}/artifacts", 200, session=own).content == data
    server.call("GET", f"jobs/{job['id']}/artifacts", 401, session=server.client())
    server.call("GET", f"jobs/{job['id']}/artifacts", 403, session=server.client(**{"JOB-TOKEN": "x"}))
    where = f"projects/{p['id']}/jobs/{job['id']}"
    shown = server.json("GET", where)
    assert shown["artifacts"] == [{"file_type": "archive", "size": len(data), "filename": "artifacts.zip",
                                   "file_format": "zip"}]
    assert shown["artifacts_expire_at"] is None
    page = server.call("GET", f"{where}/artifacts/public/index.html", 200)
    assert page.text == "<h1>hi</h1>" and "attachment" in page.headers["Content-Disposition"]
    assert "html" not in page.headers["Content-Type"] and page.headers["X-Content-Type-Options"] == "nosniff"
    assert server.call("GET", f"{where}/artifacts/empty", 200).content == b""
    head = server.call("HEAD", f"{where}/artifacts/public/index.html", 200)
    assert head.content == b"" and head.headers["Content-Length"] == "11"
    for path in ("nothing", "public", "public/"):
        server.call("GET", f"{where}/artifacts/{path}", 404)
    trace = b"ok\n"
    runner.patch(job, trace)
    assert runner.put(job, "success", trace).status_code == 200
    ref = f"projects/{p['id']}/jobs/artifacts/main"
    assert server.call("GET", f"{ref}/download?job=build", 200).content == data
    assert server.call("GET", f"{ref}/raw/public/index.html?job=build", 200).text == "<h1>hi</h1>"
    server.call("GET", f"{ref}/download?job=nothing", 404)
    assert server.call("GET", f"{ref}/download", 400).json() == {"error": "job is missing"}
    server.call("DELETE", f"{where}/artifacts", 204)
    server.call("GET", f"{where}/artifacts", 404)


def link_entry(name):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize("files,why", [
    ({"../evil": "x"}, "'..'"), ({"/etc/evil": "x"}, "relative"), ({"a/../../evil": "x"}, "'..'"),
    ({link_entry("link"): "/etc/passwd"}, "symbolic link"), ({"a\\..\\evil": "x"}, "relative"),
])
def test_hostile_archives_are_refused(server, runner, job_of, files, why):
    p, job = job_of
    r = runner.upload(job, make_zip(files))
    assert r.status_code == 400 and why in r.json()["message"]
    server.call("GET", f"projects/{p['id']}/jobs/{job['id']}/artifacts", 404)


def test_uploads_that_are_wrong(server, runner, job_of):
    p, job = job_of
    url = f"{server.url}/api/v4/jobs/{job['id']}/artifacts"
    headers = {"JOB-TOKEN": job["token"]}
    assert runner.upload(job, b"this is not a zip").status_code == 400
    assert runner.upload(job, b"").status_code == 400
    assert requests.post(url, headers=headers, data=b"PK", timeout=30).status_code == 400
    assert requests.post(url, headers=headers, files={"other": ("a", b"x")}, timeout=30).status_code == 400
    assert runner.upload({**job, "token": "x"}, make_zip({"a": "b"})).status_code == 403
    good = make_zip({"a": "b" * 1000})
    # Cut in the middle: nothing appears.
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    with socket.create_connection((host, port)) as s:
        s.sendall(f"POST /api/v4/jobs/{job['id']}/artifacts HTTP/1.1\r\nHost: {host}\r\nJOB-TOKEN: {job['token']}\r\n"
                  f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n"
                  "Content-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n".encode() + good[:50])
    server.call("GET", f"projects/{p['id']}/jobs/{job['id']}/artifacts", 404)
    # Too large, and said so before a byte is sent.
    with socket.create_connection((host, port)) as s:
        s.sendall(f"POST /api/v4/jobs/{job['id']}/artifacts HTTP/1.1\r\nHost: {host}\r\nJOB-TOKEN: {job['token']}\r\n"
                  f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {10 ** 12}\r\n"
                  "Expect: 100-continue\r\n\r\n".encode())
        s.settimeout(30)
        assert b" 413 " in s.recv(4096).split(b"\r\n")[0]
    assert runner.upload(job, good).status_code == 201


def test_pages_are_published(server, runner, tmp_path):
    ci = runner.ci("pages: {tags: [TAG], script: [x], artifacts: {paths: [public]}}")
    p, _ = server.push(tmp_path, {".gitlab-ci.yml": ci})
    server.call("GET", f"projects/{p['id']}/pages", 404)
    job = runner.take()
    runner.finish(job, files={"public/index.html": "<h1>one</h1>", "public/a/b.txt": "b", "elsewhere": "no"})
    assert server.json("GET", f"projects/{p['id']}/jobs/{job['id']}")["status"] == "success"
    pages = server.json("GET", f"projects/{p['id']}/pages")
    assert pages["deployments"][0]["files"] == 2 and f"//root." in pages["url"] and pages["url"].endswith(p["path"])
    live = server.pages_dir / "@live/root" / p["path"]
    assert live.is_symlink() and (live / "index.html").read_text() == "<h1>one</h1>"
    assert not (live.parent / "elsewhere").exists()
    # Again, with other files: the new site replaces the old one as a whole.
    server.json("POST", f"projects/{p['id']}/pipeline", 201, json={"ref": "main"})
    job = runner.take()
    runner.finish(job, files={"public/index.html": "<h1>two</h1>"})
    assert server.json("GET", f"projects/{p['id']}/pages")["deployments"][0]["files"] == 1
    assert (live / "index.html").read_text() == "<h1>two</h1>" and not (live / "a").exists()
    # Nothing to publish: the job fails, the log says why, the site stays.
    server.json("POST", f"projects/{p['id']}/pipeline", 201, json={"ref": "main"})
    job = runner.take()
    runner.finish(job, files={"dist/index.html": "x"})
    assert server.json("GET", f"projects/{p['id']}/jobs/{job['id']}")["status"] == "failed"
    assert "artifacts hold no file below" in server.call("GET", f"projects/{p['id']}/jobs/{job['id']}/trace", 200).text
    assert server.json("GET", f"projects/{p['id']}/pages")["deployments"][0]["files"] == 1
    server.call("DELETE", f"projects/{p['id']}/pages", 204)
    server.call("GET", f"projects/{p['id']}/pages", 404)
    assert not live.is_symlink()


def test_a_broken_configuration(server, tmp_path):
    p, sha = server.push(tmp_path, {".gitlab-ci.yml": "build:\n  script: [x]\n  nonsense: 1\n"})
    pipeline = server.pipeline(p, sha)
    assert pipeline["status"] == "failed" and "nonsense" in pipeline["yaml_errors"]
    r = server.json("POST", f"projects/{p['id']}/ci/lint", json={"content": "build: {script: [x], nonsense: 1}"})
    assert r["valid"] is False and "nonsense" in r["errors"][0]
    r = server.json("POST", f"projects/{p['id']}/ci/lint", json={"content": CI, "include_jobs": True})
    assert r["valid"] is True and [j["name"] for j in r["jobs"]] == ["build", "test", "deploy"]
    assert server.json("GET", f"projects/{p['id']}/ci/lint")["valid"] is False


# ---- bad input ----

def raw(server, request, wait=10):
    """Sends bytes as they are and returns the status of the first answer (0: the connection was closed)."""
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    with socket.create_connection((host, port), timeout=wait) as s:
        s.sendall(request)
        try:
            answer = s.recv(65536)
        except ConnectionResetError:
            return 0
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize("path", [
    "projects/..", "projects/%2e%2e", "projects/a%2F..%2Fb", "projects/1/repository/files/..%2F..%2Fetc%2Fpasswd",
    "projects/a%00b", "projects/a%0Ab", "projects/%", "projects/%zz", "projects/%ff", "projects/1/variables/a%1Fb",
    "projects/1/jobs/1/artifacts/../../x", "projects/1/jobs/1/artifacts/a%2f..%2f..%2fx", "users/%7f",
])
def test_paths_that_are_refused(server, path):
    request = f"GET /api/v4/{path} HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {server.token}\r\nConnection: close\r\n\r\n"
    assert raw(server, request.encode()) == 400


def test_unknown_paths_and_methods(server):
    assert server.call("GET", "nothing/here", 404).json() == {"error": "404 Not Found"}
    r = server.call("PATCH", "projects", 405)
    assert r.headers["Allow"] == "GET, HEAD, POST"
    assert server.call("HEAD", "projects", 200).content == b""
    for bad in ("0", "-1", "99999999999999999999", "1x", "%20", "nobody%2Fnothing"):
        server.call("GET", f"projects/{bad}", 404)
    server.call("GET", "projects/1/jobs/abc", 404)


def test_bodies_that_are_wrong(server):
    p = server.project()
    js = {"Content-Type": "application/json"}
    for body in (b"{", b"[]", b"\xff", b'{"name":"a","name":"b"}', b'{"name":"a\\u0000b"}', b"[" * 5000, b'"x"'):
        r = server.call("PUT", f"projects/{p['id']}", 400, data=body, headers=js)
        assert "error" in r.json()
    server.call("PUT", f"projects/{p['id']}", 413, data=b'{"name":"' + b"x" * 2000000 + b'"}', headers=js)
    server.call("PUT", f"projects/{p['id']}", 400, json={"name": "x" * 300})
    server.call("PUT", f"projects/{p['id']}", 415, data=b"<a/>", headers={"Content-Type": "text/xml"})
    server.call("PUT", f"projects/{p['id']}", 400, data=b"name=%zz",
                headers={"Content-Type": "application/x-www-form-urlencoded"})
    server.call("PUT", f"projects/{p['id']}", 200, data=b"description=a+b%21",
                headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert server.json("GET", f"projects/{p['id']}")["description"] == "a b!"
    short = (f"PUT /api/v4/projects/{p['id']} HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {server.token}\r\n"
             "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{}").encode()
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    with socket.create_connection((host, port), timeout=10) as s:
        s.sendall(short)
        s.shutdown(socket.SHUT_WR)
        answer = s.recv(4096)
    assert not answer or answer.split(b" ")[1] == b"400"
    assert server.json("GET", f"projects/{p['id']}")["description"] == "a b!"


def test_health(server):
    for path, word in (("/-/health", "OK"), ("/-/liveness", "ok"), ("/-/readiness", "ok"),
                       ("/metrics", "slipway_http_requests_total")):
        r = requests.get(server.url + path, timeout=10)
        assert r.status_code == 200 and word in r.text, path


def test_most_routes_were_checked(server):
    """Runs last: tells which operations no test of this file has called."""
    every = {(m, o["summary"]) for ops in server.shapes.document["paths"].values() for m, o in ops.items()}
    if len(server.shapes.seen) < len(every) / 2:
        pytest.skip("only a part of this file ran")
    missed = sorted(every - server.shapes.seen)
    assert len(missed) < len(every) / 3, missed
