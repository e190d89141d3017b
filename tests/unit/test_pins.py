"""What development installs is pinned and hashed, as pyproject.toml wants it, and comes from no index by name."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contrib.pins import BUILD, BUILDERS, FOLDER, PYPY_SOURCES, SOURCES, files, project

ALL = {name: (python, requirements) for name, python, requirements in files()}
MAKEFILE = FOLDER.parent / "Makefile"
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Pinned(NamedTuple):
    requirement: Requirement
    hashes: int

    @property
    def version(self) -> str:
        (only,) = self.requirement.specifier
        assert only.operator == "==", self.requirement
        return only.version


def read(name: str) -> list[Pinned]:
    """What pip would read of it: rows that end with a backslash go on in the next one."""
    text = (FOLDER / f"{name}.txt").read_text()
    rows = [row for row in text.replace("\\\n", " ").splitlines() if row.strip() and not row.startswith("#")]
    found = []
    for row in rows:
        words, *hashes = row.split(" --hash=")
        found.append(Pinned(Requirement(words.strip()), len(hashes)))
    return found


def test_there_is_a_file_for_each_row_of_the_table_and_no_other() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{name}.txt" for name in ALL)


def test_every_extra_of_the_project_is_in_one() -> None:
    wanted = {one for _, requirements in ALL.values() for one in requirements}
    told = project()["project"]
    everything = {*told["dependencies"], *(one for extra in told["optional-dependencies"].values() for one in extra)}
    assert everything <= wanted


@pytest.mark.parametrize("name", ALL)
def test_every_package_has_one_version_and_its_hashes(name: str) -> None:
    for pinned in read(name):
        assert pinned.version and pinned.hashes, pinned
        assert pinned.requirement.url is None


@pytest.mark.parametrize("name", ALL)
def test_nothing_but_names_versions_markers_and_hashes_stands_there(name: str) -> None:
    for row in (FOLDER / f"{name}.txt").read_text().splitlines():
        assert "//" not in row and not row.startswith("-"), row
        words = row.strip().removesuffix("\\").strip()
        assert words.startswith("#") or HASH.fullmatch(words) or re.match(r"[a-z0-9-]+==\S+", words), row


@pytest.mark.parametrize("name", ALL)
def test_what_is_pinned_is_what_the_project_wants(name: str) -> None:
    """Who changes pyproject.toml runs `make pins`."""
    python, requirements = ALL[name]
    pinned = {
        canonicalize_name(one.requirement.name): one.version
        for one in read(name)
        if one.requirement.marker is None
        or one.requirement.marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"})
    }
    for requirement in map(Requirement, requirements):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None and requirement.specifier.contains(version), f"{name}.txt: {requirement}: {version}"


def test_one_package_is_pinned_at_one_version_wherever_it_is() -> None:
    """The linters, the tests and the bench see the same."""
    versions: dict[str, set[str]] = {}
    for name in ALL:
        for one in read(name):
            if one.requirement.marker is None:
                versions.setdefault(canonicalize_name(one.requirement.name), set()).add(one.version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


def test_the_build_backend_is_pinned_and_is_what_builds_without_isolation() -> None:
    told = project()
    requires = told["build-system"]["requires"]
    assert all("==" in one for one in requires)
    assert set(requires) <= set(told["project"]["optional-dependencies"][BUILD])


def test_each_package_of_the_program_has_its_reason_written_down() -> None:
    told = project()["project"]
    reasons = (FOLDER.parent / "docs/decisions/0002-dependencies.md").read_text()
    extras = (one for extra in told["optional-dependencies"].values() for one in extra)
    names = {Requirement(one).name for one in (*told["dependencies"], *extras)}
    assert not {one for one in names if f"*{one}*" not in reasons.replace("uWSGI", "uwsgi")}


def variable(name: str) -> set[str]:
    """The words of one of the Makefile's variables."""
    found = re.search(rf"^{name} := (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    assert found is not None, name
    return set(found[1].split())


def installs() -> list[str]:
    """The rows of the Makefile in which pip installs."""
    rows = re.findall(r"^\t.*(?:\$\(PIP(?:_BENCH)?\)|pip install).*$", MAKEFILE.read_text(), re.MULTILINE)
    assert len(rows) >= 9
    return rows


def test_make_fetches_nothing_that_has_no_hash_and_isolates_no_build() -> None:
    """What pip installs into the isolated environment of a build has neither version nor hash."""
    assert not [one for one in installs() if "$(FETCH)" not in one and "$(OURSELVES)" not in one]
    assert variable("FETCH") == {"--require-hashes", "--only-binary", ":all:", "--no-build-isolation"}
    assert variable("OURSELVES") == {"--no-deps", "--no-build-isolation", "--editable", "."}
    assert set(re.findall(r"requirements/([a-z]+)\.txt", MAKEFILE.read_text())) <= ALL.keys()


def test_only_the_packages_of_the_table_come_as_source() -> None:
    assert variable("SOURCES") == {"--no-binary", ",".join(SOURCES)}
    assert variable("SOURCES_PYPY") == {"--no-binary", ",".join(PYPY_SOURCES)}
    assert {option for one in installs() for option in re.findall(r"--(?:no|only)-binary", one)} == set()


def test_what_builds_the_others_is_there_before_them() -> None:
    """With what the files of its virtualenv say, or pip would put another version in its place half-way."""
    needs = {"$*": "build", "uwsgi": "build", "pypy": "pypybuild"}
    done: list[str] = []
    for row in installs():
        (file,) = re.findall(r"requirements/([a-z]+|\$\*)\.txt", row) or [""]
        if "$(SOURCES" in row:
            assert needs[file] in done, row
        done.append(file)
    for first in set(needs.values()):
        pinned = {canonicalize_name(one.requirement.name) for one in read(first)}
        assert set(BUILDERS) <= pinned and not pinned & set(SOURCES)
