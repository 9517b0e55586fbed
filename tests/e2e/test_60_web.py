"""The pages, on a server that fills itself (tests/lib/web_fixture.c): right status for every kind of visitor, forms that
cannot be forged, headers, and what only a browser shows (tests/e2e/browser)."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import requests

from conftest import BUILD, ROOT, wait_until

FIXTURE = BUILD / "tests/unit/web/web_fixture"
NODE = shutil.which("node")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
P = "/owner/harbor"


class Site:
    def __init__(self, folder):
        self.process = subprocess.Popen([FIXTURE, folder / "state"], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            pytest.fail("the fixture did not start:\n" + self.process.stderr.read())
        self.facts = json.loads(line)
        self.base = f"http://127.0.0.1:{self.facts['port']}"

    def __getattr__(self, name):
        return self.facts[name]

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def visitor(self, login=None):
        s = requests.Session()
        if login:
            answer = self.post(s, "/users/sign_in", {"login": login, "password": self.password},
                               form="/users/sign_in")
            assert answer.status_code == 303, answer.text
        return s

    def get(self, s, path, **kw):
        return s.get(self.base + path, allow_redirects=False, timeout=20, **kw)

    def post(self, s, path, data, form=None, token=None, **kw):
        if token is None:
            page = self.get(s, form or path)
            token = re.search(r'name="csrf_token" value="([^"]+)"', page.text).group(1)
        return s.post(self.base + path, data={"csrf_token": token, **data}, allow_redirects=False, timeout=20, **kw)

    def close(self):
        out, err = self.process.communicate("quit\n", timeout=30)
        return self.process.returncode, err


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    s = Site(tmp_path_factory.mktemp("web"))
    yield s
    code, err = s.close()
    assert code == 0, err
    assert "ERROR:" not in err and "runtime error:" not in err, err
    # Nothing that a visitor did was a fault of ours.
    assert "web_fixture: request" not in err, err


@pytest.fixture
def own_site(tmp_path):
    s = Site(tmp_path)
    yield s
    s.close()


@pytest.fixture(scope="module")
def people(site):
    return {who: site.visitor(None if who == "anonymous" else who)
            for who in ("anonymous", "stranger", "guest", "developer", "owner")}


# path: the status for anonymous, stranger, guest, developer, owner. 303 leads to the sign-in page.
CODE = (303, 404, 403, 200, 200)
CI = (303, 404, 200, 200, 200)
KEEP = (303, 404, 403, 403, 200)
PAGES = {
    "/": (200,) * 5,
    "/help": (200,) * 5,
    "/users/sign_in": (200, 303, 303, 303, 303),
    "/projects/new": (303, 200, 200, 200, 200),
    "/-/user_settings/personal_access_tokens": (303, 200, 200, 200, 200),
    "/admin/runners": (303, 404, 404, 404, 200),
    "/yard": (200,) * 5,
    "/yard/tools/crane": (200,) * 5,
    "/owner/nothing": (303, 404, 404, 404, 404),
    "/-/nothing": (404,) * 5,
    P: (303, 404, 200, 200, 200),
    "/owner/empty-dock": (303, 404, 404, 404, 200),
    f"{P}/-/tree/main": CODE,
    f"{P}/-/tree/main/src": CODE,
    f"{P}/-/tree/feature/fog-horn/src": CODE,
    f"{P}/-/tree/v1.0": CODE,
    f"{P}/-/tree/nowhere": (303, 404, 403, 404, 404),
    f"{P}/-/blob/main/src/main.c": CODE,
    f"{P}/-/blob/main/README.md": CODE,
    f"{P}/-/blob/main/README.md?plain=1": CODE,
    f"{P}/-/blob/main/docs/logo.png": CODE,
    f"{P}/-/blob/main/nothing": (303, 404, 403, 404, 404),
    f"{P}/-/raw/main/src/main.c": CODE,
    f"{P}/-/commits": CODE,
    f"{P}/-/commits/main/src": CODE,
    f"{P}/-/commit/{{sha}}": CODE,
    f"{P}/-/commit/0000000": (303, 404, 403, 404, 404),
    f"{P}/-/branches": CODE,
    f"{P}/-/tags": CODE,
    f"{P}/-/pipelines": CI,
    f"{P}/-/pipelines?scope=failed&ref=main": CI,
    f"{P}/-/pipelines/{{good_pipeline}}": CI,
    f"{P}/-/pipelines/{{mixed_pipeline}}": CI,
    f"{P}/-/pipelines/{{error_pipeline}}": CI,
    f"{P}/-/pipelines/{{live_pipeline}}": CI,
    f"{P}/-/pipelines/999": (303, 404, 404, 404, 404),
    f"{P}/-/pipelines/x": (303, 404, 404, 404, 404),
    f"{P}/-/jobs/{{good_job}}": CI,
    f"{P}/-/jobs/{{bad_job}}": CI,
    f"{P}/-/jobs/{{live_job}}": CI,
    f"{P}/-/jobs/{{manual_job}}": CI,
    f"{P}/-/jobs/{{waiting_job}}": CI,
    f"{P}/-/jobs/{{good_job}}/raw": CI,
    f"{P}/-/jobs/{{good_job}}/artifacts/browse": CI,
    f"{P}/-/jobs/{{good_job}}/artifacts/download": CI,
    f"{P}/-/jobs/{{good_job}}/artifacts/file/public/index.html": CI,
    f"{P}/-/jobs/{{bad_job}}/artifacts/browse": (303, 404, 404, 404, 404),
    f"{P}/-/project_members": (303, 404, 200, 200, 200),
    f"{P}/-/settings": KEEP,
    f"{P}/-/settings/ci_cd": KEEP,
    f"{P}/-/nothing": (303, 404, 404, 404, 404),
}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_for_every_visitor(site, people, path):
    url = path.format(**site.facts)
    got = {who: site.get(s, url).status_code for who, s in people.items()}
    assert got == dict(zip(people, PAGES[path]))


def test_every_page_has_its_headers_and_nothing_inline(site, people):
    for path in PAGES:
        r = site.get(people["owner"], path.format(**site.facts))
        policy = r.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy.split("script-src")[-1].split(";")[0]
        assert r.headers["X-Content-Type-Options"] == "nosniff"
        assert r.headers["Referrer-Policy"] == "same-origin"
        if not r.headers.get("Content-Type", "").startswith("text/html"):
            continue
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert r.headers["Cache-Control"] == "no-store"
        for tag in re.findall(r"<script[^>]*>", r.text):
            assert " src=" in tag
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|=\"javascript:", r.text), path
        assert "<h1" in r.text and "<main" in r.text, path


def test_no_page_leaves_an_input_without_a_label(site, people):
    for path in PAGES:
        text = site.get(people["owner"], path.format(**site.facts)).text
        for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", text):
            if 'type="hidden"' in tag or 'type="radio"' in tag or 'type="checkbox"' in tag:
                continue
            name = re.search(r'\bid="([^"]+)"', tag)
            assert "aria-label=" in tag or (name and f'for="{name.group(1)}"' in text), (path, tag)


FORMS = {
    "/users/sign_in": {"login": "owner", "password": "x"},
    "/users/sign_out": {},
    "/projects": {"name": "forged"},
    "/-/user_settings/personal_access_tokens": {"name": "forged", "scopes": "api"},
    "/-/user_settings/personal_access_tokens/1/revoke": {},
    f"{P}/-/pipelines": {"ref": "main"},
    f"{P}/-/pipelines/{{live_pipeline}}/cancel": {},
    f"{P}/-/pipelines/{{mixed_pipeline}}/retry": {},
    f"{P}/-/jobs/{{live_job}}/cancel": {},
    f"{P}/-/jobs/{{bad_job}}/retry": {},
    f"{P}/-/jobs/{{manual_job}}/play": {},
    f"{P}/-/settings": {"name": "forged", "timeout": "1"},
    f"{P}/-/settings/remove": {"confirm": "owner/harbor"},
    f"{P}/-/settings/ci_cd": {"key": "FORGED", "value": "1"},
    f"{P}/-/settings/ci_cd/1/remove": {},
    f"{P}/-/project_members": {"username": "stranger", "access_level": "50"},
    f"{P}/-/project_members/2/remove": {},
}


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_does_nothing(site, people, path):
    url, data = path.format(**site.facts), FORMS[path]
    assert site.post(people["owner"], url, data, token="").status_code == 403
    assert site.post(people["owner"], url, data, token="0" * 43).status_code == 403
    other = site.visitor("stranger")
    page = site.get(other, "/projects/new").text
    stolen = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
    assert site.post(people["owner"], url, data, token=stolen).status_code == 403


def test_a_form_from_another_site_is_refused(site, people):
    for origin in ("https://evil.test", "http://127.0.0.1:1", "null"):
        r = site.post(people["owner"], "/projects", {"name": "forged"}, form="/projects/new", headers={"Origin": origin})
        assert r.status_code == 403
    r = site.post(people["owner"], "/projects", {"name": ""}, form="/projects/new", headers={"Origin": site.base})
    assert r.status_code == 422


def test_a_form_must_be_a_form(site, people):
    s = people["owner"]
    assert s.post(site.base + "/projects", json={"name": "x"}, timeout=20).status_code == 400
    assert s.put(site.base + "/projects", timeout=20).status_code == 405
    assert s.get(site.base + "/users/sign_out", timeout=20).status_code == 405
    r = s.post(site.base + "/projects", data="a=1&" * 100000,
               headers={"Content-Type": "application/x-www-form-urlencoded"}, timeout=20)
    assert r.status_code == 413


def test_cookies(site):
    s = requests.Session()
    r = site.post(s, "/users/sign_in", {"login": "owner", "password": site.password}, form="/users/sign_in")
    cookie = [c for c in r.headers["Set-Cookie"].split(", ") if c.startswith("slipway_session=")][0]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    before = s.cookies["slipway_session"]
    assert site.post(s, "/users/sign_out", {}, form="/projects/new").status_code == 303
    s.cookies.set("slipway_session", before)
    assert site.get(s, "/projects/new").status_code == 303  # the session has ended on the server, too


@pytest.mark.parametrize("to,lands", [
    ("/owner/harbor", "/owner/harbor"), ("/help?x=1", "/help?x=1"), ("https://evil.test/", "/"), ("//evil.test/", "/"),
    ("/\\evil.test", "/"), ("\\\\evil.test", "/"), ("javascript:alert(1)", "/"), ("", "/"), ("/a\nb", "/"), (" //evil", "/"),
])
def test_signing_in_leads_nowhere_else(site, to, lands):
    s = requests.Session()
    r = site.post(s, "/users/sign_in", {"login": "owner", "password": site.password, "return_to": to},
                  form="/users/sign_in")
    assert (r.status_code, r.headers["Location"]) == (303, lands)


def test_sign_in_comes_back_to_where_one_wanted(site):
    s = requests.Session()
    r = site.get(s, f"{P}/-/pipelines?scope=failed")
    page = site.get(s, r.headers["Location"]).text
    assert 'name="return_to" value="/owner/harbor/-/pipelines?scope=failed"' in page


def test_guessing_is_slowed_down(own_site):
    s = requests.Session()
    codes = [own_site.post(s, "/users/sign_in", {"login": "Owner", "password": "wrong"},
                           form="/users/sign_in").status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    r = own_site.post(s, "/users/sign_in", {"login": "owner", "password": own_site.password}, form="/users/sign_in")
    assert r.status_code == 429 and int(r.headers["Retry-After"]) > 0
    # Another account from the same address still can.
    r = own_site.post(s, "/users/sign_in", {"login": "guest", "password": own_site.password}, form="/users/sign_in")
    assert r.status_code == 303


def test_unknown_and_wrong_look_alike(site):
    s = requests.Session()
    texts = {re.sub(r'value="[^"]*"', "", site.post(s, "/users/sign_in", {"login": who, "password": "wrong"},
                                                     form="/users/sign_in").text) for who in ("developer", "nobody")}
    texts = {re.sub(r"(nonce|data-|request)[^ >]*", "", t) for t in texts}
    assert len(texts) == 1


def test_raw_files_cannot_become_pages(site, people):
    s = people["owner"]
    r = site.get(s, f"{P}/-/raw/main/README.md")
    assert r.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "sandbox" in r.headers["Content-Security-Policy"]
    assert site.get(s, f"{P}/-/raw/main/README.md", headers={"If-None-Match": r.headers["ETag"]}).status_code == 304
    r = site.get(s, f"{P}/-/jobs/{site.good_job}/artifacts/file/public/index.html")
    assert "<script>" in r.text
    assert r.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "sandbox" in r.headers["Content-Security-Policy"]
    r = site.get(s, f"{P}/-/jobs/{site.good_job}/artifacts/download")
    assert r.headers["Content-Disposition"].startswith("attachment") and r.content[:2] == b"PK"


def test_artifacts_show_one_folder_at_a_time(site, people):
    s, base = people["owner"], f"{P}/-/jobs/{site.good_job}/artifacts"
    top = site.get(s, f"{base}/browse").text
    assert f'href="{base}/browse/public"' in top and "2 files" in top and "index.html" not in top
    below = site.get(s, f"{base}/browse/public").text
    assert f'href="{base}/browse/public/css"' in below and f'href="{base}/file/public/index.html"' in below
    assert site.get(s, f"{base}/file/public/css/site.css").text.startswith("h1")
    for name in ("public", "public/none", "index.html"):
        assert site.get(s, f"{base}/file/{name}").status_code == 404, name


def test_repository_content_is_escaped(site, people):
    s = people["owner"]
    home = site.get(s, P).text
    assert "<script>alert" not in home and "javascript:" not in home and "onerror" not in home
    assert f'href="{P}/-/blob/main/docs/guide.md"' in home
    assert f'src="{P}/-/raw/main/docs/logo.png"' in home
    assert 'href="http://owner.pages.localhost:8080/harbor/"' in home
    blob = site.get(s, f"{P}/-/blob/main/src/main.c").text
    assert "04:12 &amp; leaves &lt;soon&gt;" in blob and 'id="L13"' in blob
    log = site.get(s, f"{P}/-/jobs/{site.good_job}").text
    assert "&lt;script&gt;alert(&#39;not markup&#39;)" in log and 'class="sec"' in log


def test_mistakes_in_the_configuration_are_shown_at_their_place(site, people):
    page = site.get(people["owner"], f"{P}/-/pipelines/{site.error_pipeline}").text
    assert ".gitlab-ci.yml, line 7, column 3" in page
    assert "whenn: always" in page
    assert page.count('class="excerpt"') == 2


def test_tokens_are_shown_once(site, people):
    s, path = people["developer"], "/-/user_settings/personal_access_tokens"
    assert site.post(s, path, {"name": "x"}).status_code == 422
    assert site.post(s, path, {"name": "x", "scopes": "api", "expires_at": "2001-01-01"}).status_code == 422
    r = site.post(s, path, {"name": "<deploy>", "scopes": ["read_api", "read_repository"]})
    secret = re.search(r'readonly value="(glpat-[^"]+)"', r.text).group(1)
    assert r.headers["Cache-Control"] == "no-store"
    page = site.get(s, path).text
    assert secret not in page and "&lt;deploy&gt;" in page
    number = re.search(r"personal_access_tokens/(\d+)/revoke", page).group(1)
    assert site.post(people["stranger"], f"{path}/{number}/revoke", {}, form=path).status_code in (403, 404)
    assert site.post(s, f"{path}/{number}/revoke", {}, form=path).status_code == 303
    assert "&lt;deploy&gt;" not in site.get(s, path).text


def test_variables(site, people):
    s, path = people["owner"], f"{P}/-/settings/ci_cd"
    assert site.post(s, path, {"key": "no spaces", "value": "x"}).status_code == 422
    assert site.post(s, path, {"key": "SHORT", "value": "x", "masked": "1"}).status_code == 422
    assert site.post(s, path, {"key": "BERTH", "value": "<7>"}).status_code == 303
    assert site.post(s, path, {"key": "BERTH", "value": "<8>"}).status_code == 303
    page = site.get(s, path).text
    assert "&lt;8&gt;" in page and "&lt;7&gt;" not in page
    number = re.search(r"BERTH</code>.*?ci_cd/(\d+)/remove", page, re.S).group(1)
    # The number of a variable elsewhere is none here.
    assert site.post(s, f"/owner/empty-dock/-/settings/ci_cd/{number}/remove", {}, form=path).status_code == 404
    assert site.post(s, f"{path}/{number}/remove", {}, form=path).status_code == 303
    assert "BERTH" not in site.get(s, path).text


def test_members(site, people):
    s, path = people["owner"], f"{P}/-/project_members"
    assert site.post(s, path, {"username": "nobody", "access_level": "30"}).status_code == 422
    assert site.post(s, path, {"username": "stranger", "access_level": "20"}).status_code == 303
    assert site.get(people["stranger"], P).status_code == 200
    assert site.post(people["developer"], path, {"username": "stranger", "access_level": "50"},
                     form="/projects/new").status_code == 403
    number = re.search(r'@stranger.*?project_members/(\d+)/remove', site.get(s, path).text, re.S).group(1)
    assert site.post(s, f"{path}/{number}/remove", {}, form=path).status_code == 303
    assert site.get(people["stranger"], P).status_code == 404


def test_a_new_project(site, people):
    s = people["developer"]
    r = site.post(s, "/projects", {"name": "Dry Dock", "visibility": "internal"}, form="/projects/new")
    assert r.status_code == 303
    page = site.get(s, r.headers["Location"]).text
    assert "git push" in page and "/dry-dock.git" in page.lower()
    r = site.post(s, "/projects", {"name": "Dry Dock"}, form="/projects/new")
    assert r.status_code == 422 and "taken" in r.text


def test_settings_and_removal(site, people):
    s = people["owner"]
    r = site.post(s, "/projects", {"name": "wreck"}, form="/projects/new")
    home = r.headers["Location"].split("?")[0]
    assert site.post(s, f"{home}/-/settings", {"name": "Wreck", "timeout": "0"}).status_code == 422
    r = site.post(s, f"{home}/-/settings", {"name": "Wreck & Co", "timeout": "90", "visibility": "public",
                                            "default_branch": "trunk"})
    assert r.status_code == 303, r.text
    assert "Wreck &amp; Co" in site.get(s, f"{home}/-/settings").text
    assert site.post(s, f"{home}/-/settings/remove", {"confirm": "wrong"}, form=f"{home}/-/settings").status_code == 422
    assert site.post(s, f"{home}/-/settings/remove", {"confirm": home[1:]}, form=f"{home}/-/settings").status_code == 303
    assert site.get(s, home).status_code == 404


def test_developers_do_not_run_protected_branches_and_guests_run_nothing(site, people):
    url = f"{P}/-/jobs/{site.waiting_job}/cancel"
    assert site.post(people["guest"], url, {}, form="/projects/new").status_code == 403
    assert site.post(people["developer"], url, {}, form="/projects/new").status_code == 403
    assert "may_run" not in site.get(people["guest"], f"{P}/-/jobs/{site.waiting_job}").text


def test_cancel_and_retry(own_site):
    s = own_site.visitor("owner")
    form = f"{P}/-/jobs/{own_site.waiting_job}"
    assert own_site.post(s, f"{form}/cancel", {}, form=form).status_code == 303
    assert "canceled" in own_site.get(s, form).text
    assert own_site.post(s, f"{form}/cancel", {}, form=form).status_code == 409
    r = own_site.post(s, f"{form}/retry", {}, form=form)
    assert r.status_code == 303 and r.headers["Location"].startswith(f"{P}/-/jobs/")
    assert not r.headers["Location"].startswith(f"{form}?")


def events(response):
    """(event, id, data) of a server-sent stream."""
    event = {}
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line == "":
            if event:
                yield event.get("event"), event.get("id"), event.get("data", "")
            event = {}
        elif not line.startswith(":"):
            key, _, value = line.partition(": ")
            event[key] = event[key] + "\n" + value if key in event and key == "data" else value


def test_the_log_streams_and_resumes(own_site):
    s = own_site.visitor("owner")
    url = f"{P}/-/jobs/{own_site.live_job}/log?stream"
    first = own_site.get(s, url, stream=True)
    assert first.headers["Content-Type"] == "text/event-stream"
    seen = events(first)
    name, number, data = next(seen)
    assert name == "log" and "ok 1 - tides" in data and 'data-open="step_script"' in data
    assert next(seen)[0] == "state"
    own_site.tell(r"log \e[31mred <b>\nstill")
    name, number, data = next(seen)
    assert 'class="a f1">red &lt;b&gt;</span>' in data and "still" not in data
    first.close()
    own_site.tell(r"log  red\e[0m\nend of it")
    again = events(own_site.get(s, url, stream=True, headers={"Last-Event-ID": number}))
    name, number, data = next(again)
    assert 'class="a f1">still red</span>' in data and "ok 1" not in data
    own_site.tell("finish success")
    rest = [(n, d) for n, _, d in again]
    assert [n for n, _ in rest] == ["log", "end"] and "end of it" in rest[0][1]


def test_a_stream_ends_with_its_session(own_site):
    for url in (f"{P}/-/jobs/{own_site.live_job}/log?stream", f"{P}/-/pipelines/{own_site.live_pipeline}?stream"):
        s = own_site.visitor("owner")
        seen = events(own_site.get(s, url, stream=True))
        next(seen)
        assert own_site.post(s, "/users/sign_out", {}, form="/projects/new").status_code == 303
        own_site.tell("log a secret\\n")
        own_site.tell("wake")
        with pytest.raises((requests.exceptions.ChunkedEncodingError, StopIteration)):
            while True:
                assert "secret" not in next(seen)[2]
    assert own_site.get(s, "/help").status_code == 200


def test_waiting_streams_hold_no_worker(own_site):
    """The fixture has four workers: forty watchers must not keep others waiting."""
    s = own_site.visitor("owner")
    url = f"{P}/-/jobs/{own_site.live_job}/log?stream"
    streams = [own_site.get(s, url, stream=True) for _ in range(40)]
    assert own_site.get(s, "/help").status_code == 200
    readers = [events(r) for r in streams]
    for r in readers:
        while next(r)[0] != "state":
            pass
    own_site.tell("log to all\\n")
    for r in readers:
        assert "to all" in next(r)[2]
    for r in streams:
        r.close()
    own_site.tell("finish success")
    wait_until(lambda: own_site.get(s, "/help").status_code == 200)


def test_assets_are_hashed_and_never_change(site):
    page = requests.get(site.base + "/help", timeout=20).text
    css, js = re.search(r'href="(/-/assets/\w{16}/css/app.css)"', page), re.search(r'src="(/-/assets/\w{16}/js/app.js)"', page)
    for match, kind in ((css, "text/css"), (js, "text/javascript")):
        r = requests.get(site.base + match.group(1), timeout=20)
        assert r.status_code == 200 and r.headers["Content-Type"].startswith(kind)
        assert "immutable" in r.headers["Cache-Control"] and r.headers["Content-Encoding"] == "gzip"
        plain = requests.get(site.base + match.group(1), headers={"Accept-Encoding": "identity"}, timeout=20)
        assert plain.text == r.text and "Content-Encoding" not in plain.headers
    base = css.group(1).rsplit("/", 2)[0]
    for path in ("/templates/layout.html", "/icons/x.svg", "/css/none.css", "/../web.c", "/%2e%2e/x"):
        assert requests.get(site.base + base + path, timeout=20).status_code in (400, 404)


@pytest.mark.parametrize("path", ["/..%2f..%2fetc/passwd", f"{P}/-/blob/main/..%2f..%2fsecret", f"{P}/-/blob/main/a%00b",
                                  f"{P}/-/tree/main/%0a", "/%ff", f"{P}//-/tree", f"{P}/-/blob/main/a%5cb"])
def test_bad_paths(site, people, path):
    assert site.get(people["owner"], path).status_code in (400, 404)


BROWSER = sorted(p.stem.removesuffix(".test") for p in (ROOT / "tests/e2e/browser").glob("*.test.mjs"))


@pytest.mark.parametrize("name", BROWSER)
def test_in_the_browser(name):
    if not NODE or not pathlib.Path(CHROMIUM).exists() or not (ROOT / "node_modules/playwright-core").exists():
        pytest.skip("needs node, chromium and playwright-core")
    done = subprocess.run([NODE, "--test", f"tests/e2e/browser/{name}.test.mjs"], cwd=ROOT, text=True, timeout=240,
                          env={**os.environ, "WEB_FIXTURE": str(FIXTURE)}, capture_output=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
