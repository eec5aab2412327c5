"""Which result answers which call."""

from runs.models import Step
from runs.pairing import is_answered, pair


def steps(*rows: tuple[str, str | None, str | None]) -> list[Step]:
    return [
        Step(position=at, type=kind, tool_name=tool, tool_output=output)
        for at, (kind, tool, output) in enumerate(rows, 1)
    ]


def call(
    tool: str | None = "bash", output: str | None = None
) -> tuple[str, str | None, str | None]:
    return "tool_call", tool, output


def result(tool: str | None = "bash") -> tuple[str, str | None, str | None]:
    return "tool_result", tool, '"done"'


def test_a_result_answers_the_call_before_it():
    assert pair(steps(call(), result())) == {1: 2}


def test_a_call_that_carries_its_output_waits_for_no_result():
    assert pair(steps(call(output='"all of it"'), result())) == {}
    assert is_answered('""')
    assert not is_answered("null")
    assert not is_answered(None)


def test_an_output_of_null_is_none():
    assert pair(steps(call(output="null"), result())) == {1: 2}


def test_results_go_to_the_last_open_call_of_their_tool():
    found = pair(steps(call("read"), call("bash"), call("bash"), result("bash"), result("read")))
    assert found == {3: 4, 1: 5}


def test_a_result_of_another_tool_answers_nothing():
    assert pair(steps(call("read"), result("bash"))) == {}


def test_a_result_without_a_name_goes_to_the_only_open_call():
    assert pair(steps(call("read"), result(None))) == {1: 2}
    assert pair(steps(call("read"), call("bash"), result(None))) == {}


def test_no_result_answers_twice_and_no_call_is_answered_twice():
    found = pair(steps(call(), result(), result(), call(), call(), result()))
    assert found == {1: 2, 5: 6}


def test_other_steps_do_not_disturb():
    rows = steps(call(), ("thinking", None, None), ("output", None, None), result())
    assert pair(rows) == {1: 4}
