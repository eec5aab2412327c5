"""The form that makes a link: to whom, how long, what it shows, what is taken out of it."""

import datetime as dt
from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.utils import timezone

from dashboard import sharing
from dashboard.accounts import passwords
from dashboard.disclosure import rules
from dashboard.disclosure.rules import NEEDS, Part, Rules, Terms, Unfit
from dashboard.models import ShareLink

PARTS = (
    (Part.SUMMARY, "Summary and issues", "what the agent reported at its end"),
    (Part.REQUEST, "What was asked", "prompt and guidance, in your own words"),
    (Part.OUTPUT, "Output", "the whole text that the agent delivered"),
    (Part.TIMELINE, "Timeline", "each step: which tool, when, and what the agent said"),
    (Part.THINKING, "Thinking", "the model’s own notes on the way"),
    (Part.TOOLS, "Tool inputs and outputs", "searches, commands and what came back"),
    (Part.COST, "Cost", "total, tokens and every usage entry"),
    (Part.LOGS, "Logs", "of the machine the agent worked on"),
    (Part.IDS, "Ids", "of run, agent, vaults and objects"),
)
KINDS = (
    ("email", "E-mail addresses"),
    ("phone", "Telephone numbers"),
    ("ssn", "Social security numbers"),
    ("amount", "Amounts of money"),
    ("id", "Case.dev ids"),
)


class ShareForm(forms.Form):
    OFFERED: ClassVar = (1, 3, ShareLink.DEFAULT_DAYS, 14, ShareLink.LONGEST_DAYS)

    purpose = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Say why this run is shared."},
    )
    recipient = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=ShareLink.LONGEST_DAYS,
        initial=ShareLink.DEFAULT_DAYS,
        widget=forms.Select,
        error_messages={
            "max_value": "A link lives for %(limit_value)s days at most.",
            "min_value": "A link lives for %(limit_value)s day at least.",
        },
    )
    passphrase = forms.CharField(
        required=False,
        min_length=sharing.SHORTEST_PASSPHRASE,
        max_length=200,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    most_views = forms.IntegerField(
        required=False, min_value=1, max_value=ShareLink.MOST_VIEWS, label="Opens at most"
    )
    chosen = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput)
    shows = forms.MultipleChoiceField(
        required=False,
        choices=[(part.value, label) for part, label, _ in PARTS],
        initial=[part.value for part in rules.DEFAULT],
        widget=forms.CheckboxSelectMultiple,
    )
    steps = forms.CharField(
        required=False, max_length=2_000, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    fields_named = forms.CharField(
        required=False, max_length=5_000, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    words = forms.CharField(
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    kinds = forms.MultipleChoiceField(
        required=False, choices=KINDS, widget=forms.CheckboxSelectMultiple
    )
    is_frozen = forms.TypedChoiceField(
        required=False,
        choices=(("", "Live: it follows the run"), ("1", "Frozen: a copy as of now")),
        coerce=bool,
        initial="",
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        today = timezone.localtime()
        self.fields["days"].widget.choices = [
            (days, lifetime(days, today + dt.timedelta(days=days))) for days in self.OFFERED
        ]
        for name in self.errors if self.is_bound else ():
            if name in self.fields:
                attributes = {"aria-invalid": "true", "aria-describedby": f"{name}-error"}
                self.fields[name].widget.attrs |= attributes

    def clean_shows(self) -> list[Part]:
        if not self.data.get("chosen"):
            return list(rules.DEFAULT)
        shows = [Part(value) for value in self.cleaned_data["shows"]]
        labels = {part: label for part, label, _ in PARTS}
        for part, needed in NEEDS.items():
            if part in shows and needed not in shows:
                raise forms.ValidationError(f"{labels[part]} can only be shown in the timeline.")
        return shows

    def clean_passphrase(self) -> str:
        passphrase = str(self.cleaned_data["passphrase"])
        if passphrase and (refusal := passwords.refusal_of_passphrase(passphrase)):
            raise forms.ValidationError(refusal)
        return passphrase

    def clean_steps(self) -> tuple[tuple[int, int], ...]:
        return self._ruled(rules.steps, "steps")

    def clean_fields_named(self) -> tuple[str, ...]:
        return self._ruled(rules.fields, "fields_named")

    def clean_words(self) -> tuple[str, ...]:
        return self._ruled(rules.words, "words")

    def _ruled[T](self, parse: Callable[[str], T], name: str) -> T:
        try:
            return parse(self.cleaned_data[name])
        except Unfit as error:
            raise forms.ValidationError(str(error)) from error

    @property
    def terms(self) -> Terms:
        """What was chosen, as far as it is in order: the preview shows that."""
        told: dict[str, Any] = self.cleaned_data if self.is_bound else {"shows": rules.DEFAULT}
        return Terms(
            rules.complete(told.get("shows") or ()),
            Rules(
                steps=told.get("steps") or (),
                fields=told.get("fields_named") or (),
                words=told.get("words") or (),
                kinds=tuple(told.get("kinds") or ()),
            ),
        )


def with_picked(data: Any) -> Any:
    """Posted data with the steps ticked in the preview taken over into the field for steps."""
    picked = [value for value in data.getlist("step") if value.isascii() and value.isdigit()]
    if not picked:
        return data
    data = data.copy()
    data["steps"] = ", ".join(filter(None, [data.get("steps", "").strip(), *picked]))
    return data


def lifetime(days: int, end: dt.datetime) -> str:
    return f"{days} {'day' if days == 1 else 'days'}, until {end:%A} {end.day} {end:%B, %H:%M %Z}"
