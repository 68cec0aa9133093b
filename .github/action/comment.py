"""Keeps one comment on a pull request that shows what it does to the networks: `cnnkit diff` against its base.

Runs in the folder to check. PROGRAM is cnnkit, TOKEN the token of the job, NAME the folder as the comment is known by; the
rest comes from GitHub's environment. What cannot be done is a warning: a missing comment is no reason to fail.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

# GitHub refuses longer comments, and keeps a summary of at most 1 MiB.
LONGEST = 65_000
PER_PAGE = 100


def warn(text):
    """Prints an annotation."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::warning title=cnnkit comment::{escaped}")


class Api:
    """The part of GitHub's API that comments need."""

    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/"), token

    def call(self, method, path, body=None):
        """Calls it; the parsed answer."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "cnnkit",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def comments(self, repository, number):
        """All comments of a pull request."""
        page = 1
        while True:
            path = f"/repos/{repository}/issues/{number}/comments?per_page={PER_PAGE}&page={page}"
            found = self.call("GET", path)
            yield from found
            if len(found) < PER_PAGE:
                return
            page += 1


def keep_one(api, repository, number, marker, body):
    """Makes `body` the only comment with `marker`; without a body, a comment that is there says so."""
    # Anybody can write the marker into a comment: only those of a bot are ours.
    ours = [
        comment["id"]
        for comment in api.comments(repository, number)
        if comment["body"].startswith(marker) and comment["user"]["type"] == "Bot"
    ]
    if not ours and body is None:
        return "no network changed: no comment"
    body = {"body": f"{marker}\n{body or 'This pull request changes no network any more.'}"}
    if not ours:
        api.call("POST", f"/repos/{repository}/issues/{number}/comments", body)
        return "comment written"
    first, *others = ours
    api.call("PATCH", f"/repos/{repository}/issues/comments/{first}", body)
    for other in others:
        api.call("DELETE", f"/repos/{repository}/issues/comments/{other}")
    return "comment brought up to date"


def run(*command):
    """Runs a command."""
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")


def base_commit(event):
    """The commit that the pull request goes to; it is fetched if the clone is shallow."""
    commit = event["pull_request"]["base"]["sha"]
    if run("git", "cat-file", "-e", f"{commit}^{{commit}}").returncode != 0:
        fetched = run("git", "fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
        if fetched.returncode != 0:
            raise Impossible(f"the base {commit} cannot be fetched: {fetched.stderr.strip()}")
    return commit


class Impossible(Exception):
    """Why there can be no comment."""


def difference(program, commit):
    """The tables of `cnnkit diff`; none if no network changed."""
    with tempfile.TemporaryDirectory() as folder:
        exact = pathlib.Path(folder) / "diff.json"
        done = run(program, "diff", "--git", commit, "--format", "markdown", "--output", f"json={exact}")
        if done.returncode == 2:
            raise Impossible(f"`cnnkit diff` could not run: {done.stderr.strip()}")
        networks = json.loads(exact.read_text(encoding="utf-8")).get("networks")
    if networks is None:
        raise Impossible("this version of cnnkit does not compare all networks at once: choose a newer `version`")
    if all(network["status"] == "same" for network in networks):
        return None
    return done.stdout


def comment_text(tables, commit, name):
    """The comment; nobody is mentioned by the name of a layer."""
    where = "" if name in ("", ".") else f" in `{name}`"
    text = f"### What this does to the networks{where}\n\n{tables.strip()}\n\nAgainst {commit[:12]}, by `cnnkit diff`."
    text = text.replace("@", "@\u200b")
    if len(text) > LONGEST:
        text = text[:LONGEST].rsplit("\n", 1)[0] + "\n\nThe rest is in the summary of the job."
    return text


def main():
    """Reads the event, compares, comments."""
    env = os.environ
    event = json.loads(pathlib.Path(env["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    name = env.get("NAME", ".")
    # `--` would end the comment of the marker.
    marker = f"<!-- cnnkit diff {name.replace('-', '_')} -->"
    try:
        commit = base_commit(event)
        tables = difference(env["PROGRAM"], commit)
        if tables and env.get("GITHUB_STEP_SUMMARY"):
            with open(env["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as summary:
                summary.write(f"### cnnkit diff\n\n{tables.strip()}\n\n")
        body = comment_text(tables, commit, name) if tables else None
        api = Api(env.get("GITHUB_API_URL", "https://api.github.com"), env["TOKEN"])
        print(keep_one(api, env["GITHUB_REPOSITORY"], event["pull_request"]["number"], marker, body))
    except Impossible as why:
        warn(str(why))
    except urllib.error.HTTPError as error:
        hint = "; the job needs `permissions: {pull-requests: write}`, which pull requests from forks do not have"
        warn(f"GitHub answered {error.code} {error.reason}{hint if error.code in (401, 403, 404) else ''}")
    except urllib.error.URLError as error:
        warn(f"GitHub cannot be reached: {error.reason}")


if __name__ == "__main__":
    sys.exit(main())
