# SPDX-License-Identifier: MIT
"""The command line over a toy implementation: verdicts, exit codes, and manners towards broken programs."""

import json
import re
import sys

import pytest
from conftest import HERE, TOY
from goipc_conformance.adapter.choose import Target, say_hello
from goipc_conformance.adapter.level1 import misfit_of
from goipc_conformance.adapter.subject import AdapterError

FEW = ["hs.complete", "frame.length.runt", "key.zero-point", "conn.strays"]


def last_line(done):
    return done.stdout.strip().splitlines()[-1]


def verdicts(tmp_path):
    return {
        case["key"]: (case["verdict"], case["outcome"])
        for case in json.loads((tmp_path / "r.json").read_text())["cases"]
    }


def test_a_good_implementation_passes(suite, toy, tmp_path):
    done = suite(
        "run",
        "--role",
        "server",
        "--level",
        "must",
        "--json",
        "r.json",
        "hs.hello-reply.*",
        "hs.key.*",
        "key.prefix",
        "seal.tag.*",
        "frame.cut.*",
        "frame.truncated.*",
        "conn.strays",
        *toy(),
    )
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"[1-9]\d+ passed, 0 failed, \d+ skipped", last_line(done))


@pytest.mark.parametrize(
    "fault, key, verdict, outcome",
    [
        ("crash-on-key", "server:key.zero-point[enc=on]", "CRASH", "crashed"),
        ("altered", "server:hs.complete[enc=on]", "FAIL", "delivered+altered"),
        ("mute", "server:hs.complete[enc=off]", "HANG", "not-echoed+wedged"),
        ("silent", "server:hs.complete[enc=off]", "HANG", "wedged"),
        ("runt", "server:frame.length.huge[enc=off,length=16777216]", "HANG", "wedged"),
        ("one-only", "server:hs.hello-reply.version[enc=on]", "FAIL", "closed+refused-new-peer"),
        ("padded", "server:key.derivation.leading-zero[enc=on,zeros=1]", "FAIL", "malformed"),
        ("leak", "server:hs.complete[enc=on]", "CRASH", "crashed"),
    ],
)
def test_a_fault_is_called_by_its_name(suite, toy, tmp_path, fault, key, verdict, outcome):
    done = suite("run", key, "--json", "r.json", "--timeout-scale", "0.4", *toy(fault))
    assert verdicts(tmp_path)[key] == (verdict, outcome), done.stdout
    assert done.returncode == 1
    assert "clause" in done.stdout and "again" in done.stdout


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (["run", "--", "/no/such/program"], 2, "No such file"),
        (["run", "--", "/etc/passwd"], 2, "Permission denied"),
        (["run", "--server", "/no/such/program {name}"], 2, "No such file"),
        (["run", "--server", "true {nonsense}"], 2, "placeholder"),
        (["run"], 2, "no implementation given"),
        (["run", "--server", "x", "--", "y"], 2, "not both"),
        (["run", "nonsense.*", "--", "true"], 2, "no case matches"),
        (["run", "--", "true"], 3, "ended"),
        (["run", "--", "false"], 3, ""),
        (["run", "--server", "true {name}"], 3, "ended before it listened"),
        (["run", "--expect", "/no/such/file", "--", "true"], 2, "cannot read"),
        (["run", "--shard", "3/2", "--", "true"], 2, "K/N"),
        (["run", "--timeout-scale", "0", "--", "true"], 2, "timeout-scale"),
        (["explain", "no.such.case"], 2, "no case is named"),
        (["diff", "a.json", "b.json"], 2, "cannot read"),
        (["merge", "/etc/passwd"], 2, "not JSON"),
        (["html", "/etc/passwd"], 2, "not JSON"),
        (["matrix"], 2, "--impl"),
    ],
)
def test_a_command_that_cannot_work_is_explained_in_a_line(suite, arguments, code, says):
    done = suite(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("fault", ["die", "garbage", "deaf", "yes-man"])
def test_a_broken_adapter_is_never_blamed_on_a_case(suite, toy, fault):
    done = suite("run", *FEW, "--timeout-scale", "0.2", *toy(fault))
    assert done.returncode == 3
    assert done.stderr.startswith("goipc-conformance: adapter: ") and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words, says",
    [
        (["yes"], "not JSON"),
        (["head", "-c", "100000", "/dev/urandom"], "not JSON"),
        (["cat"], "neither reply nor event"),
        (["sh", "-c", "exec >&-; sleep 60"], "ended before it answered hello"),
        (["sh", "-c", "echo cannot load libfoo.so >&2; exit 5"], "exit status 5); it said: 'cannot load libfoo.so'"),
        (["sh", "-c", "kill -9 $$"], "SIGKILL"),
    ],
)
def test_a_program_that_is_no_adapter(suite, words, says):
    done = suite("run", "hs.complete", "--timeout-scale", "0.2", "--", *words)
    assert done.returncode == 3 and says in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.strip().isprintable()


@pytest.mark.parametrize("content, says", [(b"\x7fELF and no more", "Exec format"), (b"echo hi", "Exec format")])
def test_a_file_that_is_no_program(suite, tmp_path, content, says):
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(0o755)
    for words in (["--", program], ["--server", f"{program} {{name}}"], ["--client", f"{program} {{name}}"]):
        done = suite("run", "hs.complete", *words)
        assert done.returncode == 2 and says in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [["run", "--ladder"], ["baseline", "write", "b.toml"], ["generate"]])
def test_whatever_asks_explains_it_alike(suite, command):
    done = suite(*command, "--", "cat")
    assert done.returncode == 3 and done.stderr.startswith("goipc-conformance: adapter: "), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "program, says",
    [
        # It talks while it does not come; what it says is read and must not delay anything.
        ({"client": "sh -c 'yes | head -c 10000000; sleep 60'"}, "the client did not connect"),
        ({"server": "sleep 60"}, "the server did not listen"),
    ],
)
def test_a_program_that_never_comes(program, says):
    """Not by the command line, which has more patience; the line it makes of this is seen above."""
    with pytest.raises(AdapterError, match=f"{says}.*within 0.5 s"):
        say_hello(Target(**program), 0.5)


def test_expectations_on_the_command_line(suite, toy, tmp_path):
    (tmp_path / "e.toml").write_text(
        '[[entry]]\ncase = "key.zero-point"\nrole = "server"\noutcome = ["crashed"]\nreason = "aborts"\n'
    )
    arguments = ["run", "server:key.zero-point", "--expect", "e.toml"]
    assert suite(*arguments, *toy("crash-on-key")).returncode == 0
    done = suite(*arguments, *toy())
    assert done.returncode == 4 and "XPASS" in done.stdout and last_line(done) == "0 passed, 1 failed, 0 skipped"


def test_list_and_explain(suite):
    listed = json.loads(suite("list", "--json", "hs.*").stdout)
    assert {"id", "case", "role", "reqs", "params"} <= listed[0].keys()
    done = suite("explain", "key.derivation.leading-zero[enc=on,zeros=1]")
    assert done.returncode == 0 and "KD-011" in done.stdout and "strip" in done.stdout.lower()


def test_doctor_finds_what_is_wrong_and_says_what_to_fix(suite, toy):
    assert suite("doctor", *toy()).returncode == 0
    done = suite("doctor", "--timeout-scale", "0.3", *toy("yes-man"))
    assert done.returncode == 3 and "fix: " in done.stdout
    done = suite("doctor", "--timeout-scale", "0.3", *toy("mute"))
    assert done.returncode == 3 and "FAIL the server" in done.stdout


@pytest.mark.parametrize(
    "fault, says",
    [
        ("serve-once", "the second serve was refused: in-use"),
        ("serve-both", "the first endpoint is still open after the second serve"),
        ("path=/tmp/goipc-conf-nobody", "no client can connect at '/tmp/goipc-conf-nobody'"),
        ("endpoint-text", "'endpoint' is not an object"),
        ("input-closed", "it cannot be written to after hello"),
        ("codec", "decode of one frame and a byte was answered {"),
    ],
)
def test_doctor_explains_what_it_is_there_to_find(suite, toy, fault, says):
    done = suite("doctor", "--timeout-scale", "0.3", *toy(fault))
    assert done.returncode == 3 and says in done.stdout and not done.stderr, done.stdout + done.stderr
    assert re.fullmatch(r"\d+ passed, [1-9]\d* failed, \d+ skipped", last_line(done))


def test_fields_of_the_wrong_type_are_the_adapters_fault(suite, toy):
    done = suite("run", "server:hs.complete", "--repeats", "0", *toy("endpoint-text"))
    assert done.returncode == 3 and "ERROR" in done.stdout and "internal" not in done.stdout, done.stdout
    assert "'endpoint' is not an object" in done.stdout


@pytest.mark.parametrize(
    "fields, wrong",
    [
        ({"frames": [{"type": 1, "data": ""}], "error": None, "hex": "00ff"}, False),
        ({"ev": "message", "data": "AB"}, False),
        ({"frames": None}, True),
        ({"frames": [1]}, True),
        ({"frames": [{}]}, True),
        ({"hex": 5}, True),
        ({"hex": "0 0"}, True),
        ({"hex": "0"}, True),
        ({"ev": "message", "data": {}}, True),
        ({"ev": "message", "data": "xy"}, True),
        ({"ev": "state", "state": 3}, True),
    ],
)
def test_types_of_fields(fields, wrong):
    assert bool(misfit_of(fields)) == wrong


def test_shards_join_to_the_whole(suite, toy, tmp_path):
    whole = suite("run", "server:hs.hello-reply.*", "--json", "w.json", *toy())
    for number in (1, 2, 3):
        assert (
            suite(
                "run", "server:hs.hello-reply.*", "--shard", f"{number}/3", "--json", f"{number}.json", *toy()
            ).returncode
            == 0
        )
    joined = suite("merge", "1.json", "2.json", "3.json", "--json", "j.json")
    assert joined.returncode == 0 and last_line(joined) == last_line(whole)
    assert suite("merge", "1.json", "3.json").returncode == 2
    assert suite("diff", "w.json", "j.json").stdout.startswith("0 differences")


def test_the_same_seed_gives_the_same_verdicts(suite, toy, tmp_path):
    seen = []
    for name in ("a.json", "b.json"):
        suite("run", "server:key.prefix", "server:seal.tag.*", "--seed", "7", "--json", name, *toy())
        document = json.loads((tmp_path / name).read_text())
        seen.append([(case["key"], case["verdict"], case["outcome"]) for case in document["cases"]])
    assert seen[0] == seen[1]


TIMES = ("started", "duration_s", "duration_ms", "ms")


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def test_several_implementations_side_by_side(suite, tmp_path):
    import shlex

    toy = shlex.join(TOY)
    (tmp_path / "e.toml").write_text(
        '[[entry]]\ncase = "key.zero-point"\nrole = "server"\noutcome = ["crashed"]\nreason = "aborts"\n'
    )
    words = ["matrix", "server:key.zero-point", "server:hs.complete", "--impl", f"good={toy}"]
    words += ["--impl", f"bad={toy} crash-on-key", "--json", "m.json", "--html", "pages"]
    done = suite(*words)
    assert done.returncode == 1 and last_line(done) == "5 passed, 1 failed, 0 skipped", done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("key ")][0].split() == ["key", "1/1", "0/1"]
    assert [
        document["run"]["implementation"]["name"] for document in json.loads((tmp_path / "m.json").read_text())
    ] == [
        "good",
        "bad",
    ]
    assert (tmp_path / "pages" / "index.html").exists()
    assert suite(*words, "--expect", "bad=e.toml").returncode == 0
    for wrong in ("e.toml", "other=e.toml"):
        done = suite(*words, "--expect", wrong)
        assert done.returncode == 2 and "NAME=FILE" in done.stderr


def test_who_cannot_be_asked_leaves_no_older_report(suite, tmp_path):
    import shlex

    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n", encoding="utf-8")
    silent.chmod(0o755)
    out = tmp_path / "build" / "conformance"
    (out / "report").mkdir(parents=True)
    older = [tmp_path / "m.json", out / "goipc-openssl.json", out / "report" / "index.html"]
    for path in older:
        path.write_text("of an earlier run", encoding="utf-8")
    words = ["--impl", f"good={shlex.join(TOY)}", "--impl", f"silent={silent}", "--json", "m.json"]
    done = suite("matrix", "server:hs.complete", *words)
    assert done.returncode == 3 and "ERROR silent: " in done.stdout
    faults = [document["run"]["fault"] for document in json.loads(older[0].read_text(encoding="utf-8"))]
    assert not faults[0] and faults[1]
    done = suite("project", "--root", ".", "--only", "goipc-openssl", "--reference", silent)
    assert done.returncode == 3 and last_line(done) == "0 passed, 1 failed, 0 skipped", done.stdout
    assert json.loads(older[1].read_text(encoding="utf-8"))["run"]["fault"]
    assert not older[2].exists()


def test_the_same_seed_gives_the_same_report_but_for_times(suite, toy, tmp_path):
    """Of an implementation that does the same each time, too: here its random bytes are fixed. Some cases fail."""
    cases = (
        "hs.complete",
        "hs.hello-reply.version",
        "key.derivation.leading-zero",
        "frame.echo",
        "seal.tag.bit",
        "limit.exact",
    )
    selection = [f"server:{case}" for case in cases]

    def report(seed):
        suite(
            "run", *selection, "-j", "4", "--seed", seed, "--repeats", "0", "--json", "r.json", *toy("fixed", "padded")
        )
        return without_times(json.loads((tmp_path / "r.json").read_text()))

    first = report("7")
    assert {"PASS", "FAIL"} <= set(first["verdicts"]) and any(case["wire"] for case in first["cases"])
    assert report("7") == first

    other = report("8")
    assert other["verdicts"] == first["verdicts"]
    assert [case["wire"] for case in other["cases"]] != [case["wire"] for case in first["cases"]]


def test_rung_0(suite, tmp_path):
    """An echo program without any JSON."""
    program = tmp_path / "echo.py"
    program.write_text(f"""
import json, subprocess, sys
command = [sys.executable, {str(HERE / "toy.py")!r}]
toy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
toy.stdin.write(json.dumps({{"id": 1, "cmd": "serve", "endpoint": {{"name": sys.argv[1]}}, "encryption": sys.argv[2],
                            "max_message_size": int(sys.argv[3]), "echo": True}}) + "\\n")
toy.stdin.flush()
toy.wait()
""")
    done = suite(
        "run",
        "hs.complete",
        "frame.length.*",
        "limit.announced",
        "--server",
        f"{sys.executable} {program} {{name}} {{encryption}} {{max}}",
    )
    assert done.returncode == 0, done.stdout
    assert "SKIP" in done.stdout  # no client was given


def test_ladder_stops_at_the_first_rung_that_fails(suite, toy):
    done = suite(
        "run",
        "--ladder",
        "server:hs.complete",
        "server:frame.cut.length",
        "server:key.*",
        "server:conn.*",
        "--timeout-scale",
        "0.4",
        *toy("padded"),
        timeout=300,
    )
    assert done.returncode == 1
    assert "step 3 of 7, handshake" in done.stdout and "Next: " in done.stdout and "step 4" not in done.stdout
