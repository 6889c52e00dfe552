"""Reviewers at their desks, for tests of what lies there and of what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from app.errors import ServiceError
from app.feedback.judging import judge
from app.store.database import Database
from app.store.judgement import Recorded, Remark
from app.store.review_desk import Desk, Rules, judge_item, next_items, take_own_back
from tests.stored import LABELS

HIGH = {"priority": "High"}
JUDGE = partial(judge, serving_labels=LABELS)


def never() -> bool:
    return False


def always() -> bool:
    return True


@dataclass
class Reviewer:
    """Somebody at a desk; ``seconds`` are those since the test began."""

    database: Database
    name: str | None = "mia"
    holder: str = ""
    reads_again: Callable[[], bool] = never
    is_second: Callable[[], bool] = always
    seconds: float = 10.0

    def desk(self) -> Desk:
        now_ms = time.time_ns() // 1_000_000 + int(self.seconds * 1000)
        return Desk(self.holder or self.name or "local", self.name, now_ms)

    def take(self, count: int = 1, without: Sequence[str] = ()) -> list[str]:
        items = next_items(self.database, self.desk(), count=count, without=without, is_second=self.is_second)
        return [item.prediction_id for item in items]

    def ask(
        self,
        prediction_id: str,
        labels: Mapping[str, str] = HIGH,
        *,
        insists: bool = False,
        key: str | None = None,
    ) -> Recorded | ServiceError:
        remark = Remark(labels, "review", prediction_id=prediction_id, reviewer=self.name, idempotency_key=key)
        rules = Rules(JUDGE, keeps_text=True, reads_again=self.reads_again)
        return judge_item(self.database, remark, self.desk(), rules=rules, insists=insists)

    def judge(self, prediction_id: str, labels: Mapping[str, str] = HIGH) -> str:
        outcome = self.ask(prediction_id, labels)
        assert isinstance(outcome, Recorded), outcome.kind.slug
        return outcome.feedback_id

    def refused(self, prediction_id: str) -> str:
        outcome = self.ask(prediction_id)
        assert isinstance(outcome, ServiceError)
        return outcome.kind.slug

    def take_back(self, feedback_id: str) -> str | None:
        return take_own_back(self.database, self.desk(), feedback_id, keeps_text=True)
