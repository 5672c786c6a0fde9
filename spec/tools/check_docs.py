# SPDX-License-Identifier: MIT
"""Renders the specification and looks at the result, also in a real browser.

Checked: the text edition has no line over 72 columns and no requirement is missing from it; the HTML
editions load nothing, every link inside them has a target, every requirement has its anchor; and in
headless Chromium there is no console message, no sideways scrolling on a phone, and a dark page where
the reader wants one.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import render
import specdoc

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESK = 390, 1280
# Runs in the page that holds the document in a frame of the width under test.
PROBE = """
<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>waiting</title></head><body>
<iframe id="page" width="%d" height="800" srcdoc="%s"></iframe>
<script>
document.getElementById("page").addEventListener("load", function () {
  const page = this.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("main > *")].filter(
    (item) => item.getBoundingClientRect().right > root.clientWidth + 1).length;
  document.title = "result " + JSON.stringify({
    width: root.clientWidth, scroll: root.scrollWidth, wide: wide,
    text: page.body.innerText.length, svg: page.querySelectorAll("svg").length,
    background: getComputedStyle(page.body).backgroundColor,
    contents: page.querySelector("nav ol").getBoundingClientRect().height > 0,
  });
});
</script></body></html>
"""


def check_text(tally: specdoc.Tally, path: Path, names: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    long = [line for line in text.split("\n") if len(line) > render.COLUMNS]
    tally.check(not long, f"{path.name}: {len(long)} lines over {render.COLUMNS} columns: {long[:1]}")
    marks = [line for line in text.split("\n") if re.search(r"\*\*|<a id|<!--|```", line)]
    tally.check(not marks, f"{path.name}: marks of the source are left: {marks[:1]}")
    missing = [name for name in names if f"[{name}] (" not in text]
    tally.check(not missing, f"{path.name}: without {missing}")


def check_html(tally: specdoc.Tally, path: Path, names: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    loads = re.findall(r'(?:src|href)="(?!#|goipc\.html|data:,)([^"]*)"', text)
    tally.check(not loads, f"{path.name}: refers to {loads[:3]}")
    tally.check("@import" not in text and "url(" not in text, f"{path.name}: loads something")
    anchors = re.findall(r'\sid="([^"]+)"', text)
    tally.check(len(anchors) == len(set(anchors)), f"{path.name}: an anchor stands twice")
    missing = sorted(set(re.findall(r'href="#([^"]+)"', text)) - set(anchors))
    tally.check(not missing, f"{path.name}: links to nothing: {missing[:5]}")
    if path.name == "goipc.html":
        absent = [name for name in names if name not in anchors]
        tally.check(not absent, f"{path.name}: no anchor for {absent[:5]}")
        bare = text.count('class="req')
        tally.check(bare == len(names), f"{path.name}: {bare} requirements are shown as such")


def browse(browser: str, page: Path, width: int, dark: bool) -> tuple[dict, list[str]]:
    """What the document measures at a width, and what the browser logged from it."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.html"
        probe.write_text(PROBE % (width, html.escape(page.read_text(encoding="utf-8"))), encoding="utf-8")
        command = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-extensions",
            f"--user-data-dir={folder}/profile",
            "--enable-logging=stderr",
            "--v=0",
            "--window-size=1600,1000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            probe.as_uri(),
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"<title>result (.*?)</title>", result.stdout)
    console = [line for line in result.stderr.split("\n") if "CONSOLE" in line]
    return json.loads(html.unescape(found.group(1))) if found else {}, console


def check_browser(tally: specdoc.Tally, browser: str, page: Path) -> None:
    for width, dark in ((PHONE, False), (PHONE, True), (DESK, False)):
        what = f"{page.name} at {width}{' dark' if dark else ''}"
        got, console = browse(browser, page, width, dark)
        tally.check(not console, f"{what}: console: {console[:1]}")
        tally.check(bool(got), f"{what}: did not load")
        if not got:
            continue
        tally.check(
            got["scroll"] <= got["width"] and got["wide"] == 0,
            f"{what}: scrolls sideways, {got['scroll']} in {got['width']}, {got['wide']} blocks",
        )
        tally.check(got["text"] > 5000, f"{what}: only {got['text']} characters of text")
        tally.check(got["contents"] == (width == DESK), f"{what}: contents shown: {got['contents']}")
        shade = sum(map(int, re.findall(r"\d+", got["background"])[:3])) / 3
        tally.check((shade < 128) == dark, f"{what}: background {got['background']}")
        if page.name == "goipc.html":
            tally.check(got["svg"] == 3, f"{what}: {got['svg']} diagrams")


def main() -> int:
    tally = specdoc.Tally()
    names = [requirement.id for requirement in specdoc.read().requirements]
    written = render.render(render.OUTPUT)
    for path in written:
        (check_text if path.suffix == ".txt" else check_html)(tally, path, names)
    browser = next(filter(shutil.which, BROWSERS), None)
    if browser:
        for path in written:
            if path.suffix == ".html":
                check_browser(tally, browser, path)
    else:
        tally.skip("browser", "no Chromium")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
