"""A few words for talking to the REST API in tests."""
import time
from urllib.parse import quote

import requests

ENDED = {"success", "failed", "canceled", "skipped"}


class Api:
    def __init__(self, platform, token):
        self.base = f"{platform.url}/api/v4"
        self.session = requests.Session()
        self.session.headers["PRIVATE-TOKEN"] = token

    def request(self, method, path, **args):
        return self.session.request(method, f"{self.base}/{path}", timeout=args.pop("timeout", 30), **args)

    def get(self, path, **args):
        r = self.request("GET", path, **args)
        assert r.status_code == 200, f"GET {path}: {r.status_code} {r.text[:500]}"
        return r.json()

    def post(self, path, status=201, **args):
        r = self.request("POST", path, **args)
        assert r.status_code == status, f"POST {path}: {r.status_code} {r.text[:500]}"
        return r.json()

    def project(self, name, **more):
        return self.post("projects", json={"name": name, **more})

    def by_path(self, path):
        return self.get(f"projects/{quote(path, safe='')}")

    def pipelines(self, project_id):
        return self.get(f"projects/{project_id}/pipelines?per_page=100")

    def wait_pipeline(self, project_id, sha=None, seconds=60, pipeline_id=None):
        """The newest pipeline (of that commit), once it has ended."""
        end = time.monotonic() + seconds
        last = None
        while time.monotonic() < end:
            found = [p for p in self.pipelines(project_id)
                     if (not sha or p["sha"] == sha) and (not pipeline_id or p["id"] == pipeline_id)]
            if found:
                last = found[0]
                if last["status"] in ENDED:
                    return self.get(f"projects/{project_id}/pipelines/{last['id']}")
            time.sleep(0.05)
        jobs = last and [(j["name"], j["status"]) for j in self.jobs(project_id, last["id"])]
        raise AssertionError(f"no ended pipeline within {seconds} s: {last} {jobs}")

    def jobs(self, project_id, pipeline_id):
        return self.get(f"projects/{project_id}/pipelines/{pipeline_id}/jobs?per_page=100")

    def job(self, project_id, pipeline_id, name):
        found = [j for j in self.jobs(project_id, pipeline_id) if j["name"] == name]
        assert found, f"no job {name}"
        return found[0]

    def trace(self, project_id, job_id):
        r = self.request("GET", f"projects/{project_id}/jobs/{job_id}/trace")
        assert r.status_code == 200, r.text[:300]
        return r.content.decode("utf-8", "replace")
