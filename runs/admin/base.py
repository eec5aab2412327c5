"""The admin of the record: anybody with the permission reads it, nobody edits it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from runs.admin.shown import ABSENT, told
from runs.models import Run
from runs.searching import Counted

# All that a page about a step or a poll needs of its run; the other columns can hold megabytes.
RUN_REST = tuple(
    f"run__{field.attname}"
    for field in Run._meta.concrete_fields
    if field.name not in {"id", "run_id"}
)


if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]  # generic in its stubs only
else:
    AnyModelAdmin = admin.ModelAdmin


class Bounded(Paginator):  # type: ignore[type-arg] # generic in its stubs only
    """Counts no more rows than anybody turns pages for: to count a million, or to skip half of
    them, is to read them. Whoever looks for what lies behind narrows the list."""

    MOST = 2_000
    counter: Callable[[int], Counted] | None = None  # of what it is told to show, up to a number

    @cached_property
    def _counted(self) -> Counted:
        counted = self.counter(self.MOST) if self.counter else self._count(self.MOST)
        if counted.is_exact or counted.number > self.per_page:
            return counted
        return self._count(self.per_page)  # where few are found among many, the first page is shown

    def _count(self, most: int) -> Counted:
        # Neither order nor what is shown of a row tells how many there are.
        rows = cast("QuerySet[Any]", self.object_list).order_by().values("pk")
        number = rows[: most + 1].count()
        return Counted(number, number <= most)

    @cached_property
    def count(self) -> int:
        return min(self._counted.number, self.MOST)

    def page(self, number: int | str) -> "Page[Any]":
        """Far down, rows are passed over by their keys alone, which an index holds: they are
        wide, and all of one that is skipped would be read."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        if not first:
            return super().page(number)
        rows = cast("QuerySet[Any]", self.object_list)
        keys = rows.values_list("pk", flat=True)[first : min(first + self.per_page, self.count)]
        return Page(rows.filter(pk__in=list(keys)), number, self)

    @property
    def has_rest(self) -> bool:
        return not self._counted.is_exact


class RecordAdmin(AnyModelAdmin):
    """Read-only for everyone, superusers included: people never write what the API said.

    `heavy`: columns that lists neither show nor load. `sought_by`: lookups from the cheapest to
    the dearest; the first one that finds anything answers the search.
    """

    heavy: ClassVar[tuple[str, ...]] = ()
    sought_by: ClassVar[tuple[str, ...]] = ()
    belongs_to_run = True

    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = Bounded
    sortable_by: ClassVar[Any] = ()  # what no index has in order is not offered
    empty_value_display = ABSENT

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        if self.belongs_to_run:
            queryset = queryset.select_related("run").defer(*RUN_REST)
        return queryset.defer(*self.heavy) if is_list(request) else queryset

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.sought_by  # only whether there are any: they make the search box appear

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        for lookup in self.sought_by[:-1]:
            found = queryset.filter(**{lookup: term})
            if found.exists():
                return found, False
        return queryset.filter(**{self.sought_by[-1]: term}), False


def is_list(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and (match.url_name or "").endswith("_changelist")


def one_of(title: str, name: str, choices: Iterable[tuple[str, str]]) -> type:
    """A filter of the column `name` by known values; whatever else there is, is "other".

    Django's own filter by all values would read the whole table to find them.
    """
    known = list(choices)

    class OneOf(admin.SimpleListFilter):
        parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [*known, ("~", "other")]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            match self.value():
                case None:
                    return queryset
                case "~":
                    return queryset.exclude(**{f"{name}__in": [value for value, _ in known]})
                case value:
                    return queryset.filter(**{name: value})

    OneOf.title = title
    return OneOf


def opening(name: str, label: str) -> Callable[[Any], str]:
    """A column for the first words of a text, annotated as `name`."""

    @admin.display(description=label)
    def column(record: Model) -> str:
        words = getattr(record, name)
        return told(name, words if words is None else " ".join(words.split()))

    column.__name__ = name
    return column
