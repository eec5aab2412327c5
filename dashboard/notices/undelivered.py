"""Why a message was not delivered: for whoever it was meant for, and whether to try again."""


class Undelivered(Exception):
    """`sentence` tells its reader what is wrong. `is_final`: another try would fail as well.
    `retry_after`: seconds that the other side asks to be left alone."""

    def __init__(
        self, sentence: str, *, is_final: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.is_final = is_final
        self.retry_after = retry_after
