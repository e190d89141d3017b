"""Skips with a reason from one table, and the switch that turns each of them into a failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import Any, Union

import pytest
from hypothesis import configuration, settings

from tests.requirements import require, skips_are_failures

# The same inputs in every run, nothing written; no deadline: what is slow here depends on the machine.
settings.register_profile("emperor", derandomize=True, deadline=None, database=None, max_examples=400)
settings.load_profile("emperor")
configuration.set_hypothesis_home_dir(os.devnull)


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores them, and so would whatever is started here.
    for signum, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, usual)
    config.addinivalue_line("markers", "needs(*names): rows of tests/requirements.py that must hold")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: a session's fixtures are costly, and would fail where they should be skipped."""
    for mark in item.iter_markers("needs"):
        require(*mark.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, pytest.CollectReport]:
    report: pytest.CollectReport = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: Union[pytest.TestReport, pytest.CollectReport]) -> None:
    if report.skipped and skips_are_failures():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skips count as failures (EMPEROR_TEST_NO_SKIPS): {reason}"
