"""From which confidence on an answer is acted on, and what confidences mean."""
