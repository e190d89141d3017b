"""The pure parts of the benchmark: what the kernel and wrk print, medians, verdicts, the table, the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import figures, front, page, parsing, results, rows
from benchmarks.campaign import Played, told_once
from benchmarks.exercises import EXERCISES, Extent
from benchmarks.servers import SERVERS, Places, Plan

WRK = """\
Running 3s test @ http://127.0.0.1:8080/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   302.05us   44.61us   2.11ms   92.10%
    Req/Sec    26.35k     0.95k   28.02k    80.65%
  81234 requests in 3.10s, 12.63MB read
{faults}Requests/sec:  26204.52
Transfer/sec:      4.07MB
"""
CPU = rows.Claim("cpu", 1.20, 1.00)
RATE = rows.Claim("rate", 1.05, 1.15)
PLACES = Places(Path("/t"), Path("/venv"), Path("/pypy"), Path("/t/payloads"))
ROW = rows.chosen(("flask-fastcgi",))[0]


def plan(contender: rows.Contender) -> Plan:
    return Plan(contender, Path("/t/one"), PLACES)


def test_a_round_of_wrk_is_its_requests_and_rate() -> None:
    assert parsing.wrk_output(WRK.format(faults="")) == parsing.Load(81234, 26204.52, "")


def test_errors_that_wrk_counted_are_faults() -> None:
    faults = "  Socket errors: connect 0, read 3, write 0, timeout 1\n  Non-2xx or 3xx responses: 17\n"
    found = parsing.wrk_output(WRK.format(faults=faults)).faults
    assert found == "socket errors: connect 0, read 3, write 0, timeout 1; 17 answers other than 2xx and 3xx"


def test_wrk_that_could_not_connect_has_no_figures() -> None:
    with pytest.raises(ValueError, match="Connection refused"):
        parsing.wrk_output("unable to connect to 127.0.0.1:8080 Connection refused")


@pytest.mark.parametrize("name", ["python3", "a b", "(x) S 7", "nasty) R 99 "])
def test_the_parent_is_found_whatever_a_process_calls_itself(name: str) -> None:
    assert parsing.parent_of(f"12 ({name}) S 41 12 12 0 -1 4194560 0 0") == 41


def test_only_lines_of_kibibytes_are_sizes() -> None:
    text = "5600-7ffe ---p 00000000 00:00 0    [rollup]\nRss:      1884 kB\nPss:       458 kB\nThreads:\t1\n"
    assert parsing.kib_fields(text) == {"Rss": 1884, "Pss": 458}


def test_a_tree_is_everything_below_its_root() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 13: 11, 20: 1, 21: 20}
    assert parsing.tree(parents, 10) == (10, 11, 12, 13)
    assert parsing.leaves(parents, parsing.tree(parents, 10)) == (12, 13)


def test_a_server_of_one_process_is_its_own_worker() -> None:
    assert parsing.leaves({1: 0, 10: 1}, parsing.tree({1: 0, 10: 1}, 10)) == (10,)


def test_the_model_of_a_processor_may_be_unknown() -> None:
    assert parsing.cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
    assert parsing.cpu_model("processor\t: 0\n") == "unknown CPU"


@pytest.mark.parametrize(
    ("claim", "value", "expected"),
    [
        (CPU, 0.99, figures.GOAL),
        (CPU, 1.00, figures.GOAL),
        (CPU, 1.01, figures.MUST),
        (CPU, 1.20, figures.MUST),
        (CPU, 1.21, figures.MISSED),
        (RATE, 1.16, figures.GOAL),
        (RATE, 1.15, figures.GOAL),
        (RATE, 1.10, figures.MUST),
        (RATE, 1.05, figures.MUST),
        (RATE, 1.04, figures.MISSED),
        (CPU, float("nan"), figures.MISSED),
        (rows.Claim("cpu"), 99.0, figures.SHOWN),
    ],
)
def test_a_verdict_counts_the_bound_itself_as_met(claim: rows.Claim, value: float, expected: str) -> None:
    assert figures.verdict(claim, value) == expected


def test_a_ratio_is_of_medians_and_the_spread_of_single_rounds() -> None:
    rounds = [({"cpu": 20.0}, {"cpu": 10.0}), ({"cpu": 12.0}, {"cpu": 12.0}), ({"cpu": 15.0}, {"cpu": 30.0})]
    found = figures.compare(CPU, rounds)
    assert (found.ours, found.peer, found.ratio) == (15.0, 12.0, 1.25)
    assert (found.low, found.high) == (0.5, 2.0)
    assert found.verdict == figures.MISSED


def test_a_bound_of_our_own_figure_does_not_look_at_the_peer() -> None:
    growth = rows.Claim("growth", 8, 8, ratio=False)
    assert figures.compare(growth, [({"growth": 0.5}, {"growth": 0.0})]).verdict == figures.GOAL
    assert figures.compare(growth, [({"growth": 9.0}, {"growth": 90.0})]).verdict == figures.MISSED


def test_the_least_of_a_figure_is_of_the_best_rounds_whichever_they_are() -> None:
    rounds = [({"command-least": one}, {"command-least": other}) for one, other in ((70, 90), (60, 120), (100, 80))]
    found = figures.compare(rows.Claim("command-least"), rounds)
    assert (found.ours, found.peer, found.ratio) == (60, 80, 0.75)


def test_files_that_are_alike_are_told_once_and_empty_ones_not() -> None:
    named = [("ours/a.ini", "x"), ("ours/b.ini", "x"), ("ours/logs/", ""), ("ours/c.ini", "x"), ("peer/conf", "y")]
    assert told_once(named) == (("ours/a.ini to ours/c.ini", "x"), ("peer/conf", "y"))


def test_every_row_names_what_there_is() -> None:
    for row in rows.ROWS:
        assert row.exercise in EXERCISES
        assert all(claim.metric in rows.METRICS for claim in row.claims)
        assert all(contender.server in SERVERS for contender in row.contenders)
        if EXERCISES[row.exercise].fronted:
            assert all(contender.way in front.WAYS for contender in row.contenders)
        assert row.exercise != "status" or all(SERVERS[one.server].status(plan(one)) for one in row.contenders)
    assert len({row.key for row in rows.ROWS}) == len(rows.ROWS)


def test_a_goal_is_never_easier_than_its_must() -> None:
    claims = [claim for row in rows.ROWS for claim in row.claims if claim.must is not None]
    for claim in claims:
        assert claim.goal is not None
        assert figures.verdict(claim, claim.goal) == figures.GOAL
        assert figures.verdict(claim, claim.must or 0) in (figures.GOAL, figures.MUST)


def test_a_whole_name_chooses_one_row_and_a_part_all_that_have_it() -> None:
    assert [row.key for row in rows.chosen(("flask-uwsgi",))] == ["flask-uwsgi"]
    assert len(rows.chosen(("flask-",))) > 3
    assert rows.chosen(("no-such-row",)) == ()
    assert rows.chosen(()) == rows.ROWS


def test_the_table_tells_figures_bounds_and_why_a_row_has_none() -> None:
    good = figures.judge(ROW, [({"cpu": 60.0, "rate": 9000.0}, {"cpu": 75.0, "rate": 8000.0})])
    absent = figures.Outcome(rows.ROWS[0], fault="uwsgi is not there", measured=False)
    wrong = figures.Outcome(rows.ROWS[1], fault="wrk saw 3 errors")
    text = results.table([good, absent, wrong])
    assert "0.800" in text and "≤ 0.95" in text and "≥ 1.15" in text and figures.GOAL in text
    assert f"{rows.ROWS[0].key}: not measured: uwsgi is not there" in text
    assert f"{rows.ROWS[1].key}: invalid: wrk saw 3 errors" in text
    assert results.summary([good, absent, wrong]) == "1 goal met, 1 must met, 1 not measured, 1 invalid"


def test_the_figures_for_programs_are_json_even_where_there_is_no_ratio() -> None:
    memory = rows.chosen(("memory",))[0]
    one = figures.judge(memory, [({"pss": 27.0, "pss-anon": 25.0, "pss-daemon": 17.0},
                                  {"pss": 28.0, "pss-anon": 26.0, "pss-daemon": 0.0})])  # fmt: skip
    found = json.loads(json.dumps(results.as_json([Played(one)], {"CPU": "x"}, {"rounds": 1}), allow_nan=False))
    claims = {claim["metric"]: claim for claim in found["rows"][0]["claims"]}
    assert claims["pss"]["verdict"] == figures.MUST
    assert claims["pss-daemon"]["ratio"] is None and claims["pss-daemon"]["ours"] == 17.0


def test_the_page_has_no_path_of_the_machine() -> None:
    outcome = figures.judge(ROW, [({"cpu": 60.0, "rate": 9000.0}, {"cpu": 75.0, "rate": 8000.0})])
    played = Played(
        outcome,
        (("/home/ann/venv/bin/emperor", "/tmp/bench-1/ours/vassals.d"),),
        (("ours/vassals.d/bench.ini", "[uwsgi]\n"),),
        "",
    )
    names = {"/home/ann/venv": "$VENV", "/tmp/bench-1": "$T"}
    text = page.page([played], {"CPU": "AMD EPYC"}, Extent(), "-- lua\n", names)
    assert "/home/ann" not in text and "/tmp/bench-1" not in text
    assert "$VENV/bin/emperor $T/ours/vassals.d" in text
    assert "| CPU | AMD EPYC |" in text


def test_nginx_keeps_only_those_connections_open_that_it_is_told_to() -> None:
    gates = [front.Gate(way, "8000", Path("/t/app.sock"), way) for way in front.WAYS]
    text = {gate.way: front.config(Path("/t"), [gate], streamed=False) for gate in gates}
    assert "fastcgi_keep_conn on;" in text["fastcgi-kept"] and "keepalive 64;" in text["fastcgi-kept"]
    assert "keep_conn" not in text["fastcgi"] and "keep_conn" not in text["uwsgi"]
    assert "uwsgi_pass unix:/t/app.sock;" in text["uwsgi"]


def test_the_row_of_status_has_fifty_of_each_and_both_bounds() -> None:
    (row,) = rows.chosen(("status",))
    ours, peer = (SERVERS[one.server].files(plan(one)) for one in row.contenders)
    assert len(ours) == 50 and len(set(ours.values())) == 1
    assert "numprocs = 50\n" in peer["supervisord.conf"]
    slow = {"command": 121.0, "command-least": 121.0, "command-cpu": 1.0}
    verdicts = [one.verdict for one in figures.judge(row, [(slow, slow)]).comparisons]
    assert verdicts == [figures.MISSED, figures.GOAL, figures.SHOWN, figures.SHOWN]
    assert "≤ 120 ms" in results.table([figures.judge(row, [(slow, slow)])])
    assert results.named(row.peer) == "supervisord"
