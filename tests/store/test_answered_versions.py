from __future__ import annotations

from contextlib import closing

from app.store.answered_versions import last_days_of_versions
from app.store.database import Database
from app.store.migration import upgrade
from app.store.prediction_records import write_records
from tests.store.records import record

DAY_MS = 86_400_000


def test_the_last_day_of_each_version_counts_whatever_its_thresholds_were(store_url: str) -> None:
    with closing(Database(store_url)) as database:
        upgrade(database)
        assert last_days_of_versions(database) == {}
        write_records(
            database,
            [
                record(model_version="1.0.0", received_ms=20_000 * DAY_MS),
                record(model_version="1.0.0", model_digest="other", received_ms=20_002 * DAY_MS),
                record(model_version="1.1.0", received_ms=20_001 * DAY_MS),
            ],
        )

        assert last_days_of_versions(database) == {"1.0.0": 20_002, "1.1.0": 20_001}
