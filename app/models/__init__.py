"""The classifier itself: features, artifacts and predictions, with no web, no network and no scikit-learn."""
