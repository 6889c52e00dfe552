"""What all workers and replicas must agree on when they speak to one helpdesk: its rate, its rest, who looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from app.store.insertion import insert_new
from app.store.tables import connector_states

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

    from app.store.database import Database

_MAX_PROBLEM_CHARACTERS: Final = 300


def note_answer(database: Database, connector: str, *, now_ms: int, trial_after: int) -> None:
    """Remember that a helpdesk answers."""
    with database.writing(durable=False) as connection:
        state = locked_state(connection, database, connector, now_ms)
        if state.n_failures or state.problem is not None:
            paused_until_ms = _asked_for_ms(state, trial_after)
            set_state(connection, connector, n_failures=0, paused_until_ms=paused_until_ms, problem=None)


def note_failure(
    database: Database,
    connector: str,
    *,
    now_ms: int,
    problem: str,
    pause_ms: Callable[[int], int],
    trial_after: int,
) -> None:
    """Remember that a helpdesk failed; ``pause_ms`` tells by the failures in a row how long it is left alone."""
    with database.writing(durable=False) as connection:
        state = locked_state(connection, database, connector, now_ms)
        n_failures = state.n_failures + 1
        paused_until_ms = max(now_ms + pause_ms(n_failures), _asked_for_ms(state, trial_after))
        values = {"n_failures": n_failures, "problem": problem[:_MAX_PROBLEM_CHARACTERS]}
        set_state(connection, connector, paused_until_ms=paused_until_ms, **values)


def began_ms(database: Database, connector: str, *, now_ms: int) -> int:
    """Return when a connector was first there: now, if it was not before."""
    with database.writing() as connection:
        return int(locked_state(connection, database, connector, now_ms).began_ms)


def claim_look(database: Database, connector: str, *, now_ms: int, lease_ms: int, look_ms: int) -> int | None:
    """Let this process look for changes, alone for ``lease_ms``, and return since when; None if another does.

    A connector that never looked begins now. ``look_ms`` is how often it is to look: a later time than that was written
    down when it was to look less often.
    """
    with database.writing() as connection:
        state = locked_state(connection, database, connector, now_ms)
        is_early = now_ms < state.look_leased_until_ms <= now_ms + max(lease_ms, look_ms)
        if is_early or state.paused_until_ms > now_ms:
            return None
        since_ms = now_ms if state.looked_until_ms is None else int(state.looked_until_ms)
        set_state(connection, connector, look_leased_until_ms=now_ms + lease_ms, looked_until_ms=since_ms)
        return since_ms


def finish_look(database: Database, connector: str, *, now_ms: int, looked_until_ms: int, next_look_ms: int) -> None:
    """Write down that all changes until then are known, and when the next look is due."""
    with database.writing() as connection:
        locked_state(connection, database, connector, now_ms)
        set_state(connection, connector, looked_until_ms=looked_until_ms, look_leased_until_ms=next_look_ms)


def locked_state(connection: Connection, database: Database, connector: str, now_ms: int) -> Row[Any]:
    """Return the row of a connector, which stays so until the end of the transaction; a new one begins now."""
    new = {
        "connector": connector,
        "began_ms": now_ms,
        "paused_until_ms": 0,
        "n_failures": 0,
        "next_call_ms": 0,
        "look_leased_until_ms": 0,
    }
    connection.execute(insert_new(database.kind, connector_states).values(new))
    locked = select(connector_states).where(connector_states.c.connector == connector).with_for_update()
    return connection.execute(locked).one()


def _asked_for_ms(state: Row[Any], trial_after: int) -> int:
    """Return until when the helpdesk wants to be left alone, which calls that were under way do not change.

    After ``trial_after`` failures it is the trial's own pause, which ends with the trial.
    """
    return 0 if state.n_failures >= trial_after else int(state.paused_until_ms)


def set_state(connection: Connection, connector: str, **values: object) -> None:
    """Change the row of a connector."""
    connection.execute(update(connector_states).where(connector_states.c.connector == connector).values(values))
