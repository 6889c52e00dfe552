"""The joblib parts behind MLServer: a runtime of the Open Inference Protocol, started by ``mlserver start``."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peer_servers.joblib_parts import JoblibParts


class TicketRuntime(MLModel):  # type: ignore[misc]
    """Takes the inputs ``title`` and ``description``; returns the label and the probabilities of each head."""

    async def load(self) -> bool:
        self._parts = JoblibParts()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        fields = {field.name: StringCodec.decode_input(field)[0] for field in payload.inputs}
        outputs = []
        for head, row in self._parts.probabilities(fields["title"], fields["description"]).items():
            outputs.append(StringCodec.encode_output(f"{head}_label", [self._parts.label(head, row)]))
            outputs.append(NumpyCodec.encode_output(f"{head}_probabilities", row))
        return InferenceResponse(model_name=self.name, outputs=outputs)
