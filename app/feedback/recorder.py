"""What is remembered of an answer: whether a person is asked about it, and whether its text is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from app.feedback.review_worth import LabelWeights, label_weights, review_worth
from app.store.ids import milliseconds_of
from app.store.prediction_records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.feedback.audits import Audits
    from app.models.classifier import Prediction
    from app.store.writer import RecordWriter

KeptText = Literal["none", "review", "all"]


class Recorder:
    """Makes the record of each answer, and has ``writer`` write it soon; may be used from any thread.

    ``on_audits`` may be called from any thread, and is called with a number of answers that are audits.
    """

    def __init__(
        self, writer: RecordWriter, *, audits: Audits, kept_text: KeptText, on_audits: Callable[[int], None]
    ) -> None:
        self._writer = writer
        self._audits = audits
        self._on_audits = on_audits
        self._keeps_all = kept_text == "all"
        self._keeps_asked = kept_text != "none"
        # Of the model that answered last, by its digest.
        self._label_weights: dict[str, LabelWeights] = {}

    def start(self) -> None:
        """Begin to write."""
        # A counter that first shows with its first audit would hide that from whoever looks at increases.
        self._on_audits(0)
        self._writer.start()

    async def close(self) -> None:
        """Write what waits; see ``RecordWriter.close``."""
        await self._writer.close()

    def add(self, record: Record) -> None:
        """Let ``record`` be written soon; never waits."""
        self._writer.add(record)

    def record_of(
        self,
        prediction: Prediction,
        *,
        prediction_id: str,
        model_digest: str,
        model_metadata: Mapping[str, object],
        text_members: str,
        prediction_members: str,
    ) -> Record:
        """Return the record of an answer, whose members are given in JSON, those with the ticket's text apart.

        A person is asked about each ticket that any head does not answer ``auto``, and about those that are drawn as
        audits, which may be tickets with such a head too: what another head said is checked then.
        """
        decisions = [head.decision for head in prediction.heads.values()]
        n_auto = decisions.count("auto")
        is_audit = n_auto > 0 and self._audits.is_drawn()
        if is_audit:
            self._on_audits(1)
        is_all_auto = n_auto == len(decisions)
        is_asked = is_audit or not is_all_auto
        worth = None
        if is_asked:
            worth = review_worth(prediction, self._weights_of(model_digest, model_metadata), is_audit=is_audit)
        texts = f"{text_members}," if self._keeps_all or (is_asked and self._keeps_asked) else ""
        asked_chance = self._audits.share if is_all_auto else 1.0
        content = (
            f'{{"received_ms":{milliseconds_of(prediction_id)},"model_digest":"{model_digest}",'
            f'"is_audit":{"true" if is_audit else "false"},"asked_chance":{asked_chance},{texts}{prediction_members}}}'
        )
        return Record(prediction_id, worth, content)

    def _weights_of(self, model_digest: str, metadata: Mapping[str, object]) -> LabelWeights:
        weights = self._label_weights.get(model_digest)
        if weights is None:
            weights = label_weights(metadata)
            self._label_weights = {model_digest: weights}
        return weights
