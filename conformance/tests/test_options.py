# SPDX-License-Identifier: MIT
"""Every option does what it says, or is refused: on the command line and in what is printed to be typed again."""

import argparse
import io
import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from conftest import HERE, TOY
from goipc_conformance import cli, commands, running, selection
from goipc_conformance.adapter.choose import Target, say_hello
from goipc_conformance.adapter.subject import AdapterError
from goipc_conformance.engine import WEAK_CUTS, Engine, Result, Settings
from goipc_conformance.outcome import Verdict
from goipc_conformance.report import Run, text
from goipc_conformance.wire import Cuts, Listener, Log, Wire, connect_unix

TOY_TEXT = shlex.join(TOY)


def one_line(done):
    return len(done.stderr.strip().splitlines()) == 1


def parsed(*arguments):
    own, words = cli.split_target(list(arguments))
    options = commands.build_parser().parse_args(own)
    options.words = words
    return options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--strict", "--", "x"],
        ["--profile", "core", "--isolate", "connection", "--", "x", "a b"],
        ["--timeout-scale", "3", "--plain", "--server", "x {name}"],
        ["--expect", "e.toml", "--client", "y 'z'"],
    ],
)
def test_the_command_to_type_again_asks_in_the_same_way(arguments):
    options = parsed("run", *arguments)
    again = parsed("run", *shlex.split(running.command_line(options)))
    assert again == options


def test_a_failure_that_only_strict_sees_is_seen_again(suite, toy, tmp_path):
    options = ["--strict", "--timeout-scale", "0.5", "--repeats", "0"]
    done = suite("run", "server:hs.complete", *options, *toy("altered"))
    (again, *_) = [line for line in done.stdout.splitlines() if line.startswith("  again")]
    assert " --strict --timeout-scale 0.5 -- " in again, again


@pytest.mark.parametrize(
    "arguments",
    [
        *(["run", "--ladder", f"--{form}", "x", "--", "true"] for form in ("json", "junit", "md", "html", "wire")),
        ["run", "--ladder", "--expect", "x", "--", "true"],
        *(["matrix", "--impl", "a=true", f"--{form}", "x"] for form in ("junit", "md", "tap", "badge", "wire")),
        ["matrix", "--impl", "a=true", "--plain"],
        ["matrix", "--impl", "a=true", "--", "true"],
        *(["baseline", "write", "b", *more, "--", "true"] for more in (["--role", "server"], ["--level", "must"])),
        *(["baseline", "write", "b", *more, "--", "true"] for more in (["--shard", "1/2"], ["-x"], ["--expect", "x"])),
        ["baseline", "check", "b", "--expect", "x", "--", "true"],
        ["project", "--json", "x"],
        ["project", "--", "true"],
        ["run", "--plain", "--", "true"],
        ["generate", "--plain", "--", "true"],
    ],
)
def test_an_option_that_means_nothing_is_refused(suite, arguments):
    done = suite(*arguments)
    assert done.returncode == 2 and one_line(done), done.stdout + done.stderr
    assert " takes no -" in done.stderr or "--plain is for programs of level 0" in done.stderr


def test_baseline_write_writes_reports_too(suite, tmp_path, monkeypatch):
    few = selection.select(["server:hs.complete"])
    monkeypatch.setattr(selection, "select", lambda *_, **__: few)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["baseline", "write", "b.toml", "--json", "r.json", "--quiet", "--", *TOY]) == 0
    assert len(json.loads((tmp_path / "r.json").read_text())["cases"]) == 2


def test_pages_of_a_matrix(suite, tmp_path):
    matrix = ["matrix", "server:hs.complete", "--impl", f"a={TOY_TEXT}", "--impl", f"b={TOY_TEXT}"]
    assert suite(*matrix, "--json", "m.json").returncode == 0
    assert suite("html", "m.json", "--out", "pages").returncode == 0 and (tmp_path / "pages" / "index.html").exists()
    done = suite("diff", "m.json", "m.json")
    assert done.returncode == 2 and one_line(done) and "2 implementations" in done.stderr


# A server of level 0 without encryption, with a limit that cannot be chosen.
PLAIN_SERVER = """
import json, subprocess, sys
toy = subprocess.Popen([sys.executable, TOY, "max-fixed", *sys.argv[2:]], stdin=subprocess.PIPE,
                       stdout=subprocess.DEVNULL, text=True)
toy.stdin.write(json.dumps({"id": 1, "cmd": "serve", "endpoint": {"name": sys.argv[1]}, "encryption": "off",
                            "echo": True}) + chr(10))
toy.stdin.flush()
toy.wait()
"""


@pytest.fixture
def plain_server(tmp_path):
    (tmp_path / "port.py").write_text(f"TOY = {str(HERE / 'toy.py')!r}\n{PLAIN_SERVER}")
    return f"{sys.executable} port.py {{name}}"


def test_generate_knows_of_programs_without_encryption(suite, plain_server, tmp_path):
    pytest.importorskip("hypothesis")
    done = suite("generate", "--examples", "3", "--plain", "--server", plain_server)
    assert done.returncode == 0 and "3 passed, 0 failed" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / ".hypothesis").exists(), "files of its own where it was started"


def test_what_generate_prints_to_be_typed_again_is_a_command(tmp_path, capsys):
    pytest.importorskip("hypothesis")
    from goipc_conformance.generated import commands as generated
    from goipc_conformance.generated import operations as ops
    from goipc_conformance.generated.search import Found

    trace = ops.Trace(ops.Knobs("server", False, 65536), (ops.Connect(),), "1")
    found = Found(trace, "altered", "as expected", "altered after connect", 3)
    for target in (["--plain", "--server", "x {name}", "--timeout-scale", "2"], ["--", "x", "a b"]):
        options = parsed("generate", "--keep", str(tmp_path / "kept here"), *target)
        generated.report(found, options, "x", 1, 1.0)
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  again"))
        again = parsed(*shlex.split(line)[2:])
        assert again.file.startswith(str(tmp_path / "kept here")) and again.command == "replay"
        for name in ("words", "server", "client", "plain", "timeout_scale"):
            assert getattr(again, name) == getattr(options, name)


def test_generate_that_asks_nothing_is_not_green(suite, toy):
    pytest.importorskip("hypothesis")
    done = suite("generate", "--role", "client", "--examples", "5", *toy())
    assert done.returncode == 2 and one_line(done) and "no client role" in done.stderr, done.stdout + done.stderr


def test_generate_without_hypothesis_names_what_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    for name in [name for name in sys.modules if name.startswith("goipc_conformance.generated.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("goipc_conformance.generated.search", raising=False)
    assert cli.main(["generate", "--", "true"]) == 3
    error = capsys.readouterr().err
    assert "[generate]" in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("form", ["json", "junit", "tap", "md", "badge", "html", "wire"])
def test_report_paths_are_checked_before_anything_is_asked(suite, tmp_path, form):
    (tmp_path / "file").write_text("")
    place = "file" if form in ("html", "wire") else str(tmp_path)
    done = suite("run", "hs.complete", f"--{form}", place, "--", "/no/such/program")
    assert done.returncode == 2 and one_line(done) and "cannot write" in done.stderr, done.stderr


def test_a_report_that_cannot_be_written_takes_no_verdict_away(suite, toy):
    done = suite("run", "server:hs.complete", "--json", "/dev/full", *toy())
    assert done.returncode == 2 and "2 passed, 0 failed" in done.stdout, done.stdout + done.stderr
    assert "cannot write" in done.stderr.splitlines()[-1]


def test_a_selection_that_is_no_text(suite, tmp_path):
    (tmp_path / "list").write_bytes(b"\xff\xfe")
    done = suite("run", "@list", "--", "true")
    assert done.returncode == 2 and one_line(done) and "not UTF-8" in done.stderr


def test_what_was_not_reached_is_not_stale(tmp_path, monkeypatch, capsys):
    """After -x; the instances that are chosen are those of the whole run."""
    few = selection.select(["server:hs.complete", "server:key.zero-point"])
    monkeypatch.setattr(selection, "select", lambda *_, **__: few)
    record = tmp_path / "e.toml"
    record.write_text('[[entry]]\ncase = "key.zero-point"\noutcome = ["crashed"]\nreason = "aborts"\n')
    arguments = ["run", "-x", "-j", "1", "--repeats", "0", "--expect", str(record), "--", *TOY, "altered"]
    assert cli.main(arguments) == 1
    assert "STALE" not in capsys.readouterr().out


# --- progress -------------------------------------------------------------------------------------


def results_of(*verdicts):
    instances = selection.select(["server:key.prefix"])
    return [Result(one, verdict, outcome="closed") for one, verdict in zip(instances, verdicts)]


def test_progress_off_a_terminal():
    """A line at the beginning, a failure at once, and a line every few seconds, each with the implementation's name."""
    now = [0.0]
    stream = io.StringIO()
    progress = text.Progress(stream, "some", 4, False, text.Pace(lambda: now[0]))
    passed, failed, late, later = results_of(Verdict.PASS, Verdict.FAIL, Verdict.PASS, Verdict.PASS)
    progress(passed)
    progress(failed)
    assert stream.getvalue() == f"some: 4 questions\nsome: FAIL {failed.key}: closed\n"
    for now[0], one in ((5.5, late), (10.0, later)):
        progress(one)
    assert stream.getvalue().splitlines()[2:] == [f"some: 3/4 asked, 1 not as required, last {late.key}"]
    quiet = io.StringIO()
    text.Progress(quiet, "some", 1, True)(failed)
    assert not quiet.getvalue()


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
    ],
)
def test_colours_are_those_that_the_environment_asks_for(suite, toy, monkeypatch, variables, coloured):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    done = suite("run", "server:hs.complete", "--repeats", 0, *toy("altered"))
    assert done.returncode == 1
    assert bool(re.search(r"\x1b\[[\d;]*31mFAIL", done.stdout)) is coloured
    assert "\x1b" not in done.stdout or variables


def test_lines_do_not_wait_in_a_pipe(toy):
    """The first line of the progress is read while the adapter has not even been asked."""
    command = [sys.executable, "-m", "goipc_conformance", "run", "server:hs.complete", *toy("silent")]
    with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True) as program:
        assert re.fullmatch(r"toy: \d+ questions\n", program.stdout.readline())
        assert program.poll() is None
        program.terminate()


def test_failures_come_while_the_run_goes_on_and_known_ones_do_not(suite, toy, tmp_path):
    (tmp_path / "e.toml").write_text(
        '[[entry]]\ncase = "hs.complete"\nrole = "server"\noutcome = ["delivered+altered"]\nreason = "cuts"\n'
    )
    arguments = ["run", "server:hs.complete", "--repeats", "0"]
    assert "FAIL server:hs.complete[enc=on]: " in suite(*arguments, *toy("altered")).stderr
    done = suite(*arguments, "--expect", "e.toml", *toy("altered"))
    assert done.returncode == 0 and "FAIL" not in done.stderr, done.stderr


# --- what an adapter declares -----------------------------------------------------------------------


def test_isolation_is_what_the_adapter_allows(suite, toy, tmp_path):
    arguments = ["run", "server:hs.hello-reply.version", "-j", "1", "--isolate", "connection", "--json", "r.json"]
    done = suite(*arguments, *toy())
    assert done.returncode == 2 and one_line(done) and "isolation" in done.stderr
    done = suite(*arguments, *toy("shared"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_adapter_serves_many_cases_only_on_request():
    instances = selection.select(["server:hs.hello-reply.version", "server:hs.complete"])
    for isolation, count in (("process", len(instances)), ("connection", 1)):
        target, started = Target(words=(*TOY, "shared")), []

        def make(role, target=target, started=started):
            subject = target.maker(20.0)(role)
            started.append(subject)
            return subject

        engine = Engine(make, Settings(jobs=1, isolation=isolation), say_hello(target, 20.0))
        results = engine.run(instances, lambda result: None)
        assert {result.verdict for result in results} == {Verdict.PASS} and len(started) == count


def test_a_limit_that_cannot_be_chosen_is_unsupported_not_wrong(suite, toy, tmp_path):
    selected = ["server:limit.exact", "server:limit.exceeded", "server:limit.announced", "server:limit.floor"]
    done = suite("run", *selected, "server:hs.complete", "--json", "r.json", *toy("max-fixed"))
    cases = json.loads((tmp_path / "r.json").read_text())["cases"]
    assert done.returncode == 0, done.stdout
    assert {case["verdict"] for case in cases if case["area"] == "limit"} == {"UNSUPPORTED"}


# --- programs that end at once ----------------------------------------------------------------------


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_program_that_dies_at_once_is_quoted(role):
    command = "sh -c 'echo no library >&2; exit 3'"
    with pytest.raises(AdapterError, match=rf"the {role} ended before it .*exit status 3\); it said: 'no library'"):
        say_hello(Target(**{role: command}), 600.0)


@pytest.mark.parametrize("words, code", [(["--", "false"], 3), (["--", "/no/such/program"], 2)])
def test_what_could_not_be_asked_is_in_the_reports(suite, tmp_path, words, code):
    """So that an earlier file is not taken for this run's."""
    forms = {form: tmp_path / f"r.{form}" for form in ("json", "junit", "tap", "md", "badge")}
    for path in forms.values():
        path.write_text("of yesterday")
    options = [part for form, path in forms.items() for part in (f"--{form}", path)]
    done = suite("run", "hs.complete", *options, "--html", "pages", *words)
    assert done.returncode == code and one_line(done), done.stderr
    document = json.loads(forms["json"].read_text())
    assert document["exit_code"] == code and document["run"]["fault"] and not document["cases"]
    assert [error.get("message") for error in ET.parse(forms["junit"]).iter("error")] == [document["run"]["fault"]]
    assert "Bail out! " in forms["tap"].read_text() and "Nothing could be asked" in forms["md"].read_text()
    assert "yesterday" not in forms["badge"].read_text() and (tmp_path / "pages" / "index.html").exists()


# --- cuts -------------------------------------------------------------------------------------------


def test_cuts_that_may_have_had_no_effect_are_told(tmp_path):
    path = str(tmp_path / "s")
    listener = Listener(path)
    wire = Wire(connect_unix(path), Log(), 1, 0.05)
    try:
        wire.send(b"ab", "never read", Cuts(every=1))
        assert wire.weak_cuts
    finally:
        wire.close()
        listener.close()
    (result,) = results_of(Verdict.FAIL)
    result.notes = (WEAK_CUTS,)
    assert any(WEAK_CUTS in line for line in text.failure_lines(result, ""))


def test_options_that_every_run_has():
    """What `command_line` reads is there for each command that uses it."""
    for command in (["run"], ["baseline", "check", "x"], ["matrix"], ["project"]):
        assert isinstance(running.command_line(parsed(*command)), str)
    assert isinstance(running.target_line(argparse.Namespace(**vars(parsed("generate")))), str)


@pytest.mark.parametrize(
    "arguments, asked",
    [
        ((), False),
        (("--long",), True),
        (("conn.*",), False),
        (("conn.idle.long",), True),
        (("server:conn.idle.long[enc=on]",), True),
        (("conn.*", "--long"), True),
    ],
)
def test_what_takes_long_is_asked_by_name_or_on_demand(arguments, asked):
    chosen = {instance.case.id for instance in running.chosen(parsed("run", *arguments))}
    assert ("conn.idle.long" in chosen) is asked


def test_a_run_says_what_it_left_out():
    empty = {"results": [], "identity": {}, "duration": 0.0}
    texts = dict.fromkeys(("command", "seed", "started", "suite_version", "spec_edition"), "")
    written = io.StringIO()
    text.write(Run(**empty, **texts), written)
    assert "cases that take long were not asked: --long" in written.getvalue()
