"""Training: from a team's tickets to the files of a model version. Serving never imports this package."""
