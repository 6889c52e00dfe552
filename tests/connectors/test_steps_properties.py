"""Properties of what follows from sightings, whatever happens at a helpdesk, and in whichever order it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from app.connectors.planning import plan
from app.connectors.sighting import Sighting
from app.connectors.steps import WRITE, Answer, written
from app.store.helpdesk_tickets import NewJob
from tests.connectors.rules import AUTO, Known, connector, rules, sighting

OURS, DEFAULT = "High", "Medium"
WORDS = st.sampled_from(["High", "Low", "Medium", None])


@dataclass
class World:
    """One ticket there with one field, what is told of it, and this service, of which each part comes when it likes."""

    told: list[Sighting] = field(default_factory=list)
    known: Known = field(
        default_factory=lambda: Known(
            rules(connector(unset={"priority": (None, DEFAULT)}), answers={"priority": (OURS, AUTO)})
        )
    )
    jobs: list[NewJob] = field(default_factory=list)
    value: str | None = None
    now_ms: int = 10_000
    chosen: list[str | None] = field(default_factory=list)
    is_closed: bool = False
    overwritten: list[str | None] = field(default_factory=list)

    def happens(self, actor: str | None = None) -> None:
        self.now_ms += 1
        self.told.append(self.present(actor))

    def present(self, actor: str | None = None) -> Sighting:
        return sighting(
            values={"priority": self.value}, changed_ms=self.now_ms, is_closed=self.is_closed or None, actor=actor
        )

    def person_sets(self, value: str | None) -> None:
        self.value = value
        self.chosen.append(value)
        self.happens("mia")

    def person_writes_a_comment(self) -> None:
        self.happens("mia")

    def person_closes(self) -> None:
        self.is_closed = True
        self.happens("mia")

    def hears(self, index: int) -> None:
        if self.told:
            self._hear(self.told[index % len(self.told)])

    def _hear(self, of: Sighting) -> None:
        step = self.known.hear(of)
        if step is not None and step.job is not None:
            self.jobs.append(step.job)

    def attempts(self, *, is_cut_off: bool, somebody_comments: bool, tells_time: bool) -> None:
        if not self.jobs:
            return
        job = self.jobs[0]
        # As ``app.connectors.job`` does it.
        self._hear(self.present())
        assert self.known.ticket is not None
        values = plan(self.known.rules.connector, Answer.from_json(job.content), self.known.ticket).values
        assert job.kind == WRITE
        if somebody_comments:
            self.person_writes_a_comment()
        if values:
            self.overwritten.append(self.value)
            self.value = values["priority"]
            self.happens()
        if not is_cut_off:
            del self.jobs[0]
            self.known.ticket = written(self.known.ticket, values, self.now_ms if tells_time else None)


ACTIONS = st.one_of(
    st.builds(lambda value: lambda world: world.person_sets(value), WORDS),
    st.just(World.person_writes_a_comment),
    st.builds(lambda index: lambda world: world.hears(index), st.integers(0, 99)),
    st.builds(
        lambda is_cut_off, comments, tells: (
            lambda world: world.attempts(is_cut_off=is_cut_off, somebody_comments=comments, tells_time=tells)
        ),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
)


def lived(actions: list[object]) -> World:
    world = World()
    world.happens()
    world.hears(0)
    for action in actions:
        assert callable(action)
        action(world)
    return world


@settings(max_examples=500)
@given(st.lists(ACTIONS, max_size=30))
def test_only_what_nobody_has_chosen_is_ever_written_over(actions: list[object]) -> None:
    world = lived(actions)

    assert set(world.overwritten) <= {None, DEFAULT}
    # And once at most, unless an attempt was cut off and a person emptied the field before the next.
    assert len(world.overwritten) <= 1 + sum(value in {None, DEFAULT} for value in world.chosen)


@settings(max_examples=500)
@given(st.lists(ACTIONS, max_size=30))
def test_a_judgement_is_what_a_person_chose_and_comes_once_for_each_change(actions: list[object]) -> None:
    world = lived(actions)

    judged = [labels["priority"] for labels in world.known.judged()]
    assert all(judged.count(label) <= world.chosen.count(label) for label in judged)


@given(st.lists(ACTIONS, max_size=30), st.lists(st.integers(0, 99), max_size=10))
def test_what_is_older_changes_nothing_in_any_order_and_repetition(actions: list[object], again: list[int]) -> None:
    world = lived(actions)
    world.told.append(world.present())
    world.hears(-1)
    before, n_steps = world.known.ticket, len(world.known.steps)

    for index in again:
        world.hears(index)

    assert (world.known.ticket, len(world.known.steps)) == (before, n_steps)


@given(st.lists(ACTIONS, max_size=20))
def test_when_a_ticket_is_closed_the_last_judgement_is_what_stands_there(actions: list[object]) -> None:
    world = lived(actions)
    world.person_closes()
    world.hears(-1)
    world.hears(-1)

    judged = world.known.judged()
    is_answered = world.known.ticket is not None and world.known.ticket.heads["priority"].is_said
    if is_answered and world.value not in {None, DEFAULT}:
        assert judged[-1] == {"priority": world.value}


@given(st.integers(0, 4), st.permutations(range(8)))
def test_where_no_time_is_said_our_own_value_is_no_judgement_before_the_ticket_is_closed(
    n_late: int, order: list[int]
) -> None:
    known = Known(rules(connector(), answers={"priority": (OURS, AUTO)}))
    known.hear(sighting(values={"priority": None}))
    assert known.ticket is not None
    known.ticket = written(known.ticket, {"priority": OURS})
    told = [None] * n_late + [OURS] * 4

    for index in order:
        known.hear(sighting(values={"priority": told[index % len(told)]}))

    assert known.judged() == []
