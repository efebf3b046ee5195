import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefolio.errors import InvalidInputError
from lakefolio.format.semver import Range, SemVer, is_semver

ORDERED = (
    "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.1.0"
)
small = st.integers(0, 3)
versions = st.builds(
    SemVer, small, small, small, st.one_of(st.just(()), st.tuples(st.sampled_from(["rc", "alpha", "1", "10"])))
)


def test_precedence_is_that_of_the_specification() -> None:
    found = [SemVer.parse(one) for one in ORDERED.split()]
    found.reverse()
    found.sort(key=lambda one: one.key)
    assert [str(one) for one in found] == ORDERED.split()
    assert SemVer.parse("1.0.0+a").key == SemVer.parse("1.0.0+b").key


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3.4", "1.2.3-", "1.2.3-01", "1.2.3+", " 1.2.3", "1.2.3\n", "١.2.3"),
        *(f"1.2.{'9' * 30}", f"1.2.3-{'a' * 200}", 1.2, None),
    ],
)
def test_what_is_no_semantic_version_is_refused(text: object) -> None:
    with pytest.raises(InvalidInputError) as failed:
        SemVer.parse(text)
    assert failed.value.kind == "bad-version"


@given(versions)
def test_a_version_is_written_as_it_is_read(version: SemVer) -> None:
    assert is_semver(str(version))
    assert SemVer.parse(str(version)) == version


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1.2", "1.2.0 1.9.9", "1.1.9 2.0.0 2.0.0-rc.1 1.3.0-rc.1"),
        ("^1.2.3", "1.2.3 1.3.0", "1.2.2 2.0.0"),
        ("^1", "1.0.0 1.9.0", "0.9.0 2.0.0"),
        ("^0.2", "0.2.0 0.2.9", "0.3.0 0.1.9"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0", "0.0.1 0.9.0", "1.0.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">=1.2,<2", "1.2.0 1.9.9", "1.1.9 2.0.0 2.0.0-rc.1"),
        (">=1.2 <2", "1.2.0", "2.0.0"),
        (">1.2", "1.3.0", "1.2.9 1.2.0"),
        (">1.2.0", "1.2.1", "1.2.0"),
        (">=2.0.0-beta.1,<2.0.0", "2.0.0-beta.1 2.0.0-beta.10", "2.0.0-alpha 2.0.0 1.9.0"),
        (">=2.0.0-beta.1,<2", "", "2.0.0-beta.1 2.0.0 1.9.0"),
        ("<2.0.0-beta.1", "1.9.9 2.0.0-alpha", "2.0.0-beta.1 1.0.0-alpha"),
        ("<=1.2", "1.2.9 0.1.0", "1.3.0"),
        ("<=1.2.0", "1.2.0", "1.2.1"),
        ("=1.2", "1.2.0 1.2.7", "1.3.0"),
        ("=1.2.0", "1.2.0", "1.2.1"),
        ("^1.2 || ~3.1", "1.5.0 3.1.4", "2.0.0 3.2.0"),
        ("^1.2.0-rc.1", "1.2.0-rc.1 1.2.0-rc.2 1.2.0 1.5.0", "1.2.0-beta 1.3.0-rc.1"),
    ],
)
def test_a_range_holds_what_npm_and_cargo_hold(text: str, inside: str, outside: str) -> None:
    found = Range.parse(text)
    assert [one for one in inside.split() if SemVer.parse(one) not in found] == []
    assert [one for one in outside.split() if SemVer.parse(one) in found] == []


@pytest.mark.parametrize("text", ["^", "^^1", "~x", ">=1.2,,<", "^1.2 ||", "^1.2 3", "^1.2abc", ">=1.2.3.4", "^" * 300])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as failed:
        Range.parse(text)
    assert failed.value.kind == "bad-version"


@given(versions, st.sampled_from(["major", "minor", "patch"]))
def test_a_bump_goes_up_to_a_release(version: SemVer, part: str) -> None:
    found = version.bumped(part)  # type: ignore[arg-type]
    assert found.key > version.key
    assert not found.pre


def test_a_pre_release_is_bumped_to_its_release() -> None:
    assert str(SemVer.parse("2.0.0-rc.1").bumped("major")) == "2.0.0"
    assert str(SemVer.parse("1.2.0-rc.1").bumped("minor")) == "1.2.0"
    assert str(SemVer.parse("1.2.3-rc.1").bumped("patch")) == "1.2.3"
    assert str(SemVer.parse("1.2.3-rc.1").bumped("minor")) == "1.3.0"
