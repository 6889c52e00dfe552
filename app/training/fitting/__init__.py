"""From tickets to weights: features, the recipe and the regression."""
