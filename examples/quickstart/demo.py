"""Runs the quickstart without a cluster, shows what happens as it happens, and checks that all of it did.

Ends with a table of what was checked: status 0 when everything was seen, 1 when
something was not, 2 when there is nothing to work on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import app
import psycopg
from story import FINISHED, MISSING, STEPS, Moment, Story, add_up, checks, read_metrics, report_lines, undecodable

from dbos import DBOSClient, WorkflowStatus

HERE = Path(__file__).resolve().parent
OPERATOR = Path(sys.executable).parent / "dbos-operator"
STATE = HERE / ".dbos"
SECRET = "default/quickstart-db"
POD_NEWS = {"started", "stopping", "gone", "deleted by force"}
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 60.0
SHOWN_LINES = 10
TELL_SECONDS = 3.0


def say(text: str) -> None:
    """One line with the time."""
    print(f"{datetime.now().astimezone():%H:%M:%S} demo | {text}", flush=True)


class DemoError(Exception):
    """The demonstration cannot go on."""


class Supervisor:
    """`dbos-operator local` on a copy of the quickstart; its own lines are shown, those of workers go to the log."""

    def __init__(self, work: Path, folder: Path, log: Path) -> None:
        self.state = work / ".dbos"
        self._work = work
        self._log = log.open("w")
        environment = {**os.environ, "FOLDER": str(folder)}
        self.process = subprocess.Popen(
            [str(OPERATOR), "local", str(work)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.metrics_url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._log.write(line)
            self._log.flush()
            source, _, text = line.rstrip().partition(" | ")
            if "quickstart-worker-" not in source or text in POD_NEWS or text.startswith("ended with"):
                print(line, end="", flush=True)
            if "metrics on " in line:
                self.metrics_url = line.split("metrics on ", 1)[1].split(",")[0]

    def database_url(self) -> str | None:
        """Where the embedded PostgreSQL is, once it has started."""
        file = self.state / "databases.json"
        if not file.exists() or not self.metrics_url:
            return None
        url: str = json.loads(file.read_text())[SECRET]
        return url

    def pods(self) -> dict[str, dict[str, Any]]:
        """The pods that there are now, by name."""
        found = {}
        for file in (self.state / "pods").glob("*"):
            try:
                found[file.name] = json.loads(file.read_text())
            except FileNotFoundError:
                continue
        return found

    def delete_by_force(self, pod: str) -> None:
        """What `kubectl delete pod --force` does on a cluster."""
        (self.state / "pods" / pod).unlink()

    def stop(self) -> int:
        """End it as Ctrl-C does and return its exit status."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(timeout=45)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._reader.join(timeout=5)
        self._log.close()
        return status


class Demo:
    """Looks, acts once where the story asks for it, and says what is new."""

    def __init__(self, story: Story, supervisor: Supervisor, url: str) -> None:
        self.story = story
        self.supervisor = supervisor
        self._client = DBOSClient(system_database_url=url)
        self._connection = psycopg.connect(url, autocommit=True)
        self._told: tuple[int, bool] | None = None
        self._told_at = 0.0

    def close(self) -> None:
        """Give the connections back."""
        self._connection.close()
        self._client.destroy()

    def look(self) -> Moment:
        """Pods first, rows second: a row without pods beside it was there before them."""
        pods = self.supervisor.pods()
        workflows = self._client.list_workflows(load_input=False, load_output=False)
        query = "SELECT workflow_uuid, count(*) FROM dbos.operation_outputs GROUP BY 1"
        return Moment(pods, workflows, dict(self._connection.execute(query).fetchall()))

    def watch(self) -> Moment:
        """Go on until the story is complete, or until nothing has moved for too long."""
        while True:
            if self.supervisor.process.poll() is not None:
                raise DemoError(f"dbos-operator ended with status {self.supervisor.process.returncode}")
            moment = self.look()
            self._note(moment)
            self._scrape(moment)
            self._act(moment)
            if self._complete(moment):
                return moment
            if time.monotonic() - self.story.last_progress > PATIENCE_SECONDS:
                say(f"nothing has moved for {PATIENCE_SECONDS:g} s")
                return moment
            time.sleep(POLL_SECONDS)

    def results(self) -> list[WorkflowStatus]:
        """The workflows over files with what they returned."""
        return [found for found in self._client.list_workflows(name="process_file") if found.status == "SUCCESS"]

    def _note(self, moment: Moment) -> None:
        story = self.story
        if story.fired_before_workers is None and moment.of("scan_files"):
            first = min(workflow.created_at or 0 for workflow in moment.of("scan_files"))
            started = [datetime.fromisoformat(pod["started"]).timestamp() * 1000 for pod in moment.pods.values()]
            story.fired_before_workers = all(first < moment_ms for moment_ms in started)
            say(f"the schedule has fired; workers at that time: {0 if story.fired_before_workers else len(started)}")
        story.most_pods = max(story.most_pods, len(moment.pods))
        done = sum(workflow.status in FINISHED for workflow in moment.files)
        state = (len(moment.pods), len(moment.files), done, sum(moment.steps.values()))
        if state == story.last_state:
            return
        story.last_progress = time.monotonic()
        self._tell(*state)
        story.last_state = state

    def _tell(self, pods: int, files: int, done: int, steps: int) -> None:
        """Say how far it is when something weighty has changed, and else every few seconds."""
        weighty = (pods, files == done)
        now = time.monotonic()
        if weighty != self._told or now - self._told_at >= TELL_SECONDS:
            self._told, self._told_at = weighty, now
            say(f"pods {pods}, files {done} of {files} done, steps recorded {steps}")

    def _act(self, moment: Moment) -> None:
        story = self.story
        if moment.files and not story.enqueued_failure:
            missing = str(story.folder / f"{MISSING}.md")
            options = {"workflow_name": "process_file", "queue_name": app.QUEUE, "workflow_id": MISSING}
            self._client.enqueue(options, missing, 0.5)
            story.enqueued_failure = True
            say("enqueued a workflow over a file that does not exist: it is expected to fail")
        if not story.killed and len(moment.pods) >= story.several and (victim := self._victim(moment)):
            story.killed = victim
            self.supervisor.delete_by_force(victim)
            say(f"removed the file of pod {victim}: kubectl delete pod --force")
        elif story.killed and not story.orphans:
            # Now, and not before: what the pod finished in its last moment is no orphan.
            story.orphans = {
                workflow.workflow_id
                for workflow in moment.files
                if workflow.status == "PENDING" and workflow.executor_id == story.killed
            }
            say(f"{len(story.orphans)} workflow(s) of {story.killed} are left in the middle")
            if not story.orphans:
                story.killed = ""

    def _victim(self, moment: Moment) -> str:
        """A pod in the middle of a file: some of its steps are recorded, and more than the last one is left."""
        for workflow in moment.files:
            halfway = 1 <= moment.steps.get(workflow.workflow_id, 0) <= STEPS - 2
            if workflow.status == "PENDING" and halfway and workflow.executor_id in moment.pods:
                return workflow.executor_id
        return ""

    def _scrape(self, moment: Moment) -> None:
        story = self.story
        for pod in moment.pods.values():
            figures = read_metrics(f"http://127.0.0.1:{pod['metricsPort']}/metrics")
            story.worker_metrics = max(story.worker_metrics, len(figures))
            story.worker_failures = max(story.worker_failures, add_up(figures, "dbos_workflow_failures_total"))
        figures = read_metrics(self.supervisor.metrics_url)
        story.operator_metrics = max(story.operator_metrics, len(figures))
        failures = add_up(figures, "dbos_operator_workflows_completed_total", status="ERROR")
        story.operator_failures = max(story.operator_failures, failures)
        story.recovered = max(story.recovered, add_up(figures, "dbos_operator_recovered_workflows_total"))

    def _complete(self, moment: Moment) -> bool:
        story = self.story
        finished = {workflow.workflow_id for workflow in moment.files if workflow.status in FINISHED}
        failed = moment.find(MISSING)
        return (
            story.identifiers() <= finished
            and story.orphans <= finished
            and failed is not None
            and failed.status in FINISHED
            and story.operator_failures > 0
            and not moment.pods
        )


def wait_for_database(supervisor: Supervisor) -> str:
    """The URL of the embedded PostgreSQL, once the operator has made its schema."""
    for _ in range(300):
        if supervisor.process.poll() is not None:
            raise DemoError(f"dbos-operator ended with status {supervisor.process.returncode}")
        if url := supervisor.database_url():
            return url
        time.sleep(POLL_SECONDS)
    raise DemoError("the embedded PostgreSQL did not start within a minute")


def run(story: Story, work: Path) -> bool:
    """The whole story; whether everything happened that should."""
    for name in ("quickstart.yaml", "app.py"):
        shutil.copy(HERE / name, work)
    began = time.monotonic()
    supervisor = Supervisor(work, story.folder, STATE / "demo.log")
    status: int | None = None
    try:
        demo = Demo(story, supervisor, wait_for_database(supervisor))
        try:
            moment = demo.watch()
            results = demo.results()
        finally:
            demo.close()
        status = supervisor.stop()
    finally:
        if status is None:
            supervisor.stop()
    show_report(report_lines(results, story.folder), STATE / "report.md")
    print(f"\nWhat was checked, in {time.monotonic() - began:.0f} s:")
    happened = True
    for what, seen, figure in checks(story, moment, status):
        print(f"  {'ok    ' if seen else 'FAILED'}  {what:<62} {figure}")
        happened = happened and seen
    return happened


def show_report(lines: list[str], file: Path) -> None:
    """Write the report and show how it begins."""
    file.write_text("\n".join(lines) + "\n")
    say(f"report: {file}")
    for line in lines[: SHOWN_LINES + 4]:
        print(f"  {line}")
    if len(lines) > SHOWN_LINES + 4:
        print(f"  … and {len(lines) - SHOWN_LINES - 4} more files")


def main() -> int:
    """Run the demonstration and return its exit status."""
    folder = app.folder()
    files = app.text_files(folder) if folder.is_dir() else []
    if not files:
        print(f"demo: {folder}: expected a folder with text files, found none", file=sys.stderr)
        return 2
    STATE.mkdir(exist_ok=True)
    story = Story(folder=folder, files=files, broken=undecodable(files, folder))
    say(f"{len(files)} text files in {folder}; the schedule fires every 30 s")
    with tempfile.TemporaryDirectory(prefix="dbos-demo-", ignore_cleanup_errors=True) as work:
        try:
            happened = run(story, Path(work))
        except DemoError as error:
            say(str(error))
            happened = False
    if not happened:
        print(f"\nTHE DEMO FAILED: see above and {STATE / 'demo.log'}", file=sys.stderr)
        return 1
    print("\nEverything happened as it should.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
