"""What people fill in about notices."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard.notices import choices, sealed, webhook
from dashboard.notices.models import Channel, Event, NoticeChoice, NoticeRules, Pace

MICROS = 1_000_000
HOURS = [(hour, f"{hour:02}:00") for hour in range(24)]


def limit_field(**options: Any) -> forms.DecimalField:
    """Dollars, exact to the micro-dollar."""
    return forms.DecimalField(
        label="Limit of a run’s cost, in dollars",
        min_value=Decimal("0.000001"),
        max_value=Decimal(1_000_000),
        decimal_places=6,
        max_digits=13,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        **options,
    )


def dollars(micros: int | None) -> str:
    """What the field shows: 5_000_000 is "5", 185_100 is "0.1851"."""
    if micros is None:
        return ""
    return f"{Decimal(micros) / MICROS:f}"


class LongSelect(forms.Select):
    """Django's own takes a template for each option, and there are hundreds of time zones."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        options = format_html_join(
            "",
            "<option{}>{}</option>",
            (
                (mark_safe(" selected") if key == value else "", label)
                for key, label in self.choices
            ),
        )
        around = flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})}))
        return format_html("<select{}>{}</select>", around, options)


class ChoiceForm(forms.Form):
    pace = forms.ChoiceField(label="When", choices=Pace.choices)
    hour = forms.TypedChoiceField(label="At what hour, if once a day", choices=HOURS, coerce=int)
    time_zone = forms.ChoiceField(
        label="Your time zone",
        widget=LongSelect,
        help_text="Of the hour above, and of the times in messages.",
    )
    limit = limit_field(required=False)
    webhook_url = forms.CharField(
        label="Address of the webhook",
        max_length=1_000,
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}
        ),
    )
    forget_webhook = forms.BooleanField(label="Forget the webhook", required=False)
    follows_added = forms.BooleanField(label="Follow the runs that I add", required=False)

    def __init__(self, choice: NoticeChoice, site: NoticeRules, data: Any = None) -> None:
        initial = {
            "pace": choice.pace,
            "hour": choice.hour,
            "time_zone": choice.time_zone,
            "limit": dollars(choice.limit_micros),
            "follows_added": choice.follows_added,
        }
        super().__init__(data, initial=initial)
        self.choice = choice
        zones = self.fields["time_zone"]
        assert isinstance(zones, forms.ChoiceField)
        zones.choices = [(name, name) for name in choices.zones()]
        self.fields["limit"].help_text = f"Empty: the site’s, ${dollars(site.limit_micros)}."
        known = sealed.hint(choice.webhook)
        self.fields["webhook_url"].help_text = (
            f"Yours: {known}. Empty leaves it."
            if known
            else "https, as Slack and its like give it."
        )
        if not known:
            del self.fields["forget_webhook"]
        for event, channel in _switches():
            self.fields[_name(event, channel)] = forms.BooleanField(
                label=f"{event.label}: by {channel.label}",
                required=False,
                initial=event in choice.switches.get(channel.value, ()),
            )

    def rows(self) -> list[tuple[str, list[forms.BoundField]]]:
        """A line of switches for each event, in the order of Channel."""
        return [
            (str(event.label), [self[_name(event, channel)] for channel in Channel])
            for event in Event
        ]

    def clean_webhook_url(self) -> str:
        address: str = self.cleaned_data["webhook_url"]
        if address and (why := webhook.refusal(address)):
            raise forms.ValidationError(why)
        return address

    def chosen(self) -> NoticeChoice:
        """What was there, with what was filled in; not stored."""
        choice, told = self.choice, self.cleaned_data
        moved = (choice.pace, choice.hour, choice.time_zone)
        choice.switches = {
            channel.value: [event.value for event in Event if told[_name(event, channel)]]
            for channel in Channel
        }
        for name in ("pace", "hour", "time_zone", "follows_added"):
            setattr(choice, name, told[name])
        if (choice.pace, choice.hour, choice.time_zone) != moved:
            choice.digested_on = None  # `choices.keep` says whether today's hour is past
        limit = told["limit"]
        choice.limit_micros = None if limit is None else int(limit * MICROS)
        if told.get("forget_webhook"):
            choice.webhook = ""
        elif told["webhook_url"]:
            choice.webhook = sealed.seal(told["webhook_url"])
        return choice


class RulesForm(forms.Form):
    limit = limit_field()
    tells_cost = forms.BooleanField(label="Say what a run has cost so far", required=False)
    tells_title = forms.BooleanField(label="Say the first line of the prompt", required=False)

    def __init__(self, site: NoticeRules, data: Any = None) -> None:
        initial = {
            "limit": dollars(site.limit_micros),
            "tells_cost": site.tells_cost,
            "tells_title": site.tells_title,
        }
        super().__init__(data, initial=initial)
        self.site = site

    def chosen(self) -> NoticeRules:
        site, told = self.site, self.cleaned_data
        site.limit_micros = int(told["limit"] * MICROS)
        site.tells_cost, site.tells_title = told["tells_cost"], told["tells_title"]
        return site


def _switches() -> Iterator[tuple[Event, Channel]]:
    return ((event, channel) for event in Event for channel in Channel)


def _name(event: Event, channel: Channel) -> str:
    return f"{event.value}-{channel.value}"
