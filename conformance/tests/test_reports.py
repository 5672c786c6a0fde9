# SPDX-License-Identifier: MIT
"""Every report over one run that has all kinds of verdicts, each checked by a reader of its own."""

import io
import json
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET
from html import unescape

import jsonschema
import pytest
from conftest import SUITE, TOY
from goipc_conformance import selection
from goipc_conformance.engine import Repeat, Result
from goipc_conformance.expectations import Entry, Race
from goipc_conformance.outcome import Verdict
from goipc_conformance.report import Run, capture, html, json_report, junit, markdown, tap, text
from goipc_conformance.wire import LogEntry

NASTY = 'a \x00 <b> & "c" # d | e \\ \u2028 \ud800'


@pytest.fixture
def run():
    instances = selection.select(["server:hs.complete", "server:key.prefix", "client:hs.version.refused"])
    kinds = [
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.CRASH,
        Verdict.HANG,
        Verdict.SKIP,
        Verdict.UNSUPPORTED,
        Verdict.ERROR,
        Verdict.XFAIL,
        Verdict.XPASS,
        Verdict.XDIFF,
        Verdict.PASS_LENIENT,
        Verdict.FLAKY,
        Verdict.XFLAKY,
    ]
    results = []
    for instance, verdict in zip(instances, kinds):
        wire = [
            LogEntry(0.001, "<", b"\x02\x01", 2, "HELLO", 1),
            LogEntry(0.002, ">", b"\0", 1, "reply 0", 1),
            LogEntry(0.003, ">", bytes(range(200)), 5000, "message type=9 size=4964", 1),
            LogEntry(0.004, "!", b"", 0, "suite ends its direction", 1),
        ]
        result = Result(instance, verdict, outcome="closed", details=(NASTY,), reason=NASTY, wire=wire, output=NASTY)
        if verdict in (Verdict.XFAIL, Verdict.XDIFF):
            result.expectation = Entry("key.prefix", ("crashed",), NASTY)
        if verdict in (Verdict.FLAKY, Verdict.XFLAKY):
            result.repeats = (Repeat(Verdict.FAIL, NASTY), Repeat(Verdict.PASS, "closed"))
        if verdict is Verdict.XFLAKY:
            result.race = Race("key.prefix", ("closed",), NASTY, "1 in 2")
        results.append(result)
    return Run(
        results=results,
        command="-- x",
        identity={"name": "x", "version": "1"},
        seed="1",
        started="2026-01-01T00:00:00Z",
        duration=1.0,
        suite_version="1.0.0",
        spec_edition="1.0",
        stale=["old: entry"],
        expectations="e.toml",
        roles=("client", "server"),
    )


def test_json_fits_its_schema(run, tmp_path):
    json_report.write(run, tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    schema = json.loads((SUITE / "schemas" / "results.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["totals"] == run.totals and document["exit_code"] == 3


def test_junit_fits_its_schema(run, tmp_path):
    xmlschema = pytest.importorskip("xmlschema")
    junit.write(run, tmp_path / "r.xml")
    xmlschema.XMLSchema(str(SUITE / "schemas" / "junit.xsd")).validate(str(tmp_path / "r.xml"))
    root = ET.parse(tmp_path / "r.xml").getroot()
    suites = list(root.iter("testsuite"))
    assert sum(int(s.get("failures")) + int(s.get("errors")) for s in suites) == run.totals["failed"]
    assert sum(int(s.get("skipped")) for s in suites) == run.totals["skipped"]
    assert len(list(root.iter("error"))) == 1  # only the harness's own fault


def test_what_is_recorded_is_what_was_expected(run):
    """An XPASS did not do what it is recorded with."""
    result = next(result for result in run.results if result.verdict is Verdict.XPASS)
    result.expectation = Entry("key.prefix", ("crashed",), "aborts")
    messages = [failure.get("message") for failure in junit.document(run).getroot().iter("failure")]
    assert "expected crashed, observed closed" in messages
    assert any(line.startswith("| XPASS") and "| crashed | closed |" in line for line in markdown.lines(run))
    lines = tap.lines(run)
    at = lines.index("  verdict: XPASS")
    assert lines[at + 1] == '  expected: "crashed"'


def test_tap(run, tmp_path):
    lines = tap.lines(run)
    assert lines[0] == "TAP version 14" and lines[1] == f"1..{len(run.results) + 1}"
    points = [line for line in lines if re.match(r"(not )?ok \d", line)]
    assert [int(re.search(r"\d+", line)[0]) for line in points] == list(range(1, len(run.results) + 2))
    failing = [line for line in points if line.startswith("not ok") and " # TODO" not in line]
    assert len(failing) == run.totals["failed"]
    assert sum(" # SKIP" in line for line in points) == run.totals["skipped"]
    assert all("\n" not in line for line in lines)


def test_markdown_and_badge(run, tmp_path):
    table = [line for line in markdown.lines(run) if line.startswith("| FAIL")]
    assert len(table) == 1 and len(re.findall(r"(?<!\\)\|", table[0])) == 6
    badge = markdown.badge(run)
    assert (
        badge["schemaVersion"] == 1
        and badge["message"] == f"{run.totals['passed']}/{run.totals['passed'] + run.totals['failed']}"
    )
    assert badge["color"] in ("yellow", "red")


def test_text_ends_with_the_totals(run):
    stream = io.StringIO()
    text.write(run, stream)
    lines = stream.getvalue().splitlines()
    assert lines[-1] == f"{run.totals['passed']} passed, {run.totals['failed']} failed, {run.totals['skipped']} skipped"
    assert any(line.startswith("SKIP ") for line in lines)


def test_capture_reads_back(run, tmp_path):
    result = run.results[1]
    data = capture.pcap(result.wire, "server", 1000.0)
    assert struct.unpack("<IHH", data[:8]) == (0xA1B2C3D4, 2, 4) and struct.unpack("<I", data[20:24])[0] == 147
    at, records = 24, []
    while at < len(data):
        size, original = struct.unpack("<II", data[at + 8 : at + 16])
        records.append((data[at + 16 : at + 16 + size], original))
        at += 16 + size
    assert [record[:8] for record, _ in records] == [b"\0\0\0\1\0\0\0\0", *[b"\0\0\0\1\1\0\0\0"] * 3]
    assert records[0][0][8:] == b"\x02\x01" and records[2][1] == 5008 and records[3][0][8:] == b""
    assert capture.write(run, tmp_path / "wire") == run.count("failed")
    assert len(list((tmp_path / "wire").glob("*.txt"))) == run.count("failed")


def test_pages(run, tmp_path):
    document = json.loads(json.dumps(json_report.document(run)))
    html.write([document, document], tmp_path)
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "x 1" in index and "x 1 #2" in index and "case-key.prefix.html" in index
    page = (tmp_path / "case-key.prefix.html").read_text(encoding="utf-8")
    assert 'class="f-length"' in page and "<b>" not in re.sub(r"<b>(Why|Hint|Required|tolerated)", "", page)
    assert "implementation</span> HELLO" in page and "goipc-conformance run &#39;server:key.prefix" in page
    assert "asked again: " in page and "recorded race (1 in 2)" in page
    assert 'class="not-fine"' in index and 'id="only"' in index
    painted = (tmp_path / "specification.html").read_text(encoding="utf-8")
    assert 'id="KD-006"' in painted
    for link in re.findall(r'href="([^"#]+)', index + page + painted):
        assert (tmp_path / link).exists(), link


# What a reader of a page sees, told by the browser itself: it is put into the page that is dumped.
PROBE = """<script>addEventListener("load", () => {
  const rows = () => [...document.querySelectorAll("table.matrix tbody tr")].filter(row => row.offsetHeight).length;
  const seen = {all: rows()};
  const only = document.getElementById("only");
  if (only) { only.click(); seen.filtered = rows(); only.click(); seen.again = rows(); }
  seen.colours = {};
  for (const span of document.querySelectorAll("pre [class^=f-]"))
    seen.colours[span.className] = getComputedStyle(span).backgroundColor;
  seen.verdicts = {};
  for (const span of document.querySelectorAll(".v"))
    seen.verdicts[span.className] = getComputedStyle(span).color;
  seen.open = document.querySelectorAll("details[open]").length;
  seen.links = [...document.querySelectorAll("a")].map(link => link.getAttribute("href"));
  seen.wide = document.documentElement.scrollWidth - innerWidth;
  document.body.dataset.seen = JSON.stringify(seen);
});</script></body>"""


def look_at(browser, page):
    probed = page.with_name(f"probed-{page.name}")
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,800", profile]
    done = subprocess.run(
        [browser, *options, "--dump-dom", f"file://{probed}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stdout[-500:]
    return json.loads(unescape(found[1]))


def test_pages_in_a_browser(run, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium")
    document = json.loads(json.dumps(json_report.document(run)))
    for one in document["cases"]:
        if one["case"] == "hs.complete":
            one |= {"verdict": "PASS", "counts_as": "passed"}
        else:
            frame = bytes([0, 0, 0, 36]) + bytes(range(36))
            one["wire"] += [one["wire"][2] | {"hex": frame.hex(), "size": 40, "label": "message type=9 size=4"}]
    html.write([document], tmp_path)
    index = look_at(browser, tmp_path / "index.html")
    assert index["all"] == index["again"] == 3
    assert index["filtered"] == 2, "one of the three cases is only as required"
    case = look_at(browser, tmp_path / "case-key.prefix.html")
    frame = {case["colours"].pop(part) for part in ("f-length", "f-nonce", "f-cipher", "f-tag")}
    hello = {case["colours"].pop(part) for part in ("f-version", "f-flag")}
    assert (len(frame), len(hello)) == (4, 2) and "rgba(0, 0, 0, 0)" not in frame | hello
    assert case["open"] > 0, "failures are unfolded"
    seen = index["verdicts"] | case["verdicts"]
    assert seen["v v-PASS"] != seen["v v-FAIL"]
    specification = look_at(browser, tmp_path / "specification.html")
    for page in (index, case, specification):
        assert page["wide"] <= 0, "nothing has to be scrolled sideways"
        for link in page["links"]:
            name, _, anchor = link.partition("#")
            assert not name or (tmp_path / name).exists(), link
            if anchor and name:
                assert f'id="{anchor}"' in (tmp_path / name).read_text(encoding="utf-8"), link


def test_all_reports_from_the_command_line(suite, tmp_path):
    done = suite(
        "run",
        "server:hs.complete",
        "server:key.zero-point",
        "--json",
        "r.json",
        "--junit",
        "r.xml",
        "--tap",
        "r.tap",
        "--md",
        "r.md",
        "--badge",
        "b.json",
        "--html",
        "pages",
        "--wire",
        "wire",
        "--",
        *TOY,
        "crash-on-key",
    )
    assert done.returncode == 1
    for name in ("r.json", "r.xml", "r.tap", "r.md", "b.json", "pages/index.html"):
        assert (tmp_path / name).stat().st_size > 0
    assert len(list((tmp_path / "wire").glob("*.pcap"))) == 1
