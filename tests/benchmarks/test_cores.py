"""Choice of cores for the server and the load."""

from benchmarks.cores import Cores, choose, parse_list


def test_the_server_has_a_core_of_its_own() -> None:
    assert choose({0, 1, 2}) == Cores("0", "1,2")


def test_one_core_is_shared() -> None:
    assert choose({3}) == Cores("3", "3")


def test_what_is_asked_for_counts() -> None:
    assert choose({0, 1}, server="1", load="0") == Cores("1", "0")


def test_a_list_may_have_ranges() -> None:
    assert parse_list("0,2-4") == {0, 2, 3, 4}
