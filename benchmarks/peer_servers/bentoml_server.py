"""The joblib parts behind BentoML: ``bentoml serve benchmarks.peer_servers.bentoml_server:TicketService``."""

# The annotations of the method are the schema of its requests, so they must be types when the module is imported.
import bentoml

from benchmarks.peer_servers.joblib_parts import JoblibParts


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class TicketService:
    """A service of one method, which BentoML calls in a thread."""

    def __init__(self) -> None:
        self._parts = JoblibParts()

    @bentoml.api(route="/classify")  # type: ignore[untyped-decorator]
    def classify(self, title: str, description: str) -> dict[str, dict[str, str | float]]:
        """Return label and confidence of each head."""
        return self._parts.answer(title, description)
