# SPDX-License-Identifier: MIT
"""The pictures of the specification as inline SVG, drawn from its own tables.

The ladder comes from the table of Section 7.1, the state machines from the tables of Section 12, so
that a picture cannot disagree with the text.
"""

from __future__ import annotations

import re
from html import escape

WIDTH = 700


def tables(lines: list[str], heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    at = lines.index(heading)
    rows = []
    for line in lines[at + 1 :]:
        if line.startswith("|"):
            rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


class Canvas:
    def __init__(self, title: str, height: int):
        self.title, self.height, self.parts = title, height, []

    def text(self, x, y, words, kind="", anchor="middle"):
        mark = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}"{mark}>{escape(words)}</text>')

    def box(self, x, y, width, height, words):
        self.parts.append(f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        self.text(x + width / 2, y + height / 2 + 5, words, "strong")

    def line(self, points, kind="edge", tip="tip"):
        """A line with an arrow head at its end."""
        path = "M" + " L".join(f"{x} {y}" for x, y in points)
        self.parts.append(f'<path class="{kind}" d="{path}"/>')
        if tip:
            (x1, y1), (x2, y2) = points[-2:]
            dx, dy = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
            corners = [
                (x2, y2),
                (x2 - 9 * dx + 4 * dy, y2 - 9 * dy + 4 * dx),
                (x2 - 9 * dx - 4 * dy, y2 - 9 * dy - 4 * dx),
            ]
            shape = " ".join(f"{x},{y}" for x, y in corners)
            self.parts.append(f'<polygon class="{tip}" points="{shape}"/>')

    def svg(self) -> str:
        return (
            f'<figure><svg viewBox="0 0 {WIDTH} {self.height}" role="img" '
            f'aria-label="{escape(self.title)}">'
            + "".join(self.parts)
            + f"</svg><figcaption>{escape(self.title)}</figcaption></figure>"
        )


def ladder(lines: list[str]) -> str:
    rows = tables(lines, "### 7.1 Order and pieces")
    left, right, top, step = 90, 610, 50, 48
    canvas = Canvas("The handshake, then frames in both directions.", top + step * (len(rows) + 1) + 30)
    bottom = canvas.height - 10
    for x, name in ((left, "client"), (right, "server")):
        canvas.box(x - 60, 8, 120, 30, name)
        canvas.line([(x, 38), (x, bottom)], "life", "")
    y = top
    for _, name, sender, size, only, _ in rows:
        y += step
        ends = [(right, y), (left, y)] if sender == "server" else [(left, y), (right, y)]
        canvas.line(ends)
        remark = f"{size} bytes" if size != "1" else "1 byte"
        if only:
            remark += ", sealed only"
        canvas.text((left + right) / 2, y - 7, name, "strong")
        canvas.text((left + right) / 2, y + 16, remark, "soft")
    y += step
    canvas.line([(360, y), (left, y)])
    canvas.line([(340, y), (right, y)])
    canvas.text((left + right) / 2, y - 7, "frames", "strong")
    return canvas.svg()


def machine(lines: list[str], heading: str, title: str) -> str:
    rows = tables(lines, heading)
    states = [state for state in dict.fromkeys(row[0] for row in rows) if state.isupper()] + ["OPEN"]
    top, step, x, width = 12, 92, 130, 190
    place = {state: top + step * i for i, state in enumerate(states)}
    canvas = Canvas(title, top + step * len(states) + 4)
    closed_x, closed_width = 560, 130
    canvas.box(closed_x, place[states[1]], closed_width, place["OPEN"] + 36 - place[states[1]], "CLOSED")
    for state in states:
        canvas.box(x, place[state], width, 36, state)
    for state in states[:-1]:
        onward = [(row[1], row[3]) for row in rows if row[0] == state and row[3] not in (state, "CLOSED")]
        for event, target in onward:
            if states.index(target) == states.index(state) + 1:
                canvas.line([(x + width / 2, place[state] + 36), (x + width / 2, place[target] - 1)])
                canvas.text(x + width / 2 + 10, place[state] + 70, event, "soft", "start")
            else:
                side = x - 40
                canvas.line(
                    [
                        (x, place[state] + 18),
                        (side, place[state] + 18),
                        (side, place[target] + 18),
                        (x - 1, place[target] + 18),
                    ]
                )
                flag = re.search(r"flag \d", event).group(0)
                canvas.text(36, (place[state] + place[target]) / 2 + 10, flag, "soft", "start")
    for state in states[1:-1]:
        reasons = list(
            dict.fromkeys(
                found
                for row in rows
                if row[0] in (state, "before OPEN") and row[3] == "CLOSED"
                for found in re.findall(r"\((\S+?)\)", row[2])
            )
        )
        y = place[state] + 18
        canvas.line([(x + width, y), (closed_x - 1, y)], "edge bad", "badtip")
        middle = (x + width + closed_x) / 2
        canvas.text(middle, y - 6, ", ".join(reasons[:3]), "badtext")
        canvas.text(middle, y + 15, ", ".join(reasons[3:]), "badtext")
    canvas.line([(x + width, place["OPEN"] + 18), (closed_x - 1, place["OPEN"] + 18)])
    canvas.text((x + width + closed_x) / 2, place["OPEN"] + 12, "Section 12.3", "soft")
    return canvas.svg()


def states(lines: list[str]) -> str:
    return machine(lines, "### 12.1 Server", "The states of a connection at the server.") + machine(
        lines, "### 12.2 Client", "The states of a connection at the client."
    )


DIAGRAMS = {"ladder": ladder, "states": states}
